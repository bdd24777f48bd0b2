"""Airflow's hook for a database connection, or what is missing for it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from airflow.sdk import BaseHook

from airflow_provider_alvys._compat import AirflowNotFoundException
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.tables.dialects import DIALECTS, Dialect, get_dialect

_RESTART = "restart the scheduler, API server, DAG processor, triggerer and workers"
# What Airflow stores if the database's provider is not installed when a connection is added.
_UNTYPED = (None, "", "generic")


def get_database_hook(conn_id: str) -> tuple[Any, Dialect]:
    """
    Return the hook and the dialect of a database connection, without connecting to the database.

    :param conn_id: an Airflow connection.
    :raises AlvysValueError: the connection or its provider is missing, or the operator does not support it.
        The message says what to install, to restart and to add.
    """
    first, *others = DIALECTS
    install = (
        f"Install the provider of your database, pip install 'airflow-provider-alvys[{first}]' (or "
        f"[{'], ['.join(others)}]), wherever Airflow runs, {_RESTART}, and then"
    )
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise AlvysValueError(
            f"Airflow has no connection {conn_id!r} for the database. Check sql_conn_id. If it is not there "
            f"yet: {install[0].lower()}{install[1:]} add the connection"
        ) from error
    conn_type = connection.conn_type
    if conn_type in _UNTYPED:
        raise AlvysValueError(
            f"The connection {conn_id!r} has the type {conn_type!r}. Airflow stores that if a connection is "
            f"added before its provider is installed. {install} set the type of the connection"
        )
    dialect = get_dialect(conn_type)
    if dialect.is_file and (
        connection.host == ":memory:" or not (connection.host or connection.schema or connection.password)
    ):
        raise AlvysValueError(
            f"The connection {conn_id!r} names no file, so its tables would be lost at the end of each task. "
            "Set its host to the path of the database, such as /data/alvys.db"
        )
    try:
        return connection.get_hook(), dialect  # type: ignore[no-untyped-call]
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise AlvysValueError(
            f"The connection {conn_id!r} cannot be used: {reason}. {_advice(str(conn_type), dialect)}"
        ) from error


def _advice(conn_type: str, dialect: Dialect) -> str:
    try:
        installed = version(dialect.provider)
    except PackageNotFoundError:
        return (
            f"{dialect.provider} is not installed: wherever Airflow runs, "
            f"pip install 'airflow-provider-alvys[{conn_type}]', and {_RESTART}"
        )
    return (
        f"{dialect.provider} {installed} is installed. If that was after Airflow had started, {_RESTART}. "
        "If it was not, the log says why the hook cannot be imported"
    )
