"""Time windows: what makes a good one, how Alvys spells it, how a big one is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import msgspec

from airflow_provider_alvys.api.errors import AlvysValueError

SHORTEST = timedelta(minutes=1)
# Whether a period's ends belong to it is not documented: halves overlap, and rows are told apart by their keys.
SEAM = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
_LAST = timedelta(days=1) - _TICK


@dataclass(frozen=True)
class Window:
    """
    A span of time, in UTC.

    :param until: None for one without an end.
    :raises AlvysValueError: a time without a zone, or a span that holds nothing.
    """

    since: datetime
    until: datetime | None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, as_utc(value, name))
        if self.until is not None and self.until <= self.since:
            kind = "empty" if self.until == self.since else "inverted"
            raise AlvysValueError(
                f"The window {self} is {kind}: give a since before until. In Airflow 3 a plain cron schedule has "
                "data_interval_start == data_interval_end: leave both out to use the cursor, or use CronDataIntervalTimetable"
            )

    def __str__(self) -> str:
        until = f" until {format_time(self.until)}" if self.until else ""
        return f"from {format_time(self.since)}{until}"

    def period(self) -> dict[str, str]:
        """Return it as Alvys's ``Period``."""
        period = {"Start": format_time(self.since)}
        if self.until is not None:
            period["End"] = format_time(self.until)
            if self.until == _midnight(self.until) + _LAST:
                # A day of Alvys's has ticks of a seventh digit, and its last one may be a row's time.
                period["End"] = period["End"].replace("Z", "9Z")
        return period

    def whole_days(self) -> Window:
        """Return the UTC days that it touches, from the first one's midnight to the last microsecond of the last one."""
        last = None if self.until is None else _midnight(self.until - _TICK) + _LAST
        return Window(_midnight(self.since), last)

    def pieces(self, longest: timedelta) -> list[Window]:
        """Return windows no longer than ``longest`` that cover it and overlap by a second."""
        if self.until is None:
            raise AlvysValueError(f"The window {self} needs an end: Alvys takes {longest} at most, so that it must be cut")
        found = []
        since = self.since
        while since + longest < self.until:
            found.append(Window(since, since + longest))
            since += longest - SEAM
        return [*found, Window(since, self.until)]

    def has_ended(self, now: float) -> bool:
        """Return whether it lies in the past altogether, at ``now`` in seconds since 1970."""
        return self.until is not None and self.until.timestamp() <= now

    def halves(self) -> tuple[Window, Window] | None:
        """Return two windows that cover it and overlap by a second, later half last; None when it is too short to cut."""
        if self.until is None or self.until - self.since < 2 * SHORTEST:
            return None
        middle = self.since + (self.until - self.since) / 2
        return Window(self.since, middle + SEAM), Window(middle, self.until)


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def as_utc(value: datetime | str, name: str) -> datetime:
    """
    Return a time in UTC from a datetime or an ISO 8601 text with a zone.

    :param name: how the error names it.
    :raises AlvysValueError: it is no time, or has no zone.
    """
    if isinstance(value, str):
        try:
            # Alvys writes seven digits of a second. Cut to six, not rounded up past the row that has it.
            value = msgspec.convert(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()), datetime)
        except msgspec.ValidationError:
            raise AlvysValueError(
                f"{name}={value!r} is no time: give it like 2026-03-01T00:00:00Z, or a datetime with a time zone"
            ) from None
    if not isinstance(value, datetime):
        raise AlvysValueError(f"{name}={value!r} is no time but a {type(value).__name__}")
    if value.utcoffset() is None:
        raise AlvysValueError(f"{name}={value.isoformat()} has no time zone: add one, such as Z for UTC")
    try:
        utc = value.astimezone(timezone.utc)
    except OverflowError:
        raise AlvysValueError(f"{name}={value.isoformat()} lies outside of the calendar in UTC") from None
    # A plain datetime, whatever subclass came in: pendulum's would find its way into files.
    return datetime(*utc.timetuple()[:6], utc.microsecond, tzinfo=timezone.utc)


def as_timedelta(value: timedelta | float, name: str) -> timedelta:
    """
    Return a length of time from a timedelta or seconds.

    :param name: how the error names it.
    :raises AlvysValueError: it is negative, or none.
    """
    is_seconds = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        length = timedelta(seconds=value) if is_seconds else value  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        length = None
    if not isinstance(length, timedelta) or length < timedelta(0):
        raise AlvysValueError(f"{name}={value!r} is no length of time: give a timedelta, or seconds from 0")
    return length


def format_time(value: datetime) -> str:
    """Return an aware time as ISO 8601 in UTC with ``Z``, with microseconds only where there are any."""
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


# Everything that Alvys can know of.
ALL_TIME = Window(datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc))
