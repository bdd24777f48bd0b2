"""
The 17 streams that a trucking company or a freight broker needs, in three DAGs: hourly, daily, and a weekly sweep.

Loads, trips, invoices and tenders come every hour, money and master data every day. The sweep reads again what the others have
read by their windows, to find what has changed unseen or has gone. Each stream is an asset: schedule what uses loads on
``alvys_asset("loads", LAKE)``.

With ``ALVYS_SQL_CONN_ID``, the Airflow connection of a database, each stream is loaded into a table of it as well.

Load for the first time with ``alvys_first_load.py``, or let the first runs read from ``ALVYS_INITIAL_SINCE``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

# Any absolute path or URL that ObjectStoragePath reads, such as s3://aws_default@my-bucket/alvys. The same for every run.
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
# With locations, which have the tier weekly, that makes 17.

SYNC: dict[str, Any] = {
    "path": LAKE,
    "alvys_conn_id": "alvys_default",
    "initial_since": INITIAL_SINCE,
    # A minute is what production wants; a demo has less patience.
    "settling": float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
    "compression": "gzip",
    "sql_conn_id": os.environ.get("ALVYS_SQL_CONN_ID"),
    # Not every company has every scope: what the token may not read is skipped, and says so.
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
