"""A lookup that finds a record whose number or id differs in upper and lower case only."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.poll.conditions import StatusReached, poll_once
from airflow_provider_alvys.api.read.lookup import look_up, look_up_with_etag
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor, AlvysTripStatusSensor
from tests.conftest import SkippingClock
from tests.recorder import CannedResponse, Recorder


def selectors() -> list[Any]:
    found = []
    for stream in STREAMS.values():
        if stream.lookup is None:
            continue
        in_path = re.findall(r"\{(\w+)\}", stream.lookup.path)
        others = dict.fromkeys(in_path[:-1], "P1")
        columns = stream.lookup.one_of or {in_path[-1]: stream.key[0]}
        found += [
            pytest.param(stream, {**others, name: "abc1"}, column, id=f"{stream.name}-{name}")
            for name, column in columns.items()
            if stream.fields.fields.get(column) == "string"
        ]
    return found


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(("stream", "selector", "column"), selectors())
@pytest.mark.parametrize("returned", ["ABC1", "abc1", "ABC2", None, 1])
def test_a_record_that_differs_in_case_is_returned_with_a_warning(
    recorder: Recorder,
    clock: SkippingClock,
    caplog: pytest.LogCaptureFixture,
    stream: Stream,
    selector: dict[str, str],
    column: str,
    returned: Any,
) -> None:
    recorder.default = CannedResponse(200, {column: returned})
    client = recorder.client(clock)
    for read in (look_up, look_up_with_etag):
        caplog.clear()
        read(client, stream, selector)
        found = warnings_of(caplog)
        assert len(found) == (returned == "ABC1")
        assert all("abc1" in message and "ABC1" in message for message in found)


@pytest.mark.parametrize("stream", ["loads", "trips"])
@pytest.mark.parametrize("wait_if_missing", [True, False])
def test_a_status_of_a_record_that_differs_in_case_is_not_taken(
    recorder: Recorder, clock: SkippingClock, stream: str, wait_if_missing: bool
) -> None:
    number = get_stream(stream).number_field
    row = {"Id": "R1", number: "ABC1", "Status": "Delivered"}
    recorder.default = CannedResponse(200, {"Page": 0, "PageSize": 200, "Total": 1, "Items": [row]})
    client = recorder.client(clock)
    arguments: dict[str, Any] = {
        "stream": stream,
        "statuses": ["Delivered"],
        "wait_if_missing": wait_if_missing,
    }
    result = poll_once(client, StatusReached(number="abc1", **arguments))
    assert (result.outcome, result.level) == ("waiting" if wait_if_missing else "failed", logging.WARNING)
    assert "abc1" in result.message
    assert "ABC1" in result.message
    other = poll_once(client, StatusReached(number="abc2", **arguments))
    assert (other.outcome, other.level) == (result.outcome, logging.INFO)
    assert poll_once(client, StatusReached(number="ABC1", **arguments)).outcome == "done"


@pytest.mark.parametrize(
    "sensor",
    [
        AlvysLoadStatusSensor(task_id="wait", load_number="abc1", statuses="Delivered", poke_interval=0.01),
        AlvysTripStatusSensor(task_id="wait", trip_number="abc1", statuses="Delivered", poke_interval=0.01),
    ],
    ids=["load", "trip"],
)
def test_a_sensor_in_a_slot_logs_a_warning(recorder: Recorder, clock: SkippingClock, sensor: Any) -> None:
    for number in ("ABC1", "abc1"):
        row = {"Id": "R1", "LoadNumber": number, "TripNumber": number, "Status": "Delivered"}
        page = {"Page": 0, "PageSize": 200, "Total": 1, "Items": [row]}
        recorder.responses.append(CannedResponse(200, page))
    hook = AlvysHook()
    hook._client = recorder.client(clock)
    sensor.hook = hook
    with capture_logs() as logs:
        sensor.execute({})
    (found,) = [entry for entry in logs if {"abc1", "ABC1"} <= set(re.findall(r"\w+", str(entry)))]
    assert found["log_level"] == "warning"
