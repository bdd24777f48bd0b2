"""The wait of a sensor in the triggerer. Apart from the triggers, since to import it takes a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError, is_hopeless
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.poll.batching import Poller
from airflow_provider_alvys.api.poll.conditions import Condition
from airflow_provider_alvys.triggers.pollers import next_poll_time, open_poller

log = logging.getLogger(__name__)

# Seconds that the look at the deadline may take: a poll interval, but no more and no less than these.
_FINAL_POLL_SECONDS = (5.0, 30.0)


def final_poll_seconds(poke_interval: float) -> float:
    """Return for how long after its deadline a wait may go on, to look once more."""
    least, most = _FINAL_POLL_SECONDS
    return min(max(poke_interval, least), most)


@dataclass
class SensorLoop:
    """
    A wait for a condition until a deadline, with looks at moments that all waits on a connection share.

    :param condition: plain values of a :data:`airflow_provider_alvys.api.poll.conditions.Condition`.
    :param deadline: seconds since 1970.
    :param started: seconds since 1970; from then on the looks become rarer.
    :param exponential_backoff: whether they do.
    :param max_wait: seconds, or None: how rare at most.
    :param silent_fail: whether an error that is not Alvys's, or the condition's own, is logged only.
    """

    alvys_conn_id: str
    condition: dict[str, Any]
    deadline: float
    poke_interval: float
    started: float
    exponential_backoff: bool
    max_wait: float | None
    silent_fail: bool
    clock: Clock = SYSTEM_CLOCK
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # What came of the last look.
    _last: str = field(default="Alvys was not asked once", init=False)

    async def run(self) -> dict[str, Any]:
        """Wait, and return what the sensor is told at the end."""
        condition: Condition = msgspec.convert(self.condition, Condition)
        # Where no triggerer ran when the deadline came, the only look is later.
        left = max(0.0, self.deadline - self.clock.time()) + final_poll_seconds(self.poke_interval)
        async with open_poller(self.alvys_conn_id, clock=self.clock, sleep=self.sleep) as poller:
            try:
                # Around all looks, not around each: hundreds of waits would make as many tasks at the same moment.
                return await asyncio.wait_for(self._poll(poller, condition), left)
            except asyncio.TimeoutError:
                return self._timeout()

    async def _poll(self, poller: Poller, condition: Condition) -> dict[str, Any]:
        """Look until there is something to tell."""
        query: Any = condition.query
        item = condition.item
        while True:
            is_last = self.clock.time() >= self.deadline
            try:
                if event := self._evaluate(condition, await poller.poll(query, item)):
                    return event
            except asyncio.TimeoutError:
                raise
            except Exception as error:
                if not self._is_transient(error):
                    raise
                self._last = f"{type(error).__name__}: {error}"
                log.warning(
                    "This look failed, the wait goes on: %s",
                    self._last,
                    exc_info=not isinstance(error, AlvysError),
                )
            if is_last:
                return self._timeout()
            await self.sleep(max(0.0, min(self._next_poll_time(), self.deadline) - self.clock.time()))

    def _evaluate(self, condition: Condition, answer: Any) -> dict[str, Any] | None:
        """Return the event that an answer leads to; None when the wait goes on."""
        result = condition.evaluate(answer)
        if result.outcome != "waiting":
            status = "success" if result.outcome == "done" else "failed"
            return _event(status, result.message, value=result.value, is_partial=result.is_partial)
        if result.message != self._last:
            # Not at each look: hundreds of waits may share this loop.
            log.info("%s", result.message)
            self._last = result.message
        return None

    def _timeout(self) -> dict[str, Any]:
        return _event("timeout", f"The wait has timed out. {self._last}")

    def _is_transient(self, error: Exception) -> bool:
        if is_hopeless(error):
            return False
        return self.silent_fail or (isinstance(error, AlvysError) and not isinstance(error, AlvysValueError))

    def _next_poll_time(self) -> float:
        """Return the moment of the next look, an interval away at least where the looks become rarer."""
        now, earliest = self.clock.time(), None
        if self.exponential_backoff:
            # Each interval is as long as all before it, and needs no memory that ends with the triggerer.
            interval = max(self.poke_interval, now - self.started)
            earliest = now + max(0.0, min(interval, self.max_wait or interval) - self.poke_interval)
        return next_poll_time(now, self.alvys_conn_id, self.poke_interval, earliest=earliest)


def _event(status: str, message: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "message": message, "value": None, **more}
