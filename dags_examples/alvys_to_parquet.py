"""
Every hour, land loads, trips and invoices as Parquet on S3, for Athena, Spark, DuckDB or a warehouse.

All files of a stream have one schema with decimals, times in UTC, structs and lists: see ``docs/lake.md``.
Install ``airflow-provider-alvys[s3,parquet]``. The comment at the end shows how Snowflake, Redshift and
BigQuery copy a run.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

# aws_default is the Airflow connection of the bucket. Do not change the path later.
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

# To copy a run of loads into a warehouse, use the warehouse's own operators. They append the rows to a table
# of all landed rows; docs/reference/warehouses.md has the statements that merge them. The operators need the
# list of the run's files, in the DAG above:
#
#     @task
#     def files_of(landed: dict) -> list[str]:
#         manifest = json.loads(ObjectStoragePath(landed["manifest"]).read_text())
#         if not manifest["parts"]:
#             raise AirflowSkipException("No load has changed. Without names, Snowflake copies all files.")
#         folder = landed["manifest"].removeprefix(f"{landed['path']}/").rpartition("/")[0]
#         return [f"{folder}/{part['name']}" for part in manifest["parts"]]
#
#     files = files_of(dag.get_task("alvys_sync.loads").output)
#
# Snowflake with apache-airflow-providers-snowflake, from the external stage ALVYS on s3://my-bucket/alvys/:
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
# Redshift with apache-airflow-providers-amazon. The table has the files' columns in order, nested columns as
# SUPER:
#
#     S3ToRedshiftOperator.partial(
#         task_id="copy_loads",
#         schema="raw",
#         table="alvys_loads",
#         s3_bucket="my-bucket",
#         copy_options=["FORMAT AS PARQUET", "SERIALIZETOJSON"],
#     ).expand(s3_key=files.map(lambda name: f"alvys/{name}"))
#
# BigQuery with apache-airflow-providers-google, for a path like gs://google_cloud_default@my-bucket/alvys:
#
#     GCSToBigQueryOperator(
#         task_id="copy_loads",
#         bucket="my-bucket",
#         source_objects=files.map(lambda name: f"alvys/{name}"),
#         destination_project_dataset_table="raw.alvys_loads",
#         source_format="PARQUET",
#         write_disposition="WRITE_APPEND",
#         extra_config={
#             "decimalTargetTypes": ["BIGNUMERIC"], "parquetOptions": {"enableListInference": True}
#         },
#     )
