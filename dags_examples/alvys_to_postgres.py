"""
Alvys to PostgreSQL: loads, trips and invoices every hour, the rest every day, and a sweep every week that finds what has gone.

The Airflow connection ``warehouse`` is the database: PostgreSQL here, or SQLite, DuckDB or MariaDB by the same DAG. Each stream
is landed first, and loaded from there: a night without the database is caught up with by the next run. When loads have been
loaded, a view of those that are under way is made anew.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync, alvys_table_asset

# Any absolute path or URL that ObjectStoragePath reads, such as s3://aws_default@my-bucket/alvys. The same for every run.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
WAREHOUSE = "warehouse"

SYNC: dict[str, Any] = {
    "path": LAKE,
    "initial_since": os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z"),
    # A minute is what production wants; a demo has less patience.
    "settling": float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
    "compression": "gzip",
    "sql_conn_id": WAREHOUSE,
}
# Personal data that no report needs stays in the lake.
KEPT_OUT = {"drivers": ["LicenseNum", "Address", "PhoneNumber"], "users": ["Phone"]}
DAG_ARGUMENTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 3, "retry_delay": timedelta(minutes=5)},
    "tags": ["alvys"],
    "doc_md": __doc__,
}

with DAG("alvys_to_postgres_hourly", schedule="@hourly", **DAG_ARGUMENTS):
    alvys_sync(streams=["loads", "trips", "invoices"], **SYNC)

with DAG("alvys_to_postgres_daily", schedule="30 3 * * *", **DAG_ARGUMENTS):
    alvys_sync(streams=["customers", "drivers", "trucks", "trailers", "users"], exclude=KEPT_OUT, **SYNC)

with DAG("alvys_to_postgres_weekly", schedule="0 5 * * 0", **DAG_ARGUMENTS):
    alvys_sync(streams=["loads", "trips"], tier="weekly", **SYNC)

with DAG("alvys_loads_under_way", schedule=[alvys_table_asset("loads", WAREHOUSE)], **DAG_ARGUMENTS):
    SQLExecuteQueryOperator(
        task_id="make_view",
        conn_id=WAREHOUSE,
        sql=[
            "DROP VIEW IF EXISTS loads_under_way",
            """
            CREATE VIEW loads_under_way AS
            SELECT _tenant, load_number, customer_name, status, scheduled_delivery_at, customer_rate_amount
            FROM loads
            WHERE status IN ('Covered', 'Dispatched', 'In Transit') AND _missing_since IS NULL
            """,
        ],
    )
