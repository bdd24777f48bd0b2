"""What a first load would cost, before it is begun."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_provider_alvys.api.catalogue.model import Stream
from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.errors import AlvysPermissionError
from airflow_provider_alvys.api.pacing import seconds_for
from airflow_provider_alvys.api.queries import Query, make_queries, make_search_queries
from airflow_provider_alvys.api.search import Search

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

    :param since: start of what is to be loaded, for streams with a window; None for everything.
    :raises AlvysValueError: an argument is wrong; nothing was sent.
    """
    queries = {stream.name: _first_load(stream, since, until) for stream in streams}
    plans: dict[str, StreamPlan] = {}
    for stream in streams:
        plan = _plan(client, stream, queries[stream.name], plans, page_size)
        if plan.requests is not None:
            documented, paced = (seconds_for(stream.endpoint, plan.requests, rate) for rate in (None, requests_per_minute))
            plan = replace(plan, documented_hours=documented / _SECONDS_PER_HOUR, paced_hours=paced / _SECONDS_PER_HOUR)
        plans[stream.name] = plan
    return list(plans.values())


def _first_load(stream: Stream, since: datetime | str | None, until: datetime | str | None) -> list[Query]:
    """Return the searches of a first load, none where they depend on other rows."""
    if stream.parent is not None:
        return []
    # Of a window that unites several: the first, which finds nearly all.
    window = next((window for window in stream.windows if not window.unites), None)
    if since is not None and window is not None:
        return make_search_queries(stream, {}, since=since, until=until, window_by=window.name, parents=None)
    return make_queries(stream, {}) if stream.whole else []


def _plan(
    client: AlvysClient, stream: Stream, queries: list[Query], plans: Mapping[str, StreamPlan], page_size: int | None
) -> StreamPlan:
    scopes = client.scopes
    if stream.scope and stream.scope_is_documented and scopes is not None and stream.scope not in scopes:
        return StreamPlan(stream.name, missing_scope=stream.scope)
    if stream.parent is not None:
        parents = plans[stream.parent.stream].rows if stream.parent.stream in plans else None
        requests = None if parents is None else math.ceil(parents / stream.parent.batch)
        each = f"row of {stream.parent.stream}" if stream.is_child else f"{stream.parent.batch} {stream.parent.stream}"
        return StreamPlan(stream.name, requests=requests, note=f"one request for each {each}")
    if stream.answer != "page":
        return StreamPlan(stream.name, requests=1, note="all in one answer")
    if not queries:
        return StreamPlan(stream.name, note="read by its window only: give since")
    search = Search(client, stream, queries[:1], page_size=page_size)
    try:
        rows = search.count()
    except AlvysPermissionError:
        return StreamPlan(stream.name, missing_scope=stream.scope or "undocumented")
    pages = max(1, math.ceil(rows / search.asked_page_size))
    # Of several pages in a set that may grow, the first is read again.
    requests = pages + (pages > 1) + len(queries) - 1
    note = f"the first of {len(queries)} searches counted" if len(queries) > 1 else ""
    return StreamPlan(stream.name, rows, requests, note=note)
