"""Who takes part in a load, and which way it goes."""

from __future__ import annotations

import random
from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from airflow_provider_alvys.simulator.company.added import EXTRA
from airflow_provider_alvys.simulator.company.plans.scenarios import (
    COMPANY,
    OWNER_OPERATOR,
    TEAM,
    scenario_of,
    summary_of,
)
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.company.world.goods import EQUIPMENT_BY_TYPE
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.company.world.places import Place, road_miles

# Of an empty row set.
NOBODY = 60
# How many drivers or vehicles are asked whether they are free.
_TRIES = 40
# A stop on the way makes a route at most this many times as long, and has at least this share of it before
# and behind it.
_DETOUR, _APART = 1.1, 0.15


class Rows(Protocol):
    """The part of a row set that the company uses."""

    count: int
    company: object

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
        # When drivers, trucks and trailers are on the road, by their kind and number.
        self._busy: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)

    def _count(self, stream: str) -> int:
        return self._rows(stream).count or NOBODY

    @cached_property
    def _customers(self) -> Mapping[bool, list[parties.Customer]]:
        """The customers by whether their invoices are factored."""
        everybody = [parties.customer(self.salt, number) for number in range(self._count("customers"))]
        found: dict[bool, list[parties.Customer]] = {}
        for customer in [one for one in everybody if one.status == "Active"] or everybody:
            found.setdefault(customer.is_factored, []).append(customer)
        return found

    @cached_property
    def _carriers(self) -> list[parties.Carrier]:
        found = [parties.carrier(self.salt, number) for number in range(self._count("carriers"))]
        return [carrier for carrier in found if carrier.is_usable] or found[len(SUBSIDIARIES) :] or found

    @cached_property
    def _crews(self) -> Mapping[str, Mapping[int, int | None]]:
        """The drivers with the second drivers of teams, by who hauls."""
        found: dict[str, dict[int, int | None]] = {COMPANY: {}, OWNER_OPERATOR: {}, TEAM: {}}
        count = self._count("drivers")
        for number in range(count):
            driver = crew.driver(self.salt, number)
            if not driver.is_active:
                continue
            if driver.type == "OWNER_OPERATOR":
                found[OWNER_OPERATOR][number] = None
            elif driver.partner is None:
                found[COMPANY][number] = None
            elif number < driver.partner < count:
                found[TEAM][number] = driver.partner
        everybody = [crewed for crewed in found.values() if crewed] or [{0: None}]
        return {hauler: drivers or everybody[0] for hauler, drivers in found.items()}

    @cached_property
    def _trucks(self) -> Mapping[int | None, list[int]]:
        """The trucks by their owner: None is the company."""
        found: dict[int | None, list[int]] = {}
        for number in range(self._count("trucks")):
            truck = crew.truck(self.salt, number)
            if truck.is_usable:
                found.setdefault(truck.owner, []).append(number)
        return {None: [0], **found}

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
        # A customer's invoices are all factored, or none is.
        is_factored = scenario_of(load).billing == "factored"
        customers = self._customers.get(is_factored) or self._customers[not is_factored]
        # Most freight comes from few customers.
        customer = customers[int(len(customers) * draw**2)]
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

    def pick_crew(
        self, hauler: str, turn: int, equipment: str, period: tuple[int, int] | None
    ) -> tuple[int, int | None, int, int]:
        """
        Return the numbers of an own driver, the second driver or None, a truck and a trailer.

        :param period: in which they are to be free, and are not any more; None means that it does not matter.
        """
        seconds = self._crews[hauler]
        driver = self._pick_free("drivers", tuple(seconds), turn, period)
        own = self._trucks.get(driver if hauler == OWNER_OPERATOR else None)
        truck = self._pick_free("trucks", own or self._trucks[None], turn, period)
        trailer = self._pick_free("trailers", self._trailers.get(equipment) or [0], turn, period)
        return driver, seconds[driver], truck, trailer

    def _pick_free(self, kind: str, numbers: Sequence[int], turn: int, period: tuple[int, int] | None) -> int:
        """Return the next one in turn that is free; without one, the next is in two places at once."""
        candidates = [numbers[(turn + step) % len(numbers)] for step in range(min(_TRIES, len(numbers)))]
        if period is None:
            return candidates[0]
        found = next((number for number in candidates if self._is_free(kind, number, period)), candidates[0])
        insort(self._busy[kind, found], period)
        return found

    def _is_free(self, kind: str, number: int, period: tuple[int, int]) -> bool:
        busy = self._busy[kind, number]
        place = bisect(busy, period)
        ends_before = not place or busy[place - 1][1] <= period[0]
        return ends_before and (place == len(busy) or period[1] <= busy[place][0])
