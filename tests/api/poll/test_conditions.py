from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.documents.listing import DOCUMENT_STREAMS
from airflow_provider_alvys.api.errors import AlvysServerError, AlvysValueError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.poll.batch_queries import RecordStatus, StatusQuery
from airflow_provider_alvys.api.poll.batching import TooManyRowsError, non_blocking_options
from airflow_provider_alvys.api.poll.conditions import (
    Condition,
    DocumentExists,
    RowsFound,
    StatusReached,
    poll_once,
)
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client


def status(**more: Any) -> StatusReached:
    return StatusReached(
        **{
            "stream": "loads",
            "number": "1",
            "statuses": ["Delivered"],
            "failed": ["Cancelled", "TONU"],
            **more,
        }
    )


@pytest.mark.parametrize(
    "condition",
    [
        status(or_later=False),
        DocumentExists(parent="trip", id="T1", types=["Receipt"]),
        RowsFound(
            stream="loads",
            filters={"Status": ["Open"]},
            since="2026-01-01T00:00:00Z",
            window_by="created",
            at_least=3,
        ),
    ],
    ids=["status", "document", "rows"],
)
def test_a_condition_is_plain_values(condition: Condition) -> None:
    values = json.loads(json.dumps(msgspec.to_builtins(condition)))
    assert msgspec.convert(values, Condition) == condition  # type: ignore[arg-type]
    condition.validate()


@pytest.mark.parametrize(
    "condition",
    [
        *(status(stream=stream, number="AbC-7x", wait_if_missing=False) for stream in ("loads", "trips")),
        *(DocumentExists(parent=parent, id="AbC-7x", types=["POD"]) for parent in DOCUMENT_STREAMS),
    ],
    ids=str,
)
def test_a_message_has_the_id_as_it_is_written(condition: Condition) -> None:
    seen = RecordStatus("DeF", "Open", None) if isinstance(condition, StatusReached) else []
    for found in (None, seen):
        message = condition.evaluate(found).message  # type: ignore[arg-type]
        assert "AbC-7x" in message


def test_every_status_has_a_rank_except_those_outside_the_order() -> None:
    for name, unranked in (("loads", {"Admin", "Cancelled", "TONU"}), ("trips", {"Cancelled", "TONU"})):
        stream = get_stream(name)
        (values,) = (set(one.values or ()) for one in stream.filters if one.name == "Status")
        in_order = [value for step in stream.status_order for value in step]
        assert len(in_order) == len(set(in_order))
        assert set(in_order) == values - unranked
    assert [name for name, stream in STREAMS.items() if stream.status_order] == ["loads", "trips"]


@pytest.mark.parametrize(
    ("found", "more", "outcome"),
    [
        ("Delivered", {}, "done"),
        ("In Transit", {}, "waiting"),
        ("Invoiced", {}, "done"),
        ("Paid", {"or_later": False}, "waiting"),
        ("Cancelled", {}, "failed"),
        ("TONU", {"failed": []}, "waiting"),
        ("TONU", {"statuses": ["TONU"]}, "done"),
        ("Admin", {}, "waiting"),
        ("Delivered", {"statuses": ["Admin"]}, "waiting"),
        # Of equal rank, so not later.
        ("Financed", {"statuses": ["Invoiced"]}, "waiting"),
        ("Dispatched", {"statuses": ["Delivered", "Covered"]}, "done"),
        ("unknown", {}, "waiting"),
        (None, {}, "waiting"),
    ],
)
def test_a_status_gives_an_outcome(found: str | None, more: dict[str, Any], outcome: str) -> None:
    result = status(**more).evaluate(RecordStatus("L1", found, "2026-01-01T00:00:00Z"))
    assert result.outcome == outcome
    assert result.message == f"Load 1 is {found}"
    assert result.value == {
        "load_number": "1",
        "id": "L1",
        "status": found,
        "updated_at": "2026-01-01T00:00:00Z",
    }


def test_a_missing_load_is_waited_for_or_fails() -> None:
    assert status().evaluate(None).outcome == "waiting"
    assert status(wait_if_missing=False).evaluate(None).outcome == "failed"


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (status(statuses=["Deliverd"]), "'Deliverd'"),
        (status(statuses=[]), "Status of loads"),
        (status(failed=["Gone"]), "'Gone'"),
        (status(stream="trips", statuses=["En-Route"]), "Status of trips"),
        (status(number=" "), "load_number"),
        (DocumentExists(parent="customer", id="1", types=["x"]), "'customer'"),
        (DocumentExists(parent="load", id="", types=["x"]), "LoadNumber"),
        (DocumentExists(parent="load", id="1", types=[]), "document_types"),
        (RowsFound(stream="webhook_event_types"), "webhook_event_types have no key"),
        (RowsFound(stream="loads", at_least=0), "at_least=0"),
        (RowsFound(stream="loads", filters={"Statuses": ["Open"]}), "'Statuses'"),
        (RowsFound(stream="load_documents"), "parents"),
    ],
)
def test_an_invalid_condition_is_refused(condition: Condition, problem: str) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        condition.validate()


@pytest.fixture
def loads(alvys: Simulator) -> list[dict[str, Any]]:
    rows = [json.loads(row) for row in alvys.truth_rows(filters={"IncludeDeleted": False})]
    return [row for row in rows if row["Status"] == "Covered"]


def test_a_load_is_read_by_one_request(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]]
) -> None:
    load = loads[0]
    result = poll_once(client, status(number=load["LoadNumber"], statuses=["Covered"]))
    assert result.value == {
        "load_number": load["LoadNumber"],
        "id": load["Id"],
        "status": "Covered",
        "updated_at": load.get("UpdatedAt"),
    }
    assert alvys.stats()["requests"]["POST loads/search"] == 1


def test_a_trip_is_read_by_its_number(alvys: Simulator, client: AlvysClient) -> None:
    trip = next(
        row for row in map(json.loads, alvys.truth_rows(stream="trips", filters={"IncludeDeleted": False}))
    )
    result = poll_once(
        client, status(stream="trips", number=trip["TripNumber"], statuses=[trip["Status"]], failed=[])
    )
    assert (result.outcome, result.value["trip_number"], result.value["id"]) == (
        "done",
        trip["TripNumber"],
        trip["Id"],
    )


def test_a_request_takes_as_many_numbers_as_alvys_accepts() -> None:
    assert [StatusQuery(get_stream(name)).max_items for name in ("loads", "trips")] == [50, 50]


def test_two_records_with_one_number_are_named_and_the_one_that_changed_last_counts(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    number = loads[0]["LoadNumber"]
    columns = {"LoadNumber": number, "Status": "Delivered", "UpdatedAt": "2029-01-01T00:00:00Z"}
    (twin,) = alvys.add(columns=columns)
    ((found, absent),) = [StatusQuery(get_stream("loads")).make_job([number, "none"]).step(client)]
    assert (found.id, found.status, absent) == (twin, "Delivered", None)
    (record,) = [one for one in caplog.records if one.levelname == "WARNING" and one.args]
    assert set(record.args) == {"LoadNumber", number, twin, loads[0]["Id"]}


def test_a_page_with_fewer_rows_than_the_total_is_an_error(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]]
) -> None:
    alvys.order_faults({"kind": "cap", "cap": 2, "endpoint": "POST loads/search"})
    numbers = [load["LoadNumber"] for load in loads[:5]]
    StatusQuery(get_stream("loads")).make_job(numbers[:1]).step(client)
    with pytest.raises(TooManyRowsError):
        StatusQuery(get_stream("loads")).make_job(numbers).step(client)


@pytest.mark.parametrize("newest", [0, 1])
def test_the_newest_of_two_loads_with_the_same_number_counts(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]], newest: int
) -> None:
    number = loads[0]["LoadNumber"]
    alvys.add(columns={"LoadNumber": number})
    one, other = (row["Id"] for row in map(json.loads, alvys.truth_rows()) if row["LoadNumber"] == number)
    for place in (1 - newest, newest):
        alvys.change(keys=[(one, other)[place]], columns={"Status": ("Open", "Covered")[place]})
    (record,) = StatusQuery(get_stream("loads")).make_job([number]).step(client)
    assert record is not None
    assert (record.id, record.status) == ((one, other)[newest], ("Open", "Covered")[newest])


POD = "Proof of Delivery (POD)"


@pytest.mark.parametrize("wanted", [POD, "proof of delivery", " POD ", "PROOF OF DELIVERY (pod)"])
def test_a_document_type_matches_in_several_spellings(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]], wanted: str
) -> None:
    number = loads[0]["LoadNumber"]
    alvys.remove(stream="load_documents", keys=alvys.truth_keys(stream="load_documents", parents=[number]))
    condition = DocumentExists(parent="load", id=number, types=["Receipt", wanted])
    alvys.add(stream="load_documents", parent=number, columns={"AttachmentType": "Proof"})
    assert poll_once(client, condition).outcome == "waiting"
    for size, day in enumerate((3, 5, 4)):
        moment = f"2026-07-0{day}T00:00:00Z"
        alvys.add(
            stream="load_documents",
            parent=number,
            columns={"AttachmentType": POD, "UploadedAt": moment, "AttachmentSize": size},
        )
    result = poll_once(client, condition)
    assert (result.outcome, result.value["AttachmentSize"]) == ("done", 1)
    # Anyone with the download URL can open the file.
    assert set(result.value) & {"DownloadUrl", "ExpiresAt"} == set()
    assert {"id", "AttachmentType", "AttachmentSize"} < set(result.value)


def test_documents_of_every_kind_of_parent_can_be_waited_for(alvys: Simulator, client: AlvysClient) -> None:
    assert set(DOCUMENT_STREAMS) == {"load", "trip", "carrier", "driver", "truck", "trailer"}
    for parent, stream in DOCUMENT_STREAMS.items():
        of = stream.parent
        assert of is not None
        row = next(
            row for row in map(json.loads, alvys.truth_rows(stream=of.stream)) if not row.get("IsDeleted")
        )
        assert (
            poll_once(
                client, DocumentExists(parent=parent, id=str(row[of.column]), types=["unknown"])
            ).outcome
            == "waiting"
        )


def test_an_unknown_parent_is_waited_for_or_fails(alvys: Simulator, client: AlvysClient) -> None:
    condition = DocumentExists(parent="load", id="none", types=["x"])
    assert poll_once(client, condition).outcome == "waiting"
    assert poll_once(client, msgspec.structs.replace(condition, wait_if_missing=False)).outcome == "failed"


def test_rows_are_found_with_their_keys(alvys: Simulator, client: AlvysClient) -> None:
    keys = alvys.truth_keys(filters={"Status": ["Covered"], "IncludeDeleted": True})
    result = poll_once(client, RowsFound(stream="loads", filters={"Status": ["Covered"]}, at_least=len(keys)))
    assert (result.outcome, sorted(result.value), result.is_partial) == ("done", sorted(keys), False)
    assert alvys.stats()["requests"]["POST loads/search"] == 1
    assert (
        poll_once(
            client, RowsFound(stream="loads", filters={"Status": ["Covered"]}, at_least=len(keys) + 1)
        ).outcome
        == "waiting"
    )


def test_the_keys_of_more_rows_than_a_page_are_read_separately(alvys: Simulator, client: AlvysClient) -> None:
    condition = RowsFound(stream="loads", at_least=300)
    result = poll_once(client, condition)
    assert (result.outcome, result.value, result.is_partial) == ("done", None, True)
    assert alvys.stats()["requests"]["POST loads/search"] == 1
    assert sorted(condition.read_keys(client)) == sorted(alvys.truth_keys())


def test_rows_of_several_searches_count_once(alvys: Simulator, client: AlvysClient) -> None:
    # Four searches find some invoices twice, and one finds more than a page.
    since = {"stream": "invoices", "since": "2020-01-01T00:00:00Z"}
    keys = alvys.truth_keys(stream="invoices")
    assert len(keys) > 300
    enough = poll_once(client, RowsFound(**since, at_least=10))
    assert (enough.outcome, enough.is_partial) == ("done", True)
    cost = alvys.stats()["requests"]["POST invoices/search"]
    # The first pages do not suffice: all rows are read.
    assert poll_once(client, RowsFound(**since, at_least=10_000)).outcome == "waiting"
    assert alvys.stats()["requests"]["POST invoices/search"] > 2 * cost


def test_reading_resumes_after_failures_and_waits(alvys: Simulator, clock: SkippingClock) -> None:
    client = make_client(alvys, requests_per_minute=None, **non_blocking_options(clock))
    condition = RowsFound(stream="invoices", since="2020-01-01T00:00:00Z", at_least=10_000)
    query, item = condition.request()
    job = query.make_job([item])
    alvys.order_faults({"kind": "status", "status": 500, "skip": 6, "endpoint": "POST invoices/search"})
    failures, results = [], None
    while results is None:
        try:
            results = job.step(client)
        except (AlvysServerError, DeferRequested) as failure:
            failures.append(type(failure))
            if isinstance(failure, DeferRequested):
                clock.sleep(failure.seconds)
    assert set(failures) == {AlvysServerError, DeferRequested}
    (found,) = results
    assert found.has_all_keys
    assert len(found.keys) == len(set(found.keys)) == found.total


def test_a_parent_that_does_not_exist_has_no_children(
    alvys: Simulator, client: AlvysClient, loads: list[dict[str, Any]]
) -> None:
    number = loads[0]["LoadNumber"]
    alvys.add(stream="load_documents", parent=number)
    documents = alvys.truth_keys(stream="load_documents", parents=[number])
    result = poll_once(client, RowsFound(stream="load_documents", parents=["none", number]))
    assert (result.outcome, sorted(result.value)) == ("done", sorted(documents))


def test_a_key_of_several_fields_is_a_list(alvys: Simulator, client: AlvysClient) -> None:
    result = poll_once(client, RowsFound(stream="dispatch_preferences"))
    assert result.outcome == "done"
    assert all(isinstance(key, list) and len(key) == 5 for key in result.value)
