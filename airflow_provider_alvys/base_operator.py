"""The base of all operators and sensors of this package."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator

from airflow_provider_alvys._compat import HAS_RETRY_POLICY, conf
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.assets import alvys_asset
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.retry_policy import AlvysRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity


DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


class TemplatedTask(BaseOperator):
    """
    A task whose template fields take templates, outputs of other tasks, and mapped values.

    :cvar none_fields: template fields whose template may render to None, which means that they are not given.
    """

    none_fields: Sequence[str] = ()
    _given: Sequence[str] = ()

    def remember_given(self) -> None:
        """Remember which template fields have a value. Each constructor calls it last."""
        self._given = [name for name in self.template_fields if getattr(self, name, None) is not None]

    def check_rendered(self) -> None:
        """Raise AlvysValueError if a template of another field than ``none_fields`` rendered to None."""
        for name in self._given:
            if getattr(self, name) is None and name not in self.none_fields:
                raise AlvysValueError(
                    f"The template of {name} rendered to None: the upstream task may have been skipped. Give "
                    f"a value, or leave {name} out"
                )

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template field. The output of a mapped task becomes a list."""
        value = super().render_template(content, *args, **kwargs)
        # Airflow's sequence fetches an item at every access.
        is_lazy = isinstance(value, Sequence) and not isinstance(value, (str, bytes, list, tuple))
        return list(value) if is_lazy else value


class AlvysTask(TemplatedTask):
    """
    A task that calls Alvys.

    On Airflow 3.3, :class:`AlvysRetryPolicy` is the default retry policy.

    :param alvys_conn_id: the Alvys connection.
    """

    def __init__(self, *, alvys_conn_id: str = AlvysHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alvys_conn_id = alvys_conn_id
        # After super().__init__, which applies default_args.
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = AlvysRetryPolicy()

    @cached_property
    def hook(self) -> AlvysHook:
        """The hook for the connection."""
        return AlvysHook(self.alvys_conn_id)


def outlet_events(context: Context, operator: BaseOperator) -> list[tuple[Any, Any]]:
    """Return each outlet and its event. An outlet unknown to Airflow fails here, before anything is read."""
    events = context.get("outlet_events")
    return [(outlet, events[outlet]) for outlet in operator.outlets or ()] if events is not None else []


def emit_asset_event(outlet: Any, event: Any, result: dict[str, Any], *, asset: Asset | None = None) -> None:
    """
    Put a result into the extra of an outlet's asset event.

    :param asset: the asset behind an alias; None means the stream's in its data set.
    """
    if isinstance(outlet, AssetAlias):
        event.add(asset or alvys_asset(result["stream"], result["path"]), extra=dict(result))
    else:
        event.extra = dict(result)


def run_identity_of(context: Context, operator: BaseOperator) -> RunIdentity:
    """Return the identity of the task instance. Outside a DAG run, each execution is a run of its own."""
    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity

    ti = context.get("ti")
    return RunIdentity(
        dag_id=ti.dag_id if ti else operator.dag_id,
        task_id=ti.task_id if ti else operator.task_id,
        map_index=getattr(ti, "map_index", -1),
        run_id=context.get("run_id") or uuid.uuid4().hex,
    )
