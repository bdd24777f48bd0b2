"""
Started by Alvys: loads that have been delivered.

A watcher asks once a minute which loads have changed, and tells the asset of those that are delivered now. The triggerer asks,
and no worker's slot is taken while nothing happens. Several watchers of loads, whatever they look for, cost one request a minute
together.

What is told twice (after a triggerer has died, say) has the same key.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_alvys import AlvysChangeTrigger

# Not the asset of the sync of loads: that one would start this DAG, too.
delivered = Asset(
    "alvys_loads_delivered",
    watchers=[
        AssetWatcher(
            name="alvys_loads",
            trigger=AlvysChangeTrigger(
                stream="loads",
                where={"Status": ["Delivered"]},
                poll_interval=float(os.environ.get("ALVYS_WATCH_SECONDS", "60")),
            ),
        )
    ],
)

with DAG("alvys_on_changed_loads", schedule=[delivered], max_active_runs=1, tags=["alvys"], doc_md=__doc__):

    @task
    def list_changes(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Return each change once: a run may be started by several events."""
        changes: dict[str, dict[str, Any]] = {}
        for events in (triggering_asset_events or {}).values():
            for event in events:
                changes |= {change["key"]: change for change in event.extra["payload"]["changes"]}
        return list(changes.values())

    @task
    def react(change: dict[str, Any]) -> str:
        """Do what is to be done for a load that was delivered."""
        return f"Load {change['number']} is {change['status']} since {change['updated_at']}"

    react.expand(change=list_changes())
