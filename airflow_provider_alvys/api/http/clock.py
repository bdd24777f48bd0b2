"""Time and sleep, as one object that a test can replace."""

from __future__ import annotations

import time

from airflow_provider_alvys.api.errors import AlvysRateLimitError

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

    def mark_progress(self) -> None:
        """Record that a page was read since the last wait."""


SYSTEM_CLOCK = Clock()


class DeferRequested(Exception):
    """
    A wait is too long to sleep through: the task should defer and resume after it.

    :param seconds: length of the wait.
    :param consecutive_deferrals: deferrals without a page in between, this one included.
    """

    def __init__(self, seconds: float, consecutive_deferrals: int) -> None:
        super().__init__(f"The next request may be sent in {seconds:.0f} s")
        self.seconds = seconds
        self.consecutive_deferrals = consecutive_deferrals


class BoundedClock(Clock):
    """
    Sleep by another clock, but neither long nor past a deadline.

    :param defer_after: seconds; a longer wait raises :class:`DeferRequested`. None means no limit.
    :param deadline: seconds since 1970; a wait past it raises :class:`AlvysRateLimitError`. None means none.
    :param consecutive_deferrals: deferrals before this one without a page in between.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        defer_after: float | None = None,
        deadline: float | None = None,
        consecutive_deferrals: int = 0,
    ) -> None:
        self.defer_after = defer_after
        self.deadline = deadline
        self.consecutive_deferrals = consecutive_deferrals
        self._clock = clock

    def time(self) -> float:
        """Return seconds since 1970."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """
        Sleep for ``seconds``.

        :raises DeferRequested: that is longer than ``defer_after``.
        :raises AlvysRateLimitError: that is past the deadline.
        """
        left = None if self.deadline is None else self.deadline - self.time()
        if left is not None and seconds > left:
            raise AlvysRateLimitError(
                f"The next request may be sent in {seconds:.0f} s, but the task has {max(0.0, left):.0f} s "
                "left of its execution_timeout, which spans all deferrals. Raise it, or retry",
                retry_after=seconds,
            )
        can_defer = self.defer_after is not None and seconds > self.defer_after
        if can_defer and self.consecutive_deferrals < _MAX_CONSECUTIVE_DEFERRALS:
            raise DeferRequested(seconds, self.consecutive_deferrals + 1)
        self._clock.sleep(seconds)

    def mark_progress(self) -> None:
        """Record that a page was read since the last wait."""
        self.consecutive_deferrals = 0
