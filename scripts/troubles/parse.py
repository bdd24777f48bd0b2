"""
While a DAG is parsed.

An argument that is not a template is checked when Airflow reads the DAG file: the error is among the
*Import Errors*, and nothing is sent. Correct the argument that the message names. Templates are checked by
the task, with the same messages.
"""

from __future__ import annotations

from airflow.sdk import DAG

import airflow_provider_alvys
from airflow_provider_alvys.api.errors import AlvysValueError

# Each is code of a DAG file; the page and its test evaluate them.
EXPRESSIONS = (
    'AlvysToObjectStorageOperator(task_id="a", stream="laods", path="/data/alvys")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="alvys")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="s3://key:secret@bucket/alvys")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data/{{ ds }}")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", filters={"LoadNumber": ["1"]})',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", '
    'filters={"Status": ["delivered"]})',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", window_by="create")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", since="2026-03-01")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", since="2026-03-01T00:00:00Z", '
    'until="2026-03-01T00:00:00Z")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", file_format="csv")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", compression="zip")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", part_rows=0)',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", full_refresh=True, '
    'since="2026-03-01T00:00:00Z")',
    'AlvysToObjectStorageOperator(task_id="a", stream="load_documents", path="/data")',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", parents=["1001"])',
    'AlvysToObjectStorageOperator(task_id="a", stream="loads", path="/data", on_missing_scope="ignore")',
    'AlvysSweepToObjectStorageOperator(task_id="a", streams=["load_documents"], path="/data")',
    'AlvysSearchOperator(task_id="a", stream="loads", limit=0)',
    'AlvysWriteOperator(task_id="a", operation="trips.asign")',
    'AlvysWriteOperator(task_id="a", operation="trips.assign", path_params={"tripID": "1"}, '
    'body={"Driver": "D1"})',
    'AlvysWriteOperator(task_id="a", operation="carriers.set_status", path_params={"carrierId": "C1"}, '
    'body={"Status": "Blocked"})',
    'AlvysWriteOperator(task_id="a", operation="load_documents.upload", path_params={"loadNumber": "1"}, '
    'body={"DocumentType": "Proof of Delivery"})',
    'AlvysUploadDocumentOperator(task_id="a", parent_type="load", parent_id="1", path="/pod.pdf", '
    'document_type="POD")',
    'AlvysDocumentsToObjectStorageOperator(task_id="a", parent_type="customer", parents=["1"], path="/data")',
    'AlvysObjectStorageToSqlOperator(task_id="a", sql_conn_id="db", path="/data", stream="users", '
    'exclude=["Emial"])',
    'AlvysObjectStorageToSqlOperator(task_id="a", sql_conn_id="db", path="/data", stream="loads", '
    "max_missing_share=2)",
    'AlvysLoadStatusSensor(task_id="a", load_number="1001", statuses="Deliverd")',
    'AlvysDocumentSensor(task_id="a", parent_type="customer", parent_id="1", document_types="POD")',
    'AlvysSearchSensor(task_id="a", stream="loads", at_least=0)',
    'AlvysChangeTrigger(stream="load_documents")',
    'AlvysChangeTrigger(stream="loads", where={"Staus": "Delivered"})',
    'alvys_sync(streams=["loads"], tier="houry", path="/data")',
    'alvys_sync(path="/data")',
    'alvys_sync(streams=["loads"], path="/data", schema="raw")',
    'alvys_sync(streams=["loads"], path="/data", filters={"trips": {}})',
    'alvys_backfill("loads", "{{ ds }}", "2026-04-01T00:00:00Z", "month", path="/data")',
    'alvys_backfill("loads", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "fortnight", path="/data")',
    'alvys_first_load("drivers", "2026-03-01T00:00:00Z", path="/data")',
    'alvys_asset("loads", "data")',
)


def message_of(expression: str) -> str:
    """
    Return the message of the error that an expression of a DAG file raises.

    :raises RuntimeError: it raises none.
    """
    names = {name: getattr(airflow_provider_alvys, name) for name in airflow_provider_alvys.__all__}
    try:
        with DAG("a", schedule=None):
            eval(expression, names)
    except AlvysValueError as error:
        return str(error)
    raise RuntimeError(f"{expression} raises no error")
