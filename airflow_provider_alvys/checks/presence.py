"""Presence: the totals of Alvys against the rows that are stored, month by month."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow_provider_alvys.api.read.windows import ALL_TIME, Window
from airflow_provider_alvys.checks.alvys_side import FlatRow, changed_since
from airflow_provider_alvys.checks.comparison import MAX_ROWS, Comparison
from airflow_provider_alvys.checks.repairs import RowName, short_window
from airflow_provider_alvys.checks.results import Check, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import Tally, period_of, time_text
from airflow_provider_alvys.landing.jobs.initial_load import cut_windows

PRESENCE = "presence"
_DAY = timedelta(days=1)
# Seconds after a sync in which rows that do not show when they were entered are not taken for new ones.
_RECENT = 3600
# Windows in which single rows are searched. Others are read again.
_MAX_LOCATED = 6
# Rows that are named in the results of a window.
_MAX_NAMED = 100


# Rows as lists of key, number and time.
_Found = dict[str, list[list[str | None]]]


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
        """Whether the total is that of the stored rows. Those that the last complete read lacked may go."""
        return self.stored.rows - self.stored.missed <= self.total <= self.stored.rows


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
        comparison: Comparison,
        *,
        start: datetime | None,
        end: datetime | None,
        every: str,
        statuses: Sequence[str] | None,
    ) -> None:
        self._alvys = comparison.alvys
        self._stored = comparison.stored
        self._schema = comparison.schema
        self._repairs = comparison.repairs
        self._changes = comparison.changes
        self._start = start
        self._end = end
        self._every = every
        self._statuses = statuses
        self._by = self._schema.stream.row_window
        self._is_all = start is None and end is None
        self.edges: list[datetime] = []

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
        stored = [] if self._by is None else self._make_periods()
        if not stored and not self._is_all:
            yield make_check(PRESENCE, "nothing between start and the last sync", None, None, "unknown")
            return
        edges = self._edges(stored)
        self.edges = self._edges([period for period in stored if period.is_compared])
        tallies = self._stored.tally(edges)
        total = self._alvys.total(None) if self._is_all else None
        for period in stored:
            period.stored = tallies[edges.index(period.window.since) + 1]
            period.total = self._alvys.total(period.window)
        rest = None
        everything = Tally(sum(t.rows for t in tallies), sum(t.missed for t in tallies))
        if total is not None:
            rest = self._rest(total, everything, stored)
        if rest is not None and not rest.agrees and stored:
            more = self._outer_periods(edges, tallies)
            rest = self._rest(rest.total + sum(b.total for b in stored), everything, [*stored, *more])
            stored = sorted([*stored, *more], key=lambda period: period.window.since)
        compared = [period for period in stored if period.is_compared]
        differing = [period for period in compared if not period.agrees]
        is_other_field = len(differing) > _MAX_LOCATED and self._may_be_other_field(total, everything)
        located = 0
        for period in compared:
            if period.agrees or is_other_field:
                verdict: Verdict = "same" if period.agrees else "unknown"
                yield make_check(PRESENCE, period.label, period.total, period.stored.rows, verdict)
                continue
            located += 1
            yield from self._explain(period, can_locate=located <= _MAX_LOCATED)
        if rest is not None:
            yield from self._check_rest(rest, stored)

    def _may_be_other_field(self, total: int | None, stored: Tally) -> bool:
        """Return whether no row is missing, although windows differ: Alvys may filter by another field."""
        if total is None or self._by is None or self._by.column_is_certain:
            return False
        total, rows = self._changes.without(None, total, stored.rows, outside=True)
        return self._changes.agree(total, rows, stored.missed)

    def _make_periods(self) -> list[_Period]:
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
        periods = [_Period(window, _label(window, self._every), Tally()) for window, _ in merged]
        if is_cut and self._is_all:
            periods.append(_Period(Window(complete.until, ALL_TIME.until), "", Tally(), is_compared=False))
        return periods

    def _edges(self, periods: Sequence[_Period]) -> list[datetime]:
        if not periods:
            return []
        last = periods[-1].window.until
        return [*(period.window.since for period in periods), *([last] if last else [])]

    def _rest(self, total: int, everything: Tally, periods: Sequence[_Period]) -> _Period:
        rows = everything.rows - sum(period.stored.rows for period in periods)
        missed = everything.missed - sum(period.stored.missed for period in periods)
        label = "without a date" if periods else "all rows"
        rest = total - sum(period.total for period in periods)
        return _Period(ALL_TIME, label, Tally(rows, missed), rest)

    def _outer_periods(self, edges: Sequence[datetime], tallies: Sequence[Tally]) -> list[_Period]:
        """Return what is before the first window and after the last one."""
        outer = []
        if edges[0] > ALL_TIME.since:
            before = Window(ALL_TIME.since, edges[0])
            outer.append(_Period(before, f"before {edges[0]:%Y-%m-%d}", tallies[0]))
        if ALL_TIME.until is not None and edges[-1] < ALL_TIME.until:
            after = Window(edges[-1], ALL_TIME.until)
            outer.append(_Period(after, f"from {edges[-1]:%Y-%m-%d}", tallies[len(edges)]))
        for period in outer:
            period.total = self._alvys.total(period.window)
        return outer

    def _check_rest(self, rest: _Period, periods: Sequence[_Period]) -> Iterator[Check]:
        """Yield the check of the rows in no window, and of those that are missing or extra."""
        if rest.agrees:
            yield make_check(PRESENCE, rest.label, rest.total, rest.stored.rows, "same")
            return
        edges = self._edges(periods)
        all_of_them = None if not edges else Window(edges[0], edges[-1])
        total, rows = self._changes.without(all_of_them, rest.total, rest.stored.rows, outside=True)
        is_moving = self._alvys.total(None, time=2) != self._alvys.total(None)
        is_moving = is_moving or self._changes.agree(total, rows, rest.stored.missed)
        found = None
        if not is_moving and self._alvys.total(None) <= MAX_ROWS:
            found = self._compare_rows(None)
        texts = [time_text(edges[0]), time_text(edges[-1])] if edges else []
        missing, extra = self._name(found, lambda time: period_of(time, texts) != 1)
        if is_moving or (found is not None and not missing and not extra):
            yield make_check(PRESENCE, rest.label, rest.total, rest.stored.rows, "moving")
            return
        self._repairs.add_full_read()
        yield make_check(PRESENCE, rest.label, rest.total, rest.stored.rows, self._differs)
        yield from self._check_rows(missing, extra)

    def _name(
        self, found: _Found | None, is_wanted: Callable[[str | None], bool]
    ) -> tuple[list[RowName], list[RowName]]:
        """Return the missing and the extra rows, by their time."""
        rows = found or {"missing": [], "extra": []}
        missing, extra = ([row for row in rows[name] if is_wanted(row[2])] for name in ("missing", "extra"))
        named = [RowName(str(key), number, short_window(time)) for key, number, time in missing]
        return named, [RowName(str(key), number) for key, number, _ in extra]

    def _check_rows(self, missing: Sequence[RowName], extra: Sequence[RowName]) -> list[Check]:
        checks = [make_check(PRESENCE, str(row), 1, 0, self._differs) for row in missing]
        checks += [make_check(PRESENCE, str(row), 0, 1, self._differs) for row in extra]
        return checks[:_MAX_NAMED]

    def _explain(self, period: _Period, *, can_locate: bool) -> Iterator[Check]:
        """Yield the checks of a window whose numbers differ."""
        total, rows = self._changes.without(period.window, period.total, period.stored.rows)
        is_moving = self._alvys.total(period.window, time=2) != period.total
        if is_moving or self._changes.agree(total, rows, period.stored.missed):
            yield make_check(PRESENCE, period.label, period.total, period.stored.rows, "moving")
            return
        named: list[Check] = []
        is_named = False
        if can_locate:
            days = list(self._locate(period.window, period.total))
            found = [self._compare_rows(day) for day in days]
            is_named = all(one is not None for one in found)
            names = [self._name(rows, lambda time: True) for rows in found]
            missing, extra = ([row for one in names for row in one[side]] for side in (0, 1))
            if is_named and not missing and not extra:
                yield make_check(PRESENCE, period.label, period.total, period.stored.rows, "moving")
                return
            self._repairs.add_rows(missing)
            named = self._check_rows(missing, extra)
            for day in [day for day, one in zip(days, found, strict=True) if one is None]:
                self._repairs.add_window(day)
            if extra:
                self._repairs.add_sweep(period.window)
        elif period.total < period.stored.rows:
            self._repairs.add_sweep(period.window)
        else:
            self._repairs.add_window(period.window)
        yield make_check(PRESENCE, period.label, period.total, period.stored.rows, self._differs)
        yield from self._compare_statuses(period, is_named=is_named)
        yield from named

    def _compare_statuses(self, period: _Period, *, is_named: bool) -> Iterator[Check]:
        """Yield the statuses of which the numbers differ."""
        statuses = self._statuses or ()
        filter = self._schema.stream.status_filter
        if not statuses and not is_named and filter is not None:
            statuses = filter.values or filter.guessed
        stored = self._stored.statuses(period.window) if statuses else {}
        for status in statuses:
            total = self._alvys.total(period.window, status=status)
            if total != stored.get(status, 0):
                scope = f"{period.label}, {status}"
                yield make_check(PRESENCE, scope, total, stored.get(status, 0), self._differs)

    def _locate(self, window: Window, total: int) -> Iterator[Window]:
        """Yield the days of a window whose numbers differ."""
        assert window.until is not None  # noqa: S101
        (tally,) = self._stored.tally([window.since, window.until])[1:2]
        if self._changes.agree(*self._changes.without(window, total, tally.rows), tally.missed):
            return
        length = window.until - window.since
        if length <= _DAY or max(total, tally.rows) <= MAX_ROWS // 10:
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

    def _compare_rows(self, window: Window | None) -> _Found | None:
        """Return the rows that only one side has, by ``missing`` and ``extra``; None for too many."""
        return self._alvys.once(f"rows {window}", lambda: self._find_rows(window))

    def _find_rows(self, window: Window | None) -> _Found | None:
        rows = self._alvys.rows(window, at_most=MAX_ROWS)
        if rows is None:
            return None
        here = self._stored.keys(window)
        there = {self._alvys.name_of(row).key: row for row in rows}
        absent = {key: row for key, row in there.items() if key not in here}
        elsewhere = self._stored.find(list(absent))
        missing = [
            self._named(row)
            for key, row in absent.items()
            if not self._changes.is_new(key, row) and not self._changes.has_moved(key, elsewhere)
        ]
        changed = self._changes.rows
        extra = [key for key in here if key not in there and key not in changed]
        if extra and self._alvys.can_name_rows:
            # Their date may have changed.
            names = [RowName(key, here[key]) for key in extra]
            current = dict(self._alvys.rows_by_name(names))
            extra = [name.key for name, row in current.items() if row is None]
        places = self._stored.find(extra)
        times = {key: places[key].time if key in places else None for key in extra}
        return {"missing": missing, "extra": [[key, here[key], times[key]] for key in extra]}

    def _named(self, row: FlatRow) -> list[str | None]:
        name, at = self._alvys.name_of(row), self._alvys.columns.time
        return [name.key, name.number, None if at is None else row[0][0][at]]


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
