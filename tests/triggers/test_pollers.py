from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_alvys.api.poll.batching import Poller
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers import sensor_loop
from airflow_provider_alvys.triggers.sensor_loop import SensorLoop
from tests.conftest import StoppedClock

pytestmark = pytest.mark.every_airflow

_SENSORS = 500
_POLLS = 12


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """The generation of each garbage collection, with the thresholds of Python 3.11."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(700, 10, 10)
    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)


def make_loop(number: str, deadline: float, **more: Any) -> SensorLoop:
    condition = {"type": "status", "stream": "loads", "number": number, "statuses": ["Delivered"]}
    made: dict[str, Any] = {
        "started": 0.0,
        "exponential_backoff": False,
        "max_wait": None,
        "silent_fail": False,
        **more,
    }
    return SensorLoop("alvys_default", condition, deadline=deadline, poke_interval=60.0, **made)


def test_waiting_sensors_cause_few_garbage_collections(alvys: Simulator, collections: list[int]) -> None:
    clock = StoppedClock(1_700_000_000.0)
    asleep: list[asyncio.Future[None]] = []

    async def sleep(seconds: float) -> None:
        if seconds <= 1:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asleep.append(woken)
        await woken

    async def run() -> int:
        loops = [
            make_loop(f"none-{i}", clock.time() + 1e6, clock=clock, sleep=sleep) for i in range(_SENSORS)
        ]
        tasks = [asyncio.create_task(loop.run()) for loop in loops]
        for poll in range(_POLLS + 2):
            while len(asleep) < _SENSORS:
                await asyncio.sleep(0.01)
            if poll == 1:
                # The first poll allocates what the later ones reuse.
                collections.clear()
            clock.sleep(60)
            woken, asleep[:] = asleep[:], []
            for future in woken:
                future.set_result(None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(collections)

    # About four objects per sensor and poll, including those of the requests.
    assert asyncio.run(run()) < 6 * _POLLS


def test_a_hanging_request_ends_with_the_final_poll(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def poll(self: Poller, query: Any, item: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(Poller, "poll", poll)
    monkeypatch.setattr(sensor_loop, "_FINAL_POLL_SECONDS", (0.1, 0.2))
    began = time.monotonic()
    event = asyncio.run(make_loop("1", time.time() + 0.3).run())
    assert event["status"] == "timeout"
    assert 0.4 < time.monotonic() - began < 5
