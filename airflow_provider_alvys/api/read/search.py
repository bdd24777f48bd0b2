"""A search: one or more queries of a stream, read one after the other, without duplicate rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import AlvysNotFoundError, AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.read.branches import check_countable, combined_total, is_repeat
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.page_decoder import Key, Page, PageDecoder, Row
from airflow_provider_alvys.api.read.paginator import Paginator, PaginatorState, Proof
from airflow_provider_alvys.api.read.queries import Query
from airflow_provider_alvys.api.read.state import QueryProgress, ResultState, SearchState
from airflow_provider_alvys.api.read.windows import MAX_WINDOW_ROWS, Window
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    from requests import Response

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# Listing more changed rows than this costs as much as another pass.
_MAX_CHANGED_ROWS = 1000
# How often a query is read again because rows may have moved between queries.
_MAX_REREADS = 2
# How much earlier than it becomes visible a change may be dated. Others cost another pass.
_CHANGE_MARGIN = timedelta(minutes=1)


class Search:
    """
    Read the rows of some queries of one stream, each row once, as pages of raw JSON.

    After each page, :meth:`save` returns a checkpoint from which another search of the same queries resumes.
    The attributes have the results when the iteration has ended.

    :param page_size: rows per request; None means the catalogue's.
    :param max_window_rows: a window with more rows is split in half repeatedly, down to a minute.
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
            raise AlvysValueError(f"page_size={page_size} is not a number of rows: give 1 or more")
        self.stream = stream
        self.queries = list(queries)
        size = page_size or stream.page_size
        self.requested_page_size = min(size, stream.max_page_size or size)
        self.state = state or SearchState(page_size=self.requested_page_size)
        self._client = client
        self._max_window_rows = max_window_rows
        self._decoder = PageDecoder(stream.key, stream.response_type)
        self._seen = KeySet(self.state.seen)
        self._paginator: Paginator | None = None

    def save(self) -> SearchState:
        """Return a checkpoint."""
        state = msgspec.structs.replace(self.state, seen=self._seen.dump())
        if state.progress is not None and self._paginator is not None:
            state.progress = msgspec.structs.replace(state.progress, paginator=self._paginator.save())
        return state

    @property
    def total(self) -> int:
        """The sum of the totals that Alvys returned so far; a row in several sets counts in each."""
        progress = self.state.progress
        total = 0
        if progress is not None:
            total = progress.total or (progress.paginator.total if progress.paginator else 0)
        return sum(result.total for result in self.state.results if not result.is_repeat) + total

    @property
    def proof(self) -> Proof:
        """``whole`` if all queries read so far were proved complete, else ``open``."""
        is_open = self.state.kept_moving or any(result.proof == "open" for result in self.state.results)
        return "open" if is_open else "whole"

    @property
    def results(self) -> list[tuple[Query, ResultState]]:
        """The queries that were read with their results, in the order of their rows."""
        return [(self.queries[result.query], result) for result in self.state.results]

    @property
    def missing_parents(self) -> list[str]:
        """The ids of the parents that Alvys does not know, or no longer."""
        return [parent for index in self.state.missing for parent in self.queries[index].parents]

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the new rows of each page.

        :raises AlvysIncompleteError: a window that can only shrink could not be proved complete.
        :raises AlvysError: a request failed; the subclass says why.
        """
        state, count = self.state, len(self.queries)
        while state.next_query < count + len(state.maybe_missing):
            # A 404 may be spurious: only a second one means that the parent is missing, or a list empty.
            is_second = state.next_query >= count
            index = state.maybe_missing[state.next_query - count] if is_second else state.next_query
            try:
                yield from self._read_query(index)
            except _MaybeMissingError:
                state.next_query += 1
                (state.missing if is_second else state.maybe_missing).append(index)
                if self.stream.is_list_search:
                    # A checkpoint taken here remembers that the list was requested once.
                    yield []
                elif is_second:
                    query, parent = self.queries[index], self.stream.parent
                    name = f"{parent.stream} {parent.column}" if parent else ""
                    log.warning("Alvys does not know %s=%s, or no longer", name, query.parents[0])
        if not state.is_done:
            yield from self._reread_changed_queries()
            state.is_done = True

    def _reread_changed_queries(self) -> Iterator[list[Row]]:
        """Read queries again whose total changed: a row may have moved into one from a query read later."""
        state = self.state
        if not state.read_order:
            read = [
                result.query
                for result in state.results
                if not result.is_repeat and self._may_exchange_rows(result.query)
            ]
            branches = [(self.queries[index].by, self.queries[index].fields) for index in read]
            # Rows move between branches, but not between the pieces of a split window.
            if all(branch == branches[0] for branch in branches):
                return
            state.read_order = read
        while True:
            while state.to_reread:
                yield from self._read_query(state.to_reread[0])
            totals = {result.query: result.total for result in state.results}
            # No query was read after the last one, so no row can have moved into it.
            for index in state.read_order[len(state.new_totals) : -1]:
                # Saved one by one: each request may be deferred.
                state.new_totals.append(self._fetch_total(index))
            compared = zip(state.read_order, state.new_totals, strict=False)
            changed = [index for index, total in compared if total != totals[index]]
            if not changed:
                return
            if state.rereads == _MAX_REREADS:
                log.warning("%s: rows kept moving between searches; some may be missing", self.stream.name)
                state.kept_moving = True
                return
            log.info("%s: rows moved between searches; reading %d again", self.stream.name, len(changed))
            state.rereads += 1
            state.read_order = [index for index in state.read_order if index not in changed] + changed
            state.to_reread, state.new_totals = changed, []

    def _may_exchange_rows(self, index: int) -> bool:
        query = self.queries[index]
        is_paged = query.stream.response_type == "page"
        return is_paged and not query.stream.is_child and not self._is_closed(query, query.window)

    def _fetch_total(self, index: int) -> int | None:
        query = self.queries[index]
        try:
            return self._fetch(query, query.window, 0, 1).total
        except AlvysNotFoundError:
            # A spurious 404: the query is read again.
            return None

    def first_page(self, index: int = 0, *, page_size: int | None = None) -> Page:
        """
        Return the first page of one query, by one request; by two if a search for a list finds nothing.

        :param index: of the query in the search.
        :param page_size: rows per page; None means that of the search.
        :raises AlvysNotFoundError: Alvys does not know the parent.
        """
        query, maybe_missing = self.queries[index], self.state.maybe_missing
        try:
            page = self._fetch(query, query.window, 0, page_size or self.state.page_size)
        except AlvysNotFoundError:
            if not self.stream.is_list_search:
                raise
            if index not in maybe_missing:
                maybe_missing.append(index)
                return self.first_page(index, page_size=page_size)
            page = Page()
        if index in maybe_missing:
            maybe_missing.remove(index)
        return page

    def count(self) -> int:
        """
        Return the number of rows, by one request per query, unless that takes all rows.

        :raises AlvysValueError: the queries have different windows, which find some rows twice.
        """
        check_countable(self.queries)
        is_union = any(query.fields != self.queries[0].fields for query in self.queries)
        page_size = None if is_union else 1
        pages = [self.first_page(index, page_size=page_size) for index in range(len(self.queries))]
        total = combined_total(self.queries, pages)
        return sum(map(len, self)) if total is None else total

    def _read_query(self, index: int) -> Iterator[list[Row]]:
        query, state = self.queries[index], self.state
        if state.progress is None:
            if query.stream.is_child:
                # Two parents may have the same document: each is delivered with its own.
                self._seen = KeySet()
            state.progress = QueryProgress(windows=[query.window], keys_before=len(self._seen))
        if query.stream.response_type == "page":
            yield from self._read_pages(index, state.progress)
        else:
            yield from self._read_single_response(index)

    def _read_single_response(self, index: int) -> Iterator[list[Row]]:
        query = self.queries[index]
        page = self._fetch_first_page(query, query.window)
        rows = [row for key, row in zip(page.keys, page.rows, strict=True) if self._seen.add(key)]
        self.state.passes = max(self.state.passes, 1)
        # Before the rows are yielded, so that a checkpoint taken then has the query as read.
        self._finish_query(index, len(page.rows), "whole")
        yield rows

    def _read_pages(self, index: int, progress: QueryProgress) -> Iterator[list[Row]]:
        query, state = self.queries[index], self.state
        while progress.windows:
            paginator = self._open_window(query, progress)
            if paginator is None:
                continue
            yield from paginator
            state.passes = max(state.passes, paginator.state.passes)
            state.repeats += paginator.state.repeats
            state.page_size = paginator.state.page_size
            progress.windows.pop()
            progress.is_open = progress.is_open or paginator.proof == "open"
            progress.total = paginator.state.total if progress.total is None else progress.total
            progress.paginator = self._paginator = None
        proof: Proof = "open" if progress.is_open else "whole"
        self._finish_query(index, progress.total or 0, proof, is_repeat=progress.is_repeat)

    def _open_window(self, query: Query, progress: QueryProgress) -> Paginator | None:
        """Return a paginator for the current window, new or resumed; None if the window needs none."""
        window = progress.windows[-1]
        first_page = None
        if progress.paginator is None:
            first_page = self._fetch_first_page(query, window)
            total = first_page.total
            halves = window.halves() if window is not None and total > self._max_window_rows else None
            if halves:
                log.info("%s: splitting a window of %s", self.stream.name, f"{total:,} rows")
                progress.total = total if progress.total is None else progress.total
                progress.windows[-1:] = reversed(halves)
                return None
            if progress.total is None and is_repeat(query, first_page, self.results, self._seen):
                log.info(
                    "%s: Alvys ignores %s, and returned these rows before", self.stream.name, query.fields
                )
                progress.total, progress.is_repeat = total, True
                progress.windows.clear()
                return None
            progress.window_began = self._client.now()
            is_closed = self._is_closed(query, window)
            progress.paginator = PaginatorState(page_size=self.state.page_size, closed=is_closed)
        began = progress.window_began
        self._paginator = Paginator(
            lambda page, size: self._fetch(query, window, page, size),
            progress.paginator,
            name=self.stream.name,
            seen=self._seen,
            list_changed=lambda: self._list_changed(query, window, began),
            first_page=first_page,
        )
        return self._paginator

    def _finish_query(self, index: int, total: int, proof: Proof, *, is_repeat: bool = False) -> None:
        state = self.state
        rows = len(self._seen) - (state.progress.keys_before if state.progress else 0)
        state.progress = None
        if index in state.to_reread:
            result = next(result for result in state.results if result.query == index)
            result.rows, result.total, result.proof = result.rows + rows, total, proof
            result.is_repeat = is_repeat
            state.to_reread = [other for other in state.to_reread if other != index]
        else:
            result = ResultState(query=index, rows=rows, total=total, proof=proof, is_repeat=is_repeat)
            state.results.append(result)
            state.next_query += 1

    def _fetch_first_page(self, query: Query, window: Window | None) -> Page:
        state, is_list_search = self.state, self.stream.is_list_search
        try:
            page = self._fetch(query, window, 0, state.page_size)
        except AlvysNotFoundError as error:
            if not (is_list_search or query.stream.is_child):
                raise
            if not is_list_search or state.next_query < len(self.queries):
                state.progress = None
                raise _MaybeMissingError from error
            log.info("%s: Alvys answered 404 twice, so the list is empty", self.stream.name)
            page = Page()
        if state.began_at is None:
            state.began_at = self._client.now(upper_bound=True)
        return page

    def _is_closed(self, query: Query, window: Window | None) -> bool:
        if window is None or query.by is None or not query.by.tracks_changes:
            return False
        return window.has_ended(self._client.now(upper_bound=True))

    def _list_changed(self, query: Query, window: Window | None, began: float) -> list[Key] | None:
        """
        Return the keys of all rows, regardless of filters, that changed since a time; None for too many.

        :param window: rows that changed inside it are left out.
        :param began: the time, in seconds since 1970.
        """
        if window is None or window.until is None:
            return None
        since = datetime.fromtimestamp(began, timezone.utc) - _CHANGE_MARGIN
        after = Window(max(window.until, since), None)
        everything = Query(query.stream, query.stream.search_fields({}, query.by), after, query.by)
        search = Search(self._client, self.stream, [everything], page_size=self.state.page_size)
        try:
            return search._list_keys(_MAX_CHANGED_ROWS)
        except AlvysNotFoundError:
            # The first page always exists, so the 404 is spurious: another pass follows.
            return None
        finally:
            self.state.requests += search.state.requests

    def _list_keys(self, max_rows: int) -> list[Key] | None:
        """Return the keys of all rows; None if there are more than ``max_rows`` or they moved."""
        (query,) = self.queries
        keys: list[Key] = []

        def fetch(number: int, size: int) -> Page:
            page = self._fetch(query, query.window, number, size)
            keys.extend(page.keys)
            return page

        first_page = fetch(0, self.state.page_size)
        if first_page.total > max_rows:
            return None
        state = PaginatorState(page_size=self.state.page_size, closed=False)
        paginator = Paginator(fetch, state, name=self.stream.name, seen=self._seen, first_page=first_page)
        for _ in paginator:
            pass
        return list(dict.fromkeys(keys)) if paginator.proof == "whole" else None

    def _fetch(self, query: Query, window: Window | None, page: int, page_size: int) -> Page:
        request = replace(query, window=window).request(page, page_size)
        try:
            fetched = self._client.call(
                self.stream.method,
                query.path,
                read=lambda response: self._decode(response, page, page_size),
                **request,
            )
        except AlvysNotFoundError:
            self.state.requests += 1
            raise
        self.state.requests += 1
        return fetched

    def _decode(self, response: Response, number: int, size: int) -> Page:
        try:
            content_type = response.headers.get("content-type", "json")
            if "json" not in content_type.lower():
                raise AlvysResponseError(
                    f"The response is {scrub(content_type, 100)}, not JSON. Check the host of the connection"
                )
            page = self._decoder.decode(response.content)
            problem = page.find_problem(number, size) if self.stream.response_type == "page" else None
            if problem:
                raise AlvysResponseError(f"The response is impossible: it has {problem}")
            return page
        except AlvysResponseError as error:
            raise AlvysResponseError(
                f"{self.stream.endpoint} answered {response.status_code}: {error}",
                status_code=response.status_code,
                endpoint=str(self.stream.endpoint),
            ) from error


class _MaybeMissingError(Exception):
    """A 404 for the children of one parent, or the first one for a list."""
