"""A sensor that times out, in each mode, with soft_fail and without."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor

plan = json.loads(Path(os.environ["CHAOS_PLAN"]).read_text())
options = {
    "alvys_conn_id": "alvys_watched",
    "load_number": plan["never"],
    "statuses": ["Delivered"],
    "poke_interval": plan["timeout_interval"],
    "timeout": plan["timeout"],
}

with DAG("timeouts", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False):
    for soft_fail in (False, True):
        suffix = "_soft" if soft_fail else ""
        for mode in ("poke", "reschedule"):
            AlvysLoadStatusSensor(
                task_id=f"{mode}{suffix}", mode=mode, soft_fail=soft_fail, deferrable=False, **options
            )
        AlvysLoadStatusSensor(task_id=f"deferrable{suffix}", soft_fail=soft_fail, deferrable=True, **options)
