"""The places that a truck passes."""

from __future__ import annotations

from functools import lru_cache

from airflow_provider_alvys.simulator.company.plans.load import Leg, Load
from airflow_provider_alvys.simulator.company.world.places import PLACES, Place
from airflow_provider_alvys.simulator.data.times import SECOND

_MINUTE = 60 * SECOND
_CANDIDATES = tuple(number for number, place in enumerate(PLACES) if place.country != "MX")


@lru_cache(maxsize=50_000)
def places_between(first: Place, last: Place, count: int) -> tuple[int, ...]:
    """Return the numbers of the places next to some points of a way, the same distance from each other."""
    return tuple(_nearest(first, last, (2 * point + 1) / (2 * count)) for point in range(count))


def _nearest(first: Place, last: Place, share: float) -> int:
    latitude = first.latitude + share * (last.latitude - first.latitude)
    longitude = first.longitude + share * (last.longitude - first.longitude)

    def distance(number: int) -> float:
        place = PLACES[number]
        # A degree of longitude is about three quarters of a degree of latitude.
        return (place.latitude - latitude) ** 2 + 0.6 * (place.longitude - longitude) ** 2

    return min(_CANDIDATES, key=distance)


def passing(load: Load, leg: Leg, count: int) -> tuple[list[tuple[int, int]], int]:
    """
    Return where a truck is at some points of a trip.

    :return: time and number of the place, for each point; and the time that it needs for half a way from
        point to point.
    """
    first, last = load.stops[leg.stops[0]], load.stops[leg.stops[1]]
    half = (last.arrived - first.departed) // (2 * count)
    times = (first.departed + half * (2 * point + 1) for point in range(count))
    places = places_between(first.place, last.place, count)
    return [(at - at % _MINUTE, place) for at, place in zip(times, places, strict=True)], half
