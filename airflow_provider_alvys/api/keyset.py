"""A set of keys that costs some 16 bytes a key."""

from __future__ import annotations

from array import array
from collections.abc import Hashable

_UNSIGNED = (1 << 64) - 1


def _hash(key: Hashable) -> int:
    # 0 marks a free place.
    return hash(key) & _UNSIGNED or 1


class KeySet:
    """
    Remember which keys were seen, by their 64-bit hash, in an open-addressing table.

    Two keys with one hash would count as one: a row missing, which a whole set's count then shows. Among a million keys the
    odds are one in 30 million.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Hashable) -> bool:
        """Add a key and return whether it is new."""
        is_new = self._insert(_hash(key))
        if is_new:
            self._count += 1
            if self._count * 3 > len(self._table) * 2:
                self._grow()
        return is_new

    def __contains__(self, key: Hashable) -> bool:
        value = _hash(key)
        return self._table[self._place(value)] == value

    def _insert(self, value: int) -> bool:
        at = self._place(value)
        is_new = self._table[at] == 0
        self._table[at] = value
        return is_new

    def _place(self, value: int) -> int:
        """Return where a value stands, or the free place where it would."""
        table, mask = self._table, len(self._table) - 1
        at = value & mask
        while table[at] not in (0, value):
            at = (at + 1) & mask
        return at

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(8 * 2 * len(old)))
        for value in old:
            if value:
                self._insert(value)
