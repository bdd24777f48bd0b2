"""Rows of a company that nobody changes, kept for the next company with the same options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.data.row_set import RowSet
    from airflow_provider_alvys.simulator.options import Options

# The row sets of a company, by stream.
RowSets = Callable[[str], "RowSet"]
_MAX_COMPANIES = 4


class Unchanged:
    """
    Equal rows that are already generated, while a company is as it was at its start.

    :param rows_of: returns a row set of the other company; None means there is none.
    """

    def __init__(self, rows_of: RowSets | None = None) -> None:
        self._rows_of = rows_of

    def rows(self, stream: str) -> RowSet | None:
        """Return the equal row set of a stream, or None."""
        return self._rows_of(stream) if self._rows_of else None

    def end(self) -> None:
        """Note that something of the company changes: from now on it generates its rows itself."""
        self._rows_of = None


class UnchangedCompanies:
    """
    The companies of the latest options with which a simulator was reset more than once.

    :param make: returns the row sets of a new company that nothing else uses.
    """

    def __init__(self, make: Callable[[Options], RowSets]) -> None:
        self._make = make
        # None after the first reset. The latest is last.
        self._companies: dict[bytes, RowSets | None] = {}

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
