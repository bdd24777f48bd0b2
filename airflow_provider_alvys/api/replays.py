"""Deduplication of repeated webhook deliveries."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.webhooks import TOLERANCE

# - new: process the event.
# - done: it was processed. Answer 200, so that Alvys does not deliver it again.
# - later: another thread is processing it, or too many keys are kept. Answer 503, so that Alvys retries.
State = Literal["new", "done", "later"]


class ReplayGuard:
    """
    Remember in this process which events were processed, so that each is processed once.

    Alvys delivers at least once: it repeats an attempt without a 2xx response, up to four times. An
    eavesdropper can repeat a delivery while its signature is recent. Both have the key of a processed event:
    answer 200. (A 4xx counts against the webhook, and Alvys disables it after ten events.) A failed event is
    forgotten, so that the next attempt is processed.

    :param keep: seconds to keep a key: at least twice the tolerance of the signature's time.
    :param most: maximum number of keys.
    :param clock: returns seconds.
    :raises AlvysValueError: the keys would be kept for too short a time, or are too few.
    """

    def __init__(
        self, *, keep: float = 3600.0, most: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if keep < 2 * TOLERANCE or most < 1:
            raise AlvysValueError(
                f"keep={keep}, most={most} would let replays pass: keep one key or more for "
                f"{2 * TOLERANCE:.0f} s or more"
            )
        self._keep = keep
        self._max_keys = most
        self._clock = clock
        self._lock = threading.Lock()
        self._running: set[str] = set()
        # Maps keys to when they expire, in this order.
        self._done: dict[str, float] = {}

    @contextmanager
    def once(self, key: str) -> Iterator[State]:
        """
        Return whether to process an event, and remember it if the block ends without an error.

        .. code-block:: python

            with guard.once(event.key) as state:
                if state == "new":
                    process(event)
            status = 503 if state == "later" else 200

        :param key: the event's ``key``.
        :return: ``new``: process it; ``done``: it was processed; ``later``: another thread processes it, or
            too many keys are kept.
        """
        state = self._claim(key)
        if state != "new":
            yield state
            return
        done = False
        try:
            yield state
            done = True
        finally:
            with self._lock:
                self._running.discard(key)
                if done:
                    self._done[key] = self._clock() + self._keep

    def _claim(self, key: str) -> State:
        with self._lock:
            now = self._clock()
            for old in list(itertools.takewhile(lambda name: self._done[name] <= now, self._done)):
                del self._done[old]
            if key in self._done:
                return "done"
            if key in self._running or len(self._done) + len(self._running) >= self._max_keys:
                return "later"
            self._running.add(key)
            return "new"
