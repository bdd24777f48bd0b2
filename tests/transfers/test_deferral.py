"""A deferrable task frees its slot while it waits for the rate limit, and resumes at the right page."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_alvys.api.errors import AlvysRateLimitError, AlvysServerError, AlvysValueError
from airflow_provider_alvys.api.http import auth, pacing
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from airflow_provider_alvys.transfers.base import AlvysLandingTask
from airflow_provider_alvys.triggers.alvys import AlvysWaitTrigger
from tests.conftest import QuickHook, SkippingClock, StoppedClock
from tests.lake import ids, read_lines, read_manifest
from tests.sync_log import LogReader

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferred  # type: ignore[no-redef]

pytestmark = pytest.mark.every_airflow

CONTEXT: Any = {
    "run_id": "run",
    "ti": SimpleNamespace(dag_id="dag", task_id="land", map_index=-1, xcom_push=lambda key, value: None),
}


class Worker:
    """Execute a task, and resume it after each deferral, as in a new process."""

    def __init__(
        self,
        alvys: Simulator,
        monkeypatch: pytest.MonkeyPatch,
        clock: SkippingClock,
        make: type[AlvysLandingTask],
        **arguments: Any,
    ) -> None:
        self.waits: list[float] = []
        # That of the last process.
        self.operator: Any = None
        self._alvys = alvys
        self._monkeypatch = monkeypatch
        self._clock = clock
        self._make = lambda: make(task_id="land", **arguments)

    def run(self, *, most: int = 100, rendered: dict[str, Any] | None = None) -> Any:
        given: dict[str, Any] | None = None
        for _ in range(most):
            self._monkeypatch.setattr(auth, "_sources", {})
            self._monkeypatch.setattr(pacing, "_pacers", {})
            operator = self.operator = self._make()
            operator.hook = QuickHook(self._clock)
            for name, value in (rendered or {}).items():
                setattr(operator, name, value)
            try:
                if given is None:
                    return operator.execute(CONTEXT)
                return operator.resume(CONTEXT, **given)
            except TaskDeferred as deferred:
                # As Airflow's database stores it; in turn as daemons and airflow dags test return it.
                event, kwargs = json.loads(json.dumps([deferred.trigger.state, deferred.kwargs]))
                given = {"event": event, **kwargs} if len(self.waits) % 2 else {"event": event}
                self._wait(deferred.trigger)
        raise AssertionError("It never comes to an end")

    def _wait(self, trigger: Any) -> None:
        assert isinstance(trigger, AlvysWaitTrigger)
        wait = trigger.moment.timestamp() - self._clock.time()
        self.waits.append(wait)
        self._clock.sleeps.append(max(0.0, wait))
        self._alvys.set_clock(self._clock.time())


@pytest.fixture(autouse=True)
def documented_pace(connect: Any) -> None:
    connect(requests_per_minute=None)


WINDOW = {
    "stream": "loads",
    "since": "2020-01-01T00:00:00Z",
    "until": "2030-01-01T00:00:00Z",
    "window_by": "created",
}


def test_the_worker_that_completes_it_knows_its_lineage(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    alvys.reset(loads=150)
    arguments = {**WINDOW, "path": str(lake), "page_size": 10}
    worker = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, deferrable=True)
    worker.run()
    assert len(worker.waits) == 1
    (written,) = worker.operator.get_openlineage_facets_on_complete(None).outputs
    assert (written.namespace, written.name) == ("file", f"{lake}/loads")
    assert written.outputFacets["outputStatistics"].rowCount == 150


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_it_defers_at_each_wait_and_reads_each_page_once(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    alvys.reset(loads=600)
    arguments = {**WINDOW, "path": str(lake), "page_size": 10, "file_format": file_format}
    worker = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, deferrable=True)
    began = time.monotonic()
    result = worker.run()
    took = time.monotonic() - began
    assert alvys.stats()["requests"]["POST loads/search"] == 61
    assert len(worker.waits) == 6
    assert all(55 - took < wait < 62 for wait in worker.waits)
    # The slot is kept only for the difference of the clocks, up to the response time of a busy machine.
    assert sum(clock.sleeps) - sum(worker.waits) < 1 + took
    manifest = read_manifest(result["manifest"])
    assert (manifest["rows"], manifest["requests"], manifest["attempt"]) == (600, 61, 1)
    # A wait ends a part early, and the resumed task fills it up.
    assert [part["rows"] for part in manifest["parts"]] == [200, 200, 200]
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys())


def test_the_log_of_a_deferred_sync_continues_after_each_deferral(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=5000)
    logger = logging.getLogger()
    reader = LogReader(clock)
    logger.addHandler(reader)
    monkeypatch.setattr(logger, "level", logging.INFO)
    arguments = {**WINDOW, "path": str(lake), "part_rows": 1000}
    worker = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, deferrable=True)
    result = worker.run()
    logger.removeHandler(reader)
    ended = clock.time()
    assert len(worker.waits) == 2
    first, *middle, landed, manifest = reader.texts()
    assert first.startswith("Reading loads of alvys_default by created ")
    assert landed.startswith("Landed 5,000 loads in 2 min: parts=5 requests=")
    assert manifest == f"Manifest: {result['manifest']}"
    starts = [text.split()[0] for text in middle]
    # The window is named once, and each deferral has three lines of its own.
    for start in ("Waiting", "Freeing", "Resuming"):
        assert starts.count(start) == 2
    lines = list(reader.progress())
    assert 2 <= len(lines) <= 6
    assert [line.done for line in lines] == sorted({line.done for line in lines})
    for line in lines:
        assert line.total == 5000
        assert line.rate is None or abs(line.rate - 2000) < 300
        assert line.left is None or abs(line.time + line.left - ended) < 12
    reader.check_form()
    reader.check_silence()


def test_the_trigger_waits_in_silence_and_notices_that_the_clock_was_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    clock = StoppedClock()
    trigger = AlvysWaitTrigger(datetime.fromtimestamp(clock.time() + 600, timezone.utc), {"x": 1})
    trigger.time = clock.time

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.sleeps) == 3:
            clock.now += 500

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    trigger.sleep = sleep
    assert asyncio.run(events()) == [{"x": 1}]
    assert sum(clock.sleeps) == 100
    assert [record for record in caplog.records if "airflow" in record.name] == []


def test_without_deferrable_it_waits_in_its_slot(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=150)
    worker = Worker(
        alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **WINDOW, path=str(lake), page_size=10
    )
    assert worker.run()["rows"] == 150
    assert worker.waits == []
    assert sum(clock.sleeps) > 55


def test_a_wait_shorter_than_defer_after_keeps_the_slot(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=150)
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysToObjectStorageOperator,
        **WINDOW,
        path=str(lake),
        page_size=10,
        deferrable=True,
        defer_after=90,
    )
    assert worker.run()["rows"] == 150
    assert worker.waits == []


def test_rendered_templates_are_kept_over_a_deferral(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=300)
    arguments = {**WINDOW, "until": "{{ x }}", "path": "{{ y }}", "filters": {"Status": "{{ z }}"}}
    worker = Worker(
        alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, page_size=5, deferrable=True
    )
    times = iter(range(2030, 2040))

    class Rendered(dict[str, Any]):
        def items(self) -> Any:
            year = next(times)
            status = ["Open", "Delivered", "Covered", "Invoiced"] if year == 2030 else ["Open"]
            path = lake / str(year)
            return [
                ("until", f"{year}-01-01T00:00:00Z"),
                ("path", str(path)),
                ("filters", {"Status": status}),
            ]

    result = worker.run(rendered=Rendered(x=1))
    assert len(worker.waits) >= 1
    assert (result["until"], result["path"]) == ("2030-01-01T00:00:00Z", str(lake / "2030"))
    filters = json.dumps({"Status": ["Open", "Delivered", "Covered", "Invoiced"]})
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(filters=filters))


def test_a_task_that_is_changed_while_it_waits_starts_over(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {
        **WINDOW,
        "since": datetime(2020, 1, 1, tzinfo=timezone.utc),
        "path": str(lake),
        "page_size": 10,
    }
    worker = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, deferrable=True)
    deployed = AlvysToObjectStorageOperator(task_id="land", **arguments, deferrable=True, compression="gzip")
    make, count = worker._make, iter(range(100))
    worker._make = lambda: make() if next(count) < 2 else deployed
    result = worker.run()
    manifest = read_manifest(result["manifest"])
    assert (manifest["attempt"], manifest["compression"]) == (2, "gzip")
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys())


def test_values_that_contain_templates_are_kept_over_a_deferral(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=300)
    arguments = {**WINDOW, "path": str(lake), "filters": {"Status": ("{{ z }}",)}, "page_size": 5}
    worker = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments, deferrable=True)
    statuses = iter([("Open", "Delivered", "Covered", "Invoiced"), *[("Open",)] * 20])

    class Rendered(dict[str, Any]):
        def items(self) -> Any:
            return [("filters", {"Status": next(statuses)})]

    result = worker.run(rendered=Rendered(x=1))
    assert len(worker.waits) >= 1
    filters = json.dumps({"Status": ["Open", "Delivered", "Covered", "Invoiced"]})
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(filters=filters))


def test_a_retry_after_frees_the_slot_and_a_block_costs_one_more_429(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate_limited = {
        "kind": "status",
        "status": 429,
        "endpoint": "POST loads/search",
        "retry_after": "60",
        "body": "html",
    }
    alvys.order_faults({**rate_limited, "times": 2, "skip": 3})
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysToObjectStorageOperator,
        **WINDOW,
        path=str(lake),
        page_size=100,
        deferrable=True,
    )
    began = time.monotonic()
    result = worker.run()
    took = time.monotonic() - began
    first, second = worker.waits[:2]
    # 60 s of Retry-After, and then the block that Alvys documents, less the time of a busy machine.
    assert 60 - took < first < 62
    assert 180 - took < second < 182
    assert len(read_lines(result["manifest"])) == 450
    assert alvys.stats()["requests"]["POST loads/search"] == 5 + 1 + 2


def test_a_server_that_always_answers_429_ends_in_an_error(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 503, "endpoint": "POST loads/search", "retry_after": "30", "times": 999}
    )
    worker = Worker(
        alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **WINDOW, path=str(lake), deferrable=True
    )
    with pytest.raises(AlvysServerError):
        worker.run()
    assert len(worker.waits) == 3
    assert alvys.stats()["requests"]["POST loads/search"] == 3 + 6


def test_a_429_of_the_token_server_frees_the_slot(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 429, "endpoint": "POST token", "retry_after": "45", "times": 1}
    )
    worker = Worker(
        alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **WINDOW, path=str(lake), deferrable=True
    )
    assert worker.run()["rows"] == 450
    assert [round(wait) for wait in worker.waits] == [pytest.approx(46, abs=2)]


def test_a_sweep_defers_and_reads_no_stream_twice(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch, connect: Any
) -> None:
    connect(requests_per_minute=None, page_size=10)
    alvys.reset(loads=0, fleet=150)
    streams = ["customers", "drivers", "trucks"]
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysSweepToObjectStorageOperator,
        streams=streams,
        path=str(lake),
        deferrable=True,
    )
    results = worker.run()
    assert [result["stream"] for result in results] == streams
    assert len(worker.waits) >= 3
    for result in results:
        manifest = read_manifest(result["manifest"])
        assert manifest["attempt"] == 1
        assert len(read_lines(result["manifest"])) == 150
    assert alvys.stats()["tokens"] == len(worker.waits) + 1


def test_a_wait_beyond_the_execution_timeout_fails_at_once_and_the_next_attempt_resumes(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=300)
    arguments = {**WINDOW, "path": str(lake), "page_size": 10}
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysToObjectStorageOperator,
        **arguments,
        execution_timeout=timedelta(seconds=90),
        deferrable=True,
    )
    started = clock.time()
    with pytest.raises(AlvysRateLimitError, match=r"\d+ s left of its execution_timeout") as caught:
        worker.run()
    # One wait of a minute fits into 90 s, the second does not, though each time between deferrals is short.
    assert len(worker.waits) == 1
    assert 55 < caught.value.retry_after < 62
    assert clock.time() - started < 90
    slot = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysToObjectStorageOperator,
        **arguments,
        execution_timeout=timedelta(seconds=30),
    )
    with pytest.raises(AlvysRateLimitError):
        slot.run()
    result = Worker(alvys, monkeypatch, clock, AlvysToObjectStorageOperator, **arguments).run()
    assert alvys.stats()["requests"]["POST loads/search"] == 31
    assert len(read_lines(result["manifest"])) == 300


def test_a_clock_an_hour_ahead_does_not_wait_an_hour_longer(
    alvys: Simulator, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=150)
    clock.sleeps.append(3600)
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysToObjectStorageOperator,
        **WINDOW,
        path=str(lake),
        page_size=10,
        deferrable=True,
    )
    before = time.time()
    moments: list[float] = []
    append = worker.waits.append
    monkeypatch.setattr(worker, "waits", _Recorder(append, moments, clock))
    with pytest.raises(AssertionError, match="never comes"):
        worker.run(most=1)
    assert 50 < moments[0] - before < 65


class _Recorder(list[float]):
    def __init__(self, append: Any, moments: list[float], clock: SkippingClock) -> None:
        self._moments, self._clock = moments, clock

    def append(self, wait: float) -> None:
        self._moments.append(wait + self._clock.time())


def test_the_trigger_waits_and_gives_the_state_back() -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=0.1)
    path, arguments = AlvysWaitTrigger(moment, {"deadline": None}).serialize()
    assert path == "airflow_provider_alvys.triggers.alvys.AlvysWaitTrigger"

    async def wait() -> list[Any]:
        return [event.payload async for event in AlvysWaitTrigger(**arguments).run()]

    assert asyncio.run(wait()) == [{"deadline": None}]
    assert datetime.now(timezone.utc) >= moment


@pytest.mark.parametrize("defer_after", [-1, "20", True, float("nan")])
def test_defer_after_is_a_number_of_seconds(defer_after: Any) -> None:
    with pytest.raises(AlvysValueError, match="defer_after=.* must be a number of seconds"):
        AlvysToObjectStorageOperator(task_id="x", **WINDOW, path="/lake", defer_after=defer_after)
