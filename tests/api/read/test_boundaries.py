"""Rows at the ends of windows are found once: a window includes its start and not its end."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, TimeWindow, get_stream
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import Window, format_time
from airflow_provider_alvys.landing.jobs.initial_load import cut_windows
from airflow_provider_alvys.simulator.process import Simulator

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
WINDOWS = [
    pytest.param(stream, window, id=f"{stream.name}-{window.name}")
    for stream in STREAMS.values()
    for window in stream.windows
    if window.column
]


def search(
    client: AlvysClient, stream: Stream, window: TimeWindow, since: datetime, until: datetime, **more: Any
) -> Search:
    parents = more.pop("parents", None)
    queries = make_search_queries(
        stream, {}, since=since, until=until, window_by=window.name, parents=parents
    )
    return Search(client, stream, queries, **more)


def add_rows(alvys: Simulator, stream: Stream, window: TimeWindow, *times: datetime) -> list[str] | None:
    """Leave only rows at these times, and return their parents."""
    alvys.reset(loads=2, fleet=2)
    parents = None
    if stream.parent:
        parent = json.loads(alvys.truth_rows(stream=stream.parent.stream)[0])
        parents = [parent[stream.parent.column]]
    for time in times:
        columns = {window.column: format_time(time)}
        alvys.add(stream=stream.name, columns=columns, parent=parents[0] if parents else None)
    return parents


@pytest.mark.parametrize(("stream", "window"), WINDOWS)
def test_neighbouring_windows_find_each_row_once(
    alvys: Simulator, client: AlvysClient, stream: Stream, window: TimeWindow
) -> None:
    middle, end = START + 10 * DAY, START + 20 * DAY
    # The dates of whole days are midnights.
    ticks = [] if window.whole_days else [middle - TICK, middle + TICK]
    # A long window is split after seven days.
    inside = sorted({START, START + 7 * DAY, *ticks, middle})
    parents = add_rows(alvys, stream, window, *inside, end, START - DAY)
    found = []
    for since, until in ((START, middle), (middle, end)):
        made = search(client, stream, window, since, until, parents=parents)
        rows = [json.loads(bytes(row)) for page in made for row in page]
        # No row was returned twice.
        assert made.total == len(rows) or stream.parent
        assert all(row[window.column][:10] < f"{until:%Y-%m-%d}" or not window.whole_days for row in rows)
        found += [row[window.column][:19] for row in rows]
    assert sorted(found) == [f"{time:%Y-%m-%dT%H:%M:%S}"[: len(found[0])] for time in inside]


def test_a_row_in_the_middle_of_a_halved_window_comes_once(alvys: Simulator, client: AlvysClient) -> None:
    loads = get_stream("loads")
    created = loads.window("created")
    assert created
    times = [START + number * timedelta(hours=1) for number in range(16)]
    add_rows(alvys, loads, created, *times)
    made = search(client, loads, created, START, START + 16 * timedelta(hours=1), max_window_rows=2)
    assert sum(len(page) for page in made) == len(times)
    # Neither half returned a row of the other.
    assert made.state.repeats == 0


def test_windows_of_a_backfill_share_their_boundaries() -> None:
    for every, whole_days in ((timedelta(hours=5), False), (DAY, True), ("month", True), ("week", False)):
        windows = cut_windows(START, START + 40 * DAY, every, whole_days=whole_days)
        ends = [window["until"] for window in windows]
        assert [window["since"] for window in windows] == [format_time(START), *ends[:-1]]


def test_whole_days_end_at_midnight_unless_the_end_is_included() -> None:
    noon = START + timedelta(hours=12)
    for until in (START + TICK, noon, START + DAY):
        assert Window(START, until).whole_days() == Window(START, START + DAY)
        included = Window(START, until).whole_days(includes_end=True)
        assert included == Window(START, START + DAY - TICK)
        assert included.period()["End"] == "2026-03-01T23:59:59.9999999Z"
    assert Window(noon, None).whole_days() == Window(START, None)
    last = datetime(9999, 12, 31, 12, tzinfo=timezone.utc)
    assert Window(START, last).whole_days().until == datetime.max.replace(tzinfo=timezone.utc)


def test_a_window_is_split_at_shared_boundaries() -> None:
    pieces = Window(START, START + 20 * DAY).split(7 * DAY)
    assert [(piece.since, piece.until) for piece in pieces] == [
        (START, START + 7 * DAY),
        (START + 7 * DAY, START + 14 * DAY),
        (START + 14 * DAY, START + 20 * DAY),
    ]
