"""The syncs under chaos: long and short, with a cursor and without, deferrable and not."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_backfill
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

LAKE = os.environ["CHAOS_LAKE"]
START = os.environ["CHAOS_START"]
END = os.environ["CHAOS_END"]

DEFAULTS = {"retries": 20, "retry_delay": timedelta(seconds=1), "retry_exponential_backoff": False}
CURSOR = {"initial_since": START, "overlap": 2, "settling": 1}
# Parts of three pages: a retry can resume.
SMALL_PARTS = {"part_rows": 60}

with DAG(
    "chaos",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
):
    common = {"path": LAKE, "defer_after": 1.5}
    deferrable = {**common, "deferrable": True}
    loads = AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", **CURSOR, **SMALL_PARTS, **deferrable
    )
    trips = AlvysToObjectStorageOperator(
        task_id="trips", stream="trips", compression="gzip", **CURSOR, **SMALL_PARTS, **common
    )
    AlvysToObjectStorageOperator(task_id="invoices", stream="invoices", **CURSOR, **deferrable)
    AlvysToObjectStorageOperator(task_id="drivers", stream="drivers", **SMALL_PARTS, **deferrable)
    AlvysToObjectStorageOperator(task_id="customers", stream="customers", **SMALL_PARTS, **common)
    # Tasks of one endpoint share its rate limit, and run one after the other.
    past = alvys_backfill(
        "trips", START, END, timedelta(days=45), max_active_tis_per_dag=1, **SMALL_PARTS, **deferrable
    )
    trips >> past
