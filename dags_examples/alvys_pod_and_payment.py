"""
For one load: wait until it is delivered, wait for its proof of delivery, fetch that, and record what its carriers are paid.

Start it with the load's number: ``{"load_number": "1001"}``. Nothing holds a worker's slot while it waits. Alvys knows a payment
again by its ``ReferenceNumber``, which is made of the trip's number: a retry, a cleared task and even another run of this DAG
for the same load record no second payment.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysHook,
    AlvysWriteOperator,
    alvys_documents_asset,
)
from airflow_provider_alvys.sensors.alvys import AlvysDocumentSensor, AlvysLoadStatusSensor

# Any absolute path or URL that ObjectStoragePath reads, such as s3://aws_default@my-bucket/alvys. The same for every run.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
PROOF = "Proof of Delivery"
LOAD = "{{ params.load_number }}"


@task
def carrier_payments(load_number: str) -> list[dict[str, Any]]:
    """Return what is to be paid for each trip of the load that a carrier has driven."""
    paid_on = get_current_context()["dag_run"].run_after.date().isoformat()
    trips = AlvysHook().search("trips", {"LoadNumbers": [load_number], "IncludeDeleted": False})
    payable = [
        (trip, (trip.get("Carrier") or {}).get("TotalPayable"))
        for trip in trips
        if trip["Status"] not in ("Cancelled", "TONU")
    ]
    return [
        {
            "TripId": trip["Id"],
            # As a text it keeps its digits on its way through the XCom.
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
    # Delivered, or already further on its way: or_later is the default. A load that is cancelled ends the wait at once.
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
        # Deleted again in the meantime: then nothing is paid.
        skip_when_empty=True,
        deferrable=True,
        outlets=[alvys_documents_asset("load", LAKE)],
    )
    payments = carrier_payments(LOAD)
    pay = AlvysWriteOperator.partial(task_id="pay", operation="invoices.record_carrier_payment").expand(
        body=payments
    )

    delivered >> proof >> fetch >> payments
