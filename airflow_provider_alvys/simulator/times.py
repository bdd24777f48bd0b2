"""Times: microseconds since 1970 inside, ISO 8601 in the forms that Alvys mixes outside."""

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
# The stage of what comes to nothing.
CALLED_OFF = -1
# What a row may still become within this time; older rows change no more.
_LIFE = 60 * DAY

_TOO_FINE = re.compile(r"(\.\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Facts(NamedTuple):
    """
    What the times of a row depend on.

    :param number: the row's.
    :param at: when it began.
    :param until: until when it has been watched.
    :param stage: how far it has come, as :data:`airflow_provider_alvys.simulator.words.STAGES` says.
    """

    number: int
    at: int
    until: int
    stage: int


@dataclass(frozen=True)
class TimeRule:
    """
    When something happens to a row.

    :param names: of the fields that say it.
    :param stage: from which on it has happened.
    :param share: at which part of the row's life until now, at least and at most.
    :param hours: or how long after its beginning, be it still to come.
    :param days: or how far from now.
    :param zone: how Alvys writes it.
    """

    names: re.Pattern[str]
    stage: int = 0
    share: tuple[float, float] = (0, 0.01)
    hours: tuple[float, float] | None = None
    days: tuple[float, float] | None = None
    zone: str = "+00:00"

    def moment(self, bits: int, facts: Facts) -> int | None:
        """Return the time for a row, or None where it has not come so far; ``bits`` is a random number."""
        if self.stage and (facts.stage != self.stage if self.stage == CALLED_OFF else facts.stage < self.stage):
            return None
        u = (bits & 0xFFFFFF) / 0x1000000
        if self.hours:
            return facts.at + int((self.hours[0] + u * (self.hours[1] - self.hours[0])) * HOUR)
        if self.days:
            return facts.until + int((self.days[0] + u * (self.days[1] - self.days[0])) * DAY)
        life = max(0, min(_LIFE, facts.until - facts.at))
        return min(facts.at, facts.until) + int((self.share[0] + u * (self.share[1] - self.share[0])) * life)


def _rule(names: str, **how: object) -> TimeRule:
    return TimeRule(re.compile(names), **how)  # type: ignore[arg-type]


# The first that fits. Each later stage lies after the earlier ones, for they share one life.
_RULES = (
    _rule("^(Hired|Terminated)", days=(-3000, -100), zone="Z"),
    _rule("^(License|Medical)Expires", days=(-60, 900), zone="Z"),
    _rule("Expir", days=(-60, 900)),
    _rule("^Scheduled.*Delivery", hours=(100, 170), zone="-04:00"),
    _rule("^Scheduled", hours=(4, 96), zone="-04:00"),
    _rule("^Appointment", hours=(4, 170), zone="-04:00"),
    _rule("^(PickupDate|Begin)$", hours=(4, 96)),
    _rule("^(DeliveryDate|End|EndDate)$", hours=(100, 170)),
    _rule("Due", hours=(30 * 24, 45 * 24)),
    _rule("^(Created|DateCreated|DateImported|Uploaded|Timestamp$|Shared)", share=(0, 0)),
    _rule("^Cancel", stage=CALLED_OFF, share=(0.1, 0.5)),
    _rule("^(Disabled|Deleted)", stage=CALLED_OFF, share=(0.1, 0.5)),
    _rule("^Picked", stage=2, share=(0.02, 0.06)),
    _rule("^Arrived", stage=2, share=(0.06, 0.07)),
    _rule("^Departed", stage=2, share=(0.07, 0.08)),
    _rule("^Delivered", stage=3, share=(0.08, 0.12)),
    _rule("Paid|^Payment", stage=5, share=(0.2, 1)),
    _rule("Sen[dt]|Funded", stage=4, share=(0.16, 0.2)),
    _rule("^(Invoiced|Released)", stage=4, share=(0.12, 0.16)),
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
