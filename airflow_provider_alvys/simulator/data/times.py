"""Times of rows: microseconds since 1970, formatted as ISO 8601 in the several forms that Alvys uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
# The stage of cancelled, disabled and deleted rows.
CANCELLED = -1
# Rows change until this age.
_LIFETIME = 60 * DAY
# The time from the start to the delivery; for younger rows, a share of their age.
_TRIP = 176 * HOUR
_TRIP_SHARE = 0.75
# Hours from the start to the planned first and last stop.
_PICKUP = (24, 72)
_DELIVERY = (100, 170)
# This stage and later ones follow the delivery.
_BILLED = 4

_TOO_FINE = re.compile(r"(\.\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MASK = 0x3FFFFFFFFFFFFFFF


class Lifecycle(NamedTuple):
    """
    The facts that a row's times depend on.

    :param number: its number.
    :param at: when it started.
    :param until: the current time, or the data's end if that is later.
    :param stage: see :data:`airflow_provider_alvys.simulator.data.sample_values.STAGES`.
    :param along: for a stop of it, how far along its run that is: 0 for the first one, 1 for the last.
    :param place: where that is: a number that stands for a place, another one for each of three stops.
    """

    number: int
    at: int
    until: int
    stage: int
    route_position: float = 0
    place: int | None = None

    def at_stop(self, index: int, count: int) -> Lifecycle:
        """Return those of one of the row's stops, counted from 0. What is on the road has not come to the second."""
        stage = self.stage - 1 if index and self.stage > 0 else self.stage
        place = self._bits + index * (1 + (self._bits >> 32) % 3)
        return self._replace(stage=stage, route_position=index / max(1, count - 1), place=place)

    @property
    def _bits(self) -> int:
        # Of the number alone: a load and its trip, which has the same, go the same way at the same time.
        return hash((self.number, 24)) & _MASK

    def planned_offset(self, route_position: float) -> int:
        """Return how long after the row's beginning a stop is planned."""
        bits = self._bits
        first, last = (
            least + (bits >> shift & 0xFFFF) / 0x10000 * (most - least)
            for (least, most), shift in ((_PICKUP, 0), (_DELIVERY, 16))
        )
        return int((first + route_position * (last - first)) * HOUR)


@dataclass(frozen=True)
class TimeRule:
    """
    When something happens to a row.

    :param names: of the fields that say it.
    :param stage: from which on it has happened.
    :param share: at which part of the row's life until now, at least and at most; of what is left of it after the run, where
        it is about money.
    :param hours: or how long after its beginning. Where no stage says that it has happened, it may still be to come.
    :param along: the hours count from when this stop of the run is planned: 0 for the first one, 1 for the last.
    :param at_stop: the hours count from when the stop that this is of is planned; of no stop in particular, from the first.
    :param days: or how far from now.
    :param zone: how Alvys writes it.
    """

    names: re.Pattern[str]
    stage: int = 0
    share: tuple[float, float] = (0, 0.01)
    hours: tuple[float, float] | None = None
    route_position: float | None = None
    at_stop: bool = False
    days: tuple[float, float] | None = None
    zone: str = "+00:00"

    def time_of(self, bits: int, lifecycle: Lifecycle) -> int | None:
        """Return the time for a row, or None where it has not come so far; ``bits`` is a random number."""
        if self.stage and (
            lifecycle.stage != self.stage if self.stage == CANCELLED else lifecycle.stage < self.stage
        ):
            return None
        u = (bits & 0xFFFFFF) / 0x1000000
        begin, life = (
            min(lifecycle.at, lifecycle.until),
            max(0, min(_LIFETIME, lifecycle.until - lifecycle.at)),
        )
        run = min(_TRIP, int(_TRIP_SHARE * life))
        if self.hours:
            after = int((self.hours[0] + u * (self.hours[1] - self.hours[0])) * HOUR)
            route_position = lifecycle.route_position if self.at_stop else self.route_position
            if route_position is not None:
                after += lifecycle.planned_offset(route_position)
            # What has happened has not happened after now: a young row has made its run in a shorter time.
            return begin + after * run // _TRIP if self.stage else lifecycle.at + after
        if self.days:
            return lifecycle.until + int((self.days[0] + u * (self.days[1] - self.days[0])) * DAY)
        if self.stage >= _BILLED:
            begin, life = begin + run, life - run
        return begin + int((self.share[0] + u * (self.share[1] - self.share[0])) * life)


def _rule(names: str, **how: object) -> TimeRule:
    return TimeRule(re.compile(names), **how)  # type: ignore[arg-type]


# The first that fits. Each later stage lies after the earlier ones, for they share one life.
_RULES = (
    _rule("^(Hired|Terminated)", days=(-3000, -100), zone="Z"),
    _rule("^(License|Medical)Expires", days=(-60, 900), zone="Z"),
    _rule("Expir", days=(-60, 900)),
    _rule("^Scheduled.*Delivery", hours=(0, 0), route_position=1, zone="-04:00"),
    _rule("^Scheduled", hours=(0, 0), route_position=0, zone="-04:00"),
    _rule("^Appointment", hours=(0, 0), at_stop=True, zone="-04:00"),
    _rule("^PickupDate$", hours=(0, 0), route_position=0),
    _rule("^DeliveryDate$", hours=(0, 0), route_position=1),
    _rule("^Begin$", hours=(-4, -1), at_stop=True),
    _rule("^End$", hours=(1, 4), at_stop=True),
    _rule("^EndDate$", hours=_DELIVERY),
    _rule("Due", hours=(30 * 24, 45 * 24)),
    _rule("^(Created|DateCreated|DateImported|Uploaded|Timestamp$|Shared)", share=(0, 0)),
    _rule("^Cancel", stage=CANCELLED, share=(0.1, 0.5)),
    _rule("^(Disabled|Deleted)", stage=CANCELLED, share=(0.1, 0.5)),
    # Most are early, some are late.
    _rule("^Arrived", stage=2, hours=(-7, 3), at_stop=True),
    _rule("^Departed", stage=2, hours=(3, 5), at_stop=True),
    _rule("^Picked", stage=2, hours=(3, 5), route_position=0),
    _rule("^Delivered", stage=3, hours=(3, 5), route_position=1),
    _rule("Paid|^Payment", stage=5, share=(0.2, 1)),
    _rule("Sen[dt]|Funded", stage=4, share=(0.06, 0.1)),
    _rule("^(Invoiced|Released)", stage=4, share=(0.01, 0.06)),
    _rule("^(Updated|Modified|Last|Posted)", share=(0, 1)),
)
_OTHERWISE = _rule("")


@cache
def rule_of(name: str) -> TimeRule:
    """Return when what a field names happens."""
    return next((rule for rule in _RULES if rule.names.search(name)), _OTHERWISE)


def parse_micros(text: str) -> int:
    """Return an ISO 8601 time or date as microseconds since 1970, further digits cut; one without a zone counts as UTC."""
    if len(text) == len("yyyy-mm-dd"):
        text = f"{text}T00:00:00Z"
    time = msgspec.convert(_TOO_FINE.sub(r"\1", text), datetime)
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return (time - _EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=100_000)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()


def format_date(micros: int) -> str:
    """Return the day as ``yyyy-MM-dd``."""
    return _date(micros // DAY)


def format_time(micros: int, digits: int, zone: str = "+00:00") -> str:
    """Return microseconds as ISO 8601 with 0 to 7 digits of a second, or with 7 where these would lose some of it."""
    if zone == "-04:00":
        micros -= 4 * HOUR
    seconds, fraction = divmod(micros, SECOND)
    day, second = divmod(seconds, 86_400)
    minute, second = divmod(second, 60)
    text = f"{_date(day)}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}"
    if digits or fraction:
        if digits < 6 and fraction % 10 ** (6 - digits):
            digits = 7
        # The seventh digit is below a microsecond and says nothing: 0.
        text += f".{fraction:06d}0"[: digits + 1]
    return text + zone
