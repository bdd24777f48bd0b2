"""The time and the waiting, as one object that a test can replace."""

from __future__ import annotations

import time

from airflow_provider_alvys.api.errors import AlvysRateLimitError


class Clock:
    """Tell the time and wait."""

    def time(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(seconds)

    def went_on(self) -> None:
        """Take note that what is waited for was worth it: a page has been read."""


SYSTEM_CLOCK = Clock()


class LongWait(Exception):
    """
    A wait that is too long to sit through: go away, and come again then.

    :param seconds: how long it is.
    :param in_vain: such waits in a row, this one included, without a page between them.
    """

    def __init__(self, seconds: float, in_vain: int) -> None:
        super().__init__(f"The next request may be sent in {seconds:.0f} s")
        self.seconds = seconds
        self.in_vain = in_vain


# After so many waits without a page between them the next one is sat through: who goes away each time begins each time anew.
_MOST_IN_VAIN = 3


class BoundedClock(Clock):
    """
    Wait by another clock, but neither long nor beyond the end of what time there is.

    :param longest: seconds; a longer wait is a :class:`LongWait`. None for none.
    :param deadline: seconds since 1970; a wait beyond it is an :class:`AlvysRateLimitError` at once. None for none.
    :param in_vain: long waits in a row before this one, without a page between them.
    """

    def __init__(
        self, clock: Clock, *, longest: float | None = None, deadline: float | None = None, in_vain: int = 0
    ) -> None:
        self.longest = longest
        self.in_vain = in_vain
        self.deadline = deadline
        self._clock = clock

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """
        Wait for ``seconds``.

        :raises LongWait: it would take longer than ``longest``.
        :raises AlvysRateLimitError: it would outlast the deadline.
        """
        left = None if self.deadline is None else self.deadline - self.time()
        if left is not None and seconds > left:
            raise AlvysRateLimitError(
                f"The next request may be sent in {seconds:.0f} s, and the task has {max(0.0, left):.0f} s left of its "
                "execution_timeout, which counts all of its stretches. Raise it, or let a retry go on from here",
                retry_after=seconds,
            )
        if self.longest is not None and seconds > self.longest and self.in_vain < _MOST_IN_VAIN:
            raise LongWait(seconds, self.in_vain + 1)
        self._clock.sleep(seconds)

    def went_on(self) -> None:
        """Take note that a page has been read."""
        self.in_vain = 0
