"""Cost of an initial load: rows, requests and hours of each stream."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import AlvysPermissionError, AlvysValueError
from airflow_provider_alvys.api.http.pacing import estimate_seconds
from airflow_provider_alvys.api.read.queries import Query, RequestedWindow, make_queries, parse_window
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import ALL_TIME

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient


@dataclass(frozen=True)
class StreamPlan:
    """
    The cost of an initial load of one stream.

    :param stream: name of the stream.
    :param rows: number of rows; None where they cannot be counted, or the token may not read them.
    :param requests: number of requests to read them; None where unknown.
    :param documented_hours: duration at the rate limit that Alvys documents.
    :param paced_hours: duration at the pace that the connection sets.
    :param missing_scope: the scope that the token lacks, or None.
    :param note: further remarks.
    """

    stream: str
    rows: int | None = None
    requests: int | None = None
    documented_hours: float | None = None
    paced_hours: float | None = None
    missing_scope: str | None = None
    note: str = ""


def plan_streams(
    client: AlvysClient,
    streams: Sequence[Stream],
    *,
    since: datetime | str | None,
    until: datetime | str | None,
    page_size: int | None,
    requests_per_minute: float | None,
) -> list[StreamPlan]:
    """
    Return a plan for each stream, in the given order. Sends at most one request, of one row, for each.

    :param since: start of the load, for streams that are synced by a window; None for all rows.
    :raises AlvysValueError: an argument is wrong; nothing was sent.
    """
    window = parse_window(since, until)
    plans: dict[str, StreamPlan] = {}
    # Parents first: their number of rows is the number of requests for their children.
    for stream in sorted(streams, key=lambda stream: stream.parent is not None):
        plan = _plan_stream(client, stream, window, plans, page_size)
        if plan.requests is not None:
            documented, paced = (
                estimate_seconds(stream.endpoint, plan.requests, rate) / 3600
                for rate in (None, requests_per_minute)
            )
            plan = replace(plan, documented_hours=documented, paced_hours=paced)
        plans[stream.name] = plan
    return [plans[stream.name] for stream in streams]


def _plan_stream(
    client: AlvysClient,
    stream: Stream,
    window: RequestedWindow | None,
    plans: Mapping[str, StreamPlan],
    page_size: int | None,
) -> StreamPlan:
    scopes = client.scopes
    if stream.scope and stream.scope_is_documented and scopes is not None and stream.scope not in scopes:
        return StreamPlan(stream.name, missing_scope=stream.scope)
    parent = stream.parent
    if parent is not None:
        parents = plans[parent.stream].rows if parent.stream in plans else None
        requests = None if parents is None else math.ceil(parents / parent.batch_size)
        each = "row of" if stream.is_child else f"{parent.batch_size}"
        return StreamPlan(stream.name, requests=requests, note=f"one request for each {each} {parent.stream}")
    if stream.response_type != "page":
        return StreamPlan(stream.name, requests=1, note="all in one response")
    try:
        queries, searches = _queries_to_count(stream, window)
        search = Search(client, stream, queries, page_size=page_size)
        rows = search.count()
    except AlvysPermissionError as error:
        note = "" if error.missing_scope else str(error)
        return StreamPlan(stream.name, missing_scope=error.missing_scope, note=note)
    except AlvysValueError as error:
        return StreamPlan(stream.name, note=str(error))
    pages = max(1, math.ceil(rows / search.requested_page_size))
    # A set of several pages reads page 0 twice. Each further search has at least one page, and each but the
    # last counts again.
    requests = pages + (pages > 1) + 2 * (searches - 1)
    note = f"the first of {searches} searches counted" if searches > 1 else ""
    return StreamPlan(stream.name, rows, requests, note=note)


def _queries_to_count(stream: Stream, requested: RequestedWindow | None) -> tuple[list[Query], int]:
    """
    Return the one search of an initial load that is counted, and the number of its searches.

    :raises AlvysValueError: the stream has no search without a window.
    """
    regular = stream.window(None)
    # Where a window consists of several, the first finds nearly all rows.
    by = next((window for window in stream.windows if not window.branches), None)
    if requested is not None and regular is not None and by is not None:
        return make_queries(stream, {}, window=requested, by=by), len(regular.branches) or 1
    if len(stream.full_read) > 1 and by is not None and set(by.params) <= set(stream.any_of):
        # One search finds the rows of all.
        return [Query(stream, {}, ALL_TIME, by)], 1
    return make_queries(stream, {})[:1], len(stream.full_read)
