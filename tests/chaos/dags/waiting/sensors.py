"""Hundreds of sensors in a pool without slots, run by deferring_worker: Airflow's FileSensor, and ours."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor
from tests.chaos.triggerer.loop_probe import LoopProbe

plan = json.loads(Path(os.environ["CHAOS_PLAN"]).read_text())
common: dict[str, Any] = {"start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}
delivered: dict[str, Any] = {"statuses": ["Delivered"], "deferrable": True, "timeout": 900}

with DAG("file_sensors", schedule=None, **common):
    FileSensor.partial(task_id="wait", deferrable=True, poke_interval=1, pool=plan["pool"]).expand(
        filepath=plan["files"]
    )

crowd = {**delivered, "alvys_conn_id": plan["crowd_conn_id"], "poke_interval": plan["crowd_interval"]}
with DAG("crowd", schedule=None, default_args=crowd, **common):
    AlvysLoadStatusSensor.partial(task_id="wait", pool=plan["pool"]).expand(load_number=plan["crowd"])
    # The scheduler and a worker run these from start to end.
    AlvysLoadStatusSensor.partial(task_id="sample").expand(load_number=plan["sample"])

few = {**delivered, "alvys_conn_id": "alvys_watched", "poke_interval": plan["interval"]}
with DAG("few", schedule=None, default_args=few, **common):
    AlvysLoadStatusSensor.partial(task_id="wait", pool=plan["pool"]).expand(load_number=plan["few"])

probe = Asset(
    "probe", watchers=[AssetWatcher(name="probe", trigger=LoopProbe(os.environ["CHAOS_LOOP_BLOCKS"]))]
)
with DAG("probed", schedule=[probe], **common):
    EmptyOperator(task_id="never")
