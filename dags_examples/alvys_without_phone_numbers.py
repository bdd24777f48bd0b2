"""
Every day, load drivers, users, companies and invoices into a database without their telephone numbers.

The landed files contain every field: ``docs/personal-data.md`` says how to protect them.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync

LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
INITIAL_SINCE = os.environ.get("ALVYS_INITIAL_SINCE", "2026-01-01T00:00:00Z")
# Alvys's names; a dot leads into an object or a list.
PHONE_NUMBERS = {
    "drivers": ["PhoneNumber"],
    "users": ["Phone"],
    "customers": ["Phone", "Fax", "InvoicingInformation.PhoneNumber", "Contacts.Phone", "Contacts.Mobile"],
    "carriers": [
        "Contacts.Phone",
        "Contacts.Mobile",
        "InsuranceInfo.Agent.Contact.Phone",
        "InsuranceInfo.Agent.Contact.Mobile",
    ],
    "locations": ["Phone", "Fax"],
    "invoices": ["Customer.PhoneNumbers", "Vendor.RemitPhone"],
}

with DAG(
    "alvys_without_phone_numbers",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    alvys_sync(
        streams=list(PHONE_NUMBERS),
        path=LAKE,
        initial_since=INITIAL_SINCE,
        sql_conn_id="warehouse",
        # _extra would keep fields that Alvys adds later.
        exclude={stream: [*fields, "_extra"] for stream, fields in PHONE_NUMBERS.items()},
    )
