"""Every status, type and case of a trucking company occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.company.world.goods import COMMODITIES
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant
from tests.simulator.calls import NOW

pytestmark = pytest.mark.slow

LOADS = 10_000


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant(Options(loads=LOADS, fleet=700, now=NOW))


def records(tenant: Tenant, stream: str) -> Iterator[dict[str, Any]]:
    rows = tenant.rows(stream)
    for number in rows.numbers():
        yield msgspec.json.decode(rows.record_json(number, with_tombstone=True))


def values(stream: str, name: str) -> set[str]:
    found = next(item for item in STREAMS[stream].filters if item.name == name)
    return set(found.values or found.guessed)


@pytest.mark.parametrize("stream", ["loads", "trips", "invoices"])
def test_every_status_occurs(tenant: Tenant, stream: str) -> None:
    status = tenant.rows(stream).column("Status")
    counts = Counter(status[number] for number in tenant.rows(stream).numbers())
    assert counts.keys() == values(stream, "Status")


def test_every_kind_of_load_occurs(tenant: Tenant) -> None:
    trips: dict[str, list[dict[str, Any]]] = {}
    for trip in records(tenant, "trips"):
        kept = ("TenderAsSubsidiaryType", "Status", "Carrier", "Driver2", "OwnerOperator")
        trips.setdefault(trip["LoadNumber"], []).append({name: trip[name] for name in kept if name in trip})
    found: Counter[str] = Counter()
    for load in records(tenant, "loads"):
        own = trips[load["LoadNumber"]]
        modes = {trip["TenderAsSubsidiaryType"] for trip in own}
        found[f"{len(own)} trips"] += 1
        found["mixed" if len(modes) > 1 else modes.pop()] += 1
        found[load["LoadType"]] += 1
        found[load["InvoiceAs"]] += 1
        found[f"currency {load['CustomerRate']['Currency']}"] += 1
        found["team"] += any("Driver2" in trip for trip in own)
        found["owner-operator"] += any("OwnerOperator" in trip for trip in own)
        # Its trip says so for ever: the load does not.
        is_unused = any(charge["Type"] == "TONU" for charge in load["CustomerAccessorialsDetails"])
        assert is_unused == ({trip["Status"] for trip in own} == {"TONU"})
        found["released TONU"] += is_unused and load["Status"] == "Released"
        found["paid TONU"] += is_unused and load["Status"] == "Completed"
        found["waypoint"] += any(stop["$type"] == "waypoint" for stop in load["Stops"])
        found["stop-off"] += sum(stop["StopType"] == "Delivery" for stop in load["Stops"]) > 1
        found["open window"] += any(
            stop.get("StopWindow", {}).get("End", "").startswith("9999") for stop in load["Stops"]
        )
        found["arrival not recorded"] += "DeliveredAt" in load and any(
            "ArrivedAt" not in stop for stop in load["Stops"]
        )
        found["deleted"] += load["IsDeleted"]
        found["e-check"] += any(trip.get("Carrier", {}).get("EChecks") for trip in own)
    expected = {"1 trips", "2 trips", "3 trips", "mixed", "Carrier", "Broker", "Revenue", "Non-Revenue"}
    expected |= {"Acme Trucking, LLC", "Acme Logistics, Inc.", "currency 840", "currency 124", "team"}
    expected |= {
        "owner-operator",
        "released TONU",
        "paid TONU",
        "waypoint",
        "stop-off",
        "open window",
        "e-check",
    }
    expected |= {"arrival not recorded", "deleted"}
    assert {name for name, count in found.items() if count} == expected


def test_drivers_and_vehicles_are_in_one_place_at_a_time(tenant: Tenant) -> None:
    busy: dict[str, list[tuple[str, str]]] = {}
    for trip in records(tenant, "trips"):
        for kind in ("Driver1", "Driver2", "Truck"):
            if "DeliveredAt" in trip and kind in trip:
                busy.setdefault(trip[kind]["Id"], []).append((trip["PickedUpAt"], trip["DeliveredAt"]))
    both = sum(later[0] < earlier[1] for times in busy.values() for earlier, later in pairwise(sorted(times)))
    assert both < 0.01 * sum(map(len, busy.values()))


def test_either_all_invoices_of_a_customer_are_factored_or_none(tenant: Tenant) -> None:
    factored: dict[str, set[bool]] = {}
    for number in range(tenant.company.load_count):
        load = tenant.company.load(number)
        factored.setdefault(str(load.customer), set()).add(load.scenario.billing == "factored")
    assert set(map(len, factored.values())) == {1}
    assert len({one for found in factored.values() for one in found}) == 2


def test_a_reefer_has_the_temperature_of_its_freight(tenant: Tenant) -> None:
    temperatures = {
        trip["LoadNumber"]: trip.get("Temperature", {}).get("SetpointTemperature")
        for trip in records(tenant, "trips")
    }
    degrees = {goods.name: goods.fahrenheit for goods in COMMODITIES}
    found = set()
    for tender in records(tenant, "tenders"):
        if tender.get("LoadNumber") in temperatures:
            shown = temperatures[tender["LoadNumber"]]
            (name,) = {order["Description"] for stop in tender["Stops"] for order in stop["Orders"]}
            assert (None if shown is None else float(shown)) == degrees[name]
            found.add(name)
    assert found == degrees.keys()


def test_every_kind_of_invoice_occurs(tenant: Tenant) -> None:
    found: Counter[str] = Counter()
    invoices: Counter[str] = Counter()
    for invoice in records(tenant, "invoices"):
        found[invoice["Type"]] += 1
        found["supplemental"] += "SupplementalInvoiceType" in invoice
        found["several loads"] += len(invoice["Loads"]) > 1
        found["partly paid"] += bool(invoice["Payments"]) and invoice["Status"] == "AwaitingPayment"
        found["two payments"] += len(invoice["Payments"]) > 1
        found["overpaid"] += "OverPaymentAmount" in invoice
        found[invoice["Total"]["Currency"]] += 1
        if invoice["Type"] == "LoadInvoice" and "SupplementalInvoiceType" not in invoice:
            invoices[invoice["Loads"][0]["LoadNumber"]] += 1
    found["invoiced again"] = sum(count > 1 for count in invoices.values())
    expected = {"LoadInvoice", "SummaryInvoice", "Credit Memo", "supplemental", "several loads"}
    expected |= {"partly paid", "two payments", "overpaid", "USD", "CAD", "invoiced again"}
    assert {name for name, count in found.items() if count} == expected


def test_arrivals_are_early_on_time_and_late(tenant: Tenant) -> None:
    late = Counter(
        stop["ArrivedAt"] > json_time(stop["AppointmentDate"])
        for trip in records(tenant, "trips")
        for stop in trip["Stops"]
        if "ArrivedAt" in stop and "AppointmentDate" in stop
    )
    assert 0.08 < late[True] / late.total() < 0.4


def json_time(text: str) -> str:
    """Return a time in UTC, as the arrivals are."""
    return datetime.fromisoformat(text).astimezone(timezone.utc).isoformat(timespec="seconds")
