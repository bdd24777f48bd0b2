"""Every write against the simulator: valid, invalid, and with its response lost after it took place."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import (
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysRefusedError,
    AlvysServerError,
    AlvysUnknownOutcomeError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.lookup import look_up
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client
from tests.writes import invalid_bodies, request_to, write

pytestmark = pytest.mark.slow

every_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.fixture(autouse=True)
def small_tenant(alvys: Simulator) -> None:
    alvys.reset(loads=40, fleet=10)


def lose_response(alvys: Simulator, name: str, **fault: Any) -> None:
    alvys.order_faults({"kind": "lost", "endpoint": str(OPERATIONS[name].endpoint), **fault})


def count_requests(alvys: Simulator, name: str) -> int:
    return int(alvys.stats()["requests"].get(str(OPERATIONS[name].endpoint), 0))


def keys_of(alvys: Simulator, stream: str, **query: Any) -> list[str]:
    return alvys.truth_keys(stream=stream, **query)


@every_operation
def test_a_valid_write_takes_place_once(name: str, alvys: Simulator, client: AlvysClient) -> None:
    answer = write(client, name, **request_to(alvys, name))
    assert alvys.effects() == {name: 1}
    assert count_requests(alvys, name) == 1
    if OPERATIONS[name].has_response and OPERATIONS[name].response_is_documented:
        assert isinstance(answer, dict)


@every_operation
def test_an_invalid_body_is_refused_before_anything_is_sent(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    before = alvys.stats()["requests"]
    for _, body, field in invalid_bodies(name):
        with pytest.raises(AlvysValueError) as caught:
            write(client, name, **{**request, "body": body})
        assert field in str(caught.value)
    assert alvys.stats()["requests"] == before
    assert alvys.effects() == {}


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.path_params])
def test_a_write_to_an_unknown_record_is_an_error_and_sent_once(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    params = dict.fromkeys(OPERATIONS[name].path_params, "nobody")
    with pytest.raises(AlvysNotFoundError):
        write(client, name, **{**request_to(alvys, name), "path_params": params})
    assert alvys.effects() == {}


@every_operation
def test_a_lost_response_leaves_one_effect_or_an_unknown_outcome(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    lose_response(alvys, name)
    if OPERATIONS[name].retry_safety == "unsafe":
        with pytest.raises(AlvysUnknownOutcomeError):
            write(client, name, **request)
        assert count_requests(alvys, name) == 1
        assert alvys.effects() == {name: 1}
    else:
        write(client, name, **request)
        assert count_requests(alvys, name) == 2
        assert alvys.effects() == {name: 1}


@every_operation
def test_a_connection_cut_before_the_write_leaves_one_effect_or_an_unknown_outcome(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    lose_response(alvys, name, kind="reset")
    if OPERATIONS[name].retry_safety == "unsafe":
        with pytest.raises(AlvysUnknownOutcomeError):
            write(client, name, **request)
        assert alvys.effects() == {}
    else:
        write(client, name, **request)
        assert alvys.effects() == {name: 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "truncate"},
        {"kind": "timeout", "seconds": 0.6},
        {"kind": "status", "status": 502, "acts": True},
    ],
    ids=str,
)
def test_a_response_may_be_lost_in_other_ways(
    fault: dict[str, Any], alvys: Simulator, clock: SkippingClock
) -> None:
    client = make_client(alvys, clock=clock, timeout=(5.0, 0.3))
    unsafe, safe = "deductions.create", "trip_stops.set_arrival"
    request = request_to(alvys, unsafe)
    lose_response(alvys, unsafe, **fault)
    with pytest.raises(AlvysUnknownOutcomeError):
        write(client, unsafe, **request)
    request = request_to(alvys, safe)
    lose_response(alvys, safe, **fault)
    assert write(client, safe, **request)["ArrivedAt"] == request["body"]["ArrivedAt"]
    assert alvys.effects() == {unsafe: 1, safe: 1}


PAYMENTS = [
    "invoices.record_carrier_payment",
    "invoices.record_customer_payment",
    "invoices.record_financing",
]


@pytest.mark.parametrize("name", PAYMENTS)
def test_a_payment_whose_responses_are_lost_is_recorded_once(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    lose_response(alvys, name, times=3)
    answer = write(client, name, **request)
    assert count_requests(alvys, name) == 4
    assert alvys.effects() == {name: 1}
    if "CarrierPayments" in answer:
        assert [payment["Amount"]["Amount"] for payment in answer["CarrierPayments"]] == [Decimal("1250.1")]
    if "TotalFunded" in answer:
        assert answer["TotalFunded"]["Amount"] == 900


@pytest.mark.parametrize(
    ("name", "stream"), [("trip_check_calls.create", "trip_check_calls"), ("deductions.create", "deductions")]
)
def test_check_calls_and_deductions_are_never_created_twice(
    name: str, stream: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    parents = list(request["path_params"].values()) or None
    before = keys_of(alvys, stream, parents=parents)
    lose_response(alvys, name, times=5)
    with pytest.raises(AlvysUnknownOutcomeError):
        write(client, name, **request)
    assert len(keys_of(alvys, stream, parents=parents)) == len(before) + 1


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.method == "PUT"])
def test_a_put_whose_responses_are_lost_is_retried(name: str, alvys: Simulator, client: AlvysClient) -> None:
    request = request_to(alvys, name)
    lose_response(alvys, name, times=2)
    answer = write(client, name, **request)
    assert count_requests(alvys, name) == 3
    for field, value in request["body"].items():
        if field in answer and OPERATIONS[name].name != "trip_stops.set_appointment":
            assert answer[field] == value


@pytest.mark.parametrize("name", ["loads.update", "customers.update"])
def test_a_guarded_patch_whose_response_is_lost_is_recognized_in_the_record(
    name: str, alvys: Simulator, client: AlvysClient
) -> None:
    request = request_to(alvys, name)
    lose_response(alvys, name, times=2)
    answer = write(client, name, **request)
    assert alvys.effects() == {name: 1}
    body = {field: value for field, value in request["body"].items() if value is not None}
    assert {field: answer[field] for field in body} == body
    (selector,) = request["path_params"].items()
    record = look_up(client, STREAMS[name.partition(".")[0]], dict([selector]))
    assert {field: record[field] for field in body} == body


def test_a_guarded_patch_that_was_overwritten_after_a_lost_response_is_a_conflict(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_to(alvys, "loads.update")
    number = request["path_params"]["loadNumber"]

    def overtake(seconds: float) -> None:
        alvys.change(keys=[number], columns={"OrderNumber": "OTHER"})

    monkeypatch.setattr(clock, "sleep", overtake)
    lose_response(alvys, "loads.update")
    with pytest.raises(AlvysPreconditionError, match="overwritten") as caught:
        write(client, "loads.update", **request)
    assert caught.value.current_etag != caught.value.sent_etag


def test_only_one_of_several_concurrent_patches_of_one_version_succeeds(
    alvys: Simulator, clock: SkippingClock
) -> None:
    number = request_to(alvys, "loads.update")["path_params"]["loadNumber"]
    clients = [make_client(alvys, clock=SkippingClock()) for _ in range(8)]
    etag = clients[0].request("GET", "loads", params={"loadNumber": number}).headers["etag"]
    stamp = look_up(clients[0], STREAMS["loads"], {"loadNumber": number})["UpdatedAt"]
    start = threading.Barrier(len(clients))
    won: list[str] = []
    lost: list[AlvysPreconditionError] = []

    def patch(client: AlvysClient, order: str) -> None:
        start.wait()
        try:
            write(
                client,
                "loads.update",
                path_params={"loadNumber": number},
                body={"OrderNumber": order},
                if_match=etag,
            )
        except AlvysPreconditionError as error:
            lost.append(error)
        else:
            won.append(order)

    threads = [
        threading.Thread(target=patch, args=(client, f"PO-{place}")) for place, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    now = look_up(clients[0], STREAMS["loads"], {"loadNumber": number})
    assert now["OrderNumber"] == won[0]
    for error in lost:
        assert error.sent_etag == etag
        assert error.current_etag != etag
        assert error.current_stamp == now["UpdatedAt"] != stamp
        assert f"{error.current_etag} of {error.current_stamp}" in str(error)
    assert alvys.effects() == {"loads.update": 1}


def test_a_conflict_with_auto_reports_the_times_of_both_versions(
    alvys: Simulator, client: AlvysClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = request_to(alvys, "loads.update")["path_params"]["loadNumber"]
    read = look_up(client, STREAMS["loads"], {"loadNumber": number})
    call = client.call

    def meddle(method: str, path: str, **options: Any) -> Any:
        if method == "PATCH":
            alvys.change(keys=[number])
        return call(method, path, **options)

    monkeypatch.setattr(client, "call", meddle)
    with pytest.raises(AlvysPreconditionError) as caught:
        write(client, "loads.update", path_params={"loadNumber": number}, body={"OrderNumber": "X"})
    assert caught.value.sent_stamp == read["UpdatedAt"]
    assert caught.value.current_stamp not in (None, read["UpdatedAt"])


def test_a_business_rule_is_reported_with_the_text_of_alvys(alvys: Simulator, client: AlvysClient) -> None:
    request = request_to(alvys, "trips.dispatch")
    write(client, "trips.dispatch", **request)
    with pytest.raises(AlvysRefusedError, match="Covered"):
        write(client, "trips.dispatch", **request)
    with pytest.raises(AlvysNotFoundError):
        write(client, "deductions.delete", path_params={"id": "nobody"})


def test_an_endpoint_that_alvys_has_disabled_has_no_unknown_outcome(
    alvys: Simulator, client: AlvysClient
) -> None:
    alvys.reset(loads=10, disabled="customers.create")
    with pytest.raises(AlvysServerError) as caught:
        write(client, "customers.create", body={"Name": "x"})
    assert (caught.value.problem_type, caught.value.retry_after) == ("EndpointDisabled", 3600)
    assert count_requests(alvys, "customers.create") == 1


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.method == "DELETE"])
def test_a_second_delete_is_an_error(name: str, alvys: Simulator, client: AlvysClient) -> None:
    request = request_to(alvys, name)
    write(client, name, **request)
    if name in ("customers.delete", "trip_stops.clear_arrival"):
        # These keep the record.
        write(client, name, **request)
        return
    with pytest.raises(AlvysNotFoundError):
        write(client, name, **request)
