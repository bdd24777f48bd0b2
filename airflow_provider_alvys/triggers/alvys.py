"""What waits in the triggerer, without a worker's slot."""

# Imported on the triggerer's event loop, which stands still meanwhile: nothing from this package here at the top.
from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow_provider_alvys.api.clock import Clock

log = logging.getLogger(__name__)

_imported: dict[str, ModuleType] = {}


class AlvysWaitTrigger(DateTimeTrigger):
    """
    Wait until a request may be sent again, and give the task back what it needs to go on.

    ``airflow dags test`` gives a task nothing but the event: hence the state comes with it.

    :param moment: when that is; an aware datetime.
    :param state: plain JSON values; the event's payload.
    """

    def __init__(self, moment: datetime, state: dict[str, Any]) -> None:
        super().__init__(moment=moment)
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment, "state": self.state}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state when it is time."""
        async for _ in super().run():
            yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]


class AlvysSensorTrigger(BaseTrigger):
    """
    Wait for what a sensor waits for. All that wait on one connection are asked for together.

    Ends with one event in every case: ``{"status": "success" | "failed" | "error" | "timeout", "message", "value", …}``. A
    failure that may pass is logged, and the wait goes on until the deadline.

    :param alvys_conn_id: the Alvys connection.
    :param condition: of :mod:`airflow_provider_alvys.api.conditions`, as plain values.
    :param deadline: seconds since 1970.
    :param poke_interval: seconds between two looks.
    :param started: when the wait began, in seconds since 1970; None means now.
    :param exponential_backoff: whether the looks become rarer: each interval is as long as the wait has been.
    :param max_wait: the longest interval in seconds; None means any.
    :param silent_fail: whether errors that are not Alvys's are logged only, too.
    """

    def __init__(
        self,
        *,
        alvys_conn_id: str,
        condition: dict[str, Any],
        deadline: float,
        poke_interval: float = 60.0,
        started: float | None = None,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        silent_fail: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alvys_conn_id = alvys_conn_id
        self.condition = condition
        self.deadline = deadline
        self.poke_interval = poke_interval
        self.started = time.time() if started is None else started
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.silent_fail = silent_fail
        # A test gives others.
        self.clock: Clock | None = None
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "alvys_conn_id": self.alvys_conn_id,
            "condition": self.condition,
            "deadline": self.deadline,
            "poke_interval": self.poke_interval,
            "started": self.started,
            "exponential_backoff": self.exponential_backoff,
            "max_wait": self.max_wait,
            "silent_fail": self.silent_fail,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event at the end."""
        yield TriggerEvent(await self._wait())  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        try:
            waiting = await import_in_thread("airflow_provider_alvys.triggers.waiting")
            wait = waiting.Wait(
                self.alvys_conn_id,
                self.condition,
                deadline=self.deadline,
                poke_interval=self.poke_interval,
                started=self.started,
                backs_off=self.exponential_backoff,
                longest_interval=self.max_wait,
                silent=self.silent_fail,
                clock=self.clock or waiting.SYSTEM_CLOCK,
                sleep=self.sleep,
            )
            return dict(await wait.event())
        except Exception as error:
            # Whatever it was: without an event the task would never be told.
            log.exception("The wait ends with an error")
            errors = await import_in_thread("airflow_provider_alvys.api.errors")
            return {
                "status": "error",
                "message": str(error),
                "value": None,
                "error": type(error).__name__,
                "is_hopeless": errors.is_hopeless(error),
            }


async def import_in_thread(name: str) -> ModuleType:
    """Return a module, imported beside the event loop. Most of what this package needs takes some tenths of a second."""
    if name not in _imported:
        # Whatever sys.modules says: another thread may be at it.
        _imported[name] = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, name)
    return _imported[name]
