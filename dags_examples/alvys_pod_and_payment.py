"""
Wait until a load is delivered and has a proof of delivery, download it, and record the payments of its
carriers.

Trigger this DAG with the load's number: ``{"load_number": "1001"}``. Waiting needs no worker slot. Alvys
identifies a payment by its ``ReferenceNumber``, here made from the trip's number. Therefore a retry, a
cleared task or another run for the same load records no second payment.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_current_context, task

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysHook,
    AlvysWriteOperator,
    alvys_documents_asset,
)
from airflow_provider_alvys.sensors.alvys import AlvysDocumentSensor, AlvysLoadStatusSensor

# A path or an ObjectStoragePath URL, for example s3://aws_default@my-bucket/alvys. Do not change it later.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
# The company's time zone: it decides on which day a payment is made.
COMPANY_ZONE = ZoneInfo(os.environ.get("ALVYS_COMPANY_ZONE", "America/Chicago"))
PROOF = "Proof of Delivery"
LOAD = "{{ params.load_number }}"


@task
def carrier_payments(load_number: str) -> list[dict[str, Any]]:
    """Return a payment for each trip of the load that a carrier has driven."""
    paid_on = get_current_context()["dag_run"].run_after.astimezone(COMPANY_ZONE).date().isoformat()
    trips = AlvysHook().search("trips", {"LoadNumbers": [load_number], "IncludeDeleted": False})
    payable = [
        (trip, (trip.get("Carrier") or {}).get("TotalPayable"))
        for trip in trips
        if trip["Status"] not in ("Cancelled", "TONU")
    ]
    return [
        {
            "TripId": trip["Id"],
            # As text, so that the XCom keeps every digit.
            "Amount": {"Amount": str(total["Amount"]), "Currency": total.get("Currency")},
            "PaymentDate": paid_on,
            "ReferenceNumber": f"POD-{trip['TripNumber']}",
        }
        for trip, total in payable
        if total and total.get("Amount", 0) > 0
    ]


with DAG(
    "alvys_pod_and_payment",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"load_number": Param("1001", type="string", description="Number of the load")},
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    # Succeeds at Delivered or any later status (or_later), and fails at once if the load is cancelled.
    delivered = AlvysLoadStatusSensor(
        task_id="delivered",
        load_number=LOAD,
        statuses="Delivered",
        timeout=timedelta(days=14),
        deferrable=True,
    )
    proof = AlvysDocumentSensor(
        task_id="proof",
        parent_type="load",
        parent_id=LOAD,
        document_types=PROOF,
        poke_interval=timedelta(minutes=10),
        timeout=timedelta(days=7),
        deferrable=True,
    )
    fetch = AlvysDocumentsToObjectStorageOperator(
        task_id="fetch",
        parent_type="load",
        parents=[LOAD],
        document_types=[PROOF],
        path=LAKE,
        # The document may have been deleted: then no payment is recorded.
        skip_when_empty=True,
        deferrable=True,
        outlets=[alvys_documents_asset("load", LAKE)],
    )
    payments = carrier_payments(LOAD)
    pay = AlvysWriteOperator.partial(task_id="pay", operation="invoices.record_carrier_payment").expand(
        body=payments
    )

    delivered >> proof >> fetch >> payments
