"""Records stay coherent when somebody else changes them."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import STREAMS as CATALOGUE
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client
from tests.identities import STREAMS, Break, broken, decode_known
from tests.simulator.calls import NOW, Caller
from tests.writes import request_to, write

HOUR = 3600
BOOKED = ("loads", "trips", "invoices")
BILLED = ("Invoiced", "Financed", "Completed", "Paid")
LOAD_STATUSES = (
    *("Admin", "Open", "Quoted", "Reserved", "Covered", "Dispatched", "En-Route", "In Transit", "Delivered"),
    *("TONU", "Released", "Queued", "Invoiced", "Financed", "Completed", "Paid", "Cancelled"),
)
TRIP_STATUSES = (
    *("Open", "Covered", "Dispatched", "In Transit", "Delivered", "Released", "Invoiced", "Completed"),
    *("Queued", "TONU", "Cancelled"),
)
INVOICE_STATUSES = ("Draft", "AwaitingPayment", "Paid")


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=100, fleet=30, now=NOW)
    alvys.set_clock(NOW + HOUR)
    return Caller(alvys)


@pytest.fixture
def client(alvys: Simulator) -> AlvysClient:
    return make_client(alvys, clock=SkippingClock())


def rows_of(alvys: Simulator, stream: str) -> list[dict[str, Any]]:
    return [decode_known(line) for line in alvys.truth_rows(stream=stream)]


def breaks(alvys: Simulator) -> list[Break]:
    return broken({stream: rows_of(alvys, stream) for stream in STREAMS})


def first(rows: list[dict[str, Any]], **columns: Any) -> dict[str, Any]:
    """Return the first row with one of these values in each column."""
    return next(
        row
        for row in rows
        if not row.get("IsDeleted") and all(row.get(name) in wanted for name, wanted in columns.items())
    )


def one(alvys: Simulator, stream: str, key: str) -> dict[str, Any]:
    return next(row for row in rows_of(alvys, stream) if row["Id"] == key)


def invoices_of(alvys: Simulator, load: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        invoice
        for invoice in rows_of(alvys, "invoices")
        if load["Id"] in [other["Id"] for other in invoice["Loads"]]
    ]


def load_with(alvys: Simulator, invoices: int, *statuses: str) -> dict[str, Any]:
    """Return a load of one invoice's only load, with so many invoices."""
    shown = [row for row in rows_of(alvys, "invoices") if len(row["Loads"]) == 1]
    counts = [row["Loads"][0]["Id"] for row in shown]
    loads = [load for load in rows_of(alvys, "loads") if counts.count(load["Id"]) == invoices]
    return first(loads, Status=statuses)


def amount(row: dict[str, Any], name: str) -> Decimal:
    return Decimal(row[name]["Amount"]) if name in row else Decimal(0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_every_identity(
    alvys: Simulator, caller: Caller, client: AlvysClient, name: str
) -> None:
    request = request_to(alvys, name)
    before = breaks(alvys)
    write(client, name, **request)
    assert alvys.effects()[name] == 1
    assert breaks(alvys) == before == []


def cents(value: int, currency: Any) -> dict[str, Any]:
    return {"Amount": value / 100, "Currency": currency}


def random_change(chosen: random.Random, stream: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a change of a record, as a test might make it."""
    if stream == "loads":
        unit = row["CustomerRate"]["Currency"]
        name = chosen.choice(("CustomerRate", "Linehaul", "FuelSurcharge", "CustomerAccessorials"))
        return chosen.choice(
            (
                {"Status": chosen.choice(LOAD_STATUSES)},
                {"Status": chosen.choice(LOAD_STATUSES)},
                {name: cents(chosen.randrange(500_000), unit)},
                {"Status": "Invoiced", "CustomerRate": cents(chosen.randrange(90_000), unit)},
                {"IsDeleted": chosen.random() < 0.5},
                {"LoadNumber": f"L{chosen.randrange(10**6)}"},
                {"TotalPaid": cents(chosen.randrange(90_000), unit)},
            )
        )
    if stream == "trips":
        miles = {"Distance": {"Value": chosen.randrange(900) + 0.5, "UnitOfMeasure": "Miles"}}
        return chosen.choice(
            (
                {"Status": chosen.choice(TRIP_STATUSES)},
                {"Status": chosen.choice(TRIP_STATUSES)},
                {"TripValue": cents(chosen.randrange(300_000), row["TripValue"]["Currency"])},
                {"IsDeleted": chosen.random() < 0.5},
                {chosen.choice(("EmptyMileage", "TotalMileage", "LoadedMileage")): miles},
            )
        )
    name = chosen.choice(("Total", "AmountPaid", "RemainingBalance"))
    return chosen.choice(
        (
            {"Status": chosen.choice(INVOICE_STATUSES)},
            {"Status": chosen.choice(INVOICE_STATUSES)},
            {name: cents(chosen.randrange(1, 400_000), row["Total"]["Currency"])},
        )
    )


def disturb(alvys: Simulator, chosen: random.Random) -> tuple[Any, ...]:
    """Change, add or remove a random row, and return what was done."""
    stream = chosen.choice(BOOKED)
    row, draw = chosen.choice(rows_of(alvys, stream)), chosen.random()
    if draw < 0.06:
        statuses = dict(zip(BOOKED, (LOAD_STATUSES, TRIP_STATUSES, INVOICE_STATUSES), strict=True))
        columns: dict[str, Any] = chosen.choice(({}, {"Status": chosen.choice(statuses[stream])}))
        alvys.add(stream=stream, columns=columns)
        return "add", stream, columns
    if draw < 0.1:
        alvys.remove(stream=stream, keys=[row["Id"]])
        return "remove", stream, row["Id"]
    if draw < 0.2:
        alvys.advance(hours=20)
        return ("advance",)
    if draw < 0.25:
        kind, rows = chosen.choice(("join", "leave")), chosen.randrange(1, 4)
        alvys.order_mutations({"kind": kind, "rows": rows, "times": 1, "stream": stream})
        Caller(alvys).search(CATALOGUE[stream], CATALOGUE[stream].search_fields({}))
        return kind, stream
    columns = random_change(chosen, stream, row)
    alvys.change(stream=stream, keys=[row["Id"]], columns=columns)
    return "change", stream, row["Id"], columns


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_keep_every_identity(alvys: Simulator, caller: Caller, seed: int) -> None:
    chosen = random.Random(seed)
    for step in range(100):
        done = disturb(alvys, chosen)
        assert breaks(alvys) == [], (step, done)


def test_a_record_that_is_broken_on_purpose_is_named(alvys: Simulator, caller: Caller) -> None:
    load = load_with(alvys, 1, "Invoiced", "Completed")
    unit = load["CustomerRate"]["Currency"]
    named = {name: cents(100, unit) for name in ("CustomerRate", "Linehaul", "FuelSurcharge")}
    alvys.change(keys=[load["Id"]], columns=named)
    assert ("load_rate", load["Id"]) in [(found.identity, found.key) for found in breaks(alvys)]


def pay(caller: Caller, load: dict[str, Any], value: Decimal, reference: str, **more: Any) -> dict[str, Any]:
    body = {
        "LoadNumber": load["LoadNumber"],
        "Amount": {"Amount": float(value), "Currency": load["CustomerRate"]["Currency"]},
        "PaymentDate": "2026-11-24",
        "ReferenceNumber": reference,
    }
    answer = caller.send("POST", "invoices/customer-payments", {**body, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def open_load(alvys: Simulator) -> dict[str, Any]:
    """Return an invoiced load whose only invoice is open."""
    load = load_with(alvys, 1, "Invoiced", "Financed", "Completed", "Paid")
    alvys.change(keys=[load["Id"]], columns={"Status": "Invoiced"})
    (invoice,) = invoices_of(alvys, load)
    assert (invoice["Status"], amount(invoice, "AmountPaid")) == ("AwaitingPayment", 0)
    return one(alvys, "loads", load["Id"])


def test_a_payment_goes_to_the_oldest_open_invoice_and_what_is_above_is_kept_apart(
    alvys: Simulator, caller: Caller
) -> None:
    load = open_load(alvys)
    rate, unit = amount(load, "CustomerRate"), load["CustomerRate"]["Currency"]
    charged = {"CustomerRate": {"Amount": float(rate + 100), "Currency": unit}}
    alvys.change(keys=[load["Id"]], columns=charged)
    old, new = invoices_of(alvys, load)
    assert (amount(old, "Total"), amount(new, "Total")) == (rate, 100)
    assert "SupplementalInvoiceType" in new
    pay(caller, load, rate + 40, "A1", CheckNumber="77")
    old, new = invoices_of(alvys, load)
    assert (old["Status"], amount(old, "RemainingBalance")) == ("Paid", 0)
    assert old["Payments"][-1]["CheckNumber"] == "77"
    assert (new["Status"], amount(new, "RemainingBalance")) == ("AwaitingPayment", 60)
    pay(caller, load, Decimal(75), "A2")
    old, new = invoices_of(alvys, load)
    assert (new["Status"], amount(new, "AmountPaid"), amount(new, "OverPaymentAmount")) == ("Paid", 100, 15)
    load = one(alvys, "loads", load["Id"])
    assert load["Status"] in ("Paid", "Completed")
    assert amount(load, "TotalPaid") == rate + 100
    assert breaks(alvys) == []


def test_a_payment_can_name_its_invoice(alvys: Simulator, caller: Caller) -> None:
    load = open_load(alvys)
    rate, unit = amount(load, "CustomerRate"), load["CustomerRate"]["Currency"]
    alvys.change(keys=[load["Id"]], columns={"CustomerRate": {"Amount": float(rate + 100), "Currency": unit}})
    old, new = invoices_of(alvys, load)
    pay(caller, load, Decimal(100), "B1", InvoiceNumber=new["Number"])
    old, new = invoices_of(alvys, load)
    assert (old["Status"], new["Status"]) == ("AwaitingPayment", "Paid")
    assert breaks(alvys) == []


def test_the_status_of_an_invoice_moves_its_payments_and_its_load(alvys: Simulator, caller: Caller) -> None:
    load = open_load(alvys)
    (invoice,) = invoices_of(alvys, load)

    def change(status: str) -> tuple[dict[str, Any], dict[str, Any]]:
        alvys.change(stream="invoices", keys=[invoice["Id"]], columns={"Status": status})
        assert breaks(alvys) == []
        return one(alvys, "invoices", invoice["Id"]), one(alvys, "loads", load["Id"])

    shown, after = change("Paid")
    assert amount(shown, "AmountPaid") == amount(after, "TotalPaid") == amount(load, "CustomerRate")
    assert (after["Status"] in ("Paid", "Completed"), "PaidAt" in after) == (True, True)
    shown, after = change("AwaitingPayment")
    assert (amount(shown, "AmountPaid"), amount(after, "TotalPaid"), after["Status"]) == (0, 0, "Invoiced")
    shown, after = change("Draft")
    assert ("InvoicedDate" in shown, "InvoicedAmount" in after, after["Status"]) == (False, False, "Released")
    shown, after = change("AwaitingPayment")
    assert (amount(after, "InvoicedAmount"), after["Status"]) == (amount(load, "CustomerRate"), "Invoiced")


def test_a_lower_rate_and_a_cancellation_are_credited(alvys: Simulator, caller: Caller) -> None:
    load = open_load(alvys)
    rate, unit = amount(load, "CustomerRate"), load["CustomerRate"]["Currency"]
    alvys.change(keys=[load["Id"]], columns={"CustomerRate": {"Amount": float(rate - 50), "Currency": unit}})
    invoice, memo = invoices_of(alvys, load)
    assert (memo["Type"], amount(memo, "Total"), memo["Status"]) == ("Credit Memo", -50, "Paid")
    assert amount(invoice, "RemainingBalance") == rate - 50
    alvys.change(keys=[load["Id"]], columns={"Status": "Cancelled"})
    shown = invoices_of(alvys, load)
    assert sum(amount(each, "Total") for each in shown) == 0
    assert {each["Status"] for each in shown} == {"Paid"}
    cancelled = one(alvys, "loads", load["Id"])
    assert ("CancelledAt" in cancelled, "InvoicedAmount" in cancelled) == (True, False)
    trips = [row for row in rows_of(alvys, "trips") if row["LoadNumber"] == load["LoadNumber"]]
    assert {trip["Status"] for trip in trips} == {"Cancelled"}
    assert breaks(alvys) == []


def test_a_load_that_becomes_invoiced_gets_its_invoice(alvys: Simulator, caller: Caller) -> None:
    load = first(rows_of(alvys, "loads"), Status=("Open", "Covered"), LoadType=("Revenue",))
    assert invoices_of(alvys, load) == []
    alvys.change(keys=[load["Id"]], columns={"Status": "Invoiced"})
    (invoice,) = invoices_of(alvys, load)
    assert amount(invoice, "Total") == amount(load, "CustomerRate")
    alvys.change(keys=[load["Id"]], columns={"Status": "Paid"})
    (invoice,) = invoices_of(alvys, load)
    assert (invoice["Status"], amount(invoice, "RemainingBalance")) == ("Paid", 0)
    assert breaks(alvys) == []


def test_a_removed_invoice_leaves_its_load_uninvoiced(alvys: Simulator, caller: Caller) -> None:
    load = open_load(alvys)
    alvys.remove(stream="invoices", keys=[invoices_of(alvys, load)[0]["Id"]])
    after = one(alvys, "loads", load["Id"])
    assert ("InvoicedAmount" in after, after["Status"]) == (False, "Released")
    assert breaks(alvys) == []


def test_a_removed_load_takes_its_trips_and_invoices_along(alvys: Simulator, caller: Caller) -> None:
    load = open_load(alvys)
    others = {row["Id"]: row["UpdatedAt"] for row in rows_of(alvys, "loads") if row["Id"] != load["Id"]}
    alvys.remove(keys=[load["Id"]])
    assert invoices_of(alvys, load) == []
    assert load["LoadNumber"] not in {row["LoadNumber"] for row in rows_of(alvys, "trips")}
    assert load["LoadNumber"] not in {row.get("LoadNumber") for row in rows_of(alvys, "tenders")}
    assert {row["Id"]: row["UpdatedAt"] for row in rows_of(alvys, "loads")} == others
    assert breaks(alvys) == []


def test_a_removed_trip_leaves_its_value_to_the_others(alvys: Simulator, caller: Caller) -> None:
    trips = rows_of(alvys, "trips")
    second = next(
        trip for trip in trips if trip["TripNumber"].endswith("-2") and amount(trip, "TripValue") > 0
    )
    alvys.remove(stream="trips", keys=[second["Id"]])
    assert second["LoadNumber"] in {load["LoadNumber"] for load in rows_of(alvys, "loads")}
    assert breaks(alvys) == []
    for trip in rows_of(alvys, "trips"):
        if trip["LoadNumber"] == second["LoadNumber"]:
            alvys.remove(stream="trips", keys=[trip["Id"]])
    assert second["LoadNumber"] not in {load["LoadNumber"] for load in rows_of(alvys, "loads")}
    assert breaks(alvys) == []


def test_an_added_load_has_trips_of_its_own(alvys: Simulator, caller: Caller) -> None:
    (key,) = alvys.add(columns={"CreatedAt": "2026-10-01T00:00:00Z", "Status": "Invoiced"})
    load = one(alvys, "loads", key)
    trips = [trip for trip in rows_of(alvys, "trips") if trip["LoadNumber"] == load["LoadNumber"]]
    assert trips
    assert "InvoicedAmount" in load
    assert breaks(alvys) == []


def test_a_trip_follows_who_hauls_it(alvys: Simulator, caller: Caller) -> None:
    carriers = rows_of(alvys, "carriers")
    trip = first(rows_of(alvys, "trips"), Status=("Open",))
    names = {name: rows_of(alvys, name)[4]["Id"] for name in ("users", "drivers", "trucks")}
    path = f"trips/{trip['Id']}/assign"
    body = {"CarrierId": carriers[9]["Id"], "DispatcherId": names["users"], "CarrierRate": 812.5}
    crew = {"Driver1Id": names["drivers"], "TruckId": names["trucks"]}
    assert caller.send("POST", path, {**body, **crew}).status_code == 422
    assert caller.send("POST", path, body).status_code == 200
    brokered = one(alvys, "trips", trip["Id"])
    assert (brokered["TenderAs"], brokered["TenderAsSubsidiaryType"]) == ("Acme Logistics, Inc.", "Broker")
    assert amount(brokered["Carrier"], "TotalPayable") == amount(brokered["Carrier"], "Linehaul") == 812.5
    own = {"CarrierId": carriers[0]["Id"], "DispatcherId": names["users"]}
    assert caller.send("POST", path, {**own, **crew}).status_code == 200
    asset = one(alvys, "trips", trip["Id"])
    assert (asset["TenderAs"], asset["TenderAsSubsidiaryType"]) == ("Acme Trucking, LLC", "Carrier")
    assert (asset["Driver1"]["Id"], asset["Truck"]["Id"]) == (names["drivers"], names["trucks"])
    assert ("Trailer" in asset, "Linehaul" in asset["Carrier"]) == (True, False)
    assert breaks(alvys) == []


def test_departures_move_a_trip_and_its_load(alvys: Simulator, caller: Caller) -> None:
    singles = [
        load
        for load in rows_of(alvys, "loads")
        if len(load["Stops"]) == 2 and load["Status"] in ("Covered", "Dispatched", "Open")
    ]
    load = first(singles)
    trip = next(row for row in rows_of(alvys, "trips") if row["LoadNumber"] == load["LoadNumber"])
    alvys.change(stream="trips", keys=[trip["Id"]], columns={"Status": "Dispatched"})
    alvys.change(keys=[load["Id"]], columns={"Status": "Dispatched"})
    stops = [f"trips/{trip['Id']}/stops/{stop['Id']}" for stop in trip["Stops"]]

    def log(stop: int, name: str, at: str) -> int:
        field = {"arrival": "ArrivedAt", "departure": "DepartedAt"}[name]
        return caller.send("PUT", f"{stops[stop]}/{name}", {field: at}).status_code

    def statuses() -> tuple[str, str]:
        assert breaks(alvys) == []
        return one(alvys, "trips", trip["Id"])["Status"], one(alvys, "loads", load["Id"])["Status"]

    assert log(0, "arrival", "2026-12-01T08:00:00Z") == 200
    assert statuses() == ("Dispatched", "Dispatched")
    assert log(0, "departure", "2026-12-01T07:00:00Z") == 422
    assert log(0, "departure", "2026-12-01T10:00:00Z") == 200
    assert statuses() == ("In Transit", "In Transit")
    assert log(1, "arrival", "2026-12-01T09:00:00Z") == 422
    assert log(1, "arrival", "2026-12-02T09:00:00Z") == 200
    assert log(1, "departure", "2026-12-02T10:30:00Z") == 200
    assert statuses() == ("Delivered", "Delivered")
    shown = one(alvys, "loads", load["Id"])
    assert (shown["PickedUpAt"][:19], shown["DeliveredAt"][:19]) == (
        "2026-12-01T10:00:00",
        "2026-12-02T10:30:00",
    )
    assert caller.send("DELETE", f"{stops[1]}/arrival").status_code == 200
    assert statuses() == ("In Transit", "In Transit")


def test_a_rejected_tender_can_cancel_its_load(alvys: Simulator, caller: Caller) -> None:
    load = next(row for row in rows_of(alvys, "loads") if "TenderId" in row and row["Status"] in BILLED)
    reason = {"ReasonCode": "A", "ReasonDescription": "b", "CancelLinkedLoad": True}
    alvys.change(stream="tenders", keys=[load["TenderId"]], columns={"Status": "Pending"})
    assert caller.send("POST", f"tenders/{load['TenderId']}/reject", reason).status_code == 200
    assert one(alvys, "loads", load["Id"])["Status"] == "Cancelled"
    assert breaks(alvys) == []
