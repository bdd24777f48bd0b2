"""
Every week, block the carriers with expired insurance after a person has approved the list.

The list appears in Airflow under the task's required actions. Each run asks once: to ask again, trigger a
new run. Retries of the writes are safe: setting the same status twice has no further effect.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Context, task

from airflow_provider_alvys import AlvysHook, AlvysSearchOperator


def ask_once(context: Context) -> None:
    """Fail a second attempt: before 3.4 Airflow shows the list of the first one again."""
    if context["ti"].try_number > 1:
        raise RuntimeError("This run has asked already. Trigger a new one")


with DAG(
    "alvys_block_carriers",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2},
    tags=["alvys"],
    doc_md=__doc__,
):
    expired = AlvysSearchOperator(
        task_id="expired", stream="carriers", filters={"Status": ["Expired Insurance"]}
    )

    @task
    def describe(carriers: list[dict[str, Any]]) -> str:
        """Return the list as Markdown."""
        return "\n".join(f"- {carrier.get('Name', '?')} ({carrier['Id']})" for carrier in carriers) or "None."

    approve = ApprovalOperator(
        task_id="approve",
        subject="Set these carriers to Do Not Load?",
        body="{{ ti.xcom_pull(task_ids='describe') }}",
        retries=0,
        pre_execute=ask_once,
    )

    @task
    def block(carriers: list[dict[str, Any]]) -> int:
        """Block the carriers one after the other in one task, which keeps within the rate limit."""
        hook = AlvysHook()
        # Skip carriers that have renewed their insurance in the meantime.
        still_expired = {
            carrier["Id"] for carrier in hook.search("carriers", {"Status": ["Expired Insurance"]})
        }
        agreed = [carrier["Id"] for carrier in carriers if carrier["Id"] in still_expired]
        for id in agreed:
            hook.write("carriers.set_status", path_params={"carrierId": id}, body={"Status": "Do Not Load"})
        return len(agreed)

    describe(expired.output) >> approve >> block(expired.output)
