"""Triggers of deferred sensors and of watchers."""

# Airflow imports this module on the triggerer's event loop and blocks it meanwhile: slow imports run in
# threads.
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

_LONGEST_SLEEP = 10.0


class AlvysWaitTrigger(BaseTrigger):
    """
    Wait until the next request may be sent, then return the task's saved state.

    ``airflow dags test`` passes nothing but the event to a task, so the event carries the state.

    :param moment: end of the wait, as an aware datetime.
    :param state: plain JSON values; the payload of the event.
    """

    def __init__(self, moment: datetime, state: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moment = moment
        self.state = state
        # Replaced in tests.
        self.time: Callable[[], float] = time.time
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        return _serialize(self, "moment", "state")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state at ``moment``."""
        # Not Airflow's DateTimeTrigger, which logs every second of the last minute.
        while (seconds := self.moment.timestamp() - self.time()) > 0:
            # In steps, since a sleep does not notice that the system's clock was set.
            await self.sleep(min(seconds, _LONGEST_SLEEP))
        yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]


class AlvysSensorTrigger(BaseTrigger):
    """
    Poll a sensor's condition, in one batch with all others on the connection.

    Yields one event: ``{"status": "success" | "failed" | "error" | "timeout", "message", "value", …}``.
    Failures that may pass are logged, and polled again until the deadline.

    :param alvys_conn_id: the Alvys connection.
    :param condition: a condition of ``airflow_provider_alvys.api.poll.conditions``, as plain values.
    :param deadline: end of the wait, in seconds since 1970.
    :param poke_interval: seconds between two polls.
    :param started: start of the wait, in seconds since 1970; None means now.
    :param exponential_backoff: whether each interval is as long as the wait so far.
    :param max_wait: longest interval in seconds; None means no limit.
    :param silent_fail: whether errors other than Alvys's are only logged, too.
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
        # Replaced in tests.
        self.clock: Clock | None = None
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        names = (
            "alvys_conn_id condition deadline poke_interval started exponential_backoff max_wait silent_fail"
        )
        return _serialize(self, *names.split())

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event."""
        yield TriggerEvent(await self._wait())  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        try:
            loop = await asyncio.to_thread(self._make_loop)
            return await loop.run()
        except Exception as error:
            # Without an event, the task would stay deferred until its timeout.
            log.exception("The trigger failed")
            from airflow_provider_alvys.api.errors import is_hopeless
            from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, scrub

            return {
                "status": "error",
                "message": scrub(str(error), MAX_MESSAGE_CHARS),
                "value": None,
                "error": type(error).__name__,
                "is_hopeless": is_hopeless(error),
            }

    def _make_loop(self) -> SensorLoop:
        # Called in a thread: the first import takes some tenths of a second.
        from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
        from airflow_provider_alvys.triggers.sensor_loop import SensorLoop

        arguments = self.serialize()[1]
        return SensorLoop(**arguments, clock=self.clock or SYSTEM_CLOCK, sleep=self.sleep)


class AlvysChangeTrigger(BaseEventTrigger):
    """
    Emit asset events for new and changed rows of a stream. Use it in an ``AssetWatcher``.

    Existing rows are not reported. All watchers and sensors on a connection share one poller: watchers of one
    stream cost one request per poll together, with any number of filters.

    The payload of an event is ``{"stream", "alvys_conn_id", "changes", "since", "until", "key"}``. A change
    is ``{"id", "key", "number", "status", "updated_at", "fields"}`` without its missing values; ``fields``
    are those of ``where``. On Airflow 3.3 progress is kept in the asset's state store, one poll late: after a
    triggerer has died no change is missed, and repeated ones have the same ``key``. On 3.1 and 3.2 each
    triggerer starts anew.

    Watch an asset of its own: if a sync also updates the asset, the sync triggers the same DAGs.

    Cost: one request per poll for all watchers of a stream, with any number of filters; more if a poll finds
    several pages.

    :param alvys_conn_id: the Alvys connection.
    :param stream: a stream of the catalogue, such as ``loads``, with a time window. If the window is a
        business date, as for ``fuel``, each poll reads all of the lookback and reports new rows and rows that
        differ.
    :param where: values of the rows' fields, such as ``{"Status": ["Delivered"], "Fleet.Name": "East"}``:
        report only matching rows. None means all.
    :param window_by: window kind, such as ``created``; None means the stream's regular one.
    :param poll_interval: seconds between two polls. None means 60 for a window on changes, and 900 for
        others.
    :raises AlvysValueError: the stream, window, a field or a value is unknown; raised while the DAG is
        parsed.
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
        # The triggerer creates triggers on its event loop, from arguments that were checked in the DAG.
        if not (window_by and poll_interval and _has_running_loop()):
            self._check(where, window_by, poll_interval)
        # Replaced in tests.
        self.clock: Clock | None = None
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def _check(
        self, where: Mapping[str, Any] | None, window_by: str | None, poll_interval: float | None
    ) -> None:
        from airflow_provider_alvys.api.catalogue.streams import get_stream
        from airflow_provider_alvys.api.errors import AlvysValueError
        from airflow_provider_alvys.api.poll.change_feed import check_interval, check_where, get_watch_window
        from airflow_provider_alvys.parse_checks import has_template

        if has_template([self.alvys_conn_id, self.stream, where]):
            raise AlvysValueError(
                "A watcher has a template, which Airflow does not render there: give plain values"
            )
        stream = get_stream(self.stream)
        window = get_watch_window(stream, window_by)
        self.where = {name: list(values) for name, values in check_where(stream, where).items()}
        self.window_by = window.name
        self.poll_interval = check_interval(window, poll_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        return _serialize(self, "alvys_conn_id", "stream", "where", "window_by", "poll_interval")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield events for the changes of each poll, forever."""
        loop = await asyncio.to_thread(self._make_loop)
        async for payload in loop.payloads():
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    def _make_loop(self) -> ChangeLoop:
        # Called in a thread: the first import takes some tenths of a second.
        from airflow_provider_alvys._compat import asset_stores
        from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
        from airflow_provider_alvys.triggers.change_loop import ChangeLoop

        return ChangeLoop(
            **self.serialize()[1],
            stores=asset_stores(self),
            clock=self.clock or SYSTEM_CLOCK,
            sleep=self.sleep,
        )


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _serialize(trigger: BaseTrigger, *names: str) -> tuple[str, dict[str, Any]]:
    path = f"{type(trigger).__module__}.{type(trigger).__qualname__}"
    return path, {name: getattr(trigger, name) for name in names}
