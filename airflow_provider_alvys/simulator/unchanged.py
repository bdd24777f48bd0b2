"""Rows of a company that nobody changes, kept for the next company with the same options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from airflow_provider_alvys.simulator.options import Options

_MAX_COMPANIES = 4


class GeneratedRows(Protocol):
    """The rows of a stream."""

    def column(self, path: str) -> Mapping[int, Any]:
        """Return a column."""

    def record_json(self, number: int, *, with_tombstone: bool) -> bytes:
        """Return a row's record as JSON."""


RowsOf = Callable[[str], GeneratedRows]


class Unchanged:
    """
    Equal rows that are already generated, while a company is as it was at its start.

    :param rows_of: returns the rows of a stream of the other company; None means no other company.
    """

    def __init__(self, rows_of: RowsOf | None = None) -> None:
        self._rows_of = rows_of

    def rows(self, stream: str) -> GeneratedRows | None:
        """Return the equal rows of a stream, or None."""
        return self._rows_of(stream) if self._rows_of else None

    def end(self) -> None:
        """Note that something of the company changes: from now on it generates its rows itself."""
        self._rows_of = None


class UnchangedCompanies:
    """
    The companies of the latest options with which a simulator was reset more than once.

    :param make: makes a new company that nothing else uses, and returns its rows by stream.
    """

    def __init__(self, make: Callable[[Options], RowsOf]) -> None:
        self._make = make
        # None after the first reset. The latest is last.
        self._companies: dict[bytes, RowsOf | None] = {}

    def of(self, options: Options) -> Unchanged:
        """Return the rows for a company with these options. Without a fixed time no two are equal."""
        if options.now is None:
            return Unchanged()
        key = msgspec.json.encode(options)
        is_known = key in self._companies
        found = self._companies.pop(key, None)
        if is_known and found is None:
            found = self._make(options)
        self._companies[key] = found
        while len(self._companies) > _MAX_COMPANIES:
            del self._companies[next(iter(self._companies))]
        return Unchanged(found)
