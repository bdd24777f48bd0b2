"""Check requests and estimates under the documented rate limits, with a short minute."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync import land
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, QuickHook, SkippingClock, make_client
from tests.lake import read_manifest
from tests.test_every_stream import min_requests

pytestmark = pytest.mark.slow

EARLY = datetime(2020, 1, 1, tzinfo=timezone.utc)
RECENT = datetime(2026, 11, 1, tzinfo=timezone.utc)

PAGED = [stream for stream in STREAMS.values() if stream.response_type == "page" and not stream.parent]


def test_two_consecutive_syncs_of_every_paged_stream_get_no_429(alvys: Simulator, lake: Path) -> None:
    # More pages than the limit allows at once.
    alvys.reset(loads=1250, fleet=130, limits=True, minute=1)
    # Each endpoint has its own pace, so the streams can wait at the same time.
    assert len({stream.endpoint for stream in PAGED}) == len(PAGED)
    expected: Counter[str] = Counter()
    for run in ("first", "second"):
        with ThreadPoolExecutor(max_workers=4) as pool:
            for requests in pool.map(partial(sync, alvys, lake, run), PAGED):
                expected.update(requests)
        assert alvys.stats()["requests"] == {**expected, "POST token": 1}
    assert alvys.stats()["tokens"] == 1
    assert alvys.stats()["rate_limited"] == 0


def sync(alvys: Simulator, lake: Path, run: str, stream: Stream) -> Counter[str]:
    """Sync a stream, and return the minimum number of requests by endpoint."""
    # A new client, as in a new process: it knows the earlier requests only from the pace file.
    client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=300)
    is_split = any(window.max_length for window in stream.windows)
    spec = SyncSpec(
        stream,
        "tenant",
        since=RECENT if is_split else None,
        initial_since=EARLY,
        page_size=100,
    )
    identity = RunIdentity(dag_id="dag", task_id=stream.name, map_index=-1, run_id=run)
    result = land(client, Store(str(lake)), spec, identity)
    manifest = read_manifest(result["manifest"])
    assert manifest["proof"] == "whole"
    is_closed = bool(stream.default_window and stream.window(None).tracks_changes)  # type: ignore[union-attr]
    # Of searches that differ in a filter that Alvys ignores, only the first is read.
    is_ignored = any(filter.ignored for filter in stream.filters)
    searches = manifest["searches"][:1] if is_ignored else manifest["searches"]
    expected = (
        len(manifest["searches"])
        - len(searches)
        + sum(
            max(1, -(-search["total"] // 100)) if is_closed else min_requests(search["total"], 100)
            for search in searches
        )
    )
    # Of several searches, each except the last requests its total again.
    expected += 0 if is_split else len(searches) - 1
    assert manifest["requests"] == expected, stream.name
    requests = Counter({str(stream.endpoint): expected})
    if stream.control and stream.default_window is None:
        # A read of all rows is compared with a search that needs no list of statuses.
        other = get_stream(stream.control.stream or stream.name)
        requests.update([str(stream.endpoint), str(other.endpoint)])
    return requests


def test_two_consecutive_tasks_of_one_endpoint_get_no_429(alvys: Simulator, lake: Path) -> None:
    """Eight pages each within one minute: the second task counts the requests of the first."""
    minute = 6.0
    alvys.reset(loads=160, limits=True, minute=minute)
    for run in ("first", "second"):
        client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=10 * 60 / minute)
        spec = SyncSpec(
            get_stream("loads"), "tenant", page_size=20, since=EARLY, until=RECENT, window_by="created"
        )
        began = time.monotonic()
        land(client, Store(str(lake)), spec, RunIdentity(dag_id="dag", task_id=run, map_index=-1, run_id=run))
        took = time.monotonic() - began
        time.sleep(3 * minute / 60)
    # The second task waits until the requests of the first are a minute old.
    assert took > minute / 2
    assert alvys.stats()["rate_limited"] == 0
    assert alvys.stats()["requests"]["POST loads/search"] >= 14


def test_the_plan_for_50_000_loads_agrees_with_a_read(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=50_000, days=900)
    monkeypatch.setenv(CONNECTION, alvys.connection_json())
    # At the documented pace, with a clock that skips the waits.
    clock = SkippingClock()
    hook = QuickHook(clock)
    (whole,) = hook.plan(["loads"])
    assert whole.rows == 50_000
    assert alvys.stats()["requests"]["POST loads/search"] == 1
    assert whole.documented_hours == whole.paced_hours == pytest.approx(0.42, rel=0.05)
    began = clock.time()
    rows = sum(
        len(page) for page in hook.open_search("loads", since="2025-11-26T00:00:00Z", window_by="created")
    )
    assert rows > 15_000
    assert (clock.time() - began) / 3600 == pytest.approx(whole.documented_hours * rows / 50_000, rel=0.15)
