"""A search for a list that finds nothing: Alvys answers 404, asked twice it is an empty list."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysNotFoundError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested
from airflow_provider_alvys.api.poll.batching import non_blocking_options
from airflow_provider_alvys.api.poll.change_feed import ChangeRequest, ChangesQuery
from airflow_provider_alvys.api.poll.conditions import RowsFound, poll_once
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.operators.alvys import AlvysSearchOperator
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, QuickHook, SkippingClock, make_client
from tests.lake import read_manifest

LISTS = [stream for stream in STREAMS.values() if stream.is_list_search]
each_list = pytest.mark.parametrize("stream", LISTS, ids=lambda stream: stream.name)
WINDOW = {"since": "2020-01-01T00:00:00Z", "until": "2031-01-01T00:00:00Z"}


def window_of(stream: Stream) -> dict[str, str]:
    return WINDOW if stream.default_window else {}


def parents_of(stream: Stream, *, batches: int = 1) -> list[str] | None:
    parent = stream.parent
    return parent and [f"P{number}" for number in range((batches - 1) * parent.batch_size + 1)]


@pytest.fixture(params=["404", "list"])
def empty(request: pytest.FixtureRequest, alvys: Simulator) -> Simulator:
    """An Alvys without rows in these streams, in both worlds."""
    alvys.reset(fleet=150, rows=dict.fromkeys((stream.name for stream in LISTS), 0), empty_list=request.param)
    return alvys


def calls_of(alvys: Simulator, stream: Stream) -> int:
    return int(alvys.stats()["requests"][str(stream.endpoint)])


def test_the_lists_are_the_events_and_the_dispatch_preferences() -> None:
    names = {"driver_events", "truck_events", "trailer_events", "dispatch_preferences"}
    assert {stream.name for stream in LISTS} == names


def search(hook: QuickHook, stream: Stream, **arguments: Any) -> object:
    return list(hook.search(stream.name, **arguments))


def count(hook: QuickHook, stream: Stream, **arguments: Any) -> object:
    return [0] * hook.count(stream.name, **arguments)


def operator(hook: QuickHook, stream: Stream, **arguments: Any) -> object:
    task = AlvysSearchOperator(task_id="search", stream=stream.name, **arguments)
    task.hook = hook
    return task.execute({})


def sensor(hook: QuickHook, stream: Stream, **arguments: Any) -> object:
    result = poll_once(hook.get_conn(), RowsFound(stream=stream.name, **arguments))
    assert result.outcome == "waiting"
    return result.value or []


@each_list
@pytest.mark.parametrize("read", [search, count, operator, sensor])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_search_that_finds_nothing_is_empty(
    empty: Simulator, hook: QuickHook, stream: Stream, read: Callable[..., object], batches: int
) -> None:
    batches = batches if stream.parent else 1
    assert read(hook, stream, parents=parents_of(stream, batches=batches), **window_of(stream)) == []
    each = 2 if empty.options.empty_list == "404" else 1
    assert calls_of(empty, stream) == batches * each


@each_list
def test_a_sync_that_finds_nothing_lands_no_rows_and_moves_its_cursor(
    empty: Simulator, land: Land, stream: Stream
) -> None:
    parents = parents_of(stream, batches=2)
    first = land(stream=stream.name, parents=parents, settling=0)
    manifest = read_manifest(first["manifest"])
    assert (first["rows"], first["proof"], manifest["total"], manifest["missing_parents"]) == (
        0,
        "whole",
        0,
        [],
    )
    assert [len(group["ids"]) for group in manifest["parents"]] == ([100, 1] if stream.parent else [])
    if stream.default_window:
        # From the cursor.
        again = land(stream=stream.name, parents=parents, settling=0, look_back=0, initial_since=None)
        assert (again["rows"], again["since"] > first["since"]) == (0, True)


@each_list
def test_a_stray_404_loses_no_row(alvys: Simulator, hook: QuickHook, stream: Stream) -> None:
    alvys.reset(fleet=150, loads=150)
    parents = stream.parent and alvys.truth_keys(stream=stream.parent.stream)
    expected = len(alvys.truth_keys(stream=stream.name, parents=json.dumps(parents)))
    assert expected > 0
    for read in (search, count):
        alvys.order_faults({"kind": "status", "status": 404, "endpoint": str(stream.endpoint)})
        found = read(hook, stream, parents=parents, **window_of(stream))
        assert isinstance(found, list)
        assert len(found) == expected


@pytest.mark.parametrize(
    "stream", [stream for stream in LISTS if stream.parent], ids=lambda stream: stream.name
)
def test_a_batch_with_rows_is_read_beside_an_empty_one(
    alvys: Simulator, hook: QuickHook, stream: Stream
) -> None:
    assert stream.parent
    alvys.reset(fleet=150, rows={stream.name: 0})
    parents = alvys.truth_keys(stream=stream.parent.stream)
    alvys.add(stream=stream.name, parent=parents[120], columns={"StartDate": "2026-10-01T00:00:00Z"})
    for read in (search, count):
        assert len(read(hook, stream, parents=parents, **WINDOW)) == 1  # type: ignore[arg-type]


@each_list
def test_waits_between_the_two_requests_do_not_start_them_anew(
    empty: Simulator, clock: SkippingClock, stream: Stream
) -> None:
    client = make_client(empty, requests_per_minute=1, **non_blocking_options(clock))
    condition = RowsFound(stream=stream.name, parents=parents_of(stream, batches=2), **window_of(stream))
    query, item = condition.request()
    (found,) = run_job(query.make_job([item]), client, clock)
    assert (found.total, found.has_all_keys) == (0, True)
    each = 2 if empty.options.empty_list == "404" else 1
    assert calls_of(empty, stream) == (2 * each if stream.parent else each)


def test_a_watcher_with_waits_between_the_two_requests_finds_no_change(
    empty: Simulator, clock: SkippingClock
) -> None:
    (stream,) = (stream for stream in LISTS if any(window.tracks_changes for window in stream.windows))
    client = make_client(empty, requests_per_minute=1, **non_blocking_options(clock))
    query = ChangesQuery(stream, stream.windows[0])
    job = query.make_job([ChangeRequest(datetime(2026, 1, 1, tzinfo=timezone.utc))])
    (found,) = run_job(job, client, clock)
    assert (found.changes, found.is_complete) == ((), True)


def run_job(job: Any, client: AlvysClient, clock: SkippingClock) -> Any:
    for _ in range(20):
        try:
            if (results := job.step(client)) is not None:
                return results
        except DeferRequested as request:
            clock.sleep(request.seconds)
    raise AssertionError("the job does not end")


@each_list
def test_a_search_resumes_between_the_two_requests(
    empty: Simulator, clock: SkippingClock, stream: Stream
) -> None:
    client = make_client(empty, requests_per_minute=1, clock=BoundedClock(clock, defer_after=0.0))
    times = {"since": None, "until": None, **window_of(stream)}
    queries = make_search_queries(stream, {}, window_by=None, parents=parents_of(stream, batches=2), **times)
    state = None
    for _ in range(20):
        search = Search(client, stream, queries, state=state)
        try:
            assert [row for page in search for row in page] == []
            break
        except DeferRequested as request:
            clock.sleep(request.seconds)
            state = msgspec.json.decode(msgspec.json.encode(search.save()), type=SearchState)
    each = 2 if empty.options.empty_list == "404" else 1
    assert calls_of(empty, stream) == search.state.requests == each * len(queries)
    assert (search.total, search.proof, len(search.results)) == (0, "whole", len(queries))


@each_list
def test_a_search_can_be_read_after_its_first_page(empty: Simulator, hook: QuickHook, stream: Stream) -> None:
    search = hook.open_search(stream.name, parents=parents_of(stream), **window_of(stream))
    assert search.first_page().rows == []
    assert [row for page in search for row in page] == []
    assert len(search.results) == 1


@pytest.mark.parametrize(
    "stream",
    [
        stream
        for stream in STREAMS.values()
        if not stream.is_list_search and not stream.parent and stream.full_read
    ],
    ids=lambda stream: stream.name,
)
@pytest.mark.parametrize("read", [search, count])
def test_a_404_of_any_other_stream_stays_an_error(
    alvys: Simulator, hook: QuickHook, stream: Stream, read: Callable[..., object]
) -> None:
    alvys.order_faults({"kind": "status", "status": 404, "endpoint": str(stream.endpoint), "times": 9})
    with pytest.raises(AlvysNotFoundError):
        read(hook, stream)
