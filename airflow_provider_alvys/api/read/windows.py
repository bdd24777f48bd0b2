"""Time windows: their checks, their form in a request, and how they are split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import msgspec

from airflow_provider_alvys.api.errors import AlvysValueError

# Windows with more rows are split.
MAX_WINDOW_ROWS = 50_000
_MIN_LENGTH = timedelta(minutes=1)
_TICK = timedelta(microseconds=1)
_LAST_OF_DAY = timedelta(days=1) - _TICK


@dataclass(frozen=True)
class Window:
    """
    A time range in UTC. As in Alvys's searches, its start is included and its end is not.

    :param until: None for no end.
    :raises AlvysValueError: a time has no zone, or the window is empty.
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
                f"The window {self} is {kind}: give a since before until. A cron schedule in Airflow 3 has "
                "data_interval_start == data_interval_end: leave both out to use the cursor, or use "
                "CronDataIntervalTimetable"
            )

    def __str__(self) -> str:
        until = f" until {format_time(self.until)}" if self.until else ""
        return f"from {format_time(self.since)}{until}"

    def period(self) -> dict[str, str]:
        """Return the window as Alvys's ``Period``."""
        period = {"Start": format_time(self.since)}
        if self.until is not None:
            period["End"] = format_time(self.until)
            if self.until == _midnight(self.until) + _LAST_OF_DAY:
                # Alvys's times have seven digits, and the last tick of a day may be a row's time.
                period["End"] = period["End"].replace("Z", "9Z")
        return period

    def whole_days(self, *, includes_end: bool = False) -> Window:
        """
        Return the window widened to whole UTC days.

        :param includes_end: end at the last microsecond of the last day, and not at the midnight after it.
        """
        if self.until is None:
            return Window(_midnight(self.since), None)
        last = _midnight(self.until - _TICK) + _LAST_OF_DAY
        # After the last day of the calendar there is no midnight.
        is_last = includes_end or last.date() == date.max
        return Window(_midnight(self.since), last if is_last else last + _TICK)

    def split(self, longest: timedelta) -> list[Window]:
        """Return windows of at most ``longest`` that cover this one; each begins at the end of the last."""
        if self.until is None:
            raise AlvysValueError(f"The window {self} needs an end: Alvys takes at most {longest} at once")
        pieces = []
        since = self.since
        while since + longest < self.until:
            pieces.append(Window(since, since + longest))
            since += longest
        return [*pieces, Window(since, self.until)]

    def has_ended(self, now: float) -> bool:
        """Return whether the window is in the past at ``now``, in seconds since 1970."""
        return self.until is not None and self.until.timestamp() <= now

    def halves(self) -> tuple[Window, Window] | None:
        """Return both halves, which share the middle; None when the window is shorter than two minutes."""
        if self.until is None or self.until - self.since < 2 * _MIN_LENGTH:
            return None
        middle = self.since + (self.until - self.since) / 2
        return Window(self.since, middle), Window(middle, self.until)


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def as_utc(value: datetime | str, name: str) -> datetime:
    """
    Return a time in UTC from a datetime or an ISO 8601 text with a zone.

    :param name: of the parameter, for the error.
    :raises AlvysValueError: the value is not a time, or has no zone.
    """
    if isinstance(value, str):
        try:
            # Alvys writes seven digits of a second. Truncate to six: rounding up could skip the row.
            value = msgspec.convert(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()), datetime)
        except msgspec.ValidationError:
            raise AlvysValueError(
                f"{name}={value!r} is not a time: give 2026-03-01T00:00:00Z, or a datetime with a time zone"
            ) from None
    if not isinstance(value, datetime):
        raise AlvysValueError(f"{name}={value!r} is a {type(value).__name__}: give a datetime or text")
    if value.utcoffset() is None:
        raise AlvysValueError(f"{name}={value.isoformat()} has no time zone: add one, such as Z for UTC")
    try:
        utc = value.astimezone(timezone.utc)
    except OverflowError:
        raise AlvysValueError(f"{name}={value.isoformat()} is outside of the calendar in UTC") from None
    # A plain datetime: a subclass such as pendulum's must not reach the files.
    return datetime(*utc.timetuple()[:6], utc.microsecond, tzinfo=timezone.utc)


def as_timedelta(value: timedelta | float, name: str) -> timedelta:
    """
    Return a length of time from a timedelta or seconds.

    :param name: of the parameter, for the error.
    :raises AlvysValueError: the value is negative or not a length of time.
    """
    is_seconds = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        length = timedelta(seconds=value) if is_seconds else value  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        length = None
    if not isinstance(length, timedelta) or length < timedelta(0):
        raise AlvysValueError(f"{name}={value!r} is not a length of time: give a timedelta, or seconds >= 0")
    return length


def format_time(value: datetime) -> str:
    """Return an aware time as ISO 8601 in UTC with ``Z``, and with microseconds unless they are 0."""
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def in_seconds(length: timedelta | None) -> int | None:
    """Return a length of time in seconds, rounded down."""
    return None if length is None else int(length.total_seconds())


# Contains every time that Alvys has.
ALL_TIME = Window(datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc))
