"""Time and sleep, as one object that a test can replace."""

from __future__ import annotations

import logging
import time

from airflow_provider_alvys.api.errors import AlvysRateLimitError
from airflow_provider_alvys.api.figures import duration

log = logging.getLogger(__name__)

# Seconds: shorter waits are not logged.
_LOGGED_WAIT = 10.0
# After this many deferrals without a page in between it sleeps instead: each deferral costs a new setup.
_MAX_CONSECUTIVE_DEFERRALS = 3


class Clock:
    """The system clock."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""
        time.sleep(seconds)

    def wait(self, seconds: float, reason: str) -> None:
        """Sleep for ``seconds``, and log the reason if that is long."""
        if seconds >= _LOGGED_WAIT:
            log.info("Waiting %s: %s", duration(seconds), reason)
        self.sleep(seconds)

    def mark_progress(self) -> None:
        """Record that a page was read since the last wait."""


SYSTEM_CLOCK = Clock()


class DeferRequested(Exception):
    """
    A wait is too long to sleep through: the task should defer and resume after it.

    :param seconds: length of the wait.
    :param consecutive_deferrals: deferrals without a page in between, this one included.
    :param reason: why the task must wait.
    """

    # Seconds of it that are counted as a wait for the rate limit.
    counted = 0.0

    def __init__(self, seconds: float, consecutive_deferrals: int, reason: str) -> None:
        super().__init__(f"Waiting {duration(seconds)}: {reason}")
        self.seconds = seconds
        self.consecutive_deferrals = consecutive_deferrals


class BoundedClock(Clock):
    """
    Sleep by another clock, but neither long nor past a deadline.

    :param defer_after: seconds; a longer wait raises :class:`DeferRequested`. None means no limit.
    :param deadline: seconds since 1970; a wait past it raises :class:`AlvysRateLimitError`. None means none.
    :param consecutive_deferrals: deferrals before this one without a page in between.
    :param owner: whose rate limit it is, for the log.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        owner: str = "",
        defer_after: float | None = None,
        deadline: float | None = None,
        consecutive_deferrals: int = 0,
    ) -> None:
        self.defer_after = defer_after
        self.deadline = deadline
        self.consecutive_deferrals = consecutive_deferrals
        self._clock = clock
        self._owner = owner

    def time(self) -> float:
        """Return seconds since 1970."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """
        Sleep for ``seconds``.

        :raises DeferRequested: that is longer than ``defer_after``.
        :raises AlvysRateLimitError: that is past the deadline.
        """
        self._refuse_long(seconds, "the next attempt of a request")
        self._clock.sleep(seconds)

    def wait(self, seconds: float, reason: str) -> None:
        """Sleep for ``seconds``, and log the reason if that is long. Raises as :meth:`sleep`."""
        reason = f"{reason} ({self._owner})" if self._owner else reason
        self._refuse_long(seconds, reason)
        super().wait(seconds, reason)

    def _refuse_long(self, seconds: float, reason: str) -> None:
        left = None if self.deadline is None else self.deadline - self.time()
        if left is not None and seconds > left:
            raise AlvysRateLimitError(
                f"The next request may be sent in {seconds:.0f} s, but the task has {max(0.0, left):.0f} s "
                "left of its execution_timeout, which spans all deferrals. Raise it, or retry",
                retry_after=seconds,
            )
        can_defer = self.defer_after is not None and seconds > self.defer_after
        if can_defer and self.consecutive_deferrals < _MAX_CONSECUTIVE_DEFERRALS:
            raise DeferRequested(seconds, self.consecutive_deferrals + 1, reason)

    def mark_progress(self) -> None:
        """Record that a page was read since the last wait."""
        self.consecutive_deferrals = 0
