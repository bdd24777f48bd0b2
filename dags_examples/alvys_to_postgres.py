"""
Load Alvys into PostgreSQL: loads and trips every hour, the rest every day, and a weekly sweep that finds
missing rows.

The Airflow connection ``warehouse`` is the database: PostgreSQL, SQLite, DuckDB or MariaDB. Each stream is
landed in files, then loaded from them; after an outage of the database the next run loads what is pending.
Rows that two sweeps in a row do not find get ``_missing_since``.

The last DAG sums up the revenue whenever loads have been loaded. Put any SQL there, or a run of dbt.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync, alvys_table_asset

# A path or an ObjectStoragePath URL, for example s3://aws_default@my-bucket/alvys. Do not change it later.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
WAREHOUSE = "warehouse"

SYNC: dict[str, Any] = {
    "path": LAKE,
    "alvys_conn_id": "alvys_default",
    "initial_since": os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z"),
    # One minute suits production; a demo uses less.
    "settling": float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
    "compression": "gzip",
    "sql_conn_id": WAREHOUSE,
}
DAILY = ["invoices", "customers", "drivers", "trucks", "trailers", "users"]
# Personal data that no report needs stays out of the tables.
EXCLUDED = {"drivers": ["Address", "LicenseNum", "PhoneNumber"], "users": ["Phone"]}
DAG_ARGUMENTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 3, "retry_delay": timedelta(minutes=5)},
    "tags": ["alvys"],
    "doc_md": __doc__,
}
# A table, not a view: PostgreSQL cannot change the type of a column that a view uses.
SUM_UP = [
    "DROP TABLE IF EXISTS revenue_by_customer",
    """
    CREATE TABLE revenue_by_customer AS
    SELECT _tenant, customer_id, customer_rate_currency AS currency,
        COUNT(*) AS loads, SUM(customer_rate_amount) AS revenue
    FROM loads
    WHERE _missing_since IS NULL AND is_deleted IS NOT TRUE AND status <> 'Cancelled'
    GROUP BY _tenant, customer_id, customer_rate_currency
    """,
]

with DAG("alvys_to_postgres_hourly", schedule="@hourly", **DAG_ARGUMENTS):
    alvys_sync(tier="hourly", **SYNC)

with DAG("alvys_to_postgres_daily", schedule="30 3 * * *", **DAG_ARGUMENTS):
    alvys_sync(streams=DAILY, exclude=EXCLUDED, **SYNC)

with DAG("alvys_to_postgres_weekly", schedule="0 5 * * 0", **DAG_ARGUMENTS):
    alvys_sync(streams=["loads", "trips"], tier="weekly", **SYNC)

with DAG("alvys_revenue", schedule=[alvys_table_asset("loads", WAREHOUSE)], **DAG_ARGUMENTS):
    SQLExecuteQueryOperator(task_id="sum_up", conn_id=WAREHOUSE, sql=SUM_UP)
