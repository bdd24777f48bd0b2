"""The tasks that wrote the data set of this folder. The tests execute the same tasks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)

PATH = "s3://aws_lake@lake/contracts"


def context(task_id: str, run_id: str) -> Any:
    return {"run_id": run_id, "ti": SimpleNamespace(dag_id="alvys", task_id=task_id, map_index=-1)}


def loads_operator(until: str) -> AlvysToObjectStorageOperator:
    return AlvysToObjectStorageOperator(
        task_id="loads",
        stream="loads",
        path=PATH,
        initial_since="2026-01-01T00:00:00Z",
        until=until,
        compression="gzip",
        part_rows=5,
        filters={"CustomerId": "CU-1"},
    )


def sync_loads(run_id: str, until: str) -> dict[str, Any]:
    return loads_operator(until).execute(context("loads", run_id))


def sync_fuel(run_id: str, until: str) -> dict[str, Any]:
    operator = AlvysToObjectStorageOperator(
        task_id="fuel",
        stream="fuel",
        path=PATH,
        initial_since="2026-01-01T00:00:00Z",
        until=until,
        file_format="parquet",
    )
    return operator.execute(context("fuel", run_id))


def sync_documents_of(run_id: str, loads: list[str]) -> dict[str, Any]:
    operator = AlvysToObjectStorageOperator(
        task_id="load_documents", stream="load_documents", path=PATH, parents=loads
    )
    return operator.execute(context("load_documents", run_id))


def sweep(run_id: str, streams: list[str]) -> Any:
    operator = AlvysSweepToObjectStorageOperator(task_id="sweep", streams=streams, path=PATH, tenant="acme")
    return operator.execute(context("sweep", run_id))


def fetch_documents(run_id: str, loads: list[str]) -> Any:
    operator = AlvysDocumentsToObjectStorageOperator(
        task_id="files", parent_type="load", parents=loads, path=PATH
    )
    return operator.execute(context("files", run_id))
