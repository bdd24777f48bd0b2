"""Every place that takes a status for a statement of Alvys, behind a gateway that responds in its place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysSweepToObjectStorageOperator,
    RecentParents,
)
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysGatewayError,
    AlvysResponseError,
    AlvysUnknownOutcomeError,
    is_hopeless,
)
from airflow_provider_alvys.api.poll.conditions import Condition, DocumentExists, RowsFound, StatusReached
from airflow_provider_alvys.api.poll.conditions import poll_once as poll
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.sensors.alvys import AlvysDocumentSensor, AlvysLoadStatusSensor
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers.alvys import AlvysSensorTrigger
from tests.conftest import QuickHook, StoppedClock
from tests.triggers.test_alvys import Triggerer
from tests.writes import request_to

WEEK = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-08T00:00:00Z"}


class Place:
    """Calls of the package against one simulator."""

    def __init__(self, alvys: Simulator, hook: QuickHook, lake: Path) -> None:
        self.alvys, self.hook, self.lake = alvys, hook, lake
        self.number = json.loads(alvys.truth_rows()[0])["LoadNumber"]
        self.truck = json.loads(alvys.truth_rows(stream="trucks")[0])["Id"]

    def search(self, stream: str, **arguments: Any) -> Any:
        return list(self.hook.search(stream, **arguments))

    def children(self) -> Any:
        return self.search("load_documents", parents=[self.number])

    def events(self) -> Any:
        return self.search("truck_events", parents=[self.truck], **WEEK)

    def get(self) -> Any:
        return self.hook.get("loads", loadNumber=self.number)

    def request(self) -> Any:
        return self.hook.request("GET", "loads", params={"loadNumber": self.number})

    def sync(self, land: Callable[..., Any], **arguments: Any) -> Any:
        return land(on_missing_scope="skip", **arguments)

    def sweep(self) -> Any:
        operator = AlvysSweepToObjectStorageOperator(
            task_id="sweep", streams=["drivers", "trucks"], path=str(self.lake), on_missing_scope="skip"
        )
        return self.execute(operator)

    def documents(self) -> Any:
        operator = AlvysDocumentsToObjectStorageOperator(
            task_id="documents", parents=[self.number], path=str(self.lake), parent_type="load"
        )
        return self.execute(operator)

    def execute(self, operator: Any) -> Any:
        operator.hook = self.hook
        return operator.execute({})

    def poll(self, condition: Condition) -> Any:
        return poll(self.hook.get_conn(), condition)

    def poke(self, sensor: Any) -> Any:
        sensor.hook = self.hook
        return sensor.poke({})

    def write(self, name: str) -> Any:
        return self.hook.write(name, **request_to(self.alvys, name))


def make_places(place: Place, land: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
    number = place.number
    return {
        "search": partial(place.search, "loads"),
        "count": partial(place.hook.count, "loads"),
        "children": place.children,
        "events": place.events,
        "get": place.get,
        "request": place.request,
        "plan": partial(place.hook.plan, ["loads"]),
        "sync": partial(place.sync, land),
        "sync of children": partial(place.sync, land, stream="load_documents", parents=[number]),
        "sweep": place.sweep,
        "documents": place.documents,
        "status": partial(
            place.poll,
            StatusReached(stream="loads", number=number, statuses=["Invoiced"], wait_if_missing=False),
        ),
        "document": partial(
            place.poll, DocumentExists(parent="load", id=number, types=["POD"], wait_if_missing=False)
        ),
        "rows": partial(place.poll, RowsFound(stream="loads")),
        "rows of children": partial(place.poll, RowsFound(stream="load_documents", parents=[number])),
        "status sensor": partial(
            place.poke,
            AlvysLoadStatusSensor(
                task_id="x", load_number=number, statuses="Invoiced", wait_if_missing=False, soft_fail=True
            ),
        ),
        "document sensor": partial(
            place.poke,
            AlvysDocumentSensor(task_id="x", parent_id=number, document_types="POD", wait_if_missing=False),
        ),
        "ETag of a write": partial(place.write, "loads.update"),
    }


@pytest.fixture
def place(alvys: Simulator, hook: QuickHook, lake: Path) -> Place:
    alvys.reset(loads=5, fleet=5)
    return Place(alvys, hook, lake)


READS = [
    "search", "count", "children", "events", "get", "request", "plan", "sync", "sync of children", "sweep",
    "documents", "status", "document", "rows", "rows of children", "status sensor", "document sensor",
    "ETag of a write",
]  # fmt: skip


def gateway(status: int, body: str = "html", **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": status, "body": body, "times": 999, **more}


def test_all_places_are_listed(place: Place, land: Callable[..., Any]) -> None:
    assert list(make_places(place, land)) == READS


@pytest.mark.parametrize(
    "fault",
    [
        gateway(401),
        gateway(403),
        gateway(403, "message"),
        gateway(404),
        gateway(404, "message"),
        gateway(409),
    ],
    ids=lambda fault: f"{fault['status']} {fault['body']}",
)
@pytest.mark.parametrize("name", READS)
def test_a_refusal_of_a_gateway_says_nothing_about_record_scope_or_token(
    name: str, fault: dict[str, Any], place: Place, land: Callable[..., Any]
) -> None:
    read = make_places(place, land)[name]
    place.alvys.order_faults(fault)
    with pytest.raises(AlvysGatewayError) as caught:
        read()
    assert caught.value.status_code == fault["status"]
    assert not is_hopeless(caught.value)
    assert "secret" not in str(caught.value)
    requests = place.alvys.stats()["requests"]
    # Retried, with the same token.
    assert requests.pop("POST token") == 1
    assert set(requests.values()) == {6}
    assert not list(place.lake.rglob("manifest.json"))
    assert not list(place.lake.rglob("cursors/*"))


@pytest.mark.parametrize("fault", [gateway(403, times=2), gateway(404, times=2), gateway(401, times=2)])
@pytest.mark.parametrize("name", READS)
def test_a_read_succeeds_once_the_gateway_lets_it_pass(
    name: str, fault: dict[str, Any], place: Place, land: Callable[..., Any]
) -> None:
    place.alvys.order_faults(fault)
    make_places(place, land)[name]()


def test_a_404_of_a_gateway_is_no_end_of_the_pages(place: Place) -> None:
    place.alvys.reset(loads=450)
    place.alvys.order_faults(gateway(404, page=2, times=5))
    assert len(place.search("loads")) == 450
    # Page 0 is read twice; no page is asked for once more to find out whether it exists.
    assert place.alvys.stats()["requests"]["POST loads/search"] == 4 + 5


def test_a_404_of_a_gateway_is_no_missing_parent(place: Place, land: Callable[..., Any]) -> None:
    place.alvys.order_faults(gateway(404, endpoint="GET loads/{id}/documents", times=5))
    result = land(stream="load_documents", parents=[place.number])
    assert json.loads(Path(result["manifest"]).read_bytes())["missing_parents"] == []


@pytest.mark.parametrize("kind", ["html", "status"])
@pytest.mark.parametrize("name", ["trip_check_calls.create", "trips.dispatch", "customers.create"])
def test_an_unsafe_write_is_not_sent_twice_behind_a_gateway(name: str, kind: str, place: Place) -> None:
    endpoint = str(OPERATIONS[name].endpoint)
    request = request_to(place.alvys, name)
    place.alvys.order_faults({**gateway(403, endpoint=endpoint), "kind": kind, "acts": True})
    before = place.alvys.effects()
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        place.hook.write(name, **request)
    assert not caught.value.may_repeat
    assert place.alvys.stats()["requests"][endpoint] == 1
    assert sum(place.alvys.effects().values()) == sum(before.values()) + 1


@pytest.mark.parametrize("name", READS)
def test_a_page_with_200_is_unreadable(name: str, place: Place, land: Callable[..., Any]) -> None:
    if name == "request":
        pytest.skip("It returns the response as it is")
    place.alvys.order_faults({"kind": "html", "times": 999})
    with pytest.raises(AlvysResponseError) as caught:
        make_places(place, land)[name]()
    assert caught.value.status_code == 200
    requests = place.alvys.stats()["requests"]
    del requests["POST token"]
    assert set(requests.values()) == {6}


@pytest.mark.parametrize("fault", [gateway(401), gateway(403, "message"), gateway(404), gateway(415)])
def test_a_gateway_in_front_of_the_token_endpoint_says_nothing_about_the_credentials(
    fault: dict[str, Any], place: Place
) -> None:
    place.alvys.order_faults({**fault, "endpoint": "POST token", "times": 7})
    with pytest.raises(AlvysGatewayError) as caught:
        place.get()
    assert (caught.value.endpoint, caught.value.status_code) == ("POST token", fault["status"])
    assert "client secret" not in str(caught.value)
    assert place.alvys.stats()["requests"] == {"POST token": 6}
    place.get()


def test_the_test_button_tells_a_gateway_from_alvys(place: Place) -> None:
    for endpoint, begins in {
        "POST token": "A gateway in front of Alvys refused POST token with 403",
        "POST loads/search": "Alvys issued a token, but: A gateway in front of Alvys refused POST loads",
    }.items():
        place.alvys.order_faults(gateway(403, endpoint=endpoint))
        worked, sentence = AlvysHook().test_connection()
        assert not worked
        assert sentence.startswith(begins)
        assert "scope" not in sentence


@pytest.mark.parametrize("fault", [gateway(401), gateway(403), gateway(404, "message")])
@pytest.mark.parametrize("condition", ["status", "document"])
def test_a_deferred_sensor_waits_until_the_gateway_lets_it_pass(
    condition: str, fault: dict[str, Any], place: Place
) -> None:
    number = place.number
    place.alvys.change(keys=[number], columns={"Status": "Invoiced"})
    place.alvys.add(
        stream="load_documents", parent=number, columns={"AttachmentType": "Proof of Delivery (POD)"}
    )
    conditions: dict[str, Condition] = {
        "status": StatusReached(stream="loads", number=number, statuses=["Invoiced"], wait_if_missing=False),
        "document": DocumentExists(parent="load", id=number, types=["POD"], wait_if_missing=False),
    }
    triggerer = Triggerer(StoppedClock(time.time()))
    trigger: AlvysSensorTrigger = triggerer.make(conditions[condition])
    place.alvys.order_faults({**fault, "times": 13})
    (event,) = triggerer.run(trigger)
    assert event["status"] == "success"


def test_recent_parents_of_a_sync_are_not_skipped(place: Place, land: Callable[..., Any]) -> None:
    land()
    place.alvys.order_faults(gateway(403, endpoint="GET loads/{id}/documents"))
    with pytest.raises(AlvysError) as caught:
        land(stream="load_documents", parents=RecentParents(days=400), on_missing_scope="skip")
    assert isinstance(caught.value, AlvysGatewayError)
