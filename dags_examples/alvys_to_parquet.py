"""
Hourly: Alvys to Parquet on S3, typed and ready for any query engine.

Every file of a stream has the same schema: decimals, times in UTC, structs and lists. Give the connection of the bucket in the
path. The last lines show how a warehouse copies what was landed; docs/warehouses.md has the statements for four of them.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

LAKE = os.environ.get("ALVYS_PARQUET_LAKE", "s3://aws_default@my-bucket/alvys")

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
        path=LAKE,
        initial_since=os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z"),
        settling=float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
        file_format="parquet",
        compression="zstd",
    )

# A run's folder is complete once its manifest stands: copy the folder that the asset's event names, in a DAG that is scheduled on
# alvys_asset("loads", LAKE).
#
#   manifest = "{{ (triggering_asset_events.values() | first | last).extra.manifest }}"
#   folder = "{{ (triggering_asset_events.values() | first | last).extra.manifest.rpartition('/')[0] }}"
#
# Redshift (apache-airflow-providers-amazon):
#
#   S3ToRedshiftOperator(
#       task_id="copy", schema="staging", table="loads", s3_bucket="my-bucket", s3_key="alvys/loads/…/",
#       copy_options=["FORMAT AS PARQUET", "SERIALIZETOJSON"], method="REPLACE",
#   )
#
# Snowflake (apache-airflow-providers-snowflake), with a stage over the bucket:
#
#   CopyFromExternalStageToSnowflakeOperator(
#       task_id="copy", schema="STAGING", table="LOADS", stage="ALVYS_STAGE", prefix="loads/…/", pattern=".*[.]parquet",
#       file_format="(TYPE = PARQUET)", copy_options="MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
#   )
#
# BigQuery (apache-airflow-providers-google), from gs://:
#
#   GCSToBigQueryOperator(
#       task_id="copy", bucket="my-bucket", source_objects=["alvys/loads/…/*.parquet"], source_format="PARQUET",
#       destination_project_dataset_table="staging.loads", write_disposition="WRITE_TRUNCATE",
#   )
