"""A backfill in two windows, for two workers."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_backfill

with DAG(
    "distributed",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
):
    alvys_backfill(
        "loads",
        os.environ["TORTURE_START"],
        os.environ["TORTURE_END"],
        timedelta(days=float(os.environ["TORTURE_WINDOW_DAYS"])),
        path=os.environ["TORTURE_LAKE"],
        part_rows=int(os.environ["TORTURE_PART_ROWS"]),
        max_active_tis_per_dag=2,
        deferrable=True,
    )
