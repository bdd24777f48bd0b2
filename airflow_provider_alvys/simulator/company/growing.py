"""Lists that grow as the company's time passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GrowingList(Generic[Item]):
    """
    What exists until a time, in the order in which it came to be.

    :param between: returns what comes to be after a time, until another one, in order; of all times first.
    """

    def __init__(self, between: Callable[[int, int], Iterable[Item]]) -> None:
        self._between = between
        self._items: list[Item] = []
        self._until = 0

    def until(self, now: int) -> list[Item]:
        """Return the items until a time that never goes back; the position of an item stays."""
        if now > self._until:
            self._items += self._between(self._until, now)
            self._until = now
        return self._items
