"""
Alvys to PostgreSQL: loads and trips every hour, the rest every day, and a weekly sweep that finds what has gone.

The Airflow connection ``warehouse`` is the database. It may as well be SQLite, DuckDB or MariaDB. Each stream is landed first and
loaded from there, so that a night without the database is caught up with by the next run. What two sweeps in a row do not find
is marked by ``_missing_since``.

Once loads have been loaded, the last DAG sums up the revenue. Any SQL may stand there: a check, or a run of dbt.
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
    "alvys_conn_id": "alvys_default",
    "initial_since": os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z"),
    # A minute is what production wants; a demo has less patience.
    "settling": float(os.environ.get("ALVYS_SETTLING_SECONDS", "60")),
    "compression": "gzip",
    "sql_conn_id": WAREHOUSE,
}
DAILY = ["invoices", "customers", "drivers", "trucks", "trailers", "users"]
# What is personal and in no report stays in the lake.
KEPT_OUT = {"drivers": ["Address", "LicenseNum", "PhoneNumber"], "users": ["Phone"]}
DAG_ARGUMENTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 3, "retry_delay": timedelta(minutes=5)},
    "tags": ["alvys"],
    "doc_md": __doc__,
}
# A table and no view: PostgreSQL widens no column that a view shows.
SUM_UP = [
    "DROP TABLE IF EXISTS revenue_by_customer",
    """
    CREATE TABLE revenue_by_customer AS
    SELECT _tenant, customer_id, customer_rate_currency AS currency, COUNT(*) AS loads, SUM(customer_rate_amount) AS revenue
    FROM loads
    WHERE _missing_since IS NULL AND is_deleted IS NOT TRUE AND status <> 'Cancelled'
    GROUP BY _tenant, customer_id, customer_rate_currency
    """,
]

with DAG("alvys_to_postgres_hourly", schedule="@hourly", **DAG_ARGUMENTS):
    alvys_sync(tier="hourly", **SYNC)

with DAG("alvys_to_postgres_daily", schedule="30 3 * * *", **DAG_ARGUMENTS):
    alvys_sync(streams=DAILY, exclude=KEPT_OUT, **SYNC)

with DAG("alvys_to_postgres_weekly", schedule="0 5 * * 0", **DAG_ARGUMENTS):
    alvys_sync(streams=["loads", "trips"], tier="weekly", **SYNC)

with DAG("alvys_revenue", schedule=[alvys_table_asset("loads", WAREHOUSE)], **DAG_ARGUMENTS):
    SQLExecuteQueryOperator(task_id="sum_up", conn_id=WAREHOUSE, sql=SUM_UP)
