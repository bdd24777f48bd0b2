"""Queries: the sets of rows that a search or a sync reads one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE, Branch, Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.api.read.windows import ALL_TIME, Window, as_utc


@dataclass(frozen=True)
class Query:
    """
    One set of rows.

    :param fields: of the request, without the window, the page and the parents.
    :param window: None for a search without a window.
    :param by: the stream's time window that ``window`` applies to.
    :param parents: ids of the parents: one, or as many as a request takes.
    """

    stream: Stream
    fields: Mapping[str, Any] = field(default_factory=dict)
    window: Window | None = None
    by: TimeWindow | None = None
    parents: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path below the API base."""
        if not self.stream.is_child:
            return self.stream.path
        before, _, rest = self.stream.path.partition("{")
        return before + quote(self.parents[0], safe="") + rest.partition("}")[2]

    def request(self, page: int, page_size: int) -> dict[str, Any]:
        """Return the request for one page, as :meth:`AlvysClient.call` takes it."""
        fields = dict(self.fields)
        if self.window is not None and self.by is not None:
            period = self.window.period()
            if isinstance(self.by.param, str):
                fields[self.by.param] = period
            else:
                fields |= dict(zip(self.by.param, period.values(), strict=False))
        if self.stream.parent and self.stream.parent.param:
            fields[self.stream.parent.param] = list(self.parents)
        body: dict[str, Any] = {}
        for name, value in fields.items():
            *outer, last = name.split(".")
            target = body
            for key in outer:
                target = target.setdefault(key, {})
            target[last] = value
        if self.stream.response_type == "page":
            body |= {"Page": page, "PageSize": page_size}
        return {"json": body} if self.stream.method == "POST" else {"params": body or None}


class RequestedWindow(msgspec.Struct, frozen=True):
    """
    The window that a user or a cursor requests, before it is widened for one of the stream's time windows.

    :param until: None for no end.
    :param overlap: how far a window begins before ``since`` at least. None adds nothing at either end.
    :param look_back: in place of the time window's own.
    :param look_ahead: in place of the time window's own.
    """

    since: datetime
    until: datetime | None
    overlap: timedelta | None = msgspec.field(default=None, name="reach")
    look_back: timedelta | None = None
    look_ahead: timedelta | None = None

    def resolve(self, by: TimeWindow) -> Window:
        """Return the window to request by one of the stream's time windows."""
        since, until = self.since, self.until
        if self.overlap is not None:
            since -= max(self.overlap, by.look_back if self.look_back is None else self.look_back)
        if until is not None and self.look_ahead is not None:
            until += self.look_ahead
        elif until is not None and self.overlap is not None:
            until = None if by.look_ahead is None else until + by.look_ahead
        if until is None and by.needs_end and by.max_length is None:
            until = ALL_TIME.until
        window = Window(since, until)
        return window.whole_days(includes_end=by.includes_end) if by.whole_days else window


def make_queries(
    stream: Stream,
    filters: Mapping[str, Any],
    *,
    window: RequestedWindow | None = None,
    by: TimeWindow | None = None,
    parents: Sequence[str] | None = None,
) -> list[Query]:
    """
    Return the queries that together find the requested rows.

    :param window: None for all rows.
    :param by: the stream's time window that ``window`` applies to; it may consist of several searches.
    :param parents: ids, for a stream that is read per parent.
    :raises AlvysValueError: an argument is wrong; nothing was sent.
    """
    given = stream.validate_filters(filters)
    if by is None:
        branches = stream.full_read
        if not branches:
            raise AlvysValueError(f"{stream.name} cannot be read without a window: give since and until")
    else:
        branches = by.branches or (Branch(window=by.name),)
    queries = [
        query
        for branch in branches
        if (fields := _merge_filters(stream, branch.filters, given)) is not None
        for query in _branch_queries(stream, fields, branch, window)
    ]
    ids = parse_parents(stream, parents)
    if stream.parent is None or ids is None:
        return queries
    ids = list(dict.fromkeys(ids))
    size = 1 if stream.is_child else stream.parent.batch_size
    batches = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
    return [replace(query, parents=batch) for batch in batches for query in queries]


def enclosing_window(
    stream: Stream, by: TimeWindow | None, requested: Sequence[RequestedWindow]
) -> Window | None:
    """Return the smallest window around all that are requested, or None for a stream read without one."""
    if by is None or not requested:
        return None
    names = [branch.window for branch in by.branches if branch.window and not branch.unbounded] or [by.name]
    windows = [one.resolve(found) for one in requested for name in names if (found := stream.window(name))]
    ends = [window.until for window in windows if window.until]
    return Window(min(window.since for window in windows), max(ends) if len(ends) == len(windows) else None)


def _branch_queries(
    stream: Stream, filters: dict[str, Any], branch: Branch, requested: RequestedWindow | None
) -> list[Query]:
    """Return the queries of a branch: several where a list or the window is too long for one request."""
    by = stream.window(branch.window or WHOLE)
    requests = _split_lists(stream, stream.search_fields(filters, by))
    if by is None:
        return [Query(stream, fields) for fields in requests]
    window = ALL_TIME if branch.unbounded or requested is None else requested.resolve(by)
    pieces = [window] if by.max_length is None else window.split(by.max_length)
    return [Query(stream, fields, piece, by) for fields in requests for piece in pieces]


def _split_lists(stream: Stream, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of as many requests as are needed for lists with more values than Alvys takes."""
    found = [fields]
    for filter in stream.filters:
        size, given = filter.max_items, fields.get(filter.name) or ()
        if size and len(given) > size:
            values = list(dict.fromkeys(given))
            parts = [values[at : at + size] for at in range(0, len(values), size)]
            found = [{**each, filter.name: part} for each in found for part in parts]
    return found


def _merge_filters(
    stream: Stream, branch: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return a branch's filters and the user's together, or None where they contradict each other."""
    merged = {**branch, **given}
    revealing = {filter.name for filter in stream.filters if filter.unhides}
    for name in branch.keys() & given.keys():
        if name in revealing:
            # Rows that either filter hides stay hidden.
            merged[name] = branch[name] and given[name]
        elif isinstance(branch[name], list):
            # The branch lists every documented value, so the user's values are among them.
            merged[name] = [value for value in branch[name] if value in given[name]]
            if not merged[name]:
                return None
        elif branch[name] != given[name]:
            return None
    return merged


def make_search_queries(
    stream: Stream,
    filters: Mapping[str, Any],
    *,
    since: datetime | str | None,
    until: datetime | str | None,
    window_by: str | None,
    parents: Sequence[str] | None,
) -> list[Query]:
    """
    Return the queries of a search with a user's arguments.

    :raises AlvysValueError: an argument is wrong.
    """
    window = parse_window(since, until)
    if window is None:
        if window_by is not None and stream.window(window_by) is not None:
            raise AlvysValueError("window_by needs a window: give since, too")
        return make_queries(stream, filters, parents=parents)
    by = stream.window(window_by)
    if by is None:
        raise AlvysValueError(explain_missing_window(stream, window_by))
    return make_queries(stream, filters, window=window, by=by, parents=parents)


def parse_window(since: datetime | str | None, until: datetime | str | None) -> RequestedWindow | None:
    """
    Return the window that a user requests; None for all rows.

    :raises AlvysValueError: a time is wrong, or the window is empty.
    """
    if since is None:
        if until is not None:
            raise AlvysValueError("until needs a window: give since, too")
        return None
    window = Window(as_utc(since, "since"), None if until is None else as_utc(until, "until"))
    return RequestedWindow(window.since, window.until)


def explain_missing_window(stream: Stream, window_by: str | None) -> str:
    """Return what to do about a time that was given for a stream that is read without a window."""
    if window_by is not None:
        return f"window_by={window_by!r} reads all rows: leave since and until out, or name a window"
    names = ", ".join(repr(window.name) for window in stream.windows)
    advice = f"say which window since applies to, window_by={names}" if names else "leave since and until out"
    return f"{stream.name} are read in full, since Alvys has no window on their changes: {advice}"
