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
from hashlib import blake2b
from typing import Literal

import msgspec

from airflow_provider_alvys.api.errors import (
    AlvysIncompleteError,
    AlvysNotFoundError,
    AlvysResponseError,
)
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.page_decoder import Key, Page, Row

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


class WalkState(msgspec.Struct, kw_only=True):
    """
    How far a walk has come: enough for another process to go on from the page after the last one that was yielded.

    :param page_size: rows to a page, as Alvys answers it.
    :param closed: whether rows can only leave the set.
    :param passes: those begun, the one under way included.
    :param total: rows in the set, by the last answer.
    :param next_page: of the pass under way; 0 when all of its pages but the first have been read; None when none is under way.
    :param is_read: whether the pass under way has read all that it should.
    :param moved: whether a total of this pass differed, or page 0 did.
    :param grew: whether one was higher.
    :param front: hash of the keys on page 0 at the beginning of the pass.
    :param news: rows of this pass that were new.
    :param passes_without_news: passes in a row that found nothing new, before this one.
    :param repeats: rows that came again on a further page of one pass, and were left out.
    :param restarts: how often the page size has changed.
    :param keys: what the pass has seen, as :class:`KeySet` dumps it; None where that is all that was seen.
    """

    page_size: int
    closed: bool
    passes: int = 0
    total: int = 0
    next_page: int | None = None
    is_read: bool = False
    moved: bool = False
    grew: bool = False
    front: str = ""
    news: int = 0
    passes_without_news: int = 0
    repeats: int = 0
    restarts: int = 0
    keys: bytes | None = None


class PageWalk:
    """
    Iterate over a set's new rows, page by page, and know at the end whether they are the whole set.

    Whenever it has yielded a page, :meth:`save` returns a state from which another walk goes on.

    :param fetch: asks for one page, and has refused what cannot be true of it; :class:`AlvysNotFoundError` means that there
        is no such page.
    :param state: where to begin. A ``closed`` set is a window on a change timestamp that has ended. It must be proved whole;
        other sets are read again by a later run, and may end as ``open``.
    :param name: how errors name the set.
    :param seen: keys delivered already; rows with these are dropped.
    :param changed: for a closed set: asks for the keys of all rows that changed since the walk began, which is where every row
        that left must be; None when that cannot be told.
    :param first: page 0, where it has been fetched already.
    """

    def __init__(
        self,
        fetch: Fetch,
        state: WalkState,
        *,
        name: str,
        seen: KeySet,
        changed: Callable[[], list[Key] | None] = lambda: None,
        first: Page | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.proof: Proof = "open"
        self._fetch_page = fetch
        self._changed = changed
        self._first = first
        self._seen = seen
        # Of the pass under way.
        self._keys = seen if state.keys is None else KeySet(state.keys)
        self._total_is_known = state.next_page is not None
        # Number, total and keys of the last page that was taken.
        self._last_taken: tuple[int, int, list[Key]] | None = None

    def save(self) -> WalkState:
        """Return how far it has come."""
        return msgspec.structs.replace(
            self.state, keys=None if self._keys is self._seen else self._keys.dump()
        )

    def __iter__(self) -> Iterator[list[Row]]:
        """
        Yield the rows of each page that were not seen before.

        :raises AlvysIncompleteError: a closed set kept moving in a way that it should not.
        :raises AlvysResponseError: an answer that cannot be true.
        """
        state = self.state
        most = _PASSES_OF_CLOSED if state.closed else _PASSES_OF_OTHERS
        while state.passes < most or state.next_page is not None:
            try:
                yield from self._pass()
                is_whole = self._is_whole()
            except _PageSizeChanged as change:
                self._restart(change.size)
                continue
            state.next_page = None
            if is_whole:
                self.proof = "whole"
                return
            log.info(
                "%s: rows moved while they were read (pass %d of %d at most)", self.name, state.passes, most
            )
        if state.closed:
            raise AlvysIncompleteError(
                f"{self.name}: {state.passes} passes could not prove the set whole: the last one saw {len(self._keys)} "
                f"different rows of {state.total}{', and the total grew' if state.grew else ''}. Nothing was settled and no "
                "cursor moved. Run it again; if it happens often, raise settling."
            )

    def _restart(self, size: int) -> None:
        """Begin the pass again at another page size."""
        state = self.state
        state.page_size = size
        state.passes -= 1
        state.next_page = None
        state.restarts += 1
        if state.restarts > _RESTARTS:
            # The next try counts anew.
            state.restarts = 0
            raise AlvysResponseError(
                f"{self.name}: Alvys changed the page size {_RESTARTS + 1} times during one read, last to {size}"
            ) from None
        log.info("%s: Alvys gives %d rows a page: starting again at that size", self.name, size)

    def _pass(self) -> Iterator[list[Row]]:
        """Read page 0 for the total, then the last page down to page 1, then page 0 again where that can matter."""
        state = self.state
        if state.next_page is None:
            yield self._begin()
        while state.next_page:
            number = state.next_page
            page = self._get(number)
            rows = [] if page is None else self._fresh(page)
            # Where the set has shrunk meanwhile, the pages in between are gone; their rows have moved forward.
            state.next_page = min(number - 1, self._last_page())
            if page is not None:
                yield rows
        if not state.is_read and (state.moved or not state.closed):
            again = self._get_front()
            rows = self._fresh(again, again=True)
            state.moved = state.moved or _hash(again.keys) != state.front
            state.is_read = True
            yield rows

    def _begin(self) -> list[Row]:
        """Begin a pass, and return what is new on page 0."""
        state = self.state
        first, self._first = self._first or self._ask_for_front(), None
        # The first pass fills the set of delivered keys from nothing: one set serves both ends.
        self._keys = self._seen if len(self._seen) == 0 else KeySet()
        self._total_is_known = state.moved = state.grew = False
        self._last_taken = None
        state.news = 0
        state.passes += 1
        front = self._take(first, 0)
        state.front = _hash(front.keys)
        state.next_page = self._last_page()
        state.is_read = state.next_page == 0
        return self._fresh(front)

    def _is_whole(self) -> bool:
        state = self.state
        if not state.closed:
            return not state.moved and len(self._keys) == state.total
        without_news = 0 if state.news else state.passes_without_news + 1
        # Rows that left can hide others that joined: a total that fell proves nothing. Either each row that left is known by
        # name, or two more passes have found nothing new.
        is_whole = (
            not state.grew
            and len(self._keys) >= state.total
            and (not state.moved or self._knows_all_that_left() or without_news >= _PASSES_WITHOUT_NEWS)
        )
        state.passes_without_news = without_news
        return is_whole

    def _knows_all_that_left(self) -> bool:
        state = self.state
        for _ in range(_STRAYS):
            before = state.total
            changed = self._changed()
            if changed is None:
                return False
            self._get_front()
            if state.grew:
                return False
            if state.total == before:
                left = sum(key in self._keys for key in changed)
                # More would be as wrong as fewer: a row has left that is not named, and may hide one that was missed.
                return len(self._keys) - left == state.total
        return False

    def _last_page(self) -> int:
        return max(0, (self.state.total - 1) // self.state.page_size)

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
            log.warning(
                "%s: page %d is missing although there are %d rows: asking again",
                self.name,
                number,
                self.state.total,
            )
        raise self._missing(number)

    def _get_front(self) -> Page:
        """Return page 0 again."""
        return self._take(self._ask_for_front(), 0)

    def _ask_for_front(self) -> Page:
        """Ask for page 0, which there always is. Where it has been there, a 404 is a stray one."""
        for _ in range(_STRAYS):
            try:
                return self._fetch_page(0, self.state.page_size)
            except AlvysNotFoundError:
                if self.state.passes == self.state.restarts == 0:
                    raise
            log.warning(
                "%s: page 0 is missing although there are %d rows: asking again", self.name, self.state.total
            )
        raise self._missing(0)

    def _missing(self, number: int) -> AlvysResponseError:
        return AlvysResponseError(
            f"{self.name}: page {number} was missing {_STRAYS} times although there are {self.state.total} rows. Run it again"
        )

    def _try(self, number: int) -> Page | None:
        try:
            return self._take(self._fetch_page(number, self.state.page_size), number)
        except AlvysNotFoundError:
            return None

    def _take(self, page: Page, number: int) -> Page:
        """Hold a page against what is known, and take note of what it says."""
        last, *same = self._last_taken or (number,)
        if page.keys and last != number and same == [page.total, page.keys]:
            raise AlvysResponseError(
                f"{self.name}: Alvys answered the rows of page {last} as page {number}, which cannot be"
            )
        if len(page.rows) < min(self.state.page_size, page.total - number * self.state.page_size):
            # A cap that the server names, or one that it keeps to in silence. A short page further on may as well be rows that
            # left just then: the proof tells.
            if page.size is not None and page.size < self.state.page_size:
                raise _PageSizeChanged(page.size)
            if number == 0:
                raise _PageSizeChanged(len(page.rows))
        if self._total_is_known and page.total != self.state.total:
            self.state.moved = True
            self.state.grew = self.state.grew or page.total > self.state.total
        self.state.total = page.total
        self._total_is_known = True
        self._last_taken = (number, page.total, page.keys)
        return page

    def _fresh(self, page: Page, *, again: bool = False) -> list[Row]:
        """Return the rows that are new. Those of a page that is read ``again`` are no repeats."""
        state = self.state
        rows = []
        for key, row in zip(page.keys, page.rows, strict=True):
            is_new = self._seen.add(key)
            is_repeat = not (is_new if self._keys is self._seen else self._keys.add(key))
            state.repeats += is_repeat and not again
            if is_new:
                rows.append(row)
        state.news += len(rows)
        return rows


def _hash(keys: list[Key]) -> str:
    return blake2b(msgspec.json.encode(keys), digest_size=8).hexdigest()
