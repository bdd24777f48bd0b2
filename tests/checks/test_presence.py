from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.checks.reconciled import checks, reconcile, repair, sync, sync_and_load
from tests.tables.databases import Db
from tests.tables.runs import load

# Streams with each way of counting: by creation, by business date, by union, and in full.
COUNTED = (
    "loads",
    "trips",
    "invoices",
    "tenders",
    "drivers",
    "trailers",
    "maintenance",
    "fuel",
    "tolls",
    "customers",
    "carriers",
    "users",
    "deductions",
    "driver_settlement_statements",
    "dispatch_preferences",
)


@pytest.mark.parametrize("stream", COUNTED)
def test_nothing_differs_after_a_sync(alvys: Simulator, sqlite: Db, lake: Path, stream: str) -> None:
    alvys.reset(loads=80, fleet=30, days=100)
    sync_and_load(lake, stream)
    for place in ({"sql_conn_id": "sql"}, {"path": str(lake)}):
        result = reconcile(stream, sample=5, **place)
        assert (result["differences"], result["repairs"]) == ([], []), place
        assert result["checks"] > 1


@pytest.mark.parametrize("stream", ["loads", "trips", "invoices", "drivers", "tolls", "customers", "users"])
def test_a_missing_row_is_found_and_read_again(alvys: Simulator, sqlite: Db, lake: Path, stream: str) -> None:
    alvys.reset(loads=80, fleet=30, days=100)
    sync_and_load(lake, stream)
    key = sqlite.one(f"SELECT MAX(id) FROM {stream}")
    sqlite.query(f"DELETE FROM {stream} WHERE id = ?", key)
    result = reconcile(stream, sql_conn_id="sql")
    assert result["verdict"] == "differs"
    assert f"row {key}" in result["differences"][1]["scope"]
    # The loader repairs by itself what it can. These runs alone must do.
    for arguments in result["repairs"]:
        landed = sync(lake, **arguments)
        load(lake, stream, manifest=landed["manifest"])
    assert sqlite.one(f"SELECT COUNT(*) FROM {stream} WHERE id = ?", key) == 1
    assert reconcile(stream, sql_conn_id="sql")["verdict"] == "same"


def test_holes_in_many_months_of_an_uncertain_date_are_found(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=150, days=300)
    sync_and_load(lake, "trips")
    months = "SELECT MIN(id) FROM trips GROUP BY substr(pickup_date, 1, 7)"
    removed = {key for (key,) in sqlite.query(months)}
    sqlite.query(f"DELETE FROM trips WHERE id IN ({months})")
    result = reconcile("trips", sql_conn_id="sql")
    found = [check["scope"] for check in result["differences"] if len(check["scope"]) == len("2026-01")]
    assert 7 < len(found) <= len(removed)
    for arguments in result["repairs"]:
        landed = sync(lake, **arguments)
        load(lake, "trips", manifest=landed["manifest"])
    assert removed <= {key for (key,) in sqlite.query("SELECT id FROM trips")}
    assert reconcile("trips", sql_conn_id="sql")["verdict"] == "same"
    # Dates that differ in all months, with all rows there, may be those of another field.
    sqlite.query("UPDATE trips SET pickup_date = datetime(pickup_date, '-17 days')")
    result = reconcile("trips", sql_conn_id="sql")
    assert (result["verdict"], result["repairs"]) == ("unknown", [])


def test_one_row_costs_one_request_to_repair(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=300, days=60)
    sync_and_load(lake)
    row = sqlite.rows("loads")[0]
    sqlite.query("DELETE FROM loads WHERE id = ?", row["id"])
    result = reconcile(sql_conn_id="sql")
    number = {"LoadNumbers": [row["load_number"]]}
    assert result["repairs"] == [{"stream": "loads", "window_by": "whole", "filters": number}]
    month = row["created_at"][:7]
    assert [check["scope"] for check in result["differences"]] == [
        month,
        f"row {row['id']} ({row['load_number']})",
    ]
    assert result["requests"] < 20


def test_a_row_that_alvys_no_longer_has_is_extra_until_it_is_missed(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=120, days=60)
    sync_and_load(lake)
    (key,) = alvys.remove(rows=1)
    result = reconcile(sql_conn_id="sql", sample=1000)
    assert {check["difference"] for check in result["differences"] if check["check"] == "presence"} == {"1"}
    assert any(f"row {key}" in check["scope"] for check in result["differences"])
    repair(lake, result)
    assert sqlite.one("SELECT COUNT(_missed_at) FROM loads WHERE id = ?", key) == 1
    assert reconcile(sql_conn_id="sql")["verdict"] == "same"


def test_tombstones_count_and_missing_rows_do_not(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    alvys.change(rows=2, columns={"IsDeleted": True})
    sync_and_load(lake)
    alvys.remove(rows=1)
    for _ in range(2):
        sync_and_load(lake, window_by="whole")
    assert sqlite.one("SELECT COUNT(*) FROM loads WHERE _missing_since IS NOT NULL") == 1
    for place in ({"sql_conn_id": "sql"}, {"path": str(lake)}):
        assert reconcile(**place)["verdict"] == "same"


def test_a_row_without_a_date_is_the_rest(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=80, days=60)
    (key,) = alvys.change(stream="trips", rows=1, columns={"PickupDate": None})
    sync_and_load(lake, "trips", window_by="whole")
    assert reconcile("trips", sql_conn_id="sql")["verdict"] == "same"
    sqlite.query("DELETE FROM trips WHERE id = ?", key)
    # The change is no longer new.
    sqlite.query("UPDATE _alvys_loads SET window_until = '2036-01-01', read_at = '2036-01-01'")
    result = reconcile("trips", sql_conn_id="sql")
    rest, row = result["differences"]
    assert (rest["scope"], f"row {key}" in row["scope"]) == ("without a date", True)
    repair(lake, result)
    assert reconcile("trips", sql_conn_id="sql")["verdict"] == "same"


def test_statuses_are_counted_in_a_month_that_differs(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=150, days=60)
    sync_and_load(lake)
    row = next(row for row in sqlite.rows("loads") if row["status"] == "Paid")
    sqlite.query("DELETE FROM loads WHERE id = ?", row["id"])
    reconcile(sql_conn_id="sql", statuses=["Paid", "Open"])
    scopes = [check["scope"] for check in checks(sqlite, "differs")]
    assert f"{row['created_at'][:7]}, Paid" in scopes
    assert not any("Open" in scope for scope in scopes)


def test_only_the_given_months_are_compared(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=100, days=200)
    sync_and_load(lake)
    bounds: dict[str, Any] = {"start": "2026-07-01T00:00:00Z", "end": "2026-09-01T00:00:00Z"}
    result = reconcile(sql_conn_id="sql", **bounds)
    assert result["requests"] == 2
    sqlite.query("DELETE FROM loads WHERE created_at < '2026-07-01'")
    assert reconcile(sql_conn_id="sql", **bounds)["verdict"] == "same"
    sqlite.query("DELETE FROM loads WHERE created_at < '2026-08-01'")
    result = reconcile(sql_conn_id="sql", **bounds)
    assert result["verdict"] == "differs"
    assert {check["scope"][:7] for check in result["differences"]} <= {"2026-07", *["row LD"]} | {
        check["scope"][:7] for check in result["differences"] if check["scope"].startswith("row")
    }


def test_files_are_compared_and_the_results_are_a_file(alvys: Simulator, lake: Path) -> None:
    alvys.reset(loads=100, days=60)
    landed = sync(lake, until=datetime(2026, 10, 20, tzinfo=timezone.utc))
    result = reconcile(path=str(lake))
    assert result["differences"] == []
    (path,) = (lake / "loads" / "_checks").iterdir()
    stored = json.loads(path.read_bytes())
    assert (stored["stream"], stored["tenant"], stored["requests"]) == ("loads", "acme", result["requests"])
    # A later sync is gone, so the next one begins too late.
    sync(lake, since="2026-11-20T00:00:00Z", until="2026-11-24T20:00:00Z")
    result = reconcile(path=str(lake))
    assert result["verdict"] == "differs"
    assert landed["rows"] < 100
    for arguments in result["repairs"]:
        sync(lake, **arguments)
    assert reconcile(path=str(lake))["verdict"] == "same"


def test_two_years_and_a_half_cost_at_most_forty_requests(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=400, days=912)
    sync_and_load(lake)
    before = alvys.stats()["requests"]["POST loads/search"]
    result = reconcile(sql_conn_id="sql")
    asked = alvys.stats()["requests"]["POST loads/search"] - before
    assert result["verdict"] == "same"
    assert asked == result["requests"] <= 40
    assert len([check for check in checks(sqlite) if check["check_name"] == "presence"]) >= 30


@pytest.mark.parametrize("stream", ["trips", "invoices", "fuel", "drivers", "customers"])
def test_changes_of_other_streams_are_not_differences(
    alvys: Simulator, sqlite: Db, lake: Path, stream: str
) -> None:
    alvys.reset(loads=80, fleet=20, days=100)
    sync_and_load(lake, stream)
    alvys.add(stream=stream, rows=3)
    if stream == "trips":
        # Into another month.
        alvys.change(stream="trips", rows=3, columns={"PickupDate": "2026-09-02T08:00:00Z"})
        alvys.add(stream=stream, rows=1, columns={"PickupDate": "2026-10-02T08:00:00Z"})
    if stream in ("invoices", "fuel", "drivers"):
        # Their rows do not show when they were entered: an older sync proves nothing.
        sqlite.query("UPDATE _alvys_loads SET read_at = '2026-11-24 12:00:00', window_until = read_at")
    result = reconcile(stream, sql_conn_id="sql", sample=20)
    assert result["differences"] == []
    assert result["verdict"] in ("moving", "unknown", "same")


def test_changed_rows_cost_one_search_and_one_more_request_for_each_month(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=80, days=100)
    sync_and_load(lake, "trips")
    before = reconcile("trips", sql_conn_id="sql")["requests"]
    for pickup in ("2026-09-02T08:00:00Z", "2026-10-02T08:00:00Z"):
        alvys.change(stream="trips", where={"Status": "Open"}, rows=2, columns={"PickupDate": pickup})
    sqlite.query("DELETE FROM _alvys_checks")
    result = reconcile("trips", sql_conn_id="sql")
    moving = [row for row in checks(sqlite, "moving") if row["check_name"] == "presence"]
    assert moving
    assert result["requests"] == before + len(moving) + 1
