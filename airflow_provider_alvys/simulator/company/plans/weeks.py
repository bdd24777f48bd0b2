"""The weeks for which drivers are paid, and when their statements are made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from airflow_provider_alvys.simulator.company.world.names import bits_of
from airflow_provider_alvys.simulator.data.times import DAY, HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def week_of(at: int) -> int:
    """Return the number of the week of a time: from Monday to Sunday, in UTC."""
    # 1970-01-05 was a Monday.
    return (at // DAY - 4) // 7


def week_begin(week: int) -> int:
    """Return when a week begins."""
    return (week * 7 + 4) * DAY


def title_of(week: int) -> str:
    """Return the title of a week, such as ``Nov 9 - Nov 15, 2026``."""
    first, last = (_EPOCH + timedelta(days=week * 7 + 4 + day) for day in (0, 6))
    return f"{first:%b} {first.day} - {last:%b} {last.day}, {last.year}"


def processed_at(salt: int, driver: int, week: int) -> int:
    """Return when a driver's statement of a week is made: on Monday or Tuesday after it."""
    bits = bits_of(salt, driver * 100_000 + week, 221)
    return week_begin(week + 1) + 14 * HOUR + bits % (7 * HOUR) + (DAY if bits % 3 == 0 else 0)


def is_failed(salt: int, driver: int, week: int) -> bool:
    """Return whether the statement of a week fails; never two in a row."""
    return _fails(salt, driver, week) and not _fails(salt, driver, week - 1)


def _fails(salt: int, driver: int, week: int) -> bool:
    return bits_of(salt, driver * 100_000 + week, 222) % 31 == 0


def settling_week(salt: int, driver: int, due: int, known_at: int = 0) -> int:
    """
    Return the week whose statement pays something: the first one that does not fail.

    :param due: when it was earned or is to be paid.
    :param known_at: when the office knows it, if that is later.
    """
    week = week_of(due)
    while is_failed(salt, driver, week) or processed_at(salt, driver, week) < known_at:
        week += 1
    return week


def settled_at(salt: int, driver: int, due: int, known_at: int = 0) -> tuple[int, ...]:
    """Return when something is paid; then, if the statement is reverted, unpaid and paid again."""
    week = settling_week(salt, driver, due, known_at)
    return (processed_at(salt, driver, week), *(reverted(salt, driver, week) or ()))


def is_paid(times: Iterable[int], at: int) -> bool:
    """Return whether something is paid at a time; ``times`` are those of :func:`settled_at`."""
    return sum(changed_at <= at for changed_at in times) % 2 == 1


def reverted(salt: int, driver: int, week: int) -> tuple[int, int] | None:
    """Return when a processed statement is reverted and made again; None for most statements."""
    bits = bits_of(salt, driver * 100_000 + week, 223)
    if bits % 23 or is_failed(salt, driver, week):
        return None
    gone_at = processed_at(salt, driver, week) + 18 * HOUR + bits // 32 % (8 * HOUR)
    return gone_at, gone_at + 2 * HOUR + bits // 32 % HOUR
