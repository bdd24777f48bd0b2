"""
One task of each kind that the other examples do not use: a call, an upload, two sensors, a sweep, a load.

The DAG waits until a trip is delivered, uploads its proof of delivery from a folder to the load, and loads
the drivers into a database.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from airflow_provider_alvys import (
    AlvysObjectStorageToSqlOperator,
    AlvysRequestOperator,
    AlvysSearchSensor,
    AlvysSweepToObjectStorageOperator,
    AlvysTripStatusSensor,
    AlvysUploadDocumentOperator,
    alvys_asset,
    alvys_table_asset,
)

LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
OUTBOX = os.environ.get("ALVYS_OUTBOX", "/tmp/alvys_outbox")

with DAG(
    "alvys_single_tasks",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={
        "trip_number": Param("1001", type="string", description="Number of the trip"),
        "load_number": Param("1001", type="string", pattern=r"^\w+$", description="Number of the load"),
    },
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    # Any endpoint, also one without an operator of its own.
    account = AlvysRequestOperator(task_id="account", path="/v1/me")
    delivered = AlvysTripStatusSensor(
        task_id="delivered",
        trip_number="{{ params.trip_number }}",
        statuses=["Delivered"],
        timeout=timedelta(days=14),
        deferrable=True,
    )
    on_load = AlvysSearchSensor(
        task_id="on_load",
        stream="trips",
        filters={"LoadNumbers": ["{{ params.load_number }}"]},
        poke_interval=timedelta(minutes=5),
        deferrable=True,
    )
    upload = AlvysUploadDocumentOperator(
        task_id="upload",
        parent_type="load",
        parent_id="{{ params.load_number }}",
        path=f"{OUTBOX}/{{{{ params.load_number }}}}.pdf",
        document_type="Proof of Delivery",
    )
    fleet = AlvysSweepToObjectStorageOperator(
        task_id="fleet",
        streams=["drivers", "trucks", "trailers"],
        path=LAKE,
        outlets=[alvys_asset(stream, LAKE) for stream in ("drivers", "trucks", "trailers")],
    )
    load_drivers = AlvysObjectStorageToSqlOperator(
        task_id="load_drivers",
        sql_conn_id="warehouse",
        path=LAKE,
        stream="drivers",
        exclude=["Address", "LicenseNum", "PhoneNumber"],
        outlets=[alvys_table_asset("drivers", "warehouse")],
    )

    account >> [delivered, on_load] >> upload >> fleet >> load_drivers
