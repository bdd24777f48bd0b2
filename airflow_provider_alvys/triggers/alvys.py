"""What waits in the triggerer, without a worker's slot."""

# Airflow imports this module on the triggerer's event loop, which stands still meanwhile: what is slow to import is
# imported in a thread.
from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.clock import Clock
    from airflow_provider_alvys.triggers.change_loop import ChangeLoop
    from airflow_provider_alvys.triggers.sensor_loop import SensorLoop

log = logging.getLogger(__name__)


class AlvysWaitTrigger(BaseTrigger):
    """
    Wait until a request may be sent again, and give the task back what it needs to go on.

    ``airflow dags test`` gives a task nothing but the event: hence the state comes with it.

    :param moment: when that is; an aware datetime.
    :param state: plain JSON values; the event's payload.
    """

    def __init__(self, moment: datetime, state: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moment = moment
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "moment": self.moment,
            "state": self.state,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state when it is time."""
        # Whoever parses a DAG with a watcher in it does without this provider's modules.
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        async for _ in DateTimeTrigger(moment=self.moment).run():
            yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]


class AlvysSensorTrigger(BaseTrigger):
    """
    Wait for what a sensor waits for. All that wait on one connection are asked for together.

    Ends with one event in every case: ``{"status": "success" | "failed" | "error" | "timeout", "message", "value", …}``. A
    failure that may pass is logged, and the wait goes on until the deadline.

    :param alvys_conn_id: the Alvys connection.
    :param condition: of :mod:`airflow_provider_alvys.api.poll.conditions`, as plain values.
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
            loop = await asyncio.to_thread(self._make_loop)
            return await loop.run()
        except Exception as error:
            # Whatever it was: without an event the task would never be told.
            log.exception("The wait ends with an error")
            from airflow_provider_alvys.api.errors import is_hopeless

            return {
                "status": "error",
                "message": str(error),
                "value": None,
                "error": type(error).__name__,
                "is_hopeless": is_hopeless(error),
            }

    def _make_loop(self) -> SensorLoop:
        """Return the wait; called in a thread, since the first import takes some tenths of a second."""
        from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
        from airflow_provider_alvys.triggers.sensor_loop import SensorLoop

        return SensorLoop(
            self.alvys_conn_id,
            self.condition,
            deadline=self.deadline,
            poke_interval=self.poke_interval,
            started=self.started,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
            silent_fail=self.silent_fail,
            clock=self.clock or SYSTEM_CLOCK,
            sleep=self.sleep,
        )


class AlvysChangeTrigger(BaseEventTrigger):
    """
    Tell an asset which rows of a stream are new or have changed: for an ``AssetWatcher``.

    All that watches and waits on a connection in a triggerer shares one poller: watchers of one stream cost one request an
    interval together, whatever they look for. What was there when the watcher began is not told.

    An event's payload is ``{"stream", "alvys_conn_id", "changes", "since", "until", "key"}``, and a change in it ``{"id", "key",
    "number", "status", "updated_at", "fields"}``: what it lacks is left out, and ``fields`` are those of ``where``. On Airflow
    3.3 the asset's state store keeps how far the watcher has come, one look late: after a triggerer has died nothing is missed,
    and what is told again has the same ``key``. On 3.1 and 3.2 each triggerer begins anew.

    Give the asset a name of its own: a sync that updates the same asset would wake what this one is to wake.

    :param alvys_conn_id: the Alvys connection.
    :param stream: name in the catalogue, of a stream with a time window: ``loads`` and ``trips`` by their changes. Where the
        window is a business date, as for ``fuel``, all that it looks back to is read at each look, and what is new or differs is
        told.
    :param where: only rows with these values, a value or a list for each field: ``{"Status": ["Delivered"], "CustomerId":
        "CU1"}``; ``Fleet.Name`` for a field inside an object. None means all.
    :param window_by: which of the stream's windows; None means its regular one.
    :param poll_interval: seconds between two looks. None means 60 for a window on changes, and 900 for others.
    :raises AlvysValueError: while the DAG is parsed: an unknown stream, window, field or value.
    """

    def __init__(
        self,
        *,
        alvys_conn_id: str = "alvys_default",
        stream: str = "loads",
        where: Mapping[str, Any] | None = None,
        window_by: str | None = None,
        poll_interval: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alvys_conn_id = alvys_conn_id
        self.stream = stream
        self.where = where or {}
        self.window_by = window_by or ""
        self.poll_interval = poll_interval or 0.0
        if not (window_by and poll_interval and _is_on_a_loop()):
            self._check(where, window_by, poll_interval)
        # A test gives others.
        self.clock: Clock | None = None
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def _check(
        self, where: Mapping[str, Any] | None, window_by: str | None, poll_interval: float | None
    ) -> None:
        """Check what a DAG gives. The triggerer, which makes its triggers on its event loop, gives what was checked then."""
        from airflow_provider_alvys.api.catalogue.streams import get_stream
        from airflow_provider_alvys.api.errors import AlvysValueError
        from airflow_provider_alvys.api.poll.change_feed import check_interval, check_where, get_watch_window
        from airflow_provider_alvys.parse_checks import has_template

        if has_template([self.alvys_conn_id, self.stream, where]):
            raise AlvysValueError("Airflow renders no templates in a watcher: give plain values")
        stream = get_stream(self.stream)
        window = get_watch_window(stream, window_by)
        self.where = {name: list(values) for name, values in check_where(stream, where).items()}
        self.window_by = window.name
        self.poll_interval = check_interval(window, poll_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "alvys_conn_id": self.alvys_conn_id,
            "stream": self.stream,
            "where": self.where,
            "window_by": self.window_by,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each look that finds something, for ever."""
        loop = await asyncio.to_thread(self._make_loop)
        async for payload in loop.payloads():
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    def _make_loop(self) -> ChangeLoop:
        """Return what watches; called in a thread, since the first import takes some tenths of a second."""
        from airflow_provider_alvys._compat import asset_stores
        from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
        from airflow_provider_alvys.triggers.change_loop import ChangeLoop

        return ChangeLoop(
            self.alvys_conn_id,
            self.stream,
            self.window_by,
            self.where,
            self.poll_interval,
            stores=asset_stores(self),
            clock=self.clock or SYSTEM_CLOCK,
            sleep=self.sleep,
        )


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
