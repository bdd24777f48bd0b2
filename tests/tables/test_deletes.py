"""Missing rows are marked if two complete, consecutive reads do not contain them, and only then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, TimeWindow, get_stream
from airflow_provider_alvys.landing.dataset.manifest import ManifestSearch, ManifestWindow
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.database import Database
from tests.conftest import Land
from tests.tables.databases import Db
from tests.tables.runs import hour, load, write_run

ALL = range(100)


def drivers(*without: int) -> list[dict[str, Any]]:
    return [{"Id": f"D{number}"} for number in ALL if number not in without]


def missing(db: Db, table: str = "drivers") -> dict[str, str]:
    key = "_parent" if table.endswith("documents") else "id"
    return {row[key]: row["_missing_since"] for row in db.rows(table) if row["_missing_since"]}


def sweep(lake: Path, at: float, *without: int, **changes: Any) -> dict[str, Any]:
    write_run(lake, drivers(*without), stream="drivers", at=at, **changes)
    return load(lake, "drivers")


def test_a_row_is_missing_since_the_first_of_two_consecutive_sweeps_without_it(db: Db, lake: Path) -> None:
    sweep(lake, 0)
    assert sweep(lake, 1, 7)["missing"] == 0
    assert missing(db) == {}
    assert sweep(lake, 2, 7)["missing"] == 1
    assert missing(db) == {"D7": "2026-03-01 01:00:00.0000000"}
    assert sweep(lake, 3, 7)["missing"] == 0
    assert missing(db) == {"D7": "2026-03-01 01:00:00.0000000"}


@pytest.mark.parametrize("ignored", ["trucks.IsActive", ""], ids=["ignored", "honoured"])
def test_a_filter_that_alvys_may_ignore_makes_no_row_missing(
    alvys: Simulator, land: Land, lake: Path, sqlite: Db, ignored: str
) -> None:
    alvys.reset(rows={"trucks": 60}, ignored_filters=ignored)
    (removed, *_) = alvys.truth_keys(stream="trucks")
    for expected in (set(), set(), {removed}):
        land(stream="trucks")
        load(lake, "trucks")
        assert set(missing(sqlite, "trucks")) == expected
        alvys.remove(stream="trucks", keys=[removed])
    assert len(sqlite.rows("trucks")) == 60


def test_a_row_that_returns_is_not_missing(db: Db, lake: Path) -> None:
    for at, without in enumerate([(), (7,), (7,), (), (7,)]):
        sweep(lake, at, *without)
    assert missing(db) == {}
    sweep(lake, 5, 7)
    assert missing(db) == {"D7": "2026-03-01 04:00:00.0000000"}


def test_a_row_read_between_two_sweeps_without_it_is_not_missing(db: Db, lake: Path) -> None:
    sweep(lake, 0)
    sweep(lake, 1, 7)
    # Any read counts, such as a filtered one.
    write_run(lake, [{"Id": "D7"}], stream="drivers", at=2, filters={"Name": "x"})
    sweep(lake, 3, 7)
    assert missing(db) == {}


def test_no_row_is_marked_if_more_than_the_share_are_absent(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep(lake, 0)
    for at in (1, 2, 3):
        assert sweep(lake, at, 1, 2, 3) | {"path": "", "as_of": "", "seconds": 0, "bytes": 0} == {
            "table": "drivers",
            "stream": "drivers",
            "path": "",
            "manifests": 1,
            "rows": 97,
            "merged": 97,
            "changed": 0,
            "missing": 0,
            "disbelieved": 3,
            "as_of": "",
            "seconds": 0,
            "bytes": 0,
        }
    assert missing(db) == {}
    records = [record for record in caplog.records if record.name.endswith("tables.deletes")]
    errors = [record.args for record in records if record.levelname == "ERROR" and len(record.args) == 2]
    assert errors == [("3 of 100 rows", errors[0][1])] * 3
    write_run(lake, drivers(1, 2, 3), stream="drivers", at=4)
    load(lake, "drivers", max_missing_share=0.03)
    write_run(lake, drivers(1, 2, 3), stream="drivers", at=5)
    load(lake, "drivers", max_missing_share=0.03)
    # Since the first read within the share.
    assert set(missing(db).values()) == {"2026-03-01 04:00:00.0000000"}
    # Rows that are marked already do not count.
    assert sweep(lake, 6, 1, 2, 3, 4, 5)["disbelieved"] == 2
    assert sweep(lake, 7, 1, 2, 3, 4)["disbelieved"] == 0
    assert sweep(lake, 8, 1, 2, 3, 4)["missing"] == 1


def test_an_empty_sweep_marks_no_row(db: Db, lake: Path) -> None:
    sweep(lake, 0)
    for at in (1, 2):
        write_run(lake, [], stream="drivers", at=at)
        assert load(lake, "drivers")["disbelieved"] == 100
    assert missing(db) == {}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"proof": "open"}, id="open"),
        pytest.param({"filters": {"Name": "x"}}, id="filtered"),
        pytest.param({"tenant": "other"}, id="other-tenant"),
    ],
)
def test_an_open_or_filtered_read_or_one_of_another_tenant_marks_no_row(
    sqlite: Db, lake: Path, changes: dict[str, Any]
) -> None:
    sweep(lake, 0)
    for at in (1, 2, 3):
        sweep(lake, at, 7, **changes)
    assert missing(sqlite) == {}


def test_an_older_manifest_than_the_newest_loaded_marks_no_row(sqlite: Db, lake: Path) -> None:
    sweep(lake, 0)
    sweep(lake, 9)
    for at in (3, 4, 5):
        sweep(lake, at, 7)
    assert missing(sqlite) == {}


def test_pending_manifests_are_loaded_in_the_order_of_their_reads_whatever_their_names(
    sqlite: Db, lake: Path
) -> None:
    for at, without in enumerate([(), (7,), (7,)]):
        write_run(lake, drivers(*without), stream="drivers", at=at, name=f"all-{9 - at}")
    load(lake, "drivers")
    assert missing(sqlite) == {"D7": "2026-03-01 01:00:00.0000000"}


def test_a_read_marks_no_row_that_was_read_later(sqlite: Db, lake: Path) -> None:
    for at in range(4):
        sweep(lake, at)
    newest = write_run(lake, [{"Id": "D200"}], stream="drivers", at=4, filters={"Name": "x"})
    load(lake, "drivers")
    # Load all again without the newest manifest, which was purged.
    shutil.rmtree(Path(newest).parent)
    sqlite.query("DELETE FROM _alvys_loads")
    assert load(lake, "drivers")["disbelieved"] == 0
    assert missing(sqlite) == {}


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_missing_rows_are_found_by_the_primary_key(
    kind: str, make_db: Callable[[str], Db], lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = make_db(kind)
    rows = [{"Id": f"D{number}"} for number in range(3000)]
    write_run(lake, rows, stream="drivers", at=0)
    load(lake, "drivers")
    if kind == "postgres":
        db.query("ALTER TABLE drivers SET (autovacuum_enabled = false)")
    execute = Database.execute
    plans: dict[str, str] = {}

    def explained(database: Database, sql: str, values: Sequence[Any] = ()) -> Any:
        explain = "EXPLAIN " if kind == "postgres" else "EXPLAIN QUERY PLAN "
        if sql.startswith(("SELECT COUNT(*) AS missed", "UPDATE")):
            plans[sql] = "\n".join(str(row[-1]) for row in execute(database, explain + sql, values))
        return execute(database, sql, values)

    monkeypatch.setattr(Database, "execute", explained)
    write_run(lake, rows[5:], stream="drivers", at=1)
    load(lake, "drivers")
    assert len(plans) >= 3
    for sql, plan in plans.items():
        if kind == "postgres":
            # Without statistics on the temporary tables, it would compare each row with each.
            assert "Nested Loop" not in plan or "Index" in plan, plan
        elif sql.startswith('UPDATE "drivers"'):
            assert "SCAN t" not in plan, plan


def test_reloading_a_manifest_does_not_count_as_a_second_miss(sqlite: Db, lake: Path) -> None:
    sweep(lake, 0)
    manifest = write_run(lake, drivers(7), stream="drivers", at=1)
    for _ in range(3):
        load(lake, "drivers", manifest=manifest)
    assert missing(sqlite) == {}


def test_a_search_by_guessed_values_marks_no_row(sqlite: Db, lake: Path) -> None:
    for at in range(4):
        write_run(lake, [{"Id": f"T{n}"} for n in ALL if not at or n != 7], stream="trailers", at=at)
    load(lake, "trailers")
    assert missing(sqlite, "trailers") == {}


def deductions(*without: int) -> list[dict[str, Any]]:
    # Ten deductions a day, at midnight.
    return [
        {"Id": f"D{n}", "Date": f"2026-03-{1 + n // 10:02}T00:00:00+00:00"} for n in ALL if n not in without
    ]


def test_rereading_a_window_of_business_dates_marks_rows_inside_it(db: Db, lake: Path) -> None:
    window = (
        "date",
        datetime.fromisoformat("2026-03-03T00:00:00+00:00"),
        datetime.fromisoformat("2026-03-08T00:00:00+00:00"),
    )
    asked = get_stream("deductions").search_fields({})
    search = ManifestSearch(
        window=ManifestWindow(by="date", since=window[1], until=window[2]),
        asked=asked,
        rows=0,
        total=0,
        proof="whole",
    )
    write_run(lake, deductions(), stream="deductions", at=0)
    load(lake, "deductions")
    # 35 is inside the window, 20 and 70 are on its bounds, 5 and 95 outside.
    inside = [
        row for row in deductions(35, 20, 70, 5, 95) if "2026-03-03" <= row["Date"][:10] <= "2026-03-08"
    ]
    for at in (1, 2):
        write_run(lake, inside, stream="deductions", at=at, window=window, searches=[search])
        load(lake, "deductions", max_missing_share=0.05)
    assert set(missing(db, "deductions")) == {"D35"}


@pytest.fixture
def certain_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the window of the events one whose column is certain."""
    stream = get_stream("driver_events")
    windows = tuple(replace(window, column_is_certain=True) for window in stream.windows)
    monkeypatch.setitem(STREAMS, stream.name, replace(stream, windows=windows))  # type: ignore[arg-type]


@pytest.mark.usefixtures("certain_dates")
def test_parents_read_with_different_windows_mark_rows_in_the_common_window(sqlite: Db, lake: Path) -> None:
    def within(since: float, until: float) -> ManifestWindow:
        return ManifestWindow(by="date", since=hour(since), until=hour(until))

    days = {"early": 48, "late": 200}
    rows = [
        {"Id": f"{driver} {name}", "DriverId": driver, "StartDate": hour(at).isoformat()}
        for driver in ("new", "known")
        for name, at in days.items()
    ]
    write_run(lake, rows, stream="driver_events", at=0)
    for at in (1, 2):
        # The known driver is read from a late date, the new one from the start. Each has lost its late event.
        parents = {"new": [rows[0]], "known": []}
        windows = {"new": within(0, 240), "known": within(150, 240)}
        window = ("date", hour(0), hour(240))
        write_run(lake, stream="driver_events", parents=parents, windows=windows, window=window, at=at)
    load(lake, "driver_events", max_missing_share=1)
    assert set(missing(sqlite, "driver_events")) == {"new late", "known late"}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # Read again, in an older state than the table's.
        pytest.param(["miss", "miss", "old"], {}, id="it-returns"),
        pytest.param(["miss", "old", "miss"], {}, id="not-twice-in-a-row"),
        # A read from before the miss does not count.
        pytest.param(["miss", "miss", "before"], {"L7": "2026-03-01 01:00:00.0000000"}, id="late-manifest"),
    ],
)
def test_a_row_read_after_it_was_missed_is_not_missing_whatever_its_state(
    sqlite: Db, lake: Path, steps: list[str], expected: dict[str, str]
) -> None:
    rows = [{"Id": f"L{n}", "UpdatedAt": "2026-02-01T00:00:00Z"} for n in ALL]
    write_run(lake, rows, at=0)
    load(lake)
    for at, step in enumerate(steps, 1):
        if step == "miss":
            write_run(lake, rows[:7] + rows[8:], at=at)
        else:
            state = [{**rows[7], "UpdatedAt": "2026-01-01T00:00:00Z"}]
            write_run(lake, state, at=at if step == "old" else 0.5, filters={"Status": ["x"]})
        load(lake)
    assert missing(sqlite, "loads") == expected


def test_one_row_of_a_small_table_can_be_missing_but_not_its_last(db: Db, lake: Path) -> None:
    for at, rows in enumerate([["A", "B"], ["A"], ["A"], [], []]):
        write_run(lake, [{"Id": id} for id in rows], stream="users", at=at)
        load(lake, "users")
    assert set(missing(db, "users")) == {"B"}


def test_the_share_can_be_raised_for_one_run(sqlite: Db, lake: Path) -> None:
    sweep(lake, 0)
    write_run(lake, drivers(1, 2, 3), stream="drivers", at=1)
    assert load(lake, "drivers", max_missing_share=0.05)["disbelieved"] == 0
    assert sweep(lake, 2, 1, 2, 3)["missing"] == 3
    assert set(missing(sqlite).values()) == {"2026-03-01 01:00:00.0000000"}


def test_a_window_of_changes_marks_no_row(sqlite: Db, lake: Path) -> None:
    rows = [{"Id": f"L{n}", "UpdatedAt": "2026-03-01T00:00:00Z"} for n in ALL]
    write_run(lake, rows, at=0)
    window = ManifestWindow(by="updated", since=hour(-5), until=hour(5))
    asked = get_stream("loads").search_fields({})
    search = ManifestSearch(window=window, asked=asked, rows=0, total=0, proof="whole")
    for at in (1, 2, 3):
        write_run(lake, rows[1:], at=at, window=("updated", hour(-5), hour(5)), searches=[search])
    load(lake)
    assert missing(sqlite, "loads") == {}


def test_each_of_several_windows_marks_rows_inside_it_and_a_branch_by_status_marks_none(
    sqlite: Db, lake: Path
) -> None:
    stream = get_stream("invoices")
    asked = stream.search_fields({})
    since, until = (
        datetime.fromisoformat("2026-03-01T00:00:00+00:00"),
        datetime.fromisoformat("2026-04-01T00:00:00+00:00"),
    )
    searches = [
        ManifestSearch(
            window=ManifestWindow(by=by, since=since, until=until),
            asked=asked,
            rows=0,
            total=0,
            proof="whole",
        )
        for by in ("invoiced", "paid")
    ] + [ManifestSearch(window=None, asked={"Status": ["AwaitingPayment"]}, rows=0, total=0, proof="whole")]
    rows = [{"Id": f"I{n}", "InvoicedDate": "2026-03-05T00:00:00Z"} for n in ALL]
    old = {"InvoicedDate": "2025-01-05T00:00:00Z"}
    rows += [
        {"Id": "paid", **old, "PaidDate": "2026-03-09T00:00:00Z"},
        {"Id": "open", **old, "Status": "AwaitingPayment"},
    ]
    # This window was searched with a filter.
    sent = ManifestWindow(by="sent", since=since, until=until)
    searches.append(ManifestSearch(window=sent, asked={"Status": ["Paid"]}, rows=0, total=0, proof="whole"))
    rows.append({"Id": "sent", **old, "LastSendDate": "2026-03-09T00:00:00Z"})
    write_run(lake, rows, stream="invoices", at=0)
    for at in (1, 2):
        write_run(
            lake, rows[1:-3], stream="invoices", at=at, window=("changes", since, until), searches=searches
        )
    load(lake, "invoices")
    # The column of the window "invoiced" is not certain.
    assert set(missing(sqlite, "invoices")) == {"paid"}


UNCERTAIN = [
    pytest.param(stream, window, id=f"{stream.name}-{window.name}")
    for stream in STREAMS.values()
    for window in stream.windows
    if not window.column_is_certain and not window.tracks_changes
]


@pytest.mark.parametrize(("stream", "window"), UNCERTAIN)
def test_a_window_that_may_filter_by_another_field_marks_no_row(
    sqlite: Db, lake: Path, stream: Stream, window: TimeWindow
) -> None:
    asked = ManifestWindow(by=window.name, since=hour(-48), until=hour(480))
    search = ManifestSearch(
        window=asked, asked=stream.search_fields({}, window), rows=0, total=0, proof="whole"
    )
    read: dict[str, Any] = {"stream": stream.name, "window": (window.name, asked.since, asked.until)}
    parent = stream.parent and f"{stream.parent.stream}.{stream.parent.column}"
    reference = next((name for name, target in stream.references.items() if target == parent), "Id")
    rows = [{reference: "P", "Id": f"R{n}", window.column: hour(24).isoformat()} for n in ALL]
    for at, found in enumerate((rows, rows[1:], rows[1:])):
        if stream.parent:
            write_run(lake, parents={"P": found}, at=at, **read)
        else:
            write_run(lake, found, searches=[search], at=at, **read)
    load(lake, stream.name)
    assert {row["_missing_since"] for row in sqlite.rows(stream.table or stream.name)} == {None}


def test_a_list_of_a_parents_children_marks_the_absent_ones(db: Db, lake: Path) -> None:
    parents = {str(n): [{"id": "A"}, {"id": "B"}] for n in range(60)}
    write_run(lake, stream="load_documents", parents=parents, at=0)
    fewer = {**parents, "7": [{"id": "A"}], "8": []}
    for at in (1, 2):
        write_run(lake, stream="load_documents", parents=fewer, missing_parents=["8"], at=at)
    load(lake, "load_documents")
    # Alvys does not find parent 8, which may be hidden.
    assert set(missing(db, "load_documents")) == {"7"}


@pytest.mark.usefixtures("certain_dates")
def test_only_events_of_the_requested_parents_are_marked(sqlite: Db, lake: Path) -> None:
    since, until = hour(-24), hour(240)
    event = {"StartDate": "2026-03-02T00:00:00Z"}
    rows = [{"Id": f"E{n}", "DriverId": f"D{n % 2}", **event} for n in ALL]
    write_run(lake, rows, stream="driver_events", at=0)
    for at in (1, 2):
        kept = [row for row in rows if row["DriverId"] == "D0"][1:]
        write_run(lake, stream="driver_events", parents={"D0": kept}, at=at, window=("date", since, until))
    load(lake, "driver_events")
    assert set(missing(sqlite, "driver_events")) == {"E0"}
