"""The XComs of the reference: what each operator and sensor returns when it runs against the simulator."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from airflow.sdk import BaseOperator

from airflow_provider_alvys import (
    AlvysDocumentSensor,
    AlvysDocumentsToObjectStorageOperator,
    AlvysLoadStatusSensor,
    AlvysObjectStorageToSqlOperator,
    AlvysReconcileOperator,
    AlvysRequestOperator,
    AlvysSearchOperator,
    AlvysSearchSensor,
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
    AlvysTripStatusSensor,
    AlvysUploadDocumentOperator,
    AlvysWriteOperator,
)
from airflow_provider_alvys.simulator.process import Simulator

# 2025-11-24T05:05:00Z
_NOW = 1_763_960_700
_WINDOW = {"since": "2025-11-24T04:00:00Z", "until": "2025-11-24T05:04:00Z"}
# What differs from run to run: the hash of the temporary folder, today's date, times, and lengths of time.
_VARIABLE = (
    (re.compile(r"(?<=-)[0-9a-f]{16}(?=-\d+/)|(?<=/)[0-9a-f]{16}(?=\.jsonl)"), "59ac79331c3e9046"),
    (re.compile(r"(?<=/)\d{4}-\d\d-\d\d(?=/)"), "2025-11-24"),
    (re.compile(r'(?<=edAt": ")[^"]+'), "2025-11-24T05:05:00+00:00"),
    (re.compile(r'(?<="as_of": ")[^"]+'), "2025-11-24T05:04:00Z"),
    (re.compile(r'(?<="seconds": )[\d.]+'), "1.144"),
)
_MAX_ITEMS, _MAX_FIELDS = 3, 16


@functools.cache
def run_all() -> dict[str, Any]:
    """Run each operator and sensor once, and return the values of their XComs by class name."""
    with tempfile.TemporaryDirectory() as folder, Simulator(loads=400, fleet=3, now=_NOW) as alvys:
        environment = {
            "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=0),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": f"{folder}/warehouse.db"}),
        }
        with mock.patch.dict("os.environ", environment):
            results = {task.__class__.__name__: task.execute({}) for task in _tasks(alvys, Path(folder))}
    text = json.dumps(results, ensure_ascii=False).replace(folder, "/data")
    text = text.replace(results["AlvysUploadDocumentOperator"]["id"], "8f14e45fceea167a5a36dedd4bea2543")
    for pattern, value in _VARIABLE:
        text = pattern.sub(value, text)
    return {name: _shorten(value) for name, value in json.loads(text).items()}


def _shorten(value: Any) -> Any:
    """Return a value without most fields of a record and most items of a list."""
    if isinstance(value, list):
        return [*map(_shorten, value[:2]), "…"] if len(value) > _MAX_ITEMS else list(map(_shorten, value))
    if not isinstance(value, dict):
        return value
    more = {"…": "…"} if len(value) > _MAX_FIELDS else {}
    names = list(value)[:6] if more else value
    return {name: _shorten(value[name]) for name in names} | more


def _tasks(alvys: Simulator, folder: Path) -> Iterator[BaseOperator]:
    lake, outbox = str(folder / "alvys"), folder / "pod.pdf"
    outbox.write_bytes(b"%PDF-1.4 a proof of delivery\n")
    trip = next(
        row for row in map(json.loads, alvys.truth_rows(stream="trips")) if row["Status"] == "Delivered"
    )
    number = trip["LoadNumber"]
    yield AlvysRequestOperator(task_id="a", path="/v1/me")
    yield AlvysSearchOperator(task_id="a", stream="trailers", limit=3)
    yield AlvysToObjectStorageOperator(task_id="a", stream="loads", path=lake, **_WINDOW)
    yield AlvysSweepToObjectStorageOperator(task_id="a", streams=["drivers", "trucks"], path=lake)
    yield AlvysObjectStorageToSqlOperator(task_id="a", sql_conn_id="warehouse", path=lake, stream="loads")
    missing = {"start": "2025-11-24T00:00:00Z", "end": "2025-11-25T00:00:00Z", "on_difference": "warn"}
    yield AlvysReconcileOperator(task_id="a", sql_conn_id="warehouse", stream="loads", **missing)
    yield AlvysLoadStatusSensor(task_id="a", load_number=number, statuses="Open")
    yield AlvysTripStatusSensor(task_id="a", trip_number=trip["TripNumber"], statuses="Open")
    yield AlvysSearchSensor(task_id="a", stream="trips", filters={"LoadNumbers": [number]})
    yield AlvysUploadDocumentOperator(
        task_id="a", parent_type="load", parent_id=number, path=str(outbox), document_type="Proof of Delivery"
    )
    yield AlvysDocumentSensor(task_id="a", parent_id=number, document_types="Proof of Delivery")
    yield AlvysDocumentsToObjectStorageOperator(task_id="a", parent_type="load", parents=[number], path=lake)
    yield AlvysWriteOperator(
        task_id="a",
        operation="load_notes.create",
        path_params={"loadNumber": number},
        body={"Id": "airflow-1", "Description": "Delivered", "NoteType": "General"},
    )
