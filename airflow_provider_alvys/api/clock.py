"""The time, as one object that a test can replace."""

from __future__ import annotations

import time


class Clock:
    """Tell the time and wait."""

    def time(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(seconds)


SYSTEM_CLOCK = Clock()
