"""
Started by Alvys: when the status of a load changes, look up those loads that were delivered.

The receiver is the package airflow-provider-inbound-webhooks, with a plugin of a few lines before it: docs/webhooks.md says how
to set it up. A run gets all deliveries since the last one; of each it takes the number, and reads the rest from Alvys: what was
delivered may be older than what stands there now, and the receiver keeps amounts as floats.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Asset, task

from airflow_provider_alvys import AlvysHook
from airflow_provider_alvys.api.webhooks import make_event

# <name of the webhook>/<type of the event>
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
        """Return the numbers of the loads that were delivered, each once."""
        extras = [stored.extra for stored in triggering_asset_events[status_changed]]
        events = [make_event(extra["payload"], key=extra["delivery_id"]) for extra in extras]
        # The receiver takes each delivery once, and a body that was written anew as another one.
        loads = {event.key: event for event in events if (event.record or {}).get("status") == "Delivered"}
        return sorted({event.entity_number for event in loads.values() if event.entity_number})

    @task
    def look_up(load_numbers: list[str]) -> list[dict[str, Any]]:
        """Return what a next task may want to know of the loads. One task, which keeps the pace: many at once would not."""
        hook = AlvysHook()
        loads = [hook.get("loads", loadNumber=number) for number in load_numbers]
        return [
            {name: load.get(name) for name in ("Id", "LoadNumber", "Status", "DeliveredAt")} for load in loads
        ]

    # While the DAG is parsed, delivered() is a reference to a result.
    look_up(delivered())  # type: ignore[arg-type]
