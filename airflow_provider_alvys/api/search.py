"""One search: a stream, filters and a window, read as a whole set of raw rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import requests

from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.errors import AlvysError, AlvysNotFoundError, AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.keyset import KeySet
from airflow_provider_alvys.api.pages import PageWalk, Proof
from airflow_provider_alvys.api.rows import Key, Page, PageReader, Row
from airflow_provider_alvys.api.streams import Stream, TimeWindow
from airflow_provider_alvys.api.windows import Window, as_utc

log = logging.getLogger(__name__)

MAX_WINDOW_ROWS = 50_000
# More rows than this changed during a walk: reading them would cost what another pass costs.
_MOST_CHANGED = 1000
# How long before it shows a change may be dated. One dated earlier is noticed, and costs another pass.
_CHANGE_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Query:
    """
    What to read. Checked when it is made, so that nothing is sent for a bad one.

    :param window: None for everything there is.
    :param by: which of the stream's time windows ``window`` is; None where there is none.
    :raises AlvysValueError: a filter that the stream does not have, or a value that Alvys would refuse.
    """

    stream: Stream
    filters: Mapping[str, Any] = field(default_factory=dict)
    window: Window | None = None
    by: TimeWindow | None = None

    def __post_init__(self) -> None:
        self.stream.check_filters(self.filters)

    def body(self, window: Window | None, page: int, page_size: int) -> dict[str, Any]:
        """Return the body that asks for one page."""
        body = self.stream.body(self.filters)
        if window is not None and self.by is not None:
            body[self.by.param] = window.period()
        return {**body, "Page": page, "PageSize": page_size}


def make_query(
    stream: Stream,
    filters: Mapping[str, Any],
    *,
    since: datetime | str | None,
    until: datetime | str | None,
    window_by: str | None,
) -> Query:
    """
    Return a checked query.

    :raises AlvysValueError: an argument is wrong.
    """
    if since is None:
        if until is not None or window_by is not None:
            raise AlvysValueError("until and window_by belong to a window: give since, too")
        return Query(stream, filters)
    window = Window(as_utc(since, "since"), None if until is None else as_utc(until, "until"))
    return Query(stream, filters, window, stream.window(window_by))


class Search:
    """
    Read a query's rows, once each, in pages of raw JSON.

    What it found out stands in its attributes when the iteration has ended.

    :param page_size: rows asked for at once; None means the catalogue's.
    :param max_window_rows: a window with more rows is cut in half, and again, down to a minute.
    """

    def __init__(
        self,
        client: AlvysClient,
        query: Query,
        *,
        page_size: int | None = None,
        max_window_rows: int = MAX_WINDOW_ROWS,
    ) -> None:
        if page_size is not None and page_size < 1:
            raise AlvysValueError(f"page_size={page_size} is no number of rows: give 1 or more")
        self.query = query
        self.total: int | None = None
        self.proof: Proof = "whole"
        self.passes = 0
        self.requests = 0
        # When the first answer came, at the latest, by the earlier of our clock and the API's, in seconds since 1970.
        self.began_at: float | None = None
        self.page_size = page_size or query.stream.page_size
        self._client = client
        self._max_window_rows = max_window_rows
        self._reader = PageReader(query.stream.key)
        self._seen = KeySet()

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the new rows of each page.

        :raises AlvysIncompleteError: a window that should only shrink could not be proved whole.
        :raises AlvysError: a subclass says what went wrong.
        """
        yield from self._read(self.query.window)

    def count(self) -> int:
        """Return how many rows there are, by one request of one row."""
        return self._fetch(self.query.window, 0, 1).total

    def _read(self, window: Window | None) -> Iterator[list[Row]]:
        first = self._fetch(window, 0, self.page_size)
        if self.total is None:
            self.total = first.total
            self.began_at = self._client.now(at_latest=True)
        began = self._client.now()
        halves = window.halves() if window is not None and first.total > self._max_window_rows else None
        if halves:
            log.info("%s has %d rows %s: cutting the window in half", self._name, first.total, window)
            for half in halves:
                yield from self._read(half)
            return
        walk = PageWalk(
            lambda page, size: self._fetch(window, page, size),
            name=self._name,
            page_size=self.page_size,
            closed=self._is_closed(window),
            seen=self._seen,
            changed=lambda: self._changed_since(window, began),
            first=first,
        )
        yield from walk
        self.passes = max(self.passes, walk.passes)
        self.page_size = walk.page_size
        if walk.proof == "open":
            self.proof = "open"
        if window is self.query.window:
            self.total = walk.total

    @property
    def _name(self) -> str:
        return self.query.stream.name

    def _is_closed(self, window: Window | None) -> bool:
        by = self.query.by
        if window is None or by is None or not by.tracks_changes:
            return False
        return window.has_ended(self._client.now(at_latest=True))

    def _changed_since(self, window: Window | None, began: float) -> list[Key] | None:
        """
        Return the keys of all rows, whatever the filters, that changed since the window was first asked for; None for too many.

        :param began: when that was, in seconds since 1970.
        """
        if window is None or window.until is None:
            return None
        # A row at the very end of the window has not left it.
        first = datetime.fromtimestamp(began, timezone.utc) - _CHANGE_MARGIN
        after = Window(max(window.until + timedelta(microseconds=1), first), None)
        query = Query(self.query.stream, {}, after, self.query.by)
        search = Search(self._client, query, page_size=self.page_size)
        try:
            return search._keys(most=_MOST_CHANGED)
        except AlvysNotFoundError:
            # A stray one: there is always a first page. Another pass will tell.
            return None
        finally:
            self.requests += search.requests

    def _keys(self, most: int) -> list[Key] | None:
        """Return the keys of a set of at most ``most`` rows that held still, else None."""
        first = self._fetch(self.query.window, 0, self.page_size)
        if first.total > most:
            return None
        keys: list[Key] = list(first.keys)

        def fetch(number: int, size: int) -> Page:
            page = self._fetch(self.query.window, number, size)
            keys.extend(page.keys)
            return page

        walk = PageWalk(fetch, name=self._name, page_size=self.page_size, closed=False, seen=self._seen, first=first)
        for _ in walk:
            pass
        return list(dict.fromkeys(keys)) if walk.proof == "whole" else None

    def _fetch(self, window: Window | None, page: int, page_size: int) -> Page:
        stream = self.query.stream
        self.requests += 1
        return self._client.call(
            stream.method,
            stream.path,
            json=self.query.body(window, page, page_size),
            read=lambda response: self._read_page(response, page, page_size),
        )

    def _read_page(self, response: requests.Response, number: int, size: int) -> Page:
        try:
            if "json" not in response.headers.get("content-type", "json").lower():
                raise AlvysResponseError(f"The answer is {response.headers['content-type']}, not JSON")
            page = self._reader.read(response.content)
            problem = page.problem(number, size)
            if problem:
                raise AlvysResponseError(f"The answer has {problem}, which cannot be")
            return page
        except AlvysError as error:
            raise AlvysResponseError(
                f"{self.query.stream.endpoint} answered {response.status_code}: {error}",
                status_code=response.status_code,
                endpoint=str(self.query.stream.endpoint),
            ) from error
