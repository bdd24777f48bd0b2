"""
Reading of all pages of a set of rows while the set changes.

Alvys numbers pages from 0, documents no order and keeps no snapshot. When a row leaves the set, every later
row moves one place forward, possibly onto an earlier page. A reader that goes from the first page to the last
would miss a row that moves onto a page it has already read. This paginator reads page 0 for the total, and
then from the last page to the first: a row that moves forward moves onto a page that is still to be read.
Only a row that joins moves others onto pages already read, and it raises the total.

A closed set (a window on a change timestamp that has ended) can only shrink. It still must be proved
complete:

- Its total did not change: the number of different rows equals the total.
- Its total fell: a search for rows that changed since finds the rows that left, and they explain the fall.
- The rows that left cannot be listed (too many, or they keep leaving): two more passes find no new row.

Any other set is complete when a pass saw nothing move and as many rows as the total. Otherwise it ends as
``open``, and a later run reads it again. One case goes unnoticed: between two requests, one row leaves and
another joins, so that the total stays the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Literal

import msgspec

from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysNotFoundError, AlvysResponseError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.page_decoder import Key, Page, Row

log = logging.getLogger(__name__)

Proof = Literal["whole", "open"]
# fetch(page number, page size) -> page
Fetch = Callable[[int, int], Page]

_MAX_PASSES_CLOSED = 3
_MAX_PASSES_OTHER = 2
# Passes without a new row that prove a closed set.
_QUIET_PASSES = 2
# Requests for one page that is missing although the total says that it exists.
_MAX_FETCHES = 3
# Changes of the page size.
_MAX_RESTARTS = 5


class _PageSizeChanged(Exception):
    def __init__(self, size: int) -> None:
        self.size = size


class PaginatorState(msgspec.Struct, kw_only=True):
    """
    The checkpoint of a paginator, from which another process resumes after the last page that was yielded.

    :param page_size: rows per page, as Alvys returns them.
    :param closed: whether rows can only leave the set.
    :param passes: passes begun, including the current one.
    :param total: rows in the set, by the last response.
    :param next_page: of the current pass; 0 when only page 0 may be left; None between passes.
    :param is_read: whether the current pass needs no further page.
    :param rows_moved: whether the total or page 0 changed during this pass.
    :param total_grew: whether the total rose during this pass.
    :param first_page_hash: of the keys on page 0 at the beginning of the pass.
    :param new_rows: rows that this pass was the first to see.
    :param quiet_passes: consecutive passes before this one that saw no new row.
    :param repeats: rows that came again on another page of the same pass and were dropped.
    :param restarts: changes of the page size.
    :param keys: keys that the pass has seen, from :meth:`KeySet.dump`; None if they equal those delivered.
    """

    page_size: int
    closed: bool
    passes: int = 0
    total: int = 0
    next_page: int | None = None
    is_read: bool = False
    rows_moved: bool = msgspec.field(default=False, name="moved")
    total_grew: bool = msgspec.field(default=False, name="grew")
    first_page_hash: str = msgspec.field(default="", name="front")
    new_rows: int = msgspec.field(default=0, name="news")
    quiet_passes: int = msgspec.field(default=0, name="passes_without_news")
    repeats: int = 0
    restarts: int = 0
    keys: bytes | None = None


class Paginator:
    """
    Iterate over the new rows of a set, page by page.

    After each page, :meth:`save` returns a checkpoint from which another paginator resumes. After the last
    one, :attr:`proof` says whether the set is complete.

    :param fetch: returns a checked page; :class:`AlvysNotFoundError` means that it does not exist.
    :param state: where to begin.
    :param name: of the set, for errors and logs.
    :param seen: keys that were already delivered; their rows are dropped.
    :param list_changed: for a closed set: returns the keys of all rows that changed since the read began,
        which include every row that left; None if they cannot be listed.
    :param first_page: page 0, where it has already been fetched.
    """

    def __init__(
        self,
        fetch: Fetch,
        state: PaginatorState,
        *,
        name: str,
        seen: KeySet,
        list_changed: Callable[[], list[Key] | None] = lambda: None,
        first_page: Page | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.proof: Proof = "open"
        self._fetch = fetch
        self._list_changed = list_changed
        self._first_page = first_page
        self._seen = seen
        # State of the current pass.
        self._keys = seen if state.keys is None else KeySet(state.keys)
        self._total_is_known = state.next_page is not None
        # Number, total and keys of the last accepted page.
        self._last_accepted: tuple[int, int, list[Key]] | None = None

    def save(self) -> PaginatorState:
        """Return a checkpoint."""
        keys = None if self._keys is self._seen else self._keys.dump()
        return msgspec.structs.replace(self.state, keys=keys)

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the new rows of each page.

        :raises AlvysIncompleteError: a closed set could not be proved complete.
        :raises AlvysResponseError: a response that cannot be true.
        """
        state = self.state
        max_passes = _MAX_PASSES_CLOSED if state.closed else _MAX_PASSES_OTHER
        while state.passes < max_passes or state.next_page is not None:
            try:
                yield from self._read_pass()
                is_whole = self._is_whole()
            except _PageSizeChanged as change:
                self._restart_pass(change.size)
                continue
            state.next_page = None
            if is_whole:
                self.proof = "whole"
                return
            log.info("%s: rows moved during pass %d of at most %d", self.name, state.passes, max_passes)
        if state.closed:
            rows = len(self._keys)
            growth = ", and the total grew" if state.total_grew else ""
            error = AlvysIncompleteError(
                f"{self.name}: {state.passes} passes could not prove the set complete: the last one saw "
                f"{rows} different rows of {state.total}{growth}. No cursor moved. Run it again; if it "
                "happens often, raise settling."
            )
            error.passes, error.rows, error.total = state.passes, rows, state.total
            raise error

    def _restart_pass(self, size: int) -> None:
        state = self.state
        state.page_size = size
        state.passes -= 1
        state.next_page = None
        state.restarts += 1
        if state.restarts > _MAX_RESTARTS:
            # A retry begins with a new count.
            state.restarts = 0
            raise AlvysResponseError(
                f"{self.name}: Alvys changed the page size {_MAX_RESTARTS + 1} times during one read, last "
                f"to {size}. Run it again"
            ) from None
        log.info("%s: restarting the pass: Alvys returns %d rows per page", self.name, size)

    def _read_pass(self) -> Iterator[list[Row]]:
        """Read page 0, the last page down to page 1, and page 0 again if rows may have moved onto it."""
        state = self.state
        if state.next_page is None:
            yield self._begin_pass()
        while state.next_page:
            number = state.next_page
            page = self._fetch_page(number)
            rows = [] if page is None else self._deduplicate(page)
            # If the set has shrunk, the pages in between no longer exist; their rows have moved forward.
            state.next_page = min(number - 1, self._last_page())
            if page is not None:
                yield rows
        if not state.is_read and (state.rows_moved or not state.closed):
            first_page = self._accept(self._fetch_first_page(), 0)
            rows = self._deduplicate(first_page, is_reread=True)
            state.rows_moved = state.rows_moved or _hash(first_page.keys) != state.first_page_hash
            state.is_read = True
            yield rows

    def _begin_pass(self) -> list[Row]:
        state = self.state
        page, self._first_page = self._first_page or self._fetch_first_page(), None
        # During the first pass, the keys of the pass are the keys delivered: one set serves as both.
        self._keys = self._seen if len(self._seen) == 0 else KeySet()
        self._total_is_known = state.rows_moved = state.total_grew = False
        self._last_accepted = None
        state.new_rows = 0
        state.passes += 1
        self._accept(page, 0)
        state.first_page_hash = _hash(page.keys)
        state.next_page = self._last_page()
        state.is_read = state.next_page == 0
        return self._deduplicate(page)

    def _is_whole(self) -> bool:
        state = self.state
        if not state.closed:
            return not state.rows_moved and len(self._keys) == state.total
        quiet_passes = 0 if state.new_rows else state.quiet_passes + 1
        # A total that fell proves nothing by itself: rows that left can hide others that joined.
        is_whole = (
            not state.total_grew
            and len(self._keys) >= state.total
            and (not state.rows_moved or self._departed_rows_are_known() or quiet_passes >= _QUIET_PASSES)
        )
        state.quiet_passes = quiet_passes
        return is_whole

    def _departed_rows_are_known(self) -> bool:
        """Return whether the rows that changed since the read began explain the fall of the total."""
        state = self.state
        for _ in range(_MAX_FETCHES):
            total_before = state.total
            changed = self._list_changed()
            if changed is None:
                return False
            self._accept(self._fetch_first_page(), 0)
            if state.total_grew:
                return False
            if state.total == total_before:
                departed = sum(key in self._keys for key in changed)
                # More rows are as wrong as fewer: a row that left unlisted may hide one that was missed.
                return len(self._keys) - departed == state.total
        return False

    def _last_page(self) -> int:
        return max(0, (self.state.total - 1) // self.state.page_size)

    def _fetch_page(self, number: int) -> Page | None:
        """Return a page after the first, or None when the set has shrunk to end before it."""
        for _ in range(_MAX_FETCHES):
            try:
                page = self._accept(self._fetch(number, self.state.page_size), number)
                if page.rows:
                    return page
            except AlvysNotFoundError:
                pass
            # Only a total read after that response distinguishes a set that shrank from a failure.
            self._accept(self._fetch_first_page(), 0)
            if number > self._last_page():
                return None
            self._warn_of_missing_page(number)
        raise self._missing_page_error(number)

    def _fetch_first_page(self) -> Page:
        """Return page 0, which always exists: after the first success, a 404 is an error of the server's."""
        for _ in range(_MAX_FETCHES):
            try:
                return self._fetch(0, self.state.page_size)
            except AlvysNotFoundError:
                if self.state.passes == self.state.restarts == 0:
                    raise
            self._warn_of_missing_page(0)
        raise self._missing_page_error(0)

    def _warn_of_missing_page(self, number: int) -> None:
        total = counted(self.state.total, "rows")
        log.warning("%s: requesting missing page %d again: total is %s", self.name, number, total)

    def _missing_page_error(self, number: int) -> AlvysResponseError:
        return AlvysResponseError(
            f"{self.name}: page {number} was missing {_MAX_FETCHES} times although the total is "
            f"{self.state.total} rows. Run it again"
        )

    def _accept(self, page: Page, number: int) -> Page:
        """Check a page against the pages before it, and record its total."""
        state = self.state
        last, *same = self._last_accepted or (number,)
        if page.keys and last != number and same == [page.total, page.keys]:
            raise AlvysResponseError(
                f"{self.name}: Alvys returned the rows of page {last} as page {number}. Run it again"
            )
        if len(page.rows) < min(state.page_size, page.total - number * state.page_size):
            # The server caps the page size, announced or not. A later short page may also mean that rows
            # left.
            if page.size is not None and page.size < state.page_size:
                raise _PageSizeChanged(page.size)
            if number == 0:
                raise _PageSizeChanged(len(page.rows))
        if self._total_is_known and page.total != state.total:
            state.rows_moved = True
            state.total_grew = state.total_grew or page.total > state.total
        state.total = page.total
        self._total_is_known = True
        self._last_accepted = (number, page.total, page.keys)
        return page

    def _deduplicate(self, page: Page, *, is_reread: bool = False) -> list[Row]:
        """Return the rows not delivered before; count repeats unless the page is reread."""
        rows = []
        for key, row in zip(page.keys, page.rows, strict=True):
            is_new = self._seen.add(key)
            is_repeat = not (is_new if self._keys is self._seen else self._keys.add(key))
            self.state.repeats += is_repeat and not is_reread
            if is_new:
                rows.append(row)
        self.state.new_rows += len(rows)
        return rows


def _hash(keys: list[Key]) -> str:
    return blake2b(msgspec.json.encode(keys), digest_size=8).hexdigest()
