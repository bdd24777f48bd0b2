"""
React to loads that have been delivered: changes in Alvys start this DAG.

A watcher polls Alvys once a minute and emits an asset event for the loads that are Delivered now. It runs in
the triggerer and needs no worker slot. All watchers of loads share one request a minute.

A change may be emitted twice, for example after a triggerer died; its key stays the same.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_alvys import AlvysChangeTrigger

# An asset of its own: syncs of loads must not start this DAG.
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
        """Return each change once: several events may start one run."""
        changes: dict[str, dict[str, Any]] = {}
        for events in (triggering_asset_events or {}).values():
            for event in events:
                changes |= {change["key"]: change for change in event.extra["payload"]["changes"]}
        return list(changes.values())

    @task
    def react(change: dict[str, Any]) -> str:
        """Process a delivered load."""
        return f"Load {change['number']} is {change['status']} since {change['updated_at']}"

    react.expand(change=list_changes())
