"""Loads manifests: once, again, in any order, after a failure, concurrently."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysTableError, AlvysValueError
from airflow_provider_alvys.api.schema.fields import Record
from airflow_provider_alvys.api.schema.values import snake_case
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.tables.database import Database, open_database
from airflow_provider_alvys.tables.dialects import get_dialect
from airflow_provider_alvys.tables.load import Loader
from airflow_provider_alvys.tables.schema import build_schema
from tests.lake import read_manifest
from tests.tables.databases import Db
from tests.tables.kill import load_and_kill
from tests.tables.runs import hour, load, write_run

# Columns that differ between two loads of the same rows.
LOAD_SPECIFIC = ("_loaded_at", "_changed_at", "_missed_at", "_missing_since")


def make_load(number: int, updated: str | None = None, **fields: Any) -> dict[str, Any]:
    row = {"Id": f"L{number}", "LoadNumber": str(1000 + number), **fields}
    return row if updated is None else {**row, "UpdatedAt": updated}


def contents(db: Db) -> dict[str, Any]:
    found = db.dump(LOAD_SPECIFIC)
    del found["_alvys_loads"]
    return found


def test_a_row_fills_its_columns_child_tables_and_metadata(db: Db, lake: Path) -> None:
    row = make_load(
        1,
        "2026-03-01T08:30:00.1234567+00:00",
        Linehaul={"Amount": 1234.50, "Currency": 840},
        Fleet={"Id": "F1", "Name": "West"},
        ScheduledPickupAt="2026-03-02T06:00:00-05:00",
        Stops=[
            {
                "Id": "S1",
                "StopWindow": {"Begin": "2026-03-02T06:00:00-05:00", "End": "9999-12-31T00:00:00+00:00"},
            },
            {"Id": "S2", "References": [{"Name": "PU", "Value": "7"}, {"Name": "BOL"}]},
        ],
        RequiredEquipment=["Van", "Reefer"],
        NewField={"Deep": [1.50]},
    )
    manifest = write_run(
        lake, [json.dumps(row).replace("1234.5", "1234.50").replace("1.5]", "1.50]").encode()], at=1
    )
    result = load(lake)
    assert 0 < result.pop("seconds") < 60
    assert result == {
        "table": "loads",
        "stream": "loads",
        "path": str(lake),
        "manifests": 1,
        "rows": 1,
        "merged": 1,
        "changed": 1,
        "missing": 0,
        "disbelieved": 0,
        "as_of": "2026-03-01T01:00:00Z",
        "bytes": sum(part["bytes"] for part in read_manifest(manifest)["parts"]),
    }
    (main,) = db.rows("loads")
    assert Decimal(main["linehaul_amount"]) == Decimal("1234.50")
    if db.kind in ("postgres", "sqlite"):
        assert str(main["linehaul_amount"]) == "1234.50"
    assert (main["linehaul_currency"], main["fleet_name"]) == ("USD", "West")
    assert main["updated_at"] == f"2026-03-01 08:30:00.{'1234567' if db.second_digits == 7 else '1234560'}"
    assert main["scheduled_pickup_at"] == "2026-03-02 11:00:00.0000000"
    assert (main["scheduled_pickup_at_local"], main["scheduled_pickup_at_offset"]) == (
        "2026-03-02 06:00:00.0000000",
        "-05:00",
    )
    assert main["_extra"] == '{"NewField":{"Deep":[1.50]}}'
    assert (main["_tenant"], main["_manifest"], main["_read_at"]) == (
        "acme",
        manifest,
        "2026-03-01 01:00:00.0000000",
    )
    assert main["_loaded_at"] == main["_changed_at"] > "2026"
    assert main["_missing_since"] is None
    stops = sorted(db.rows("load_stops"), key=lambda row: row["_position"])
    assert [(row["load_id"], row["_position"], row["id"]) for row in stops] == [
        ("L1", 1, "S1"),
        ("L1", 2, "S2"),
    ]
    assert [(bool(row["_is_first"]), bool(row["_is_last"])) for row in stops] == [
        (True, False),
        (False, True),
    ]
    assert [row["stop_window_end_is_open"] for row in stops] == [1, None]
    references = sorted(db.rows("load_stops_references"), key=lambda row: row["_position"])
    assert [(row["_stops_position"], row["_position"], row["name"], row["value"]) for row in references] == [
        (2, 1, "PU", "7"),
        (2, 2, "BOL", None),
    ]
    assert sorted(row["value"] for row in db.rows("load_required_equipment")) == ["Reefer", "Van"]


def test_a_manifest_is_loaded_once_unless_it_is_named(db: Db, lake: Path) -> None:
    manifest = write_run(lake, [make_load(1, "2026-03-01T00:00:00Z", Stops=[{"Id": "S1"}])])
    assert load(lake)["rows"] == 1
    before = db.dump()
    assert load(lake).items() >= {"manifests": 0, "rows": 0, "merged": 0, "as_of": None, "bytes": 0}.items()
    assert db.dump() == before
    assert load(lake, manifest=manifest)["rows"] == 1
    assert load(lake, manifest={"manifest": manifest, "rows": 1})["rows"] == 1
    assert contents(db) == {
        name: rows for name, rows in db.dump(LOAD_SPECIFIC).items() if name != "_alvys_loads"
    }
    assert len(db.rows("_alvys_loads")) == 1
    assert db.rows("loads")[0]["_changed_at"] == before["loads"][0]["_changed_at"]


def test_a_changed_row_replaces_the_old_one_and_an_unchanged_row_keeps_its_change_time(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stops = [{"Id": "S1"}, {"Id": "S2"}]
    write_run(lake, [make_load(n, "2026-03-01T00:00:00Z", Stops=stops, Status="Open") for n in (1, 2)], at=0)
    load(lake)
    before = {row["id"]: row for row in db.rows("loads")}
    changed = make_load(2, "2026-03-01T01:00:00Z", Stops=stops[1:], Status="Covered")
    # Another order of the fields is not a change.
    same = dict(reversed(make_load(1, "2026-03-01T00:00:00Z", Stops=stops, Status="Open").items()))
    write_run(lake, [same, changed], at=2)
    caplog.set_level(logging.INFO)
    assert load(lake)["merged"] == 2
    counts = [record.args for record in caplog.records if record.msg.startswith("Loaded a manifest")]
    assert counts == [("2", "2"), ("2", "1")]
    after = {row["id"]: row for row in db.rows("loads")}
    assert after["L1"]["_changed_at"] == before["L1"]["_changed_at"]
    assert after["L1"]["_read_at"] > before["L1"]["_read_at"]
    assert after["L2"]["_changed_at"] > before["L2"]["_changed_at"]
    assert after["L2"]["status"] == "Covered"
    assert sorted((row["load_id"], row["id"]) for row in db.rows("load_stops")) == [
        ("L1", "S1"),
        ("L1", "S2"),
        ("L2", "S2"),
    ]


def test_an_older_state_never_replaces_a_newer_one(db: Db, lake: Path) -> None:
    write_run(lake, [make_load(1, "2026-03-01T05:00:00Z", Status="Delivered", Stops=[{"Id": "new"}])], at=5)
    load(lake)
    # Read later, but in an older state, as from a cached page.
    write_run(lake, [make_load(1, "2026-03-01T04:00:00Z", Status="Open", Stops=[{"Id": "old"}])], at=6)
    write_run(lake, [make_load(1, Status="Quoted")], at=7)
    assert load(lake)["merged"] == 0
    assert [row["status"] for row in db.rows("loads")] == ["Delivered"]
    assert [row["id"] for row in db.rows("load_stops")] == ["new"]


def test_without_a_change_time_the_later_read_wins(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": "D1", "Name": "late"}], stream="drivers", at=5)
    load(lake, "drivers")
    write_run(lake, [{"Id": "D1", "Name": "early"}], stream="drivers", at=4)
    load(lake, "drivers")
    assert [row["name"] for row in db.rows("drivers")] == ["late"]


@pytest.mark.parametrize("updated", [None, "2026-03-01T00:00:00Z"])
def test_of_two_states_with_one_change_time_the_later_read_wins_and_then_the_later_manifest(
    sqlite: Db, lake: Path, updated: str | None
) -> None:
    for at, name in ((5, "b"), (5, "a"), (4, "c")):
        write_run(lake, [make_load(1, updated, Status=name)], at=at, name=name)
        load(lake)
    assert [row["status"] for row in sqlite.rows("loads")] == ["b"]


def test_a_manifest_with_another_row_count_than_its_parts_is_rejected(db: Db, lake: Path) -> None:
    manifest = Path(write_run(lake, [make_load(1), make_load(2)]))
    manifest.write_bytes(manifest.read_bytes().replace(b'"rows":2,"total"', b'"rows":3,"total"'))
    with pytest.raises(AlvysTableError, match=r"_manifest.json .* 3 rows.* 2\b"):
        load(lake)
    assert db.rows("loads") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "orders"),
    [("sqlite", 24), ("postgres", 8), ("duckdb", 3), pytest.param("mysql", 8, marks=pytest.mark.mariadb)],
)
def test_any_order_of_loading_gives_the_same_tables(
    kind: str, orders: int, make_db: Any, tmp_path: Path
) -> None:
    rng = random.Random(5)
    runs = []
    for at in range(8):
        rows = []
        for number in rng.sample(range(30), 12):
            hours = rng.choice([None, *range(at + 1)])
            updated = None if hours is None else f"2026-03-01T{hours:02}:00:00Z"
            stops = [
                {"Id": f"S{at}-{n}", "References": [{"Name": f"{at}"}] * rng.randrange(3)}
                for n in range(rng.randrange(4))
            ]
            rows.append(
                make_load(number, updated, Status=f"as of {at}", Stops=stops, Linehaul={"Amount": at + 0.25})
            )
        runs.append((rows, at))
    expected = None
    for seed in range(orders):
        db, lake = make_db(kind), tmp_path / str(seed)
        order = list(runs)
        random.Random(seed).shuffle(order)
        manifests = [write_run(lake, rows, at=at) for rows, at in order]
        # Some with one operator each, then the rest.
        for manifest in manifests[: seed % 9]:
            load(lake, manifest=manifest)
        load(lake)
        assert load(lake)["manifests"] == 0
        found = {
            table: [{**row, "_manifest": row.get("_manifest", "").rpartition("loads/")[2]} for row in rows]
            for table, rows in contents(db).items()
        }
        expected = expected or found
        assert found == expected, f"order {seed}"
    assert expected
    assert len(expected["loads"]) > 20
    assert len(expected["load_stops_references"]) > 20


def test_manifests_landed_during_a_database_outage_are_loaded_by_the_next_run(
    lake: Path, sqlite: Db, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as outage:
        missing_file = tmp_path / "not" / "there" / "x.sqlite"
        outage.setenv("AIRFLOW_CONN_SQL", json.dumps({"conn_type": "sqlite", "host": str(missing_file)}))
        for at in range(5):
            write_run(lake, [make_load(at, f"2026-03-01T0{at}:00:00Z")], at=at)
            with pytest.raises(Exception, match="unable to open database"):
                load(lake)
    write_run(lake, [make_load(5, "2026-03-01T05:00:00Z")], at=5)
    assert load(lake)["manifests"] == 6
    assert len(sqlite.rows("loads")) == 6


def test_a_damaged_part_stops_the_load_and_keeps_earlier_manifests(db: Db, lake: Path) -> None:
    write_run(lake, [make_load(1)], at=1)
    broken = Path(write_run(lake, [make_load(2), make_load(3)], at=2)).parent / "part-00000.jsonl"
    content = broken.read_bytes()
    broken.write_bytes(content[:-10])
    write_run(lake, [make_load(4)], at=3)
    with pytest.raises(AlvysStorageError, match="part-00000.jsonl"):
        load(lake)
    assert [row["id"] for row in db.rows("loads")] == ["L1"]
    broken.write_bytes(content)
    assert load(lake)["rows"] == 3
    assert len(db.rows("loads")) == 4


def test_a_row_without_a_key_is_reported_and_its_manifest_is_not_loaded(db: Db, lake: Path) -> None:
    write_run(lake, [make_load(1), {"LoadNumber": "2"}])
    with pytest.raises(AlvysTableError, match=r"Row 2 of .*part-00000.jsonl .*\bid\b"):
        load(lake)
    assert db.rows("loads") == []
    assert db.rows("_alvys_loads") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "step"),
    [("sqlite", 7), ("postgres", 13), ("duckdb", 23), pytest.param("mysql", 13, marks=pytest.mark.mariadb)],
)
def test_a_kill_during_a_load_leaves_the_tables_unchanged(
    kind: str, step: int, make_db: Any, lake: Path
) -> None:
    db = make_db(kind)
    write_run(lake, [make_load(n, "2026-03-01T00:00:00Z", Stops=[{"Id": "S"}]) for n in range(50)], at=0)
    load(lake)
    before = db.dump()
    write_run(
        lake,
        [make_load(n, "2026-03-01T01:00:00Z", Status="new", Stops=[{"Id": "T"}]) for n in range(100)],
        at=1,
    )
    statement = 0
    while load_and_kill(str(lake), statement, json.dumps(db.connection)):
        if len(db.rows("_alvys_loads")) == 2:
            # After the commit, the load only compares and warns.
            break
        assert db.dump() == before, f"killed at statement {statement}"
        statement += step
    assert statement > 60, "too few statements were tried"
    assert len(db.rows("loads")) == 100
    assert {row["id"] for row in db.rows("load_stops")} == {"T"}


def test_concurrent_loads_run_one_after_the_other_or_one_fails(
    db: Db, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.kind == "postgres":
        # Also with an isolation level that hides later commits from a transaction.
        options = f"{db.connection['extra']['options']} -c default_transaction_isolation=repeatable\\ read"
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({**db.connection, "extra": {"options": options}}))
    for at in range(6):
        rows = [
            make_load(n, f"2026-03-01T0{at}:00:00Z", Status=str(at), Stops=[{"Id": f"S{at}"}])
            for n in range(40)
        ]
        write_run(lake, rows, at=at)
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(load(lake))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [result for result in results if isinstance(result, Exception)]
    assert len(failures) < 2, failures
    if db.kind != "duckdb":
        assert not failures, failures
    if failures:
        results.append(load(lake))
    assert sum(result["manifests"] for result in results if isinstance(result, dict)) == 6, (
        "a manifest was loaded twice"
    )
    assert len(db.rows("loads")) == 40
    assert {row["status"] for row in db.rows("loads")} == {"5"}
    assert sorted(row["id"] for row in db.rows("load_stops")) == ["S5"] * 40
    assert len(db.rows("_alvys_loads")) == 6


def test_two_tenants_can_have_the_same_keys(db: Db, lake: Path) -> None:
    stream = "carrier_settlement_statements"
    trips = [{"TripId": "T", "Items": [{"Description": "x"}]}]
    for at, tenant in enumerate(("north", "south")):
        write_run(
            lake, [{"Number": 7, "Status": tenant, "Trips": trips}], stream=stream, tenant=tenant, at=at
        )
    load(lake, stream)
    assert sorted((row["_tenant"], row["number"], row["status"]) for row in db.rows(stream)) == [
        ("north", 7, "north"),
        ("south", 7, "south"),
    ]
    write_run(lake, [{"Number": 7, "Status": "again", "Trips": []}], stream=stream, tenant="south", at=3)
    load(lake, stream)
    assert [row["_tenant"] for row in db.rows("carrier_settlement_statement_trips_items")] == ["north"]


def test_an_error_during_the_merge_leaves_the_tables_unchanged(sqlite: Db, lake: Path) -> None:
    write_run(lake, [make_load(1, Status="Open", Stops=[{"Id": "S1"}])], at=0)
    load(lake)
    before = sqlite.dump()
    sqlite.query(
        "CREATE TRIGGER no BEFORE INSERT ON load_stops BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
    write_run(lake, [make_load(1, Status="Covered", Stops=[{"Id": "S2"}])], at=1)
    with pytest.raises(Exception, match="the disk is full"):
        load(lake)
    assert sqlite.dump() == before


def test_a_numeric_key_is_stored_as_text(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": 5}, {"Id": "6"}], stream="drivers")
    load(lake, "drivers")
    assert sorted(row["id"] for row in db.rows("drivers")) == ["5", "6"]


def test_keys_that_differ_in_case_or_in_a_space_are_different_keys(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": id} for id in ("a", "A", "a ", "ä", "a\u0308")], stream="drivers")
    load(lake, "drivers")
    assert len(db.rows("drivers")) == 5


def test_children_with_the_same_key_are_distinguished_by_their_parent(db: Db, lake: Path) -> None:
    document = {"id": "D1", "AttachmentType": "Proof of Delivery", "DownloadUrl": "https://x/1"}
    write_run(lake, stream="load_documents", parents={"1001": [document], "1002": [document], "1003": []})
    load(lake, "load_documents")
    before = db.rows("load_documents")
    assert sorted((row["_parent"], row["id"]) for row in before) == [("1001", "D1"), ("1002", "D1")]
    # Another URL of the same file is not a change.
    write_run(
        lake, stream="load_documents", parents={"1001": [{**document, "DownloadUrl": "https://x/2"}]}, at=1
    )
    load(lake, "load_documents")
    after = {row["_parent"]: row for row in db.rows("load_documents")}
    assert after["1001"]["download_url"] == "https://x/2"
    assert after["1001"]["_changed_at"] == before[0]["_changed_at"]


def test_a_tombstone_is_a_row_with_is_deleted(db: Db, lake: Path) -> None:
    write_run(lake, [make_load(1, "2026-03-01T00:00:00Z", IsDeleted=False)], at=0)
    write_run(lake, [make_load(1, "2026-03-01T01:00:00Z", IsDeleted=True)], at=1)
    load(lake)
    assert [bool(row["is_deleted"]) for row in db.rows("loads")] == [True]


HOSTILE = [
    pytest.param('it\'s "quoted" `so` \\ %s ? :x {0} ; DROP TABLE loads; --', id="quotes"),
    pytest.param("\\N", id="null-marker"),
    pytest.param("", id="empty"),
    pytest.param(' \t\r\n,\n"\n\\.\n', id="line-breaks"),
    pytest.param("emoji 👍🏽 Ünïcödé \u202e عربى \ufeff", id="unicode"),
    pytest.param("x" * 1_000_000 + "é", id="1-MB"),
    pytest.param("\x01\x1f\x7f", id="controls"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_loaded_unchanged(db: Db, lake: Path, text: str) -> None:
    row = make_load(
        1,
        CustomerName=text,
        Notes=[{"id": "N", "Description": text}],
        CustomerType=[text],
        Strange={text: text},
    )
    write_run(lake, [row])
    load(lake)
    (main,) = db.rows("loads")
    assert main["customer_name"] == text
    assert json.loads(main["_extra"]) == {"Strange": {text: text}}
    assert [row["description"] for row in db.rows("load_notes")] == [text]
    assert [row["value"] for row in db.rows("load_customer_type")] == [text]


def test_a_value_of_another_type_is_kept_in_extra_and_logged(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = (
        '{"Id":"L1","CustomerName":"a\\u0000b","Status":"half \\ud83d","OrderNumber":7,"IsDeleted":"no",'
        '"Linehaul":{"Amount":"12","Currency":12345},"Fleet":"West","Stops":{"Id":"S"},"CreatedAt":"yesterday",'
        '"Weight":{"Value":1e400,"New":1},"RequiredEquipment":["Van",5,null],"References":[null,"x",{"Name":"n","Extra":1.10}]}'
    )
    write_run(lake, [line.encode()])
    load(lake)
    (row,) = db.rows("loads")
    extra = json.loads(row["_extra"], parse_float=Decimal)
    weight = {"New": 1} if db.kind in ("sqlite", "postgres") else {"Value": Decimal("1e400"), "New": 1}
    assert extra == {
        "CustomerName": "a\0b",
        "Status": "half \ud83d",
        "OrderNumber": 7,
        "IsDeleted": "no",
        "Linehaul": {"Amount": "12", "Currency": 12345},
        "Fleet": "West",
        "Stops": {"Id": "S"},
        "CreatedAt": "yesterday",
        "Weight": weight,
    }
    assert row["customer_name"] is None
    assert row["linehaul_amount"] is None
    equipment = sorted(db.rows("load_required_equipment"), key=lambda row: row["_position"])
    assert [(row["value"], row["_extra"]) for row in equipment] == [("Van", None), (None, "5"), (None, None)]
    references = sorted(db.rows("load_references"), key=lambda row: row["_position"])
    assert [(row["name"], row["_extra"]) for row in references] == [
        (None, "null"),
        (None, '"x"'),
        ("n", '{"Extra":1.10}'),
    ]
    arguments = [record.args for record in caplog.records if record.name.endswith("tables.load")]
    for field in ("CustomerName", "Linehaul.Amount", "Linehaul.Currency", "Fleet", "Stops", "CreatedAt"):
        assert any(found[:3] == ("loads", field, "1 value") for found in arguments), field
    unknown = "Weight.New (1 times), References.Extra (1 times)"
    assert ("loads", "kept in _extra", unknown) in arguments


def test_unmapped_fields_are_counted_for_each_manifest(
    sqlite: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for at in range(3):
        write_run(lake, [{"Id": f"L{at}", "Weight": 1, f"New{at}": 1}], at=at)
    load(lake)
    arguments = [record.args for record in caplog.records if record.name.endswith("tables.load")]
    unknown = [found for found in arguments if found[1:2] == ("kept in _extra",)]
    assert unknown == [("loads", "kept in _extra", f"New{at} (1 times)") for at in range(3)]
    mismatches = [found[1:3] for found in arguments if found[3:4] == ("kept in _extra",)]
    assert mismatches == [("Weight", "1 value")] * 3


def test_deep_json_is_loaded_unchanged(db: Db, lake: Path) -> None:
    deep = b'{"Id":"L1","New":' + b'{"a":[' * 150 + b"1.10" + b"]}" * 150 + b"}"
    write_run(lake, [deep])
    load(lake)
    assert (
        db.rows("loads")[0]["_extra"].encode() == b'{"New":' + b'{"a":[' * 150 + b"1.10" + b"]}" * 150 + b"}"
    )


def test_an_invalid_key_is_rejected_with_its_row_and_field(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": "D1"}, {"Id": "D\0"}], stream="drivers")
    with pytest.raises(AlvysTableError, match=r"Row 2 of .*\bid\b"):
        load(lake, "drivers")
    if db.kind in ("mysql", "postgres"):
        write_run(lake, [{"Id": "D" * 2000}], stream="drivers", at=-1)
        with pytest.raises(AlvysTableError, match=r"Row 1 of .*\bid\b.* 2000 characters"):
            load(lake, "drivers")


NAMES = ["select", 'a "quoted" name', "it's", "Größe_表", "UPPER lower", "a-b.c;d", "x" * 60]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_table_name_is_quoted(db: Db, lake: Path, name: str) -> None:
    write_run(lake, [make_load(1, Stops=[{"Id": "S", "References": [{"Name": "r"}]}])])
    assert load(lake, table=name)["table"] == name
    assert [row["id"] for row in db.rows(name)] == ["L1"]
    assert load(lake, table=name)["manifests"] == 0
    assert all(len(table.encode()) <= 64 for table in db.tables() if db.kind in ("postgres", "mysql"))
    assert len(db.tables()) == 10, "two long names were shortened to one"


@pytest.mark.parametrize("name", ["x" * 63, "company"])
def test_a_table_name_does_not_affect_the_columns_of_its_child_tables(db: Db, lake: Path, name: str) -> None:
    write_run(lake, [make_load(1, Stops=[{"Id": "S", "CompanyId": "C"}])], at=0)
    load(lake, table=name)
    write_run(lake, [make_load(1, "2026-03-02T00:00:00Z", Stops=[{"Id": "S2", "CompanyId": "C"}])], at=1)
    load(lake, table=name)
    (stops,) = [table for table in db.tables() if {"load_id", "company_id"} <= set(db.columns(table))]
    assert [(row["load_id"], row["id"], row["company_id"]) for row in db.rows(stops)] == [("L1", "S2", "C")]


@pytest.mark.parametrize("table", ["trips", "load_stops"])
def test_the_table_name_of_another_stream_is_rejected(sqlite: Db, lake: Path, table: str) -> None:
    with pytest.raises(AlvysValueError, match=f"table='{table}'"):
        load(lake, "drivers", table=table)


@pytest.mark.parametrize(
    "name", ["", " x", "a%b", "a?b", "a\0b", "a\nb", 5, "x" * 300, "_alvys_loads", "Alvys_new_loads"]
)
def test_an_invalid_table_name_is_rejected(db: Db, lake: Path, name: Any) -> None:
    write_run(lake, [make_load(1)])
    with pytest.raises(AlvysValueError, match="table="):
        load(lake, table=name)
    assert db.tables() == []


def test_a_row_with_a_list_nested_too_deeply_is_reported(sqlite: Db, lake: Path) -> None:
    write_run(lake, [make_load(1), b'{"Id":"L2","CustomerType":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
    with pytest.raises(AlvysTableError, match=r"Row 2 of .*part-00000.jsonl"):
        load(lake)
    assert sqlite.rows("loads") == []


def test_two_rows_with_one_key_in_a_manifest_are_reported_and_nothing_is_loaded(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": 7, "Name": "a"}, {"Id": "7", "Name": "b"}], stream="users")
    with pytest.raises(AlvysTableError, match=r"\bid: '7'"):
        load(lake, "users")
    assert db.rows("users") == []


@pytest.mark.slow
def test_long_lists_are_loaded_in_batches_of_bounded_size(
    sqlite: Db, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    fill = Database.fill

    def counted(self: Database, stage: str, columns: Any, rows: Any) -> None:
        rows = list(rows)
        sizes.append(len(rows))
        fill(self, stage, columns, rows)

    monkeypatch.setattr(Database, "fill", counted)
    stop = {"Id": "S", "Status": "x" * 400}
    write_run(lake, [make_load(n, Stops=[stop] * 500) for n in range(100)])
    load(lake)
    assert sqlite.one("SELECT COUNT(*) FROM load_stops") == 50_000
    assert max(sizes) < 15_000


def test_a_time_zone_offset_of_a_day_or_more_is_not_valid(sqlite: Db, lake: Path) -> None:
    write_run(lake, [make_load(1, CreatedAt="2026-03-01T08:30:00+99:99", PaidAt="2026-03-01T08:30:00+23:59")])
    load(lake)
    (row,) = sqlite.rows("loads")
    assert (row["created_at"], row["paid_at"]) == (None, "2026-02-28 08:31:00.0000000")


@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.mariadb)])
def test_the_connections_schema_and_the_same_schema_by_name_share_a_lock(
    kind: str, make_db: Any, lake: Path
) -> None:
    db = make_db(kind)
    here = db.one("SELECT current_schema()" if kind == "postgres" else "SELECT DATABASE()")
    write_run(lake, [make_load(1)], at=0)
    databases = [
        open_database(db.open(), get_dialect(db.connection["conn_type"]), schema) for schema in (None, here)
    ]
    assert [database.schema for database in databases] == [here, here]
    order: list[str] = []
    with databases[0].transaction("loads"):
        thread = threading.Thread(target=lambda: _take(databases[1], order))
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    for database in databases:
        database.close()


def _take(database: Database, order: list[str]) -> None:
    with database.transaction("loads"):
        order.append("second")


def test_a_table_of_the_same_name_later_in_the_search_path_is_not_used(
    make_db: Any, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, db = make_db("postgres"), make_db("postgres")
    schemas = [one.connection["extra"]["options"].rpartition("=")[2] for one in (db, other)]
    other.query(f'CREATE TABLE {schemas[1]}."loads" (mine integer)')
    both = {**db.connection, "extra": {"options": f"-c search_path={','.join(schemas)}"}}
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(both))
    write_run(lake, [make_load(1)])
    load(lake)
    assert db.one(f"SELECT COUNT(*) FROM {schemas[0]}.loads") == 1
    assert db.one(f"SELECT COUNT(*) FROM {schemas[1]}.loads") == 0


def test_tables_are_created_in_the_given_schema(lake: Path, make_db: Any) -> None:
    for kind in ("postgres", "duckdb"):
        db = make_db(kind)
        db.query('CREATE SCHEMA "raw data"')
        folder = lake / kind
        write_run(folder, [make_load(1, Stops=[{"Id": "S"}])])
        load(folder, schema="raw data")
        assert load(folder, schema="raw data")["manifests"] == 0
        assert db.query('SELECT "id" FROM "raw data"."load_stops"') == [("S",)]
        assert db.query('SELECT "stream" FROM "raw data"."_alvys_loads"') == [("loads",)]
        assert db.tables() == []


def test_a_new_field_is_kept_and_becomes_a_column_of_all_rows_once_the_catalogue_has_it(
    db: Db, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(
        lake, [make_load(1, "2026-03-01T00:00:00Z", Hazmat=True), make_load(2, "2026-03-01T00:00:00Z")], at=0
    )
    load(lake)
    assert {row["id"]: row["_extra"] for row in db.rows("loads")} == {"L1": '{"Hazmat":true}', "L2": None}
    stream = get_stream("loads")
    fields = {**stream.fields.fields, "Hazmat": "boolean"}
    learned = type(stream)(**{**stream.__dict__, "fields": Record(fields, stream.fields.flags)})
    monkeypatch.setitem(STREAMS, "loads", learned)  # type: ignore[arg-type]
    write_run(lake, [make_load(3, "2026-03-01T01:00:00Z", Hazmat=True)], at=1)
    assert load(lake)["manifests"] == 2
    rows = {row["id"]: row for row in db.rows("loads")}
    assert {id: row["hazmat"] for id, row in rows.items()} == {"L1": 1, "L2": None, "L3": 1}
    assert rows["L1"]["_extra"] is None


NARROW = {
    "sqlite": {"year": "INTEGER"},
    "duckdb": {"year": "INTEGER"},
    "postgres": {"make": "varchar(2)", "year": "integer", "gross_weight_value": "numeric(6,1)"},
    "mysql": {"make": "varchar(2)", "year": "int", "gross_weight_value": "decimal(6,1)"},
}


def test_a_narrow_column_is_widened_and_keeps_its_values(db: Db, lake: Path) -> None:
    write_run(
        lake,
        [{"Id": "T1", "Make": "MB", "Year": 2020, "GrossWeight": {"Value": 100.5}}],
        stream="trucks",
        at=0,
    )
    load(lake, "trucks")
    for column, type_name in NARROW[db.kind].items():
        if db.kind == "mysql":
            db.query(f"ALTER TABLE trucks MODIFY COLUMN {column} {type_name}")
        elif db.kind != "sqlite":
            db.query(f"ALTER TABLE trucks ALTER COLUMN {column} TYPE {type_name}")
    exact = {"Id": "T2", "Make": "Peterbilt", "Year": 5_000_000_000, "GrossWeight": {"Value": 12345.125}}
    write_run(lake, [exact], stream="trucks", at=1)
    load(lake, "trucks")
    rows = {row["id"]: row for row in db.rows("trucks")}
    assert [(row["make"], row["year"]) for row in rows.values()] == [
        ("MB", 2020),
        ("Peterbilt", 5_000_000_000),
    ]
    assert [Decimal(row["gross_weight_value"]) for row in rows.values()] == [
        Decimal("100.5"),
        Decimal("12345.125"),
    ]


def test_a_column_is_widened_when_the_catalogue_has_a_wider_type(
    db: Db, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(lake, [{"Id": "T1", "Year": 2020}], stream="trucks", at=0)
    load(lake, "trucks")
    stream = get_stream("trucks")
    wider = type(stream)(
        **{
            **stream.__dict__,
            "fields": Record({**stream.fields.fields, "Year": "decimal"}, stream.fields.flags),
        }
    )
    monkeypatch.setitem(STREAMS, "trucks", wider)  # type: ignore[arg-type]
    write_run(lake, [b'{"Id":"T2","Year":2020.50}'], stream="trucks", at=1)
    load(lake, "trucks")
    assert sorted(Decimal(row["year"]) for row in db.rows("trucks")) == [Decimal(2020), Decimal("2020.50")]


def test_a_column_used_by_a_view_is_reported(make_db: Callable[[str], Db], lake: Path) -> None:
    db = make_db("postgres")
    write_run(lake, [{"Id": "T1", "Year": 2020}], stream="trucks", at=0)
    load(lake, "trucks")
    db.query("ALTER TABLE trucks ALTER COLUMN year TYPE integer")
    db.query("CREATE VIEW years AS SELECT year FROM trucks")
    write_run(lake, [{"Id": "T2", "Year": 2021}], stream="trucks", at=1)
    with pytest.raises(AlvysTableError, match=r"year of .* integer .* BIGINT: (.|\n)*view(.|\n)*views"):
        load(lake, "trucks")
    assert [row["id"] for row in db.rows("trucks")] == ["T1"]
    db.query("DROP VIEW years")
    assert load(lake, "trucks")["merged"] == 1


def test_postgresql_distinguishes_columns_by_case(make_db: Callable[[str], Db], lake: Path) -> None:
    db = make_db("postgres")
    write_run(lake, [{"Id": "U1", "Name": "Ann"}], stream="users", at=0)
    load(lake, "users")
    db.query('ALTER TABLE users RENAME COLUMN name TO "NAME"')
    write_run(lake, [{"Id": "U1", "Name": "Bea"}], stream="users", at=1)
    load(lake, "users")
    assert [(row["NAME"], row["name"]) for row in db.rows("users")] == [("Ann", "Bea")]


def test_a_wider_column_is_kept(db: Db, lake: Path) -> None:
    types = {"mysql": "longtext"}.get(db.kind, "text")
    key = {"mysql": "varchar(255)"}.get(db.kind, "text")
    db.query(
        f"CREATE TABLE users (_tenant {key} NOT NULL, id {key} NOT NULL, created_at {types}, PRIMARY KEY "
        "(_tenant, id))"
    )
    write_run(lake, [{"Id": "U1", "CreatedAt": "2026-03-01T00:00:00Z"}], stream="users")
    load(lake, "users")
    assert db.rows("users")[0]["created_at"].startswith("2026-03-01 00:00:00.000000")


def test_a_lossy_change_of_type_is_an_error_with_advice(db: Db, lake: Path) -> None:
    if db.kind == "sqlite":
        pytest.skip("a column of SQLite stores any value")
    key = {"mysql": "varchar(255)"}.get(db.kind, "text")
    db.query(
        f"CREATE TABLE users (_tenant {key} NOT NULL, id {key} NOT NULL, name date, PRIMARY KEY (_tenant, "
        "id))"
    )
    db.query("ALTER TABLE users ADD COLUMN created_at boolean")
    write_run(lake, [{"Id": "U1", "Name": "Ann", "CreatedAt": "2026-03-01T00:00:00Z"}], stream="users")
    with pytest.raises(AlvysTableError, match=r"created_at of .*.users. .*exclude=\['CreatedAt'\]"):
        load(lake, "users")
    # The date column name is widened to text.
    load(lake, "users", exclude=["CreatedAt"])
    assert [row["name"] for row in db.rows("users")] == ["Ann"]


def test_a_table_of_another_program_is_not_changed(db: Db, lake: Path) -> None:
    db.query("CREATE TABLE users (id integer, mine integer)")
    write_run(lake, [{"Id": "U1"}], stream="users")
    with pytest.raises(AlvysTableError, match=r"users.* _tenant"):
        load(lake, "users")
    assert db.columns("users") == ["id", "mine"]


def test_columns_that_users_add_are_kept(db: Db, lake: Path) -> None:
    write_run(lake, [{"Id": "U1", "Name": "Ann"}], stream="users", at=0)
    load(lake, "users")
    db.query("ALTER TABLE users ADD COLUMN mine integer")
    db.query("UPDATE users SET mine = 5")
    write_run(lake, [{"Id": "U1", "Name": "Bea"}, {"Id": "U2"}], stream="users", at=1)
    load(lake, "users")
    assert sorted((row["id"], row["name"] or "", row["mine"] or 0) for row in db.rows("users")) == [
        ("U1", "Bea", 5),
        ("U2", "", 0),
    ]


def test_an_excluded_field_is_stored_nowhere(db: Db, lake: Path) -> None:
    secret = "secret@acme.example"
    row = {
        "Id": "C1",
        "Name": "Acme",
        "Email": [secret],
        "BillingAddress": {"Street": secret, "City": "Erie"},
        "Contacts": [{"Name": "Ann", "Email": secret}],
        "Notes": [{"User": secret}],
        "Unknown": secret,
    }
    write_run(lake, [row], stream="customers", at=0)
    excluded = ["Email", "BillingAddress.Street", "Contacts.Email", "Notes", "_extra"]
    load(lake, "customers", exclude=excluded)
    assert secret not in json.dumps(db.dump())
    assert db.rows("customers")[0]["billing_address_city"] == "Erie"
    assert "customer_notes" not in db.tables()
    # A change of an excluded field is not a change, nor is a null instead of no field.
    before = db.rows("customers")[0]["_changed_at"]
    changed = {
        **row,
        "Email": ["x"],
        "Unknown": "x",
        "Contacts": [{"Name": "Ann", "Email": "x"}],
        "Fax": None,
    }
    changed["BillingAddress"] = {**row["BillingAddress"], "New": "x"}
    write_run(lake, [changed], stream="customers", at=1)
    load(lake, "customers", exclude=excluded)
    assert db.rows("customers")[0]["_changed_at"] == before


def test_an_excluded_field_is_not_in_json_columns(db: Db, lake: Path) -> None:
    secret = "secret@acme.example"
    contact = {"Name": "Ann", "Email": secret}
    rows = [
        {"Id": "C1", "Contacts": [contact], "InvoicingInformation": {"EmailAddresses": [secret]}},
        # Fields of the wrong type.
        {"Id": "C2", "Contacts": contact, "BillingAddress": [{"Street": secret, "City": "Erie"}]},
        {"Id": "C3", "Contacts": [[contact]]},
    ]
    write_run(lake, rows, stream="customers")
    excluded = ["Contacts.Email", "BillingAddress.Street", "InvoicingInformation.EmailAddresses"]
    load(lake, "customers", exclude=excluded)
    load(lake, "customers", exclude=excluded, children=False, table="flat_customers")
    found = json.dumps(db.dump())
    assert secret not in found
    assert found.count("Ann") == 6
    assert found.count("Erie") == 2


def test_an_excluded_field_is_not_stored_in_another_spelling(sqlite: Db, lake: Path) -> None:
    secret = "secret@acme.example"
    row = {
        "Id": "C1",
        "billingAddress": {"CITY": secret, "state": "PA"},
        "CONTACTS": [{"email": secret, "Name": "Ann"}],
        "BillingAddress": {"CITY": secret},
        "EMAIL": [secret],
        "fax": None,
        "Unknown": {"Email": "kept"},
    }
    write_run(lake, [row], stream="customers")
    load(lake, "customers", exclude=["BillingAddress.City", "Contacts.Email", "Email"])
    (found,) = sqlite.rows("customers")
    assert json.loads(found["_extra"]) == {
        "billingAddress": {"state": "PA"},
        "CONTACTS": [{"Name": "Ann"}],
        "fax": None,
        "Unknown": {"Email": "kept"},
    }


def test_lists_are_json_without_children_or_below_the_depth(db: Db, lake: Path) -> None:
    write_run(lake, [make_load(1, Stops=[{"Id": "S", "References": [{"Name": "n"}]}])])
    load(lake, children=False, table="flat")
    assert json.loads(_json(db, "flat", "stops")) == [{"Id": "S", "References": [{"Name": "n"}]}]
    assert [table for table in db.tables() if table.startswith("flat")] == ["flat"]
    load(lake, depth=1, table="shallow_loads")
    assert json.loads(_json(db, "shallow_loads_stops", "references")) == [{"Name": "n"}]
    assert "shallow_loads_stops_references" not in db.tables()


def test_obsolete_columns_and_child_rows_are_emptied_for_replaced_rows(db: Db, lake: Path) -> None:
    def a_change(at: int, stop: str) -> None:
        changed = {"Stops": [{"Id": stop}], "Notes": [{"id": "n", "Description": stop}], "CustomerName": stop}
        write_run(lake, [make_load(1, f"2026-03-01T0{at}:00:00Z", **changed)], at=at)

    a_change(0, "first")
    write_run(
        lake, [make_load(2, "2026-03-01T00:00:00Z", Stops=[{"Id": "other"}], CustomerName="other")], at=0.5
    )
    load(lake)
    a_change(1, "second")
    load(lake, exclude=["Notes", "CustomerName"])
    # A manifest is not loaded again for an exclude that is added.
    assert {row["id"]: row["customer_name"] for row in db.rows("loads")} == {"L1": None, "L2": "other"}
    load(lake, children=False, exclude=["Notes", "CustomerName"])
    assert db.rows("load_stops") == []
    assert db.rows("load_notes") == []
    assert {row["id"]: row["customer_name"] for row in db.rows("loads")} == {"L1": None, "L2": None}
    assert {row["id"]: row["stops"] for row in db.rows("loads")} == {
        "L1": '[{"Id":"second"}]',
        "L2": '[{"Id":"other"}]',
    }
    a_change(2, "third")
    load(lake)
    assert sorted(row["id"] for row in db.rows("load_stops")) == ["other", "third"]
    assert {row["id"]: (row["stops"], row["customer_name"]) for row in db.rows("loads")} == {
        "L1": (None, "third"),
        "L2": (None, "other"),
    }


def _json(db: Db, table: str, column: str) -> str:
    (row,) = db.rows(table)
    return row[column]


def test_a_field_missing_from_all_rows_is_logged_as_a_warning(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(
        lake,
        [
            make_load(n, Status="Open", CustomerName="A", CancelledBy="x" if n < 3 else None)
            for n in range(30)
        ],
        at=0,
    )
    load(lake)
    assert not [
        record for record in caplog.records if record.levelno >= logging.WARNING and "tables" in record.name
    ]
    write_run(lake, [make_load(n, Status="Open") for n in range(10)], at=1)
    load(lake)
    # A field that half of the rows have causes no warning.
    write_run(
        lake,
        [{"Id": f"D{n}", **({"Email": "x"} if n % 2 else {})} for n in range(30)],
        stream="drivers",
        at=0,
    )
    write_run(lake, [{"Id": f"D{n}"} for n in range(30)], stream="drivers", at=1)
    load(lake, "drivers")
    arguments = [record.args for record in caplog.records if record.name.endswith("tables.drift")]
    assert [found for found in arguments if found] == [("10 rows", "loads", "CustomerName")]


@pytest.mark.slow
def test_money_keeps_every_digit(db: Db, lake: Path) -> None:
    rng = random.Random(3)
    texts = [f"{rng.randrange(-(10**9), 10**9)}.{rng.randrange(100):02}" for _ in range(20_000)]
    texts += [
        "0.1",
        "0.10",
        "-0.01",
        "12345678901234567890.12",
        "1E+2",
        "79228162514264337593543950335"[:27] + ".3",
    ]
    rows = [
        f'{{"Id":"L{n}","Linehaul":{{"Amount":{text},"Currency":840}}}}'.encode()
        for n, text in enumerate(texts)
    ]
    write_run(lake, rows)
    load(lake)
    found = dict(db.query(f"SELECT id, linehaul_amount FROM {db.quote('loads')}"))
    assert not any(isinstance(value, float) for value in found.values())
    assert [Decimal(found[f"L{n}"]) for n in range(len(texts))] == [Decimal(text) for text in texts]
    if db.kind in ("postgres", "sqlite"):
        assert [str(found[f"L{n}"]) for n in range(20_004)] == texts[:20_004]
    if db.kind != "sqlite":
        total = db.one(f"SELECT SUM({db.quote('linehaul_amount')}) FROM {db.quote('loads')}")
        with localcontext(Context(prec=60)):
            assert Decimal(total) == sum(map(Decimal, texts))


def test_a_manifest_of_another_data_set_or_stream_is_rejected(lake: Path, sqlite: Db) -> None:
    write_run(lake, [make_load(1)])
    for wrong in (
        str(lake / "trips" / "x" / "_manifest.json"),
        "/elsewhere/loads/_manifest.json",
        {"rows": 1},
        5,
    ):
        with pytest.raises(AlvysValueError, match="manifest="):
            load(lake, manifest=wrong)
    with pytest.raises(AlvysTableError, match=r"loads/2026/x/_manifest.json"):
        load(lake, manifest=f"{lake}/loads/2026/x/_manifest.json")
    assert sqlite.rows("loads") == []


def test_an_empty_manifest_is_recorded_and_changes_nothing(db: Db, lake: Path) -> None:
    write_run(lake, [], window=("updated", hour(0), hour(1)))
    assert load(lake)["manifests"] == 1
    (line,) = db.rows("_alvys_loads")
    assert (line["rows"], line["window_by"], line["window_since"]) == (
        0,
        "updated",
        "2026-03-01 00:00:00.0000000",
    )
    assert line["loaded_at"] > f"{datetime(2026, 3, 1, tzinfo=timezone.utc):%Y-%m-%d}"


def test_the_ledger_takes_the_costs_of_a_run_from_its_manifest(db: Db, lake: Path) -> None:
    figures = {"requests": 7, "passes": 2, "waited": 61.25}
    window = ("updated", hour(0), hour(1))
    write_run(lake, at=1, window=window, as_of=hour(0.5), **figures)
    # Of version 0.2.0: without as_of and waited.
    write_run(lake, at=2, window=window, requests=3, passes=1)
    write_run(lake, at=3, requests=1, passes=1, waited=0.0)
    load(lake)
    entries = [
        (row["as_of"], row["requests"], row["passes"], row["waited"] and Decimal(row["waited"]))
        for row in sorted(db.rows("_alvys_loads"), key=lambda row: row["read_at"])
    ]
    assert entries == [
        ("2026-03-01 00:30:00.0000000", 7, 2, Decimal("61.25")),
        (None, 3, 1, None),
        ("2026-03-01 03:00:00.0000000", 1, 1, Decimal(0)),
    ]


def test_names_are_in_snake_case() -> None:
    names = {
        "PONumber": "po_number",
        "RatesV2": "rates_v2",
        "N1Qualifier": "n1_qualifier",
        "SCAC": "scac",
        "$type": "type",
        "ECheckNumber": "e_check_number",
        "UsDotNum": "us_dot_num",
        "id": "id",
    }
    assert {name: snake_case(name) for name in names} == names


def test_a_manifest_that_another_load_has_loaded_meanwhile_is_skipped(sqlite: Db, lake: Path) -> None:
    write_run(lake, [make_load(1)])
    databases = [open_database(sqlite.open(), get_dialect("sqlite")) for _ in range(2)]
    schema = build_schema(get_stream("loads"))
    loaders = [Loader(database, Store(str(lake)), schema, max_missing_share=0.02) for database in databases]
    loaders[0].prepare()
    names = [loader.pending() for loader in loaders]
    assert names[0] == names[1]
    first, second = (loader.load(name) for loader, (name,) in zip(loaders, names, strict=True))
    assert first is not None
    assert second is None
    for database in databases:
        database.close()
