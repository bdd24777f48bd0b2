"""The customers, carriers, facilities, people and vehicles of the simulated company."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.company.world.goods import COMMODITIES, EQUIPMENT_BY_TYPE
from airflow_provider_alvys.simulator.company.world.places import road_miles
from airflow_provider_alvys.simulator.data.sample_values import NAMES

SALT = 20_261_130
COUNT = 400
KINDS: dict[str, Callable[[int, int], Any]] = {
    "customers": parties.customer,
    "carriers": parties.carrier,
    "locations": parties.location,
    "drivers": crew.driver,
    "trucks": crew.truck,
    "trailers": crew.trailer,
    "users": crew.user,
}


def some(kind: str, count: int = COUNT) -> list[Any]:
    return [KINDS[kind](SALT, number) for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_has_a_record_which_depends_on_the_salt(kind: str) -> None:
    make = KINDS[kind]
    assert make(SALT, 2**50 + 3).number == 2**50 + 3
    assert make(SALT, 40) == make(SALT, 40)
    assert [make(SALT, number) for number in range(12, 30)] != [make(1, number) for number in range(12, 30)]


def test_another_process_generates_the_same() -> None:
    code = (
        "from airflow_provider_alvys.simulator.company.world import crew, parties\n"
        f"print([parties.customer({SALT}, 33), parties.carrier({SALT}, 33), crew.driver({SALT}, 33)])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert (
        printed[0]
        == printed[1]
        == f"{[KINDS[kind](SALT, 33) for kind in ('customers', 'carriers', 'drivers')]}\n"
    )


@pytest.mark.parametrize("kind", ["customers", "carriers", "locations", "drivers"])
def test_names_are_unique(kind: str) -> None:
    assert len({row.name for row in some(kind, 2_500)}) == 2_500


def test_numbers_of_carriers_and_vehicles_are_unique() -> None:
    carriers = some("carriers", 2_500)
    for numbers in (
        [row.mc_number for row in carriers],
        [row.dot_number for row in carriers],
        [row.vin for row in some("trucks", 2_500)],
        [row.unit for row in some("trailers", 2_500)],
    ):
        assert len(set(numbers)) == 2_500


def test_the_first_customers_keep_their_names() -> None:
    assert tuple(row.name for row in some("customers", 12)) == tuple(NAMES["customers"])


def test_customers_pay_in_the_currency_of_their_country() -> None:
    rows = some("customers")
    assert {row.currency for row in rows[:12]} == {840, 124}
    assert all((row.currency == 124) == (row.place.country == "CA") for row in rows)
    assert 0.05 < sum(row.currency == 124 for row in rows) / COUNT < 0.2
    assert {row.terms for row in rows} == {15, 30, 45, 60}
    assert {row.is_factored for row in rows} == {True, False}
    assert {row.type for row in rows} == {"Customer", "Broker/3PL"}
    assert all(row.equipment in EQUIPMENT_BY_TYPE for row in rows)


@pytest.mark.parametrize(
    ("kind", "stream", "first"),
    [("customers", "customers", 20), ("carriers", "carriers", 21), ("locations", "locations", 20)],
)
def test_each_status_of_the_catalogue_occurs_and_most_are_active(kind: str, stream: str, first: int) -> None:
    (known,) = (filter.values for filter in STREAMS[stream].filters if filter.column == "Status")
    statuses = Counter(row.status for row in some(kind))
    assert {row.status for row in some(kind, first)} == set(statuses) == set(known)
    assert statuses["Active"] > COUNT // 2


def test_insurance_has_expired_only_if_the_status_says_so() -> None:
    for row in some("carriers"):
        assert (row.insurance_days_left < 0) == (row.status == "Expired Insurance")
        assert row.is_usable == (row.status == "Active" and row.number > 1)
    assert {row.factoring_company is None for row in some("carriers")} == {True, False}


def test_teams_are_pairs_of_active_company_drivers() -> None:
    drivers = some("drivers")
    teams = [row for row in drivers if row.partner is not None]
    assert 20 < len(teams) < COUNT // 2
    for row in teams:
        other = drivers[row.partner]
        assert (other.partner, row.type, row.is_active) == (row.number, "COMPANY", True)
        assert (other.fleet, other.home) == (row.fleet, row.home)


def test_drivers_are_hired_before_they_are_terminated() -> None:
    drivers = some("drivers")
    for row in drivers:
        assert row.is_active == (row.terminated_days_ago is None)
        assert row.hired_days_ago > (row.terminated_days_ago or 0) >= 0
        assert (row.pay.kind == "PerMile") == (row.type == "COMPANY")
        assert (row.pay.share > 0) == (row.pay.kind == "Percentage") == (row.pay.loaded_rate == 0)
    assert {row.type for row in drivers[:7]} == {"COMPANY", "OWNER_OPERATOR", "CONTRACTOR"}
    for left in ("licence_days_left", "medical_days_left"):
        assert 0 < sum(getattr(row, left) < 0 for row in drivers) < COUNT // 5


def test_identification_numbers_of_vehicles_have_a_correct_check_digit() -> None:
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    for row in (*some("trucks"), *some("trailers")):
        assert len(row.vin) == 17
        total = sum(
            int(values.get(char, char)) * weight for char, weight in zip(row.vin, weights, strict=True)
        )
        assert row.vin[8] == "0123456789X"[total % 11]


def test_lanes_lie_between_locations_far_apart() -> None:
    for row in some("customers", 100):
        for origin, destination in parties.lanes(SALT, row.number, 60):
            ends = [parties.location(SALT, number) for number in (origin, destination)]
            assert all(end.number < 60 and end.type != "Yard" and end.status == "Active" for end in ends)
            assert road_miles(ends[0].place, ends[1].place) > 100
    assert all(max(lane) < 3 for lane in parties.lanes(SALT, 5, 3))
    assert parties.lanes(SALT, 5, 1)[0] == (0, 0)


def test_yards_are_the_company_s_own() -> None:
    places = enumerate(parties.location(SALT, number).type for number in range(60))
    assert [number for number, kind in places if kind == "Yard"] == [0, 12, 24, 36, 48]
    assert parties.location(SALT, 0).place == parties.SUBSIDIARIES[0].place


def test_the_company_has_a_carrier_and_a_broker() -> None:
    assert [row.name for row in some("carriers", 2)] == [own.name for own in parties.SUBSIDIARIES]
    assert [row.is_own for row in some("carriers", 4)] == [True, True, False, False]
    assert [subsidiary.type for subsidiary in parties.SUBSIDIARIES] == ["Carrier", "Broker"]
    assert len({subsidiary.invoice_prefix for subsidiary in parties.SUBSIDIARIES}) == 2


def test_users_have_each_role() -> None:
    known = {
        "Admin",
        "Dispatcher",
        "Driver",
        "Biller",
        "SalesAgent",
        "DataEntry",
        "Safety",
        "OperationManager",
    }
    assert {row.role for row in some("users", 12)} == known
    assert {row.status for row in some("users", 20)} == {"Active", "Disabled", "Deleted"}
    dispatchers = [crew.user(SALT, number) for number in crew.users_with("Dispatcher", 30)]
    assert {(row.role, row.status) for row in dispatchers} == {("Dispatcher", "Active")}
    assert crew.users_with("Safety", 2) == (0, 1)


def test_goods_fit_their_trailers() -> None:
    for goods in COMMODITIES:
        assert goods.pounds[0] < goods.pounds[1] <= EQUIPMENT_BY_TYPE[goods.equipment].pounds
        assert (goods.fahrenheit is None) == (goods.equipment != "Reefer")
