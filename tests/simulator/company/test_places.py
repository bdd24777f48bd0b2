"""The places of the simulated company: road distances and time zones."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise

import pytest

from airflow_provider_alvys.simulator.company.world.places import PLACES, road_miles, utc_offset

BY_CITY = {place.city: place for place in PLACES}
HOUR = 3_600_000_000


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 1_000_000


def test_each_place_is_named_once() -> None:
    assert len(BY_CITY) == len(PLACES) >= 60
    assert {place.country for place in PLACES} == {"US", "CA", "MX"}
    assert "Cañon City" in BY_CITY


@pytest.mark.parametrize(
    ("origin", "destination", "miles"),
    [("Memphis", "Atlanta", 390), ("Laredo", "Chicago", 1_420), ("Ontario", "Dallas", 1_400)],
)
def test_road_miles_are_close_to_those_of_a_map(origin: str, destination: str, miles: int) -> None:
    a, b = BY_CITY[origin], BY_CITY[destination]
    assert road_miles(a, b) == pytest.approx(miles, rel=0.06)
    assert road_miles(a, b) == road_miles(b, a)
    assert road_miles(a, a) == 5


def test_each_place_lies_in_north_america_apart_from_the_others() -> None:
    assert all(road_miles(a, b) > 5 for a, b in pairwise(PLACES))
    assert all(25 < place.latitude < 50 and -125 < place.longitude < -70 for place in PLACES)


@pytest.mark.parametrize(
    ("city", "moment", "hours"),
    [
        ("Memphis", "2026-01-15T12:00", -6),
        ("Memphis", "2026-07-15T12:00", -5),
        ("Carlisle", "2026-11-01T05:59", -4),
        ("Carlisle", "2026-11-01T06:00", -5),
        ("Phoenix", "2026-07-15T12:00", -7),
        ("Reno", "2026-07-15T12:00", -7),
    ],
)
def test_the_offset_follows_daylight_saving_time(city: str, moment: str, hours: int) -> None:
    assert utc_offset(BY_CITY[city], micros(moment)) == hours * HOUR


def test_each_time_zone_is_known() -> None:
    offsets = [utc_offset(place, micros("2026-01-15T12:00")) for place in PLACES]
    assert all(-8 * HOUR <= offset <= -5 * HOUR for offset in offsets)
