"""What the simulated company knows about the rows of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Facts(Protocol):
    """
    The coherent fields of a stream's rows. All other fields have sample values.

    Values have the form of the record, except that a time is microseconds since 1970, as in a column.
    """

    @property
    def fields(self) -> frozenset[str]:
        """The top-level fields that it decides."""

    def value(self, number: int, name: str) -> Any:
        """Return a top-level field of a row, or None if the row lacks it."""

    def record(self, number: int) -> Mapping[str, Any]:
        """Return all its fields of a row."""
