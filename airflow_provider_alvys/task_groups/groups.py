"""What the functions for task groups share."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk import TaskGroup

from airflow_provider_alvys._compat import DuplicateTaskIdFound
from airflow_provider_alvys.api.errors import AlvysValueError


@contextmanager
def explain_duplicates(parameter: str) -> Iterator[None]:
    """Say what to do if a DAG calls a function twice with the same id, which is the default one."""
    try:
        yield
    except DuplicateTaskIdFound as error:
        raise AlvysValueError(
            f"{error}. To use it twice in one DAG, give each its own {parameter}. Two companies also need "
            "their own alvys_conn_id, and their own path or tenant"
        ) from error


def make_group(group_id: str, arguments: Mapping[str, Any]) -> TaskGroup:
    """
    Create a group.

    :raises AlvysValueError: one of the further arguments is none of a group.
    """
    for name in sorted(arguments.keys() - inspect.signature(TaskGroup).parameters.keys()):
        raise AlvysValueError(
            f"{name!r} is no argument of this function or of a task group. If the tasks have it, give it to "
            f"all of them: default_args={{{name!r}: ...}}"
        )
    return TaskGroup(group_id, **arguments)


def defaults_of(group: TaskGroup) -> dict[str, Any]:
    """Return the ``default_args`` of a group, its outer groups and the DAG."""
    return {**(group.dag.default_args if group.dag else {}), **group.default_args}


def unless_default(group: TaskGroup, label: dict[str, Any]) -> dict[str, Any]:
    """Return a name and a description without what ``default_args`` gives."""
    return {name: text for name, text in label.items() if name not in defaults_of(group)}
