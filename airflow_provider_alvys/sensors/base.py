"""The base of all Alvys sensors: three modes with the same deadline."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_alvys._compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_provider_alvys.api.errors import AlvysError
from airflow_provider_alvys.api.poll.conditions import Condition, PokeResult, poll_once
from airflow_provider_alvys.api.poll.wait_log import WaitLog
from airflow_provider_alvys.base_operator import DEFERRABLE, AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.parse_checks import has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

# How much later than the trigger Airflow ends the wait. That happens only if no triggerer runs.
_TIMEOUT_MARGIN = timedelta(minutes=2)
# Airflow fails a task that is queued again before it has seen that the task's last process has ended.
_MIN_RESCHEDULE_SECONDS = 10.0


class AlvysSensor(AlvysTask, BaseSensorOperator):
    """
    Wait for a condition.

    With ``deferrable``, the sensor defers at once, without a poll. In the triggerer all sensors on a
    connection share a poller, and failures that may pass are logged and polled again. In a worker slot each
    poll is a request, and such a failure ends the attempt after the hook's retries, as Airflow's sensors do
    (unless ``silent_fail``). In every mode each attempt ends ``timeout`` seconds after its start, with a
    final poll.

    :param alvys_conn_id: the Alvys connection.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable``
        says.
    """

    ui_color = "#e3f3e1"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.deferrable = DEFERRABLE if deferrable is None else deferrable
        # The return value, for the link.
        self._value: Any = None
        self._waits_for: PokeResult | None = None
        self._wait_log = WaitLog()

    @abstractmethod
    def condition(self) -> Condition:
        """
        Return the condition to wait for, with rendered templates.

        :raises AlvysValueError: an argument is wrong.
        """

    def check_if_plain(self) -> None:
        """Raise AlvysValueError while the DAG is parsed if an argument is wrong and none is templated."""
        self.remember_given()
        if not has_template(
            [getattr(self, name) for name in self.template_fields if name != "alvys_conn_id"]
        ):
            self.condition()

    def execute(self, context: Context) -> Any:
        """Wait in this slot or in the triggerer, and return the sensor's value."""
        condition = self._check()
        if self.deferrable:
            self._defer(condition)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            # As after a deferral. Airflow's own loop does not handle this case.
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    @fail_if_not_retryable
    def _check(self) -> Condition:
        """Return the condition, if the rendered arguments are valid."""
        self.check_rendered()
        return self.condition()

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Return the seconds until the next poll in a slot, which is at the deadline at the latest."""
        interval = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        shortest = _MIN_RESCHEDULE_SECONDS if self.reschedule else 0.0
        left, now = self.timeout - run_duration(), time.time()
        seconds = min(interval, max(shortest, left))
        if self._waits_for is not None:
            line = self._wait_log.line(
                self._waits_for.message,
                now=now,
                seconds=seconds if self.exponential_backoff else self.poke_interval,
                is_growing=self.exponential_backoff,
                deadline=now + left,
            )
            if line is not None:
                self.log.log(self._waits_for.level, "%s", line)
        return seconds

    @fail_if_not_retryable
    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once."""
        self._waits_for = None
        result = poll_once(self.hook.get_conn(), self.condition())
        if result.outcome == "waiting":
            # Logged with the time of the next poll.
            self._waits_for = result
            return PokeReturnValue(is_done=False)
        self.log.log(result.level, "%s", result.message)
        if result.outcome == "failed":
            raise AirflowFailException(result.message)
        self._value = self.read_value() if result.is_partial else result.value
        return PokeReturnValue(is_done=True, xcom_value=self._value)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Return the value that the trigger found, or raise its error.

        :raises AirflowFailException: the condition cannot be met any more, or no retry can help.
        :raises AirflowSensorTimeout: the condition was not met in time.
        :raises AlvysError: the trigger failed, or the event is not one of AlvysSensorTrigger.
        """
        status = event.get("status") if isinstance(event, dict) else None
        if status == "success":
            self.log.info("%s", event["message"])
            self._value = self.read_value() if event["is_partial"] else event["value"]
            return self._value
        if status == "failed":
            raise AirflowFailException(event["message"])
        if status == "timeout":
            raise AirflowSensorTimeout(event["message"])
        if status == "error" and event["is_hopeless"]:
            raise AirflowFailException(f"Not retryable: {event['error']}: {event['message']}")
        message = f"Not an event of AlvysSensorTrigger: {event!r}"
        if status == "error":
            message = f"The trigger failed: {event['error']}: {event['message']}"
        if self.never_fail:
            raise AirflowSkipException(f"Skipping due to never_fail is set to True. {message}")
        raise AlvysError(message)

    def read_value(self) -> Any:
        """Read the sensor's value if the poll did not return it."""
        raise NotImplementedError

    def _defer(self, condition: Condition) -> None:
        from airflow_provider_alvys.triggers.alvys import AlvysSensorTrigger
        from airflow_provider_alvys.triggers.sensor_loop import final_poll_seconds

        now = time.time()
        trigger = AlvysSensorTrigger(
            alvys_conn_id=self.alvys_conn_id,
            condition=msgspec.json.decode(msgspec.json.encode(condition)),
            deadline=now + self.timeout,
            poke_interval=self.poke_interval,
            started=now,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            silent_fail=self.silent_fail,
        )
        final_poll = timedelta(seconds=final_poll_seconds(self.poke_interval))
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + final_poll + _TIMEOUT_MARGIN,
        )
