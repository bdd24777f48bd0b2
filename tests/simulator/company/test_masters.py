"""Records of the master data: they agree with themselves and with each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.company.masters import MASTER_FACTS
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.data.row_set import value_at
from airflow_provider_alvys.simulator.data.times import DAY
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant

NOW = 1_796_000_000
SALT = 12
COUNT = 120


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant(Options(fleet=60, loads=COUNT, now=NOW))


def records(tenant: Tenant, stream: str, count: int = COUNT) -> list[Mapping[str, Any]]:
    facts = MASTER_FACTS[stream](SALT, tenant.rows(stream))
    return [facts.record(number) for number in range(count)]


def ids(tenant: Tenant, stream: str) -> dict[Any, int]:
    column, count = tenant.rows(stream).column("Id"), tenant.rows(stream).count
    return {column[number]: number for number in range(count)}


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.mark.parametrize("stream", MASTER_FACTS)
def test_a_record_has_the_fields_that_the_facts_decide(tenant: Tenant, stream: str) -> None:
    facts = MASTER_FACTS[stream](SALT, tenant.rows(stream))
    assert facts.fields <= STREAMS[stream].fields.fields.keys()
    found = set().union(*(facts.record(number) for number in range(COUNT)))
    assert found == facts.fields
    for number in (0, 7, 59, 61):
        record = facts.record(number)
        assert record == facts.record(number)
        assert {name: facts.value(number, name) for name in facts.fields} == {
            name: record.get(name) for name in facts.fields
        }
        msgspec.json.encode(record)


@pytest.mark.parametrize("stream", MASTER_FACTS)
def test_records_have_no_fields_that_the_catalogue_lacks(tenant: Tenant, stream: str) -> None:
    def paths(value: Any, path: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(paths(item, path) for item in value)) if value else set()
        if isinstance(value, dict):
            return set().union(*(paths(part, f"{path}.{name}") for name, part in value.items()))
        return {path.removeprefix(".")}

    spec = tenant.rows(stream).spec
    found = set().union(*(paths(dict(record)) for record in records(tenant, stream)))
    assert [path for path in found if spec.type_of(path) is None] == []


@pytest.mark.parametrize("stream", MASTER_FACTS)
def test_the_facts_of_an_empty_company_have_no_references(stream: str) -> None:
    empty = Tenant(Options(fleet=0, loads=0, now=NOW))
    facts = MASTER_FACTS[stream](SALT, empty.rows(stream))
    record = facts.record(3)
    references = [path for path in STREAMS[stream].references if "." not in path]
    assert [record.get(name) for name in references] == [None] * len(references)


def test_drivers_agree_with_themselves(tenant: Tenant) -> None:
    today = NOW * 1_000_000 // DAY * DAY
    rows = records(tenant, "drivers", 60)
    for row in rows:
        assert row["IsActive"] == ("TerminatedAt" not in row) == (row["Status"] != "OFFLINE")
        assert row["CreatedAt"] <= row["HiredAt"] < row.get("TerminatedAt", today)
        assert row["LicenseState"] == row["Address"]["State"]
        assert row["Fleet"]["Name"] in {"East", "West", "Süd"}
    for name in ("LicenseExpiresAt", "MedicalExpiresAt"):
        assert {row[name] < today for row in rows} == {True, False}


def test_a_driver_s_user_has_the_driver_s_name(tenant: Tenant) -> None:
    users, known = records(tenant, "users", 60), ids(tenant, "users")
    logins = [row for row in records(tenant, "drivers") if "UserId" in row]
    assert len(logins) == 5
    for row in logins:
        user = users[known[row["UserId"]]]
        assert (user["Name"], user["Role"]) == (row["Name"], "Driver")


def test_an_expired_insurance_shows_in_the_status_of_the_carrier(tenant: Tenant) -> None:
    with_policies = [row for row in records(tenant, "carriers", 60) if row["InsuranceInfo"]]
    for row in with_policies:
        first = micros(row["InsuranceInfo"][0]["ExpirationDate"])
        assert (first < NOW * 1_000_000) == (row["Status"] == "Expired Insurance")
        for policy in row["InsuranceInfo"]:
            assert micros(policy["IssueDate"]) < min(micros(policy["ExpirationDate"]), NOW * 1_000_000)
    assert {"Active", "Expired Insurance", "Do Not Load"} <= {row["Status"] for row in with_policies}
    assert all(row["CreatedAt"] <= row["UpdatedAt"] <= NOW * 1_000_000 for row in with_policies)
    factored = [row for row in with_policies if "FactoringCompany" in row]
    assert {row["PaymentMethod"] for row in factored} == {"Factoring"}
    names = {row["FactoringCompany"]["Id"]: row["FactoringCompany"]["Name"] for row in factored}
    assert len(names) == len(set(names.values())) > 1


def test_customers_agree_with_the_rest_of_the_company(tenant: Tenant) -> None:
    users = ids(tenant, "users")
    for number, row in enumerate(records(tenant, "customers")):
        customer = parties.customer(SALT, number)
        assert row["InvoicingInformation"]["PaymentTermsInDays"] == customer.terms
        assert row["BillingAddress"]["City"] == customer.place.city
        assert crew.user(SALT, users[row["SalesAgentId"]]).role == "SalesAgent"
        assert all(note["Time"] for note in row["Notes"])


@pytest.mark.parametrize(
    ("stream", "name"), [("customers", "DateCreated"), ("locations", "DateCreated"), ("users", "CreatedAt")]
)
def test_the_partners_are_older_than_the_first_loads(tenant: Tenant, stream: str, name: str) -> None:
    created = [row[name] for row in records(tenant, stream, 60)]
    assert created == sorted(created)
    assert created[-1] < tenant.rows("loads").started_at(0)
    (key,) = tenant.add(stream, rows=1, columns={}, parent=None)
    number = tenant.rows(stream).number_of("Id", key)
    assert number is not None
    added = MASTER_FACTS[stream](SALT, tenant.rows(stream)).record(number)
    assert added[name] == tenant.rows(stream).started_at(number)


@pytest.mark.parametrize("kind", ["driver", "truck", "trailer"])
def test_events_start_before_they_end(tenant: Tenant, kind: str) -> None:
    owners = ids(tenant, f"{kind}s")
    rows = records(tenant, f"{kind}_events")
    for row in rows:
        assert row["CreatedAt"] <= row["StartDate"] + DAY
        assert row["StartDate"] < row["EndDate"]
        assert row["StartDate"] % DAY == 0
        assert row[f"{kind.title()}Id"] in owners
    known = {"driver": {"Vacation", "Restart", "Hometime", "SickOrEmergency", "Other"}}
    assert {row["EventType"] for row in rows} == known.get(kind, {"Repair", "Other"})
    if kind == "driver":
        drivers = [crew.driver(SALT, owners[row["DriverId"]]) for row in rows]
        assert all(driver.is_active for driver in drivers)
        assert [row["Address"]["City"] for row in rows] == [driver.home.city for driver in drivers]


def test_maintenance_is_of_a_truck_or_trailer_that_exists(tenant: Tenant) -> None:
    known = {"Truck": ids(tenant, "trucks"), "Trailer": ids(tenant, "trailers")}
    units = {"Truck": crew.truck, "Trailer": crew.trailer}
    rows = records(tenant, "maintenance")
    for number, row in enumerate(rows):
        asset = row["RelatedAsset"]
        place = known[asset["AssetType"]][asset["AssetId"]]
        assert units[asset["AssetType"]](SALT, place).unit == asset["AssetNumber"]
        assert row["ModifiedAt"] >= tenant.rows("maintenance").started_at(number)
        assert 40 < float(bytes(row["Amount"]["Amount"])) < 5_000
        assert (row["Category"]["Name"] == "Reefer unit") <= (asset["AssetType"] == "Trailer")
        assert bool(row["Reminders"]) == (row["Category"]["Name"] in ("PM Service", "DOT inspection"))
    categories = {row["Category"]["Name"]: row["Category"]["Id"] for row in rows}
    assert {"Tires", "PM Service", "Brakes", "DOT inspection"} <= categories.keys()
    assert len(set(categories.values())) == len(categories)


def test_an_owner_operator_s_fuel_is_deducted_from_the_pay(tenant: Tenant) -> None:
    drivers = ids(tenant, "drivers")
    for number, row in enumerate(records(tenant, "trucks", 60)):
        (card,) = row["FuelCards"]
        owner = crew.truck(SALT, number).owner
        assert card["DeductFuel"] == (owner is not None)
        assert drivers.get(card.get("DeductFromId")) == owner


def test_papers_of_vehicles_fit_their_kind(tenant: Tenant) -> None:
    for row in records(tenant, "trailers"):
        assert row["TrailerNum"][1:3] == row["EquipmentSize"][:2]
        assert date.fromtimestamp(row["InspectionExpiresAt"] // 1_000_000) > date(2026, 9, 1)
    references = value_at(records(tenant, "trucks"), ["References", "Name"])
    assert {name for row in references for name in row} >= {"Permit", "Permit ", "Lease Id", "Lease  Id"}


def test_dispatch_preferences_are_unique_and_keep_teams_together(tenant: Tenant) -> None:
    rows = records(tenant, "dispatch_preferences", 1_000)
    assert len({tuple(sorted(row.items())) for row in rows}) == 1_000
    drivers, users = ids(tenant, "drivers"), ids(tenant, "users")
    for row in rows:
        driver = crew.driver(SALT, drivers[row["Driver1Id"]])
        partner = drivers[row["Driver2Id"]] if "Driver2Id" in row else None
        assert (driver.is_active, driver.partner) == (True, partner)
        assert crew.user(SALT, users[row["DispatcherId"]]).role == "Dispatcher"
