from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.status_page import app as module
from airflow_provider_alvys.status_page.app import build_app
from tests.conftest import ROOT
from tests.status_page.client import client_without_login

pytestmark = pytest.mark.every_airflow

FOLDER = Path(module.__file__).parent / "files"
FILES = sorted(file.name for file in FOLDER.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_without_login()


def test_each_answer_says_what_a_browser_may_do_with_it(client: TestClient) -> None:
    for path in ("", "settings.json", "missing", *FILES):
        answer = client.get(f"/{path}")
        assert answer.status_code == (404 if path == "missing" else 200)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_each_file_has_its_type(client: TestClient) -> None:
    types = {name: client.get(f"/{name}").headers["Content-Type"] for name in FILES}
    assert types["judge.js"].startswith("text/javascript")
    assert types["page.css"].startswith("text/css")
    assert types["icon.svg"] == "image/svg+xml"
    assert client.get("/").content == (FOLDER / "page.html").read_bytes()


@pytest.mark.parametrize(
    "path", ["openapi.json", "docs", "redoc", "../app.py", "%2e%2e/app.py", "__init__.py"]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/{path}").status_code == 404


def test_nobody_gets_anything_without_a_login() -> None:
    client = TestClient(build_app())
    for path in ("", "settings.json", *FILES):
        assert client.get(f"/{path}").status_code == 401, path


def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (FOLDER / "page.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page) == []
    for name in FILES:
        text = (FOLDER / name).read_text().replace("http://www.w3.org/", "")
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", text
        ), name


def test_the_settings_have_the_thresholds_and_every_stream(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = client.get("/settings.json").json()
    assert (settings["late_after"], settings["busy_share"]) == (1.5, 0.8)
    assert settings["docs"].startswith("https://")
    assert settings["streams"].keys() == STREAMS.keys()
    assert settings["streams"]["fuel"]["requests_per_minute"] == 5
    assert settings["streams"]["loads"]["cadence"] == 3600
    monkeypatch.setenv("AIRFLOW__ALVYS__STATUS_PAGE_LATE_AFTER", "3")
    monkeypatch.setenv("AIRFLOW__ALVYS__STATUS_PAGE_BUSY_SHARE", "0.5")
    settings = client.get("/settings.json").json()
    assert (settings["late_after"], settings["busy_share"]) == (3, 0.5)


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "-1", "0"])
def test_a_wrong_threshold_is_logged_and_the_default_is_used(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    monkeypatch.setenv("AIRFLOW__ALVYS__STATUS_PAGE_LATE_AFTER", value)
    assert client.get("/settings.json").json()["late_after"] == 1.5
    assert "status_page_late_after" in caplog.text


def test_each_advice_leads_to_a_heading_of_the_docs() -> None:
    texts = "".join((FOLDER / name).read_text() for name in FILES)
    links = set(re.findall(r'"([\w-]+)\.html(?:#([\w-]+))?"', texts)) - {("page", "")}
    assert len(links) >= 7
    for page, anchor in links:
        headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / f"{page}.md").read_text(), re.MULTILINE)
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, anchor


def test_the_wheel_has_every_file() -> None:
    # make release-check compares this list with the wheel, which is built from the sdist.
    listed = (ROOT / "scripts" / "wheel_contents.txt").read_text().splitlines()
    assert {f"airflow_provider_alvys/status_page/files/{name}" for name in FILES} <= set(listed)
