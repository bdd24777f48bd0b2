"""The rate of a load, its parts, and the shares of its trips."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.money import cents_of, money, shares
from airflow_provider_alvys.simulator.company.texts import text_id

AMOUNTS = ("Linehaul", "FuelSurcharge", "CustomerAccessorials", "CustomerAccessorialsDetails", "CustomerRate")


def follow_amounts(load: Paper) -> None:
    """Bring a load's rate and its parts into line; the line haul takes what a new rate leaves."""
    if "CustomerAccessorialsDetails" in load.named:
        details = load.get("CustomerAccessorialsDetails") or []
        load.set_cents("CustomerAccessorials", sum(cents_of(detail.get("Total")) for detail in details))
    elif "CustomerAccessorials" in load.named:
        load.set("CustomerAccessorialsDetails", _details(load))
    if "CustomerRate" not in load.named:
        load.set_cents("CustomerRate", sum(load.cents(name) for name in AMOUNTS[:3]))
        return
    rate = load.cents("CustomerRate")
    if load.cents("FuelSurcharge") + load.cents("CustomerAccessorials") > rate:
        load.set_cents("FuelSurcharge", 0)
        load.set_cents("CustomerAccessorials", 0)
        load.set("CustomerAccessorialsDetails", [])
    for name, others in (("Linehaul", AMOUNTS[1:3]), ("FuelSurcharge", (AMOUNTS[0], AMOUNTS[2]))):
        load.set_cents(name, rate - sum(load.cents(other) for other in others))


def _details(load: Paper) -> list[dict[str, Any]]:
    """Return a load's charges with one more for what a new total has above or below them."""
    found, total = list(load.get("CustomerAccessorialsDetails") or []), load.cents("CustomerAccessorials")
    rest = total - sum(cents_of(detail.get("Total")) for detail in found)
    if not total:
        return []
    if not rest:
        return found
    amount = money(rest, load.currency)
    key = text_id(load.rows.salt, load.number, rest, len(found))
    extra = {"Id": key, "Type": "Adjustment", "Total": amount, "Rate": amount, "RateType": "Flat"}
    return [*found, {**extra, "Uom": "Each", "Quantity": 1, "IsPaid": False}]


def share_among_trips(entry: Entry, load: Paper, *, is_forced: bool = False) -> None:
    """Share a load's line haul and fuel surcharge among its trips, by loaded miles."""
    trips, freight = entry.trips_of(load.number), load.cents("Linehaul") + load.cents("FuelSurcharge")
    if not trips or (not is_forced and sum(trip.cents("TripValue") for trip in trips) == freight):
        return
    named = sum(trip.cents("TripValue") for trip in trips if "TripValue" in trip.named)
    others = [trip for trip in trips if "TripValue" not in trip.named]
    values = shares(freight - named, [_miles(trip) for trip in others]) if others else []
    for trip, value in zip(others, values, strict=True):
        trip.set_cents("TripValue", value)


def _miles(trip: Paper) -> int:
    value = ((trip.get("LoadedMileage") or {}).get("Distance") or {}).get("Value")
    return max(0, cents_of({"Amount": value}))


def move_line_haul(entry: Entry, load: Paper, cents: int) -> None:
    """Raise or lower a load's line haul, and its rate."""
    if cents:
        load.set_cents("Linehaul", load.cents("Linehaul") + cents)
        load.set_cents("CustomerRate", sum(load.cents(name) for name in AMOUNTS[:3]))
        share_among_trips(entry, load)
