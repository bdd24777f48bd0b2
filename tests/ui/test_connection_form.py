from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_alvys.connection_form import FIELDS, PLACEHOLDERS, RELABELING
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.ui.conftest import SECRET, WEB_URL
from tests.ui.connections import ConnectionsPage

pytestmark = pytest.mark.ui


def test_the_form_shows_each_field_with_its_label_and_help(
    page: Page, picture: Callable[[str], None]
) -> None:
    form = ConnectionsPage(page).add("alvys_default")
    for name in RELABELING:
        expect(form.row(name)).to_be_visible()
    for name, text in PLACEHOLDERS.items():
        assert form.input(name).get_attribute("placeholder") == text
    expect(form.dialog.get_by_text("Schema", exact=True)).to_have_count(0)
    form.fill({"login": "4fKq0Zt81mVx", "password": SECRET, "port": 443})
    expect(form.input("password")).to_have_attribute("type", "password")
    picture("connection-form")
    for field in FIELDS:
        expect(form.row(field.name)).to_be_visible()
        expect(form.row(field.name)).to_contain_text(field.description)


def test_the_test_button_says_what_worked(
    page: Page, connection: str, alvys: Simulator, picture: Callable[[str], None]
) -> None:
    connections = ConnectionsPage(page)
    connections.test(connection)
    message = connections.notification("Test Connection Successful")
    expect(message).to_contain_text(alvys.url)
    picture("connection-test")


def test_the_test_button_says_what_to_change_if_the_secret_is_wrong(
    page: Page, fields: dict[str, Any]
) -> None:
    connections = ConnectionsPage(page)
    form = connections.add("alvys_tested")
    form.fill({**fields, "port": 443})
    form.save()
    # The form sends *** for a secret that was not entered again: the saved one stays.
    form = connections.edit("alvys_tested")
    form.fill({"description": "Tested"})
    form.save()
    connections.test("alvys_tested")
    expect(connections.notification("Test Connection Successful")).to_be_visible()

    form = connections.edit("alvys_tested")
    form.fill({"password": "another-secret"})
    form.save()
    connections.test("alvys_tested")
    message = connections.notification("Test Connection Failed")
    expect(message).to_contain_text("client secret")
    expect(message).not_to_contain_text("another-secret")


def test_the_test_button_needs_a_port_on_airflow_3_3(
    page: Page, fields: dict[str, Any], airflow_version: tuple[int, ...], problems: list[str]
) -> None:
    connections = ConnectionsPage(page)
    form = connections.add("alvys_without_port")
    form.fill(fields)
    form.save()
    answer = connections.test("alvys_without_port")
    if airflow_version < (3, 3):
        expect(connections.notification("Test Connection Successful")).to_be_visible()
    else:
        # Airflow takes the empty port for a changed one, hence the label of the field.
        expect(connections.notification("Bad Request")).to_be_visible()
        assert answer.status == 400
        assert [text for text in problems if "400" not in text] == []
        problems.clear()


def test_a_saved_connection_keeps_its_values_and_hides_its_secret(page: Page, airflow: Daemons) -> None:
    values = {
        "description": "Our company",
        "host": "https://alvys.example",
        "port": 443,
        "login": "a-client",
        "auth_url": "https://alvys.example/oauth/token",
        "requests_per_minute": 4.5,
        "page_size": 50,
        "web_url": WEB_URL,
    }
    connections = ConnectionsPage(page)
    form = connections.add("alvys_saved")
    form.fill({**values, "password": SECRET, "allow_private_downloads": True})
    form.save()

    form = connections.edit("alvys_saved")
    for name, value in values.items():
        expect(form.input(name)).to_have_value(str(value))
    expect(form.input("password")).to_have_value("***")
    expect(form.input("allow_private_downloads")).to_be_checked()
    expect(form.input("allow_http")).not_to_be_checked()
    expect(form.input("timeout")).to_have_value("")
    assert SECRET not in page.content()
    stored = json.loads(airflow.api.call("GET", "connections/alvys_saved")["extra"])
    # Airflow 3.1 has no field for decimals, and stores text.
    assert (float(stored["requests_per_minute"]), stored["page_size"]) == (4.5, 50)
    assert stored["allow_private_downloads"] is True
