"""A backfill of two windows, for two workers."""

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
        os.environ["CHAOS_START"],
        os.environ["CHAOS_END"],
        timedelta(days=float(os.environ["CHAOS_WINDOW_DAYS"])),
        path=os.environ["CHAOS_LAKE"],
        part_rows=int(os.environ["CHAOS_PART_ROWS"]),
        max_active_tis_per_dag=2,
        deferrable=True,
    )
