"""The status page in a whole Airflow, after a run of a sync."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, FrameLocator, Page, expect

from airflow_provider_alvys.landing.freshness import alvys_freshness
from airflow_provider_alvys.status_page import app
from tests.chaos.airflow.daemons import Daemons
from tests.conftest import ROOT
from tests.ui.conftest import DAG, PASSWORD, STREAMS, log_in, open_context, python_under_test
from tests.ui.users import GUEST, OUTSIDER

pytestmark = pytest.mark.ui

DEMO_STREAMS = 17
FILES = sorted(file.name for file in (Path(app.__file__).parent / "files").iterdir())


def status_page(page: Page, path: str = "/plugin/alvys") -> FrameLocator:
    """Open the page, and return its frame once everything is read."""
    page.goto(path)
    frame = page.frame_locator("iframe")
    expect(frame.locator("body")).to_have_attribute("data-state", "ready")
    return frame


def manifests(lake: Path) -> dict[str, list[tuple[Path, dict[str, Any]]]]:
    """Return the manifests of each stream and their paths, as resolved by no one, the newest first."""
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for file in lake.rglob("_manifest.json"):
        manifest = json.loads(file.read_text())
        found.setdefault(manifest["stream"], []).append((file, manifest))
    return {
        stream: sorted(runs, key=lambda run: str(run[1]["read_from"]), reverse=True)
        for stream, runs in found.items()
    }


def expect_what_the_manifests_say(frame: FrameLocator, lake: Path) -> None:
    """Compare the page with the manifests of a data set that were written within a day."""
    found = manifests(lake)
    freshness = {row["stream"]: row for row in alvys_freshness(lake)}
    assert freshness.keys() == found.keys()
    expect(frame.locator("tbody tr")).to_have_count(len(found))
    for stream, runs in found.items():
        row, (file, newest) = frame.locator(f'tr[data-stream="{stream}"]'), runs[0]
        as_of = same_time(freshness[stream]["as_of"])
        expect(row.locator(".freshness time")).to_have_attribute("datetime", as_of)
        expect(row.locator(".freshness .pill")).to_have_text(freshness[stream]["freshness"])
        expect(row.locator(".rows .number")).to_have_text(f"{newest['rows']:,}")
        requests_made = sum(manifest["requests"] for _, manifest in runs)
        expect(row.locator(".requests")).to_contain_text(f"{requests_made} in 24 h")
        expect(row.locator(".proof")).to_have_text(re.compile(rf"{newest['proof']}attempt 1$"))
        expect(row.locator(".backlog")).to_have_text("0")
        assert row.get_by_role("button").get_attribute("title") == str(file)


def test_the_page_shows_what_the_manifests_and_the_tables_say(
    page: Page, run: str, lake: Path, airflow: Daemons, picture: Callable[[str], None]
) -> None:
    frame = status_page(page)
    expect_what_the_manifests_say(frame, lake)
    with closing(sqlite3.connect(airflow.home / "warehouse.sqlite")) as warehouse:
        ledger = dict(warehouse.execute("SELECT stream, rows FROM _alvys_loads"))
    found = manifests(lake)
    assert sorted(found) == sorted(STREAMS)
    for stream, [(_, manifest)] in found.items():
        row = frame.locator(f'tr[data-stream="{stream}"]')
        as_of = manifest["as_of"] if manifest["window"] else manifest["read_from"]
        expect(row.locator(".freshness time")).to_have_attribute("datetime", same_time(as_of))
        expect(row.locator(".freshness .pill")).to_have_text("fresh")
        assert ledger[stream] == manifest["rows"]
        # The tables were empty.
        expect(row.locator(".changed .number")).to_have_text(f"{manifest['rows']:,}")
    expect(frame.locator('tr[data-stream="trips"] .check .pill')).to_have_text("same")
    picture("status-page-run")


def same_time(text: str) -> Any:
    """Match a time to the millisecond, as JavaScript writes it."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return re.compile(rf"^{moment:%Y-%m-%dT%H:%M:%S}\.{moment.microsecond // 1000:03}Z$")


def test_the_manifest_is_copied_and_links_lead_out_of_the_frame(page: Page, run: str, lake: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row = status_page(page).locator('tr[data-stream="loads"]')
    row.get_by_role("button").click()
    expect(row.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == str(manifests(lake)["loads"][0][0])
    row.get_by_role("link", name="run ").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/"))


def test_each_dag_has_a_tab(page: Page, run: str) -> None:
    page.goto(f"/dags/{DAG}")
    # The link in the navigation has the same name.
    page.locator(f'a[href$="/dags/{DAG}/plugin/alvys_dag"]').click()
    frame = page.frame_locator("iframe")
    expect(frame.locator("#about")).to_contain_text(f"DAG {DAG}")
    expect(frame.locator("tbody tr")).to_have_count(len(STREAMS))


def test_the_home_page_has_a_card_that_leads_to_the_page(page: Page, run: str) -> None:
    page.goto("/")
    card = page.get_by_role("link", name=f"Alvys · {len(STREAMS)} streams · all landed in time")
    card.click()
    expect(page.frame_locator("iframe").locator("tbody tr")).to_have_count(len(STREAMS))


def test_the_page_follows_airflows_dark_theme(page: Page, run: str) -> None:
    frame = status_page(page)
    color = "element => getComputedStyle(element).backgroundColor"
    light = frame.locator("body").evaluate(color)
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    expect(frame.locator("body")).not_to_have_css("background-color", light)


def test_a_user_sees_nothing_of_dags_that_are_not_readable(
    browser: Browser, airflow: Daemons, run: str
) -> None:
    context = open_context(browser, airflow)
    page = log_in(context.new_page(), OUTSIDER)
    frame = status_page(page)
    expect(frame.get_by_role("heading", name="No data yet")).to_be_visible()
    text = frame.locator("body").inner_text()
    assert not [name for name in (*STREAMS, DAG) if name in text]
    context.close()


def test_nobody_gets_a_file_without_a_login(airflow: Daemons) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for name in ("", "settings.json", "openapi.json", *FILES):
            answer = session.get(f"{airflow.api.url}/alvys/{name}", timeout=30)
            assert answer.status_code == 401, name
        login = {"username": GUEST, "password": PASSWORD}
        token = session.post(f"{airflow.api.url}/auth/token", json=login, timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert session.get(f"{airflow.api.url}/alvys/", headers=headers, timeout=30).status_code == 403


def test_make_demo_ui_shows_what_the_manifests_of_the_demo_say(
    page: Page, demo: Path, problems: list[str]
) -> None:
    options = [f"PY={python_under_test()}", f"DEMO_FOLDER={demo}", "DEMO_PORT=0"]
    process = subprocess.Popen(
        ["make", "--no-print-directory", "-o", ".venv/.demo", "demo-ui", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[-1] for line in lines if line.startswith("The status page: "))
        # Airflow 3.1 forgets where its login came from.
        page.goto(address)
        expect(page.get_by_role("link", name="Dags").first).to_be_visible()
        # Its cookie is that of another Airflow.
        assert [text for text in problems if "401" not in text] == []
        problems.clear()
        frame = status_page(page, address)
        expect(frame.locator("tbody tr")).to_have_count(DEMO_STREAMS)
        expect_what_the_manifests_say(frame, demo / "lake")
    finally:
        # As Ctrl-C does.
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
