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

_TOO_FINE = re.compile(r"(\.\d{6})(\d+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MASK = 0x3FFFFFFFFFFFFFFF


class Lifecycle(NamedTuple):
    """
    The facts that a row's times depend on.

    :param number: its number.
    :param at: when it started.
    :param until: the data's end, or when the row was added if that is later.
    :param stage: see :data:`airflow_provider_alvys.simulator.data.sample_values.STAGES`.
    :param route_position: of a stop: 0 for the first one, 1 for the last.
    :param place: the number of its place, a different one for each of three stops.
    """

    number: int
    at: int
    until: int
    stage: int
    route_position: float = 0
    place: int = 0

    def at_stop(self, index: int, count: int) -> Lifecycle:
        """Return the lifecycle of a stop, counted from 0. A row on the road has not reached the second."""
        stage = self.stage - 1 if index and self.stage > 0 else self.stage
        place = self._bits + index * (1 + (self._bits >> 32) % 3)
        return self._replace(stage=stage, route_position=index / max(1, count - 1), place=place)

    @property
    def _bits(self) -> int:
        # By number only, so that a load and its trip have the same places and times.
        return hash((self.number, 24)) & _MASK

    def planned_offset(self, route_position: float) -> int:
        """Return the time from the row's start to the planned time of a stop."""
        bits = self._bits
        first, last = (
            minimum + (bits >> shift & 0xFFFF) / 0x10000 * (maximum - minimum)
            for (minimum, maximum), shift in ((_PICKUP, 0), (_DELIVERY, 16))
        )
        return int((first + route_position * (last - first)) * HOUR)


@dataclass(frozen=True)
class TimeRule:
    """
    The rule for the times in some fields.

    :param names: pattern of the fields' names.
    :param stage: the row needs to have reached this stage; 0 means always.
    :param share: range of the time, as a share of the row's life; for billing, of the life after the
        delivery.
    :param hours: or range in hours after the start. Without a stage, the time may be in the future.
    :param route_position: the hours count from the planned time of this stop: 0 for the first one, 1 for the
        last.
    :param at_stop: the hours count from the planned time of the stop that has the field.
    :param days: or range in days from the end of the row's life.
    :param zone: UTC offset in Alvys's responses.
    """

    names: re.Pattern[str]
    stage: int = 0
    share: tuple[float, float] = (0, 0.01)
    hours: tuple[float, float] | None = None
    route_position: float | None = None
    at_stop: bool = False
    days: tuple[float, float] | None = None
    zone: str = "+00:00"

    def is_reached(self, stage: int) -> bool:
        """Return whether a row in a stage has the time."""
        return not self.stage or (stage == CANCELLED if self.stage == CANCELLED else stage >= self.stage)

    def time_of(self, bits: int, lifecycle: Lifecycle) -> int | None:
        """Return the time for a row, or None before its stage; ``bits`` is a random number."""
        if not self.is_reached(lifecycle.stage):
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
            # Times of reached stages are not in the future: a young row's trip is shorter.
            return begin + after * run // _TRIP if self.stage else lifecycle.at + after
        if self.days:
            return lifecycle.until + int((self.days[0] + u * (self.days[1] - self.days[0])) * DAY)
        if self.stage >= _BILLED:
            begin, life = begin + run, life - run
        return begin + int((self.share[0] + u * (self.share[1] - self.share[0])) * life)


def _rule(names: str, **how: object) -> TimeRule:
    return TimeRule(re.compile(names), **how)  # type: ignore[arg-type]


# The first match applies. Later stages have later times.
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
    # Of an Eta.
    _rule("^(Planned|Manual)$", hours=(-2, 2), at_stop=True),
    _rule("^Live$", stage=2, hours=(-2, 2), at_stop=True),
    _rule("Due", hours=(30 * 24, 45 * 24)),
    _rule("^(Created|DateCreated|DateImported|Uploaded|Timestamp$|Shared)", share=(0, 0)),
    _rule("^Cancel", stage=CANCELLED, share=(0.1, 0.5)),
    _rule("^(Disabled|Deleted)", stage=CANCELLED, share=(0.1, 0.5)),
    # Mostly early, sometimes late.
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
    """Return the rule for a field."""
    return next((rule for rule in _RULES if rule.names.search(name)), _OTHERWISE)


def parse_micros(text: str, *, round_up: bool = False) -> int:
    """Return an ISO 8601 time or date as microseconds since 1970; without a zone it is UTC."""
    if len(text) == len("yyyy-mm-dd"):
        text = f"{text}T00:00:00Z"
    time = msgspec.convert(_TOO_FINE.sub(r"\1", text), datetime)
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    rest = _TOO_FINE.search(text)
    is_above = round_up and rest is not None and bool(rest[2].strip("0"))
    return (time - _EPOCH) // timedelta(microseconds=1) + is_above


@lru_cache(maxsize=100_000)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()


def format_date(micros: int) -> str:
    """Return the date as ``yyyy-MM-dd``."""
    return _date(micros // DAY)


@cache
def _offset(zone: str) -> int:
    """Return a UTC offset such as ``-04:00`` in microseconds; ``Z`` has none."""
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return minutes * HOUR // 60 * (-1 if zone[0] == "-" else 1)


def format_time(micros: int, digits: int, zone: str = "+00:00") -> str:
    """Return ISO 8601 with 0 to 7 digits of a second, or with 7 if fewer would lose precision."""
    micros += _offset(zone)
    seconds, fraction = divmod(micros, SECOND)
    day, second = divmod(seconds, 86_400)
    minute, second = divmod(second, 60)
    text = f"{_date(day)}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}"
    if digits or fraction:
        if digits < 6 and fraction % 10 ** (6 - digits):
            digits = 7
        # The seventh digit is below a microsecond: always 0.
        text += f".{fraction:06d}0"[: digits + 1]
    return text + zone
