"""Compares the SQL answers of ``make demo`` with the simulator's own answers."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from scripts.questions import (
    BUCKETS,
    Answers,
    answer,
    by_customer,
    currencies,
    debts_table,
    differences,
    lanes_table,
    revenue_table,
)
from scripts.questions.totals import totals_of_simulator, totals_of_tables
from tests.conftest import Land
from tests.tables.databases import Db
from tests.tables.runs import load

pytestmark = pytest.mark.slow

STREAMS = ("loads", "trips", "invoices")
QUESTIONS = ("revenue", "lanes", "receivables")


class Loaded(NamedTuple):
    """A SQLite file with the simulator's rows, and the simulator's answers at the end of the day."""

    database: Path
    as_of: str
    expected: dict[str, Any]

    @property
    def answers(self) -> Answers:
        return answer(self.database, self.as_of)


@pytest.fixture
def loaded(alvys: Simulator, land: Land, lake: Path, sqlite: Db) -> Loaded:
    alvys.reset(loads=400, fleet=40, rows={"customers": 20}, days=120, now=time.time() - 3600)
    for stream in STREAMS:
        land(stream=stream, initial_since="2020-01-01T00:00:00Z", compression="gzip")
        load(lake, stream)
    as_of = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    return Loaded(Path(sqlite.connection["host"]), as_of, alvys.answers(as_of))


def test_the_answers_are_those_of_the_simulator(loaded: Loaded) -> None:
    found = loaded.answers.as_simulated()
    assert tuple(found) == QUESTIONS
    for question in QUESTIONS:
        assert found[question], question
        assert differences(found[question], loaded.expected[question]) == []


def test_the_answers_on_an_earlier_day_are_those_of_the_simulator(loaded: Loaded, alvys: Simulator) -> None:
    for days in (20, 50):
        as_of = f"{datetime.now(timezone.utc) - timedelta(days=days):%Y-%m-%d}"
        found = answer(loaded.database, as_of).as_simulated()["receivables"]
        assert found
        assert differences(found, alvys.answers(as_of)["receivables"]) == []


_SERVED = "delivered_at IS NOT NULL AND load_type = 'Revenue'"
# What breaks an answer, by question.
CHANGES = (
    ("revenue", f"UPDATE loads SET customer_rate_amount = customer_rate_amount + 0.01 WHERE {_SERVED}"),
    ("revenue", f"UPDATE loads SET status = 'Quoted' WHERE {_SERVED}"),
    ("revenue", f"UPDATE loads SET load_type = 'Non-Revenue' WHERE {_SERVED}"),
    ("revenue", f"UPDATE loads SET delivered_at = date(delivered_at, '-40 days') WHERE {_SERVED}"),
    ("lanes", f"UPDATE loads SET status = 'TONU' WHERE {_SERVED}"),
    ("lanes", "UPDATE trips SET status = 'TONU' WHERE status = 'Completed'"),
    ("lanes", "UPDATE load_stops SET arrived_at = '2099-01-01' WHERE NOT stop_window_end_is_open IS TRUE"),
    ("lanes", "UPDATE load_stops SET stop_type = 'Waypoint' WHERE _is_last"),
    ("receivables", "UPDATE invoice_payments SET amount = amount - 0.01"),
    ("receivables", "UPDATE invoices SET due_date = date(due_date, '-30 days')"),
    ("receivables", "UPDATE invoices SET status = 'Draft' WHERE status = 'AwaitingPayment'"),
    ("receivables", "UPDATE loads SET status = 'Financed'"),
)


def test_a_difference_is_found(loaded: Loaded, tmp_path: Path) -> None:
    for number, (question, change) in enumerate(CHANGES):
        broken = loaded._replace(database=tmp_path / f"{number}.sqlite")
        shutil.copy(loaded.database, broken.database)
        with closing(sqlite3.connect(broken.database)) as connection, connection:
            assert connection.execute(change).rowcount, change
        found = broken.answers.as_simulated()[question]
        assert differences(found, loaded.expected[question]), change


def test_the_money_in_the_tables_sums_to_the_totals_of_the_simulator(loaded: Loaded) -> None:
    expected = totals_of_simulator(loaded.expected["totals"], STREAMS)
    assert {stream for stream, _, _ in expected} == set(STREAMS)
    assert {currency for _, _, currency in expected} == {"USD", "CAD"}
    assert totals_of_tables(loaded.database, STREAMS) == expected
    with closing(sqlite3.connect(loaded.database)) as connection, connection:
        connection.execute("UPDATE invoice_line_items SET amount = amount + 0.01 WHERE _position = 1")
    wrong = totals_of_tables(loaded.database, STREAMS)
    assert {key for key in expected if wrong[key] != expected[key]} == {
        ("invoices", "LineItems.Amount", "CAD"),
        ("invoices", "LineItems.Amount", "USD"),
    }


def test_the_answers_have_what_the_rules_are_about(loaded: Loaded) -> None:
    found = loaded.answers
    assert currencies(found.revenue) == ["USD", "CAD"]
    assert len({row.month for row in found.revenue}) >= 4
    assert (
        0.7 < sum(lane.on_time for lane in found.lanes) / sum(lane.deliveries for lane in found.lanes) < 0.95
    )
    assert all(lane.origin != lane.destination for lane in found.lanes)
    assert {debt.bucket for debt in found.debts} >= set(BUCKETS[:3])
    assert {debt.is_financed for debt in found.debts} == {False, True}
    with closing(sqlite3.connect(loaded.database)) as connection:
        statuses = {status for (status,) in connection.execute("SELECT DISTINCT status FROM loads")}
    assert statuses >= {"Quoted", "Admin", "Cancelled", "TONU"}


def test_the_printed_tables_end_with_totals_of_one_currency(loaded: Loaded) -> None:
    found = loaded.answers
    for currency in currencies(found.revenue):
        table = revenue_table(found.revenue, currency, max_rows=1)
        customers = by_customer(found.revenue, currency)
        assert len({len(line) for line in table}) == 1
        assert table[-2].startswith(f"{len(customers) - 1} others")
        total = sum(Decimal(row.cents) / 100 for row in found.revenue if row.currency == currency)
        assert table[-1].startswith(f"total in {currency}")
        assert table[-1].split()[-1] == f"{total:,.0f}"
    deliveries = sum(lane.deliveries for lane in found.lanes)
    assert f"{deliveries:,}" in lanes_table(found.lanes, max_rows=2)[-1].split()
    assert len(lanes_table(found.lanes, max_rows=2)) == 4
    kinds = {(debt.currency, debt.is_financed) for debt in found.debts}
    assert len(debts_table(found.debts)) == 1 + len(kinds)
