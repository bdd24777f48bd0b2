"""What a first load would cost, before it is begun."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import AlvysPermissionError, AlvysValueError
from airflow_provider_alvys.api.http.pacing import estimate_seconds
from airflow_provider_alvys.api.read.queries import Query, Span, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import ALL_TIME, Window, as_utc

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class StreamPlan:
    """
    What loading one stream would cost.

    :param stream: its name.
    :param rows: how many there are; None where only reading them can tell, or where the token may not.
    :param requests: how many it takes to read them; None where that is not known.
    :param documented_hours: how long they take at the pace that Alvys documents.
    :param paced_hours: how long they take at the pace that the connection sets.
    :param missing_scope: the scope that the token lacks, or None.
    :param note: what else to know.
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
    Return a plan for each stream, in the order given. At most one request, of one row, is sent for each.

    :param since: start of what is to be loaded, for streams whose sync has a window; None for everything.
    :raises AlvysValueError: an argument is wrong; nothing was sent.
    """
    span = _span(since, until)
    plans: dict[str, StreamPlan] = {}
    # Parents first: their number is their children's.
    for stream in sorted(streams, key=lambda stream: stream.parent is not None):
        plan = _plan(client, stream, span, plans, page_size)
        if plan.requests is not None:
            documented, paced = (
                estimate_seconds(stream.endpoint, plan.requests, rate) for rate in (None, requests_per_minute)
            )
            plan = replace(
                plan, documented_hours=documented / _SECONDS_PER_HOUR, paced_hours=paced / _SECONDS_PER_HOUR
            )
        plans[stream.name] = plan
    return [plans[stream.name] for stream in streams]


def _span(since: datetime | str | None, until: datetime | str | None) -> Span | None:
    if since is None:
        if until is not None:
            raise AlvysValueError("until belongs to a window: give since, too")
        return None
    span = Span(as_utc(since, "since"), None if until is None else as_utc(until, "until"))
    Window(span.since, span.until)
    return span


def _plan(
    client: AlvysClient,
    stream: Stream,
    span: Span | None,
    plans: Mapping[str, StreamPlan],
    page_size: int | None,
) -> StreamPlan:
    scopes = client.scopes
    if stream.scope and stream.scope_is_documented and scopes is not None and stream.scope not in scopes:
        return StreamPlan(stream.name, missing_scope=stream.scope)
    if stream.parent is not None:
        parents = plans[stream.parent.stream].rows if stream.parent.stream in plans else None
        requests = None if parents is None else math.ceil(parents / stream.parent.batch_size)
        each = (
            f"row of {stream.parent.stream}"
            if stream.is_child
            else f"{stream.parent.batch_size} {stream.parent.stream}"
        )
        return StreamPlan(stream.name, requests=requests, note=f"one request for each {each}")
    if stream.response_type != "page":
        return StreamPlan(stream.name, requests=1, note="all in one answer")
    try:
        queries, searches = _first_load(stream, span)
        search = Search(client, stream, queries, page_size=page_size)
        rows = search.count()
    except AlvysPermissionError as error:
        return StreamPlan(
            stream.name, missing_scope=error.missing_scope, note="" if error.missing_scope else str(error)
        )
    except AlvysValueError as error:
        return StreamPlan(stream.name, note=str(error))
    pages = max(1, math.ceil(rows / search.requested_page_size))
    # Of several pages in a set that may grow, the first is read again. Of several searches, each other has a page at least, and
    # each but the last tells its total once more.
    requests = pages + (pages > 1) + 2 * (searches - 1)
    note = f"the first of {searches} searches counted" if searches > 1 else ""
    return StreamPlan(stream.name, rows, requests, note=note)


def _first_load(stream: Stream, span: Span | None) -> tuple[list[Query], int]:
    """
    Return the one search of a first load that is counted, and how many there are.

    :raises AlvysValueError: only reading them can tell, or there is none.
    """
    regular = stream.window(None)
    # Of a window that unites several: the first, which finds nearly all.
    window = next((window for window in stream.windows if not window.branches), None)
    if span is not None and regular is not None and window is not None:
        return make_queries(stream, {}, span=span, by=window), len(regular.branches) or 1
    if len(stream.full_read) > 1 and window is not None and set(window.params) <= set(stream.any_of):
        # All that several searches find, in one.
        return [Query(stream, {}, ALL_TIME, window)], 1
    return make_queries(stream, {})[:1], len(stream.full_read)
