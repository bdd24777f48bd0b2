"""Tenders, and the loads that they become."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant

NOW = 1_796_000_000


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant(Options(loads=400, now=NOW))


def records(tenant: Tenant, stream: str) -> list[dict[str, Any]]:
    rows = tenant.rows(stream)
    return [json.loads(rows.record_json(number, with_tombstone=True)) for number in rows.numbers()]


def test_an_accepted_tender_and_its_load_name_each_other(tenant: Tenant) -> None:
    loads = {load["LoadNumber"]: load for load in records(tenant, "loads")}
    tenders = {tender["Id"]: tender for tender in records(tenant, "tenders")}
    taken = [tender for tender in tenders.values() if "LoadNumber" in tender]
    assert {tender["Status"] for tender in taken} == {"Accepted", "Cancelled"}
    for tender in taken:
        load = loads[tender["LoadNumber"]]
        assert load["TenderId"] == tender["Id"]
        assert tender["DateImported"] < load["CreatedAt"]
        assert (tender["Status"] == "Cancelled") == ("CancelledAt" in load)
        assert float(tender["Weight"]) == load["Weight"]["Value"]
        assert [stop["Entity"]["PostalCode"] for stop in tender["Stops"]] == [
            stop["Address"]["ZipCode"] for stop in load["Stops"] if stop["StopType"] != "Waypoint"
        ]
    assert sum("TenderId" in load for load in loads.values()) == len(taken) > 200
    assert Counter(tender["Status"] for tender in tenders.values())["Rejected"] > 40


def test_a_tender_agrees_with_itself(tenant: Tenant) -> None:
    for tender in records(tenant, "tenders"):
        assert [stop["Type"] for stop in tender["Stops"]][:2] == ["Pickup", "Delivery"]
        assert [entity["Type"] for entity in tender["Entities"]] == ["Shipper", "Consignee", "BillTo"]
        assert tender["Entities"][0] == tender["Stops"][0]["Entity"]
        assert tender["Entities"][1] == tender["Stops"][-1]["Entity"]
        for stop in tender["Stops"]:
            assert stop["ScheduledArrivalStart"]["DateTime"] <= stop["ScheduledArrivalEnd"]["DateTime"]
            assert ("ArrivedAt" in stop) >= ("DepartedAt" in stop)
            assert "ArrivedAt" not in stop or "LoadNumber" in tender


def test_a_tender_is_open_before_it_is_decided() -> None:
    tenant = Tenant(Options(loads=40, days=0.1, now=NOW))
    before = {tender["Id"]: tender["Status"] for tender in records(tenant, "tenders")}
    assert Counter(before.values())["Pending"] > 4
    later = Tenant(Options(loads=40, days=0.1, now=NOW))
    company = later.company
    company.advance(int((NOW + 86_400) * 1_000_000))
    after = {tender["Id"]: tender["Status"] for tender in records(later, "tenders")}
    assert {after[key] for key, status in before.items() if status == "Pending"} <= {"Rejected", "Expired"}


def test_some_rows_of_tenders_are_as_many_as_asked_for() -> None:
    tenant = Tenant(Options(loads=5, rows={"tenders": 30}, now=NOW))
    loads, tenders = records(tenant, "loads"), records(tenant, "tenders")
    assert (len(loads), len(tenders)) == (5, 30)
    named = {tender["LoadNumber"] for tender in tenders if "LoadNumber" in tender}
    assert named == {load["LoadNumber"] for load in loads if "TenderId" in load}
