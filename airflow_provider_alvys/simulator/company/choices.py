"""Who takes part in a load, and which way it goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from airflow_provider_alvys.simulator.company.added import EXTRA
from airflow_provider_alvys.simulator.company.plans.scenarios import COMPANY, OWNER_OPERATOR, TEAM, summary_of
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.company.world.goods import EQUIPMENT_BY_TYPE
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.company.world.places import Place, road_miles

# Of an empty row set.
NOBODY = 60
# A stop on the way makes a route at most this many times as long, and has at least this share of it before
# and behind it.
_DETOUR, _APART = 1.1, 0.15


class Rows(Protocol):
    """The part of a row set that the company uses."""

    count: int

    def column(self, path: str) -> Mapping[int, Any]:
        """Return a column."""

    def started_at(self, number: int) -> int:
        """Return when a row started."""


class Choices:
    """Chooses who takes part in a load."""

    def __init__(self, salt: int, rows: Callable[[str], Rows]) -> None:
        self.salt = salt
        self._rows = rows
        # The locations between two others.
        self._ways: dict[tuple[int, int], tuple[list[int], list[int]]] = {}

    def _count(self, stream: str) -> int:
        return self._rows(stream).count or NOBODY

    @cached_property
    def _customers(self) -> list[parties.Customer]:
        found = [parties.customer(self.salt, number) for number in range(self._count("customers"))]
        return [customer for customer in found if customer.status == "Active"] or found

    @cached_property
    def _carriers(self) -> list[parties.Carrier]:
        found = [parties.carrier(self.salt, number) for number in range(self._count("carriers"))]
        return [carrier for carrier in found if carrier.is_usable] or found[len(SUBSIDIARIES) :] or found

    @cached_property
    def _crews(self) -> Mapping[str, list[tuple[int, int | None]]]:
        """The drivers, and for teams the second drivers, by who hauls."""
        found: dict[str, list[tuple[int, int | None]]] = {COMPANY: [], OWNER_OPERATOR: [], TEAM: []}
        count = self._count("drivers")
        for number in range(count):
            driver = crew.driver(self.salt, number)
            if not driver.is_active:
                continue
            if driver.type == "OWNER_OPERATOR":
                found[OWNER_OPERATOR].append((number, None))
            elif driver.partner is None:
                found[COMPANY].append((number, None))
            elif number < driver.partner < count:
                found[TEAM].append((number, driver.partner))
        everybody = [crewed for crewed in found.values() if crewed] or [[(0, None)]]
        return {hauler: drivers or everybody[0] for hauler, drivers in found.items()}

    @cached_property
    def _trucks(self) -> list[int]:
        count = self._count("trucks")
        return [number for number in range(count) if crew.truck(self.salt, number).is_usable] or [0]

    @cached_property
    def _trailers(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in range(self._count("trailers")):
            trailer = crew.trailer(self.salt, number)
            if trailer.is_usable:
                found.setdefault(trailer.equipment.required, []).append(number)
        return found

    def pick_customer(self, load: int, draw: float) -> tuple[int, int, int, str]:
        """Return a customer's number, currency, payment terms in days, and usual equipment."""
        if load < EXTRA and len(summary_of(load)) > 1:
            draw = (hash((self.salt, summary_of(load)[0], 21)) & 0xFFFF) / 0x10000
        # Most freight comes from few customers.
        customer = self._customers[int(len(self._customers) * draw**2)]
        equipment = EQUIPMENT_BY_TYPE[customer.equipment].required
        return customer.number, customer.currency, customer.terms, equipment

    def pick_route(self, load: int, customer: int, count: int, rng: random.Random) -> list[tuple[int, Place]]:
        """Return the locations of a load's stops: numbers and places."""
        locations = self._count("locations")
        lanes = parties.lanes(self.salt, customer, locations)
        needed = count - 2
        if not needed:
            first, last = rng.choice(lanes)
            return [(number, self._place(number)) for number in (first, last)]
        first, last = rng.choice([lane for lane in lanes if len(self._between(*lane)[0]) >= needed] or lanes)
        between, nearest = self._between(first, last)
        chosen = rng.sample(between, needed) if len(between) >= needed else nearest[:needed]
        chosen += [first] * (needed - len(chosen))
        route = (first, *sorted(chosen, key=lambda number: self._miles(first, number)), last)
        return [(number, self._place(number)) for number in route]

    def _between(self, first: int, last: int) -> tuple[list[int], list[int]]:
        """Return one location of each place on the way between two others, and of all places by detour."""
        if (first, last) not in self._ways:
            direct = self._miles(first, last)
            ends = (self._place(first), self._place(last))
            by_place = {self._place(number): number for number in range(self._count("locations"))}
            others = sorted(
                (self._miles(first, number) + self._miles(number, last), number)
                for place, number in by_place.items()
                if place not in ends
            )
            between = [
                number
                for miles, number in others
                if miles <= direct * _DETOUR
                and min(self._miles(first, number), self._miles(number, last)) >= direct * _APART
            ]
            self._ways[first, last] = between, [number for _, number in others]
        return self._ways[first, last]

    def _miles(self, first: int, last: int) -> int:
        return road_miles(self._place(first), self._place(last))

    def _place(self, number: int) -> Place:
        return parties.location(self.salt, number).place

    def pick_carrier(self, draw: float) -> tuple[int, int]:
        """Return a carrier's number, and its payment terms in days."""
        carrier = self._carriers[int(len(self._carriers) * draw)]
        return carrier.number, carrier.terms

    def pick_crew(self, hauler: str, turn: int, equipment: str) -> tuple[int, int | None, int, int]:
        """Return the numbers of an own driver, the second driver or None, a truck and a trailer."""
        drivers = self._crews[hauler]
        driver, second = drivers[turn % len(drivers)]
        trucks = self._trucks
        truck = driver if hauler == OWNER_OPERATOR and driver in trucks else trucks[turn % len(trucks)]
        trailers = self._trailers.get(equipment) or [0]
        return driver, second, truck, trailers[turn % len(trailers)]
