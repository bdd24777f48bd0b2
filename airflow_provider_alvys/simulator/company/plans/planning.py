"""The plan of a load until its release: its route, its trips, their prices, and when what happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from airflow_provider_alvys.simulator.company.plans.load import (
    Charge,
    Leg,
    Load,
    PlannedEvent,
    Stop,
    in_order,
)
from airflow_provider_alvys.simulator.company.plans.scenarios import (
    CARRIER,
    TEAM,
    Scenario,
    own_trips_before,
    scenario_of,
)
from airflow_provider_alvys.simulator.company.world import charges
from airflow_provider_alvys.simulator.company.world.charges import Accessorial
from airflow_provider_alvys.simulator.company.world.goods import EQUIPMENT_BY_REQUIRED
from airflow_provider_alvys.simulator.company.world.places import Place, road_miles, utc_offset
from airflow_provider_alvys.simulator.data.times import DAY, HOUR, SECOND

_MINUTE = 60 * SECOND
_WEEK = 7 * DAY
_SATURDAY = 5
_FREE_TIME = 2 * HOUR
_MILES_PER_HOUR = 50
_MILES_PER_SHIFT = 550
_REST = 10 * HOUR
# The carriers of some loads are paid later, until their papers are complete.
_HELD_EVERY = 33
_HELD_DAYS = 14
# Days from the settlement to the payment by transfer, or by a check that some carriers get.
_TRANSFER_DAYS, _CHECK_DAYS = 4, 11
CHECK_EVERY = 4


class Parties(Protocol):
    """The part of the company that a load needs: who there is, by number."""

    salt: int

    def pick_customer(self, load: int, draw: float) -> tuple[int, int, int, str]:
        """Return a customer's number, currency, payment terms in days, and usual equipment."""

    def pick_route(self, load: int, customer: int, count: int, rng: random.Random) -> list[tuple[int, Place]]:
        """Return the locations of a load's stops: numbers and places."""

    def pick_carrier(self, draw: float) -> tuple[int, int]:
        """Return a carrier's number, and its payment terms in days."""

    def pick_crew(
        self, hauler: str, turn: int, equipment: str, period: tuple[int, int] | None
    ) -> tuple[int, int | None, int, int]:
        """
        Return the numbers of an own driver, the second driver or None, a truck and a trailer.

        :param period: in which they are to be free, and are not any more; None means that it does not matter.
        """


def plan_load(parties: Parties, number: int, created_at: int, *, is_booked: bool) -> Load:
    """
    Return a load until its release; :mod:`billing` adds the rest.

    :param is_booked: whether its drivers, trucks and trailers are not on another load at the time.
    """
    scenario = scenario_of(number)
    rng = random.Random(hash((parties.salt, number, 18)))
    customer, currency, terms, equipment = parties.pick_customer(number, rng.random())
    opened_at = created_at + (int((6 + 66 * rng.random()) * HOUR) if scenario.opening else 0)
    legs = len(scenario.haulers)
    route = parties.pick_route(number, customer, 1 + legs + scenario.stop_offs, rng)
    stops = _plan_stops(route, legs, scenario, opened_at, rng)
    load = Load(
        number=number,
        scenario=scenario,
        created_at=created_at,
        customer=customer,
        currency=currency,
        terms=terms,
        equipment=equipment,
        stops=stops,
        legs=_plan_legs(scenario, stops),
        prices=[],
        weight=8_000 + int(rng.random() * 36_500),
    )
    _set_prices(load, rng)
    turn = own_trips_before(number)
    for leg in load.legs:
        if leg.hauler == CARRIER:
            leg.carrier, days = parties.pick_carrier(rng.random())
            leg.settled_on = 2 if scenario.billing == "quick pay" else days
            share = (
                sum(load.price(created_at)) * leg.loaded // max(1, sum(other.loaded for other in load.legs))
            )
            leg.cost = share * int(780 + 240 * rng.random()) // 1000
            if rng.random() < 0.1:
                leg.advances.append((0, 5_000 + 500 * int(rng.random() * 70)))
        else:
            leg.driver, leg.second_driver, leg.truck, leg.trailer = parties.pick_crew(
                leg.hauler, turn, equipment, _time_of(load, leg) if is_booked else None
            )
            leg.empty = 300 + int(rng.random() ** 2 * 14_000)
            if rng.random() < 0.06:
                leg.advances.append((0, 5_000 + 500 * int(rng.random() * 30)))
            turn += 1
    _happen(load, opened_at, rng)
    return load


def _time_of(load: Load, leg: Leg) -> tuple[int, int]:
    """Return when a crew is busy with a trip: with a rest before it."""
    first, last = (load.stops[position] for position in leg.stops)
    return first.arrived - _REST, last.departed


def _plan_stops(
    route: list[tuple[int, Place]], legs: int, scenario: Scenario, opened_at: int, rng: random.Random
) -> list[Stop]:
    stops: list[Stop] = []
    # Some loads are booked two weeks ahead.
    at = opened_at + int((8 + 300 * rng.random() ** 2) * HOUR)
    for position, (location, place) in enumerate(route):
        if stops:
            driving = _driving_time(stops[-1].place, place, is_team=scenario.haulers[0] == TEAM)
            at = stops[-1].begin + 2 * HOUR + driving * 11 // 10
        is_waypoint = 0 < position < legs
        kind = "Waypoint" if is_waypoint else "Delivery" if position else "Pickup"
        begin = _dock_time(place, at, int(rng.random() * 9))
        is_appointment = not is_waypoint and rng.random() < 0.6
        due: int | None = begin if is_appointment else begin + (4 + int(rng.random() * 7)) * HOUR
        if not is_appointment and rng.random() < 0.2:
            due = None
        stops.append(Stop(location, place, kind, is_appointment, begin, due))
    departed = 0
    for position, stop in enumerate(stops):
        latest = stop.begin + HOUR if stop.due is None else stop.due
        draw = rng.random()
        arrived = latest + int(4 * draw * HOUR) if rng.random() < 0.12 else latest - int(90 * draw * _MINUTE)
        if position:
            driving = _driving_time(
                stops[position - 1].place, stop.place, is_team=scenario.haulers[0] == TEAM
            )
            arrived = max(arrived, departed + driving * 9 // 10)
        draw = rng.random()
        stay = int((4 + 3 * draw) * HOUR) if rng.random() < 0.08 else int((0.6 + 1.2 * draw) * HOUR)
        stop.arrived, stop.departed = _minute(arrived), _minute(arrived + stay)
        stop.is_logged = rng.random() >= 0.015
        departed = stop.departed
    return stops


def _plan_legs(scenario: Scenario, stops: Sequence[Stop]) -> list[Leg]:
    count = len(scenario.haulers)
    legs = []
    for position, hauler in enumerate(scenario.haulers):
        # The last trip has all stops that are left.
        ends = (position, position + 1 if position < count - 1 else len(stops) - 1)
        miles = sum(road_miles(stops[at].place, stops[at + 1].place) for at in range(ends[0], ends[1]))
        legs.append(Leg(hauler, ends, miles * 100 + stops[ends[1]].location * 7 % 100))
    return legs


def _set_prices(load: Load, rng: random.Random) -> None:
    """Price the load by its miles; one without revenue is free."""
    miles = sum(leg.loaded for leg in load.legs)
    per_mile = 185 + 150 * rng.random()
    fuel_per_mile = 36 + 16 * rng.random()
    if not load.scenario.is_revenue:
        load.prices = [(load.created_at, 0, 0)]
        return
    exchange = 1.36 if load.currency == 124 else 1
    line_haul = max(35_000, int(miles * per_mile / 100)) * exchange
    load.prices = [(load.created_at, _rounded(line_haul, 500), int(miles * fuel_per_mile / 100 * exchange))]


def _happen(load: Load, opened_at: int, rng: random.Random) -> None:
    """Add the events from the creation to the release."""
    scenario, pickup = load.scenario, load.stops[0]
    opening = scenario.opening or ("Admin" if scenario.ending == "admin" else "Open")
    load.events.append(PlannedEvent(load.created_at, opening))
    for leg in load.legs:
        leg.events.append(PlannedEvent(load.created_at, opening if opening != "Admin" else "Open"))
    if scenario.ending in ("quoted", "admin"):
        return
    if scenario.opening:
        load.events.append(PlannedEvent(opened_at, "Open"))
        for leg in load.legs:
            leg.events.append(PlannedEvent(opened_at, "Open"))
    lead = max(HOUR, pickup.arrived - opened_at)
    if scenario.ending == "deleted":
        load.deleted_at = opened_at + HOUR
        _stop_all(load, load.deleted_at, "")
        return
    if scenario.ending == "cancelled":
        load.cancelled_at = opened_at + int(lead * 0.4 * rng.random())
        _stop_all(load, load.cancelled_at, "Cancelled")
        return
    for leg in load.legs:
        _cover(load, leg, opened_at, rng)
    first = load.legs[0]
    dispatched_at = first.events[-1].at
    load.events += [PlannedEvent(first.covered_at, "Covered"), PlannedEvent(dispatched_at, "Dispatched")]
    if scenario.ending == "dropped":
        load.cancelled_at = dispatched_at + HOUR // 2
        _stop_all(load, load.cancelled_at, "Cancelled")
        return
    if scenario.ending in ("tonu", "released tonu"):
        _order_unused_truck(load, rng)
        return
    if first.hauler != CARRIER:
        load.events.append(PlannedEvent(max(dispatched_at + 1, pickup.arrived - 3 * HOUR), "En-Route"))
    for leg in load.legs:
        _haul(load, leg)
    load.picked_up_at, load.delivered_at = load.legs[0].picked_up_at, load.legs[-1].delivered_at
    if load.picked_up_at is None or load.delivered_at is None:
        raise ValueError(f"Load {load.number} was not hauled")
    load.events += [
        PlannedEvent(load.picked_up_at, "In Transit"),
        PlannedEvent(load.delivered_at, "Delivered"),
    ]
    if load.legs[-1].hauler != CARRIER:
        load.events.append(PlannedEvent(load.delivered_at + HOUR, "Trip Completed"))
    _add_charges(load, rng)
    # Who is paid quickly is often slow with the papers.
    slowest = 120 if scenario.billing == "quick pay" else 72
    _release(load, load.delivered_at + int((3 + slowest * rng.random() ** 2) * HOUR))
    if scenario.billing == "quick pay" and load.released_at is not None:
        # Paid before the release, which keeps that in its name.
        first.paid_at = load.delivered_at + (load.released_at - load.delivered_at) // 2
        first.settled_on = first.paid_at // DAY * DAY
        first.billed_at, first.is_held = first.paid_at, False
        load.events.append(PlannedEvent(first.paid_at, "Carrier Paid"))


def _stop_all(load: Load, at: int, status: str) -> None:
    load.events.append(PlannedEvent(at, status))
    for leg in load.legs:
        leg.events.append(PlannedEvent(at, status))


def _cover(load: Load, leg: Leg, opened_at: int, rng: random.Random) -> None:
    start = load.stops[leg.stops[0]]
    lead = max(HOUR, start.arrived - opened_at)
    leg.covered_at = opened_at + int(lead * (0.1 + 0.5 * rng.random()))
    dispatched_at = leg.covered_at + int((start.arrived - leg.covered_at) * (0.4 + 0.5 * rng.random()))
    leg.events += [PlannedEvent(leg.covered_at, "Covered"), PlannedEvent(dispatched_at, "Dispatched")]


def _haul(load: Load, leg: Leg) -> None:
    first, last = load.stops[leg.stops[0]], load.stops[leg.stops[1]]
    leg.picked_up_at, leg.delivered_at = first.departed, last.times_of_trip(0)[1]
    leg.advances = [(first.departed, cents) for _, cents in leg.advances]
    leg.events += [PlannedEvent(first.departed, "In Transit"), PlannedEvent(leg.delivered_at, "Delivered")]
    inner = load.stops[leg.stops[0] : leg.stops[1] + 1]
    touched = [PlannedEvent(at) for stop in inner for at in (stop.arrived, stop.departed) if stop.is_logged]
    leg.events = in_order([*leg.events, *touched])
    load.events += touched


def _order_unused_truck(load: Load, rng: random.Random) -> None:
    """The truck came, and the shipper had no freight: a fee replaces the rate."""
    leg, pickup = load.legs[0], load.stops[0]
    leg.advances = []
    at = pickup.arrived + 3 * HOUR
    fee = 5_000 * (4 + int(rng.random() * 3))
    load.prices.append((at, 0, 0))
    (type,), unit = charges.TONU.types, charges.TONU.unit
    load.charges.append(Charge(at, type, unit, 1_000, fee, fee, 0))
    load.events.append(PlannedEvent(pickup.arrived))
    _stop_all(load, at, "TONU")
    leg.unused_at = at
    if leg.hauler == CARRIER:
        leg.charges.append(Charge(at, type, unit, 1_000, fee - 5_000, fee - 5_000, 0))
        _settle_later(load, leg, at)
    if load.scenario.ending == "released tonu":
        _release(load, at + int((5 + 40 * rng.random()) * HOUR))


def _add_charges(load: Load, rng: random.Random) -> None:
    """Charge long stays, some unloading, and what the way or the freight needs."""
    if not load.scenario.is_revenue:
        return
    for position, stop in enumerate(load.stops):
        stay = stop.departed - stop.arrived - _FREE_TIME
        if stop.kind != "Waypoint" and stay > HOUR:
            _charge(load, charges.DETENTION, position, rng, quantity=stay // (HOUR // 4) * 250)
        if stop.kind == "Delivery" and rng.random() < 0.12:
            _charge(load, charges.LUMPER, position, rng, cents=500 * (20 + int(rng.random() * 60)))
    if load.scenario.stop_offs:
        _charge(load, charges.STOP_OFF, 1, rng, quantity=1_000 * load.scenario.stop_offs)
    if load.stops[0].place.country != load.stops[-1].place.country:
        _charge(load, charges.BORDER, len(load.stops) - 1, rng)
    if rng.random() < 0.08:
        _charge(load, rng.choice(charges.BY_EQUIPMENT[EQUIPMENT_BY_REQUIRED[load.equipment].type]), 0, rng)


def _charge(
    load: Load,
    accessorial: Accessorial,
    position: int,
    rng: random.Random,
    *,
    quantity: int = 1_000,
    cents: int = 0,
) -> None:
    """
    Charge the customer when the truck leaves a stop, and pay a percentage to a carrier.

    :param quantity: in thousandths.
    :param cents: for one; 0 means the usual amount.
    """
    at, type, rate = load.stops[position].departed, rng.choice(accessorial.types), cents or accessorial.cents
    charge = Charge(at, type, accessorial.unit, quantity, rate, rate * quantity // 1000, position)
    leg = next(leg for leg in load.legs if position <= leg.stops[1])
    load.charges.append(charge)
    for events in (load.events, leg.events):
        events.append(PlannedEvent(at))
    if leg.hauler == CARRIER and accessorial.carrier_percent:
        rate = rate * accessorial.carrier_percent // 100
        leg.charges.append(charge._replace(rate=rate, total=rate * quantity // 1000))


def _release(load: Load, at: int) -> None:
    load.released_at = at
    paid = "-Carrier Paid" if load.scenario.billing == "quick pay" else ""
    load.events.append(PlannedEvent(at, f"Released{paid}"))
    for leg in load.legs:
        leg.released_at = at
        # The release overwrites the status of a load, but not of a trip that was a TONU.
        leg.events.append(PlannedEvent(at, "Released" if load.delivered_at else ""))
        _settle_later(load, leg, at)


def _settle_later(load: Load, leg: Leg, at: int) -> None:
    """Set when a carrier's trip is settled and paid, by the carrier's terms."""
    if leg.settled_on is not None:
        leg.settled_on = _thursday(at + leg.settled_on * DAY)
        leg.billed_at, leg.is_held = at, load.number % _HELD_EVERY == 0
        days = _CHECK_DAYS if (leg.carrier or 0) % CHECK_EVERY == 0 else _TRANSFER_DAYS
        days += _HELD_DAYS if leg.is_held else 0
        leg.paid_at = working_day(leg.settled_on + days * DAY) + 15 * HOUR


def _driving_time(a: Place, b: Place, *, is_team: bool) -> int:
    miles = road_miles(a, b)
    rests = 0 if is_team else miles // _MILES_PER_SHIFT
    return miles * HOUR // _MILES_PER_HOUR + rests * _REST


def _dock_time(place: Place, at: int, hour: int) -> int:
    """Return a time from 6 to 14 o'clock in a place, not before a time."""
    offset = utc_offset(place, at)
    day = (at + offset) // DAY * DAY - offset
    found = day + (6 + hour) * HOUR
    return found if found >= at else found + DAY


def _thursday(at: int) -> int:
    # 1970-01-01 was a Thursday.
    return -(-at // _WEEK) * _WEEK


def working_day(at: int) -> int:
    """Return a time, or the same time on the next Monday if it is on a weekend."""
    # Monday is 0.
    weekday = (at // DAY + 3) % 7
    return at + (7 - weekday) * DAY if weekday >= _SATURDAY else at


def _minute(at: int) -> int:
    return at - at % _MINUTE


def _rounded(cents: float, to: int) -> int:
    return int(cents) // to * to
