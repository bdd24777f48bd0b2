"""Full reads of several searches, where Alvys honours or ignores the filters in which they differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.conditions import RowsFound, poll_once
from airflow_provider_alvys.operators.alvys import AlvysSearchOperator
from airflow_provider_alvys.sensors.alvys import AlvysSearchSensor
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.task_groups.sync import alvys_sync
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator
from tests.conftest import Land, QuickHook
from tests.lake import read_lines, read_manifest

UNIONS = [stream for stream in STREAMS.values() if len(stream.full_read) > 1]
each_union = pytest.mark.parametrize("stream", UNIONS, ids=lambda stream: stream.name)
each_world = pytest.mark.parametrize("is_ignored", [True, False], ids=["ignored", "honoured"])
# None, one, a full page, more than a page, several pages.
each_size = pytest.mark.parametrize("rows", [0, 1, 200, 321, 650])


def reset(alvys: Simulator, stream: Stream, is_ignored: bool, rows: int, **options: Any) -> None:
    names = {f"{stream.name}.{name}" for branch in stream.full_read for name in branch.filters}
    ignored = " ".join(sorted(names)) if is_ignored else ""
    alvys.reset(loads=0, fleet=0, rows={stream.name: rows}, ignored_filters=ignored, **options)


def calls_of(alvys: Simulator, stream: Stream) -> int:
    return int(alvys.stats()["requests"].get(str(stream.endpoint), 0))


def test_three_streams_are_read_by_several_searches() -> None:
    assert {stream.name for stream in UNIONS} == {"drivers", "trucks", "maintenance"}


@each_union
@each_world
@each_size
@pytest.mark.parametrize("order", ["created", "unstable"])
def test_each_row_is_found_and_counted_once(
    alvys: Simulator, hook: QuickHook, stream: Stream, is_ignored: bool, rows: int, order: str
) -> None:
    reset(alvys, stream, is_ignored, rows, order=order)
    expected = sorted(alvys.truth_keys(stream=stream.name))
    assert len(expected) == rows
    assert hook.count(stream.name) == rows
    if order == "unstable" and rows > stream.page_size:
        # Pages that are shuffled at each request do not show all rows.
        return
    assert sorted(row["Id"] for row in hook.search(stream.name)) == expected
    condition = RowsFound(stream=stream.name, at_least=rows + 1)
    result = poll_once(hook.get_conn(), condition)
    assert (result.outcome, f" {rows} rows" in f" {result.message}") == ("waiting", True)
    if rows:
        assert poll_once(hook.get_conn(), RowsFound(stream=stream.name, at_least=rows)).outcome == "done"
        assert sorted(condition.read_keys(hook.get_conn())) == expected


@each_union
@pytest.mark.parametrize("rows", [1, 200, 321, 650])
def test_a_set_that_was_read_is_not_read_again(
    alvys: Simulator, hook: QuickHook, stream: Stream, rows: int
) -> None:
    reset(alvys, stream, True, rows)
    search = hook.open_search(stream.name)
    assert sum(map(len, search)) == search.total == rows
    pages = math.ceil(rows / stream.page_size)
    # Page 0 of several is read twice, and page 0 of each further search shows that it is the same set.
    assert calls_of(alvys, stream) == pages + (pages > 1) + len(stream.full_read) - 1
    before = calls_of(alvys, stream)
    assert hook.count(stream.name) == rows
    assert calls_of(alvys, stream) == before + len(stream.full_read)


@each_world
def test_two_searches_with_as_many_rows_are_not_taken_for_the_same(
    alvys: Simulator, hook: QuickHook, is_ignored: bool
) -> None:
    stream = get_stream("drivers")
    reset(alvys, stream, is_ignored, 500)
    keys = alvys.truth_keys(stream="drivers")
    for is_active in (True, False):
        alvys.change(stream="drivers", keys=keys[is_active::2], columns={"IsActive": is_active})
    assert hook.count("drivers") == 500
    assert sorted(row["Id"] for row in hook.search("drivers")) == sorted(keys)
    assert poll_once(hook.get_conn(), RowsFound(stream="drivers", at_least=501)).outcome == "waiting"


@each_union
@pytest.mark.parametrize(("rows", "calls"), [(150, 1), (321, 3)])
def test_a_row_that_joins_between_two_searches_is_found(
    alvys: Simulator, hook: QuickHook, stream: Stream, rows: int, calls: int
) -> None:
    reset(alvys, stream, True, rows)
    alvys.order_mutations({"kind": "join", "stream": stream.name, "skip": calls - 1, "times": 1})
    search = hook.open_search(stream.name)
    found = [json.loads(bytes(row))["Id"] for page in search for row in page]
    assert sorted(found) == sorted(alvys.truth_keys(stream=stream.name))
    assert (len(found), search.proof) == (rows + 1, "whole")


@each_union
@each_world
@pytest.mark.parametrize("rows", [150, 321])
def test_a_sync_lands_each_row_once(
    alvys: Simulator, land: Land, stream: Stream, is_ignored: bool, rows: int
) -> None:
    reset(alvys, stream, is_ignored, rows)
    result = land(stream=stream.name, window_by="whole")
    assert sorted(read_lines(result["manifest"])) == sorted(alvys.truth_rows(stream=stream.name))
    manifest = read_manifest(result["manifest"])
    assert (result["rows"], result["proof"], manifest["total"]) == (rows, "whole", rows)
    assert sum(search["rows"] for search in manifest["searches"]) == rows
    assert len(manifest["searches"]) == len(stream.full_read)


@each_world
def test_a_filter_of_the_user_finds_its_rows(alvys: Simulator, hook: QuickHook, is_ignored: bool) -> None:
    reset(alvys, get_stream("trucks"), is_ignored, 60)
    filters = {"Status": ["Active"]}
    expected = sorted(alvys.truth_keys(stream="trucks", filters=json.dumps(filters)))
    assert 0 < len(expected) < 60
    assert sorted(row["Id"] for row in hook.search("trucks", filters)) == expected
    assert hook.count("trucks", filters) == len(expected)
    done = poll_once(hook.get_conn(), RowsFound(stream="trucks", filters=filters, at_least=len(expected)))
    assert (done.outcome, sorted(done.value)) == ("done", expected)


def make_group(**arguments: Any) -> None:
    with DAG("d", schedule=None):
        alvys_sync(**arguments)


IGNORED = [
    (stream.name, filter.name) for stream in STREAMS.values() for filter in stream.filters if filter.ignored
]
USES: dict[str, Callable[[QuickHook, str, dict[str, Any]], Any]] = {
    "search": lambda hook, stream, filters: hook.search(stream, filters),
    "count": lambda hook, stream, filters: hook.count(stream, filters),
    "operator": lambda hook, stream, filters: AlvysSearchOperator(
        task_id="t", stream=stream, filters=filters
    ),
    "sensor": lambda hook, stream, filters: AlvysSearchSensor(task_id="t", stream=stream, filters=filters),
    "sync": lambda hook, stream, filters: AlvysToObjectStorageOperator(
        task_id="t", stream=stream, path="/lake", filters=filters
    ),
    "task group": lambda hook, stream, filters: make_group(
        path="/lake", streams=[stream], filters={stream: filters}
    ),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("stream", "filter"), IGNORED)
def test_a_filter_that_alvys_ignores_is_refused_with_an_alternative(
    alvys: Simulator, hook: QuickHook, stream: str, filter: str, use: str
) -> None:
    with pytest.raises(AlvysValueError, match=f"{filter} of {stream} .*Status"):
        USES[use](hook, stream, {filter: True})
    assert alvys.stats()["requests"] == {}


def test_the_filter_isactive_of_trucks_is_ignored() -> None:
    assert IGNORED == [("trucks", "IsActive")]
