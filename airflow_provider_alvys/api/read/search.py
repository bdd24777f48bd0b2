"""One search: sets of raw rows, read one after the other and united by key."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysNotFoundError,
    AlvysResponseError,
    AlvysValueError,
)
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.page_decoder import Key, Page, PageDecoder, Row
from airflow_provider_alvys.api.read.paginator import Paginator, PaginatorState, Proof
from airflow_provider_alvys.api.read.queries import Query
from airflow_provider_alvys.api.read.state import SearchState, SetState, UnderWay
from airflow_provider_alvys.api.read.windows import MAX_WINDOW_ROWS, Window

if TYPE_CHECKING:
    from requests import Response

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# More rows than this changed during a walk: reading them would cost what another pass costs.
_MOST_CHANGED = 1000
# How often a set is read again when rows may have moved from it to another one, or back.
_READ_AGAIN = 2
# How long before it shows a change may be dated. One dated earlier is noticed, and costs another pass.
_CHANGE_MARGIN = timedelta(minutes=1)


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

    Whenever it has yielded a page, :meth:`save` returns a state from which another search for the same goes on. What it found
    out stands in its attributes when the iteration has ended.

    :param page_size: rows asked for at once; None means the catalogue's.
    :param max_window_rows: a window with more rows is cut in half, and again, down to a minute.
    :param state: where to begin; None means the beginning.
    """

    def __init__(
        self,
        client: AlvysClient,
        stream: Stream,
        queries: Sequence[Query],
        *,
        page_size: int | None = None,
        max_window_rows: int = MAX_WINDOW_ROWS,
        state: SearchState | None = None,
    ) -> None:
        if page_size is not None and page_size < 1:
            raise AlvysValueError(f"page_size={page_size} is no number of rows: give 1 or more")
        self.stream = stream
        self.queries = list(queries)
        size = page_size or stream.page_size
        self.requested_page_size = min(size, stream.max_page_size or size)
        self.state = state or SearchState(page_size=self.requested_page_size)
        self._client = client
        self._max_window_rows = max_window_rows
        self._decoder = PageDecoder(stream.key, stream.response_type)
        self._seen = KeySet(self.state.seen)
        self._walk: Paginator | None = None

    def save(self) -> SearchState:
        """Return how far it has come."""
        state = msgspec.structs.replace(self.state, seen=self._seen.dump())
        if state.under_way is not None and self._walk is not None:
            state.under_way = msgspec.structs.replace(state.under_way, walk=self._walk.save())
        return state

    @property
    def total(self) -> int:
        """Rows that Alvys said there are in the sets asked for so far; a row that is in several of them counts in each."""
        under_way = self.state.under_way
        total = 0
        if under_way is not None:
            total = under_way.total or (under_way.walk.total if under_way.walk else 0)
        return sum(read.total for read in self.state.sets) + total

    @property
    def passes(self) -> int:
        """Passes over the set that took most."""
        return self.state.passes

    @property
    def requests(self) -> int:
        """Pages asked for and answered."""
        return self.state.requests

    @property
    def proof(self) -> Proof:
        """Whether all sets read so far were proved whole."""
        is_open = self.state.kept_moving or any(read.proof == "open" for read in self.state.sets)
        return "open" if is_open else "whole"

    @property
    def sets(self) -> list[SetRead]:
        """What each set was like, in the order of their rows."""
        return [
            SetRead(self.queries[read.query], read.rows, read.total, read.proof) for read in self.state.sets
        ]

    @property
    def missing(self) -> list[Query]:
        """Return the sets of parents that Alvys does not know (any more)."""
        return [self.queries[place] for place in self.state.missing]

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the new rows of each page.

        :raises AlvysIncompleteError: a window that should only shrink could not be proved whole.
        :raises AlvysError: a subclass says what went wrong.
        """
        state, count = self.state, len(self.queries)
        while state.next_query < count + len(state.doubtful):
            # A 404 may be a stray one: a parent is gone when it is gone twice.
            is_again = state.next_query >= count
            place = state.doubtful[state.next_query - count] if is_again else state.next_query
            try:
                yield from self._read_query(place)
            except _ParentIsMissing:
                state.next_query += 1
                (state.missing if is_again else state.doubtful).append(place)
                if is_again:
                    query = self.queries[place]
                    parent = query.stream.parent
                    what = f"{parent.stream} with {parent.column}" if parent else ""
                    log.warning("Alvys knows no %s %s (any more)", what, query.parents[0])
        if not state.is_done:
            yield from self._read_what_moved()
            state.is_done = True

    def _read_what_moved(self) -> Iterator[list[Row]]:
        """
        Read again those of several united sets that changed after they were read.

        A row may have moved into one that had been read from one that was still to come.
        """
        state = self.state
        if not state.order:
            read = [one.query for one in state.sets if self._may_trade_rows(self.queries[one.query])]
            if all(_kind(self.queries[place]) == _kind(self.queries[read[0]]) for place in read):
                return
            state.order = read
        while True:
            while state.again:
                yield from self._read_query(state.again[0])
            totals = {one.query: one.total for one in state.sets}
            # Nothing can have moved into the last one from one after it.
            moved = [
                place for place in state.order[:-1] if self._total_of(self.queries[place]) != totals[place]
            ]
            if not moved:
                return
            if state.rounds == _READ_AGAIN:
                log.warning("%s: rows kept moving from one search to another", self.stream.name)
                state.kept_moving = True
                return
            log.info(
                "%s: rows moved from one search to another: reading %d again", self.stream.name, len(moved)
            )
            state.rounds += 1
            state.order = [place for place in state.order if place not in moved] + moved
            state.again = moved

    def _may_trade_rows(self, query: Query) -> bool:
        return (
            query.stream.response_type == "page"
            and not query.stream.is_child
            and not self._is_closed(query, query.window)
        )

    def _total_of(self, query: Query) -> int | None:
        try:
            return self._fetch(query, query.window, 0, 1).total
        except AlvysNotFoundError:
            # A stray one: reading it again will tell.
            return None

    def first_page(self, place: int = 0) -> Page:
        """
        Return the first page of one set, by one request.

        :param place: of its query among the search's.
        :raises AlvysNotFoundError: Alvys does not know whose children are asked for.
        """
        query = self.queries[place]
        return self._fetch(query, query.window, 0, self.state.page_size)

    @property
    def is_countable(self) -> bool:
        """Whether no row is in two of the sets, so that their totals add up."""
        return len({_columns(query) for query in self.queries}) <= 1

    def count(self) -> int:
        """
        Return how many rows there are, by one request of one row a set.

        :raises AlvysValueError: the sets overlap, so that only reading them can tell.
        """
        if not self.is_countable:
            is_cut = any(query.by and query.by.max_length for query in self.queries)
            raise AlvysValueError(
                f"What is asked for are several searches for {self.stream.name} that find some rows twice: they can only be "
                f"read, not counted. {'Give a shorter window' if is_cut else 'Name one window with window_by'}"
            )
        return sum(self._fetch(query, query.window, 0, 1).total for query in self.queries)

    def _read_query(self, place: int) -> Iterator[list[Row]]:
        query, state = self.queries[place], self.state
        if state.under_way is None:
            if query.stream.is_child:
                # The same document may hang on two parents: each has it.
                self._seen = KeySet()
            state.under_way = UnderWay(windows=[query.window], known=len(self._seen))
        if query.stream.response_type == "page":
            yield from self._read_pages(place, state.under_way)
        else:
            yield from self._read_list(place)

    def _read_list(self, place: int) -> Iterator[list[Row]]:
        """Yield the rows of an answer that has no pages."""
        query = self.queries[place]
        page = self._first(query, query.window)
        rows = [row for key, row in zip(page.keys, page.rows, strict=True) if self._seen.add(key)]
        self.state.passes = max(self.state.passes, 1)
        # Before they are delivered: with them it has been read.
        self._end(place, len(page.rows), "whole")
        yield rows

    def _read_pages(self, place: int, under_way: UnderWay) -> Iterator[list[Row]]:
        """Yield the rows of a set."""
        query, state = self.queries[place], self.state
        while under_way.windows:
            walk = self._open_walk(query, under_way)
            if walk is None:
                continue
            yield from walk
            state.passes = max(state.passes, walk.state.passes)
            state.repeats += walk.state.repeats
            state.page_size = walk.state.page_size
            under_way.windows.pop()
            under_way.is_open = under_way.is_open or walk.proof == "open"
            total = walk.state.total if under_way.total is None else under_way.total
            under_way.walk = self._walk = None
        self._end(place, total, "open" if under_way.is_open else "whole")

    def _open_walk(self, query: Query, under_way: UnderWay) -> Paginator | None:
        """Return the walk over the present window, begun or gone on with; None when the window was cut in halves instead."""
        window = under_way.windows[-1]
        first = None
        if under_way.walk is None:
            first = self._first(query, window)
            halves = window.halves() if window is not None and first.total > self._max_window_rows else None
            if halves:
                log.info(
                    "%s has %d rows %s: cutting the window in half", self.stream.name, first.total, window
                )
                under_way.total = first.total if under_way.total is None else under_way.total
                under_way.windows[-1:] = reversed(halves)
                return None
            under_way.began = self._client.now()
            under_way.walk = PaginatorState(
                page_size=self.state.page_size, closed=self._is_closed(query, window)
            )
        began = under_way.began
        self._walk = Paginator(
            lambda page, size: self._fetch(query, window, page, size),
            under_way.walk,
            name=self.stream.name,
            seen=self._seen,
            list_changed=lambda: self._changed_since(query, window, began),
            first_page=first,
        )
        return self._walk

    def _end(self, place: int, total: int, proof: Proof) -> None:
        """Take note that a set has been read."""
        state = self.state
        rows = len(self._seen) - (state.under_way.known if state.under_way else 0)
        state.under_way = None
        if place in state.again:
            before = next(read for read in state.sets if read.query == place)
            before.rows, before.total, before.proof = before.rows + rows, total, proof
            state.again = [other for other in state.again if other != place]
        else:
            state.sets.append(SetState(query=place, rows=rows, total=total, proof=proof))
            state.next_query += 1

    def _first(self, query: Query, window: Window | None) -> Page:
        try:
            page = self._fetch(query, window, 0, self.state.page_size)
        except AlvysNotFoundError as error:
            if query.stream.is_child:
                self.state.under_way = None
                raise _ParentIsMissing from error
            raise
        if self.state.began_at is None:
            self.state.began_at = self._client.now(upper_bound=True)
        return page

    def _is_closed(self, query: Query, window: Window | None) -> bool:
        if window is None or query.by is None or not query.by.tracks_changes:
            return False
        return window.has_ended(self._client.now(upper_bound=True))

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
        search = Search(self._client, self.stream, [everything], page_size=self.state.page_size)
        try:
            return search._keys(most=_MOST_CHANGED)
        except AlvysNotFoundError:
            # A stray one: there is always a first page. Another pass will tell.
            return None
        finally:
            self.state.requests += search.state.requests

    def _keys(self, most: int) -> list[Key] | None:
        """Return the keys of a set of at most ``most`` rows that held still, else None."""
        (query,) = self.queries
        first = self._fetch(query, query.window, 0, self.state.page_size)
        if first.total > most:
            return None
        keys: list[Key] = list(first.keys)

        def fetch(number: int, size: int) -> Page:
            page = self._fetch(query, query.window, number, size)
            keys.extend(page.keys)
            return page

        state = PaginatorState(page_size=self.state.page_size, closed=False)
        walk = Paginator(fetch, state, name=self.stream.name, seen=self._seen, first_page=first)
        for _ in walk:
            pass
        return list(dict.fromkeys(keys)) if walk.proof == "whole" else None

    def _fetch(self, query: Query, window: Window | None, page: int, page_size: int) -> Page:
        asked = query if window is query.window else replace(query, window=window)
        try:
            answer = self._client.call(
                self.stream.method,
                query.path,
                read=lambda response: self._read_page(response, page, page_size),
                **asked.request(page, page_size),
            )
        except AlvysNotFoundError:
            self.state.requests += 1
            raise
        self.state.requests += 1
        return answer

    def _read_page(self, response: Response, number: int, size: int) -> Page:
        try:
            if "json" not in response.headers.get("content-type", "json").lower():
                raise AlvysResponseError(f"The answer is {response.headers['content-type']}, not JSON")
            page = self._decoder.decode(response.content)
            problem = page.find_problem(number, size) if self.stream.response_type == "page" else None
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
