"""The operator that loads landed data into SQL databases."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias

from airflow_provider_alvys import AlvysObjectStorageToSqlOperator, alvys_sync, alvys_table_asset
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import DataSet, Land
from tests.tables.runs import write_run


def make(**arguments: Any) -> AlvysObjectStorageToSqlOperator:
    given = {"sql_conn_id": "sql", "path": "/data/alvys", "stream": "loads", **arguments}
    return AlvysObjectStorageToSqlOperator(task_id="load", **given)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"stream": "lodes"}, "'lodes'"),
        ({"path": "data"}, "data"),
        ({"path": "/data/{{ ds }}"}, r"\(ds\): no later run loads"),
        ({"depth": -1}, "depth=-1"),
        ({"depth": True}, "depth=True"),
        ({"exclude": "Notes"}, "exclude='Notes'"),
        ({"exclude": ["Note"]}, "exclude .*'Note'.* Did you mean Notes"),
        ({"exclude": ["Stops.Companyname"]}, "exclude .*Did you mean Stops.CompanyName"),
        ({"exclude": ["Id"]}, r"exclude .*\bId\b"),
        ({"max_missing_share": 2}, "max_missing_share=2"),
        ({"max_missing_share": True}, "max_missing_share=True"),
    ],
)
def test_a_wrong_argument_is_rejected_while_the_dag_is_parsed(
    arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        make(**arguments)


def test_a_path_may_differ_from_run_to_run_if_the_manifest_is_given() -> None:
    assert make(path="/data/{{ ds }}", manifest="{{ x }}").path == "/data/{{ ds }}"


def test_the_arguments_that_name_places_are_templates() -> None:
    assert make().template_fields == ("sql_conn_id", "path", "manifest", "schema", "table")
    with pytest.raises(TypeError):
        AlvysObjectStorageToSqlOperator("sql", task_id="x", path="/x", stream="loads")  # type: ignore[misc]


def test_an_unsupported_connection_type_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({"conn_type": "http", "host": "localhost"}))
    with pytest.raises(
        AlvysValueError, match=r"'http' .*postgres, sqlite, duckdb, mysql.*docs/reference/warehouses.md"
    ):
        make(path=str(tmp_path)).execute({})


class Events(dict[Any, Any]):
    """Outlet events as Airflow passes them: an accessor for each outlet."""

    class _Event:
        def __init__(self) -> None:
            self.extra: dict[str, Any] = {}
            self.added: list[tuple[Asset, dict[str, Any]]] = []

        def add(self, asset: Asset, extra: dict[str, Any]) -> None:
            self.added.append((asset, extra))

    def __missing__(self, outlet: Any) -> Events._Event:
        self[outlet] = Events._Event()
        return self[outlet]


def test_the_event_of_an_outlet_contains_the_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SQL", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "x.sqlite")})
    )
    write_run(tmp_path / "lake", [{"Id": "L1"}])
    table, alias = alvys_table_asset("loads", "sql"), AssetAlias("anything")
    events = Events()
    result = make(path=str(tmp_path / "lake"), outlets=[table, alias]).execute({"outlet_events": events})
    assert events[table].extra == result
    assert events[alias].added == [(table, result)]
    assert (result["rows"], result["table"]) == (1, "loads")


def test_the_asset_of_a_table_is_named_after_its_connection_schema_and_table() -> None:
    assert alvys_table_asset("loads", "warehouse").name == "alvys-table://warehouse/loads"
    assert (
        alvys_table_asset("trip_stops", "warehouse", schema="raw").name
        == "alvys-table://warehouse/raw/trip_stops_stream"
    )
    assert alvys_table_asset("loads", "warehouse", table="x").name == "alvys-table://warehouse/x"


def test_alvys_sync_loads_each_stream_after_its_landing_tasks() -> None:
    with DAG("x", schedule=None):
        group = alvys_sync(
            path="/data/alvys",
            streams=["loads", "drivers", "customers", "load_documents"],
            sql_conn_id="warehouse",
            schema="raw",
            exclude={"customers": ["Email"]},
        )
    children = {name.partition(".")[2]: task for name, task in group.children.items()}
    tasks: dict[str, Any] = {name: task for name, task in children.items() if hasattr(task, "sql_conn_id")}
    assert set(tasks) == {"load_loads", "load_drivers", "load_customers", "load_load_documents"}
    assert {id.partition(".")[2] for id in tasks["load_drivers"].upstream_task_ids} == {"sweep"}
    assert {id.partition(".")[2] for id in tasks["load_loads"].upstream_task_ids} == {"loads"}
    assert tasks["load_customers"].exclude == ["Email"]
    assert tasks["load_loads"].exclude == ()
    assert {task.schema for task in tasks.values()} == {"raw"}
    assert {task.trigger_rule for task in tasks.values()} == {"none_failed"}
    assert [asset.name for asset in tasks["load_loads"].outlets] == ["alvys-table://warehouse/raw/loads"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"schema": "raw"}, "sql_conn_id"),
        ({"exclude": {"loads": ["Notes"]}}, "sql_conn_id"),
        ({"sql_conn_id": "x", "exclude": {"trips": ["Notes"]}}, "exclude .*trips.* loads"),
        ({"sql_conn_id": "x", "exclude": {"loads": ["Nots"]}}, "exclude .*'Nots'"),
    ],
)
def test_alvys_sync_rejects_wrong_table_arguments(arguments: dict[str, Any], problem: str) -> None:
    with DAG("x", schedule=None), pytest.raises(AlvysValueError, match=problem):
        alvys_sync(path="/data/alvys", streams=["loads"], **arguments)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_both_formats_are_loaded_from_disk_and_from_s3(
    alvys: Simulator,
    land: Land,
    data_set: DataSet,
    file_format: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SQL", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "x.sqlite")})
    )
    landed = land(path=data_set.path, file_format=file_format)
    assert make(path=data_set.path).execute({})["merged"] == landed["rows"] == 450
    assert make(path=data_set.path).execute({})["manifests"] == 0
    assert make(path=data_set.path, manifest=landed).execute({})["rows"] == 450
    with sqlite3.connect(tmp_path / "x.sqlite") as database:
        found = {
            id: Decimal(amount)
            for id, amount in database.execute("SELECT id, customer_rate_amount FROM loads")
        }
    truth = [json.loads(row, parse_float=Decimal) for row in alvys.truth_rows()]
    assert found == {row["Id"]: row["CustomerRate"]["Amount"] for row in truth}
