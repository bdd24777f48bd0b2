from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_alvys.api.catalogue.operations import get_operation
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import (
    WebRecord,
    check_url_template,
    parent_record,
    record_from_write,
    record_url,
)

LOAD = WebRecord("loads", id="8f14e45f", number="1001")


@pytest.mark.parametrize(
    ("template", "page"),
    [
        ("https://alvys.example.com/{stream}/{id}", "https://alvys.example.com/loads/8f14e45f"),
        (
            "https://alvys.example.com/#/{stream}?number={number}",
            "https://alvys.example.com/#/loads?number=1001",
        ),
        ("https://alvys.example.com", "https://alvys.example.com"),
        ("http://127.0.0.1:8099/{id}/{id}", "http://127.0.0.1:8099/8f14e45f/8f14e45f"),
        ("https://[::1]:8099/{id}", "https://[::1]:8099/8f14e45f"),
        (None, ""),
    ],
)
def test_the_url_of_a_record_follows_the_template(template: str | None, page: str) -> None:
    assert record_url(None if template is None else check_url_template(template), LOAD) == page


def test_a_missing_record_or_value_gives_no_url() -> None:
    template = "https://alvys.example.com/{stream}/{id}"
    assert record_url(template, None) == ""
    assert record_url(template, WebRecord("loads", number="1001")) == ""
    assert record_url(template.replace("id", "number"), WebRecord("loads", number="1001")) != ""
    assert record_url("https://alvys.example.com", WebRecord("loads")) == "https://alvys.example.com"


@given(id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_id_cannot_change_the_rest_of_the_url(id: str) -> None:
    page = urlsplit(record_url("https://alvys.example.com/loads/{id}/edit", WebRecord("loads", id=id)))
    assert (page.scheme, page.netloc, page.query, page.fragment) == ("https", "alvys.example.com", "", "")
    assert page.path.count("/") == 3
    assert unquote(page.path) == f"/loads/{id}/edit"


@pytest.mark.parametrize(
    "template",
    [
        "alvys.example.com/{id}",
        "ftp://alvys.example.com/{id}",
        "javascript:alert({id})",
        "https:///{id}",
        "https://{id}.example.com/",
        "https://user:word@alvys.example.com/",
        "https://alvys.example.com:99999/",
        "https://alvys.example.com:{number}/",
        "https://alvys.example.com/{load}",
        "https://alvys.example.com/{}",
        "https://alvys.example.com/{0}",
        "https://alvys.example.com/{id!r}",
        "https://alvys.example.com/{id:>99999999}",
        "https://alvys.example.com/{id.__class__}",
        "https://alvys.example.com/{id",
        "https://alvys.example.com/id}",
        "https://alvys.example.com/a b",
        "https://[alvys/{id}",
    ],
)
def test_an_invalid_url_template_is_rejected(template: str) -> None:
    with pytest.raises(AlvysValueError, match="web_url"):
        check_url_template(template)


@pytest.mark.parametrize(
    ("operation", "path_params", "body", "record"),
    [
        ("trips.assign", {"tripId": "T1"}, {"CarrierId": "C1"}, WebRecord("trips", id="T1")),
        ("loads.update", {"load_number": "7"}, {"OrderNumber": "8"}, WebRecord("loads", number="7")),
        ("customers.update", {"id": "C1"}, {"Name": "x"}, WebRecord("customers", id="C1")),
        (
            "invoices.record_carrier_payment",
            None,
            {"TripId": "T1", "ReferenceNumber": "1"},
            WebRecord("trips", id="T1"),
        ),
        (
            "invoices.record_customer_payment",
            {},
            {"Amount": {}, "LoadNumber": 7},
            WebRecord("loads", number="7"),
        ),
        ("trip_stops.set_arrival", {"tripId": "T1", "stopId": "S1"}, {}, WebRecord("trips", id="T1")),
        ("customers.create", None, {"Name": "x"}, None),
        ("tenders.create", None, "{{ body }}", None),
    ],
)
def test_a_write_links_to_the_record_it_names(
    operation: str, path_params: Any, body: Any, record: WebRecord | None
) -> None:
    assert record_from_write(get_operation(operation), path_params, body) == record


def test_documents_link_to_their_parent() -> None:
    assert parent_record(get_stream("load_documents"), "7") == WebRecord("loads", number="7")
    assert parent_record(get_stream("trip_documents"), "T1") == WebRecord("trips", id="T1")
    assert parent_record(get_stream("loads"), "7") is None
