"""What a task's log shows of an error of this package: what it says, and few frames."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys._compat import AirflowFailException
from airflow_provider_alvys.api.errors import AlvysError, AlvysNotFoundError, AlvysPermissionError
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.alvys import (
    AlvysRequestOperator,
    AlvysSearchOperator,
    AlvysWriteOperator,
)
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator
from tests.writes import body_of

pytestmark = pytest.mark.every_airflow

# Of this test, of Airflow around execute, of its loop of a sensor, and the one that raises again.
MAX_FRAMES = 8

TASKS: dict[str, Callable[[Path], Any]] = {
    "request": lambda lake: AlvysRequestOperator(task_id="t", method="POST", path="loads/search", json={}),
    "search": lambda lake: AlvysSearchOperator(task_id="t", stream="loads"),
    "sync": lambda lake: AlvysToObjectStorageOperator(
        task_id="t", stream="loads", path=str(lake), window_by="whole"
    ),
    "sensor": lambda lake: AlvysLoadStatusSensor(task_id="t", load_number="1", statuses="Delivered"),
    "write": lambda lake: AlvysWriteOperator(
        task_id="t",
        operation="invoices.record_carrier_payment",
        body={**body_of("invoices.record_carrier_payment"), "TripId": "T-404"},
    ),
    "database": lambda lake: AlvysObjectStorageToSqlOperator(
        task_id="t", stream="loads", path=str(lake), sql_conn_id="none", manifest="other"
    ),
}
CALLS: dict[str, Callable[[AlvysHook], Any]] = {
    "request": lambda hook: hook.request("POST", "loads/search", json={}),
    "search": lambda hook: list(hook.search("loads")),
    "count": lambda hook: hook.count("loads"),
    "get": lambda hook: hook.get("loads", loadNumber="1"),
    "write": lambda hook: hook.write(
        "invoices.record_carrier_payment",
        body={**body_of("invoices.record_carrier_payment"), "TripId": "T-404"},
    ),
}


def assert_is_short(error: BaseException) -> None:
    """Check what Airflow's log shows of an error."""
    shown = "".join(traceback.format_exception(error))
    assert len(traceback.extract_tb(error.__traceback__)) <= MAX_FRAMES, shown
    assert "tenacity" not in shown
    # Airflow before 3.3 has the error as the cause of one that it does not retry.
    assert error.__cause__ is None or isinstance(error, AirflowFailException)
    assert error.__cause__ is None or error.__cause__.__traceback__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("name", TASKS)
def test_an_error_of_a_task_has_few_frames_and_at_debug_all_of_them(
    name: str, alvys: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alvys.reset(loads=1, scopes="trip:read invoice:update")
    caplog.set_level(logging.DEBUG, "airflow_provider_alvys.tracebacks")
    with pytest.raises((AlvysError, AirflowFailException)) as caught:
        TASKS[name](tmp_path).execute({})
    assert_is_short(caught.value)
    assert any(record.exc_info and record.levelno == logging.DEBUG for record in caplog.records)
    assert name == "database" or "tenacity" in caplog.text


@pytest.mark.parametrize("name", CALLS)
def test_an_error_of_a_hook_has_few_frames(name: str, alvys: Simulator) -> None:
    alvys.reset(loads=1, scopes="trip:read invoice:update")
    with pytest.raises(AlvysError) as caught:
        CALLS[name](AlvysHook())
    assert_is_short(caught.value)
    assert isinstance(caught.value, (AlvysPermissionError, AlvysNotFoundError))


def test_an_error_that_is_not_of_this_package_keeps_its_frames(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(AlvysHook, "get_conn", fail)
    with pytest.raises(KeyError) as caught:
        AlvysHook().count("loads")
    assert any(frame.name == "fail" for frame in traceback.extract_tb(caught.value.__traceback__))


def test_a_stream_of_a_sweep_that_fails_is_one_line(
    alvys: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow's own logger depends on its version.
    monkeypatch.setattr(AlvysSweepToObjectStorageOperator, "log", logging.getLogger("sweep"))
    alvys.reset(loads=1)
    alvys.order_faults({"kind": "status", "status": 409, "endpoint": "POST trucks/search"})
    task = AlvysSweepToObjectStorageOperator(
        task_id="t", streams=["drivers", "trucks"], path=str(tmp_path / "lake")
    )
    with pytest.raises((AlvysError, AirflowFailException)) as caught:
        task.execute({})
    assert_is_short(caught.value)
    (line,) = [record for record in caplog.records if "trucks failed" in record.getMessage()]
    assert line.levelno == logging.ERROR
    assert "409" in line.getMessage()
    assert line.exc_info is None
