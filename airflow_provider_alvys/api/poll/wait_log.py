"""The log of a wait: what the polls find, how often they come, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

# Seconds after which a message that has not changed is logged again, for the first time.
_FIRST_REPEAT = 600.0
# A wait may be without end.
_LAST_DATE = datetime.max.replace(tzinfo=timezone.utc).timestamp()


@dataclass
class WaitLog:
    """The lines that a wait logs: each new message, and an unchanged one ever more rarely."""

    _message: str = ""
    _first_at: float = 0.0
    _last_at: float = 0.0

    def line(
        self, message: str, *, now: float, seconds: float, is_growing: bool, deadline: float
    ) -> str | None:
        """
        Return the line to log after a poll; None for a message that was logged not long ago.

        An unchanged message is logged again after 10 minutes, and then at intervals that double.

        :param message: a sentence without its full stop.
        :param now: seconds since 1970, as ``deadline``, the time of the last poll.
        :param seconds: from this poll to the next.
        :param is_growing: whether the interval grows.
        """
        if message != self._message:
            self._message, self._first_at = message, now
        elif now - self._last_at < max(_FIRST_REPEAT, self._last_at - self._first_at):
            return None
        self._last_at = now
        how_often = "at growing intervals, next in" if is_growing else "every"
        until = ""
        if deadline <= _LAST_DATE:
            until = datetime.fromtimestamp(deadline, timezone.utc).strftime(" until %Y-%m-%d %H:%M:%S UTC")
        return f"{message}. Polling {how_often} {seconds:.0f} s{until}"
