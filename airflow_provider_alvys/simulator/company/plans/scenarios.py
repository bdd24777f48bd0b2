"""The kinds of loads: each hundred loads has the same mix, so that every case occurs."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

# Who hauls a leg.
CARRIER, COMPANY, OWNER_OPERATOR, TEAM = "carrier", "company", "owner operator", "team"

# How a tender ends.
ACCEPTED, REJECTED, EXPIRED = "Accepted", "Rejected", "Expired"
_OUTCOMES = (ACCEPTED, REJECTED, ACCEPTED, EXPIRED, ACCEPTED, ACCEPTED, REJECTED, ACCEPTED, ACCEPTED, EXPIRED)


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    What happens to a load.

    :param haulers: who hauls each of its trips.
    :param opening: its status before it is open: ``Quoted``, ``In Review`` or ``Reserved``; empty for none.
    :param ending: how it ends: ``paid``, or why it has no delivery: ``quoted``, ``admin``, ``cancelled``,
        ``dropped`` (cancelled after the dispatch), ``deleted``, ``tonu`` or ``released tonu``.
    :param billing: how it is invoiced and paid.
    :param stop_offs: further deliveries on its way.
    :param is_revenue: whether a customer pays for it.
    """

    haulers: tuple[str, ...]
    opening: str = ""
    ending: str = "paid"
    billing: str = "once"
    stop_offs: int = 0
    is_revenue: bool = True


_B, _C, _O, _T = (CARRIER,), (COMPANY,), (OWNER_OPERATOR,), (TEAM,)
# How many of a hundred loads.
_MIX: tuple[tuple[int, Scenario], ...] = (
    (16, Scenario(_B)),
    (15, Scenario(_C)),
    (5, Scenario(_O)),
    (3, Scenario(_T)),
    # A relay, two that change from the own fleet to a carrier, a dray with its linehaul, a split in three.
    (3, Scenario(_C + _C)),
    (2, Scenario(_C + _B)),
    (1, Scenario(_B + _O)),
    (2, Scenario(_B + _B)),
    (1, Scenario(_C + _B + _O)),
    (3, Scenario(_B, stop_offs=1)),
    (2, Scenario(_C, stop_offs=2)),
    (3, Scenario(_B, opening="Quoted", ending="quoted")),
    (2, Scenario(_B, opening="Quoted")),
    (2, Scenario(_C, opening="Reserved")),
    (2, Scenario(_B, opening="In Review")),
    (1, Scenario(_C, ending="admin", is_revenue=False)),
    (2, Scenario(_B, ending="cancelled")),
    (2, Scenario(_C, ending="dropped")),
    (1, Scenario(_B, ending="deleted")),
    (1, Scenario(_B, ending="tonu")),
    (1, Scenario(_C, ending="released tonu")),
    (2, Scenario(_C, is_revenue=False)),
    (4, Scenario(_B, billing="quick pay")),
    (5, Scenario(_B, billing="factored")),
    (2, Scenario(_C, billing="factored")),
    (3, Scenario(_B, billing="two payments")),
    (2, Scenario(_C, billing="short")),
    (1, Scenario(_B, billing="overpaid")),
    (2, Scenario(_C, billing="supplemental")),
    (1, Scenario(_B, billing="supplemental")),
    (2, Scenario(_B, billing="reopened")),
    (2, Scenario(_C, billing="credit")),
)
# Neighbours, which one customer gets a common invoice for.
_SUMMARY = Scenario(_C, billing="summary")
SUMMARY_LOADS = 4
_SUMMARY_FROM = 40
CYCLE = 100


def _cycle() -> tuple[Scenario, ...]:
    mixed = [scenario for count, scenario in _MIX for _ in range(count)]
    random.Random(7).shuffle(mixed)
    mixed[_SUMMARY_FROM:_SUMMARY_FROM] = [_SUMMARY] * SUMMARY_LOADS
    if len(mixed) != CYCLE:
        raise ValueError(f"A cycle has {len(mixed)} scenarios instead of {CYCLE}")
    return tuple(mixed)


_CYCLE = _cycle()
# The number of trips before each position of a cycle, and of trips with own drivers.
_TRIPS = (0, *accumulate(len(scenario.haulers) for scenario in _CYCLE))
_OWN = [[hauler for hauler in scenario.haulers if hauler != CARRIER] for scenario in _CYCLE]
_OWN_TRIPS = (0, *accumulate(len(haulers) for haulers in _OWN))


def scenario_of(load: int) -> Scenario:
    """Return the scenario of a load."""
    return _CYCLE[load % CYCLE]


def summary_of(load: int) -> tuple[int, ...]:
    """Return the loads that share an invoice with a load, including it."""
    if scenario_of(load).billing != _SUMMARY.billing:
        return (load,)
    first = load - load % CYCLE + _SUMMARY_FROM
    return tuple(range(first, first + SUMMARY_LOADS))


def first_trip(load: int) -> int:
    """Return the number of a load's first trip; of a count of loads, how many trips they have."""
    return load // CYCLE * _TRIPS[-1] + _TRIPS[load % CYCLE]


def load_of_trip(trip: int) -> tuple[int, int]:
    """Return the load of a trip, and the position of the trip in it."""
    cycle, rest = divmod(trip, _TRIPS[-1])
    position = bisect_right(_TRIPS, rest) - 1
    return cycle * CYCLE + position, rest - _TRIPS[position]


def own_trips_before(load: int) -> int:
    """Return how many trips with own drivers the loads before this one have."""
    return load // CYCLE * _OWN_TRIPS[-1] + _OWN_TRIPS[load % CYCLE]


def tender_outcome(number: int) -> str:
    """Return how a tender ends; one that is accepted becomes the load with the same number."""
    return _OUTCOMES[number % len(_OUTCOMES)]
