"""
Every hour, land the changed loads and the customers, and load them into a database.

This is the DAG of ``docs/start.md``. The Airflow connection ``warehouse`` is the database.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

# A folder that all workers reach, or an address such as s3://aws_default@my-bucket/alvys.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_start")

with DAG(
    "alvys_start",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    alvys_sync(
        streams=["loads", "customers"],
        path=LAKE,
        initial_since="2026-01-01T00:00:00Z",
        sql_conn_id="warehouse",
    )
