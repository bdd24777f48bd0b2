"""
Every day, sync two companies, each with its own Alvys.

Each tenant has its own connection, and with it its own token, rate limit, data set and cursors.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")
# The Airflow connection of each tenant.
TENANTS = {"acme": "alvys_default", "bluebird": "alvys_bluebird"}

with DAG(
    "alvys_two_tenants",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    for tenant, connection in TENANTS.items():
        alvys_sync(
            group_id=tenant,
            tenant=tenant,
            alvys_conn_id=connection,
            path=f"{LAKE}/{tenant}",
            streams=["loads", "trips", "customers", "drivers"],
            initial_since=INITIAL_SINCE,
            settling=float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
        )
