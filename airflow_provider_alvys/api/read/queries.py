"""What is asked for, made into the sets that are read one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE, Branch, Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.parent_ids import list_parents
from airflow_provider_alvys.api.read.windows import ALL_TIME, Window, as_utc


@dataclass(frozen=True)
class Query:
    """
    One set of rows, read as a whole.

    :param fields: of the request, without the window, the page and the parents.
    :param window: None for a search without one.
    :param by: which of the stream's time windows ``window`` is.
    :param parents: whose children are asked for: one, or as many as a request takes.
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
        sent: dict[str, Any] = {}
        for name, value in self._flat_fields().items():
            *outer, last = name.split(".")
            place = sent
            for word in outer:
                place = place.setdefault(word, {})
            place[last] = value
        if self.stream.response_type == "page":
            sent |= {"Page": page, "PageSize": page_size}
        return {"json": sent} if self.stream.method == "POST" else {"params": sent or None}

    def _flat_fields(self) -> dict[str, Any]:
        fields = dict(self.fields)
        if self.window is not None and self.by is not None:
            period = self.window.period()
            if isinstance(self.by.param, str):
                fields[self.by.param] = period
            else:
                fields |= dict(zip(self.by.param, period.values(), strict=False))
        if self.stream.parent and self.stream.parent.param:
            fields[self.stream.parent.param] = list(self.parents)
        return fields


@dataclass(frozen=True)
class Span:
    """
    A window as it is asked for, before each of the stream's windows makes of it what it needs.

    :param until: None for no end.
    :param reach: how far before ``since`` each window begins at least. The windows' own ``look_back`` and ``look_ahead``, or
        those given here in their place, count only where this is not None.
    """

    since: datetime
    until: datetime | None
    reach: timedelta | None = None
    look_back: timedelta | None = None
    look_ahead: timedelta | None = None

    def window(self, by: TimeWindow) -> Window:
        """Return the window to ask for."""
        since, until = self.since, self.until
        if self.reach is not None:
            since -= max(self.reach, by.look_back if self.look_back is None else self.look_back)
        if until is not None:
            until = self._ahead(by, until)
        if until is None and by.needs_end and by.max_length is None:
            until = ALL_TIME.until
        window = Window(since, until)
        return window.whole_days() if by.whole_days else window

    def _ahead(self, by: TimeWindow, until: datetime) -> datetime | None:
        if self.look_ahead is not None:
            return until + self.look_ahead
        if self.reach is None:
            return until
        return None if by.look_ahead is None else until + by.look_ahead


def make_queries(
    stream: Stream,
    filters: Mapping[str, Any],
    *,
    span: Span | None = None,
    by: TimeWindow | None = None,
    parents: Sequence[str] | None = None,
) -> list[Query]:
    """
    Return the sets that together are what is asked for.

    :param span: None for everything.
    :param by: one of the stream's windows, which ``span`` is; may be one that unites several.
    :param parents: for a stream that is read by its parents: their ids.
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
        if (fields := _merge(stream, branch.filters, given)) is not None
        for query in _cut(stream, stream.search_fields(fields), branch, span)
    ]
    ids = list_parents(stream, parents)
    if stream.parent is None or ids is None:
        return queries
    ids = list(dict.fromkeys(ids))
    size = 1 if stream.is_child else stream.parent.batch_size
    batches = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
    return [replace(query, parents=batch) for batch in batches for query in queries]


def outer_window(stream: Stream, by: TimeWindow | None, spans: Sequence[Span]) -> Window | None:
    """Return the bounds of all windows that spans mean for one of the stream's windows, or None where there is none."""
    if by is None or not spans:
        return None
    named = (
        [stream.window(branch.window) for branch in by.branches if branch.window and not branch.unbounded]
        if by.branches
        else [by]
    )
    windows = [span.window(window) for span in spans for window in named if window is not None]
    ends = [window.until for window in windows]
    last = None if None in ends else max(end for end in ends if end is not None)
    return Window(min(window.since for window in windows), last)


def _cut(stream: Stream, fields: dict[str, Any], branch: Branch, span: Span | None) -> list[Query]:
    by = stream.window(branch.window or WHOLE)
    if by is None:
        return [Query(stream, fields)]
    window = ALL_TIME if branch.unbounded or span is None else span.window(by)
    pieces = [window] if by.max_length is None else window.pieces(by.max_length)
    return [Query(stream, fields, piece, by) for piece in pieces]


def _merge(stream: Stream, branch: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a branch's filters and the user's together, or None where they contradict each other."""
    merged = {**branch, **given}
    revealing = {filter.name for filter in stream.filters if filter.unhides}
    for name in branch.keys() & given.keys():
        if name in revealing:
            # What it hides is hidden by either.
            merged[name] = branch[name] and given[name]
        elif isinstance(branch[name], list):
            # All the values that there are, by the documents: the user's is one of them.
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
    Return the sets for a search as users ask for it.

    :raises AlvysValueError: an argument is wrong.
    """
    if since is None:
        if until is not None or (window_by is not None and stream.window(window_by) is not None):
            raise AlvysValueError("until and window_by belong to a window: give since, too")
        return make_queries(stream, filters, parents=parents)
    by = stream.window(window_by)
    if by is None:
        raise AlvysValueError(no_window(stream, window_by))
    span = Span(as_utc(since, "since"), None if until is None else as_utc(until, "until"))
    if span.until is not None:
        Window(span.since, span.until)
    return make_queries(stream, filters, span=span, by=by, parents=parents)


def no_window(stream: Stream, window_by: str | None) -> str:
    """Return what to do about a time that was given for a stream that is read whole."""
    if window_by is not None:
        return f"window_by={window_by!r} has {stream.name} read whole: leave since and until out, or name a window"
    names = ", ".join(repr(window.name) for window in stream.windows)
    advice = f"say which window since belongs to, window_by={names}" if names else "leave since and until out"
    return f"{stream.name} are read whole, since Alvys has no window on their changes: {advice}"
