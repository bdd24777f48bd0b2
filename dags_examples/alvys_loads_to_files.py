"""
Hourly: every load that changed since the last whole run, as JSON lines.

The first run reads from ``ALVYS_INITIAL_SINCE``. Each later one begins where the last whole run ended, whatever Airflow's
schedule did meanwhile: a run that failed, or a day of pause, leaves no hole. Downstream DAGs can be scheduled on ``LOADS``;
the asset's event says where the manifest is.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset

from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

# Any absolute path or URL that ObjectStoragePath reads, such as s3://aws_default@my-bucket/alvys. The same for every run.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")
# Five minutes and one minute are what production wants; a demo has less patience.
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
