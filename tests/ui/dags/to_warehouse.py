"""
Sync loads, trips and invoices into files and tables, then wait for a load, and compare trips with Alvys.

The streams land one after the other where they share an endpoint; each is loaded as soon as it has landed.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import AlvysLoadStatusSensor, AlvysReconcileOperator, alvys_sync

with DAG(
    "alvys_to_warehouse",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["alvys"],
    doc_md=__doc__,
):
    synced = alvys_sync(
        streams=["loads", "trips", "invoices"],
        path=os.environ["ALVYS_LAKE"],
        initial_since=os.environ["ALVYS_INITIAL_SINCE"],
        sql_conn_id="warehouse",
        settling=1,
    )
    delivered = AlvysLoadStatusSensor(
        task_id="delivered",
        load_number=os.environ["ALVYS_LOAD_NUMBER"],
        statuses=["Delivered"],
        deferrable=False,
    )
    compared = AlvysReconcileOperator(
        task_id="compare",
        stream="trips",
        sql_conn_id="warehouse",
        path=os.environ["ALVYS_LAKE"],
        on_difference="warn",
    )
    synced >> [delivered, compared]
