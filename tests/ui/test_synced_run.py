from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from airflow_provider_alvys.links import AlvysRecordLink
from tests.chaos.airflow.daemons import Daemons
from tests.ui.conftest import DAG, ROWS, WEB_URL

pytestmark = pytest.mark.ui

LANDING = "alvys_sync.loads"
Picture = Callable[[str], None]


def open_task(page: Page, run: str, task: str, tab: str = "") -> None:
    page.goto(f"/dags/{DAG}/runs/{quote(run)}/tasks/{task}/{tab}")


def right_edge(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"]


def own_messages(airflow: Daemons, run: str) -> list[str]:
    """Return the messages in the landing task's log that this package has written."""
    path = f"dags/{DAG}/dagRuns/{quote(run)}/taskInstances/{LANDING}/logs/1?full_content=true"
    lines = airflow.api.call("GET", path, headers={"Accept": "application/json"})["content"]
    return [line["event"] for line in lines if "airflow_provider_alvys" in line.get("logger", "")]


def unfold_json(page: Page, part: Locator) -> Any:
    """Unfold the JSON in a part of the page, and return what its button copies."""
    # Airflow 3.1 folds it otherwise.
    part.get_by_title("Click to expand the range.").or_(part.locator(".node-ellipsis")).first.click()
    expect(part).to_contain_text("manifest")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    part.get_by_role("button", name="Copy to clipboard").click()
    return json.loads(page.evaluate("navigator.clipboard.readText()"))


def check_manifest(extra: dict[str, Any], lake: Path) -> None:
    assert (extra["stream"], extra["rows"], extra["proof"]) == ("loads", ROWS, "whole")
    manifest = Path(extra["manifest"])
    assert lake / "loads" in manifest.parents
    assert manifest.is_file()


def test_the_graph_shows_each_task_by_its_name(
    page: Page, run: str, airflow: Daemons, picture: Picture
) -> None:
    page.goto(f"/dags/{DAG}/runs/{quote(run)}")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    page.get_by_role("button", name="Expand all task groups").click()
    names = {task["task_id"]: task["task_display_name"] for task in airflow.api.tasks(DAG, run)}
    assert len(names) == 8
    assert names[LANDING] == "Land loads"
    for name in names.values():
        # The last of those that contain the name is the task, not its group.
        node = page.locator(".react-flow__node").filter(has=page.get_by_text(name, exact=True)).last
        expect(node).to_contain_text("success")
    page.get_by_role("button", name="fit view").click()
    expect(page.locator(".react-flow__node").last).to_be_in_viewport(ratio=1)
    picture("sync-graph")


def test_the_log_of_a_sync_fits_the_screen(
    page: Page, run: str, airflow: Daemons, lake: Path, picture: Picture
) -> None:
    open_task(page, run, LANDING)
    log = page.get_by_role("code").filter(has_text="Landed").first
    expect(log).to_be_visible()
    right = right_edge(log)
    own = own_messages(airflow, run)
    for message in own:
        line = log.get_by_text(message).last
        line.scroll_into_view_if_needed()
        assert right_edge(line) <= right, message
    everything = "\n".join(own)
    for text in ("Reading loads", f"Landed {ROWS:,} loads", f"{lake}/loads/"):
        assert text in everything
    progress = [message for message in own if f" of {ROWS:,} " in message]
    assert 2 <= len(progress) <= 10
    picture("sync-log")


def test_the_xcom_names_the_manifest(page: Page, run: str, lake: Path, picture: Picture) -> None:
    open_task(page, run, LANDING, "xcom")
    row = page.get_by_role("row").filter(has_text="return_value")
    check_manifest(unfold_json(page, row), lake)
    picture("xcom")


def test_the_asset_event_carries_the_manifest(page: Page, run: str, lake: Path, picture: Picture) -> None:
    open_task(page, run, LANDING, "asset_events")
    expect(page.get_by_role("heading", name="1 Asset Event")).to_be_visible()
    expect(page.get_by_role("link", name=f"{lake}/loads")).to_be_visible()
    check_manifest(unfold_json(page, page.locator("#root")), lake)
    picture("asset-event")


def test_a_task_links_to_its_record(page: Page, run: str, load: dict[str, Any]) -> None:
    open_task(page, run, "delivered", "details")
    address = WEB_URL.format(stream="loads", id=load["Id"])
    expect(page.locator(f'a[href="{address}"]')).to_have_text(AlvysRecordLink().name)


def test_the_list_of_providers_links_to_our_documentation(page: Page) -> None:
    page.goto("/providers")
    name = "airflow-provider-alvys"
    (address,) = [
        entry.split(", ")[1]
        for entry in metadata.metadata(name).get_all("Project-URL", [])
        if entry.startswith("Documentation, ")
    ]
    # Before 3.3, Airflow keeps the blank before the address, which browsers ignore.
    link = re.compile(rf"\s?{re.escape(address)}")
    expect(page.get_by_role("link", name=name)).to_have_attribute("href", link)
