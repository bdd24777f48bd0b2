"""The progress of a search, as log lines."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.progress import ProgressLog

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.search import Search

# Responses whose times estimate how long the next one takes.
_MEASURED_RESPONSES = 21


class SearchProgress:
    """
    Log the progress of a search: parents of parents, or rows of rows and pages of pages.

    :param rows: that were read before this search resumed.
    :param since: start of the job in seconds since 1970, if it resumes after a deferral; None means now.
    :param verb: what is done to the rows.
    """

    def __init__(
        self,
        client: AlvysClient,
        search: Search,
        *,
        rows: int = 0,
        since: float | None = None,
        verb: str = "Read",
    ) -> None:
        self._client = client
        self._search = search
        parent = search.stream.parent
        self._counts_parents = parent is not None
        unit = parent.stream if parent else search.stream.name
        self._log = ProgressLog(
            f"{verb} {search.stream.name} of" if parent else verb,
            unit,
            clock=client.clock,
            done=self._parents_read() if parent else rows,
            since=since,
        )
        self._parents = sum(len(query.parents) for query in search.queries)
        self._units_per_request = search.state.page_size
        if parent:
            self._units_per_request = max((len(query.parents) for query in search.queries), default=1)
        self._answered_at = client.clock.time()
        self._seconds: deque[float] = deque(maxlen=_MEASURED_RESPONSES)

    def update(self, rows: int, *, detail: str = "") -> None:
        """
        Log a line if one is due. Call it after each page.

        :param rows: that were read so far.
        :param detail: more figures for the line.
        """
        search, now = self._search, self._client.clock.time()
        self._seconds.append(now - self._answered_at)
        self._answered_at = now
        total: int | None
        if self._counts_parents:
            done, total = self._parents_read(), self._parents
        else:
            # Rows that several searches find are in several totals.
            done = rows
            total = search.total if len(search.queries) == 1 else None
        requests = self._requests_left(rows)
        wait = self._client.pacer.seconds_until(search.stream.endpoint, 1) if requests else 0.0
        self._log.update(
            done,
            total,
            detail=lambda: detail or (counted(rows, "rows") if self._counts_parents else self._pages()),
            seconds_left=lambda: self._seconds_left(requests),
            wait=wait,
            highest_rate=self._client.pacer.rate(search.stream.endpoint) * self._units_per_request,
        )

    def _parents_read(self) -> int:
        state, queries = self._search.state, self._search.queries
        missing = (len(queries[index].parents) for index in state.missing)
        return sum(len(queries[result.query].parents) for result in state.results) + sum(missing)

    def _pages(self) -> str:
        state, several = self._search.state, len(self._search.queries)
        search = f"search {min(state.next_query + 1, several)} of {several}" if several > 1 else ""
        pages = state.progress and state.progress.paginator
        if not pages:
            return search
        last = max(1, -(-pages.total // pages.page_size))
        page = f"page {last - (pages.next_page or 0):,} of {last:,}"
        return ", ".join(filter(None, [page, f"pass {pages.passes}" if pages.passes > 1 else "", search]))

    def _requests_left(self, rows: int) -> int:
        """Return how many requests are left at least."""
        search, state = self._search, self._search.state
        queries = max(0, len(search.queries) - state.next_query) + len(state.maybe_missing)
        pages = state.progress and state.progress.paginator
        if not pages:
            return queries
        # A window may be split into several, of which the paginator knows the current one.
        rest = search.total - rows if len(search.queries) == 1 else 0
        return max(0, queries - 1) + max(pages.next_page or 0, -(-rest // pages.page_size))

    def _seconds_left(self, requests: int) -> float:
        paced = self._client.pacer.seconds_until(self._search.stream.endpoint, requests)
        return max(paced, requests * median(self._seconds))
