"""Land, search, count and look up every stream of the catalogue over HTTP."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Branch, Filter, Lookup, Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysNotFoundError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.fields import Record, without_fields
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.simulator.app.server import SimulatorApp
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, Land, QuickHook, SkippingClock
from tests.lake import read_lines, read_manifest

pytestmark = pytest.mark.slow

EVERY = pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda stream: stream.name)
PAGED = pytest.mark.parametrize(
    "stream",
    [stream for stream in STREAMS.values() if stream.response_type == "page" and not stream.parent],
    ids=lambda stream: stream.name,
)
EARLY, LATE = "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
# Not a multiple of any page size.
ROWS = 321


def parents_of(alvys: Simulator, stream: Stream, max_parents: int = 12) -> list[str] | None:
    if stream.parent is None:
        return None
    rows = [json.loads(row) for row in alvys.truth_rows(stream=stream.parent.stream)[:max_parents]]
    return [row[stream.parent.column] for row in rows if stream.parent.column in row]


def expected_rows(alvys: Simulator, stream: Stream, parents: list[str] | None, **window: str) -> list[bytes]:
    query = {"stream": stream.name, **window}
    if parents is not None:
        query["parents"] = json.dumps(parents)
    return alvys.truth_rows(**query)


def default_window(stream: Stream) -> dict[str, str]:
    """Return a window with all rows, if the stream has a default window."""
    if stream.default_window is None:
        return {}
    # Some streams take seven days a request: a shorter window keeps the number of requests small.
    is_split = any(window.max_length for window in stream.windows)
    return {
        "since": "2026-08-01T00:00:00Z" if is_split else EARLY,
        "until": "2027-01-01T00:00:00Z" if is_split else LATE,
    }


@EVERY
def test_every_stream_lands_exactly_its_rows(alvys: Simulator, land: Land, stream: Stream) -> None:
    alvys.reset(loads=ROWS, fleet=ROWS)
    parents = parents_of(alvys, stream)
    window = default_window(stream)
    result = land(stream=stream.name, parents=parents, **window)
    lines = read_lines(result["manifest"])
    expected = expected_rows(alvys, stream, parents, **window)
    if secrets := stream.secret_fields:
        expected = [dump_json(without_fields(decode_row(row), secrets)).encode() for row in expected]
    assert sorted(lines) == sorted(expected)
    assert lines, "no rows"
    assert (result["rows"], result["proof"]) == (len(lines), "whole")
    manifest = read_manifest(result["manifest"])
    assert [entry["ids"] for entry in manifest["parents"]] == _batches(stream, parents)
    assert sum(entry["rows"] for entry in manifest["parents"]) == (len(lines) if parents else 0)


def _batches(stream: Stream, parents: list[str] | None) -> list[list[str]]:
    size = stream.parent.batch_size if stream.parent else 1
    return [(parents or [])[at : at + size] for at in range(0, len(parents or []), size)]


@EVERY
def test_every_stream_can_be_searched(alvys: Simulator, hook: QuickHook, stream: Stream) -> None:
    parents = parents_of(alvys, stream)
    window = {} if stream.full_read else default_window(stream)
    found = list(hook.search(stream.name, parents=parents, **window))
    assert len(found) == len(expected_rows(alvys, stream, parents, **window))
    assert hook.count(stream.name, parents=parents, **window) == len(found) if stream.full_read else True


@pytest.mark.parametrize(
    ("stream", "window"),
    [
        pytest.param(stream, window, id=f"{stream.name}-{window.name}")
        for stream in STREAMS.values()
        for window in stream.windows
    ],
)
def test_every_window_finds_exactly_its_rows(
    alvys: Simulator, hook: QuickHook, stream: Stream, window: TimeWindow
) -> None:
    parents = parents_of(alvys, stream)
    bounds = {"since": "2026-10-10T00:00:00Z", "until": "2026-10-31T23:59:59.999999Z"}
    search = hook.open_search(stream.name, window_by=window.name, parents=parents, **bounds)
    found = [bytes(row) for page in search for row in page]
    assert sorted(found) == sorted(expected_rows(alvys, stream, parents, window_by=window.name, **bounds))


@pytest.mark.parametrize(
    "stream", [stream for stream in STREAMS.values() if stream.lookup], ids=lambda stream: stream.name
)
def test_every_lookup_finds_its_record(alvys: Simulator, hook: QuickHook, stream: Stream) -> None:
    assert stream.lookup
    parents = parents_of(alvys, stream)
    rows = expected_rows(alvys, stream, parents[:1] if parents else None)
    record = decode_row(next(row for row in rows if not decode_row(row).get("IsDeleted")))
    record.pop("IsDeleted", None)
    in_path = re.findall(r"\{(\w+)\}", stream.lookup.path)
    for name, column in stream.lookup.one_of.items():
        assert hook.get(stream.name, **{name: record[column]}) == record
        python_name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        assert hook.get(stream.name, **{python_name: record[column]}) == record
    if in_path:
        selector = dict(
            zip(
                in_path,
                [*(parents[:1] if len(in_path) > 1 and parents else []), record[stream.key[0]]],
                strict=True,
            )
        )
        found = hook.get(stream.name, **selector)
        assert found == record
        with pytest.raises(AlvysNotFoundError):
            hook.get(stream.name, **{**selector, in_path[-1]: 987654321})


def test_nineteen_streams_have_a_lookup() -> None:
    assert sum(stream.lookup is not None for stream in STREAMS.values()) == 19


def test_a_lookup_finds_a_deleted_trip_with_include_deleted(alvys: Simulator, hook: QuickHook) -> None:
    deleted = next(row for row in map(json.loads, alvys.truth_rows(stream="trips")) if row["IsDeleted"])
    with pytest.raises(AlvysNotFoundError):
        hook.get("trips", id=deleted["Id"])
    assert hook.get("trips", id=deleted["Id"], include_deleted=True)["IsDeleted"] is True


@pytest.mark.parametrize(
    ("stream", "selector", "named"),
    [
        ("loads", {}, "id or loadNumber or orderNumber"),
        ("loads", {"id": "1", "loadNumber": "2"}, "id.*loadNumber"),
        ("loads", {"number": "1"}, "^number"),
        ("trips", {"id": "1", "includeDeleted": "yes"}, "includeDeleted"),
        ("trip_stops", {"stop_id": "1"}, "tripId and stopId"),
        ("carriers", {"id": ".."}, "id="),
        ("users", {"id": "1"}, "hook.search"),
    ],
)
def test_an_invalid_selector_is_rejected(
    alvys: Simulator, hook: QuickHook, stream: str, selector: dict[str, Any], named: str
) -> None:
    with pytest.raises(AlvysValueError, match=named):
        hook.get(stream, **selector)
    assert alvys.stats()["requests"] == {}


@PAGED
@pytest.mark.parametrize("rows", ["none", "one", "one full page", "one more than a full page"])
def test_the_number_of_requests_is_minimal(
    alvys: Simulator, hook: QuickHook, stream: Stream, rows: str
) -> None:
    count = {"none": 0, "one": 1, "one full page": stream.page_size}.get(rows, stream.page_size + 1)
    alvys.reset(loads=0, fleet=0, rows={stream.name: count})
    window = default_window(stream)
    search = hook.open_search(stream.name, **window)
    found = [row for page in search for row in page]
    assert len(found) == len(expected_rows(alvys, stream, None, **window)) == count
    requests = alvys.stats()["requests"][str(stream.endpoint)]
    # These windows are still open: the first of several pages and the totals of several searches repeat.
    sets = [result.total for _, result in search.results if not result.is_repeat]
    again = 0 if any(window.max_length for window in stream.windows) else len(sets) - 1
    repeats = len(search.results) - len(sets)
    assert (
        requests
        == search.state.requests
        == sum(min_requests(total, stream.page_size) for total in sets) + again + repeats
    )


def pages(total: int, page_size: int) -> int:
    return max(1, math.ceil(total / page_size))


def min_requests(total: int, page_size: int) -> int:
    return pages(total, page_size) + (total > page_size)


# A stream that is not in the catalogue.
TRAILER_WASHES = Stream(
    name="trailer_washes",
    description="A trailer that was washed",
    path="maintenance/events/search",
    scope="maintenance:read",
    key=("Id",),
    fields=Record(STREAMS["maintenance"].fields.fields),
    filters=(Filter("Status", "string", values=("Open", "Closed")),),
    any_of=("Status", "Range"),
    windows=(TimeWindow("created", "Range", "CreatedAt", whole_days=True),),
    default_window="created",
    full_read=(Branch({"Status": "Open"}), Branch({"Status": "Closed"})),
    lookup=Lookup("maintenance/events/{id}"),
)


@pytest.fixture
def own_simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A simulator in this process with the new stream; yields its URL."""
    monkeypatch.setitem(STREAMS, TRAILER_WASHES.name, TRAILER_WASHES)  # type: ignore[arg-type]
    app = SimulatorApp(Options(loads=250))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", date_header=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            pass
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_a_new_stream_needs_only_a_catalogue_row(
    own_simulator: str, alvys: Simulator, land: Land, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        CONNECTION, alvys.connection_json(requests_per_minute=0).replace(alvys.url, own_simulator)
    )
    result = land(stream="trailer_washes", since=EARLY, until=LATE, window_by="created")
    assert result["rows"] == 250
    whole = land(stream="trailer_washes", window_by="whole")
    assert sorted(read_lines(whole["manifest"])) == sorted(read_lines(result["manifest"]))
    hook = QuickHook(clock)
    record = decode_row(read_lines(whole["manifest"])[0])
    assert hook.get("trailer_washes", id=record["Id"]) == record
    assert [row["Id"] for row in hook.search("trailer_washes", {"Status": "Open"})]
