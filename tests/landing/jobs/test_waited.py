"""What a run has waited for the rate limit is counted over kills, retries and deferrals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysServerError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested
from airflow_provider_alvys.api.http.retries import RetryRules
from airflow_provider_alvys.api.read.statuses import StatusWatch
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync import land as land_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, SkippingClock, StoppedClock, make_client
from tests.lake import read_manifest

pytestmark = pytest.mark.every_airflow

SEARCH = "POST loads/search"
CONTEXT: Any = {"run_id": "run", "ti": SimpleNamespace(dag_id="dag", task_id="land", map_index=-1)}
IDENTITY = RunIdentity(dag_id="dag", task_id="land", map_index=-1, run_id="run")
SPEC = SyncSpec(
    get_stream("loads"),
    "acme",
    since=as_utc("2020-01-01T00:00:00Z", "since"),
    until=as_utc("2030-01-01T00:00:00Z", "until"),
    window_by="created",
    page_size=10,
    part_rows=50,
)


class Killed(BaseException):
    """A simulated SIGKILL."""


@pytest.fixture
def read(alvys: Simulator, lake: Path) -> Callable[..., dict[str, Any]]:
    """Run one attempt at 10 requests a minute, as a process of its own."""
    clock = StoppedClock()

    def read(attempt_clock: Any = None, **options: Any) -> dict[str, Any]:
        resumed = options.pop("is_resumed", False)
        client = make_client(alvys, clock=attempt_clock or clock, **{"requests_per_minute": 10, **options})
        return land_stream(client, Store(str(lake)), SPEC, IDENTITY, is_resumed=resumed)

    read.clock = clock  # type: ignore[attr-defined]
    return read


def test_a_paced_read_has_waited_as_long_as_it_slept(read: Any) -> None:
    result = read()
    assert (result["requests"], result["attempt"]) == (46, 1)
    assert result["waited"] == pytest.approx(4 * 61.2, abs=0.1)
    assert result["waited"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)
    assert result["seconds"] == pytest.approx(result["waited"], abs=0.001)


def test_the_result_and_the_manifest_say_the_same(land: Land) -> None:
    result = land(until="2026-11-01T00:00:00Z")
    manifest = read_manifest(result["manifest"])
    for name in ("as_of", "requests", "waited", "seconds", "attempt", "bytes"):
        assert result[name] == manifest[name]
    assert result["as_of"] == "2026-11-01T00:00:00Z"
    assert result["bytes"] == sum(part["bytes"] for part in manifest["parts"]) > 0
    assert (result["waited"], result["cadence"]) == (0, 3600)


def test_a_window_that_ends_later_shows_no_later_state(land: Land) -> None:
    before = datetime.now(timezone.utc)
    result = land(until="2100-01-01T00:00:00Z")
    as_of = datetime.fromisoformat(result["as_of"].replace("Z", "+00:00"))
    assert timedelta(seconds=50) <= before - as_of < timedelta(seconds=61)
    assert read_manifest(result["manifest"])["window"]["until"] == result["until"] == "2100-01-01T00:00:00Z"


def test_a_sync_that_is_not_regular_has_no_cadence(land: Land) -> None:
    assert land(filters={"CustomerId": "c"})["cadence"] is None
    assert land(window_by="created", since="2026-01-01T00:00:00Z")["cadence"] is None


def test_a_stream_that_is_read_in_full_is_as_of_the_start_of_the_reading(land: Land) -> None:
    result = land(stream="customers", initial_since=None)
    manifest = read_manifest(result["manifest"])
    assert manifest["as_of"] is None
    assert result["as_of"] == manifest["read_from"]


@pytest.mark.parametrize(("status", "is_counted"), [(429, True), (503, False)])
def test_a_wait_after_a_429_counts_and_one_after_another_failure_does_not(
    alvys: Simulator, clock: SkippingClock, land: Land, status: int, is_counted: bool
) -> None:
    alvys.order_faults({"kind": "status", "status": status, "endpoint": SEARCH, "retry_after": "30"})
    result = land()
    assert 30 <= sum(clock.sleeps) < 32
    assert result["waited"] == pytest.approx(sum(clock.sleeps) if is_counted else 0, abs=0.001)


def test_a_wait_for_the_token_counts(alvys: Simulator, clock: SkippingClock, land: Land) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 429, "endpoint": "POST token", "retry_after": "30", "times": 1}
    )
    assert 30 <= land()["waited"] == pytest.approx(sum(clock.sleeps), abs=0.001)


def test_the_waits_of_a_killed_process_count_up_to_its_last_part(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, calls = AlvysClient.call, iter(range(1, 1000))

    def dying(client: AlvysClient, *arguments: Any, **options: Any) -> Any:
        if next(calls) == 28:
            raise Killed
        return call(client, *arguments, **options)

    monkeypatch.setattr(AlvysClient, "call", dying)
    with pytest.raises(Killed):
        read()
    killed = sum(read.clock.sleeps)
    assert killed == pytest.approx(2 * 61.2, abs=0.1)
    result = read()
    assert killed < result["waited"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)
    assert result["seconds"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)


def test_the_waits_of_a_failed_attempt_count(read: Any, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 503, "endpoint": SEARCH, "skip": 25, "times": 1})
    with pytest.raises(AlvysServerError):
        read(retry_rules=RetryRules(attempts=1))
    before = sum(read.clock.sleeps)
    assert 0 < before < read()["waited"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)


def test_deferrals_count(read: Any) -> None:
    deferred: list[float] = []
    while True:
        clock = BoundedClock(read.clock, defer_after=20)
        try:
            result = read(clock, is_resumed=bool(deferred))
            break
        except DeferRequested as wait:
            deferred.append(wait.seconds)
            read.clock.sleep(wait.seconds)
    assert len(deferred) == 4
    assert result["waited"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)
    assert result["seconds"] == pytest.approx(sum(read.clock.sleeps), abs=0.001)
    assert result["attempt"] == 1


def test_a_cleared_task_counts_anew_and_one_that_starts_over_does_not(
    read: Any, alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = iter(range(25))

    def incomplete(watch: StatusWatch, rows: Any) -> None:
        if next(pages, None) is None:
            raise AlvysIncompleteError("some rows may be missing")

    first = read()["waited"]
    again = read()
    assert (again["attempt"], again["waited"]) == (2, pytest.approx(sum(read.clock.sleeps) - first, abs=0.01))
    landed = sum(read.clock.sleeps)
    with monkeypatch.context() as patch:
        patch.setattr(StatusWatch, "observe", incomplete)
        with pytest.raises(AlvysIncompleteError):
            read()
    # The third attempt gave up: its folder has no manifest, so its waits count in the next one.
    third = sum(read.clock.sleeps) - landed
    assert third > 0
    last = read()
    assert last["attempt"] == 4
    assert third < last["waited"] == pytest.approx(sum(read.clock.sleeps) - landed, abs=0.01)
