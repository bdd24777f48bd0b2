from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import PokeReturnValue

from airflow_provider_alvys._compat import AirflowFailException, AirflowSkipException
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor
from airflow_provider_alvys.simulator.process import Simulator


def make_sensor(**arguments: Any) -> AlvysLoadStatusSensor:
    return AlvysLoadStatusSensor(task_id="wait", **{"statuses": ["Delivered", "Invoiced"], **arguments})


@pytest.fixture
def number(alvys: Simulator) -> str:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    return next(row["LoadNumber"] for row in rows if row["Status"] == "Covered" and not row["IsDeleted"])


@pytest.mark.every_airflow
def test_it_waits_until_the_load_has_the_status(alvys: Simulator, number: str) -> None:
    sensor = make_sensor(load_number=number)
    assert not sensor.poke({})
    alvys.change(keys=[number], columns={"Status": "Delivered"})
    result = sensor.poke({})
    assert isinstance(result, PokeReturnValue)
    assert result.is_done
    assert result.xcom_value["load_number"] == number
    assert result.xcom_value["status"] == "Delivered"
    assert set(result.xcom_value) == {"load_number", "id", "status", "updated_at"}
    # One search a poke, one token for all.
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 2}


def test_it_pokes_until_then(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Delivered"})
    assert make_sensor(load_number=number, statuses="Delivered", mode="poke").execute({})["status"] == "Delivered"


def test_a_load_that_does_not_exist_yet_is_waited_for(alvys: Simulator) -> None:
    assert not make_sensor(load_number="none").poke({})


def test_a_deleted_load_counts_as_none(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Delivered", "IsDeleted": True})
    assert not make_sensor(load_number=number).poke({})


@pytest.mark.parametrize("statuses", ["Deliverd", ["Delivered", "delivered"], [], None])
def test_a_status_that_alvys_does_not_know_is_refused_at_parse(statuses: Any) -> None:
    with pytest.raises(AlvysValueError, match="Status of loads"):
        make_sensor(load_number="1", statuses=statuses)


def test_templates_are_left_for_the_run(alvys: Simulator) -> None:
    sensor = make_sensor(load_number="{{ params.load }}", statuses="{{ params.status }}")
    sensor.statuses = ["Deliverd"]
    with pytest.raises(AlvysValueError, match="does not know 'Deliverd'"):
        sensor.poke({})
    assert make_sensor(load_number="1", mode="reschedule").mode == "reschedule"


@pytest.mark.every_airflow
@pytest.mark.parametrize(("option", "error"), [("soft_fail", AirflowSkipException), ("silent_fail", AirflowFailException)])
def test_what_cannot_be_mended_ends_the_wait_whatever_airflow(alvys: Simulator, option: str, error: type[Exception]) -> None:
    alvys.order_faults({"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 9})
    sensor = make_sensor(load_number="1", mode="poke", poke_interval=0.01, timeout=5, **{option: True})
    with pytest.raises(error):
        sensor.execute({})
    assert alvys.stats()["requests"]["POST loads/search"] == 1
