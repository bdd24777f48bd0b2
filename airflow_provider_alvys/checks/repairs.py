"""Repairs: the syncs that read again what differs, as arguments of AlvysToObjectStorageOperator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE, Filter, Stream
from airflow_provider_alvys.api.read.windows import Window, format_time

_SECOND = timedelta(seconds=1)
# More rows are read faster by a window.
_MAX_NUMBERS = 500


@dataclass(frozen=True)
class RowName:
    """
    A row of a stream.

    :param key: its key in the tables.
    :param number: its number, by which people know it, or None.
    :param window: the shortest window with it, by the stream's ``row_window``; None if it has no time.
    """

    key: str
    number: str | None = None
    window: Window | None = None

    def __str__(self) -> str:
        return f"row {self.key}" + (f" ({self.number})" if self.number else "")


def row_filter(stream: Stream) -> tuple[Filter, bool] | None:
    """Return the filter that finds many rows by key, or by number (True); None if the stream has none."""
    for filter in stream.filters:
        if filter.type == "strings" and not filter.ignored:
            if stream.key == (filter.column,):
                return filter, False
            if stream.number_field and filter.column == stream.number_field:
                return filter, True
    return None


def short_window(time: str | None, *, margin: int = 0) -> Window | None:
    """Return a short window with a time of the tables, or with whole days around it."""
    if time is None:
        return None
    since = datetime.fromisoformat(time[:26]).replace(tzinfo=timezone.utc)
    length = timedelta(days=1) if len(time) == len("2026-03-01") or margin else _SECOND
    return Window(since - margin * length, since + (margin + 1) * length)


class Repairs:
    """Collects what differs."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._by = stream.row_window
        self._windows: list[Window] = []
        self._rows: dict[str, RowName] = {}
        self._is_full_read = False

    def add_rows(self, rows: Iterable[RowName]) -> None:
        """Read rows again."""
        self._rows |= {row.key: row for row in rows}

    def add_window(self, window: Window) -> None:
        """Read a window again."""
        self._windows.append(window)

    def add_sweep(self, window: Window | None) -> None:
        """Read a window so that rows that Alvys no longer has become missing rows; None for all rows."""
        can_prove = self._by is not None and self._by.column_is_certain
        if window is not None and can_prove:
            # A row at the very start of a window is not missed by it.
            self._windows.append(Window(window.since - _SECOND, window.until))
        else:
            self.add_full_read()

    def add_full_read(self) -> None:
        """Read the stream in full."""
        self._is_full_read = True

    def plan(self) -> list[dict[str, Any]]:
        """Return the arguments of the smallest syncs, for ``expand_kwargs``."""
        name = {"stream": self._stream.name}
        if self._is_full_read and self._stream.full_read:
            return [{**name, "window_by": WHOLE}]
        windows = list(self._windows)
        left: list[str] = []
        found = row_filter(self._stream)
        for row in self._rows.values():
            value = row.number if found and found[1] else row.key
            if found and value and len(self._rows) <= _MAX_NUMBERS:
                left.append(value)
            elif row.window is not None:
                windows.append(row.window)
            elif self._stream.full_read:
                return [{**name, "window_by": WHOLE}]
        plans: list[dict[str, Any]] = []
        for window in _merged(windows):
            assert self._by is not None  # noqa: S101
            until = {"until": format_time(window.until)} if window.until else {}
            since = {"since": format_time(window.since)}
            plans.append({**name, "window_by": self._by.name, **since, **until})
        if left and found:
            by = WHOLE if self._stream.full_read else None
            plans.append({**name, "window_by": by, "filters": {found[0].name: sorted(set(left))}})
        return plans


def _merged(windows: list[Window]) -> list[Window]:
    """Return windows that do not overlap, in order."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda window: window.since):
        last = merged[-1] if merged else None
        if last is not None and (last.until is None or window.since <= last.until):
            ends = [last.until, window.until]
            until = None if None in ends else max(end for end in ends if end is not None)
            merged[-1] = Window(last.since, until)
        else:
            merged.append(window)
    return merged
