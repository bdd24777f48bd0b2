"""The progress of a long job, as log lines."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from airflow_provider_alvys.api.figures import counted, duration
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

# Seconds: one line at least every 30 s, or every tenth of the total if that comes first.
_LONGEST_SILENCE = 30.0
_SHORTEST_SILENCE = 5.0
_TENTHS = 10
# A rate over a shorter time is that of a burst.
_SHORTEST_MEASURE = 30.0


class ProgressLog:
    """
    Log the progress of a job: one line every 30 s or 10 %, whichever comes first, and at most one in 5 s.

    :param verb: what is done to the units, such as ``Read``.
    :param unit: what is counted, such as ``loads``.
    :param clock: gives the time; tests replace it.
    :param done: units that were done before.
    :param since: time, in seconds since 1970, from which the rate is measured; None means now. After a
        deferral it is the start of the job.
    """

    def __init__(
        self,
        verb: str,
        unit: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        done: int = 0,
        since: float | None = None,
    ) -> None:
        self._verb = verb
        self._unit = unit
        self._clock = clock
        self._known = 0 if since is not None else done
        self._logged_at = clock.time()
        self._since = self._logged_at if since is None else since
        self._tenth = 0

    def update(
        self,
        done: int,
        total: int | None = None,
        *,
        detail: Callable[[], str] = str,
        seconds_left: Callable[[], float] | None = None,
        wait: float = 0.0,
        highest_rate: float = math.inf,
    ) -> None:
        """
        Log a line if one is due.

        :param done: units that are done.
        :param total: units to do; None if that is not known.
        :param detail: returns more figures for the line.
        :param seconds_left: returns an estimate; None means to measure it.
        :param wait: seconds until the next unit can begin: before a silence, a line is due.
        :param highest_rate: units a minute that a rate limit allows, which a burst exceeds for a while.
        """
        now = self._clock.time()
        silence = now - self._logged_at
        is_tenth = total is not None and done * _TENTHS // max(1, total) > self._tenth
        is_due = is_tenth or silence + wait >= _LONGEST_SILENCE
        if not is_due or silence < _SHORTEST_SILENCE > wait:
            return
        self._logged_at = now
        self._tenth = 0 if total is None else done * _TENTHS // max(1, total)
        elapsed, units = now - self._since, done - self._known
        figures = [detail()]
        if elapsed + wait >= _SHORTEST_MEASURE:
            rate = min(highest_rate, units / (elapsed + wait) * 60)
            figures.append(f"{rate:,.0f} a minute")
        measured = elapsed / units * (total - done) if total and units > 0 else 0.0
        left = seconds_left() if seconds_left else measured
        if left >= 1:
            figures.append(f"about {duration(left)} left")
        of = counted(done, self._unit) if total is None else f"{done:,} of {counted(total, self._unit)}"
        log.info(", ".join(filter(None, [f"{self._verb} {of}", *figures])))
