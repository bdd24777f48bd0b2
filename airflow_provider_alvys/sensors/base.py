"""What all sensors on Alvys share: three modes, one deadline."""

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
from airflow_provider_alvys.api.poll.conditions import Condition, poll_once
from airflow_provider_alvys.base_operator import DEFERRABLE, AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.parse_checks import has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

# How much later than the trigger's own deadline Airflow ends the wait: it does where no triggerer is left to do so.
_TIMEOUT_MARGIN = timedelta(minutes=2)
# Seconds after which a task may be rescheduled: Airflow fails one that it queues again before it has heard that its last process
# has ended.
_MIN_RESCHEDULE_SECONDS = 10.0


class AlvysSensor(AlvysTask, BaseSensorOperator):
    """
    Wait for a condition.

    Deferrable, it goes to the triggerer at once, without a look of its own. There all that wait on one connection are asked for
    together; a failure that may pass is logged and waited out. In a worker's slot each look is a request, and such a failure ends
    the try, as Airflow has it (but for ``silent_fail``), after the hook has tried again. Each try has one deadline in every
    mode, ``timeout`` after its start; one more look is made then.

    :param alvys_conn_id: the Alvys connection.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable`` says.
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
        # What was waited for, once it is there.
        self._value: Any = None

    @abstractmethod
    def condition(self) -> Condition:
        """
        Return what is waited for. Called when templates have been rendered.

        :raises AlvysValueError: it cannot be asked for.
        """

    def check_if_plain(self) -> None:
        """
        Refuse what cannot be asked for while the DAG is parsed, where nothing is templated.

        :raises AlvysValueError: says what.
        """
        if not has_template(
            [getattr(self, name) for name in self.template_fields if name != "alvys_conn_id"]
        ):
            self.condition()

    def execute(self, context: Context) -> Any:
        """Wait, here or in the triggerer."""
        condition = self.condition()
        if self.deferrable:
            self._defer(condition)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            # So it is after a deferral: Airflow's own loop leaves this one out.
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Return in how many seconds to look again in a slot: at the deadline, where that comes first."""
        interval = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return min(
            interval, max(_MIN_RESCHEDULE_SECONDS if self.reschedule else 0.0, self.timeout - run_duration())
        )

    @fail_if_not_retryable
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        result = poll_once(self.hook.get_conn(), self.condition())
        self.log.info("%s", result.message)
        if result.outcome == "failed":
            raise AirflowFailException(result.message)
        if result.outcome == "waiting":
            return PokeReturnValue(is_done=False)
        self._value = self.read_value() if result.is_partial else result.value
        return PokeReturnValue(is_done=True, xcom_value=self._value)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Return what the trigger has found, or fail as it says.

        :raises AirflowFailException: it can never come, or another look cannot help.
        :raises AirflowSensorTimeout: it did not come in time.
        :raises AlvysError: the trigger failed, or its event is none of ours.
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
        message = (
            f"The trigger failed: {event['error']}: {event['message']}"
            if status == "error"
            else f"No such event: {event!r}"
        )
        if self.never_fail:
            raise AirflowSkipException(f"Skipping due to never_fail is set to True. {message}")
        raise AlvysError(message)

    def read_value(self) -> Any:
        """Return what the sensor returns, where it did not come with the answer."""
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
