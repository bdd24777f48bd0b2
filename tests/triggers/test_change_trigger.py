"""The trigger as a DAG declares it. Its polling is tested in test_change_loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk import Asset, AssetWatcher

from airflow_provider_alvys import AlvysChangeTrigger
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import StoppedClock
from tests.pages import Block, block_params, has_shape

pytestmark = pytest.mark.every_airflow

PATH = "airflow_provider_alvys.triggers.alvys.AlvysChangeTrigger"


def test_it_is_created_again_from_plain_values() -> None:
    trigger = AlvysChangeTrigger(where={"Status": "Delivered", "CustomerId": ("CU1", "CU2")})
    path, arguments = trigger.serialize()
    assert path == PATH
    assert json.loads(json.dumps(arguments)) == {
        "alvys_conn_id": "alvys_default",
        "stream": "loads",
        "where": {"Status": ["Delivered"], "CustomerId": ["CU1", "CU2"]},
        "window_by": "updated",
        "poll_interval": 60.0,
    }

    async def in_a_triggerer() -> AlvysChangeTrigger:
        return AlvysChangeTrigger(**arguments)

    for again in (AlvysChangeTrigger(**arguments), asyncio.run(in_a_triggerer())):
        assert again.serialize() == (path, arguments)


def test_an_asset_watcher_accepts_it() -> None:
    asset = Asset("changes", watchers=[AssetWatcher(name="loads", trigger=AlvysChangeTrigger())])
    assert asset.watchers[0].trigger.serialize()[0] == PATH


def test_windows_on_business_dates_are_polled_less_often() -> None:
    assert AlvysChangeTrigger(stream="fuel").poll_interval == 900
    assert AlvysChangeTrigger(stream="fuel", poll_interval=300).poll_interval == 300


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param({"stream": "lods"}, "'lods'", id="stream"),
        pytest.param({"stream": "drivers"}, "drivers", id="no window"),
        pytest.param({"stream": "load_documents"}, "load_documents", id="child"),
        pytest.param({"window_by": "update"}, "'update'", id="window"),
        pytest.param({"where": {"Statsu": "Open"}}, "'Statsu'.*Status", id="field"),
        pytest.param({"where": {"Status": ["Deliverd"]}}, "'Deliverd'", id="status"),
        pytest.param({"where": {"Status": []}}, "where\\['Status'\\]", id="no value"),
        pytest.param({"where": ["Status"]}, "where=", id="list"),
        pytest.param({"where": {"Fleet": "East"}}, "'Fleet'", id="object"),
        pytest.param({"poll_interval": 0}, "poll_interval", id="no time"),
        pytest.param({"where": {"CustomerId": ["{{ var.value.customer }}"]}}, "template", id="template"),
        pytest.param({"alvys_conn_id": "{{ var.value.conn }}"}, "template", id="template of the connection"),
        pytest.param({"poll_interval": "60"}, "poll_interval", id="text"),
    ],
)
def test_invalid_arguments_are_refused_while_the_dag_is_parsed(
    arguments: Mapping[str, Any], problem: str
) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        AlvysChangeTrigger(**arguments)


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/triggers/test_change_trigger.py::test_it_reports_changes")
)
def test_it_reports_changes(block: Block, alvys: Simulator) -> None:
    clock = StoppedClock()
    alvys.set_clock(clock.now)
    changed: list[str] = []

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if seconds > 1 and not changed:
            changed.extend(alvys.change(rows=2, columns={"Status": "Delivered"}))
        alvys.set_clock(clock.now + 2)
        await asyncio.sleep(0.01)

    async def first_event() -> dict[str, Any]:
        trigger = AlvysChangeTrigger(where={"Status": ["Delivered"]})
        trigger.clock, trigger.sleep = clock, sleep
        async for event in trigger.run():
            return dict(event.payload)
        raise AssertionError("The trigger ended")

    payload = asyncio.run(first_event())
    assert {change["id"] for change in payload["changes"]} == set(changed)
    assert has_shape(payload, json.loads(block.text))
