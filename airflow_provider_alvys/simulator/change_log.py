"""The changes of all rows since the last reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import format_time


class _Change(msgspec.Struct):
    """
    A change of a row.

    :param at: microseconds since 1970: the time of the last change in the row, or when it was noticed.
    :param row: its record as JSON afterwards; None if it was removed, or until it is needed.
    """

    at: int
    rows: RowSet
    number: int
    key: str
    kind: str
    row: bytes | None = None

    def keep_row(self) -> None:
        """Keep the record, before the row changes again."""
        self.row = self.rows.record_json(self.number, with_tombstone=True)


class ChangeLog:
    """
    Logs the changes of all rows.

    :param now: returns the time in microseconds since 1970.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._changes: list[_Change] = []
        # The last changes of rows, whose records are still those of the rows: few of them are asked for.
        self._last: dict[tuple[str, int], _Change] = {}

    def snapshot(self, rows: RowSet, numbers: Iterable[int]) -> Mapping[int, dict[str, Any] | None]:
        """Return the numbers of rows before a change; the log needs no more of them."""
        numbers = list(numbers)
        for number in numbers:
            last = self._last.pop((rows.spec.name, number), None)
            if last:
                last.keep_row()
        return {number: {} for number in numbers}

    def notify(
        self, rows: RowSet, before: Mapping[int, dict[str, Any] | None], *, are_removed: bool = False
    ) -> None:
        """Log changed rows."""
        name, updated = rows.spec.name, rows.spec.updated_column
        times = rows.column(updated) if updated and not are_removed else None
        for number, record in before.items():
            kind = "removed" if are_removed else "added" if record is None else "changed"
            at = (times[number] if times else None) or self._now()
            change = _Change(at, rows, number, rows.key(number), kind)
            self._changes.append(change)
            if not are_removed:
                self._last[name, number] = change

    def lines(self, stream: str | None, since: int) -> Iterator[bytes]:
        """
        Yield changes as lines of JSON, in the order in which they were made.

        :param stream: only of the row set with this name; None means all.
        :param since: only from this time on, in microseconds since 1970.
        """
        for change in self._last.values():
            change.keep_row()
        self._last.clear()
        for change in self._changes:
            if change.at >= since and stream in (None, change.rows.spec.name):
                shown = {
                    "at": format_time(change.at, 6),
                    "stream": change.rows.spec.name,
                    "key": change.key,
                    "change": change.kind,
                    "row": None if change.row is None else msgspec.Raw(change.row),
                }
                yield msgspec.json.encode(shown) + b"\n"
