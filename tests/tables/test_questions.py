"""Compares the SQL answers of ``make demo`` with answers computed from the simulator's rows."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from scripts.questions import Answers, ages_table, answer, lanes_table, revenue_table
from tests.conftest import Land
from tests.tables.databases import Db
from tests.tables.runs import load

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]


@pytest.fixture
def answers_and_rows(alvys: Simulator, land: Land, lake: Path, sqlite: Db) -> tuple[Answers, Rows, Rows]:
    """The answers, and the simulator's loads and invoices."""
    alvys.reset(loads=300, rows={"customers": 12}, days=120, now=time.time() - 3600)
    land(compression="gzip")
    land(stream="invoices", initial_since="2020-01-01T00:00:00Z")
    for stream in ("loads", "invoices"):
        load(lake, stream)
    loads, invoices = (
        [json.loads(row) for row in alvys.truth_rows(stream=name)] for name in ("loads", "invoices")
    )
    deleted = {row["id"] for row in sqlite.rows("loads") if row["is_deleted"]}
    return (
        answer(Path(sqlite.connection["host"])),
        [row for row in loads if row["Id"] not in deleted],
        invoices,
    )


def test_the_answers_equal_those_computed_from_the_rows(answers_and_rows: tuple[Answers, Rows, Rows]) -> None:
    answers, loads, invoices = answers_and_rows
    revenue: defaultdict[tuple[str, str], float] = defaultdict(float)
    lanes: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in loads:
        if "DeliveredAt" in row:
            revenue[row["CustomerName"], row["DeliveredAt"][:7]] += row["CustomerRate"]["Amount"]
            lanes[city_of(row["Stops"][0]), city_of(row["Stops"][-1])].append(is_on_time(row["Stops"][-1]))
    found = {
        (name, month): amount
        for name, months in answers.revenue.amounts.items()
        for month, amount in months.items()
    }
    assert found == pytest.approx(revenue)
    assert {(lane.origin, lane.destination): (lane.deliveries, lane.on_time) for lane in answers.lanes} == {
        lane: (len(kept), sum(kept)) for lane, kept in lanes.items()
    }
    ages: defaultdict[str, float] = defaultdict(float)
    for row in invoices:
        if row["Status"] == "AwaitingPayment":
            days = (datetime.now(timezone.utc) - parse_time(row["InvoicedDate"])) / timedelta(days=1)
            name = next(
                name
                for limit, name in ((31, "0-30"), (61, "31-60"), (91, "61-90"), (9999, "over 90"))
                if days < limit
            )
            ages[f"{name} days"] += row["RemainingBalance"]["Amount"]
    assert {age.name: age.amount for age in answers.ages} == pytest.approx(ages)


def test_the_answers_are_plausible(answers_and_rows: tuple[Answers, Rows, Rows]) -> None:
    answers, *_ = answers_and_rows
    sums = [sum(amounts.values()) for amounts in answers.revenue.amounts.values()]
    assert sums == sorted(sums, reverse=True)
    assert sums[0] > 3 * sums[len(sums) // 2]
    assert len(answers.revenue.months) >= 4
    on_time, deliveries = (
        sum(lane.on_time for lane in answers.lanes),
        sum(lane.deliveries for lane in answers.lanes),
    )
    assert 0.7 < on_time / deliveries < 0.95
    assert all(lane.origin != lane.destination for lane in answers.lanes)
    assert [age.name for age in answers.ages] == ["0-30 days", "31-60 days", "61-90 days", "over 90 days"]


def test_the_printed_tables_end_with_totals(answers_and_rows: tuple[Answers, Rows, Rows]) -> None:
    answers, *_ = answers_and_rows
    revenue = revenue_table(answers.revenue, max_rows=3)
    assert len({len(line) for line in revenue}) == 1
    assert revenue[-2].startswith(f"{len(answers.revenue.amounts) - 3} others")
    total = sum(sum(months.values()) for months in answers.revenue.amounts.values())
    assert revenue[-1].split()[-1] == f"{total:,.0f}"
    assert (
        f"{sum(lane.deliveries for lane in answers.lanes):,}"
        in lanes_table(answers.lanes, max_rows=2)[-1].split()
    )
    assert len(lanes_table(answers.lanes, max_rows=2)) == 4
    assert ages_table(answers.ages)[-1].split()[1] == f"{sum(age.invoices for age in answers.ages)}"


def city_of(stop: dict[str, Any]) -> str:
    return f"{stop['Address']['City']}, {stop['Address']['State']}"


def is_on_time(stop: dict[str, Any]) -> bool:
    latest = stop["AppointmentDate"] if stop["$type"] == "appointment" else stop["StopWindow"]["End"]
    return latest.startswith("9999") or parse_time(stop["ArrivedAt"]) <= parse_time(latest)


def parse_time(text: str) -> datetime:
    # Alvys sends more digits of a second than Python 3.10 parses.
    fraction = text[19:-6].lstrip(".")
    return datetime.fromisoformat(text[:19] + text[-6:]) + timedelta(
        microseconds=int(fraction[:6].ljust(6, "0"))
    )
