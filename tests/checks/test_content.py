from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.checks.reconciled import checks, reconcile, repair, sync, sync_and_load
from tests.tables.databases import Db
from tests.tables.runs import load

NEW_STATE = "2036-01-01 00:00:00.0000000+00:00"


@pytest.fixture
def db(make_db: Callable[[str], Db], request: pytest.FixtureRequest) -> Db:
    return make_db(request.param)


ON_ALL = pytest.mark.parametrize(
    "db", ["sqlite", "duckdb", "postgres", pytest.param("mysql", marks=pytest.mark.mariadb)], indirect=True
)


@ON_ALL
def test_holes_are_found_in_every_database(alvys: Simulator, db: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    sync_and_load(lake)
    result = reconcile(sql_conn_id="sql", path=str(lake), sample=60)
    assert (result["verdict"], result["repairs"]) == ("same", [])
    first, second, third = sorted(row["id"] for row in db.rows("loads"))[:3]
    db.query("DELETE FROM loads WHERE id = ?", first)
    db.query("UPDATE loads SET customer_rate_amount = customer_rate_amount + 0.01 WHERE id = ?", second)
    db.query("DELETE FROM load_stops WHERE load_id = ?", third)
    result = reconcile(sql_conn_id="sql", path=str(lake), sample=60)
    found = [(check["check_name"], check["scope"]) for check in checks(db, "differs")]
    for check, key, what in (
        ("presence", first, ""),
        ("money", second, "customer_rate_amount"),
        ("content", second, "customer_rate_amount"),
        ("load_rate", second, ""),
        ("content", third, "rows of load_stops"),
    ):
        assert any(c == check and f"row {key}" in scope and what in scope for c, scope in found), (check, key)
    cents = {check["difference"] for check in checks(db, "differs") if f"row {second}" in check["scope"]}
    assert {abs(round(float(cent), 9)) for cent in cents if cent is not None} == {0.01}
    repair(lake, result)
    assert reconcile(sql_conn_id="sql", path=str(lake), sample=60)["verdict"] == "same"


def test_a_row_that_changed_since_is_not_stale(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=40, days=60)
    sync_and_load(lake)
    (key,) = alvys.change(rows=1, columns={"OrderNumber": "another"})
    result = reconcile(sql_conn_id="sql", sample=40)
    assert (result["verdict"], result["differences"], result["repairs"]) == ("moving", [], [])
    # The same change is a difference if a sync after it is complete.
    sqlite.query("UPDATE _alvys_loads SET window_until = ?, read_at = ?", NEW_STATE, NEW_STATE)
    result = reconcile(sql_conn_id="sql", sample=40)
    assert any(f"row {key}" in check["scope"] for check in result["differences"])


def test_a_run_and_its_retry_compare_the_same_rows(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=200, days=60)
    sync_and_load(lake)
    sqlite.query("UPDATE loads SET order_number = 'other'")

    def scopes(run_id: str) -> set[str]:
        result = reconcile(sql_conn_id="sql", sample=10, run_id=run_id)
        return {check["scope"] for check in result["differences"] if check["scope"].startswith("row")}

    first, again, other = scopes("a"), scopes("a"), scopes("b")
    assert len(first) == 10
    assert first == again != other
    # A retry replaces its results.
    assert len({row["run"] for row in checks(sqlite)}) == 2


@pytest.mark.parametrize("stream", ["users", "dispatch_preferences"])
def test_few_rows_that_alvys_does_not_find_by_key_are_all_read(
    alvys: Simulator, sqlite: Db, lake: Path, stream: str
) -> None:
    alvys.reset(loads=10, fleet=20)
    sync_and_load(lake, stream)
    assert reconcile(stream, sql_conn_id="sql", sample=10)["verdict"] == "same"
    key = "id" if stream == "users" else "_key"
    sqlite.query(f"UPDATE {stream} SET {key} = 'other' WHERE {key} = (SELECT MIN({key}) FROM {stream})")
    result = reconcile(stream, sql_conn_id="sql", sample=20)
    assert any("row other" in check["scope"] for check in result["differences"])


def test_excluded_fields_are_not_compared(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=30, days=60)
    sync(lake)
    load(lake, exclude=["Notes", "OrderNumber"])
    result = reconcile(sql_conn_id="sql", sample=30)
    assert (result["verdict"], result["differences"]) == ("same", [])


def test_no_value_but_an_amount_is_stored(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=10, fleet=10)
    sync_and_load(lake, "drivers")
    sqlite.query("UPDATE drivers SET phone_number = '555-0100'")
    result = reconcile("drivers", sql_conn_id="sql", sample=10)
    shown = str(result) + str(checks(sqlite))
    assert "drivers.phone_number" in shown
    assert "555-0100" not in shown
    assert result["repairs"]


def test_a_control_table_is_compared(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    sync_and_load(lake)
    names = "tenant, stream, measure, month, status, currency, amount, source, as_of"
    sqlite.query(f"CREATE TABLE _alvys_control ({names.replace(',', ' TEXT,')} TEXT)")
    rows = [row for row in sqlite.rows("loads") if row["created_at"][:7] == "2026-10"]
    total = sum(
        Decimal(row["customer_rate_amount"])
        for row in rows
        if row["customer_rate_amount"] and row["customer_rate_currency"] == "USD"
    )
    for measure, currency, amount in (
        ("rows", None, len(rows)),
        ("customer_rate_amount", "USD", total),
        ("customer_rate_amount", "CAD", "0.01"),
        ("profit", "USD", 1),
    ):
        values = ("acme", "loads", measure, "2026-10", None, currency, str(amount), "ledger", None)
        sqlite.query(f"INSERT INTO _alvys_control ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *values)
    reconcile(sql_conn_id="sql")
    found = {row["scope"]: row["verdict"] for row in checks(sqlite) if row["check_name"] == "control"}
    assert found == {
        "rows, 2026-10 (ledger)": "same",
        "customer_rate_amount, 2026-10, USD (ledger)": "same",
        "customer_rate_amount, 2026-10, CAD (ledger)": "differs",
        "profit, 2026-10, USD (ledger)": "unknown",
    }


def test_a_broken_identity_is_named_with_row_and_amount(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    for stream in ("loads", "trips", "invoices"):
        sync_and_load(lake, stream)
    key = sqlite.one("SELECT MIN(id) FROM loads WHERE linehaul_amount IS NOT NULL")
    sqlite.query("UPDATE loads SET linehaul_amount = linehaul_amount + 7 WHERE id = ?", key)
    requests = alvys.stats()["requests"]
    result = reconcile(sql_conn_id="sql")
    assert (
        alvys.stats()["requests"]["POST loads/search"] - requests["POST loads/search"] == result["requests"]
    )
    broken = {check["check"]: check for check in result["differences"] if f"row {key}" in check["scope"]}
    assert broken["load_rate"]["difference"] == "-7.00"
    assert reconcile("trips", sql_conn_id="sql")["verdict"] == "same"


def test_a_broken_row_is_not_hidden_by_many_that_changed(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=180, days=60)
    for stream in ("loads", "trips"):
        sync_and_load(lake, stream)
    # The trips are older than the loads, so that rows of loads which changed meanwhile may differ from them.
    earlier = "2026-11-24 12:00:00.0000000+00:00"
    sqlite.query(
        "UPDATE _alvys_loads SET window_until = ?, read_at = ? WHERE table_name = 'trips'", earlier, earlier
    )
    sqlite.query("UPDATE trips SET trip_value_amount = trip_value_amount + 7")
    sqlite.query("UPDATE loads SET updated_at = ?", NEW_STATE)

    def of_trips() -> list[tuple[str, str]]:
        """Return scope and verdict of each check of the identity, first that of all rows."""
        sqlite.query("DROP TABLE IF EXISTS _alvys_checks")
        reconcile(sql_conn_id="sql")
        found = [row for row in checks(sqlite) if row["check_name"] == "load_trip_values"]
        assert int(found[0]["actual"]) > 101
        return [(row["scope"], row["verdict"]) for row in found]

    assert {verdict for _, verdict in of_trips()} == {"moving"}
    last = sqlite.one("SELECT MAX(l.id) FROM loads l JOIN trips t ON t.load_number = l.load_number")
    sqlite.query("UPDATE loads SET updated_at = '2026-10-01 00:00:00.0000000+00:00' WHERE id = ?", last)
    (_, verdict), (scope, first), *others = of_trips()
    assert (verdict, first) == ("differs", "differs")
    assert last in scope
    assert {verdict for _, verdict in others} == {"moving"}


@pytest.mark.parametrize("older", ["loads", "trips"])
def test_what_one_table_has_and_another_does_not_yet_is_moving(
    alvys: Simulator, sqlite: Db, lake: Path, older: str
) -> None:
    alvys.reset(loads=150, days=60)
    for stream in ("loads", "trips"):
        sync_and_load(lake, stream, window_by="whole")
    alvys.advance(days=2)
    for stream in {"loads", "trips", "invoices"} - {older}:
        sync_and_load(lake, stream, window_by="whole")
    for stream in ("loads", "trips", "invoices"):
        result = reconcile(stream, sql_conn_id="sql")
        assert (result["differences"], result["repairs"]) == ([], [])
    broken = {row["check_name"] for row in checks(sqlite, "moving")}
    assert broken & {"load_trip_values", "trip_load"}
    # A row that did not change is broken all the same.
    before = f"{datetime.now(timezone.utc) - timedelta(days=10):%Y-%m-%d}"
    key = sqlite.one("SELECT MIN(id) FROM loads WHERE updated_at < ? AND status = 'Invoiced'", before)
    sqlite.query("UPDATE loads SET linehaul_amount = linehaul_amount + 7 WHERE id = ?", key)
    result = reconcile(sql_conn_id="sql")
    named = {check["check"] for check in result["differences"] if f"row {key}" in check["scope"]}
    assert {"load_rate", "load_trip_values"} <= named


def test_amounts_in_another_group_are_named_and_repaired(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    sync_and_load(lake)
    with_amount = "SELECT id FROM loads WHERE customer_rate_amount > 0 AND customer_rate_currency = 'USD'"
    one, two, three = sorted(key for (key,) in sqlite.query(with_amount))[:3]
    sqlite.query("UPDATE loads SET customer_rate_currency = 'CAD' WHERE id = ?", one)
    sqlite.query("UPDATE loads SET status = 'Quoted' WHERE id = ?", two)
    sqlite.query("UPDATE loads SET customer_rate_amount = NULL WHERE id = ?", three)
    result = reconcile(sql_conn_id="sql", path=str(lake))
    named = [check["scope"] for check in result["differences"] if check["check"] == "money"]
    for key, column in ((one, "rate_currency"), (two, "status"), (three, "rate_amount")):
        assert any(f"row {key}" in scope and column in scope for scope in named), column
    repair(lake, result)
    assert reconcile(sql_conn_id="sql", path=str(lake), sample=60)["verdict"] == "same"


def test_amounts_are_not_compared_with_files_that_are_gone(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    landed = sync(lake, until="2026-11-01T00:00:00Z")
    sync(lake)
    load(lake)
    shutil.rmtree(Path(landed["manifest"]).parent)
    result = reconcile(sql_conn_id="sql", path=str(lake))
    assert (result["verdict"], result["differences"], result["repairs"]) == ("unknown", [], [])
    (check,) = checks(sqlite, "unknown")
    assert check["check_name"] == "money"


def test_json_that_was_cut_off_is_a_difference(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=20, days=60)
    sync_and_load(lake)
    key = sqlite.one("SELECT MIN(id) FROM loads")
    sqlite.query("UPDATE loads SET _extra = '{\"a\": [1' WHERE id = ?", key)
    result = reconcile(sql_conn_id="sql", sample=20)
    assert any(
        f"row {key}" in check["scope"] and "_extra" in check["scope"] for check in result["differences"]
    )
