"""Syncs, loads, downloads and writes report to OpenLineage what they read and wrote, without a secret."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_alvys import lineage
from airflow_provider_alvys.operators.alvys import AlvysWriteOperator
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.dialects import get_dialect
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysSweepToObjectStorageOperator
from airflow_provider_alvys.transfers.documents_to_object_storage import AlvysDocumentsToObjectStorageOperator
from tests.conftest import CONNECTION, SECRET, Airflow, QuickHook
from tests.pages import BLOCKS, has_shape

pytest.importorskip("airflow.providers.openlineage")

PASSWORD = "p4ssword-of-the-warehouse"

SYNC = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys import AlvysObjectStorageToSqlOperator, AlvysToObjectStorageOperator

with DAG("lineage", schedule=None):
    land = AlvysToObjectStorageOperator(
        task_id="land", stream="loads", path=os.environ["ALVYS_LAKE"], initial_since="2020-01-01T00:00:00Z",
    )
    load = AlvysObjectStorageToSqlOperator(
        task_id="load", stream="loads", path=os.environ["ALVYS_LAKE"], sql_conn_id="warehouse",
    )
    land >> load
"""
DAGS = {"lineage": SYNC}


def dataset(event: dict[str, Any], side: str, index: int = 0) -> tuple[str, str]:
    found = event[side][index]
    return found["namespace"], found["name"]


@pytest.mark.every_airflow
def test_a_sync_and_a_load_are_written_to_a_file_of_openlineage(
    airflow: Airflow, own_alvys: Simulator, tmp_path: Path
) -> None:
    pytest.importorskip("airflow.providers.sqlite")
    own_alvys.reset(loads=30, client_secret=SECRET, now=time.time() - 3600)
    lake, database, events = tmp_path / "lake", tmp_path / "warehouse.sqlite", tmp_path / "events.jsonl"
    warehouse = {"conn_type": "sqlite", "host": str(database)}
    # As docs/lineage.md says, and the example there.
    command, example = (block.text for block in BLOCKS if block.page.name == "lineage.md")
    name, _, transport = command.partition("export ")[2].partition("=")
    transport = json.loads(transport.strip().strip("'")) | {"log_file_path": str(events)}
    airflow(
        *("dags", "test", "lineage"),
        ALVYS_LAKE=str(lake),
        AIRFLOW_CONN_WAREHOUSE=json.dumps(warehouse),
        **{name: json.dumps(transport), CONNECTION: own_alvys.connection_json(requests_per_minute=0)},
    )
    text = events.read_text()
    ended = {
        event["job"]["name"]: event
        for event in map(json.loads, text.splitlines())
        if event["eventType"] == "COMPLETE" and event["inputs"]
    }
    assert set(ended) == {"lineage.land", "lineage.load"}
    land, load = ended["lineage.land"], ended["lineage.load"]
    files = ("file", f"{lake}/loads")
    assert dataset(land, "inputs") == (own_alvys.url, "loads/search")
    assert dataset(land, "outputs") == dataset(load, "inputs") == files
    tables = [dataset(load, "outputs", index) for index in range(len(load["outputs"]))]
    assert tables[0] == (f"sqlite://{database}", "loads")
    assert (f"sqlite://{database}", "load_stops") in tables
    landed = land["outputs"][0]["outputFacets"]["outputStatistics"]
    assert landed["rowCount"] == land["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 30
    assert landed["size"] == sum(file.stat().st_size for file in lake.rglob("part-*"))
    assert load["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 30
    assert load["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 30
    columns = {field["name"]: field["type"] for field in load["outputs"][0]["facets"]["schema"]["fields"]}
    assert (columns["id"], columns["is_deleted"]) == ("TEXT", "INTEGER")
    assert has_shape({**load, "outputs": load["outputs"][:1]}, json.loads(example))
    for secret in (SECRET, *own_alvys.tokens()):
        assert secret not in text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/alvys", ("file", "/data/alvys/loads")),
        ("file:///data/alvys/", ("file", "/data/alvys/loads")),
        ("s3://aws_default@bucket/alvys", ("s3://bucket", "alvys/loads")),
        ("s3://bucket", ("s3://bucket", "loads")),
        ("gs://google@bucket/a/b", ("gs://bucket", "a/b/loads")),
    ],
)
def test_a_folder_is_named_without_the_connection_of_its_storage(
    path: str, expected: tuple[str, str]
) -> None:
    assert lineage.folder_place(path, "loads") == expected


# Every field that may hold a secret has one, also where it does not belong.
LOGIN = {"login": "loader", "password": PASSWORD, "extra": json.dumps({"token": PASSWORD})}


@pytest.mark.parametrize(
    ("connection", "schema", "expected"),
    [
        (
            {"conn_type": "postgres", "host": "db.example", "port": 5433, "schema": "alvys"},
            None,
            ("postgres://db.example:5433", "alvys.public.loads"),
        ),
        (
            {"conn_type": "postgres", "host": f"loader:{PASSWORD}@db.example", "schema": "alvys"},
            "raw",
            ("postgres://db.example:5432", "alvys.raw.loads"),
        ),
        (
            {"conn_type": "mysql", "host": f"db.example?password={PASSWORD}", "schema": "alvys"},
            None,
            ("mysql://db.example:3306", "alvys.loads"),
        ),
        (
            {"conn_type": "mysql", "host": "", "schema": "alvys"},
            "raw",
            ("mysql://localhost:3306", "raw.loads"),
        ),
        ({"conn_type": "sqlite", "host": "/data/alvys.db"}, None, ("sqlite:///data/alvys.db", "loads")),
        (
            {"conn_type": "duckdb", "host": "/data/alvys.duckdb"},
            "raw",
            ("duckdb:///data/alvys.duckdb", "raw.loads"),
        ),
        ({"conn_type": "duckdb", "schema": "alvys"}, None, ("duckdb://md:alvys", "loads")),
    ],
)
def test_a_table_is_named_by_host_port_and_database_alone(
    connection: dict[str, Any], schema: str | None, expected: tuple[str, str]
) -> None:
    made = Connection(conn_id="warehouse", **{**LOGIN, **connection})
    assert lineage.table_place(made, get_dialect(made.conn_type), schema, "loads") == expected


def test_an_endpoint_is_named_without_a_user_in_its_address() -> None:
    url = f"https://me:{PASSWORD}@api.example:8443/api/p?token={PASSWORD}"
    assert lineage.api_place(url, "loads/search") == ("https://api.example:8443", "loads/search")


def test_a_sweep_has_a_dataset_for_each_stream(alvys: Simulator, hook: QuickHook, lake: Path) -> None:
    operator = AlvysSweepToObjectStorageOperator(task_id="x", streams=["drivers", "trucks"], path=str(lake))
    operator.hook = hook
    assert operator.get_openlineage_facets_on_complete(None).outputs == []
    operator.execute({})
    found = operator.get_openlineage_facets_on_complete(None)
    assert [(place.namespace, place.name) for place in found.inputs] == [
        (alvys.url, "drivers/search"),
        (alvys.url, "trucks/search"),
    ]
    assert [place.name for place in found.outputs] == [f"{lake}/drivers", f"{lake}/trucks"]


def test_a_write_has_its_endpoint_without_ids(alvys: Simulator, hook: QuickHook) -> None:
    operator = AlvysWriteOperator(task_id="x", operation="trips.dispatch", path_params={"tripId": "T1"})
    operator.hook = hook
    found = operator.get_openlineage_facets_on_complete(None)
    assert [(place.namespace, place.name) for place in found.outputs] == [
        (alvys.url, "trips/{tripId}/dispatch")
    ]
    assert found.inputs == []


def test_a_download_goes_from_the_list_of_documents_to_their_folder(
    alvys: Simulator, hook: QuickHook, lake: Path
) -> None:
    load = json.loads(next(iter(alvys.truth_rows(filters={"IncludeDeleted": False}))))["LoadNumber"]
    alvys.add(stream="load_documents", parent=load, columns={"AttachmentType": "Proof of Delivery"})
    operator = AlvysDocumentsToObjectStorageOperator(
        task_id="x", parent_type="load", parents=[load], path=str(lake)
    )
    operator.hook = hook
    result = operator.execute({})
    found = operator.get_openlineage_facets_on_complete(None)
    ((source,), (target,)) = found.inputs, found.outputs
    assert (source.namespace, source.name) == (alvys.url, "loads/{LoadNumber}/documents")
    assert (target.namespace, target.name) == ("file", f"{lake}/documents/load")
    statistics = target.outputFacets["outputStatistics"]
    assert (statistics.fileCount, statistics.size) == (result["fetched"], result["bytes"]) != (0, 0)


def test_nothing_of_openlineage_is_imported_before_it_asks() -> None:
    code = (
        "import sys, airflow_provider_alvys as alvys; [getattr(alvys, name) for name in alvys.__all__];"
        "import airflow_provider_alvys.lineage;"
        "print([name for name in sys.modules if name.partition('.')[0] == 'openlineage'])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
