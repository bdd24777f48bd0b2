"""One search: sets of raw rows, read one after the other and united by key."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import requests

from airflow_provider_alvys.api.catalogue.model import Stream
from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.errors import AlvysError, AlvysNotFoundError, AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.keyset import KeySet
from airflow_provider_alvys.api.pages import PageWalk, Proof
from airflow_provider_alvys.api.queries import Query
from airflow_provider_alvys.api.rows import Key, Page, PageReader, Row
from airflow_provider_alvys.api.windows import Window

log = logging.getLogger(__name__)

MAX_WINDOW_ROWS = 50_000
# More rows than this changed during a walk: reading them would cost what another pass costs.
_MOST_CHANGED = 1000
# How often a set is read again when rows may have moved from it to another one, or back.
_READ_AGAIN = 2
# How long before it shows a change may be dated. One dated earlier is noticed, and costs another pass.
_CHANGE_MARGIN = timedelta(minutes=1)


# Yields pages of new rows, returns the set's total and proof.
_Set = Generator[list[Row], None, tuple[int, Proof]]


@dataclass(frozen=True)
class SetRead:
    """What was found out about one set."""

    query: Query
    rows: int
    total: int
    proof: Proof


class Search:
    """
    Read the rows of some queries of one stream, once each, in pages of raw JSON.

    What it found out stands in its attributes when the iteration has ended.

    :param page_size: rows asked for at once; None means the catalogue's.
    :param max_window_rows: a window with more rows is cut in half, and again, down to a minute.
    """

    def __init__(
        self,
        client: AlvysClient,
        stream: Stream,
        queries: Sequence[Query],
        *,
        page_size: int | None = None,
        max_window_rows: int = MAX_WINDOW_ROWS,
    ) -> None:
        if page_size is not None and page_size < 1:
            raise AlvysValueError(f"page_size={page_size} is no number of rows: give 1 or more")
        self.stream = stream
        self.queries = list(queries)
        self.proof: Proof = "whole"
        self.passes = 0
        self.requests = 0
        # When the first answer came, at the latest, by the earlier of our clock and the API's, in seconds since 1970.
        self.began_at: float | None = None
        size = page_size or stream.page_size
        self.page_size = min(size, stream.max_page_size or size)
        # What each set was like, in the order of their rows.
        self.sets: list[SetRead] = []
        # Sets of parents that Alvys does not know (any more).
        self.missing: list[Query] = []
        self._client = client
        self._max_window_rows = max_window_rows
        self._reader = PageReader(stream.key, stream.answer)
        self._seen = KeySet()
        # The total of the set that is being read.
        self._under_way = 0

    @property
    def total(self) -> int:
        """Rows that Alvys said there are in the sets asked for so far; a row that is in several of them counts in each."""
        return sum(read.total for read in self.sets) + self._under_way

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the new rows of each page.

        :raises AlvysIncompleteError: a window that should only shrink could not be proved whole.
        :raises AlvysError: a subclass says what went wrong.
        """
        missing = []
        for query in self.queries:
            try:
                yield from self._read_query(query)
            except _ParentIsMissing:
                missing.append(query)
        # A 404 may be a stray one: a parent is gone when it is gone twice.
        for query in missing:
            try:
                yield from self._read_query(query)
            except _ParentIsMissing:
                log.warning(
                    "Alvys knows no %s %s (any more)", query.stream.parent and query.stream.parent.stream, query.parents[0]
                )
                self.missing.append(query)
        yield from self._read_what_moved()

    def _read_what_moved(self) -> Iterator[list[Row]]:
        """
        Read again those of several united sets that changed after they were read.

        A row may have moved into one that had been read from one that was still to come.
        """
        read = [one for one in self.sets if self._may_trade_rows(one.query)]
        if all(_kind(one.query) == _kind(read[0].query) for one in read):
            return
        for again in range(_READ_AGAIN + 1):
            # Nothing can have moved into the last one from one after it.
            moved = [one for one in read[:-1] if self._total_of(one.query) != one.total]
            if not moved:
                return
            if again == _READ_AGAIN:
                break
            log.info("%s: rows moved from one search to another: reading %d again", self.stream.name, len(moved))
            read = [one for one in read if one not in moved]
            for one in moved:
                at = self.sets.index(one)
                yield from self._read_query(one.query)
                more = self.sets.pop()
                self.sets[at] = replace(more, rows=one.rows + more.rows)
                read.append(self.sets[at])
        log.warning("%s: rows kept moving from one search to another", self.stream.name)
        self.proof = "open"

    def _may_trade_rows(self, query: Query) -> bool:
        return query.stream.answer == "page" and not query.stream.is_child and not self._is_closed(query, query.window)

    def _total_of(self, query: Query) -> int | None:
        try:
            return self._fetch(query, query.window, 0, 1).total
        except AlvysNotFoundError:
            # A stray one: reading it again will tell.
            return None

    def count(self) -> int:
        """
        Return how many rows there are, by one request of one row a set.

        :raises AlvysValueError: the sets overlap, so that only reading them can tell.
        """
        if len({_columns(query) for query in self.queries}) > 1:
            is_cut = any(query.by and query.by.longest for query in self.queries)
            raise AlvysValueError(
                f"What is asked for are several searches for {self.stream.name} that find some rows twice: they can only be "
                f"read, not counted. {'Give a shorter window' if is_cut else 'Name one window with window_by'}"
            )
        return sum(self._fetch(query, query.window, 0, 1).total for query in self.queries)

    def _read_query(self, query: Query) -> Generator[list[Row], None, None]:
        if query.stream.is_child:
            # The same document may hang on two parents: each has it.
            self._seen = KeySet()
        known = len(self._seen)
        read = self._read_pages(query, query.window) if query.stream.answer == "page" else self._read_list(query)
        total, proof = yield from read
        if proof == "open":
            self.proof = "open"
        self._under_way = 0
        self.sets.append(SetRead(query, len(self._seen) - known, total, proof))

    def _read_list(self, query: Query) -> _Set:
        """Yield the rows of an answer that has no pages, and return their number."""
        page = self._first(query, query.window)
        yield [row for key, row in zip(page.keys, page.rows, strict=True) if self._seen.add(key)]
        self.passes = max(self.passes, 1)
        return len(page.rows), "whole"

    def _read_pages(self, query: Query, window: Window | None) -> _Set:
        """Yield the rows of a set, and return its total and proof."""
        first = self._first(query, window)
        began = self._client.now()
        halves = window.halves() if window is not None and first.total > self._max_window_rows else None
        if halves:
            log.info("%s has %d rows %s: cutting the window in half", self.stream.name, first.total, window)
            proofs = []
            for half in halves:
                _, proof = yield from self._read_pages(query, half)
                proofs.append(proof)
            return first.total, "open" if "open" in proofs else "whole"
        walk = PageWalk(
            lambda page, size: self._fetch(query, window, page, size),
            name=self.stream.name,
            page_size=self.page_size,
            closed=self._is_closed(query, window),
            seen=self._seen,
            changed=lambda: self._changed_since(query, window, began),
            first=first,
        )
        yield from walk
        self.passes = max(self.passes, walk.passes)
        self.page_size = walk.page_size
        return walk.total, walk.proof

    def _first(self, query: Query, window: Window | None) -> Page:
        try:
            page = self._fetch(query, window, 0, self.page_size)
        except AlvysNotFoundError as error:
            if query.stream.is_child:
                raise _ParentIsMissing from error
            raise
        if window is query.window:
            self._under_way = page.total
        if self.began_at is None:
            self.began_at = self._client.now(at_latest=True)
        return page

    def _is_closed(self, query: Query, window: Window | None) -> bool:
        if window is None or query.by is None or not query.by.tracks_changes:
            return False
        return window.has_ended(self._client.now(at_latest=True))

    def _changed_since(self, query: Query, window: Window | None, began: float) -> list[Key] | None:
        """
        Return the keys of all rows, whatever the filters, that changed since the window was first asked for; None for too many.

        :param began: when that was, in seconds since 1970.
        """
        if window is None or window.until is None:
            return None
        # A row at the very end of the window has not left it.
        first = datetime.fromtimestamp(began, timezone.utc) - _CHANGE_MARGIN
        after = Window(max(window.until + timedelta(microseconds=1), first), None)
        everything = Query(query.stream, query.stream.search_fields({}), after, query.by)
        search = Search(self._client, self.stream, [everything], page_size=self.page_size)
        try:
            return search._keys(most=_MOST_CHANGED)
        except AlvysNotFoundError:
            # A stray one: there is always a first page. Another pass will tell.
            return None
        finally:
            self.requests += search.requests

    def _keys(self, most: int) -> list[Key] | None:
        """Return the keys of a set of at most ``most`` rows that held still, else None."""
        (query,) = self.queries
        first = self._fetch(query, query.window, 0, self.page_size)
        if first.total > most:
            return None
        keys: list[Key] = list(first.keys)

        def fetch(number: int, size: int) -> Page:
            page = self._fetch(query, query.window, number, size)
            keys.extend(page.keys)
            return page

        walk = PageWalk(fetch, name=self.stream.name, page_size=self.page_size, closed=False, seen=self._seen, first=first)
        for _ in walk:
            pass
        return list(dict.fromkeys(keys)) if walk.proof == "whole" else None

    def _fetch(self, query: Query, window: Window | None, page: int, page_size: int) -> Page:
        self.requests += 1
        asked = query if window is query.window else replace(query, window=window)
        return self._client.call(
            self.stream.method,
            query.path,
            read=lambda response: self._read_page(response, page, page_size),
            **asked.request(page, page_size),
        )

    def _read_page(self, response: requests.Response, number: int, size: int) -> Page:
        try:
            if "json" not in response.headers.get("content-type", "json").lower():
                raise AlvysResponseError(f"The answer is {response.headers['content-type']}, not JSON")
            page = self._reader.read(response.content)
            problem = page.problem(number, size) if self.stream.answer == "page" else None
            if problem:
                raise AlvysResponseError(f"The answer has {problem}, which cannot be")
            return page
        except AlvysError as error:
            raise AlvysResponseError(
                f"{self.stream.endpoint} answered {response.status_code}: {error}",
                status_code=response.status_code,
                endpoint=str(self.stream.endpoint),
            ) from error


class _ParentIsMissing(Exception):
    """404 for the children of one parent."""


def _kind(query: Query) -> Any:
    """Return what tells united sets apart. A window that was cut into pieces is one of them: its rows do not move in time."""
    return query.by, query.fields


def _columns(query: Query) -> Any:
    """Return what must be the same in queries of which no row is found twice: the window. Their filters then tell them apart."""
    return query.by.name if query.by else None, query.window
