"""The polling loop of a deferred sensor. Not in the triggers' module, since importing it is slow."""

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
from airflow_provider_alvys.api.poll.wait_log import WaitLog
from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, mask_secrets, scrub
from airflow_provider_alvys.triggers.pollers import next_poll_time, open_poller

log = logging.getLogger(__name__)

# Minimum and maximum seconds of the final poll.
_FINAL_POLL_SECONDS = (5.0, 30.0)


def final_poll_seconds(poke_interval: float) -> float:
    """Return how many seconds the final poll, which begins at the deadline, may take."""
    min_seconds, max_seconds = _FINAL_POLL_SECONDS
    return min(max(poke_interval, min_seconds), max_seconds)


@dataclass
class SensorLoop:
    """Poll a condition until a deadline. The fields are the arguments of AlvysSensorTrigger."""

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
    _last_message: str = field(default="No poll has finished", init=False)
    _wait_log: WaitLog = field(default_factory=WaitLog, init=False)

    async def run(self) -> dict[str, Any]:
        """Poll until the end, and return the payload of the trigger's event."""
        condition: Condition = msgspec.convert(self.condition, Condition)
        # If no triggerer ran at the deadline, the only poll begins after it.
        timeout = max(0.0, self.deadline - self.clock.time()) + final_poll_seconds(self.poke_interval)
        async with open_poller(self.alvys_conn_id, clock=self.clock, sleep=self.sleep) as poller:
            try:
                # One timeout for all polls: one per poll would create hundreds of tasks at the same moment.
                return await asyncio.wait_for(self._poll(poller, condition), timeout)
            except asyncio.TimeoutError:
                return self._timeout()

    async def _poll(self, poller: Poller, condition: Condition) -> dict[str, Any]:
        query: Any
        query, item = condition.request()
        while True:
            is_final = self.clock.time() >= self.deadline
            try:
                if event := self._evaluate(condition, await poller.poll(query, item)):
                    return event
            except asyncio.TimeoutError:
                raise
            except Exception as error:
                if not self._is_transient(error):
                    raise
                self._last_message = f"{type(error).__name__}: {error}"
                plan = (
                    "deadline reached" if is_final else f"next poll in {self._seconds_to_next_poll():.0f} s"
                )
                is_expected = isinstance(error, AlvysError)
                log.warning("Poll failed; %s. %s", plan, self._last_message, exc_info=not is_expected)
            if is_final:
                return self._timeout()
            await self.sleep(self._seconds_to_next_poll())

    def _evaluate(self, condition: Condition, found: Any) -> dict[str, Any] | None:
        """Return the event for what a poll found; None to poll again."""
        result = condition.evaluate(found)
        if result.outcome != "waiting":
            status = "success" if result.outcome == "done" else "failed"
            return _event(status, result.message, value=result.value, is_partial=result.is_partial)
        self._last_message = result.message
        # Rarely: hundreds of sensors may poll in this process.
        line = self._wait_log.line(
            result.message,
            now=self.clock.time(),
            seconds=self._seconds_to_next_poll() if self.exponential_backoff else self.poke_interval,
            is_growing=self.exponential_backoff,
            deadline=self.deadline,
        )
        if line is not None:
            log.log(result.level, "%s", line)
        return None

    def _timeout(self) -> dict[str, Any]:
        return _event("timeout", f"The sensor has timed out. {self._last_message}")

    def _is_transient(self, error: Exception) -> bool:
        if is_hopeless(error):
            return False
        return self.silent_fail or (isinstance(error, AlvysError) and not isinstance(error, AlvysValueError))

    def _seconds_to_next_poll(self) -> float:
        now, earliest = self.clock.time(), None
        if self.exponential_backoff:
            # The interval is the time since the start, which needs no state: a new triggerer would lack it.
            interval = max(self.poke_interval, now - self.started)
            earliest = now + max(0.0, min(interval, self.max_wait or interval) - self.poke_interval)
        at = next_poll_time(now, self.alvys_conn_id, self.poke_interval, earliest=earliest)
        return max(0.0, min(at, self.deadline) - now)


def _event(status: str, message: str, **more: Any) -> dict[str, Any]:
    """Return the payload of an event. Airflow stores it in its database, unmasked."""
    message = scrub(message, MAX_MESSAGE_CHARS)
    return {"status": status, "message": message, "value": None, **mask_secrets(more)}
