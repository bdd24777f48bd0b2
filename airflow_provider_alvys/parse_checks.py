"""Parse-time validation of templated arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath
from jinja2 import Environment, nodes

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.landing.dataset.store import check_path

if TYPE_CHECKING:
    from airflow_provider_alvys.api.catalogue.operation_spec import Operation

# Variables of Airflow's template context that differ from run to run.
_PER_RUN = frozenset(
    """
    dag_run data_interval_end data_interval_start ds ds_nodash exception expanded_ti_count inlet_events
    logical_date macros outlet_events partition_date partition_key prev_data_interval_end_success
    prev_data_interval_start_success prev_end_date_success prev_start_date_success reason run_id
    task_instance task_instance_key_str start_date task_reschedule_count ti triggering_asset_events
    try_number ts ts_nodash ts_nodash_with_tz
    """.split()
)

CURSOR = (
    "no run finds the cursor of the last one. Give a fixed path (parts are put into a folder by date), "
    "or give since and until"
)
"""Why a data set with a cursor needs a fixed path, for :func:`check_data_set`."""


def normalize_path(path: str | ObjectStoragePath | PurePath) -> str | ObjectStoragePath:
    """Return a path as an operator stores it."""
    if isinstance(path, ObjectStoragePath):
        return path
    # Airflow 3.1 would try to resolve a pathlib path.
    return str(path) if isinstance(path, PurePath) else path


def has_template(value: Any) -> bool:
    """Return whether a value, or a value inside it, is known only at run time. See :func:`is_reference`."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(has_template(item) for item in value.values())
    if isinstance(value, (list, tuple, set)):
        return any(has_template(item) for item in value)
    return is_reference(value)


def is_reference(value: Any) -> bool:
    """Return whether Airflow replaces all of a value: an XComArg, a parameter of the DAG, or a function."""
    return hasattr(value, "iter_references") or callable(value)


def per_run_variables(template: str) -> list[str]:
    """Return the variables that make a template differ from run to run."""
    # Not jinja2.meta: it fails on filters of Airflow and of the DAG.
    tree = Environment(autoescape=True).parse(template)
    used = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}
    return sorted(used & _PER_RUN)


def check_search(stream: Stream, filters: Any, window_by: str | None) -> None:
    """
    Validate the untemplated arguments of a search.

    :raises AlvysValueError: an unknown filter, value or window.
    """
    is_template = is_reference(filters) or (isinstance(filters, str) and has_template(filters))
    if filters is not None and not is_template:
        stream.validate_filters(filters, is_templated=has_template)
    if window_by is not None and not has_template(window_by):
        stream.window(window_by)


def check_write(operation: str, path_params: Any, body: Any, if_match: Any) -> Operation:
    """
    Validate the untemplated arguments of a write.

    :return: the operation's catalogue row.
    :raises AlvysValueError: an unknown operation, a missing or unknown parameter or field, a wrong value.
    """
    # Imported here, since most DAGs write nothing.
    from airflow_provider_alvys.api.write.prepare import prepare

    write = prepare(
        operation, path_params=path_params, body=body, if_match=if_match, is_templated=has_template
    )
    return write.operation


def check_data_set(path: Any, *, fixed_for: str = "") -> None:
    """
    Validate the path of a data set.

    :param fixed_for: what goes wrong if the path differs from run to run, for the error; empty if it may.
    :raises AlvysValueError: the path is relative, or differs from run to run.
    """
    if is_reference(path):
        return
    if not str(path).startswith("{"):
        check_path(path)
    if fixed_for and (variables := per_run_variables(str(path))):
        raise AlvysValueError(f"path={path!r} differs from run to run ({', '.join(variables)}): {fixed_for}")
