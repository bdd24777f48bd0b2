"""Wait for something to happen in Alvys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_alvys.api.streams import get_stream
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.retry_policy import fail_at_once
from airflow_provider_alvys.tasks import AlvysTask
from airflow_provider_alvys.templates import has_template

if TYPE_CHECKING:
    from airflow.sdk import Context


class AlvysLoadStatusSensor(AlvysTask, BaseSensorOperator):
    """
    Wait until a load has one of the given statuses. Each poke costs one search of one load.

    A load that does not exist (yet) is waited for. In ``reschedule`` mode each poke is a process of its own and costs a token,
    too: give it a ``poke_interval`` of some minutes.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param load_number: number of the load. (templated)
    :param statuses: one status or several, as Alvys writes them, such as ``["Delivered", "Invoiced"]``. (templated)
    :return: ``{"load_number", "id", "status", "updated_at"}`` of the load.
    :raises AlvysValueError: Alvys knows no such status.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "load_number", "statuses")
    ui_color = "#e3f3e1"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        load_number: str,
        statuses: str | Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.load_number = load_number
        self.statuses = statuses
        if not has_template(statuses):
            _checked_statuses(statuses)

    @fail_at_once
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        statuses = _checked_statuses(self.statuses)
        filters = {"LoadNumbers": [str(self.load_number)], "IncludeDeleted": False}
        loads = list(self.hook.search("loads", filters))
        if not loads:
            self.log.info("There is no load %s", self.load_number)
            return PokeReturnValue(is_done=False)
        load = loads[0]
        self.log.info("Load %s is %s", self.load_number, load.get("Status"))
        return PokeReturnValue(
            is_done=load.get("Status") in statuses,
            xcom_value={
                "load_number": load.get("LoadNumber"),
                "id": load["Id"],
                "status": load.get("Status"),
                "updated_at": load.get("UpdatedAt"),
            },
        )


def _checked_statuses(statuses: str | Sequence[str]) -> list[str]:
    wanted = [statuses] if isinstance(statuses, str) else list(statuses or ())
    get_stream("loads").flatten_filters({"Status": wanted})
    return wanted
