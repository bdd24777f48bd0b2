"""The base of tasks that land rows, and resume after a retry or a deferral."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys._compat import conf
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.base_operator import DEFERRABLE, AlvysTask
from airflow_provider_alvys.parse_checks import has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

DEFER_AFTER = 20
# Types that templates render to.
_RENDERED = (str, int, float, list, tuple, dict, datetime)


def landing_pool() -> str | None:
    """
    Return the pool of landing tasks that name none: ``[alvys] pool`` of Airflow's configuration.

    None means Airflow's default pool. Whether a pool exists is not known while a DAG is parsed, and a task
    whose pool does not exist never runs. So it is a setting, made together with the pool.
    """
    return conf.get("alvys", "pool", fallback=None) or None


class AlvysLandingTask(AlvysTask):
    """
    A task that lands rows, and waits for the rate limit within the bounds of Airflow.

    A deferrable task frees its slot during a wait, and the same attempt resumes after it. Airflow counts
    ``execution_timeout`` anew after each deferral; here it applies to the attempt: a wait that would exceed
    it fails at once, and the retry resumes.

    If the next task loads the rows into a database, its connection is checked before anything is landed.

    :param defer_after: a deferrable task frees its slot for waits of more seconds than this.
    :param deferrable: whether to free the slot during long waits.
    :param pool: see :func:`landing_pool`.
    """

    # What a task that has no file for it keeps over its deferrals, as JSON.
    _kept: dict[str, Any] | None = None
    # What has landed, for lineage.
    _landed: Any = None

    def __init__(
        self,
        *,
        defer_after: float = DEFER_AFTER,
        deferrable: bool = DEFERRABLE,
        pool: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool or landing_pool(), **kwargs)
        if isinstance(defer_after, bool) or not isinstance(defer_after, (int, float)) or not defer_after >= 0:
            raise AlvysValueError(f"defer_after={defer_after!r} must be a number of seconds, 0 or more")
        self.defer_after = defer_after
        self.deferrable = deferrable

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Return the arguments of a mapped task, which Airflow creates only when it runs."""
        made = super().partial(**kwargs)
        if pool := landing_pool():
            made.kwargs.setdefault("pool", pool)
        return made

    @abstractmethod
    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> Any:
        """
        Land, and return the task's result.

        :param is_resumed: whether this is the same attempt after a deferral.
        :raises DeferRequested: the client's clock refuses a long wait. The progress is saved.
        """

    def execute(self, context: Context) -> Any:
        """Land the rows."""
        timeout = self.execution_timeout
        deadline = time.time() + timeout.total_seconds() if timeout else None
        return self._land_within(context, deadline=deadline, consecutive_deferrals=0, is_resumed=False)

    def resume(self, context: Context, event: Any = None, state: dict[str, Any] | None = None) -> Any:
        """
        Resume after a deferral.

        :param event: the trigger's event: the state. (``airflow dags test`` passes nothing else.)
        :param state: ``{"rendered", "deadline", "in_vain"}``: the rendered template fields; the end of the
            attempt in seconds since 1970; the number of deferrals without a page between them. ``kept``
            is what the task keeps over its deferrals, if anything.
        """
        known = event if state is None else state
        self._kept = known.get("kept")
        for name, value in known["rendered"].items():
            setattr(self, name, value)
        deadline, deferrals = known["deadline"], known["in_vain"]
        return self._land_within(context, deadline=deadline, consecutive_deferrals=deferrals, is_resumed=True)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was read and written, for Airflow's OpenLineage provider."""
        from airflow_provider_alvys.lineage import landed_lineage, no_lineage

        results = [self._landed] if isinstance(self._landed, dict) else self._landed
        return landed_lineage(self.hook.settings.host, results) if results else no_lineage()

    def _check_databases(self) -> None:
        """Raise AlvysValueError if a task after this one could not load the rows into its database."""
        from airflow_provider_alvys.hooks.databases import get_database_hook
        from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator

        following = self.downstream_list if self.has_dag() else ()  # type: ignore[no-untyped-call]
        loads = [task for task in following if isinstance(task, AlvysObjectStorageToSqlOperator)]
        # A template may need the result of this task, and other workers may have what these lack.
        loads = [
            load for load in loads if not has_template(load.sql_conn_id) and _place(load) == _place(self)
        ]
        for conn_id in {load.sql_conn_id for load in loads}:
            get_database_hook(conn_id)

    @fail_if_not_retryable
    def _land_within(
        self, context: Context, *, deadline: float | None, consecutive_deferrals: int, is_resumed: bool
    ) -> Any:
        self.check_rendered()
        tenant = getattr(self, "tenant", None)
        if tenant is not None and not (isinstance(tenant, str) and tenant.strip()):
            raise AlvysValueError(f"tenant={tenant!r} must be a text that is not blank")
        if not is_resumed:
            self._check_databases()
        # Imported here: each parse of a DAG imports this module.
        from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested

        client = self.hook.get_conn()
        clock = BoundedClock(
            client.clock,
            owner=f"connection {self.alvys_conn_id}, pool {self.pool}",
            defer_after=self.defer_after if self.deferrable else None,
            deadline=deadline,
            consecutive_deferrals=consecutive_deferrals,
        )
        client = client.with_clock(clock)
        try:
            self._landed = self.land(context, client, is_resumed=is_resumed)
            return self._landed
        except DeferRequested as wait:
            from airflow_provider_alvys.triggers.alvys import AlvysWaitTrigger

            now = client.now(upper_bound=True, fetch_token=False)
            until = datetime.fromtimestamp(now + wait.seconds, timezone.utc)
            log.info("%s", wait)
            log.info("Freeing the slot until %s", until.isoformat(timespec="seconds"))
            fields = {name: getattr(self, name) for name in self.template_fields}
            # Other values are in the DAG.
            rendered = {k: msgspec.to_builtins(v) for k, v in fields.items() if isinstance(v, _RENDERED)}
            state = {"rendered": rendered, "deadline": deadline, "in_vain": wait.consecutive_deferrals}
            if self._kept is not None:
                state["kept"] = self._kept
            trigger = AlvysWaitTrigger(until, state)
            self.defer(trigger=trigger, method_name=self.resume.__name__, kwargs={"state": state})


def _place(task: BaseOperator) -> tuple[Any, ...]:
    """Return what selects the worker of a task and its environment."""
    return task.queue, task.executor, task.executor_config, task.run_as_user
