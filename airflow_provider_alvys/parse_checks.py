"""What can be told of a templated argument while a DAG is parsed."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath, XComArg
from jinja2 import Environment, nodes

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.landing.dataset.store import check_path

if TYPE_CHECKING:
    from airflow_provider_alvys.api.catalogue.operation_spec import Operation

# Names in Airflow's template context whose values differ from run to run.
_BY_RUN = frozenset(
    """
    dag_run data_interval_end data_interval_start ds ds_nodash exception expanded_ti_count inlet_events logical_date
    macros outlet_events partition_date partition_key prev_data_interval_end_success prev_data_interval_start_success
    prev_end_date_success prev_start_date_success reason run_id task_instance task_instance_key_str
    start_date task_reschedule_count ti triggering_asset_events try_number ts ts_nodash ts_nodash_with_tz
    """.split()
)


def normalize_path(path: str | ObjectStoragePath | PurePath) -> str | ObjectStoragePath:
    """Return a path as a task keeps it."""
    if isinstance(path, ObjectStoragePath):
        return path
    # Airflow 3.1 takes a pathlib path for something to be resolved.
    return str(path) if isinstance(path, PurePath) else path


def has_template(value: Any) -> bool:
    """Return whether a value, or one inside it, is a Jinja template or another task's output."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(has_template(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(has_template(item) for item in value)
    return isinstance(value, XComArg)


def per_run_variables(template: str) -> list[str]:
    """Return the names in a template that make it differ from run to run."""
    # The parsed tree alone: Jinja's own list of undeclared names wants to know every filter, Airflow's and the DAG's too.
    tree = Environment(autoescape=True).parse(template)
    used = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}
    return sorted(used & _BY_RUN)


def check_search(stream: Stream, filters: Any, window_by: str | None) -> None:
    """
    Refuse what is wrong with a search already, where it is not templated, while the DAG is parsed.

    :raises AlvysValueError: an unknown filter, value or window.
    """
    if (
        filters is not None
        and not isinstance(filters, XComArg)
        and not (isinstance(filters, str) and has_template(filters))
    ):
        stream.validate_filters(filters, is_open=has_template)
    if window_by is not None and not has_template(window_by):
        stream.window(window_by)


def check_write(operation: str, path_params: Any, body: Any, if_match: Any) -> Operation:
    """
    Refuse what is wrong with a write already, where it is not templated, while the DAG is parsed.

    :return: the catalogue's row for the operation.
    :raises AlvysValueError: an unknown operation, a missing or unknown parameter or field, a wrong value.
    """
    # Most DAGs write nothing.
    from airflow_provider_alvys.api.write.prepare import prepare

    write = prepare(operation, path_params=path_params, body=body, if_match=if_match, is_open=has_template)
    return write.operation


def check_data_set(path: Any, *, uses_cursor: bool) -> None:
    """
    Refuse the path of a data set that cannot be right, while the DAG is parsed.

    :param uses_cursor: whether a cursor is looked for below it.
    :raises AlvysValueError: it is relative, or changes from run to run.
    """
    if isinstance(path, XComArg):
        if uses_cursor:
            raise AlvysValueError(
                "path is another task's output, which may differ from run to run, and with it where the cursor is looked for: "
                "give a fixed path, or give since and until"
            )
        return
    if not str(path).startswith("{"):
        check_path(path)
    path = str(path)
    if uses_cursor and per_run_variables(path):
        raise AlvysValueError(
            f"path={path!r} changes from run to run ({', '.join(per_run_variables(path))}): each run would look for its cursor in a "
            "new place and start over. Give a fixed path (parts are put into a folder by date), or give since and until."
        )
