"""
React to webhooks: when the status of a load changes, look up the delivered loads.

The package airflow-provider-inbound-webhooks receives the webhooks; docs/webhooks.md describes the setup. A
run gets all events since the last run. It takes the load numbers from them and reads the loads from Alvys,
because an event may be outdated and the receiver stores amounts as floats.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Asset, task

from airflow_provider_alvys import AlvysHook
from airflow_provider_alvys.api.webhooks import make_event

# <name of the webhook>/<event type>
status_changed = Asset("alvys/load.status.changed")

with DAG(
    "alvys_webhooks",
    schedule=status_changed,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):

    @task
    def delivered(*, triggering_asset_events: Any = None) -> list[str]:
        """Return the numbers of the delivered loads, without duplicates."""
        extras = [stored.extra for stored in triggering_asset_events[status_changed]]
        events = [make_event(extra["payload"], key=extra["delivery_id"]) for extra in extras]
        # A delivery with a changed body counts as a new one for the receiver: deduplicate by the event's key.
        loads = {event.key: event for event in events if (event.record or {}).get("status") == "Delivered"}
        return sorted({event.entity_number for event in loads.values() if event.entity_number})

    @task
    def look_up(load_numbers: list[str]) -> list[dict[str, Any]]:
        """Return the loads, read one after the other in one task, which keeps within the rate limit."""
        hook = AlvysHook()
        loads = [hook.get("loads", loadNumber=number) for number in load_numbers]
        return [
            {name: load.get(name) for name in ("Id", "LoadNumber", "Status", "DeliveredAt")} for load in loads
        ]

    # delivered() returns an XComArg while the DAG is parsed.
    look_up(delivered())  # type: ignore[arg-type]
