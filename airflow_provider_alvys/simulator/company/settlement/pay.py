"""What drivers are paid for their trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_alvys.simulator.company.money import shares
from airflow_provider_alvys.simulator.company.plans.load import Charge, Leg
from airflow_provider_alvys.simulator.company.settlement.facts import OwnTrip, dollars

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

# Who gets a percentage, gets so many tenths of a cent for loaded and empty miles of a load without revenue.
_FREE_RATES = (1_100, 1_000)


class SubLine(NamedTuple):
    """A part of a line."""

    description: str
    quantity: str
    rate: str
    cents: int


class PayLine(NamedTuple):
    """
    A line of a driver's statement.

    :param cents: US cents; negative if the driver pays.
    :param load: number of the load, or None.
    :param trip: position of the trip in the load, or None.
    :param transaction: of escrow: ``Deposit`` or ``Withdrawal``.
    """

    category: str
    title: str
    cents: int
    load: int | None = None
    trip: int | None = None
    policy: str | None = None
    transaction: str | None = None
    parts: Sequence[SubLine] = ()


def trip_value(trip: OwnTrip, at: int) -> int:
    """Return a trip's share of line haul and fuel surcharge, in US cents."""
    value = shares(sum(trip.load.price(at)), [leg.loaded for leg in trip.load.legs])[trip.position]
    return dollars(value, trip.load.currency)


def trip_pay(company: Company, trip: OwnTrip, driver: int, at: int) -> PayLine:
    """
    Return what a driver gets for the way: by miles, or a percentage of the line haul.

    Each driver of a team gets half of it.
    """
    load, leg = trip.load, trip.leg
    pay, drivers = company.driver(driver).pay, len(trip.drivers)
    cities = [load.stops[stop].place for stop in leg.stops]
    title = " - ".join(f"{place.city}, {place.state}" for place in cities)
    if pay.share and not load.scenario.is_revenue:
        parts, policy = _mile_parts(leg, *_FREE_RATES, drivers), "Non-revenue miles"
    elif pay.share:
        parts, policy = _percentage_parts(trip, pay.share, at), f"{pay.share / 100:.1f}% of line haul"
    else:
        parts = _mile_parts(leg, pay.loaded_rate, pay.empty_rate, drivers)
        policy = f"{'Team' if drivers > 1 else 'Solo'} ${pay.loaded_rate / 1000:.3f} a mile"
    cents = sum(part.cents for part in parts)
    return PayLine("LineHaul", title, cents, load.number, trip.position, policy, parts=parts)


def _mile_parts(leg: Leg, loaded_rate: int, empty_rate: int, drivers: int) -> list[SubLine]:
    # A cent is a thousand hundredths of a mile at a tenth of a cent. The line is rounded, not its parts.
    total = _rounded(leg.loaded * loaded_rate + leg.empty * empty_rate, 1_000 * drivers)
    loaded = _rounded(leg.loaded * loaded_rate, 1_000 * drivers) if leg.empty else total
    parts = [_mile_part("Loaded miles", leg.loaded, loaded_rate, drivers, loaded)]
    if leg.empty:
        parts.append(_mile_part("Empty miles", leg.empty, empty_rate, drivers, total - loaded))
    return parts


def _mile_part(description: str, miles: int, rate: int, drivers: int, cents: int) -> SubLine:
    return SubLine(description, f"{miles / 100:.2f}", f"{rate / 1000 / drivers:.4f}", cents)


def _percentage_parts(trip: OwnTrip, share: int, at: int) -> list[SubLine]:
    miles = [leg.loaded for leg in trip.load.legs]
    line_haul = dollars(shares(trip.load.price(at)[0], miles)[trip.position], trip.load.currency)
    cents = _rounded(line_haul * share, 10_000)
    return [SubLine("Line haul", f"{line_haul / 100:.2f}", f"{share / 100:.2f}%", cents)]


def accessorial_lines(trip: OwnTrip, charges: Sequence[Charge], *, is_late: bool) -> list[PayLine]:
    """Return lines for accessorials of a trip; late ones name the load only."""
    lines = []
    for charge in charges:
        cents = dollars(charge.total, trip.load.currency)
        quantity, rate = f"{charge.quantity / 1000:.2f}", f"{charge.rate / 100:.2f}"
        line = PayLine(
            "Accessorials",
            charge.type,
            cents,
            load=trip.load.number,
            trip=None if is_late else trip.position,
            parts=[SubLine(charge.unit, quantity, rate, cents)],
        )
        lines.append(line)
    return lines


def advance_lines(trip: OwnTrip, at: int) -> list[PayLine]:
    """Return lines for the e-checks that a driver got on a trip."""
    return [
        PayLine("Echecks", "E-check", -dollars(cents, trip.load.currency), trip.load.number, trip.position)
        for since, cents in trip.leg.advances
        if 0 < since <= at
    ]


def _rounded(value: int, unit: int) -> int:
    """Return a value divided by a unit, half a unit rounded up."""
    return (2 * value + unit) // (2 * unit)
