"""Events that come more than once, taken once."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.webhooks import TOLERANCE

# - new: it is to be processed.
# - done: it was. Answer it with a 200, for nothing else keeps Alvys from sending it again.
# - later: another thread has it, and may fail yet, or too many are remembered already. Answer it with a 503: Alvys tries again.
State = Literal["new", "done", "later"]


class ReplayGuard:
    """
    Remember, in this process, which events were processed, so that none is a second time.

    Alvys delivers at least once: an attempt whose answer was lost is made again, up to four times. Someone who has overheard a
    delivery can send it again while its signature is fresh. Nothing that is signed tells the one from the other, and nothing
    need: either has the key of an event that was processed, is not processed, and is answered with a 200. (A 4xx would count
    against the webhook, which Alvys disables after ten events.) An event whose processing failed is forgotten, so that Alvys's
    next attempt is taken.

    :param keep: seconds that a key is remembered: at least twice the tolerance of the signature's time, or a replay would pass.
    :param most: keys that are remembered at once.
    :param clock: what tells the seconds.
    """

    def __init__(
        self, *, keep: float = 3600.0, most: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if keep < 2 * TOLERANCE or most < 1:
            raise AlvysValueError(
                f"A guard against replays must keep keys for {2 * TOLERANCE:.0f} s or more, and at least one"
            )
        self._keep = keep
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._running: set[str] = set()
        # By when they may be forgotten, the next one first.
        self._done: dict[str, float] = {}

    @contextmanager
    def once(self, key: str) -> Iterator[State]:
        """
        Tell whether an event is to be processed, and remember it when the block ends without an error.

        .. code-block:: python

            with guard.once(event.key) as state:
                if state == "new":
                    process(event)
            status = 503 if state == "later" else 200
        """
        state = self._begin(key)
        if state != "new":
            yield state
            return
        done = False
        try:
            yield state
            done = True
        finally:
            self._end(key, done)

    def _begin(self, key: str) -> State:
        with self._lock:
            now = self._clock()
            for old in list(itertools.takewhile(lambda name: self._done[name] <= now, self._done)):
                del self._done[old]
            if key in self._done:
                return "done"
            if key in self._running or len(self._done) + len(self._running) >= self._most:
                return "later"
            self._running.add(key)
            return "new"

    def _end(self, key: str, done: bool) -> None:
        with self._lock:
            self._running.discard(key)
            if done:
                self._done[key] = self._clock() + self._keep
