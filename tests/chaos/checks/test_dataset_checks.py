"""The checks of landed data detect each kind of error."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.checks.dataset import read_run
from tests.chaos.checks.monitor import DatasetMonitor
from tests.chaos.rounds.plan import KINDS, PlanGenerator
from tests.conftest import Land

Part = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def alvys(alvys: Simulator) -> Simulator:
    alvys.reset(loads=60, now=time.time() - 3600)
    return alvys


@pytest.fixture
def monitor(alvys: Simulator, lake: Path) -> DatasetMonitor:
    monitor = DatasetMonitor(alvys, lake, ("loads",))
    monitor.check()
    return monitor


def forge(manifest_file: str, change: Part, **claims: Any) -> None:
    """Change the rows of a run's only part, and the manifest to match."""
    path = Path(manifest_file)
    manifest = json.loads(path.read_bytes())
    (part,) = manifest["parts"]
    rows = change((path.parent / part["name"]).read_bytes().splitlines())
    content = b"".join(row + b"\n" for row in rows)
    (path.parent / part["name"]).write_bytes(content)
    part |= {"rows": len(rows), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps({**manifest, "rows": len(rows), **claims}))


def test_correct_data_passes(land: Land, monitor: DatasetMonitor, alvys: Simulator) -> None:
    land(settling=0)
    alvys.change(rows=5)
    alvys.add(rows=2)
    monitor.check()
    # The Date header, which ends the window, has whole seconds.
    time.sleep(1.1)
    land(settling=0)
    comparison = monitor.finish()["loads"]
    assert (monitor.problems, monitor.lost["loads"], comparison.wrong) == ([], 0, 0)
    assert sum(run.min_requests(20) for run in monitor.runs) == 3 + 1


def test_a_search_that_repeats_another_costs_a_page(
    alvys: Simulator, land: Land, lake: Path, connect: Callable[..., None]
) -> None:
    connect(page_size=20)
    land(stream="trucks")
    (run,) = (read_run(file) for file in lake.rglob("_manifest.json"))
    # Three pages and the first one again, and a page of the other search.
    assert alvys.stats()["requests"]["POST trucks/search"] == run.min_requests(20) == 5
    assert len(run.repeated_searches) == 1


ERRORS = [
    pytest.param(lambda rows: rows[1:], {}, "unchanged rows missing: 1", id="a row is missing"),
    pytest.param(lambda rows: [*rows, rows[0]], {}, "repeated rows: 1", id="a row is repeated"),
    pytest.param(
        lambda rows: [rows[0].replace(b'"', b' "', 1), *rows[1:]],
        {},
        "unchanged rows missing: 1",
        id="a byte differs",
    ),
    pytest.param(
        lambda rows: [*rows, rows[0].replace(b'"Id":"', b'"Id":"x')],
        {},
        "1 invented",
        id="a row is invented",
    ),
    pytest.param(lambda rows: rows[1:], {"proof": "open"}, "1 rows lost", id="a row is missing at the end"),
]


@pytest.mark.parametrize(("change", "claims", "problem"), ERRORS)
def test_an_error_is_detected(
    land: Land, monitor: DatasetMonitor, change: Part, claims: dict[str, Any], problem: str
) -> None:
    forge(land(settling=0)["manifest"], change, **claims)
    monitor.finish()
    assert any(problem in found for found in monitor.problems), monitor.problems


def test_a_part_that_differs_from_the_manifest_is_detected(land: Land, monitor: DatasetMonitor) -> None:
    folder = Path(land(settling=0)["manifest"]).parent
    (part,) = folder.glob("part-*")
    part.write_bytes(part.read_bytes()[:-1])
    (folder / "part-00001.jsonl").write_bytes(b"{}\n")
    monitor.check()
    assert any("size or sha256" in problem for problem in monitor.problems)
    assert any("unlisted files part-00001.jsonl" in problem for problem in monitor.problems)


def test_a_changed_row_that_is_not_landed_again_is_detected(
    land: Land, monitor: DatasetMonitor, alvys: Simulator
) -> None:
    land(settling=0)
    alvys.change(rows=1)
    comparison = monitor.finish()["loads"]
    assert len(comparison.stale) == 1
    assert any("1 stale" in problem for problem in monitor.problems)


@pytest.mark.parametrize(
    ("days", "lost"), [pytest.param(3, 1, id="recent"), pytest.param(200, 0, id="before the lookback")]
)
def test_a_late_row_is_expected_within_the_last_lookback(
    land: Land, alvys: Simulator, lake: Path, days: int, lost: int
) -> None:
    monitor = DatasetMonitor(alvys, lake, ("invoices",))
    monitor.check()
    land(stream="invoices", settling=0, initial_since="2020-01-01T00:00:00Z")
    date = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - days * 86400))
    manifest = land(stream="invoices", settling=0)["manifest"]
    dates = {"InvoicedDate": date, "LastSendDate": date, "PaidDate": date}
    alvys.add(stream="invoices", columns={"Status": "Paid", **dates})
    assert Path(manifest).exists()
    assert len(monitor.finish()["invoices"].lost) == lost
    assert monitor.before_lookback == 1 - lost


def test_the_same_seed_gives_the_same_plans() -> None:
    def plans(seed: int) -> list[Any]:
        plans = PlanGenerator(seed)
        return [plans.single() if number % 2 else plans.storm() for number in range(20)]

    assert plans(7) == plans(7)
    assert plans(7) != plans(8)


def test_twenty_rounds_have_each_kind_alone() -> None:
    plans = PlanGenerator(3)
    alone = {kind for _ in range(9) for kind in plans.single().alone.values()}
    assert set(KINDS) <= alone
