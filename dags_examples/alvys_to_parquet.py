"""
Hourly: Alvys to Parquet on S3, typed, for whatever reads it: Athena, Spark, DuckDB, or a warehouse that copies it.

All files of a stream have one schema, with decimals, times in UTC, structs and lists: ``docs/landing.md``. It needs the extras
``airflow-provider-alvys[s3,parquet]``. The comment at the end has the operators by which warehouses copy what a run has landed.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

# The bucket, and before the @ the Airflow connection to it. The same for every run.
PARQUET_LAKE = os.environ.get("ALVYS_PARQUET_LAKE", "s3://aws_default@my-bucket/alvys")

with DAG(
    "alvys_to_parquet",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    alvys_sync(
        streams=["loads", "trips", "invoices"],
        path=PARQUET_LAKE,
        initial_since=os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z"),
        settling=float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
        file_format="parquet",
        compression="zstd",
    )

# How a run of loads gets into a warehouse, by the warehouse's own operators. They add its rows to a table of all that was ever
# landed; docs/warehouses.md has the statements that merge them. What is needed is the list of the run's files, in the DAG above:
#
#     @task
#     def files_of(landed: dict) -> list[str]:
#         manifest = json.loads(ObjectStoragePath(landed["manifest"]).read_text())
#         if not manifest["parts"]:
#             raise AirflowSkipException("No load has changed. (Without names, Snowflake would copy the whole stage.)")
#         folder = landed["manifest"].removeprefix(f"{landed['path']}/").rpartition("/")[0]
#         return [f"{folder}/{part['name']}" for part in manifest["parts"]]
#
#     files = files_of(dag.get_task("alvys_sync.loads").output)
#
# Snowflake, by apache-airflow-providers-snowflake, from the external stage ALVYS on s3://my-bucket/alvys/:
#
#     CopyFromExternalStageToSnowflakeOperator(
#         task_id="copy_loads",
#         schema="RAW",
#         table="ALVYS_LOADS",
#         stage="ALVYS",
#         files=files,
#         file_format="(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)",
#         copy_options="MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
#     )
#
# Redshift, by apache-airflow-providers-amazon. The table has the files' columns in their order, the nested ones as SUPER:
#
#     S3ToRedshiftOperator.partial(
#         task_id="copy_loads",
#         schema="raw",
#         table="alvys_loads",
#         s3_bucket="my-bucket",
#         copy_options=["FORMAT AS PARQUET", "SERIALIZETOJSON"],
#     ).expand(s3_key=files.map(lambda name: f"alvys/{name}"))
#
# BigQuery, by apache-airflow-providers-google, for a path such as gs://google_cloud_default@my-bucket/alvys:
#
#     GCSToBigQueryOperator(
#         task_id="copy_loads",
#         bucket="my-bucket",
#         source_objects=files.map(lambda name: f"alvys/{name}"),
#         destination_project_dataset_table="raw.alvys_loads",
#         source_format="PARQUET",
#         write_disposition="WRITE_APPEND",
#         extra_config={"decimalTargetTypes": ["BIGNUMERIC"], "parquetOptions": {"enableListInference": True}},
#     )
