from __future__ import annotations

import json
import logging
import re
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from airflow.sdk import DAG, PokeReturnValue, XComArg

from airflow_provider_alvys._compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysNotFoundError,
    AlvysServerError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from airflow_provider_alvys.api.poll.conditions import Condition
from airflow_provider_alvys.operators.alvys import AlvysSearchOperator
from airflow_provider_alvys.sensors.alvys import (
    AlvysDocumentSensor,
    AlvysLoadStatusSensor,
    AlvysSearchSensor,
    AlvysTripStatusSensor,
)
from airflow_provider_alvys.sensors.base import AlvysSensor
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers.alvys import AlvysSensorTrigger

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred  # type: ignore[no-redef]


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
    # One search per poll, one token for all.
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 2}


def test_it_polls_in_a_slot_and_returns_the_load(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Delivered"})
    assert (
        make_sensor(load_number=number, statuses="Delivered", mode="poke").execute({})["status"]
        == "Delivered"
    )


def test_a_missing_load_is_waited_for(alvys: Simulator) -> None:
    assert not make_sensor(load_number="none").poke({})


def test_a_deleted_load_counts_as_missing(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Delivered", "IsDeleted": True})
    assert not make_sensor(load_number=number).poke({})


@pytest.mark.parametrize("statuses", ["Deliverd", ["Delivered", "delivered"], [], None])
def test_an_unknown_status_is_refused_at_parse(statuses: Any) -> None:
    with pytest.raises(AlvysValueError, match="Status of loads"):
        make_sensor(load_number="1", statuses=statuses)


def test_templated_arguments_are_checked_in_the_run(alvys: Simulator) -> None:
    sensor = make_sensor(load_number="{{ params.load }}", statuses="{{ params.status }}")
    sensor.statuses = ["Deliverd"]
    with pytest.raises(AlvysValueError, match="'Deliverd'"):
        sensor.poke({})
    assert make_sensor(load_number="1", mode="reschedule").mode == "reschedule"


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("option", "error"), [("soft_fail", AirflowSkipException), ("silent_fail", AirflowFailException)]
)
def test_an_error_that_no_retry_can_fix_ends_the_wait(
    alvys: Simulator, option: str, error: type[Exception]
) -> None:
    alvys.order_faults({"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 9})
    sensor = make_sensor(load_number="1", mode="poke", poke_interval=0.01, timeout=5, **{option: True})
    with pytest.raises(error):
        sensor.execute({})
    assert alvys.stats()["requests"]["POST loads/search"] == 1


def defer(sensor: AlvysSensor) -> tuple[AlvysSensorTrigger, TaskDeferred]:
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    trigger = deferred.value.trigger
    assert isinstance(trigger, AlvysSensorTrigger)
    return trigger, deferred.value


def resume(sensor: AlvysSensor, **event: Any) -> Any:
    """Resume a sensor with the event of its trigger, as a worker does."""
    return sensor.resume_execution("execute_complete", {"event": event or None}, {})


SUCCESS = {"status": "success", "message": "It is", "is_partial": False}


@pytest.mark.every_airflow
def test_a_deferrable_sensor_defers_without_a_poll(alvys: Simulator) -> None:
    sensor = make_sensor(
        load_number=7,
        deferrable=True,
        timeout=3600,
        poke_interval=timedelta(minutes=2),
        exponential_backoff=True,
        max_wait=timedelta(minutes=10),
        silent_fail=True,
    )
    before = time.time()
    trigger, deferred = defer(sensor)
    assert alvys.stats()["requests"] == {}
    assert deferred.method_name == "execute_complete"
    _, kwargs = trigger.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert before + 3600 <= kwargs.pop("deadline") <= time.time() + 3600
    assert before <= kwargs.pop("started") <= time.time()
    condition = msgspec.convert(kwargs.pop("condition"), Condition)  # type: ignore[arg-type]
    assert condition == sensor.condition()
    assert kwargs == {
        "alvys_conn_id": "alvys_default",
        "poke_interval": 120.0,
        "exponential_backoff": True,
        "max_wait": 600.0,
        "silent_fail": True,
    }
    # Airflow's timeout comes after the trigger's.
    assert timedelta(seconds=3600) < deferred.timeout < timedelta(seconds=3900)


@pytest.mark.every_airflow
def test_the_triggers_value_is_returned_without_a_request(alvys: Simulator) -> None:
    value = {"load_number": "1", "id": "L1", "status": "Delivered", "updated_at": None}
    assert resume(make_sensor(load_number="1"), **SUCCESS, value=value) == value
    assert alvys.stats()["requests"] == {}


FAILED = {"status": "failed", "message": "Load 1 is Cancelled"}
TIMEOUT = {"status": "timeout", "message": "The wait has timed out"}
HOPELESS = {"status": "error", "message": "400", "error": "AlvysValidationError", "is_hopeless": True}
BUG = {"status": "error", "message": "division by zero", "error": "ZeroDivisionError", "is_hopeless": False}
SKIPPED = AirflowSkipException


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("event", "option", "error"),
    [
        (FAILED, None, AirflowFailException),
        (FAILED, "soft_fail", SKIPPED),
        (FAILED, "never_fail", SKIPPED),
        (FAILED, "silent_fail", AirflowFailException),
        (TIMEOUT, None, AirflowSensorTimeout),
        (TIMEOUT, "soft_fail", SKIPPED),
        (TIMEOUT, "never_fail", SKIPPED),
        (HOPELESS, None, AirflowFailException),
        (HOPELESS, "soft_fail", SKIPPED),
        (HOPELESS, "never_fail", SKIPPED),
        # A bug is retried, and not skipped, except with never_fail.
        (BUG, None, AlvysError),
        (BUG, "soft_fail", AlvysError),
        (BUG, "never_fail", SKIPPED),
        ({}, None, AlvysError),
        ({"status": "whatever"}, None, AlvysError),
    ],
)
def test_each_event_of_the_trigger_ends_the_task(
    event: dict[str, Any], option: str | None, error: type[Exception]
) -> None:
    sensor = make_sensor(load_number="1", deferrable=True, **({option: True} if option else {}))
    with pytest.raises(error) as raised:
        resume(sensor, **event)
    assert type(raised.value) is error


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("change", "option", "error"),
    [
        ("Cancelled", None, AirflowFailException),
        ("Cancelled", "soft_fail", SKIPPED),
        ("Cancelled", "never_fail", SKIPPED),
        ("Covered", None, AirflowSensorTimeout),
        ("Covered", "soft_fail", SKIPPED),
        ("Covered", "never_fail", SKIPPED),
    ],
)
def test_a_wait_in_a_slot_ends_in_the_same_way(
    alvys: Simulator, number: str, change: str, option: str | None, error: type[Exception]
) -> None:
    alvys.change(keys=[number], columns={"Status": change})
    sensor = make_sensor(
        load_number=number, poke_interval=0.01, timeout=0, **({option: True} if option else {})
    )
    with pytest.raises(error) as raised:
        sensor.execute({})
    assert type(raised.value) is error


def test_the_final_poll_in_a_slot_is_at_the_deadline(alvys: Simulator, number: str) -> None:
    sensor = make_sensor(load_number=number, mode="poke", poke_interval=30, timeout=0.2)
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute({})
    assert alvys.stats()["requests"]["POST loads/search"] == 2


@pytest.mark.every_airflow
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_wait_in_a_slot_logs_until_when_it_polls(
    alvys: Simulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    class Instance:
        def get_first_reschedule_date(self, context: Any) -> datetime:
            return datetime.now(timezone.utc)

    caplog.set_level(logging.INFO)
    short = mode == "poke"
    times = {"poke_interval": 0.01, "timeout": 0.3} if short else {"poke_interval": 60, "timeout": 3600}
    sensor = make_sensor(load_number="1000001", mode=mode, **times)
    with pytest.raises((AirflowSensorTimeout, AirflowRescheduleException)):
        sensor.execute({"ti": Instance()})
    # Airflow 3.3 logs to standard output.
    text = capsys.readouterr().out + caplog.text
    assert text.count("There is no load 1000001. Polling every ") == 1
    until = re.search(r"every (\S+) s until (.+ UTC)", text)
    assert until
    end = datetime.strptime(until[2], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc)
    ahead = (end - datetime.now(timezone.utc)).total_seconds()
    assert ahead == pytest.approx(0 if short else 3600, abs=5)


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        pytest.param(600, 60, id="an interval"),
        pytest.param(30, 30, id="until the deadline"),
        pytest.param(2, 10, id="as soon as Airflow allows"),
    ],
)
def test_a_task_is_rescheduled_for_its_deadline_if_that_comes_first(
    alvys: Simulator, number: str, left: float, seconds: float
) -> None:
    class Instance:
        def get_first_reschedule_date(self, context: Any) -> datetime:
            return datetime.now(timezone.utc) - timedelta(seconds=3600 - left)

    sensor = make_sensor(load_number=number, mode="reschedule", poke_interval=60, timeout=3600)
    with pytest.raises(AirflowRescheduleException) as rescheduled:
        sensor.execute({"ti": Instance()})
    ahead = rescheduled.value.reschedule_date - datetime.now(timezone.utc)
    assert ahead.total_seconds() == pytest.approx(seconds, abs=1.5)


def test_a_failure_that_may_pass_ends_the_attempt_in_a_slot(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_alvys.api.http.client.RetryRules", lambda: ONE_ATTEMPT)
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": "POST loads/search"})
    with pytest.raises(AlvysServerError):
        make_sensor(load_number="1").execute({})


def test_a_404_from_a_search_ends_the_attempt_in_a_slot(alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 404, "endpoint": "POST loads/search"})
    with pytest.raises(AlvysNotFoundError):
        make_sensor(load_number="1").execute({})


def test_spaces_around_a_number_are_removed(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Delivered"})
    result = make_sensor(load_number=f" {number}\n").poke({})
    assert result.is_done
    assert result.xcom_value["load_number"] == number


def test_a_later_status_counts_unless_or_later_is_false(alvys: Simulator, number: str) -> None:
    alvys.change(keys=[number], columns={"Status": "Completed"})
    assert make_sensor(load_number=number, statuses="Delivered").poke({})
    assert not make_sensor(load_number=number, statuses="Delivered", or_later=False).poke({})


def test_a_missing_load_fails_the_sensor_without_wait_if_missing(alvys: Simulator) -> None:
    with pytest.raises(AirflowFailException, match="There is no load none"):
        make_sensor(load_number="none", wait_if_missing=False).poke({})


def test_a_trip_is_waited_for(alvys: Simulator) -> None:
    trip = json.loads(next(iter(alvys.truth_rows(stream="trips", filters={"IncludeDeleted": False}))))
    sensor = AlvysTripStatusSensor(
        task_id="wait", trip_number=trip["TripNumber"], statuses=trip["Status"], failed_statuses=None
    )
    assert sensor.execute({})["trip_number"] == trip["TripNumber"]


def test_a_document_is_waited_for(alvys: Simulator, number: str) -> None:
    sensor = AlvysDocumentSensor(task_id="wait", parent_id=number, document_types="Odd Receipt")
    assert not sensor.poke({})
    alvys.add(stream="load_documents", parent=number, columns={"AttachmentType": "Odd Receipt"})
    assert sensor.execute({})["AttachmentType"] == "Odd Receipt"


def test_rows_are_waited_for_and_all_their_keys_are_returned(alvys: Simulator) -> None:
    sensor = AlvysSearchSensor(task_id="wait", stream="loads", at_least=450)
    assert sorted(sensor.execute({})) == sorted(alvys.truth_keys())
    few = AlvysSearchSensor(task_id="wait", stream="loads", filters={"Status": ["Covered"]})
    assert sorted(few.execute({})) == sorted(
        alvys.truth_keys(filters={"Status": ["Covered"], "IncludeDeleted": True})
    )


@pytest.mark.every_airflow
def test_the_keys_beyond_a_page_are_read_in_the_worker(alvys: Simulator) -> None:
    sensor = AlvysSearchSensor(task_id="wait", stream="loads", deferrable=True)
    assert sorted(resume(sensor, **{**SUCCESS, "is_partial": True}, value=None)) == sorted(alvys.truth_keys())
    assert resume(sensor, **SUCCESS, value=["L1"]) == ["L1"]


@pytest.mark.parametrize(
    ("make", "arguments", "problem"),
    [
        (
            AlvysTripStatusSensor,
            {"trip_number": "1", "statuses": "En-Route"},
            "Status of trips",
        ),
        (
            AlvysTripStatusSensor,
            {"trip_number": "1", "statuses": "Open", "failed_statuses": "Gone"},
            "'Gone'",
        ),
        (
            AlvysDocumentSensor,
            {"parent_type": "customer", "parent_id": "1", "document_types": "x"},
            "'customer'",
        ),
        (AlvysDocumentSensor, {"parent_id": "1", "document_types": []}, "document_types"),
        (AlvysDocumentSensor, {"parent_id": None, "document_types": "x"}, "None"),
        (AlvysSearchSensor, {"stream": "load"}, "'load'"),
        (
            AlvysSearchSensor,
            {"stream": "loads", "filters": {"Statuses": ["{{ ds }}"]}},
            "'Statuses'",
        ),
        (AlvysSearchSensor, {"stream": "loads", "at_least": 0}, "at_least=0"),
        (AlvysSearchSensor, {"stream": "webhook_event_types"}, "webhook_event_types have no key"),
        (AlvysSearchSensor, {"stream": "load_documents"}, "parents"),
        (AlvysSearchSensor, {"stream": "load_documents", "parents": "1"}, "parents"),
        (AlvysSearchSensor, {"stream": "loads", "until": "2026-01-01T00:00:00Z"}, "since"),
    ],
)
def test_wrong_arguments_are_refused_at_parse(make: Any, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        make(task_id="wait", **arguments)


def test_wrong_templated_arguments_are_refused_before_the_wait(alvys: Simulator) -> None:
    sensor = AlvysDocumentSensor(
        task_id="wait", parent_id="{{ x }}", document_types="x", deferrable=True, never_fail=True
    )
    sensor.parent_id = None  # type: ignore[assignment]
    with pytest.raises(AlvysValueError, match="None"):
        sensor.execute({})
    with DAG("templated"):
        before = XComArg(AlvysSearchOperator(task_id="before", stream="loads"))
        AlvysLoadStatusSensor(task_id="load", load_number=before, statuses=before)  # type: ignore[arg-type]
        AlvysDocumentSensor(task_id="document", parent_id=before, document_types=before)  # type: ignore[arg-type]
        AlvysSearchSensor(task_id="rows", stream="load_documents", parents=before)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [["8000001"], {"LoadNumber": "8000001"}, True, 8000001.0])
def test_a_value_that_is_not_a_number_or_an_id_is_refused(alvys: Simulator, number: Any) -> None:
    """Such as the output of a task that returns a list."""
    with pytest.raises(AlvysValueError, match="map the sensor"):
        make_sensor(load_number=number)
    sensor = make_sensor(load_number="{{ x }}")
    sensor.load_number = number
    with pytest.raises(AlvysValueError, match="map the sensor"):
        sensor.execute({})


def test_numbers_in_lists_are_strings_in_the_trigger(alvys: Simulator) -> None:
    parents: Any = (8000001, "8000002")
    sensor = AlvysSearchSensor(task_id="wait", stream="load_documents", parents=parents, deferrable=True)
    trigger, _ = defer(sensor)
    assert trigger.condition["parents"] == ["8000001", "8000002"]
