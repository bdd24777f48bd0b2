"""Data that the ledger lists and the tables lack is loaded again, and a load that cannot do so fails."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysTableError
from airflow_provider_alvys.api.schema.fields import Record
from tests.tables.databases import Db, MakeDb
from tests.tables.kill import load_and_kill
from tests.tables.runs import hour, load, write_run

# Columns that differ between two loads of the same rows.
LOAD_SPECIFIC = ("_loaded_at", "_changed_at")
# The columns that the ledger of version 0.2.0 lacks.
ADDED_COLUMNS = (
    *("current_rows", "schema_hash", "excluded", "table_rows"),
    *("as_of", "requests", "passes", "waited", "cadence"),
)
WINDOW = ("updated", hour(-100), hour(100))
# DuckDB needs ten times as long as SQLite: one case of each kind.
ON_DUCKDB = {
    *("main-table-dropped", "child-rows-deleted", "column-dropped", "newest-ledger-row-deleted"),
    *("all-tables", "ledger", "exclude-object", "depth-1", "Stops"),
}


def skip_on_duckdb(db: Db, case: str) -> None:
    if db.kind == "duckdb" and case not in ON_DUCKDB:
        pytest.skip("the other databases have this case")


def make_load(number: int, version: int = 0, **fields: Any) -> dict[str, Any]:
    references = [{"Name": f"R{n}", "Value": str(version)} for n in range(number % 3)]
    stops = [
        {"Id": f"S{n}", "CompanyName": "Acme", "References": references}
        for n in range((number + version) % 4)
    ]
    row = {"Id": f"L{number}", "UpdatedAt": f"2026-03-01T{version:02}:00:00Z", "Status": f"as of {version}"}
    return {**row, "Stops": stops, "Notes": [{"id": "N", "Description": f"{version}"}], "New": 1, **fields}


def write_runs(lake: Path) -> list[str]:
    """Write sweeps that miss two loads, and windows with changed and new loads."""
    rows = {number: make_load(number) for number in range(40)}
    manifests = [write_run(lake, list(rows.values()), at=0)]
    rows |= {number: make_load(number, 1) for number in (3, 4, 7)}
    manifests.append(write_run(lake, [rows[number] for number in (3, 4, 7)], at=1, window=WINDOW))
    gone = [rows.pop(number) for number in (7, 8)]
    assert gone
    manifests += [write_run(lake, list(rows.values()), at=at) for at in (2, 3)]
    changed = [make_load(number, 4) for number in (5, 6)]
    manifests.append(write_run(lake, changed, at=4, window=WINDOW))
    return [*manifests, write_run(lake, [make_load(5, 5)], at=5, window=WINDOW)]


def write_last_run(lake: Path) -> None:
    write_run(lake, [make_load(6, 6), make_load(200, 6)], at=6, window=WINDOW)


def contents(db: Db) -> dict[str, Any]:
    """Return all rows, and what the ledger says of each manifest and of the tables."""
    found = {table: rows for table, rows in db.dump(LOAD_SPECIFIC).items() if rows}
    ledger = found.pop("_alvys_loads")
    # The schema of a manifest without current rows does not matter.
    entries = [
        (row["manifest"], row["current_rows"], row["current_rows"] and (row["schema_hash"], row["excluded"]))
        for row in ledger
    ]
    (state,) = [json.loads(row["table_rows"]) for row in ledger if row["table_rows"]]
    return {**found, "ledger": sorted(entries), "rows": state["rows"]}


_fresh: dict[tuple[str, bytes], dict[str, Any]] = {}


def fresh_contents(make_db: MakeDb, kind: str, lake: Path) -> dict[str, Any]:
    """
    Return the contents of a database that loads all for the first time.

    Many cases end with the same files, so one such load of them is kept, with the data set's path replaced.
    """
    files = sorted(file for file in lake.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(lake)} {file.stat().st_size} ".encode() + file.read_bytes())
    key = (kind, digest.digest())
    if key not in _fresh:
        fresh = make_db(kind)
        load(lake)
        _fresh[key] = json.loads(json.dumps(contents(fresh)).replace(str(lake), "<lake>"))
    return _fresh[key]


def at_any_path(found: dict[str, Any], lake: Path) -> dict[str, Any]:
    """Return contents as :func:`fresh_contents` returns them."""
    replaced: dict[str, Any] = json.loads(json.dumps(found).replace(str(lake), "<lake>"))
    return replaced


def warnings(caplog: pytest.LogCaptureFixture) -> list[Any]:
    found = [one for one in caplog.records if one.name.endswith("tables.load") and "again" in one.msg]
    return [one.args for one in found if one.levelno == logging.WARNING]


def backup(db: Db, *tables: str) -> None:
    for table in tables:
        db.query(f"CREATE TABLE backup_{table} AS SELECT * FROM {table}")


def restore(db: Db, *tables: str) -> None:
    for table in tables:
        db.query(f"DELETE FROM {table}")
        db.query(f"INSERT INTO {table} SELECT * FROM backup_{table}")
        db.query(f"DROP TABLE backup_{table}")


def run(*statements: str) -> Callable[[Db], None]:
    def damage(db: Db) -> None:
        for statement in statements:
            db.query(statement)

    return damage


def drop_ledger(db: Db) -> None:
    # Where a view keeps its table from being dropped, it is dropped, too.
    db.query(f"DROP TABLE _alvys_loads{' CASCADE' if db.kind == 'postgres' else ''}")


DAMAGES: dict[str, Callable[[Db], Any]] = {
    "main-table-dropped": run("DROP TABLE loads"),
    "child-table-dropped": run("DROP TABLE load_stops"),
    "nested-child-table-dropped": run("DROP TABLE load_stops_references"),
    "all-tables-dropped": run(
        "DROP TABLE loads",
        "DROP TABLE load_stops",
        "DROP TABLE load_stops_references",
        "DROP TABLE load_notes",
    ),
    "main-table-renamed": run("ALTER TABLE loads RENAME TO my_loads", "DELETE FROM my_loads"),
    "main-table-emptied": run("DELETE FROM loads"),
    "child-table-emptied": run("DELETE FROM load_stops"),
    "rows-deleted": run("DELETE FROM loads WHERE id IN ('L1', 'L9')"),
    "newest-row-deleted": run("DELETE FROM loads WHERE id = 'L5'"),
    "missing-rows-deleted": run("DELETE FROM loads WHERE id IN ('L7', 'L8')"),
    "child-rows-deleted": run("DELETE FROM load_notes WHERE load_id IN ('L2', 'L8')"),
    "rows-deleted-with-their-children": run(
        *(f"DELETE FROM {table} WHERE load_id = 'L9'" for table in ("load_stops", "load_stops_references")),
        "DELETE FROM load_notes WHERE load_id = 'L9'",
        "DELETE FROM loads WHERE id = 'L9'",
    ),
    "column-dropped": run("ALTER TABLE loads DROP COLUMN status"),
    "child-column-dropped": run("ALTER TABLE load_stops DROP COLUMN company_name"),
    "ledger-dropped": drop_ledger,
    "ledger-emptied": run("DELETE FROM _alvys_loads"),
    "newest-ledger-row-deleted": run("DELETE FROM _alvys_loads WHERE table_rows IS NOT NULL"),
    "table-and-ledger-dropped": lambda db: (db.query("DROP TABLE loads"), drop_ledger(db)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_lost_rows_tables_and_columns_are_loaded_again(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    skip_on_duckdb(db, damage)
    write_runs(lake)
    load(lake)
    DAMAGES[damage](db)
    write_last_run(lake)
    assert_mended(db, make_db, lake, caplog, is_logged="ledger" not in damage)


def assert_mended(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture, *, is_logged: bool = True
) -> None:
    """Load, and compare with a database that loads all for the first time."""
    caplog.clear()
    load(lake)
    logged = warnings(caplog)
    assert len(logged) == is_logged
    caplog.clear()
    assert load(lake)["manifests"] == 0
    assert warnings(caplog) == []
    assert at_any_path(contents(db), lake) == fresh_contents(make_db, db.kind, lake)


RESTORED = {
    "all-tables": ("loads", "load_stops", "load_stops_references", "load_notes"),
    "main-table": ("loads",),
    "child-table": ("load_stops",),
    "ledger": ("_alvys_loads",),
    "all-with-ledger": ("loads", "load_stops", "load_stops_references", "load_notes", "_alvys_loads"),
}


@pytest.mark.parametrize("loaded", [1, 3, 4, 5])
@pytest.mark.parametrize("tables", RESTORED)
def test_a_restored_backup_is_brought_up_to_date(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture, tables: str, loaded: int
) -> None:
    skip_on_duckdb(db, tables)
    if db.kind != "sqlite" and loaded != 4:
        pytest.skip("covered by SQLite")
    if tables == "child-table" and loaded > 4:
        pytest.skip("the child table has as many rows as before")
    for number, manifest in enumerate(write_runs(lake), 1):
        load(lake, manifest=manifest)
        if number == loaded:
            backup(db, *RESTORED[tables])
    restore(db, *RESTORED[tables])
    write_last_run(lake)
    assert_mended(db, make_db, lake, caplog, is_logged=tables != "all-with-ledger")


SETTINGS: dict[str, dict[str, Any]] = {
    "exclude": {"exclude": ["Status"]},
    "exclude-object": {"exclude": ["Linehaul", "Stops.CompanyName"]},
    "exclude-list": {"exclude": ["Notes"]},
    "exclude-extra": {"exclude": ["_extra"]},
    "children": {"children": False},
    "depth-0": {"depth": 0},
    "depth-1": {"depth": 1},
}


@pytest.mark.parametrize("has_loaded_all_before", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
def test_lifted_settings_fill_the_columns_and_tables_of_old_rows(
    db: Db,
    make_db: MakeDb,
    lake: Path,
    caplog: pytest.LogCaptureFixture,
    settings: str,
    has_loaded_all_before: bool,
) -> None:
    skip_on_duckdb(db, settings)
    if has_loaded_all_before:
        # The columns and tables exist from before, but the rows of later loads do not fill them.
        write_run(lake, [make_load(900)], at=-5)
        load(lake)
    write_runs(lake)
    load(lake, **SETTINGS[settings])
    write_last_run(lake)
    # The schema of rows that JSON columns held before may have such columns; they are empty.
    caplog.clear()
    load(lake)
    assert len(warnings(caplog)) == 1
    assert load(lake)["manifests"] == 0
    found = at_any_path(contents(db), lake)
    fresh = fresh_contents(make_db, db.kind, lake)
    for table, rows in found.items():
        if table not in ("ledger", "rows"):
            columns = fresh[table][0].keys()
            assert [{name: row[name] for name in columns} for row in rows] == fresh[table], table
            assert not any(row[name] for row in rows for name in row.keys() - columns), "obsolete"
    assert found.keys() == fresh.keys()
    assert (found["ledger"], found["rows"]) == (fresh["ledger"], fresh["rows"])


def test_lists_that_become_json_are_filled_for_old_rows(sqlite: Db, make_db: MakeDb, lake: Path) -> None:
    write_runs(lake)
    load(lake)
    load(lake, children=False)
    found = {row["id"]: row["stops"] for row in sqlite.rows("loads")}
    assert sqlite.rows("load_stops") == []
    make_db("sqlite")
    load(lake, children=False)
    assert found == {row["id"]: row["stops"] for row in sqlite.rows("loads")}


def test_an_added_exclude_loads_nothing_again(db: Db, lake: Path) -> None:
    write_runs(lake)
    load(lake, exclude=["Linehaul.Amount", "Stops.CompanyName"])
    assert load(lake, exclude=["Linehaul", "Stops.CompanyName", "Status"])["manifests"] == 0


def without(*names: str) -> Any:
    """Return loads as an older catalogue describes them."""
    stream = get_stream("loads")
    fields = {name: kind for name, kind in stream.fields.fields.items() if name not in names}
    return type(stream)(**{**stream.__dict__, "fields": Record(fields, stream.fields.flags)})


@pytest.mark.parametrize("field", ["Status", "Notes", "Stops"])
def test_a_field_that_the_catalogue_learns_is_filled_for_old_rows(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    skip_on_duckdb(db, field)
    write_runs(lake)
    with pytest.MonkeyPatch.context() as old:
        old.setitem(STREAMS, "loads", without(field))  # type: ignore[arg-type]
        load(lake)
        assert all(field in row["_extra"] for row in db.rows("loads"))
    write_last_run(lake)
    caplog.clear()
    load(lake)
    assert len(warnings(caplog)) == 1
    found = at_any_path(contents(db), lake)
    assert found == fresh_contents(make_db, db.kind, lake)
    assert json.loads(found["loads"][0]["_extra"]) == {"New": 1}


def test_a_schema_that_is_renamed_is_loaded_again_and_its_new_name_is_not(
    make_db: MakeDb, lake: Path
) -> None:
    db = make_db("postgres")
    here = db.one("SELECT current_schema()")
    write_runs(lake)
    assert load(lake)["manifests"] == 6
    db.query(f"ALTER SCHEMA {here} RENAME TO {here}_old")
    db.query(f"CREATE SCHEMA {here}")
    assert load(lake)["manifests"] == 6
    assert load(lake, schema=f"{here}_old")["manifests"] == 0
    assert load(lake, table="other_loads")["manifests"] == 6


@pytest.mark.parametrize("kept", [True, False])
def test_a_named_manifest_is_not_loaded_into_a_table_with_gaps(db: Db, lake: Path, kept: bool) -> None:
    manifests = write_runs(lake)
    load(lake)
    before = contents(db)
    db.query("DROP TABLE loads")
    if not kept:
        shutil.rmtree(Path(manifests[0]).parent)
        with pytest.raises(AlvysTableError, match=re.escape(manifests[0])):
            load(lake, manifest=manifests[-1])
        return
    assert load(lake, manifest=manifests[-1])["manifests"] == 6
    assert contents(db) == before


def test_a_load_from_another_path_of_the_tenant_fails_until_the_first_path_is_loaded(
    db: Db, lake: Path
) -> None:
    days = [lake / "monday", lake / "tuesday"]
    monday, tuesday = (write_run(day, [make_load(at)], at=at) for at, day in enumerate(days))
    load(days[0], manifest=monday)
    db.query("DELETE FROM loads")
    with pytest.raises(AlvysTableError, match=re.escape(monday)):
        load(days[1], manifest=tuesday)
    assert load(days[0])["manifests"] == 1
    assert load(days[1])["manifests"] == 0
    assert {row["id"] for row in db.rows("loads")} == {"L0", "L1"}


def remove(manifest: str) -> None:
    shutil.move(Path(manifest).parent, Path(manifest).parent.with_name("kept"))
    shutil.move(Path(manifest).parent.with_name("kept"), Path(manifest).parents[3])


def bring_back(manifest: str) -> None:
    shutil.move(Path(manifest).parents[3] / "kept", Path(manifest).parent)


@pytest.mark.parametrize("end", ["restored", "accepted"])
@pytest.mark.parametrize("cause", ["rows", "table", "exclude"])
def test_a_load_fails_while_a_gap_has_no_files_until_they_are_restored_or_it_is_accepted(
    db: Db, lake: Path, cause: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    manifests = write_runs(lake)
    load(lake, exclude=["Status"] if cause == "exclude" else [])
    # It has the only state of L8.
    remove(manifests[0])
    if cause != "exclude":
        db.query("DROP TABLE loads" if cause == "table" else "DELETE FROM loads WHERE id = 'L8'")
    write_last_run(lake)
    for _ in range(2):
        with pytest.raises(AlvysTableError, match=r"DELETE FROM \S*_alvys_loads") as caught:
            load(lake)
    assert manifests[0] in str(caught.value)
    # All others are loaded, once.
    assert "L200" in {row["id"] for row in db.rows("loads")}
    assert len(warnings(caplog)) == 1
    if end == "restored":
        bring_back(manifests[0])
    else:
        db.query(str(caught.value)[str(caught.value).index("DELETE FROM") :])
    assert load(lake)["manifests"] >= (end == "restored")
    assert load(lake)["manifests"] == 0
    has_row = end == "restored" or cause == "exclude"
    assert ("L8" in {row["id"] for row in db.rows("loads")}) == has_row


def test_manifests_whose_rows_were_all_replaced_may_be_deleted(db: Db, lake: Path) -> None:
    for at in range(3):
        rows = [{"Id": f"D{n}", "Name": str(at)} for n in range(10)]
        manifest = write_run(lake, rows, stream="drivers", at=at)
    load(lake, "drivers", exclude=["Name"])
    for folder in sorted((lake / "drivers").rglob("all-*"))[:-1]:
        shutil.rmtree(folder)
    assert load(lake, "drivers")["manifests"] == 1
    db.query("DROP TABLE drivers")
    assert load(lake, "drivers")["manifests"] == 1
    assert {(row["name"], row["_manifest"]) for row in db.rows("drivers")} == {("2", manifest)}


def test_a_gap_of_another_tenants_data_set_is_left_to_its_own_load(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for at, tenant in enumerate(("north", "south")):
        write_run(lake / tenant, [make_load(n) for n in range(10)], at=at, tenant=tenant)
        load(lake / tenant)
    before = db.rows("loads", LOAD_SPECIFIC)
    db.query("DELETE FROM loads")
    db.query("ALTER TABLE load_stops DROP COLUMN company_name")
    assert load(lake / "north")["manifests"] == 1
    assert load(lake / "south")["manifests"] == 1
    assert [load(lake / tenant)["manifests"] for tenant in ("north", "south")] == [0, 0]
    assert sorted(map(str, db.rows("loads", LOAD_SPECIFIC))) == sorted(map(str, before))
    assert {row["company_name"] for row in db.rows("load_stops")} == {"Acme"}
    db.query("DELETE FROM loads WHERE _tenant = 'south' AND id = 'L2'")
    assert [load(lake / tenant)["manifests"] for tenant in ("north", "south")] == [0, 1]


def test_missing_rows_of_another_tenant_are_marked_again_by_its_own_load(db: Db, lake: Path) -> None:
    write_run(lake / "north", [make_load(n) for n in range(10)], tenant="north")
    write_runs(lake / "south")
    for tenant in ("north", "south"):
        load(lake / tenant)
    before = db.dump(LOAD_SPECIFIC)["loads"]
    db.query("DELETE FROM loads")
    for tenant in ("north", "south"):
        load(lake / tenant)
    assert db.dump(LOAD_SPECIFIC)["loads"] == before


def test_a_data_set_that_was_moved_takes_over_its_rows(db: Db, lake: Path) -> None:
    write_runs(lake / "zzz")
    load(lake / "zzz")
    shutil.move(lake / "zzz", lake / "aaa")
    db.query("DELETE FROM loads WHERE id IN ('L9', 'L10')")
    assert load(lake / "aaa")["manifests"] == 6
    assert load(lake / "aaa")["manifests"] == 0
    assert all(row["_manifest"].startswith(str(lake / "aaa")) for row in db.rows("loads"))
    before = db.dump((*LOAD_SPECIFIC, "_alvys_loads"))["loads"]
    db.query("DROP TABLE loads")
    assert load(lake / "aaa")["manifests"] == 6
    assert db.dump(LOAD_SPECIFIC)["loads"] == before


def test_a_run_of_another_data_set_with_the_same_name_is_no_copy(db: Db, lake: Path) -> None:
    for at, name in enumerate(("a", "b")):
        rows = [make_load(number) for number in range(10 * at, 10 * at + 10)]
        write_run(lake / name, rows, at=at, name="run-1", window=WINDOW)
        load(lake / name)
    db.query("DELETE FROM loads WHERE id = 'L1'")
    with pytest.raises(AlvysTableError):
        load(lake / "b")
    assert [load(lake / name)["manifests"] for name in ("a", "b")] == [1, 0]
    assert len(db.rows("loads")) == 20


def make_old(db: Db) -> None:
    """Give the ledger the form of version 0.2.0, and drop the view, which that version does not have."""
    db.query("DROP VIEW alvys_freshness")
    for column in ADDED_COLUMNS:
        db.query(f"ALTER TABLE _alvys_loads DROP COLUMN {column}")


def test_a_ledger_of_an_earlier_version_is_migrated_and_loads_nothing_again(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if db.kind == "duckdb":
        pytest.skip("DuckDB cannot drop the columns")
    write_runs(lake)
    load(lake)
    before = contents(db)
    make_old(db)
    assert load(lake)["manifests"] == 0
    assert contents(db) == before
    # From now on, gaps are found.
    db.query("DELETE FROM load_notes WHERE load_id = 'L8'")
    write_last_run(lake)
    assert_mended(db, make_db, lake, caplog)


@pytest.mark.parametrize(
    "damage",
    ["main-table-dropped", "main-table-emptied", "child-table-dropped", "column-dropped", "3-rows-of-42"],
)
def test_gaps_from_the_time_of_an_earlier_version_are_filled(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    if db.kind == "duckdb":
        pytest.skip("DuckDB cannot drop the columns")
    write_runs(lake)
    load(lake)
    make_old(db)
    DAMAGES.get(damage, run("DELETE FROM loads WHERE id NOT IN ('L1', 'L2', 'L3')"))(db)
    write_last_run(lake)
    assert_mended(db, make_db, lake, caplog)


def test_rows_that_are_deleted_on_purpose_stay_deleted(db: Db, lake: Path) -> None:
    write_runs(lake)
    load(lake)
    for table, key in (("loads", "id"), ("load_notes", "load_id"), ("load_stops", "load_id")):
        db.query(f"DELETE FROM {table} WHERE {key} = 'L9'")
    db.query("UPDATE _alvys_loads SET current_rows = NULL, table_rows = NULL WHERE table_name = 'loads'")
    for _ in range(2):
        assert load(lake)["manifests"] == 0
    assert "L9" not in {row["id"] for row in db.rows("loads")}


def test_a_load_that_fails_halfway_is_continued(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifests = write_runs(lake)
    load(lake)
    db.query("DELETE FROM loads WHERE id IN ('L8', 'L10')")
    part = Path(manifests[2]).parent / "part-00000.jsonl"
    content = part.read_bytes()
    part.write_bytes(content[:-10])
    with pytest.raises(AlvysStorageError):
        load(lake)
    part.write_bytes(content)
    assert_mended(db, make_db, lake, caplog)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.mariadb)])
def test_a_kill_while_gaps_are_filled_leaves_none(
    kind: str, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db = make_db(kind)
    for at in range(2):
        write_run(lake, [make_load(n, at) for n in range(at, 6)], at=at)
    load(lake)
    db.query("DROP TABLE load_stops")
    db.query("ALTER TABLE load_notes DROP COLUMN description")
    statement = 5
    while load_and_kill(str(lake), statement, json.dumps(db.connection)):
        statement += 9
    assert statement > 60, "too few statements were tried"
    assert_mended(db, make_db, lake, caplog, is_logged=False)


def test_of_two_concurrent_loads_one_fills_the_gaps(
    db: Db, make_db: MakeDb, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if db.kind == "duckdb":
        pytest.skip("one process at a time")
    write_runs(lake)
    load(lake)
    db.query("DROP TABLE loads")
    write_last_run(lake)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(load(lake)["manifests"])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 7
    assert_mended(db, make_db, lake, caplog, is_logged=False)
