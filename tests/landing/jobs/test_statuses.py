"""Rows with a status that the catalogue does not know are landed where Alvys allows it, or noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync import land as land_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, SkippingClock, make_client
from tests.lake import read_lines, read_manifest

NEW = "On Hold"
EARLY, LATE = "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
CONTROLLED = [name for name, stream in STREAMS.items() if stream.control]


def warnings(caplog: pytest.LogCaptureFixture) -> list[Any]:
    records = [record for record in caplog.records if record.name.endswith("read.statuses")]
    return [record.args for record in records if record.levelname == "WARNING"]


def ids(result: dict[str, Any]) -> list[str]:
    return [json.loads(line)["Id"] for line in read_lines(result["manifest"])]


@pytest.mark.parametrize("window", ["updated", "pickup", "delivery"])
def test_a_window_of_trips_finds_a_status_that_is_new(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture, window: str
) -> None:
    new = alvys.change(stream="trips", rows=7, columns={"Status": NEW})
    result = land(stream="trips", window_by=window, since=EARLY, until=LATE)
    assert sorted(ids(result)) == sorted(alvys.truth_keys(stream="trips", window_by=window, since=EARLY))
    assert set(new) <= set(ids(result))
    assert result["proof"] == "whole"
    (search,) = read_manifest(result["manifest"])["searches"]
    assert search["asked"] == {"IncludeDeleted": True}
    assert warnings(caplog) == [("trips", NEW)]


@pytest.mark.parametrize("name", CONTROLLED)
def test_a_read_of_all_rows_counts_those_that_no_list_of_statuses_finds(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    alvys.reset(loads=450, fleet=300)
    new = alvys.change(stream=name, rows=3, columns={"Status": NEW})
    result = land(stream=name, window_by="whole")
    assert not set(new) & set(ids(result))
    # What is not proved complete marks no row as missing.
    assert result["proof"] == "open"
    (found,) = [args for args in warnings(caplog) if len(args) == 3]
    assert found[:2] == (name, "3")


@pytest.mark.parametrize("name", CONTROLLED)
def test_a_read_of_all_rows_with_known_statuses_is_complete(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    result = land(stream=name, window_by="whole")
    assert result["proof"] == "whole"
    assert warnings(caplog) == []


@pytest.mark.parametrize("name", CONTROLLED)
@pytest.mark.parametrize(("status", "proof"), [(400, "whole"), (403, "whole"), (500, "open"), (502, "open")])
def test_a_failed_comparison_does_not_fail_the_sync(
    alvys: Simulator, land: Land, name: str, status: int, proof: str
) -> None:
    control = get_stream(name).control
    assert control
    endpoint = str(get_stream(control.stream or name).endpoint)
    pages = read_manifest(land(stream=name, window_by="whole")["manifest"])["requests"]
    skip = 0 if control.stream else pages
    body = "html" if status == 502 else "json"
    fault = {"kind": "status", "status": status, "body": body, "endpoint": endpoint}
    alvys.order_faults({**fault, "skip": skip, "times": 9})
    # What was not compared is not proved complete, unless Alvys takes no such search.
    assert land(stream=name, window_by="whole")["proof"] == proof


@pytest.mark.parametrize("name", CONTROLLED)
def test_deferrals_at_a_slow_pace_come_to_an_end(
    alvys: Simulator, clock: SkippingClock, lake: Path, name: str
) -> None:
    spec = SyncSpec(get_stream(name), "tenant", window_by="whole")
    identity = RunIdentity(dag_id="d", task_id="t", map_index=-1, run_id="r")
    for number in range(20):
        client = make_client(alvys, requests_per_minute=1, clock=BoundedClock(clock, defer_after=0.0))
        try:
            result = land_stream(client, Store(str(lake)), spec, identity, is_resumed=number > 0)
            break
        except DeferRequested as request:
            clock.sleep(request.seconds)
    assert set(ids(result)) == set(alvys.truth_keys(stream=name))
    # The last comparison gives up rather than wait.
    assert result["waited"] == pytest.approx(sum(clock.sleeps), abs=0.01)


@pytest.mark.parametrize(
    ("name", "filter", "column"),
    [
        ("loads", "LoadNumbers", "LoadNumber"),
        ("carriers", "Ids", "Id"),
        ("trips", "LoadNumbers", "LoadNumber"),
    ],
)
def test_a_row_that_another_filter_finds_is_named_once(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture, name: str, filter: str, column: str
) -> None:
    rows = [json.loads(row) for row in alvys.truth_rows(stream=name)[:3]]
    alvys.change(stream=name, keys=[row["Id"] for row in rows], columns={"Status": NEW})
    result = land(stream=name, filters={filter: [row[column] for row in rows]}, window_by="whole")
    assert set(ids(result)) == {row["Id"] for row in rows}
    assert warnings(caplog) == [(name, NEW)]


def test_a_server_cannot_flood_the_log_with_statuses(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture
) -> None:
    for number, key in enumerate(alvys.truth_keys(stream="trips")[:60]):
        alvys.change(stream="trips", keys=[key], columns={"Status": f"{number}\n" + "x" * 1000})
    land(stream="trips", since=EARLY, until=LATE)
    assert len(warnings(caplog)) == 20
    assert all(len(status) <= 80 for _, status in warnings(caplog))


def test_a_search_begun_with_a_list_of_statuses_resumes_without_it(
    alvys: Simulator, client: AlvysClient
) -> None:
    trips = get_stream("trips")
    new = alvys.change(stream="trips", rows=40, columns={"Status": NEW})
    window = {"since": EARLY, "until": f"{datetime.now(timezone.utc) + timedelta(days=1):%Y-%m-%dT00:00:00Z}"}
    (query,) = make_search_queries(trips, {}, **window, window_by=None, parents=None)
    # As earlier versions sent it.
    earlier = Search(client, trips, [replace(query, fields=trips.search_fields({}))], page_size=50)
    pages = iter(earlier)
    rows = [*next(pages), *next(pages)]
    resumed = Search(client, trips, [query], page_size=50, state=earlier.save())
    rows += [row for page in resumed for row in page]
    keys = [json.loads(bytes(row))["Id"] for row in rows]
    assert sorted(keys) == sorted(alvys.truth_keys(stream="trips", since=EARLY))
    assert set(new) <= set(keys)
    assert resumed.proof == "whole"
