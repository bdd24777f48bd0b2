"""
The page walk that loses nothing.

Alvys numbers pages from 0, documents no order, and rows move between pages while they are read: a row that leaves the set
pulls every later row one place forward, over the edge of a page that has been read. So a set is read from its last page to its
first: what moves forward moves into pages that are still to come.

A closed window can only shrink: rows leave it by being changed. Still it is not believed but proved whole. Where its total did
not move, the different rows are as many as the total. Where it fell, the rows that left are asked for by name, which costs two
requests; where that cannot tell (too many of them, or they keep leaving), two more passes must find nothing new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Literal

from airflow_provider_alvys.api.errors import (
    AlvysIncompleteError,
    AlvysNotFoundError,
    AlvysResponseError,
)
from airflow_provider_alvys.api.keyset import KeySet
from airflow_provider_alvys.api.rows import Key, Page, Row

log = logging.getLogger(__name__)

Proof = Literal["whole", "open"]
# fetch(page number, page size) -> page
Fetch = Callable[[int, int], Page]

_PASSES_OF_CLOSED = 3
_PASSES_OF_OTHERS = 2
_PASSES_WITHOUT_NEWS = 2
# How often one page may be missing while the total says that it exists, and how often the page size may change.
_STRAYS = 3
_RESTARTS = 5


class _PageSizeChanged(Exception):
    def __init__(self, size: int) -> None:
        self.size = size


class PageWalk:
    """
    Iterate over a set's new rows, page by page, and know at the end whether they are the whole set.

    :param fetch: asks for one page, and has refused what cannot be true of it; :class:`AlvysNotFoundError` means that there
        is no such page.
    :param name: how errors name the set.
    :param page_size: rows to ask for at once.
    :param closed: whether rows can only leave the set: a window on a change timestamp that has ended. It must be proved whole;
        other sets are read again by a later run, and may end as ``open``.
    :param seen: keys delivered already; rows with these are dropped.
    :param changed: for a closed set: asks for the keys of all rows that changed since the walk began, which is where every row
        that left must be; None when that cannot be told.
    :param first: page 0, where it has been fetched already.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        name: str,
        page_size: int,
        closed: bool,
        seen: KeySet,
        changed: Callable[[], list[Key] | None] = lambda: None,
        first: Page | None = None,
    ) -> None:
        self.name = name
        self.page_size = page_size
        self.closed = closed
        self.proof: Proof = "open"
        self.passes = 0
        self.total = 0
        self._fetch_page = fetch
        self._changed = changed
        self._first = first
        self._seen = seen
        # Of the pass under way.
        self._keys = seen
        self._moved = False
        self._grew = False
        self._news = 0
        self._passes_without_news = 0
        self._total_is_known = False
        # Number, total and keys of the last page that was taken.
        self._last_taken: tuple[int, int, list[Key]] | None = None

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the rows of each page that were not seen before.

        :raises AlvysIncompleteError: a closed set kept moving in a way that it should not.
        :raises AlvysResponseError: an answer that cannot be true.
        """
        restarts = 0
        most = _PASSES_OF_CLOSED if self.closed else _PASSES_OF_OTHERS
        while self.passes < most:
            self.passes += 1
            try:
                yield from self._pass()
                if self._is_whole():
                    self.proof = "whole"
                    return
            except _PageSizeChanged as change:
                restarts += 1
                if restarts > _RESTARTS:
                    raise AlvysResponseError(
                        f"{self.name}: Alvys changed the page size {restarts} times during one read, last to {change.size}"
                    ) from None
                log.info("%s: Alvys gives %d rows a page: starting again at that size", self.name, change.size)
                self.page_size = change.size
                self.passes -= 1
                continue
            log.info("%s: rows moved while they were read (pass %d of %d at most)", self.name, self.passes, most)
        if self.closed:
            raise AlvysIncompleteError(
                f"{self.name}: {self.passes} passes could not prove the set whole: the last one saw {len(self._keys)} "
                f"different rows of {self.total}{', and the total grew' if self._grew else ''}. Nothing was settled and no "
                "cursor moved. Run it again; if it happens often, raise settling."
            )

    def _pass(self) -> Iterator[list[Row]]:
        """Read page 0 for the total, then the last page down to page 1, then page 0 again where that can matter."""
        # The first pass fills the set of delivered keys from nothing: one set serves both ends.
        self._keys = self._seen if len(self._seen) == 0 else KeySet()
        self._moved = self._grew = self._total_is_known = False
        self._news = 0
        self._last_taken = None
        first, self._first = self._first, None
        front = self._take(first or self._fetch_page(0, self.page_size), 0)
        yield self._fresh(front)
        number = self._last_page()
        if number == 0:
            return
        while number > 0:
            page = self._get(number)
            if page is not None:
                yield self._fresh(page)
            # Where the set has shrunk meanwhile, the pages in between are gone; their rows have moved forward.
            number = min(number - 1, self._last_page())
        if self._moved or not self.closed:
            again = self._get_front()
            yield self._fresh(again)
            self._moved = self._moved or again.keys != front.keys

    def _is_whole(self) -> bool:
        if not self.closed:
            return not self._moved and len(self._keys) == self.total
        self._passes_without_news = 0 if self._news else self._passes_without_news + 1
        if self._grew or len(self._keys) < self.total:
            return False
        if not self._moved:
            return True
        # Rows that left can hide others that joined: a total that fell proves nothing. Either each row that left is known by
        # name, or two more passes have found nothing new.
        return self._knows_all_that_left() or self._passes_without_news >= _PASSES_WITHOUT_NEWS

    def _knows_all_that_left(self) -> bool:
        for _ in range(_STRAYS):
            before = self.total
            changed = self._changed()
            if changed is None:
                return False
            self._get_front()
            if self._grew:
                return False
            if self.total == before:
                left = sum(key in self._keys for key in changed)
                # More would be as wrong as fewer: a row has left that is not named, and may hide one that was missed.
                return len(self._keys) - left == self.total
        return False

    def _last_page(self) -> int:
        return max(0, (self.total - 1) // self.page_size)

    def _get(self, number: int) -> Page | None:
        """Return a page beyond the first, or None when the set has shrunk to end before it."""
        for _ in range(_STRAYS):
            page = self._try(number)
            if page is not None and page.rows:
                return page
            # Only a total of after that answer can tell a set that shrank from a failure.
            self._get_front()
            if number > self._last_page():
                return None
            log.warning("%s: page %d is missing although there are %d rows: asking again", self.name, number, self.total)
        raise self._missing(number)

    def _get_front(self) -> Page:
        """Return page 0 again. It was there before, so that a 404 is a stray one."""
        for _ in range(_STRAYS):
            page = self._try(0)
            if page is not None:
                return page
            log.warning("%s: page 0 is missing although there are %d rows: asking again", self.name, self.total)
        raise self._missing(0)

    def _missing(self, number: int) -> AlvysResponseError:
        return AlvysResponseError(
            f"{self.name}: page {number} was missing {_STRAYS} times although there are {self.total} rows. Run it again"
        )

    def _try(self, number: int) -> Page | None:
        try:
            return self._take(self._fetch_page(number, self.page_size), number)
        except AlvysNotFoundError:
            return None

    def _take(self, page: Page, number: int) -> Page:
        """Hold a page against what is known, and take note of what it says."""
        last, *same = self._last_taken or (number,)
        if page.keys and last != number and same == [page.total, page.keys]:
            raise AlvysResponseError(f"{self.name}: Alvys answered the rows of page {last} as page {number}, which cannot be")
        if len(page.rows) < min(self.page_size, page.total - number * self.page_size):
            # A cap that the server names, or one that it keeps to in silence. A short page further on may as well be rows that
            # left just then: the proof tells.
            if page.size is not None and page.size < self.page_size:
                raise _PageSizeChanged(page.size)
            if number == 0:
                raise _PageSizeChanged(len(page.rows))
        if self._total_is_known and page.total != self.total:
            self._moved = True
            self._grew = self._grew or page.total > self.total
        self.total = page.total
        self._total_is_known = True
        self._last_taken = (number, page.total, page.keys)
        return page

    def _fresh(self, page: Page) -> list[Row]:
        rows = []
        for key, row in zip(page.keys, page.rows, strict=True):
            if self._keys is not self._seen:
                self._keys.add(key)
            if self._seen.add(key):
                rows.append(row)
        self._news += len(rows)
        return rows
