"""
Every hour, land the changed loads, their notes, and the documents of the loads delivered in the last 14 days.

Alvys does not document that a new document moves its load's ``UpdatedAt``. Therefore each run lists the
documents of delivered loads again, until two weeks after delivery. Notes are read only for the loads that
this run has landed.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import AlvysToObjectStorageOperator, RecentParents, alvys_asset

LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")

with DAG(
    "alvys_delivered_documents",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "path": LAKE},
    tags=["alvys"],
    doc_md=__doc__,
):
    loads = AlvysToObjectStorageOperator(
        task_id="loads",
        stream="loads",
        initial_since=INITIAL_SINCE,
        settling=float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
        outlets=[alvys_asset("loads", LAKE)],
    )
    # The notes of the changed loads: the parents are the rows that the first task has landed.
    notes = AlvysToObjectStorageOperator(task_id="load_notes", stream="load_notes", parents=loads.output)
    documents = AlvysToObjectStorageOperator(
        task_id="load_documents",
        stream="load_documents",
        # By DeliveredAt, with any status after delivery: Delivered, Queued, Invoiced, Paid.
        parents=RecentParents(days=14),
        outlets=[alvys_asset("load_documents", LAKE)],
    )
    loads >> documents
