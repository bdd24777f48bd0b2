"""Run a two-hourly, a daily and a weekly DAG for thirty simulated days in which the rows change each hour."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import msgspec
import pytest
from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import QuickHook, StoppedClock, forget_secrets
from tests.lake import manifests, read_lines, read_manifest

pytestmark = pytest.mark.slow

TWO_HOURLY = ["loads", "trips", "invoices", "tenders"]
DAILY = [
    "driver_settlement_statements",
    "carrier_settlement_statements",
    "deductions",
    "fuel",
    "tolls",
    "maintenance",
    "drivers",
    "driver_events",
    "trucks",
    "trailers",
    "users",
    "customers",
    "carriers",
]
EVERY = [*TWO_HOURLY, *DAILY, "locations"]
BEGIN = datetime(2026, 6, 1, tzinfo=timezone.utc)
HISTORY = "2025-01-01T00:00:00Z"
# Hours without a run of the two-hourly DAG.
OUTAGES = {*range(100, 106), *range(400, 409)}


class Company:
    """Hourly changes in the simulator. Business dates are at midnight, as in Alvys."""

    def __init__(self, alvys: Simulator) -> None:
        self._alvys = alvys
        self._random = random.Random(7)
        self.removed: dict[str, set[str]] = {name: set() for name in EVERY}

    def change_rows(self, now: datetime) -> None:
        for stream in ("loads", "trips"):
            self._alvys.change(stream=stream, rows=3, columns={"Status": "Delivered"})
            self._alvys.add(stream=stream, rows=1)
        if now.hour % 6 == 0:
            self._add_money(now)
        if now.hour == 12:
            self._change_master_data()

    def _add_money(self, now: datetime) -> None:
        """Add rows with past and future dates, and pay some without a change of UpdatedAt."""
        midnight = self._midnight
        # Some invoices appear weeks after their date.
        self._alvys.add(
            stream="invoices", rows=2, columns={"InvoicedDate": midnight(now), "Status": "AwaitingPayment"}
        )
        late = {"InvoicedDate": midnight(now, -30), "Status": "AwaitingPayment"}
        self._alvys.add(stream="invoices", rows=1, columns=late)
        self._pay(now)
        self._alvys.add(stream="fuel", rows=1, columns={"TransactionDate": midnight(now, -9)})
        self._alvys.add(stream="tolls", rows=1, columns={"TransactionDate": midnight(now, -40)})
        self._alvys.add(stream="tenders", rows=1, columns={"DateImported": midnight(now, -2)})
        self._alvys.add(stream="deductions", rows=1, columns={"Date": midnight(now, 20), "IsPaid": False})
        for stream in ("driver_settlement_statements", "carrier_settlement_statements"):
            self._alvys.add(
                stream=stream,
                rows=1,
                columns={"StatementDate": midnight(now, self._random.choice([-30, 0, 40]))},
            )

    def _pay(self, now: datetime) -> None:
        unpaid = self._alvys.truth_keys(stream="invoices", filters='{"Status":["AwaitingPayment"]}')
        paid = self._random.sample(unpaid, min(2, len(unpaid)))
        self._alvys.change(
            stream="invoices", keys=paid, columns={"Status": "Paid", "PaidDate": self._midnight(now, -5)}
        )
        open_deductions = self._alvys.truth_keys(stream="deductions", filters='{"IncludePaid":false}')
        self._alvys.change(stream="deductions", keys=open_deductions[-1:], columns={"IsPaid": True})

    def _change_master_data(self) -> None:
        """Split a deduction, remove a statement, and add, change and remove master data."""
        split = self._remove("deductions", '{"IncludePaid":false}')
        self._alvys.add(stream="deductions", rows=2, columns={"GroupId": split, "IsPaid": False})
        self._remove("driver_settlement_statements")
        for stream in ("drivers", "trucks", "trailers", "users", "customers", "carriers", "locations"):
            self._alvys.change(stream=stream, rows=2)
            self._alvys.add(stream=stream, rows=1)
        for stream in ("drivers", "customers"):
            self._remove(stream)
        self._alvys.change(
            stream="maintenance", rows=2, columns={"Comments": f"seen {self._random.random()}"}
        )

    def _remove(self, stream: str, filters: str = "{}") -> str:
        """Remove one of the newest rows, and return its key."""
        keys = self._alvys.truth_keys(stream=stream, filters=filters)
        (key,) = self._alvys.remove(stream=stream, keys=[self._random.choice(keys[-20:])])
        self.removed[stream].add(key)
        return key

    def _midnight(self, now: datetime, days: int = 0) -> str:
        return f"{now + timedelta(days=days):%Y-%m-%d}T00:00:00Z"


template = functools.cache(jinja2.Template)


def make_run(lake: Path, hook: QuickHook, dag_id: str, **sync: Any) -> Callable[[datetime], None]:
    """Return a function that executes the tasks of an alvys_sync for a given run time."""
    with DAG(dag_id, schedule=None) as dag:
        alvys_sync(path=str(lake), initial_since=HISTORY, **sync)
    tasks = [(task, dict(vars(task))) for task in dag.topological_sort()]

    def run(due: datetime) -> None:
        forget_secrets()
        context = {"dag_run": SimpleNamespace(run_after=due), "macros": SimpleNamespace(timedelta=timedelta)}
        for task, arguments in tasks:
            for name in ("until", "initial_since"):
                if isinstance(arguments.get(name), str):
                    setattr(task, name, template(arguments[name]).render(context))
            task.hook = hook
            task.execute({})

    return run


def test_the_newest_landed_rows_are_those_of_alvys(alvys: Simulator, lake: Path) -> None:
    alvys.reset(loads=150, fleet=40, days=60, now=BEGIN.timestamp())
    clock = StoppedClock(BEGIN.timestamp())
    hook = QuickHook(clock)
    two_hourly = make_run(lake, hook, "two_hourly", streams=TWO_HOURLY)
    daily = make_run(lake, hook, "daily", streams=DAILY)
    weekly = make_run(lake, hook, "weekly", tier="weekly")
    company = Company(alvys)
    last = 30 * 24
    for hour in range(last + 1):
        now = BEGIN + timedelta(hours=hour)
        clock.now = now.timestamp()
        alvys.set_clock(now.timestamp())
        if hour % 2 == 0 and hour not in OUTAGES:
            two_hourly(now)
        if hour % 24 == 3 or hour == last:
            daily(now)
        if hour % 168 == 5 or hour == last:
            weekly(now)
        if hour < last - 1:
            company.change_rows(now)
    landed = sorted((read_manifest(path)["read_until"], str(path)) for path in manifests(lake))
    assert {read_manifest(path)["stream"] for _, path in landed} == {*EVERY}
    for name in EVERY:
        check(
            alvys,
            name,
            [path for _, path in landed if read_manifest(path)["stream"] == name],
            company.removed[name],
        )


def check(alvys: Simulator, name: str, paths: list[str], removed: set[str]) -> None:
    """Check that the newest landed row of each key is Alvys's, and that only removed rows remain."""
    newest: dict[str, bytes] = {}
    for path in paths:
        manifest = read_manifest(path)
        # No row changes during a read, so every read is complete.
        assert manifest["proof"] == "whole", path
        newest |= {key(name, line): line for line in read_lines(path)}
    parents = {"parents": json.dumps([json.loads(row)["Id"] for row in alvys.truth_rows(stream="drivers")])}
    expected = {
        key(name, row): row
        for row in alvys.truth_rows(stream=name, **(parents if STREAMS[name].parent else {}))
    }
    assert expected.keys() <= newest.keys(), f"{name}: lost {sorted(expected.keys() - newest.keys())[:5]}"
    stale = [one for one, row in expected.items() if newest[one] != row]
    assert not stale, (
        f"{name}: {len(stale)} of {len(expected)} are stale: {newest[stale[0]]!r} {expected[stale[0]]!r}"
    )
    if not STREAMS[name].parent:
        # A row that was added and removed between two runs was never landed.
        remaining = newest.keys() - expected.keys()
        assert remaining <= removed
        assert bool(remaining) == bool(removed)
        # The last complete read has no removed row.
        seen = {key(name, line) for line in read_lines(paths[-1])}
        assert not removed & seen


def key(stream: str, line: bytes) -> str:
    row = msgspec.json.decode(line)
    return "/".join(str(row.get(field)) for field in get_stream(stream).key)
