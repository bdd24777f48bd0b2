"""
Sync the 17 streams that a trucking company or freight broker needs: hourly, daily, and a weekly sweep.

Loads, trips, invoices and tenders are synced every hour, money and master data every day. The sweep reads
longer windows again and finds late changes and missing rows. Each stream has an asset: schedule DAGs that use
loads on ``alvys_asset("loads", LAKE)``.

Set ``ALVYS_SQL_CONN_ID`` to a connection id to load each stream into tables, too.

For the first load use ``alvys_first_load.py``, or let the first runs read from ``ALVYS_INITIAL_SINCE``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

# A path or an ObjectStoragePath URL, for example s3://aws_default@my-bucket/alvys. Do not change it later.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")

HOURLY = ["loads", "trips", "invoices", "tenders"]
DAILY = [
    "driver_settlement_statements",
    "carrier_settlement_statements",
    "deductions",
    "fuel",
    "tolls",
    "maintenance",
    "drivers",
    "trucks",
    "trailers",
    "users",
    "customers",
    "carriers",
]
# Locations have the tier weekly: 17 streams in total.

SYNC: dict[str, Any] = {
    "path": LAKE,
    "alvys_conn_id": "alvys_default",
    "initial_since": INITIAL_SINCE,
    # One minute suits production; a demo uses less.
    "settling": float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
    "compression": "gzip",
    "sql_conn_id": os.environ.get("ALVYS_SQL_CONN_ID"),
    # A stream without a scope in the token is skipped, with a log line.
    "on_missing_scope": "skip",
}
DAG_ARGUMENTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 3, "retry_delay": timedelta(minutes=5)},
    "tags": ["alvys"],
    "doc_md": __doc__,
}

with DAG("alvys_to_lake_hourly", schedule="@hourly", **DAG_ARGUMENTS):
    alvys_sync(streams=HOURLY, **SYNC)

with DAG("alvys_to_lake_daily", schedule="30 3 * * *", **DAG_ARGUMENTS):
    alvys_sync(streams=DAILY, **SYNC)

with DAG("alvys_to_lake_weekly", schedule="0 5 * * 0", **DAG_ARGUMENTS):
    alvys_sync(tier="weekly", **SYNC)
