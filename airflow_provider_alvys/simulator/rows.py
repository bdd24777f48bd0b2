"""Rows and sets of rows: what a search finds, in which order, and how rows change."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_alvys.api.streams import Stream

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Row:
    """
    One record.

    :param columns: what it can be searched by; times in microseconds since 1970. May be changed with :meth:`change`.
    :param build: makes the full record; None values in it are left out.
    """

    __slots__ = ("_body", "_build", "_stream", "columns")

    def __init__(self, *, columns: dict[str, Any], build: Callable[[Row], dict[str, Any]], stream: Stream) -> None:
        self.columns = columns
        self._build = build
        self._stream = stream
        self._body: bytes | None = None

    @property
    def key(self) -> str:
        """The row's id."""
        return "/".join(str(self.columns[name]) for name in self._stream.key)

    def change(self, **columns: Any) -> None:
        """Set columns."""
        self.columns.update(columns)
        self._body = None

    def text(self, *, with_deleted: bool) -> bytes:
        """Return the record as JSON. Alvys shows ``IsDeleted`` only to those who ask for deleted rows."""
        if self._body is None:
            self._body = msgspec.json.encode(_without_nulls(self._build(self)))
        if not with_deleted:
            return self._body
        return self._body[:-1] + (b',"IsDeleted":true}' if self.columns["IsDeleted"] else b',"IsDeleted":false}')


def _without_nulls(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [_without_nulls(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
        for name, value in record.items()
        if value is not None
    }


class RowSet:
    """All rows of a stream, and the searches over them."""

    def __init__(self, stream: Stream, rows: list[Row], *, order: str, seed: int) -> None:
        self.stream = stream
        self.rows = rows
        self._order = order
        self._random = random.Random(seed)
        self._version = 0
        self._found: tuple[Any, list[Row]] | None = None

    def find(self, body: Mapping[str, Any]) -> list[Row]:
        """Return the rows for a search body whose names are spelt as in the catalogue, in the set's order."""
        question = (self._version, msgspec.json.encode({k: v for k, v in body.items() if k not in ("Page", "PageSize")}))
        if self._found is None or self._found[0] != question:
            self._found = (question, [row for row in self.rows if self._matches(row, body)])
        found = self._found[1]
        if self._order == "unstable":
            found = self._random.sample(found, len(found))
        return found

    def _matches(self, row: Row, body: Mapping[str, Any]) -> bool:
        columns = row.columns
        if columns["IsDeleted"] and not body.get("IncludeDeleted"):
            return False
        for filter in self.stream.filters:
            wanted = body.get(filter.name)
            if wanted and filter.column:
                value = columns[filter.column]
                if value not in wanted if isinstance(wanted, list) else value != wanted:
                    return False
        for window in self.stream.windows:
            period = body.get(window.param)
            if period:
                start, end = _bounds(period)
                value = columns[window.column]
                # Nothing documents whether the ends belong to a period: here they do.
                if value is None or not start <= value <= end:
                    return False
        return True

    def touch(self, rows: list[Row], now: int, **columns: Any) -> None:
        """Change rows, at ``now``."""
        for row in rows:
            row.change(UpdatedAt=now, **columns)
        self._version += 1

    def add(self, row: Row) -> None:
        """Add a row in its place by creation."""
        self.rows.append(row)
        self.sort()

    def sort(self) -> None:
        """Bring the rows into the set's order."""
        self.rows.sort(key=lambda row: (row.columns["CreatedAt"], row.key), reverse=self._order == "newest")
        self._version += 1

    def pick(self, rows: list[Row], count: int) -> list[Row]:
        """Return ``count`` of the rows at random, or all where there are fewer."""
        return self._random.sample(rows, min(count, len(rows)))

    def moment_before(self, span: int) -> int:
        """Return a random number of microseconds below ``span``."""
        return self._random.randrange(span)

    def moment_in(self, period: Mapping[str, Any]) -> int:
        """Return a random time in a period."""
        start, end = _bounds(period)
        return self._random.randint(start, end)


_bounds_cache: dict[tuple[str, str | None], tuple[int, int]] = {}


def _bounds(period: Mapping[str, Any]) -> tuple[int, int]:
    key = (str(period.get("Start", period.get("start"))), period.get("End", period.get("end")))
    if key not in _bounds_cache:
        _bounds_cache[key] = (parse_micros(key[0]), parse_micros(key[1]) if key[1] else 2**62)
    return _bounds_cache[key]


def is_period(period: Any) -> bool:
    """Return whether a value is a period with good bounds."""
    try:
        _bounds(period)
    except (msgspec.ValidationError, AttributeError, TypeError, OverflowError):
        return False
    return True


def parse_micros(text: str) -> int:
    """Return an ISO 8601 time as microseconds since 1970; one without a zone counts as UTC."""
    time = msgspec.convert(text, datetime)
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return (time - _EPOCH) // timedelta(microseconds=1)
