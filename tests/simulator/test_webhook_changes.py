"""What the simulator's events say of changes: Alvys's vocabulary, and what has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.webhook_events import CHANGE_KINDS, EVENTS, TENDER_CHANGE_TYPES
from airflow_provider_alvys.api.webhooks import AlvysEvent, Change, make_event
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, Caller, one, rows_of
from tests.simulator.test_writes import TENDER

TIME = "2026-11-20T10:00:00Z"
MONEY = {"Amount": 77, "Currency": 840}
MILEAGE = {"Distance": {"Value": 77, "UnitOfMeasure": "Miles"}}


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=30, fleet=10, now=NOW, webhook_backoff=0)
    alvys.set_clock(NOW)
    return Caller(alvys)


def subscribe(alvys: Simulator) -> None:
    # Nothing listens there: the attempts are all that is needed.
    alvys.subscribe("http://127.0.0.1:1")


def events(alvys: Simulator) -> list[AlvysEvent]:
    """Return the events since the subscription, in the order of their types."""
    bodies = {attempt["event_id"]: attempt["body"] for attempt in alvys.deliveries()}
    return sorted((make_event(json.loads(body)) for body in bodies.values()), key=lambda event: event.type)


def changes(
    alvys: Simulator, stream: str, key: str, columns: dict[str, Any]
) -> tuple[list[Change], list[str]]:
    """Change a row, and return the changes in its event, and the fields of its previous values."""
    alvys.subscribe("http://127.0.0.1:1", events=[f"{stream[:-1]}.changed"], include_previous_attributes=True)
    alvys.change(stream=stream, keys=[key], columns=columns)
    (event,) = events(alvys)
    assert {change.kind for change in event.changes} <= CHANGE_KINDS[stream[:-1]]
    return list(event.changes), list(event.previous_attributes or {})


def field(name: str) -> Change:
    return Change("FieldChanged", "Field", name)


@pytest.mark.parametrize(
    ("stream", "columns", "expected"),
    [
        ("loads", {"Status": "TONU"}, [Change("StatusChanged")]),
        ("loads", {"Linehaul": MONEY}, [Change("RateChanged")]),
        ("loads", {"FuelSurcharge": MONEY}, [Change("RateChanged"), Change("FuelSurchargeChanged")]),
        ("loads", {"CustomerAccessorials": MONEY}, [Change("RateChanged"), Change("AccessorialsChanged")]),
        ("loads", {"CustomerMileage": MILEAGE}, [Change("MileageChanged")]),
        ("loads", {"InvoicedAmount": MONEY}, [Change("InvoicedChanged")]),
        ("loads", {"Payments": [{"Id": "P", "Amount": MONEY}]}, [Change("PaymentRecorded")]),
        ("loads", {"InvoiceAs": "another"}, [Change("InvoicingChanged")]),
        ("loads", {"CustomerId": "C", "CustomerName": "N"}, [Change("CustomerChanged")]),
        ("loads", {"ContractId": "C"}, [Change("ContractChanged")]),
        ("loads", {"ScheduledPickupAt": TIME}, [Change("ScheduleChanged")]),
        ("loads", {"DeliveredAt": TIME}, [Change("Delivered")]),
        ("loads", {"Weight": {"Value": 77}, "Volume": {"Value": 7}}, [Change("DimensionsChanged")]),
        ("loads", {"Notes": []}, [Change("NotesChanged")]),
        ("loads", {"References": []}, [Change("ReferencesChanged")]),
        ("loads", {"OrderNumber": "O", "PONumber": "P"}, [field("OrderNumber"), field("PONumber")]),
        ("loads", {"PONumber": None}, [field("PONumber")]),
        ("loads", {"OfficeId": "another", "Stops": []}, []),
        ("trips", {"Status": "TONU"}, [Change("StatusChanged")]),
        ("trips", {"ReleasedAt": TIME}, [Change("ReleasedChanged")]),
        ("trips", {"DispatcherId": "D"}, [Change("DispatchChanged")]),
        ("trips", {"CarrierPayOnHold": None}, [Change("CarrierPayOnHoldChanged")]),
        ("trips", {"Truck": {"Id": "T"}}, [Change("TruckChanged"), Change("TenderChanged")]),
        ("trips", {"Trailer": {"Id": "T"}}, [Change("TrailerChanged")]),
        ("trips", {"Temperature": {"SetpointTemperature": -77}}, [Change("TemperatureChanged")]),
        ("trips", {"TripValue": MONEY}, [Change("TripValueChanged")]),
        ("trips", {"CarrierPaidAt": TIME}, [Change("CarrierPaymentRecorded")]),
        ("trips", {"DueDate": TIME}, [Change("DueDateChanged")]),
        ("trips", {"PickupDate": TIME}, [Change("ScheduleChanged")]),
        ("trips", {"PickedUpAt": TIME}, [Change("PickedUp")]),
        ("trips", {"DeliveredAt": TIME}, [Change("Delivered")]),
        ("trips", {"LoadedMileage": MILEAGE}, [Change("MileageChanged")]),
        ("trips", {"TenderAs": "another"}, [Change("TenderChanged")]),
        ("trips", {"References": []}, [Change("ReferencesChanged")]),
        ("trips", {"OrderNumber": "O", "CarrierAssignedAt": TIME}, []),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_a_changed_field_has_the_kind_of_alvys(
    alvys: Simulator, caller: Caller, stream: str, columns: dict[str, Any], expected: list[Change]
) -> None:
    # Every field has a value that differs, and a status without times of its own.
    row = one(alvys, stream, Status="Open", References=[{"Id": "R"}], Notes=[{"id": "N"}], PONumber="before")
    alvys.change(stream=stream, keys=[row["Id"]], columns={"CarrierPayOnHold": True})
    found, previous = changes(alvys, stream, row["Id"], columns)
    assert found == expected
    assert len(previous) >= len(columns)


def test_a_milestone_that_is_removed_is_not_recorded(alvys: Simulator, caller: Caller) -> None:
    trip = one(alvys, "trips", DeliveredAt=TIME, CarrierPaidAt=TIME)
    empty = {"DeliveredAt": None, "CarrierPaidAt": None}
    assert changes(alvys, "trips", trip["Id"], empty) == ([], ["deliveredAt", "carrierPaidAt"])


def test_a_changed_party_of_a_trip_and_its_rate_have_kinds_of_their_own(
    alvys: Simulator, caller: Caller
) -> None:
    parties = {"Carrier": {"Id": "C", "Rate": MONEY}, "Driver1": {"Id": "D", "Rates": [1]}}
    trip = one(alvys, "trips", **parties)
    columns = {"Carrier": {"Id": "C", "Rate": {**MONEY, "Amount": 78}}, "Driver1": {"Id": "E", "Rates": [1]}}
    found, _ = changes(alvys, "trips", trip["Id"], columns)
    assert found == [Change("DriverChanged"), Change("CarrierRateChanged")]


def test_changed_stops_of_a_trip_are_named(alvys: Simulator, caller: Caller) -> None:
    stop: dict[str, Any] = {"StopType": "Pickup", "Status": "Open", "ArrivedAt": TIME, "DepartedAt": None}
    trip = one(alvys, "trips", Stops=[{**stop, "Id": id} for id in "abcde"])
    columns = {
        "Stops": [
            {**stop, "Id": "new"},
            {**stop, "Id": "b", "Address": {"City": "Chicago"}, "CompanyId": "C"},
            {**stop, "Id": "a", "StopType": "Waypoint", "Status": "Done", "ArrivedAt": None},
            {**stop, "Id": "d", "ScheduleType": "APPT", "DepartedAt": TIME},
            {**stop, "Id": "e", "References": [{"Id": "1"}]},
        ]
    }
    found, previous = changes(alvys, "trips", trip["Id"], columns)
    assert previous == ["stops"]
    assert [(change.kind, change.target_id) for change in found] == [
        ("StopAdded", "new"),
        ("StopRemoved", "c"),
        ("StopReordered", None),
        ("StopAddressChanged", "b"),
        ("StopTypeChanged", "a"),
        ("StopStatusChanged", "a"),
        ("AppointmentChanged", "d"),
        ("DepartureRecorded", "d"),
        ("StopReferencesChanged", "e"),
    ]
    assert {change.target_type for change in found} == {"Stop", None}


def test_a_change_tender_is_applied_or_queued(alvys: Simulator, caller: Caller) -> None:
    def call(path: str, body: Any = None) -> AlvysEvent:
        """Send a write, and return the only event of a tender that it causes."""
        known = {event.key for event in events(alvys)}
        assert caller.send("POST", path, body).status_code in (200, 201)
        (event,) = (event for event in events(alvys) if event.key not in known)
        assert event.data["tenderId"] == event.data["tender"]["id"] == event.entity_id
        return event

    subscribe(alvys)
    created = call("tenders", {**TENDER, "Rate": 10.5})
    assert (created.type, created.data["tender"]["rate"], created.change_types) == (
        "tender.created",
        "10.5",
        (),
    )
    applied = call("tenders/update", {**TENDER, "Rate": 11, "Weight": "5", "Notes": ["new"]})
    assert (applied.type, applied.is_queued) == ("tender.change.created", False)
    assert applied.change_types == ("LoadRate", "TotalWeight", "TenderNotes")
    assert (applied.data["changeCount"], applied.data["tender"]["rate"]) == (3, "11")
    path = f"tenders/{created.entity_id}"
    accept = {"StopCompanyLinks": [{"StopId": "stop-1", "CompanyId": "C1"}]}
    assert call(f"{path}/accept", accept).type == "tender.accepted"
    # Now the change needs approval, and the event has the tender before it.
    queued = call("tenders/update", {**TENDER, "Rate": 12})
    assert (queued.type, queued.is_queued, queued.data["tender"]["rate"]) == (
        "tender.change.created",
        True,
        "11",
    )
    assert caller.get(path).json()["Rate"] == "11"
    updated = call(f"{path}/accept-updates", {"ApplyAllChangesToLoad": True})
    assert (updated.type, updated.data["tender"]["rate"]) == ("tender.change.accepted", "12")
    assert caller.get(path).json()["Rate"] == "12"
    caller.send("POST", "tenders/cancel", TENDER)
    assert call(f"{path}/accept-cancel").type == "tender.cancelled"
    # A change that matches no open tender is another tender of the same shipment.
    again = call("tenders/update", {**TENDER, "Rate": 13})
    assert again.type == "tender.created"
    assert again.data["tender"]["shipmentId"] == created.data["tender"]["shipmentId"]
    assert again.entity_id != created.entity_id


def test_changes_of_a_tender_have_the_types_of_alvys(alvys: Simulator, caller: Caller) -> None:
    stop: dict[str, Any] = {"Type": "PU", "Orders": [{"PoNumber": "1", "Weight": "2"}], "References": []}
    reference = {"Id": "1", "Qualifier": "BM"}
    tender = one(
        alvys, "tenders", References=[reference], Stops=[{**stop, "StopId": id} for id in "abcdefgh"]
    )
    stops: list[dict[str, Any]] = [{**stop, "StopId": id} for id in ("new", *"bacdefg")]
    for number, columns in enumerate(
        (
            {"ScheduledArrivalStart": {"DateTime": TIME}},
            {"Entity": {"City": "Chicago"}},
            {"Notes": ["new"]},
            {"Type": "SO"},
            {"Orders": [{"PoNumber": "2", "Weight": "2"}]},
            {"Orders": [{"PoNumber": "1", "Weight": "3"}]},
            {"References": [reference]},
        ),
        1,
    ):
        stops[number].update(columns)
    columns = {
        "Rate": "1",
        "Weight": "77",
        "Equipment": {"Length": "28"},
        "PaymentMethod": "X",
        "QtyPallets": "77",
        "Notes": [],
        "References": [{**reference, "Id": "2"}],
        "Stops": stops,
    }
    subscribe(alvys)
    alvys.change(stream="tenders", keys=[tender["Id"]], columns=columns)
    (event,) = events(alvys)
    assert set(event.change_types) == TENDER_CHANGE_TYPES - {
        # The record has no field for these.
        "Distance",
        "TenderCharges",
        "AccessorialsUpdate",
        "PurchaseOrderNumber",
        "StopReferenceRemoved",
    }
    assert event.data["changeCount"] == len(event.change_types)
    alvys.change(stream="tenders", keys=[tender["Id"]], columns={"Stops": [{**stop, "StopId": "g"}]})
    assert {"StopRemoved", "StopReferenceRemoved"} <= {
        type for event in events(alvys) for type in event.change_types
    }


def test_the_events_of_a_tender_name_its_load_invoice_and_stops(alvys: Simulator, caller: Caller) -> None:
    invoice = rows_of(alvys, stream="invoices")[0]
    load = caller.get("loads", loadNumber=invoice["Loads"][0]["LoadNumber"]).json()
    stop = {"StopId": "s", "StopReasonCode": "NS"}
    tender = one(alvys, "tenders", Status="Pending", LoadNumber=load["LoadNumber"], Stops=[stop])
    subscribe(alvys)
    for columns in (
        {"Status": "Accepted"},
        {"Stops": [{**stop, "ArrivedAt": {"DateTime": TIME, "TimeZoneCode": "UT"}}]},
        {"Status": "Invoiced"},
    ):
        alvys.change(stream="tenders", keys=[tender["Id"]], columns=columns)
    accepted, invoiced, arrived = events(alvys)
    assert (accepted.type, accepted.data["loadId"], accepted.data["loadNumber"]) == (
        "tender.accepted",
        load["Id"],
        load["LoadNumber"],
    )
    assert (invoiced.type, invoiced.data["invoiceId"]) == ("tender.invoiced", invoice["Id"])
    assert (arrived.type, arrived.entity_id, arrived.reason) == ("tender.stop.arrived", tender["Id"], "NS")
    assert (arrived.data["stopId"], arrived.data["arrivedAt"]) == ("s", TIME)


def test_the_events_of_tenders_can_be_subscribed_to(alvys: Simulator, caller: Caller) -> None:
    body = {"Name": "w", "SubsidiaryId": "s", "Url": "http://127.0.0.1:1", "Events": list(EVENTS)}
    assert {"tender.created", "tender.change.created"} <= set(EVENTS)
    assert caller.send("POST", "webhooks", body).status_code == 201
    body["Events"] = ["tender.eaten"]
    assert caller.send("POST", "webhooks", body).status_code == 400
