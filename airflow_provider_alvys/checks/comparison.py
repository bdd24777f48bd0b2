"""What the checks of one run share: both sides, the repairs, and the rows that changed since."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import TimeWindow
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.checks.alvys_side import AlvysSide, FlatRow, changed_since, newest_time
from airflow_provider_alvys.checks.repairs import Repairs
from airflow_provider_alvys.checks.stored_side import StoredSide, period_of, time_text
from airflow_provider_alvys.landing.jobs.spec import OVERLAP
from airflow_provider_alvys.tables.schema import StreamSchema

log = logging.getLogger(__name__)

# Rows that are read at once to find single ones.
MAX_ROWS = 1000


@dataclass(frozen=True)
class _Changed:
    """A row that changed in Alvys since the last sync, and where it counts there and here."""

    there: str | None
    here: str | None
    is_here: bool


class Changes:
    """The rows of Alvys that have changed since the last complete sync, which are not differences."""

    def __init__(self, alvys: AlvysSide, stored: StoredSide, schema: StreamSchema) -> None:
        self._alvys = alvys
        self._stored = stored
        self._schema = schema
        self._by = changed_since(schema.stream.windows)

    @property
    def _begin(self) -> datetime | None:
        """The time from which changes may not have landed yet."""
        return self._stored.as_of and self._stored.as_of - OVERLAP

    @cached_property
    def rows(self) -> Mapping[str, _Changed]:
        """These rows by key; none if they are too many."""
        by, begin = self._by, self._begin
        known: dict[str, str | None] = {}
        if by is not None and begin is not None:
            known = self._alvys.once("changed", lambda: self._list(by, begin))
        places = self._stored.find(list(known))
        return {
            key: _Changed(time, places[key].time if key in places else None, key in places)
            for key, time in known.items()
        }

    @property
    def are_listed(self) -> bool:
        """Whether there were not too many rows to list."""
        return bool(self.rows) or not self._alvys.once("unlisted", lambda: 0)

    def _list(self, by: TimeWindow, begin: datetime) -> dict[str, str | None]:
        rows = self._alvys.rows(Window(begin, None), by, at_most=MAX_ROWS)
        if rows is None:
            number = self._alvys.total(Window(begin, None), by)
            log.warning("Compare sooner after a sync: %s changed since the last", counted(number, "rows"))
            self._alvys.once("unlisted", lambda: number)
            return {}
        at = self._alvys.columns.time
        return {self._alvys.name_of(row).key: None if at is None else row[0][0][at] for row in rows}

    def without(
        self, window: Window | None, total: int, rows: int, *, outside: bool = False
    ) -> tuple[int, int]:
        """Return both numbers without the rows in a window, or outside, that have changed."""
        edges = [time_text(time) for time in (window.since, window.until) if time] if window else []
        changed = self.rows.values()
        there = sum((period_of(one.there, edges) == 1) != outside for one in changed)
        here = sum((period_of(one.here, edges) == 1) != outside for one in changed if one.is_here)
        return total - there, rows - here

    def agree(self, total: int, rows: int, missed: int) -> bool:
        """Return whether both numbers, without the rows that have changed, are the same."""
        unlisted = self._alvys.once("unlisted", lambda: 0)
        return rows - missed - unlisted <= total <= rows + unlisted

    def is_new(self, key: str, row: FlatRow) -> bool:
        """Return whether a row has changed."""
        begin, at = self._begin, self._alvys.columns.version
        if key in self.rows:
            return True
        if begin is None:
            return False
        if at is not None and self._by is not None:
            version = row[0][0][at]
            return version is not None and version >= time_text(begin)
        # Nothing but the row's own times says when it was entered.
        now = datetime.fromtimestamp(self._alvys.now(), timezone.utc)
        newest = newest_time(row, self._schema, now)
        return newest is not None and newest >= time_text(begin)

    def has_moved(self, key: str, elsewhere: Mapping[str, Any]) -> bool:
        """Return whether a row is stored with another date, and may have changed."""
        return key in elsewhere and self._by is None


@dataclass(frozen=True)
class Comparison:
    """What the checks of one run share."""

    alvys: AlvysSide
    stored: StoredSide
    schema: StreamSchema
    repairs: Repairs

    @cached_property
    def changes(self) -> Changes:
        """The rows that have changed since the last complete sync."""
        return Changes(self.alvys, self.stored, self.schema)
