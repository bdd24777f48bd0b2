"""The story of a load: where it goes, who hauls it, what it costs, and when what happens to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from airflow_provider_alvys.simulator.company.plans.scenarios import Scenario
from airflow_provider_alvys.simulator.company.world.places import Place
from airflow_provider_alvys.simulator.data.times import HOUR


class PlannedEvent(NamedTuple):
    """
    Something that happens to a load or trip.

    :param at: microseconds since 1970.
    :param status: its status from then on; empty if it stays.
    """

    at: int
    status: str = ""


class Charge(NamedTuple):
    """
    An accessorial charge.

    :param at: when it was added.
    :param type: such as ``Detention``.
    :param unit: what the quantity counts.
    :param quantity: in thousandths.
    :param rate: in cents.
    :param total: in cents: the rate times the quantity.
    :param stop: position of the load's stop that caused it.
    """

    at: int
    type: str
    unit: str
    quantity: int
    rate: int
    total: int
    stop: int


@dataclass(slots=True)
class Stop:
    """
    A stop of a load.

    :param location: number of the row in locations.
    :param kind: ``Pickup``, ``Delivery`` or ``Waypoint``, where a trip ends and the next begins.
    :param due: appointment, or end of the window; None if the window is open.
    :param arrived: when the truck arrives; ``is_logged`` says whether the record has it.
    """

    location: int
    place: Place
    kind: str
    is_appointment: bool
    begin: int
    due: int | None
    arrived: int = 0
    departed: int = 0
    is_logged: bool = True

    def times_of_trip(self, turn: int) -> tuple[int, int]:
        """
        Return arrival and departure as a trip has them.

        :param turn: at a waypoint, 0 for the trip that ends there and 1 for the next one.
        """
        if self.kind != "Waypoint" or turn not in (0, 1):
            return self.arrived, self.departed
        stay = min(HOUR // 4, (self.departed - self.arrived) // 2)
        return (self.departed - stay, self.departed) if turn else (self.arrived, self.arrived + stay)


@dataclass(slots=True)
class Leg:
    """
    A trip of a load.

    :param stops: first and last position in the load's stops.
    :param loaded: miles with freight, in hundredths; ``empty`` without.
    :param carrier: number of the row in carriers, for a brokered trip; otherwise None.
    :param driver: number of the row in drivers, for a trip with an own driver.
    :param cost: line haul of the carrier in cents.
    :param advances: e-checks: when, and cents.
    :param settled_on: day of the carrier's settlement; ``paid_at`` is when it is paid.
    :param billed_at: when the carrier's invoice came.
    :param is_held: whether that payment is held back for some time.
    :param unused_at: when the truck turned out to be ordered and not used.
    """

    hauler: str
    stops: tuple[int, int]
    loaded: int
    empty: int = 0
    carrier: int | None = None
    driver: int | None = None
    second_driver: int | None = None
    truck: int | None = None
    trailer: int | None = None
    cost: int = 0
    charges: list[Charge] = field(default_factory=list)
    advances: list[tuple[int, int]] = field(default_factory=list)
    events: list[PlannedEvent] = field(default_factory=list)
    covered_at: int = 0
    picked_up_at: int | None = None
    delivered_at: int | None = None
    released_at: int | None = None
    billed_at: int | None = None
    settled_on: int | None = None
    paid_at: int | None = None
    is_held: bool = False
    unused_at: int | None = None

    def line_haul(self, at: int) -> int:
        """Return the carrier's line haul at a time, in cents: none once the truck was not used."""
        return 0 if self.unused_at is not None and at >= self.unused_at else self.cost


@dataclass(slots=True)
class Load:
    """
    A load, with all that will happen to it.

    :param number: of its row.
    :param prices: when the line haul and the fuel surcharge change, and both in cents.
    :param currency: ISO 4217 number.
    :param weight: in pounds.
    :param billed: from when on it is invoiced or not.
    :param receipts: when a customer paid, and cents.
    :param paid_at: when its last invoice is paid.
    """

    number: int
    scenario: Scenario
    created_at: int
    customer: int
    currency: int
    terms: int
    equipment: str
    stops: list[Stop]
    legs: list[Leg]
    prices: list[tuple[int, int, int]]
    weight: int
    charges: list[Charge] = field(default_factory=list)
    events: list[PlannedEvent] = field(default_factory=list)
    picked_up_at: int | None = None
    delivered_at: int | None = None
    released_at: int | None = None
    cancelled_at: int | None = None
    deleted_at: int | None = None
    billed: list[tuple[int, bool]] = field(default_factory=list)
    receipts: list[tuple[int, int]] = field(default_factory=list)
    paid_at: int | None = None

    def is_billed(self, at: int) -> bool:
        """Return whether it is invoiced at a time; a reopened load is not."""
        return next((is_billed for since, is_billed in reversed(self.billed) if since <= at), False)

    def price(self, at: int) -> tuple[int, int]:
        """Return line haul and fuel surcharge at a time, in cents."""
        found = self.prices[0]
        for price in self.prices[1:]:
            if price[0] <= at:
                found = price
        return found[1], found[2]

    def rate(self, at: int) -> int:
        """Return the customer's rate at a time, in cents."""
        return sum(self.price(at)) + sum(charge.total for charge in self.charges if charge.at <= at)


def status(events: Sequence[PlannedEvent], at: int) -> str:
    """Return the status at a time."""
    found = ""
    for event in events:
        if event.at > at:
            break
        found = event.status or found
    return found


def last_change(events: Sequence[PlannedEvent], at: int) -> int:
    """Return the time of the last event until a time."""
    return max((event.at for event in events if event.at <= at), default=events[0].at)


def has_changed(events: Sequence[PlannedEvent], since: int, until: int) -> bool:
    """Return whether anything happened after a time, until another one; the events are in order."""
    return events[-1].at > since and any(since < event.at <= until for event in events)


def in_order(events: Iterable[PlannedEvent]) -> list[PlannedEvent]:
    """Return events in the order of their times."""
    return sorted(events, key=lambda event: event.at)
