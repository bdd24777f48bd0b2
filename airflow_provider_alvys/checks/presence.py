"""Presence: the totals of Alvys against the rows that are stored, month by month."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import TimeWindow
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import ALL_TIME, Window
from airflow_provider_alvys.checks.alvys_side import AlvysSide, FlatRow, changed_since, newest_time
from airflow_provider_alvys.checks.repairs import Repairs, RowName, short_window
from airflow_provider_alvys.checks.results import Check, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import StoredSide, Tally, bucket_of, time_text
from airflow_provider_alvys.landing.jobs.initial_load import cut_windows
from airflow_provider_alvys.landing.jobs.spec import OVERLAP
from airflow_provider_alvys.tables.schema import StreamSchema

log = logging.getLogger(__name__)

PRESENCE = "presence"
_DAY = timedelta(days=1)
# Seconds after a sync in which rows that do not show when they were entered are not taken for new ones.
_RECENT = 3600
# Windows in which single rows are searched, and rows that are read for it at once. Others are read again.
_MAX_LOCATED = 6
_MAX_ROWS = 1000
# Rows that are named in the results of a window.
_MAX_NAMED = 100


@dataclass
class _Period:
    """
    One window, and its numbers.

    :param is_compared: False for the rows that were created after the last sync.
    """

    window: Window
    label: str
    stored: Tally
    total: int = 0
    is_compared: bool = True

    @property
    def agrees(self) -> bool:
        return agrees(self.total, self.stored)


@dataclass(frozen=True)
class _Changed:
    """A row that changed in Alvys since the last sync, and where it counts there and here."""

    there: str | None
    here: str | None
    is_here: bool


def agrees(total: int, stored: Tally) -> bool:
    """Return whether a total is that of the stored rows. Those that the last complete read lacked may go."""
    return stored.rows - stored.missed <= total <= stored.rows


class PresenceCheck:
    """
    Compares totals.

    :param start: first time to compare; None for the first of the stored rows, and all before.
    :param end: None for the last of the stored rows, and all after.
    :param every: ``day``, ``week``, ``month`` or ``year``.
    :param statuses: compared in windows that differ; None means those that Alvys knows, where no single rows
        are found.
    :ivar edges: of the windows that were compared.
    """

    def __init__(
        self,
        alvys: AlvysSide,
        stored: StoredSide,
        schema: StreamSchema,
        repairs: Repairs,
        *,
        start: datetime | None,
        end: datetime | None,
        every: str,
        statuses: Sequence[str] | None,
    ) -> None:
        self._alvys = alvys
        self._stored = stored
        self._schema = schema
        self._repairs = repairs
        self._start = start
        self._end = end
        self._every = every
        self._statuses = statuses
        self._by = schema.stream.row_window
        self._changed: dict[str, _Changed] | None = None
        self._is_all = start is None and end is None
        self.edges: list[datetime] = []

    @property
    def _changes_begin(self) -> datetime | None:
        """The time from which changes may not have landed yet."""
        return self._stored.as_of and self._stored.as_of - OVERLAP

    @property
    def _differs(self) -> Verdict:
        """
        The verdict on rows that differ.

        Where rows do not show when they were entered or changed, only a recent sync proves anything.
        """
        as_of = self._stored.as_of
        if as_of is None or changed_since(self._schema.stream.windows) is not None:
            return "differs"
        return "moving" if self._alvys.now() - as_of.timestamp() > _RECENT else "differs"

    def run(self) -> Iterator[Check]:
        """Yield a check for each window, for what is in none, and for the rows that are named."""
        stored = [] if self._by is None else self._make_buckets()
        edges = self._edges(stored)
        self.edges = self._edges([bucket for bucket in stored if bucket.is_compared])
        tallies = self._stored.tally(edges)
        total = self._alvys.total(None) if self._is_all else None
        for bucket in stored:
            bucket.stored = tallies[edges.index(bucket.window.since) + 1]
            bucket.total = self._alvys.total(bucket.window)
        rest = None
        if total is not None:
            everything = Tally(sum(t.rows for t in tallies), sum(t.missed for t in tallies))
            rest = self._rest(total, everything, stored)
        if rest is not None and not rest.agrees and stored:
            more = self._outer_buckets(edges, tallies)
            rest = self._rest(rest.total + sum(b.total for b in stored), everything, [*stored, *more])
            stored = sorted([*stored, *more], key=lambda bucket: bucket.window.since)
        compared = [bucket for bucket in stored if bucket.is_compared]
        differing = [bucket for bucket in compared if not bucket.agrees]
        # Alvys may filter by another field than we know of: then nothing is missing.
        is_uncertain = self._by is not None and not self._by.column_is_certain
        is_other_field = is_uncertain and rest is not None and rest.agrees and len(differing) > _MAX_LOCATED
        located = 0
        for bucket in compared:
            if bucket.agrees or is_other_field:
                verdict: Verdict = "same" if bucket.agrees else "unknown"
                yield make_check(PRESENCE, bucket.label, bucket.total, bucket.stored.rows, verdict)
                continue
            located += 1
            yield from self._explain(bucket, can_locate=located <= _MAX_LOCATED)
        if rest is not None:
            yield self._check_rest(rest, stored)

    def _make_buckets(self) -> list[_Period]:
        """Return the windows to compare. Those without rows, one after the other, are one."""
        bounds = self._stored.bounds()
        since, until = self._start, self._end
        if since is None:
            since = _month_of(bounds[0]) if bounds else None
        if until is None:
            until = (_month_of(bounds[1]) + 32 * _DAY).replace(day=1) if bounds else None
        as_of, by = self._stored.as_of, self._by
        assert by is not None  # noqa: S101
        # No row is created in the future, and those that are younger than the last sync are not compared.
        is_creation = not by.whole_days and by.look_ahead == timedelta(0)
        is_cut = is_creation and as_of is not None and until is not None and (as_of < until or not self._end)
        until = as_of if is_cut else until
        if since is None or until is None or since >= until:
            return []
        complete = Window(since, until).whole_days() if by.whole_days else Window(since, until)
        assert complete.until is not None  # noqa: S101
        cut = cut_windows(complete.since, complete.until, self._every, whole_days=by.whole_days)
        windows = [Window(_time(one["since"]), _time(one["until"])) for one in cut]
        found = self._stored.tally(self._edges([_Period(one, "", Tally()) for one in windows]))
        merged: list[tuple[Window, int]] = []
        for window, tally in zip(windows, found[1:], strict=False):
            if merged and not tally.rows and not merged[-1][1]:
                merged[-1] = (Window(merged[-1][0].since, window.until), 0)
            else:
                merged.append((window, tally.rows))
        buckets = [_Period(window, _label(window, self._every), Tally()) for window, _ in merged]
        if is_cut and self._is_all:
            buckets.append(_Period(Window(complete.until, ALL_TIME.until), "", Tally(), is_compared=False))
        return buckets

    def _edges(self, buckets: Sequence[_Period]) -> list[datetime]:
        if not buckets:
            return []
        last = buckets[-1].window.until
        return [*(bucket.window.since for bucket in buckets), *([last] if last else [])]

    def _rest(self, total: int, everything: Tally, buckets: Sequence[_Period]) -> _Period:
        rows = everything.rows - sum(bucket.stored.rows for bucket in buckets)
        missed = everything.missed - sum(bucket.stored.missed for bucket in buckets)
        label = "without a date" if buckets else "all rows"
        rest = total - sum(bucket.total for bucket in buckets)
        return _Period(ALL_TIME, label, Tally(rows, missed), rest)

    def _outer_buckets(self, edges: Sequence[datetime], tallies: Sequence[Tally]) -> list[_Period]:
        """Return what is before the first window and after the last one."""
        outer = []
        if edges[0] > ALL_TIME.since:
            before = Window(ALL_TIME.since, edges[0])
            outer.append(_Period(before, f"before {edges[0]:%Y-%m-%d}", tallies[0]))
        if ALL_TIME.until is not None and edges[-1] < ALL_TIME.until:
            after = Window(edges[-1], ALL_TIME.until)
            outer.append(_Period(after, f"from {edges[-1]:%Y-%m-%d}", tallies[len(edges)]))
        for bucket in outer:
            bucket.total = self._alvys.total(bucket.window)
        return outer

    def _check_rest(self, rest: _Period, buckets: Sequence[_Period]) -> Check:
        verdict: Verdict = "same"
        if not rest.agrees:
            edges = self._edges(buckets)
            all_of_them = None if not edges else Window(edges[0], edges[-1])
            total, rows = self._without_changed(all_of_them, rest.total, rest.stored.rows, outside=True)
            is_moving = self._alvys.total(None, time=2) != self._alvys.total(None)
            is_moving = is_moving or self._agree(total, rows, rest.stored.missed)
            verdict = "moving" if is_moving else self._differs
            if not is_moving:
                self._repairs.add_full_read()
        return make_check(PRESENCE, rest.label, rest.total, rest.stored.rows, verdict)

    def _agree(self, total: int, rows: int, missed: int) -> bool:
        """Return whether both numbers agree, without the rows that have changed since the last sync."""
        unlisted = self._alvys.once("unlisted", lambda: 0)
        return rows - missed - unlisted <= total <= rows + unlisted

    def _explain(self, bucket: _Period, *, can_locate: bool) -> Iterator[Check]:
        """Yield the checks of a window whose numbers differ."""
        total, rows = self._without_changed(bucket.window, bucket.total, bucket.stored.rows)
        is_moving = self._alvys.total(bucket.window, time=2) != bucket.total
        if is_moving or self._agree(total, rows, bucket.stored.missed):
            yield make_check(PRESENCE, bucket.label, bucket.total, bucket.stored.rows, "moving")
            return
        named: list[Check] = []
        is_named = False
        if can_locate:
            days = list(self._locate(bucket.window, bucket.total))
            found = [self._compare_rows(day) for day in days]
            is_named = all(one is not None for one in found)
            known = [rows for rows in found if rows is not None]
            missing = [RowName(k, n, short_window(t)) for rows in known for k, n, t in rows["missing"]]
            extra = [RowName(key, number) for rows in known for key, number in rows["extra"]]
            if is_named and not missing and not extra:
                yield make_check(PRESENCE, bucket.label, bucket.total, bucket.stored.rows, "moving")
                return
            self._repairs.add_rows(missing)
            named = [make_check(PRESENCE, str(row), 1, 0, self._differs) for row in missing]
            named += [make_check(PRESENCE, str(row), 0, 1, self._differs) for row in extra]
            for day in [day for day, one in zip(days, found, strict=True) if one is None]:
                self._repairs.add_window(day)
            if extra:
                self._repairs.add_sweep(bucket.window)
        elif bucket.total < bucket.stored.rows:
            self._repairs.add_sweep(bucket.window)
        else:
            self._repairs.add_window(bucket.window)
        yield make_check(PRESENCE, bucket.label, bucket.total, bucket.stored.rows, self._differs)
        yield from self._compare_statuses(bucket, is_named=is_named)
        yield from named[:_MAX_NAMED]

    def _compare_statuses(self, bucket: _Period, *, is_named: bool) -> Iterator[Check]:
        """Yield the statuses of which the numbers differ."""
        statuses = self._statuses or ()
        filter = self._schema.stream.status_filter
        if not statuses and not is_named and filter is not None:
            statuses = filter.values or filter.guessed
        stored = self._stored.statuses(bucket.window) if statuses else {}
        for status in statuses:
            total = self._alvys.total(bucket.window, status=status)
            if total != stored.get(status, 0):
                scope = f"{bucket.label}, {status}"
                yield make_check(PRESENCE, scope, total, stored.get(status, 0), self._differs)

    def _locate(self, window: Window, total: int) -> Iterator[Window]:
        """Yield the days of a window whose numbers differ."""
        assert window.until is not None  # noqa: S101
        (tally,) = self._stored.tally([window.since, window.until])[1:2]
        if self._agree(*self._without_changed(window, total, tally.rows), tally.missed):
            return
        length = window.until - window.since
        if length <= _DAY or max(total, tally.rows) <= _MAX_ROWS // 10:
            yield window
            return
        middle = window.since + length / 2
        if middle.date() > window.since.date():
            middle = middle.replace(hour=0, minute=0, second=0, microsecond=0)
        if not window.since < middle < window.until:
            yield window
            return
        first, second = Window(window.since, middle), Window(middle, window.until)
        total_of_first = self._alvys.total(first)
        yield from self._locate(first, total_of_first)
        yield from self._locate(second, total - total_of_first)

    def _compare_rows(self, window: Window) -> dict[str, list[Any]] | None:
        """Return the rows that only one side has, as lists of key, number and time; None for too many."""
        return self._alvys.once(f"rows {window}", lambda: self._find_rows(window))

    def _find_rows(self, window: Window) -> dict[str, list[Any]] | None:
        rows = self._alvys.rows(window, at_most=_MAX_ROWS)
        if rows is None:
            return None
        here = self._stored.keys(window)
        there = {self._alvys.name_of(row).key: row for row in rows}
        absent = {key: row for key, row in there.items() if key not in here}
        elsewhere = self._stored.find(list(absent))
        missing = [
            self._named(row)
            for key, row in absent.items()
            if not self._is_new(key, row) and not self._has_moved(key, elsewhere)
        ]
        changed = self._changed_rows()
        extra = [key for key in here if key not in there and key not in changed]
        if extra and self._alvys.can_name_rows:
            # Their date may have changed.
            names = [RowName(key, here[key]) for key in extra]
            current = dict(self._alvys.rows_by_name(names))
            extra = [name.key for name, row in current.items() if row is None]
        return {"missing": missing, "extra": [[key, here[key]] for key in extra]}

    def _named(self, row: FlatRow) -> list[str | None]:
        name, at = self._alvys.name_of(row), self._alvys.columns.time
        return [name.key, name.number, None if at is None else row[0][0][at]]

    def _is_new(self, key: str, row: FlatRow) -> bool:
        """Return whether a row has changed since the last sync."""
        begin, at = self._changes_begin, self._alvys.columns.version
        if key in self._changed_rows():
            return True
        if begin is None:
            return False
        if at is not None and changed_since(self._schema.stream.windows):
            version = row[0][0][at]
            return version is not None and version >= time_text(begin)
        # Nothing but the row's own times says when it was entered.
        now = datetime.fromtimestamp(self._alvys.now(), timezone.utc)
        newest = newest_time(row, self._schema, now)
        return newest is not None and newest >= time_text(begin)

    def _has_moved(self, key: str, elsewhere: Any) -> bool:
        """Return whether a row is stored with another date, and may have changed since the last sync."""
        return key in elsewhere and changed_since(self._schema.stream.windows) is None

    def _without_changed(
        self, window: Window | None, total: int, rows: int, *, outside: bool = False
    ) -> tuple[int, int]:
        """Return both numbers without the rows in a window, or outside, that changed since the last sync."""
        edges = [time_text(time) for time in (window.since, window.until) if time] if window else []
        changed = self._changed_rows().values()
        there = sum((bucket_of(one.there, edges) == 1) != outside for one in changed)
        here = sum((bucket_of(one.here, edges) == 1) != outside for one in changed if one.is_here)
        return total - there, rows - here

    def _changed_rows(self) -> dict[str, _Changed]:
        """Return the rows that have changed in Alvys since the last sync, if they are not too many."""
        if self._changed is None:
            by, begin = changed_since(self._schema.stream.windows), self._changes_begin
            known: dict[str, str | None] = {}
            if by is not None and begin is not None:
                known = self._alvys.once("changed", lambda: self._list_changed(by, begin))
            places = self._stored.find(list(known))
            self._changed = {
                key: _Changed(time, places[key].time if key in places else None, key in places)
                for key, time in known.items()
            }
        return self._changed

    def _list_changed(self, by: TimeWindow, begin: datetime) -> dict[str, str | None]:
        rows = self._alvys.rows(Window(begin, None), by, at_most=_MAX_ROWS)
        if rows is None:
            number = self._alvys.total(Window(begin, None), by)
            log.warning("Compare sooner after a sync: %s changed since the last", counted(number, "rows"))
            self._alvys.once("unlisted", lambda: number)
            return {}
        at = self._alvys.columns.time
        return {self._alvys.name_of(row).key: None if at is None else row[0][0][at] for row in rows}


def _month_of(time: str) -> datetime:
    return datetime(int(time[:4]), int(time[5:7]), 1, tzinfo=timezone.utc)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _label(window: Window, every: str) -> str:
    assert window.until is not None  # noqa: S101
    last = window.until - timedelta(microseconds=1)
    form = {"month": "%Y-%m", "year": "%Y"}.get(every, "%Y-%m-%d")
    first, end = f"{window.since:{form}}", f"{last:{form}}"
    return first if first == end else f"{first} to {end}"
