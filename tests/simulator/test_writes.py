from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.effects import EFFECTS
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, Caller, one, read, rows_of, start

MONEY = {"Amount": 100.5, "Currency": 840}
PAYMENT = {"Amount": MONEY, "PaymentDate": "2026-11-24", "ReferenceNumber": "R1"}
TENDER = {
    **{f"{who}{what}": "1" for who in ("Sender", "Receiver") for what in ("IsaId", "IsaIdQualifier", "GsId")},
    "SCAC": "ACME",
    "ShipmentId": "S1",
    "Stops": [{"Type": "Pickup", "ScheduledArrivalStart": "2026-12-01T08:00:00-06:00"}, {"Type": "Delivery"}],
}


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    return start(alvys)


def test_every_operation_of_the_catalogue_has_an_effect() -> None:
    assert set(EFFECTS) == set(OPERATIONS)
    assert len(OPERATIONS) == 42


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_write_needs_its_scope_and_an_existing_record(alvys: Simulator, operation: Operation) -> None:
    others = {other.scope for other in OPERATIONS.values() if other.scope} - {operation.scope}
    alvys.reset(loads=5, fleet=3, scopes=" ".join(sorted(others)))
    path = operation.path.format(**dict.fromkeys(operation.path_params, "nobody"))
    answer = Caller(alvys).send(operation.method, path, {})
    if operation.scope:
        assert answer.status_code == 403
        alvys.reset(loads=5, fleet=3)
        answer = Caller(alvys).send(operation.method, path, {})
    assert answer.status_code == (404 if operation.path_params else 415 if operation.upload else 400)
    assert alvys.effects() == {}


def test_a_body_is_validated_and_its_names_are_case_insensitive(alvys: Simulator, caller: Caller) -> None:
    refused = caller.send(
        "POST", "customers", {"Name": " ", "Type": "Shipper", "Email": "x", "BillingAddress": {"City": 1}}
    )
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    wrong = refused.json()["Errors"]
    assert set(wrong) == {
        "Name",
        "Type",
        "Email",
        *(f"BillingAddress.{name}" for name in ("Street", "City", "State", "Zip")),
    }
    assert wrong["Name"] == ["The Name field is required."]
    made = caller.send(
        "POST", "customers", {"name": "Moon Inc", "EMAIL": ["a@x.example"], "unknown": 1, "fax": None}
    )
    assert (made.status_code, made.json()["Name"], made.json()["Email"]) == (201, "Moon Inc", ["a@x.example"])
    assert caller.send("POST", "customers", []).status_code == 400
    assert (
        caller.send("POST", "customers", data=b"x", headers={"Content-Type": "application/json"}).status_code
        == 400
    )
    assert (
        caller.send("POST", "customers", data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    )
    alvys.reset(loads=5, validation_errors="bare")
    assert Caller(alvys).send("POST", "customers", {}).json() == {"Name": ["The Name field is required."]}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        pytest.param("deductions/once", {"Amount": -1.0}, "Amount", id="not low enough"),
        pytest.param("deductions/once", {"Amount": True}, "Amount", id="not a number"),
        pytest.param("deductions/once", {"Date": "2026-11-24T01:00:00Z"}, "Date", id="not a day"),
        pytest.param("deductions/once", {"DriverId": "a", "TruckId": "b"}, "TruckId", id="one of two"),
        pytest.param("deductions/once", {}, "DriverId", id="none of two"),
        pytest.param(
            "invoices/customer-payments",
            {"Amount": {"Amount": 1, "Currency": "USD"}},
            "Amount.Currency",
            id="currency",
        ),
        pytest.param("webhooks", {"Events": ["load.eaten"]}, "Events[0]", id="item"),
        pytest.param("webhooks", {"Events": []}, "Events", id="too few items"),
        pytest.param("webhooks", {"Url": "ftp://x"}, "Url", id="beginning"),
        pytest.param("webhooks", {"Url": "https://" + "x" * 2048}, "Url", id="too long"),
        pytest.param("tenders", {**TENDER, "Stops": [{}]}, "Stops[0].Type", id="field of an item"),
        pytest.param(
            "tenders", {**TENDER, "ExpirationDate": "2026-11-24T00:00:00"}, "ExpirationDate", id="no zone"
        ),
    ],
)
def test_a_validation_error_names_the_field(
    caller: Caller, path: str, body: dict[str, Any], field: str
) -> None:
    refused = caller.send("POST", path, body)
    assert refused.status_code == 400
    assert field in refused.json()["Errors"]


def test_customers_are_unique_and_stay_when_they_are_deleted(alvys: Simulator, caller: Caller) -> None:
    address = {"Street": "1 Way", "City": "Reno", "State": "NV", "Zip": "89506"}
    body = {"Name": "Moon Inc", "CompanyNumber": "M1", "ExternalId": "E1", "BillingAddress": address}
    made = caller.send("POST", "customers", body)
    key, etag = made.json()["Id"], made.headers["etag"]
    assert made.json()["ETag"] == etag
    assert caller.get("customers", id=key).headers["etag"] == etag
    for same in (
        {"CompanyNumber": "M1"},
        {"ExternalId": "E1"},
        {"Name": "MOON INC", "BillingAddress": address},
    ):
        again = caller.send("POST", "customers", {"Name": "Other", **same})
        assert (again.status_code, key in again.json()["Detail"]) == (409, True)
    path = f"customers/{key}"
    assert caller.send("PATCH", path, {"Fax": "1"}).status_code == 428
    assert caller.send("PATCH", path, {"Fax": "1"}, headers={"If-Match": '"old"'}).status_code == 412
    assert caller.send("PATCH", path, {}, headers={"If-Match": etag}).status_code == 400
    patch = {"Fax": "1", "ExternalId": None, "BillingAddress": {"City": "Sparks"}}
    changed = caller.send("PATCH", path, patch, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["Fax"], "ExternalId" in changed.json()) == (200, "1", False)
    assert changed.json()["BillingAddress"] == {
        "Street": "1 Way",
        "City": "Sparks",
        "State": "NV",
        "ZipCode": "89506",
    }
    assert changed.headers["etag"] != etag
    assert caller.send("DELETE", path, headers={"If-Match": etag}).status_code == 412
    assert caller.send("DELETE", path, headers={"If-Match": changed.headers["etag"]}).status_code == 204
    assert read(caller, "customers", key)["Status"] == "Inactive"
    assert caller.send("POST", "customers", {"Name": "Other", "CompanyNumber": "M1"}).status_code == 409
    assert alvys.effects() == {"customers.create": 1, "customers.update": 1, "customers.delete": 1}


def test_a_disabled_write_is_503(alvys: Simulator) -> None:
    alvys.reset(loads=5, disabled="customers.create")
    answer = Caller(alvys).send("POST", "customers", {"Name": "x"})
    assert (answer.status_code, answer.json()["Type"], answer.headers["retry-after"]) == (
        503,
        "EndpointDisabled",
        "3600",
    )


def test_a_write_to_a_load_needs_its_current_etag(alvys: Simulator, caller: Caller) -> None:
    number = one(alvys, "loads", LoadType="Standard")["LoadNumber"]
    path, body = f"loads/{number}", {"OrderNumber": "O-1"}
    first = caller.get("loads", loadNumber=number).headers["etag"]
    assert caller.send("PATCH", path, body).status_code == 428
    won = caller.send("PATCH", path, body, headers={"If-Match": first})
    assert (won.status_code, won.json()["OrderNumber"], won.json()["UpdatedBy"]) == (
        200,
        "O-1",
        "api@acme.example",
    )
    assert caller.send("PATCH", path, {"OrderNumber": "O-2"}, headers={"If-Match": first}).status_code == 412
    assert caller.get("loads", loadNumber=number).headers["etag"] == won.headers["etag"]
    alvys.change(keys=[number])
    assert caller.get("loads", loadNumber=number).headers["etag"] != won.headers["etag"]
    trips = [trip for trip in rows_of(alvys, stream="trips") if trip["LoadNumber"] == number]
    assert {trip["OrderNumber"] for trip in trips} == {"O-1"}
    alvys.change(keys=[number], columns={"LoadType": "EDI"})
    edi = caller.send(
        "PATCH", path, body, headers={"If-Match": caller.get("loads", loadNumber=number).headers["etag"]}
    )
    assert edi.status_code == 409
    assert alvys.effects() == {"loads.update": 1}


def test_notes_are_added_and_removed(alvys: Simulator, caller: Caller) -> None:
    number = one(alvys, "loads")["LoadNumber"]
    body = {"Id": "N1", "Description": "Hello", "NoteType": "General"}
    made = caller.send("POST", f"loads/{number}/notes", body)
    assert (made.status_code, made.json()["Description"], made.json()["CreatedBy"]) == (
        201,
        "Hello",
        "api@acme.example",
    )
    assert caller.send("POST", f"loads/{number}/notes", body).status_code == 409
    assert "N1" in [note["Id"] for note in caller.get(f"loads/{number}/notes").json()]
    assert caller.get("loads", loadNumber=number).json()["Notes"][-1]["id"] == "N1"
    assert caller.send("DELETE", f"loads/{number}/notes/N1").status_code == 204
    assert caller.send("DELETE", f"loads/{number}/notes/N1").status_code == 404
    assert "N1" not in [note["Id"] for note in caller.get(f"loads/{number}/notes").json()]
    assert "N1" not in [note["id"] for note in caller.get("loads", loadNumber=number).json()["Notes"]]


def test_setting_the_status_of_a_carrier_twice_changes_it_once(alvys: Simulator, caller: Caller) -> None:
    key = one(alvys, "carriers", Status="Active")["Id"]
    before = caller.get(f"carriers/{key}").headers["etag"]
    answer = caller.send("PATCH", f"carriers/{key}/status", {"Status": "DoNotLoad"})
    assert (answer.status_code, answer.headers["etag"] != before) == (204, True)
    assert read(caller, "carriers", key)["Status"] == "Do Not Load"
    assert caller.send("PATCH", f"carriers/{key}/status", {"Status": "Do Not Load"}).status_code == 204
    stale = caller.send("PATCH", f"carriers/{key}/status", {"Status": "Active"}, headers={"If-Match": before})
    assert stale.status_code == 412
    assert alvys.effects() == {"carriers.set_status": 1}


def test_deductions_are_not_idempotent_and_only_unpaid_ones_can_be_deleted(
    alvys: Simulator, caller: Caller
) -> None:
    driver = one(alvys, "drivers")["Id"]
    body = {"Date": "2026-11-24", "Amount": -25.5, "Category": "Fuel", "Description": "x", "DriverId": driver}
    made = [caller.send("POST", "deductions/once", body) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    first, second = (answer.json() for answer in made)
    assert first["Amount"] == {"Amount": -25.5, "Currency": 840}
    assert first["Date"].startswith("2026-11-24T00:00:00")
    assert read(caller, "deductions", first["Id"])["DriverId"] == driver
    assert caller.send("POST", "deductions/once", {**body, "DriverId": "nobody"}).status_code == 422
    assert caller.send("DELETE", f"deductions/{first['Id']}").json()["Id"] == first["Id"]
    assert caller.send("DELETE", f"deductions/{first['Id']}").status_code == 404
    alvys.change(stream="deductions", keys=[second["Id"]], columns={"IsPaid": True})
    assert caller.send("DELETE", f"deductions/{second['Id']}").status_code == 422
    assert alvys.effects() == {"deductions.create": 2, "deductions.delete": 1}


def test_a_trip_is_assigned_dispatched_and_gets_check_calls(alvys: Simulator, caller: Caller) -> None:
    trip = one(alvys, "trips", Status="Open", IsDeleted=False)
    key = trip["Id"]
    keys = {
        name: alvys.truth_keys(stream=name)[1]
        for name in ("carriers", "users", "drivers", "trucks", "trailers")
    }
    body = {
        "CarrierId": keys["carriers"],
        "DispatcherId": keys["users"],
        "Driver1Id": keys["drivers"],
        "TruckId": keys["trucks"],
    }
    assert caller.send("POST", f"trips/{key}/dispatch").status_code == 422
    assert caller.send("POST", f"trips/{key}/check-calls", {"Description": "x"}).status_code == 422
    assert caller.send("POST", f"trips/{key}/assign", {**body, "CarrierId": "nobody"}).status_code == 422
    assert caller.send("POST", f"trips/{trip['TripNumber']}/assign", body).status_code == 404
    assigned = caller.send("POST", f"trips/{key}/assign", {**body, "CarrierRate": 900})
    assert (assigned.status_code, assigned.json()["Status"]) == (200, "Covered")
    found = read(caller, "trips", key)
    assert found["Carrier"]["Id"] == keys["carriers"]
    assert found["Carrier"]["Rate"] == {"Amount": 900, "Currency": 840}
    assert (found["Driver1"]["Id"], found["Truck"]["Id"], found["DispatcherId"]) == (
        keys["drivers"],
        keys["trucks"],
        keys["users"],
    )
    assert key in [
        row["Id"]
        for row in caller.rows(STREAMS["trips"], {"TruckId": keys["trucks"], "IncludeDeleted": True})
    ]
    assert caller.send("POST", f"trips/{key}/dispatch").json()["Status"] == "Dispatched"
    assert caller.get("loads", loadNumber=trip["LoadNumber"]).json()["Status"] == "Dispatched"
    assert caller.send("POST", f"trips/{key}/dispatch").status_code == 422
    other = alvys.truth_keys(stream="drivers")[7]
    call_of_other = {"Description": "x", "DriverId": other}
    alvys.change(stream="trips", keys=[key], columns={"Driver2": None, "OwnerOperator": None})
    assert caller.send("POST", f"trips/{key}/check-calls", call_of_other).status_code == 422
    call = {"Description": "On time", "DriverId": keys["drivers"], "Location": {"City": "Reno"}}
    logged = caller.send("POST", f"trips/{key}/check-calls", call)
    assert (logged.status_code, logged.json()["TripNumber"], logged.json()["Location"]) == (
        201,
        trip["TripNumber"],
        {"City": "Reno"},
    )
    assert logged.json()["Id"] in [row["Id"] for row in caller.get(f"trips/{key}/check-calls").json()]
    assert alvys.effects() == {"trips.assign": 1, "trips.dispatch": 1, "trip_check_calls.create": 1}


def test_a_stop_is_the_same_in_its_trip_and_on_its_own(alvys: Simulator, caller: Caller) -> None:
    trip = one(alvys, "trips", Status="Covered", IsDeleted=False)
    path = f"trips/{trip['Id']}/stops"
    assert caller.get(path).json() == trip["Stops"]
    stop = f"{path}/{trip['Stops'][0]['Id']}"
    assert caller.send("PUT", f"{stop}/departure", {"DepartedAt": "2026-11-24T09:00:00Z"}).status_code == 422
    arrival = {"ArrivedAt": "2026-11-24T08:00:00-06:00"}
    for _ in range(2):
        arrived = caller.send("PUT", f"{stop}/arrival", arrival)
        assert (arrived.status_code, arrived.json()["ArrivedAt"]) == (200, "2026-11-24T08:00:00-06:00")
    assert caller.send("PUT", f"{stop}/departure", {"DepartedAt": "2026-11-24T15:00:00Z"}).status_code == 200
    shown = read(caller, "trips", trip["Id"])["Stops"][0]
    assert shown == caller.get(stop).json()
    assert shown["DepartedAt"] == "2026-11-24T15:00:00+00:00"
    flags = {"LoadingType": "Live", "AppointmentRequested": True, "AppointmentConfirmed": False}
    date = {"ScheduleType": "APPT", "AppointmentDate": "2026-11-25T10:00:00-06:00"}
    set_at = caller.send("PUT", f"{stop}/appointment", {**flags, **date}).json()
    assert (set_at["$type"], set_at["AppointmentDate"], "StopWindow" in set_at) == (
        "appointment",
        date["AppointmentDate"],
        False,
    )
    window = {"ScheduleType": "FCFS", "WindowBegin": "2026-11-25T10:00:00-06:00"}
    set_at = caller.send("PUT", f"{stop}/appointment", {**flags, **window}).json()
    assert (set_at["$type"], set_at["StopWindow"]) == ("delivery_window", {"Begin": window["WindowBegin"]})
    assert caller.send("PUT", f"{stop}/appointment", {**flags, "ScheduleType": "APPT"}).status_code == 400
    assert "ArrivedAt" not in caller.send("DELETE", f"{stop}/arrival").json()
    assert caller.send("DELETE", f"{path}/nowhere/arrival").status_code == 404
    counts = {"set_arrival": 1, "set_departure": 1, "set_appointment": 2, "clear_arrival": 1}
    assert alvys.effects() == {f"trip_stops.{name}": count for name, count in counts.items()}


def test_a_carrier_payment_counts_once_and_completes_the_trip(alvys: Simulator, caller: Caller) -> None:
    money = {"Amount": 150, "Currency": 840}
    trip = one(
        alvys, "trips", Status="Delivered", IsDeleted=False, Carrier={"Id": "C1", "TotalPayable": money}
    )
    body = {**PAYMENT, "TripId": trip["Id"], "CheckNumber": "7"}
    first, again = (caller.send("POST", "invoices/carrier-payments", body).json() for _ in range(2))
    assert first == again
    assert (first["Status"], [payment["ReferenceNumber"] for payment in first["CarrierPayments"]]) == (
        "Delivered",
        ["R1"],
    )
    assert first["CarrierPayments"][0]["Amount"] == MONEY
    second = caller.send("POST", "invoices/carrier-payments", {**body, "ReferenceNumber": "R2"}).json()
    assert (second["Status"], len(second["CarrierPayments"])) == ("Completed", 2)
    found = read(caller, "trips", trip["Id"])
    assert (found["Status"], "CarrierPaidAt" in found) == ("Completed", True)
    assert caller.send("POST", "invoices/carrier-payments", {**body, "TripId": "x"}).status_code == 404
    assert alvys.effects() == {"invoices.record_carrier_payment": 2}


def test_a_customer_payment_counts_once_and_needs_a_billed_load(alvys: Simulator, caller: Caller) -> None:
    number = one(alvys, "loads", Status="Delivered", IsDeleted=False, TotalPaid=None, Payments=None)[
        "LoadNumber"
    ]
    body = {**PAYMENT, "LoadNumber": number}
    assert caller.send("POST", "invoices/customer-payments", body).status_code == 422
    alvys.change(keys=[number], columns={"Status": "Invoiced"})
    first, again = (caller.send("POST", "invoices/customer-payments", body).json() for _ in range(2))
    assert first == again
    assert (first["LoadNumber"], first["TotalPaid"]) == (number, MONEY)
    assert first["TotalBillable"]["Amount"] > 0
    load = caller.get("loads", loadNumber=number).json()
    assert (load["TotalPaid"], len(load["Payments"])) == (MONEY, 1)
    assert (
        caller.send("POST", "invoices/customer-payments", {**body, "ReferenceNumber": "R2"}).json()[
            "TotalPaid"
        ]["Amount"]
        == 201
    )
    advance = {"LoadNumber": number, "AmountFunded": 800, "Fee": 20.5, "ReferenceNumber": "R1"}
    funded = [caller.send("POST", "invoices/financing", advance).json() for _ in range(2)]
    assert (
        funded[0]
        == funded[1]
        == {
            "LoadNumber": number,
            "Status": "Financed",
            "TotalFunded": {"Amount": 800, "Currency": 840},
            "TotalFees": {"Amount": 20.5, "Currency": 840},
        }
    )
    assert alvys.effects() == {"invoices.record_customer_payment": 2, "invoices.record_financing": 1}


def test_a_tender_is_decided_once(alvys: Simulator, caller: Caller) -> None:
    assert caller.send("POST", "tenders", {**TENDER, "Rate": 10.5}).status_code == 201
    (tender,) = (row for row in rows_of(alvys, stream="tenders") if row.get("ShipmentId") == "S1")
    assert (tender["Status"], tender["Rate"], tender["SCAC"]) == ("Pending", "10.5", "ACME")
    assert tender["Stops"][0]["ScheduledArrivalStart"] == {
        "DateTime": "2026-12-01T08:00:00-06:00",
        "TimeZoneCode": "UT",
    }
    path = f"tenders/{tender['Id']}"
    links = {"StopCompanyLinks": [{"StopId": "stop-1", "CompanyId": "C1"}]}
    stale = caller.send("POST", f"{path}/accept", links, headers={"If-Match": '"old"'})
    assert stale.status_code == 412
    accepted = caller.send("POST", f"{path}/accept", links, headers={"If-Match": tender["Etag"]})
    assert (accepted.status_code, accepted.json()["Status"]) == (200, "Accepted")
    assert accepted.json()["Etag"] != tender["Etag"]
    assert caller.send("POST", f"{path}/accept", links).status_code == 409
    assert caller.send("POST", f"{path}/accept-updates", {"ApplyAllChangesToLoad": True}).status_code == 409
    assert caller.send("POST", "tenders/update", TENDER).status_code == 201
    assert caller.send("POST", f"{path}/accept-updates", {"ApplyAllChangesToLoad": True}).status_code == 200
    assert caller.send("POST", "tenders/cancel", TENDER).status_code == 201
    assert caller.send("POST", f"{path}/accept-cancel").status_code == 200
    assert read(caller, "tenders", tender["Id"])["Status"] == "Cancelled"
    reason = {"ReasonCode": "A", "ReasonDescription": "b", "CancelLinkedLoad": True}
    assert caller.send("POST", f"{path}/reject", reason).status_code == 409
    load = one(alvys, "loads")["LoadNumber"]
    other = one(alvys, "tenders", Status="Pending", LoadNumber=load)
    assert caller.send("POST", f"tenders/{other['Id']}/reject", reason).status_code == 200
    assert caller.get("loads", loadNumber=other["LoadNumber"]).json()["Status"] == "Cancelled"


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost"}, {"kind": "status", "status": 503, "acts": True}],
    ids=lambda fault: fault["kind"],
)
def test_a_fault_can_lose_the_response_of_a_completed_write(
    alvys: Simulator, caller: Caller, fault: dict[str, Any]
) -> None:
    number = one(alvys, "loads", Status="Invoiced")["LoadNumber"]
    alvys.order_faults({**fault, "endpoint": "POST invoices/customer-payments"})
    body = {**PAYMENT, "LoadNumber": number}
    if fault["kind"] == "lost":
        with pytest.raises(requests.ConnectionError):
            caller.send("POST", "invoices/customer-payments", body)
    else:
        assert caller.send("POST", "invoices/customer-payments", body).status_code == 503
    assert alvys.effects() == {"invoices.record_customer_payment": 1}
    assert caller.send("POST", "invoices/customer-payments", body).status_code == 200
    assert alvys.effects() == {"invoices.record_customer_payment": 1}
    (effect,) = alvys.effects_list()
    assert (effect["body"]["LoadNumber"], effect["path"]) == (
        number,
        "/api/p/v1.0/invoices/customer-payments",
    )


@pytest.mark.parametrize(
    "fault", [{"kind": "reset"}, {"kind": "status", "status": 503}], ids=lambda fault: fault["kind"]
)
def test_a_fault_before_the_call_changes_nothing(
    alvys: Simulator, caller: Caller, fault: dict[str, Any]
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST customers"})
    try:
        assert caller.send("POST", "customers", {"Name": "x"}).status_code == 503
    except requests.ConnectionError:
        assert fault["kind"] == "reset"
    assert alvys.effects() == {}


def test_a_token_of_the_older_flow_cannot_write(alvys: Simulator) -> None:
    fields = {
        "client_id": "simulator",
        "client_secret": "simulator-secret",
        "grant_type": "client_credentials",
    }
    token = requests.post(f"{alvys.url}/api/authentication/acme/token", data=fields, timeout=10).json()[
        "access_token"
    ]
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{alvys.url}/api/p/v1.0/customers"
    assert requests.post(url, json={"Name": "x"}, headers=headers, timeout=10).status_code == 403


def test_adding_and_removing_stops_changes_the_trip(alvys: Simulator, caller: Caller) -> None:
    trip = one(alvys, "trips", IsDeleted=False)
    (added,) = alvys.add(stream="trip_stops", parent=trip["Id"], columns={"CompanyName": "Moon Inc"})
    found = read(caller, "trips", trip["Id"])
    assert [stop["Id"] for stop in found["Stops"]] == [*(stop["Id"] for stop in trip["Stops"]), added]
    assert found["Stops"][-1]["CompanyName"] == "Moon Inc"
    alvys.set_clock(NOW + 60)
    assert alvys.remove(stream="trip_stops", keys=[trip["Stops"][0]["Id"]]) == [trip["Stops"][0]["Id"]]
    found = read(caller, "trips", trip["Id"])
    assert [stop["Id"] for stop in found["Stops"]] == [*(stop["Id"] for stop in trip["Stops"][1:]), added]
    assert found["UpdatedAt"].startswith("2026-11-24T00:01:0")


def test_a_deleted_record_cannot_be_written(alvys: Simulator, caller: Caller) -> None:
    load = one(alvys, "loads", IsDeleted=True, Status="Invoiced")["LoadNumber"]
    note = {"Id": "N1", "Description": "Hello", "NoteType": "General"}
    assert caller.send("POST", f"loads/{load}/notes", note).status_code == 404
    assert (
        caller.send("POST", "invoices/customer-payments", {**PAYMENT, "LoadNumber": load}).status_code == 404
    )


def test_a_created_record_has_no_generated_fields_or_children(alvys: Simulator, caller: Caller) -> None:
    made = caller.send("POST", "customers", {"Name": "Moon Inc"}).json()
    row = read(caller, "customers", made["Id"])
    assert set(row) == {"Id", "Name", "Type", "Status", "DateCreated"}
    hook = {"Name": "w", "SubsidiaryId": "s", "Url": "http://127.0.0.1:1", "Events": ["load.changed"]}
    webhook = caller.send("POST", "webhooks", hook).json()["Id"]
    logs = caller.get(f"webhooks/{webhook}/delivery-logs", Page=0, PageSize=10).json()
    assert logs["Total"] == 0
