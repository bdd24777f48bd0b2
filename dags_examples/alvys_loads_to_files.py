"""
Every hour, land the changed loads as JSON lines.

The first run reads from ``ALVYS_INITIAL_SINCE``. Each later run starts at the cursor of the last complete
run, so a failed run or a day of pause leaves no gap. Schedule downstream DAGs on ``LOADS``; the asset event
contains the path of the manifest.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset

from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

# A path or an ObjectStoragePath URL, for example s3://aws_default@my-bucket/alvys. Do not change it later.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")
# Five minutes and one minute suit production; a demo uses less.
OVERLAP = timedelta(seconds=float(os.environ.get("ALVYS_OVERLAP_SECONDS", "300")))
SETTLING = timedelta(seconds=float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")))

LOADS = Asset("alvys_loads")

with DAG(
    dag_id="alvys_loads_to_files",
    description="Changed Alvys loads to JSON lines, every hour",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    AlvysToObjectStorageOperator(
        task_id="loads",
        alvys_conn_id="alvys_default",
        stream="loads",
        path=LAKE,
        initial_since=INITIAL_SINCE,
        overlap=OVERLAP,
        settling=SETTLING,
        compression="gzip",
        outlets=[LOADS],
    )
