"""A task that lands rows: it goes on where the last try, or the stretch before a deferral, has come to."""

from __future__ import annotations

import time
from abc import abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested
from airflow_provider_alvys.base_operator import DEFERRABLE, AlvysTask
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient

DEFER_AFTER = 20
# What a template renders to.
_RENDERED = (str, int, float, list, tuple, dict, datetime)


class AlvysLandingTask(AlvysTask):
    """
    A task that lands rows, and waits for Alvys within the bounds that Airflow sets.

    Deferrable, it frees its slot during a wait, and goes on with the same try. ``execution_timeout``, which Airflow counts anew
    after each deferral, is kept over all of them: a wait that would outlast it fails at once, for the retry policy to come back
    when the wait is over.

    :param defer_after: seconds of waiting from which a deferrable task frees its slot.
    :param deferrable: free the slot during long waits.
    """

    def __init__(
        self, *, defer_after: float = DEFER_AFTER, deferrable: bool = DEFERRABLE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(defer_after, bool) or not isinstance(defer_after, (int, float)) or not defer_after >= 0:
            raise AlvysValueError(f"defer_after={defer_after!r} must be a number of seconds, 0 or more")
        self.defer_after = defer_after
        self.deferrable = deferrable

    @abstractmethod
    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> Any:
        """
        Land, and return the task's result.

        :param is_resumed: whether this is the same try after a deferral.
        :raises DeferRequested: the client's clock does not sit through a wait. What has been read is kept.
        """

    def execute(self, context: Context) -> Any:
        """Land."""
        timeout = self.execution_timeout
        deadline = time.time() + timeout.total_seconds() if timeout else None
        return self._land_within(context, deadline=deadline, consecutive_deferrals=0, is_resumed=False)

    def resume(self, context: Context, event: Any = None, state: dict[str, Any] | None = None) -> Any:
        """
        Go on after a deferral.

        :param event: of the trigger: the state. (``airflow dags test`` gives nothing else.)
        :param state: ``{"rendered", "deadline", "in_vain"}``: the template fields as they were (rendered anew, they may differ),
            the end of the whole try in seconds since 1970, and the deferrals in a row without a page between them.
        """
        known = event if state is None else state
        for name, value in known["rendered"].items():
            setattr(self, name, value)
        return self._land_within(
            context, deadline=known["deadline"], consecutive_deferrals=known["in_vain"], is_resumed=True
        )

    @fail_if_not_retryable
    def _land_within(
        self, context: Context, *, deadline: float | None, consecutive_deferrals: int, is_resumed: bool
    ) -> Any:
        client = self.hook.get_conn()
        defer_after = self.defer_after if self.deferrable else None
        client = client.with_clock(
            BoundedClock(
                client.clock,
                defer_after=defer_after,
                deadline=deadline,
                consecutive_deferrals=consecutive_deferrals,
            )
        )
        try:
            return self.land(context, client, is_resumed=is_resumed)
        except DeferRequested as wait:
            from airflow_provider_alvys.triggers.alvys import AlvysWaitTrigger

            moment = datetime.fromtimestamp(
                client.now(upper_bound=True, fetch_token=False) + wait.seconds, timezone.utc
            )
            self.log.info("%s: freeing the slot until %s", wait, moment.isoformat(timespec="seconds"))
            state = {
                "rendered": self._rendered(),
                "deadline": deadline,
                "in_vain": wait.consecutive_deferrals,
            }
            self.defer(
                trigger=AlvysWaitTrigger(moment, state),
                method_name=self.resume.__name__,
                kwargs={"state": state},
            )

    def _rendered(self) -> dict[str, Any]:
        """Return the template fields that are JSON, or can be; the others stand in the DAG as they are."""
        fields = {name: getattr(self, name) for name in self.template_fields}
        return {
            name: msgspec.to_builtins(value) for name, value in fields.items() if isinstance(value, _RENDERED)
        }
