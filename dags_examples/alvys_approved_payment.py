"""
Record the payment of a trip's carrier after a person has approved it.

Trigger this DAG with the trip's number: ``{"trip_number": "2001"}``. ``check`` validates the payment and
sends nothing. ``approve`` shows it under Airflow's required actions, exactly as it will be sent. ``pay``
sends it, and refuses any other. After a rejection ``pay`` is skipped. Each run asks once: to ask again,
trigger a new run.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Context, Param, get_current_context, task

from airflow_provider_alvys import AlvysHook, AlvysWriteOperator

# The company's time zone: it decides on which day a payment is made.
COMPANY_ZONE = ZoneInfo(os.environ.get("ALVYS_COMPANY_ZONE", "America/Chicago"))
PAYMENT = "invoices.record_carrier_payment"


@task
def check(trip_number: str) -> dict[str, Any]:
    """Return the payment, checked, and how to show it."""
    paid_on = get_current_context()["dag_run"].run_after.astimezone(COMPANY_ZONE).date().isoformat()
    hook = AlvysHook()
    trip = next(hook.search("trips", {"TripNumbers": [trip_number], "IncludeDeleted": False}), None)
    carrier = (trip or {}).get("Carrier") or {}
    if trip is None or not (total := carrier.get("TotalPayable")):
        raise ValueError(f"The trip {trip_number!r} does not exist, or no carrier is to be paid for it")
    body = {
        "TripId": trip["Id"],
        # As text, so that the XCom keeps every digit.
        "Amount": {"Amount": str(total["Amount"]), "Currency": total.get("Currency")},
        "PaymentDate": paid_on,
        "ReferenceNumber": f"TRIP-{trip['TripNumber']}",
    }
    write = hook.check_write(PAYMENT, body=body)
    shown = write.markdown(carrier=carrier.get("Name"), trip=trip["TripNumber"], load=trip.get("LoadNumber"))
    return {"body": body, "shown": shown, "fingerprint": write.fingerprint}


class PaymentApproval(ApprovalOperator):
    """Show what was checked, and remember which payment was approved."""

    def execute(self, context: Context) -> Any:
        """Wait for the answer."""
        ti = context["ti"]
        if ti.try_number > 1:
            # Before 3.4 Airflow shows the request of the first attempt again, whatever is to be sent now.
            raise RuntimeError("This run has asked already. Trigger a new one")
        checked = ti.xcom_pull(task_ids="check")
        self.body = checked["shown"]
        ti.xcom_push(key="shown", value=checked["fingerprint"])
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer."""
        answer = super().execute_complete(context, event)
        if answer["chosen_options"] == [self.APPROVE]:
            ti = context["ti"]
            ti.xcom_push(key="approved", value=ti.xcom_pull(task_ids=self.task_id, key="shown"))
        return answer


with DAG(
    "alvys_approved_payment",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"trip_number": Param("2001", type="string", description="Number of the trip")},
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    checked: Any = check("{{ params.trip_number }}")
    approve = PaymentApproval(task_id="approve", subject="Record this payment in Alvys?", retries=0)
    pay = AlvysWriteOperator(
        task_id="pay",
        operation=PAYMENT,
        body=checked["body"],
        approved="{{ ti.xcom_pull(task_ids='approve', key='approved') }}",
    )

    checked >> approve >> pay
