"""
Once, load all loads and trips month by month, and set the cursor for the hourly sync of ``alvys_to_lake.py``.

Loads are read by creation date and trips by pickup date, because old rows have no ``UpdatedAt``. At the end,
the number of rows is compared with Alvys's total, missing rows are read, and the cursor is set to the time at
which this run began. The next hourly run starts there. ``python -m airflow_provider_alvys plan`` estimates
the duration.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_first_load

LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
START = os.environ.get("ALVYS_FIRST_LOAD_START", "2024-01-01T00:00:00Z")

with DAG(
    "alvys_first_load",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    for stream in ("loads", "trips"):
        alvys_first_load(stream, START, every="month", path=LAKE, compression="gzip")
