"""What a database connection needs: the message for each thing that is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_alvys import AlvysObjectStorageToSqlOperator, AlvysToObjectStorageOperator
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.hooks.databases import get_database_hook
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.dialects import DIALECTS, SQLITE

RESTART = "restart the scheduler, API server, DAG processor, triggerer and workers"


@pytest.fixture
def connect_sql(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda **fields: monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(fields))


def message() -> str:
    with pytest.raises(AlvysValueError) as raised:
        get_database_hook("sql")
    return str(raised.value)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgres"])
def test_a_connection_whose_provider_is_installed_gives_its_hook_without_a_database(
    kind: str, connect_sql: Any
) -> None:
    pytest.importorskip({"duckdb": "duckdb_provider"}.get(kind, f"airflow.providers.{kind}"))
    connect_sql(conn_type=kind, host="/nowhere/x.db", port=1)
    hook, dialect = get_database_hook("sql")
    assert hook.conn_type == kind
    assert dialect is DIALECTS[kind]


def test_a_missing_connection_says_what_to_install_to_restart_and_to_add() -> None:
    text = message()
    assert "no connection 'sql'" in text
    for wanted in (*(f"[{name}]" for name in DIALECTS), RESTART, "add the connection"):
        assert wanted in text


@pytest.mark.parametrize("fields", [{"conn_type": "generic", "host": "/data/x.db"}, {"host": "/data/x.db"}])
def test_a_connection_without_a_type_was_added_before_its_provider(
    fields: dict[str, str], connect_sql: Any
) -> None:
    connect_sql(**fields)
    text = message()
    for wanted in (*(f"[{name}]" for name in DIALECTS), RESTART, "set the type of the connection"):
        assert wanted in text


def test_a_provider_that_is_not_installed_is_named_with_its_extra(
    connect_sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DIALECTS, "nosuch", replace(SQLITE, provider="airflow-provider-nosuch"))  # type: ignore[arg-type]
    connect_sql(conn_type="nosuch", host="/data/x.db")
    text = message()
    for wanted in (
        "airflow-provider-nosuch is not installed",
        "pip install 'airflow-provider-alvys[nosuch]'",
        RESTART,
    ):
        assert wanted in text


def test_a_provider_that_the_process_does_not_know_yet_needs_a_restart(
    connect_sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its distribution is installed, but Airflow's list of hooks is older.
    monkeypatch.setitem(DIALECTS, "nosuch", SQLITE)  # type: ignore[arg-type]
    connect_sql(conn_type="nosuch", host="/data/x.db")
    text = message()
    assert "pip install" not in text
    assert f"{SQLITE.provider} " in text
    assert RESTART in text


def test_a_hook_that_refuses_its_connection_says_why(connect_sql: Any) -> None:
    pytest.importorskip("duckdb_provider")
    connect_sql(conn_type="duckdb", host="/data/x.duckdb", schema="db", password="token")
    assert "both host and schema" in message()


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize("host", ["", ":memory:"])
def test_a_database_that_would_end_with_the_task_is_rejected(kind: str, host: str, connect_sql: Any) -> None:
    connect_sql(conn_type=kind, host=host)
    assert "path of the database" in message()


def test_the_connection_is_checked_before_anything_is_landed(alvys: Simulator, tmp_path: Path) -> None:
    with DAG("dag", schedule=None):
        land = AlvysToObjectStorageOperator(
            task_id="land", stream="loads", path=str(tmp_path / "lake"), initial_since="2020-01-01T00:00:00Z"
        )
        land >> AlvysObjectStorageToSqlOperator(
            task_id="load", sql_conn_id="sql", path=str(tmp_path / "lake"), stream="loads"
        )
    with pytest.raises(AlvysValueError, match="no connection 'sql'"):
        land.execute({})
    assert alvys.stats()["requests"] == {}
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    "place", [{"queue": "database"}, {"executor_config": {"image": "postgres"}}, {"run_as_user": "loader"}]
)
def test_a_connection_that_only_other_workers_may_have_is_checked_there(
    place: dict[str, Any], alvys: Simulator, tmp_path: Path
) -> None:
    path = str(tmp_path / "lake")
    with DAG("dag", schedule=None):
        land = AlvysToObjectStorageOperator(
            task_id="land", stream="loads", path=path, initial_since="2020-01-01T00:00:00Z"
        )
        land >> AlvysObjectStorageToSqlOperator(
            task_id="load", sql_conn_id="sql", path=path, stream="loads", **place
        )
    assert land.execute({})["rows"] == 450


def test_a_connection_that_a_template_names_is_checked_when_it_is_known(
    alvys: Simulator, tmp_path: Path
) -> None:
    path = str(tmp_path / "lake")
    with DAG("dag", schedule=None):
        land = AlvysToObjectStorageOperator(
            task_id="land", stream="loads", path=path, initial_since="2020-01-01T00:00:00Z"
        )
        load = AlvysObjectStorageToSqlOperator(
            task_id="load", sql_conn_id="{{ ti.xcom_pull('land')['tenant'] }}", path=path, stream="loads"
        )
        land >> load
    assert land.execute({})["rows"] == 450
    load.sql_conn_id = "sql"
    with pytest.raises(AlvysValueError, match="no connection 'sql'"):
        load.execute({})


def test_the_operator_checks_the_connection_before_it_reads_files() -> None:
    load = AlvysObjectStorageToSqlOperator(
        task_id="load", sql_conn_id="sql", path="s3://nobody@nowhere/lake", stream="loads"
    )
    with pytest.raises(AlvysValueError, match="no connection 'sql'"):
        load.execute({})
