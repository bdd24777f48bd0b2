"""A set of keys that takes about 16 bytes per key and can be stored."""

from __future__ import annotations

import sys
from array import array
from hashlib import blake2b

import msgspec

from airflow_provider_alvys.api.read.page_decoder import Key


def _hash(key: Key) -> int:
    # Stable across processes and machines, unlike hash().
    return int.from_bytes(blake2b(msgspec.json.encode(key), digest_size=8).digest(), "little") or 1


class KeySet:
    """
    A set of keys, stored as 64-bit hashes in an open-addressing table; 0 is an empty slot.

    Two keys with the same hash count as one: a row is dropped, and the count of a complete set is short by
    one. Among a million keys the odds are one in 30 million.

    :param dump: of another set, whose keys this one begins with.
    """

    def __init__(self, dump: bytes = b"") -> None:
        self._table = array("Q", bytes(8 * 1024))
        self._count = 0
        for value in _little_endian(array("Q", dump)):
            self._add(value)

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key) -> bool:
        """Add a key and return whether it is new."""
        return self._add(_hash(key))

    def __contains__(self, key: Key) -> bool:
        value = _hash(key)
        return self._table[self._slot(value)] == value

    def dump(self) -> bytes:
        """Return the hashes of the keys, 8 bytes each, in little-endian order."""
        return _little_endian(array("Q", filter(None, self._table))).tobytes()

    def _add(self, value: int) -> bool:
        slot = self._slot(value)
        if self._table[slot] == value:
            return False
        self._table[slot] = value
        self._count += 1
        if self._count * 3 > len(self._table) * 2:
            old, self._table = self._table, array("Q", bytes(8 * 2 * len(self._table)))
            for value in filter(None, old):
                self._table[self._slot(value)] = value
        return True

    def _slot(self, value: int) -> int:
        """Return the index of a value, or of the empty slot for it."""
        table, mask = self._table, len(self._table) - 1
        slot = value & mask
        while table[slot] not in (0, value):
            slot = (slot + 1) & mask
        return slot


def _little_endian(values: array[int]) -> array[int]:
    """Convert values between this machine's byte order and that of a dump."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
