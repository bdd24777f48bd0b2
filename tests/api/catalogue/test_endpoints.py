from __future__ import annotations

import pytest

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.limits import DEFAULT_LIMIT, LIMITS, limit_of


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("post", "loads/search", "POST loads/search"),
        ("GET", "/api/p/v1.0/drivers/DR0001", "GET drivers/{id}"),
        ("GET", "/API/P/V2/Loads?loadNumber=7", "GET loads"),
        ("GET", "loads/1001/documents", "GET loads/{id}/documents"),
        ("PUT", "trips/0b1f/stops/9c/arrival", "PUT trips/{id}/stops/{id}/arrival"),
        ("GET", "/v1/me", "GET /v1/me"),
        ("GET", "drivers/", "GET drivers"),
    ],
)
def test_the_name_of_an_endpoint_has_no_ids(method: str, path: str, name: str) -> None:
    assert str(endpoint_of(method, path)) == name


def test_gets_and_searches_are_reads() -> None:
    assert endpoint_of("GET", "loads").is_read
    assert endpoint_of("POST", "trucks/events/search").is_read
    assert not endpoint_of("POST", "deductions/once").is_read
    assert not endpoint_of("PUT", "trips/1/stops/2/arrival").is_read


def test_every_limit_belongs_to_an_endpoint() -> None:
    for name in LIMITS:
        method, _, template = name.partition(" ")
        assert str(endpoint_of(method, template.replace("{id}", "some-id"))) == name
    assert limit_of(endpoint_of("GET", "loads/1001/notes")) is DEFAULT_LIMIT
