from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_alvys.api import scrubbing
from airflow_provider_alvys.api.scrubbing import mask_secrets, remember_secret, scrub

SECRET = 'q7/Rk+29=fZ&"Wm3xT8vB1nL5cH0dJ6'


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        SECRET.upper(),
        SECRET[:15],
        SECRET[9:],
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET).replace("/", "\\/"),
        escape(SECRET),
        SECRET.encode().hex(),
        b64encode(SECRET.encode()).decode(),
        b64encode(f"client-id:{SECRET}".encode()).decode(),
        b64encode(f"an id:{SECRET} and more".encode()).decode(),
        urlsafe_b64encode(f"a{SECRET}".encode()).decode(),
        f"{SECRET[:16]}\r\n {SECRET[16:]}",
        "\u200b".join(SECRET),
    ],
)
def test_a_known_secret_is_masked_in_every_spelling(spelled: str) -> None:
    remember_secret(SECRET)
    text = scrub(f"You sent {spelled}, which is wrong")
    assert text.startswith("You sent ")
    assert text.endswith(" wrong")
    assert "***" in text
    lower = text.replace(" ", "").lower()
    # Of a text in base64 that contains more than the secret, the middle.
    middle = range(len(spelled) // 3, 2 * len(spelled) // 3)
    windows = (spelled[at : at + 8].lower() for at in middle)
    assert not any(window in lower for window in windows)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-ghi",
        "authorization=bearer%20abc.def-ghi",
        '{"Authorization": "Bearer abc.def-ghi"}',
        "Basic YWJjLmRlZi1naGk6eA==",
        "token eyJhbGciOiJSUzI1NiJ9.eyJhYmMuZGVmLWdoaSI6MX0.c2ln rejected",
    ],
)
def test_what_looks_like_credentials_is_masked_although_it_is_not_known(text: str) -> None:
    assert "***" in scrub(text)
    assert "abc.def" not in scrub(text)
    assert "YWJj" not in scrub(text)
    assert "eyJ" not in scrub(text)


def test_text_becomes_one_short_line_without_control_characters() -> None:
    assert scrub("a\x1b[31m\x00b\r\nINFO\u2028forged\t\u202eline\x85end") == "a[31mb INFO forged line end"
    assert scrub("x" * 600) == "x" * 500 + "…"
    assert scrub("x" * 600, 10) == "x" * 10 + "…"
    assert scrub("\ud800é🚚") == "é🚚"


def test_ordinary_text_is_unchanged() -> None:
    remember_secret(SECRET)
    remember_secret("abc")
    text = (
        "The LoadNumber field is required: 'abc', 2026-11-30T00:00:00.0000000Z, 00-4bf92f3577b34da6a3ce929d"
    )
    assert scrub(text) == text


def test_words_that_contain_what_a_secret_may_begin_with_are_unchanged() -> None:
    remember_secret("test")
    text = "The latest contest: HarveyJackson.pdf, KeyJobNumber, CoreyJohnson@example.com"
    assert scrub(text) == mask_secrets(text) == text
    assert scrub("password 'test', token=eyJhbGciOiJSUzI1NiJ9") == "password '***', token=***"


def test_the_latest_secrets_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_MAX_SECRETS", 2)
    for secret in ("first-secret", "second-secret", "first-secret", "third-secret"):
        remember_secret(secret)
    assert [scrub(text) for text in ("first-secret", "third-secret")] == ["***", "***"]
    assert "second" in scrub("second-secret")


def test_a_value_keeps_its_form_and_its_white_space() -> None:
    remember_secret(SECRET)
    value = {"id": 1, "names": ["POD  scan\n.pdf", f"a {SECRET}"], "rest": (None, True, "Basic freight")}
    assert mask_secrets(value) == {
        "id": 1,
        "names": ["POD  scan\n.pdf", "a ***"],
        "rest": [None, True, "Basic freight"],
    }
