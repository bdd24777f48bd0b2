"""A tenant of 250,000 loads, or of LARGE_LOADS: the requests, and the seconds of the identities."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.dialects import DIALECTS
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from tests.checks.reconciled import reconcile, sync_and_load
from tests.tables.databases import Db

LOADS = int(os.environ.get("LARGE_LOADS", "250000"))
STREAMS = ("loads", "trips", "invoices")


@pytest.mark.large
def test_a_large_tenant_costs_forty_requests_and_a_minute_of_sql(
    alvys: Simulator, make_db: Callable[[str], Db], lake: Path
) -> None:
    alvys.reset(loads=LOADS, days=900)
    db = make_db("postgres")
    for stream in STREAMS:
        sync_and_load(lake, stream, page_size=2000, max_window_rows=10 * LOADS)
    for stream in STREAMS:
        result = reconcile(stream, sql_conn_id="sql")
        assert (result["verdict"], result["repairs"]) == ("same", [])
        assert result["requests"] <= 40
    took = {}
    for identity in IDENTITIES.values():
        if all(table in db.tables() for table in identity.tables):
            began = time.monotonic()
            assert db.query(identity.sql(DIALECTS["postgres"])) == []
            took[identity.name] = time.monotonic() - began
    assert max(took.values()) < 60, took
