"""Processes of one machine keep one pace. A pacer of its own stands for a process where one is enough."""

from __future__ import annotations

import fcntl
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import AlvysToObjectStorageOperator
from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.http import shared_pace
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, BoundedClock, DeferRequested
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.simulator.controls.limits import RateLimiter
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import StoppedClock

LOADS = endpoint_of("POST", "loads/search")
TRIPS = endpoint_of("POST", "trips/search")
CARRIERS = endpoint_of("POST", "carriers/search")
BUDGET = "client@https://alvys.test"
# Real processes, of which each has the state of this one.
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pace"
    monkeypatch.setattr(shared_pace, "pace_folder", lambda: str(folder))
    return folder


def process(clock: StoppedClock, rate: float | None = None, budget: str = BUDGET) -> Pacer:
    return Pacer(rate, clock=clock, shared_as=budget)


def send(pacer: Pacer, clock: StoppedClock, endpoint: Endpoint = LOADS, requests: int = 1) -> list[float]:
    """Return when each request was sent."""
    sent = []
    for _ in range(requests):
        with pacer.slot(endpoint):
            sent.append(clock.time())
            clock.now += 0.1
    return sent


def start(function: Callable[[], Any]) -> Any:
    child = FORK.Process(target=function)
    child.start()
    return child


def test_two_tasks_on_different_paths_meet_no_429(
    alvys: Simulator, connect: Callable[..., None], tmp_path: Path
) -> None:
    alvys.reset(loads=200, limits=True, minute=0.5)
    connect(requests_per_minute=1200, page_size=10)
    both = FORK.Barrier(2)

    def sync(name: str) -> None:
        operator = AlvysToObjectStorageOperator(
            task_id="loads", stream="loads", path=str(tmp_path / name), initial_since="2020-01-01T00:00:00Z"
        )
        both.wait()
        assert operator.execute({})["rows"] == 200

    tasks = [start(lambda name=name: sync(name)) for name in ("company", "warehouse")]
    for task in tasks:
        task.join(60)
    assert [task.exitcode for task in tasks] == [0, 0]
    stats = alvys.stats()
    assert stats["requests"]["POST loads/search"] == 40
    assert stats["rate_limited"] == 0


@pytest.mark.parametrize("endpoint", [LOADS, CARRIERS], ids=str)
def test_processes_keep_the_limit_of_an_endpoint_together(endpoint: Endpoint, clock: StoppedClock) -> None:
    pacers, limiter = [process(clock) for _ in range(3)], RateLimiter(60)
    for number in range(60):
        with pacers[number * 7 % 3].slot(endpoint):
            clock.now += (number * 37 % 10) / 50
            assert limiter.admits("client", endpoint, clock.time())
            clock.now += (number * 53 % 10) / 50


def test_processes_keep_the_limit_of_a_token_together(clock: StoppedClock) -> None:
    first, second = process(clock), process(clock)
    began = clock.now
    send(first, clock, LOADS, 5)
    for endpoint in (TRIPS, endpoint_of("POST", "invoices/search")):
        with second.slot(endpoint):
            clock.now += 0.001
        send(second, clock, endpoint, 2)
    assert clock.now - began > 1


def test_another_budget_and_another_rate_have_a_pace_of_their_own(clock: StoppedClock) -> None:
    send(process(clock), clock, requests=10)
    before = clock.now
    for other in (process(clock, budget="other@https://alvys.test"), process(clock, 600)):
        send(other, clock, requests=10)
    assert clock.now - before < 10


def test_a_pace_that_one_process_reduced_holds_for_all_and_ends_for_all(clock: StoppedClock) -> None:
    first, second = process(clock), process(clock)
    send(first, clock)
    first.record_429(LOADS)
    clock.sleep(100)
    sent = send(second, clock, requests=6)
    assert sent[5] - sent[0] > 60
    clock.sleep(3700)
    sent = send(second, clock, requests=10)
    assert sent[9] - sent[0] < 10


def test_processes_that_meet_the_same_block_reduce_the_pace_once(clock: StoppedClock) -> None:
    first, second, third = process(clock), process(clock), process(clock)
    first.record_429(LOADS)
    clock.sleep(100)
    second.record_429(LOADS)
    assert second.rate(LOADS) == first.rate(LOADS) == 5
    clock.sleep(200)
    third.record_429(LOADS)
    assert third.rate(LOADS) == 2


def test_a_request_of_a_process_that_was_killed_counts_and_its_lock_ends() -> None:
    pacer = Pacer(shared_as=BUDGET)

    def die() -> None:
        with pacer.slot(LOADS):
            os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(10):
        child = start(die)
        child.join(30)
        assert child.exitcode == -signal.SIGKILL
    with pytest.raises(DeferRequested) as wait, pacer.slot(LOADS, BoundedClock(SYSTEM_CLOCK, defer_after=1)):
        pass
    assert 30 < wait.value.seconds < 62


def test_a_wait_that_defers_the_task_leaves_the_file_to_others(clock: StoppedClock) -> None:
    first, second = process(clock), process(clock)
    send(first, clock, requests=10)
    with pytest.raises(DeferRequested), first.slot(LOADS, BoundedClock(clock, defer_after=20)):
        pass
    began = clock.now
    send(second, clock)
    assert clock.now - began == pytest.approx(61.2, abs=2)


def test_a_request_that_takes_long_stops_no_other_process(clock: StoppedClock) -> None:
    first, second = process(clock), process(clock)
    with first.slot(LOADS):
        began = clock.now
        send(second, clock, requests=9)
        assert clock.now - began < 10
        # It counts while it is under way.
        with pytest.raises(DeferRequested), second.slot(LOADS, BoundedClock(clock, defer_after=20)):
            pass


def test_a_clock_that_was_set_back_costs_one_period(clock: StoppedClock) -> None:
    send(process(clock), clock, requests=10)
    clock.now -= 86_400
    began = clock.now
    send(process(clock), clock)
    assert clock.now - began == pytest.approx(61.2, abs=1)


def test_a_damaged_file_is_written_anew(folder: Path, clock: StoppedClock) -> None:
    send(process(clock), clock)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-5])
    send(process(clock), clock, requests=10)
    began = clock.now
    send(process(clock), clock)
    assert clock.now - began > 50


def test_only_the_user_can_open_the_folder_and_its_files(folder: Path, clock: StoppedClock) -> None:
    send(process(clock), clock)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "client" not in "".join(path.name + path.read_text() for path in folder.iterdir())


def spoil(folder: Path, how: str) -> None:
    if how == "open to others":
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    elif how == "a link":
        target = folder.with_name("target")
        target.mkdir(mode=0o700)
        folder.symlink_to(target)
    else:
        folder.write_text("a file")


@pytest.mark.parametrize("how", ["open to others", "a link", "a file"])
def test_a_folder_that_cannot_be_used_costs_one_warning_and_no_request(
    how: str, folder: Path, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder, how)
    pacer = process(clock)
    sent = send(pacer, clock, LOADS, 11)
    send(pacer, clock, TRIPS, 2)
    assert sent[10] - sent[0] > 60, "the process keeps its own pace"
    assert [record.levelno for record in caplog.records if "TMPDIR" in record.getMessage()] == [
        logging.WARNING
    ]


def test_a_process_that_hangs_does_not_stop_the_others_for_long(
    folder: Path, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    pacer = process(clock)
    send(pacer, clock)
    held = [os.open(file, os.O_RDWR) for file in folder.iterdir()]
    for descriptor in held:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    began = clock.now
    send(pacer, clock, requests=3)
    assert 120 <= clock.now - began < 125
    assert len([record for record in caplog.records if "has kept" in record.getMessage()]) == 1
    for descriptor in held:
        os.close(descriptor)
    clock.sleep(3700)
    send(pacer, clock, requests=10)
    before = clock.now
    send(process(clock), clock)
    assert clock.now - before > 50, "shared again"
