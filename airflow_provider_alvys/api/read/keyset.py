"""A set of keys that costs some 16 bytes a key, and can be kept in a file."""

from __future__ import annotations

import sys
from array import array
from hashlib import blake2b

import msgspec

from airflow_provider_alvys.api.read.page_decoder import Key

_FREE = 0


def _hash(key: Key) -> int:
    # The same in every process and on every machine, unlike hash().
    return int.from_bytes(blake2b(msgspec.json.encode(key), digest_size=8).digest(), "little") or 1


class KeySet:
    """
    Remember which keys were seen, by their 64-bit hash, in an open-addressing table.

    Two keys with one hash would count as one: a row missing, which a whole set's count then shows. Among a million keys the
    odds are one in 30 million.

    :param kept: what :meth:`dump` returned of another set, to go on from.
    """

    def __init__(self, kept: bytes = b"") -> None:
        self._table = array("Q", bytes(8 * 1024))
        self._count = 0
        for value in _swapped(array("Q", kept)):
            self._add(value)

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key) -> bool:
        """Add a key and return whether it is new."""
        return self._add(_hash(key))

    def __contains__(self, key: Key) -> bool:
        value = _hash(key)
        return self._table[self._place(value)] == value

    def dump(self) -> bytes:
        """Return the keys' hashes, 8 bytes each, lowest byte first."""
        return _swapped(array("Q", [value for value in self._table if value != _FREE])).tobytes()

    def _add(self, value: int) -> bool:
        is_new = self._insert(value)
        if is_new:
            self._count += 1
            if self._count * 3 > len(self._table) * 2:
                self._grow()
        return is_new

    def _insert(self, value: int) -> bool:
        at = self._place(value)
        is_new = self._table[at] == _FREE
        self._table[at] = value
        return is_new

    def _place(self, value: int) -> int:
        """Return where a value stands, or the free place where it would."""
        table, mask = self._table, len(self._table) - 1
        at = value & mask
        while table[at] not in (_FREE, value):
            at = (at + 1) & mask
        return at

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(8 * 2 * len(old)))
        for value in old:
            if value != _FREE:
                self._insert(value)


def _swapped(values: array[int]) -> array[int]:
    """Return the values in the byte order of files, or from it."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
