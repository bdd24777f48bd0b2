"""One read that waits for the rate limit, two that are killed, and a sync of all streams with pages."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

common: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
}
retries = {"retries": 3, "retry_delay": timedelta(seconds=1)}
window: dict[str, Any] = {"since": "2020-01-01T00:00:00Z", "until": "{{ dag_run.run_after }}"}

with DAG("waits", default_args={"alvys_conn_id": "alvys_paced", **retries}, **common):
    AlvysToObjectStorageOperator(
        task_id="loads",
        stream="loads",
        path=f"{os.environ['CHAOS_LAKE']}/waits",
        page_size=10,
        deferrable=True,
        **window,
    )

with DAG("killed", default_args=retries, **common):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=f"{os.environ['CHAOS_LAKE']}/killed", page_size=6, **window
    )
    AlvysToObjectStorageOperator(
        task_id="trips",
        stream="trips",
        path=f"{os.environ['CHAOS_LAKE']}/killed",
        page_size=6,
        part_rows=60,
        **window,
    )

with DAG("syncs", default_args={"alvys_conn_id": "alvys_syncs"}, **common):
    alvys_sync(
        streams=[
            stream.name for stream in STREAMS.values() if stream.response_type == "page" and not stream.parent
        ],
        path=f"{os.environ['CHAOS_LAKE']}/syncs",
        initial_since=os.environ["CHAOS_START"],
        settling=0.1,
    )
