"""The values that the company does not decide read like those of a trucking company."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.data.people import STAFF, email
from airflow_provider_alvys.simulator.data.sample_companions import COMPANIONS
from airflow_provider_alvys.simulator.data.sample_values import address_part, value_from_bits
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant

ROWS = 40
UNFILLED = re.compile(r"\?{2}")


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant(Options(fleet=ROWS, loads=ROWS, now=1_796_000_000))


def records(tenant: Tenant, stream: str) -> list[dict[str, Any]]:
    rows = tenant.rows(stream)
    return [json.loads(rows.record_json(number, with_tombstone=True)) for number in rows.numbers()[:ROWS]]


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each object and each value within a record, with its path."""
    yield path, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from parts(part, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            yield from parts(item, path)


@pytest.mark.parametrize("stream", STREAMS)
def test_no_value_is_a_placeholder(tenant: Tenant, stream: str) -> None:
    found = [
        (path, value)
        for record in records(tenant, stream)
        for path, value in parts(record)
        if isinstance(value, str)
        and (re.fullmatch(rf"{re.escape(path.rpartition('.')[2])} \d+", value) or UNFILLED.search(value))
    ]
    assert found == []


def test_a_field_without_values_of_its_own_is_noticed() -> None:
    assert value_from_bits("loads", "Whatever", "string")(7) == "Whatever 17"


@pytest.mark.parametrize("stream", ["loads", "trips"])
def test_the_value_of_a_reference_fits_its_name(tenant: Tenant, stream: str) -> None:
    ((_, _, values), (_, _, types)) = COMPANIONS["References"]
    found = [reference for record in records(tenant, stream) for reference in record["References"]]
    assert len({reference.get("Name") for reference in found}) > 6
    for reference in found:
        if "Name" in reference:
            patterns = [
                "".join(r"\d" if char == "?" else re.escape(char) for char in text)
                for text in values[reference["Name"]]
            ]
            assert any(re.fullmatch(pattern, reference["Value"]) for pattern in patterns), reference
            assert reference.get("Type", types[reference["Name"]][0]) in types[reference["Name"]]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_parts_of_an_address_are_of_one_place(tenant: Tenant, stream: str) -> None:
    makers = [address_part(name) for name in ("Zip", "City", "State", "Latitude")]
    places = [tuple(make(bits) for make in makers if make) for bits in range(7)]
    known = {place[0]: place for place in places}
    for record in records(tenant, stream):
        for _, value in parts(record):
            if not isinstance(value, dict):
                continue
            address = value.get("Address", value)
            if not isinstance(address, dict):
                continue
            zip_code = next(
                (address[name] for name in ("ZipCode", "Zip", "PostalCode") if name in address), ""
            )
            if zip_code in known:
                _, city, state, latitude = known[zip_code]
                assert (address["City"], address["State"]) == (city, state)
                coordinates = value.get("Coordinates", {}).get("Latitude", latitude)
                assert float(coordinates) == float(latitude)


@pytest.mark.parametrize("stream", STREAMS)
def test_those_who_change_records_are_people_of_the_office(tenant: Tenant, stream: str) -> None:
    staff = {email(name) for name in STAFF}
    users = {record["Email"] for record in records(tenant, "users")}
    changed = [
        value
        for record in records(tenant, stream)
        for path, value in parts(record)
        if path.endswith("By") and isinstance(value, str)
    ]
    assert set(changed) <= staff | users


def test_the_fields_of_a_delivery_agree(tenant: Tenant) -> None:
    logs = records(tenant, "webhook_delivery_logs")
    assert {log["Status"] for log in logs} == {"Success", "Failed"}
    for log in logs:
        assert (log["Status"] == "Success") == (log.get("HttpStatusCode", 200) < 300)
        assert log["Status"] == "Failed" or "ErrorMessage" not in log
    for health in records(tenant, "webhook_health"):
        metrics = health["Metrics"]
        names = ("SuccessCount", "FailureCount", "TimeoutCount", "SkippedCount")
        assert metrics["TotalAttempts"] == sum(metrics.get(name, 0) for name in names)


def test_odd_values_stay(tenant: Tenant) -> None:
    text = " ".join(json.dumps(records(tenant, stream), ensure_ascii=False) for stream in STREAMS)
    for odd in ("Müller & Söhne", "O'Neil", "“", "🧊", "Lease  Id", "Permit ", "Ü", "9999-12-31"):
        assert odd in text, odd
    notes = [note["Description"] for load in records(tenant, "loads") for note in load["Notes"]]
    assert max(map(len, notes)) > 180
