from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import WebRecord, check_web_url, page_of

LOAD = WebRecord("loads", id="8f14e45f", number="1001")


@pytest.mark.parametrize(
    ("pattern", "page"),
    [
        ("https://alvys.example.com/{stream}/{id}", "https://alvys.example.com/loads/8f14e45f"),
        ("https://alvys.example.com/#/{stream}?number={number}", "https://alvys.example.com/#/loads?number=1001"),
        ("https://alvys.example.com", "https://alvys.example.com"),
        ("http://127.0.0.1:8099/{id}/{id}", "http://127.0.0.1:8099/8f14e45f/8f14e45f"),
        ("https://[::1]:8099/{id}", "https://[::1]:8099/8f14e45f"),
        (None, ""),
    ],
)
def test_a_records_page_is_where_the_pattern_says(pattern: str | None, page: str) -> None:
    assert page_of(None if pattern is None else check_web_url(pattern), LOAD) == page


def test_there_is_no_page_where_something_is_not_known() -> None:
    pattern = "https://alvys.example.com/{stream}/{id}"
    assert page_of(pattern, None) == ""
    assert page_of(pattern, WebRecord("loads", number="1001")) == ""
    assert page_of(pattern.replace("id", "number"), WebRecord("loads", number="1001")) != ""
    assert page_of("https://alvys.example.com", WebRecord("loads")) == "https://alvys.example.com"


@given(id=st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
def test_no_id_leads_elsewhere(id: str) -> None:
    page = urlsplit(page_of("https://alvys.example.com/loads/{id}/edit", WebRecord("loads", id=id)))
    assert (page.scheme, page.netloc, page.query, page.fragment) == ("https", "alvys.example.com", "", "")
    assert unquote(page.path) == f"/loads/{id}/edit"


@pytest.mark.parametrize(
    "pattern",
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
def test_what_is_no_address_of_a_page_is_refused(pattern: str) -> None:
    with pytest.raises(AlvysValueError, match=r"web_url of the connection .*\{stream\}, \{id\}, \{number\}"):
        check_web_url(pattern)
