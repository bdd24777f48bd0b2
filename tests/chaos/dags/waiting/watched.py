"""Assets with watchers: one of loads, and ten of trips with different filters."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_alvys.triggers.alvys import AlvysChangeTrigger

plan = json.loads(Path(os.environ["CHAOS_PLAN"]).read_text())
common: dict[str, Any] = {"start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}


def watched(name: str, stream: str, **options: Any) -> Asset:
    """Return an asset with a watcher."""
    trigger = AlvysChangeTrigger(
        stream=stream, alvys_conn_id="alvys_watched", poll_interval=plan["interval"], **options
    )
    return Asset(name, uri=f"alvys-watch://{name}", watchers=[AssetWatcher(name=name, trigger=trigger)])


with DAG("on_loads", schedule=[watched("loads_watched", "loads")], **common):
    EmptyOperator(task_id="seen")

trips = [
    watched(f"trips_{status}", "trips", where={"Status": [plan["trip_status"], status]})
    for status in plan["statuses"]
]
for asset in trips:
    with DAG(f"on_{asset.name.replace(' ', '_')}", schedule=[asset], **common):
        EmptyOperator(task_id="seen")
