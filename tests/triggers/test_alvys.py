"""Sensor triggers, run until their events on a loop that skips every sleep."""

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from airflow.sdk import BaseHook

from airflow_provider_alvys.api.poll.conditions import Condition, DocumentExists, RowsFound, StatusReached
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers import pollers
from airflow_provider_alvys.triggers.alvys import AlvysSensorTrigger
from airflow_provider_alvys.triggers.sensor_loop import SensorLoop
from tests.conftest import StoppedClock

pytestmark = pytest.mark.every_airflow


_QUIET_ROUNDS = 20


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(time.time())


@pytest.fixture
def numbers(alvys: Simulator) -> list[str]:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    return [row["LoadNumber"] for row in rows if row["Status"] == "Covered" and not row["IsDeleted"]]


class Triggerer:
    """Run triggers on one event loop, with a clock that skips every sleep."""

    def __init__(self, clock: StoppedClock) -> None:
        self.clock = clock
        self.sleeps: list[float] = []
        self.meanwhile: Callable[[], Any] = lambda: None
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._running: set[asyncio.Future[Any]] = set()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.meanwhile()
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.clock.time() + seconds, len(self.sleeps), woken))
        await woken

    @asynccontextmanager
    async def time_passes(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        run_in_executor = loop.run_in_executor

        def run(*arguments: Any) -> asyncio.Future[Any]:
            running = run_in_executor(*arguments)
            self._running.add(running)
            running.add_done_callback(self._running.discard)
            return running

        # A request is made in a thread.
        loop.run_in_executor = run  # type: ignore[method-assign, assignment]
        passing = asyncio.create_task(self._pass_time())
        try:
            yield
        finally:
            passing.cancel()

    async def _pass_time(self) -> None:
        """Advance the clock to the next wake-up time when all triggers sleep and no request is running."""
        while True:
            quiet = 0
            # What a request or a sleep wakes may take a few rounds of the loop to its own next one.
            while quiet < _QUIET_ROUNDS:
                begun = len(self.sleeps)
                await (asyncio.wait({*self._running}) if self._running else asyncio.sleep(0))
                quiet = quiet + 1 if begun == len(self.sleeps) and not self._running else 0
            if self._sleepers:
                moment = self._sleepers[0][0]
                self.clock.sleep(max(0.0, moment - self.clock.time()))
                while self._sleepers and self._sleepers[0][0] <= moment:
                    woken = heapq.heappop(self._sleepers)[2]
                    if not woken.done():
                        woken.set_result(None)

    def make(self, condition: Condition, *, timeout: float = 600.0, **arguments: Any) -> AlvysSensorTrigger:
        trigger = AlvysSensorTrigger(
            alvys_conn_id="alvys_default",
            condition=msgspec.json.decode(msgspec.json.encode(condition)),
            deadline=self.clock.time() + timeout,
            **{"started": self.clock.time(), **arguments},
        )
        # As the triggerer creates it from the database.
        path, kwargs = trigger.serialize()
        assert path == "airflow_provider_alvys.triggers.alvys.AlvysSensorTrigger"
        again = AlvysSensorTrigger(**json.loads(json.dumps(kwargs)))
        assert again.serialize() == (path, kwargs)
        again.clock, again.sleep = self.clock, self.sleep
        return again

    def run(self, *triggers: AlvysSensorTrigger) -> list[dict[str, Any]]:
        """Return the event of each trigger."""

        async def events(trigger: AlvysSensorTrigger) -> dict[str, Any]:
            (event,) = [event.payload async for event in trigger.run()]
            return dict(json.loads(json.dumps(event)))

        async def run() -> list[dict[str, Any]]:
            async with self.time_passes():
                done = await asyncio.wait_for(asyncio.gather(*map(events, triggers)), 60)
            assert not pollers._pollers.get(asyncio.get_running_loop())
            return list(done)

        return asyncio.run(run())


@pytest.fixture
def triggerer(clock: StoppedClock) -> Triggerer:
    return Triggerer(clock)


def delivered(number: str, **more: Any) -> StatusReached:
    return StatusReached(
        **{"stream": "loads", "number": number, "statuses": ["Delivered"], "failed": ["Cancelled"], **more}
    )


def test_a_condition_that_is_already_met_ends_the_wait_at_the_first_poll(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    alvys.change(keys=numbers[:1], columns={"Status": "Delivered"})
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0])))
    assert event["status"] == "success"
    assert set(event["value"]) == {"load_number", "id", "status", "updated_at"}
    assert event["value"]["status"] == "Delivered"
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 1}
    # Only the batch delay.
    assert triggerer.sleeps == [0.5]


def test_it_polls_until_the_condition_is_met(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    sleeps = 0

    def meanwhile() -> None:
        nonlocal sleeps
        sleeps += 1
        if sleeps == 6:
            alvys.change(keys=numbers[:1], columns={"Status": "Invoiced"})

    triggerer.meanwhile = meanwhile
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0])))
    assert (event["status"], event["value"]["status"]) == ("success", "Invoiced")
    assert all(wait <= 60 for wait in triggerer.sleeps)


def test_five_hundred_sensors_cost_ten_requests_a_poll(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    names = [*numbers[:20], *(f"none-{i}" for i in range(480))]
    for event in triggerer.run(*(triggerer.make(delivered(name), timeout=30.0) for name in names)):
        assert event["status"] == "timeout"
    # Two or three polls: at the start, at the deadline, perhaps at a shared time between. Some miss a batch.
    searches = alvys.stats()["requests"]["POST loads/search"]
    assert 20 <= searches <= 35
    assert alvys.stats()["requests"]["POST token"] == 1


def test_all_sensors_on_a_connection_poll_at_the_same_times(
    alvys: Simulator, triggerer: Triggerer, clock: StoppedClock
) -> None:
    def next_poll_time(conn: str, **more: Any) -> float:
        made: dict[str, Any] = {
            "exponential_backoff": False,
            "max_wait": None,
            "started": clock.time(),
            **more,
        }
        loop = SensorLoop(
            conn,
            {},
            deadline=9e9,
            poke_interval=60.0,
            silent_fail=False,
            clock=clock,
            sleep=triggerer.sleep,
            **made,
        )
        return clock.time() + loop._seconds_to_next_poll()

    first = next_poll_time("a")
    assert 0 < first - clock.time() <= 60
    clock.sleep(first - clock.time() - 1)
    assert next_poll_time("a") == pytest.approx(first)
    clock.sleep(2)
    assert next_poll_time("a") == pytest.approx(first + 60)
    assert next_poll_time("b") % 60 != first % 60
    # With exponential_backoff, each interval is as long as the wait so far.
    assert (
        540 <= next_poll_time("a", exponential_backoff=True, started=clock.time() - 600) - clock.time() <= 660
    )
    assert (
        60
        < next_poll_time("a", exponential_backoff=True, started=clock.time() - 600, max_wait=120.0)
        - clock.time()
        <= 120
    )


@pytest.mark.parametrize(
    ("change", "more", "status", "message"),
    [
        pytest.param({"Status": "Cancelled"}, {}, "failed", "is Cancelled", id="failed"),
        pytest.param(
            {"IsDeleted": True}, {"wait_if_missing": False}, "failed", "There is no load", id="missing"
        ),
        pytest.param({"IsDeleted": True}, {}, "timeout", "There is no load", id="missing and waited for"),
        pytest.param(
            {"Status": "Cancelled"},
            {"statuses": ["Cancelled"]},
            "success",
            "is Cancelled",
            id="failure waited for",
        ),
        pytest.param({"Status": "Invoiced"}, {"or_later": False}, "timeout", "is Invoiced", id="passed"),
        pytest.param({}, {}, "timeout", "Load", id="not yet"),
    ],
)
def test_every_end_of_a_wait_is_an_event(
    alvys: Simulator,
    triggerer: Triggerer,
    numbers: list[str],
    change: dict[str, Any],
    more: dict[str, Any],
    status: str,
    message: str,
) -> None:
    if change:
        alvys.change(keys=numbers[:1], columns=change)
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0], **more)))
    assert event["status"] == status
    assert message in event["message"]


WAITS: dict[str, Condition] = {
    "a load that does not exist": delivered("1000001"),
    "a trip that does not exist": StatusReached(stream="trips", number="1000001", statuses=["Delivered"]),
    "a document": DocumentExists(parent="load", id="1000001", types=["Proof of Delivery"]),
    "rows": RowsFound(stream="loads", filters={"Status": ["Cancelled"]}, at_least=1000),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_logs_how_often_it_polls_and_until_when_and_again_ever_more_rarely(
    name: str, alvys: Simulator, triggerer: Triggerer, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_alvys.triggers")
    deadline = clock.time() + 43_200
    (event,) = triggerer.run(triggerer.make(WAITS[name], timeout=43_200.0, poke_interval=300.0))
    assert event["status"] == "timeout"
    lines = [record.getMessage() for record in caplog.records if " until " in record.getMessage()]
    polls = alvys.stats()["requests"]
    assert sum(polls.values()) > 140
    # After 10, 20, 40, ... minutes.
    assert 5 <= len(lines) <= 9
    until = datetime.fromtimestamp(deadline, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert all(line.endswith(f". Polling every 300 s until {until}") for line in lines)


def test_the_final_poll_is_at_the_deadline(
    alvys: Simulator, triggerer: Triggerer, clock: StoppedClock, numbers: list[str]
) -> None:
    start = clock.time()
    trigger = triggerer.make(delivered(numbers[0]), timeout=100.0)
    (event,) = triggerer.run(trigger)
    assert event["status"] == "timeout"
    assert 100 <= clock.time() - start < 110


def test_it_polls_once_even_with_a_timeout_of_zero(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0]), timeout=0.0))
    assert (event["status"], "is Covered" in event["message"]) == ("timeout", True)


def test_it_polls_once_if_no_triggerer_ran_at_the_deadline(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    alvys.change(keys=numbers[:1], columns={"Status": "Delivered"})
    found, missed = triggerer.run(
        *(triggerer.make(delivered(number), timeout=-60.0) for number in numbers[:2])
    )
    assert (found["status"], missed["status"]) == ("success", "timeout")
    assert "is Covered" in missed["message"]


@pytest.mark.parametrize("status", [400, 403])
def test_an_error_that_no_retry_can_fix_ends_the_wait(
    alvys: Simulator, triggerer: Triggerer, status: int
) -> None:
    alvys.order_faults({"kind": "status", "status": status, "endpoint": "POST loads/search", "times": 99})
    (event,) = triggerer.run(triggerer.make(delivered("1"), silent_fail=True))
    assert (event["status"], event["is_hopeless"]) == ("error", True)
    assert event["error"] == {400: "AlvysValidationError", 403: "AlvysPermissionError"}[status]
    assert alvys.stats()["requests"]["POST loads/search"] == 1


def test_refused_credentials_end_the_wait_without_the_secret(alvys: Simulator, triggerer: Triggerer) -> None:
    alvys.reset(loads=1, client_secret="another")
    (event,) = triggerer.run(triggerer.make(delivered("1")))
    assert (event["status"], event["error"], event["is_hopeless"]) == ("error", "AlvysAuthError", True)
    assert "simulator-secret" not in json.dumps(event)


def test_a_404_from_a_search_is_polled_again(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    alvys.change(keys=numbers[:1], columns={"Status": "Delivered"})
    alvys.order_faults({"kind": "status", "status": 404, "endpoint": "POST loads/search", "times": 2})
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0])))
    assert event["status"] == "success"


def test_a_max_wait_below_the_interval_causes_no_more_polls(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    triggerer.run(triggerer.make(delivered(numbers[0]), exponential_backoff=True, max_wait=10.0))
    assert alvys.stats()["requests"]["POST loads/search"] <= 12


def test_failures_that_may_pass_do_not_end_the_wait(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    alvys.change(keys=numbers[:1], columns={"Status": "Delivered"})
    alvys.order_faults({"kind": "status", "status": 503, "endpoint": "POST loads/search", "times": 10})
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0]), timeout=3600.0))
    assert event["status"] == "success"
    assert alvys.stats()["requests"]["POST loads/search"] == 11


def test_the_timeout_names_the_last_error(alvys: Simulator, triggerer: Triggerer, numbers: list[str]) -> None:
    alvys.order_faults({"kind": "status", "status": 503, "endpoint": "POST loads/search", "times": 999})
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0]), timeout=300.0))
    assert event["status"] == "timeout"
    assert "AlvysServerError: POST loads/search" in event["message"]


def test_a_missing_connection_is_an_error_at_once(alvys: Simulator, triggerer: Triggerer) -> None:
    trigger = triggerer.make(delivered("1"))
    trigger.alvys_conn_id = "none"
    (event,) = triggerer.run(trigger)
    assert (event["status"], event["error"], event["is_hopeless"]) == (
        "error",
        "AirflowNotFoundException",
        False,
    )


def test_the_connection_is_read_once_for_all(
    alvys: Simulator, triggerer: Triggerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    for name in ("aget_connection", "get_connection"):
        original = getattr(BaseHook, name)
        monkeypatch.setattr(
            BaseHook, name, lambda conn_id, get=original: (read.append(conn_id), get(conn_id))[1]
        )
    triggerer.run(*(triggerer.make(delivered(f"none-{i}"), timeout=0.0) for i in range(20)))
    assert read == ["alvys_default"]


def test_a_bug_is_an_error_event_and_a_traceback(
    alvys: Simulator,
    triggerer: Triggerer,
    numbers: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(StatusReached, "evaluate", lambda self, found: 1 / 0)
    with caplog.at_level("ERROR"):
        (event,) = triggerer.run(triggerer.make(delivered(numbers[0])))
    assert (event["status"], event["error"], event["is_hopeless"]) == ("error", "ZeroDivisionError", False)
    assert any(record.exc_info for record in caplog.records)


def test_with_silent_fail_even_a_bug_does_not_end_the_wait(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StatusReached, "evaluate", lambda self, found: 1 / 0)
    (event,) = triggerer.run(triggerer.make(delivered(numbers[0]), silent_fail=True))
    assert event["status"] == "timeout"
    assert "ZeroDivisionError" in event["message"]


def test_invalid_arguments_are_an_error_event(alvys: Simulator, triggerer: Triggerer) -> None:
    trigger = triggerer.make(delivered("1"))
    trigger.condition = {"type": "of another version"}
    (event,) = triggerer.run(trigger)
    assert (event["status"], event["error"]) == ("error", "ValidationError")


def test_a_cancelled_trigger_does_not_affect_others(
    alvys: Simulator, triggerer: Triggerer, numbers: list[str]
) -> None:
    alvys.change(keys=numbers[1:2], columns={"Status": "Delivered"})
    cancelled, other = (triggerer.make(delivered(number)) for number in numbers[:2])

    async def first(trigger: AlvysSensorTrigger) -> Any:
        return [event.payload async for event in trigger.run()]

    async def run() -> Any:
        tasks = [asyncio.create_task(first(trigger)) for trigger in (cancelled, other)]
        while not triggerer.sleeps:
            await asyncio.sleep(0)
        tasks[0].cancel()
        async with triggerer.time_passes():
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    ended, (event,) = asyncio.run(run())
    assert isinstance(ended, asyncio.CancelledError)
    assert event["status"] == "success"


def test_tokens_are_masked_before_they_are_used(
    alvys: Simulator, triggerer: Triggerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = []

    async def mask(secret: str) -> None:
        masked.append(secret)
        assert alvys.stats()["requests"] == {"POST token": 1}

    monkeypatch.setattr(pollers, "amask_secret", mask)
    triggerer.run(triggerer.make(delivered("1"), timeout=0.0))
    assert masked == alvys.tokens()


def test_a_document_is_waited_for(alvys: Simulator, triggerer: Triggerer, numbers: list[str]) -> None:
    alvys.add(
        stream="load_documents", parent=numbers[0], columns={"AttachmentType": "Proof of Delivery (POD)"}
    )
    condition = DocumentExists(parent="load", id=numbers[0], types=["proof of delivery"])
    (event,) = triggerer.run(triggerer.make(condition))
    assert event["status"] == "success"
    assert "DownloadUrl" not in event["value"]


def test_rows_are_waited_for(alvys: Simulator, triggerer: Triggerer) -> None:
    many = RowsFound(stream="loads", filters={"Status": ["Covered"]})
    few = RowsFound(stream="loads", filters={"Status": ["Quoted"]}, at_least=400)
    found, missed = triggerer.run(triggerer.make(many), triggerer.make(few))
    assert found["status"] == "success"
    assert sorted(found["value"]) == sorted(
        alvys.truth_keys(filters={"Status": ["Covered"], "IncludeDeleted": True})
    )
    assert missed["status"] == "timeout"


def test_the_event_loop_is_never_blocked(alvys: Simulator, connect: Any) -> None:
    """With real threads, and a response of 450 loads."""
    gaps = []

    async def run() -> None:
        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                gaps.append(time.monotonic() - before)

        watcher = asyncio.create_task(watch())
        condition = RowsFound(stream="loads", at_least=400)
        now = time.time()
        trigger = AlvysSensorTrigger(
            alvys_conn_id="alvys_default",
            condition=msgspec.to_builtins(condition),
            deadline=now + 60,
            started=now,
        )
        ((event,),) = [[event.payload async for event in trigger.run()]]
        assert (event["status"], event["is_partial"]) == ("success", True)
        watcher.cancel()

    # A garbage collection over all that Airflow has loaded takes longer.
    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
    assert max(gaps) < 0.2


def test_the_module_imports_nothing_heavy() -> None:
    code = (
        "import airflow.triggers.base, sys\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_alvys.triggers.alvys\n"
        "ours = {name for name in set(sys.modules) - before if name.startswith('airflow_provider_alvys.')}\n"
        "assert ours == {'airflow_provider_alvys.triggers', 'airflow_provider_alvys.triggers.alvys'}, ours\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
