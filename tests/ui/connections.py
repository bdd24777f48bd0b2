"""The list of connections and the form of one, on each supported Airflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Locator, Page, Response, expect

from airflow_provider_alvys.connection_form import FIELDS, HOOK_NAME, RELABELING

LABELS = {**RELABELING, "description": "Description", **{field.name: field.label for field in FIELDS}}
_EXTRA = {field.name for field in FIELDS}


class ConnectionForm:
    """
    An open form.

    :param dialog: its window. Only one of its sections is open at a time.
    """

    def __init__(self, dialog: Locator) -> None:
        self.dialog = dialog

    def open_section(self, name: str) -> None:
        """Open ``Standard Fields`` or ``Extra Fields``."""
        button = self.dialog.get_by_role("button", name=name, exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        expect(button).to_have_attribute("aria-expanded", "true")

    def row(self, name: str) -> Locator:
        """Return a field with its label and help text, after its section is opened."""
        self.open_section("Extra Fields" if name in _EXTRA else "Standard Fields")
        label = self.dialog.page.get_by_text(LABELS[name], exact=True)
        return self.dialog.get_by_role("group").filter(has=label).first

    def input(self, name: str) -> Locator:
        """Return the input of a field."""
        return self.row(name).locator("input, textarea").first

    def fill(self, values: Mapping[str, Any]) -> None:
        """Enter values by the names of fields; booleans are ticks."""
        for name, value in values.items():
            if value is True:
                # A drawn switch covers the input.
                self.input(name).press("Space")
            else:
                self.input(name).fill(str(value))

    def save(self) -> None:
        """Save, and wait until the window is closed."""
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()


class ConnectionsPage:
    """The list of connections."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.goto("/connections")

    def add(self, conn_id: str) -> ConnectionForm:
        """Open an empty form of a connection of type Alvys."""
        self._page.get_by_role("button", name="Add Connection").click()
        dialog = self._page.get_by_role("dialog")
        dialog.get_by_label("Connection ID").fill(conn_id)
        kind = dialog.get_by_role("combobox")
        kind.click()
        kind.fill(HOOK_NAME)
        self._page.get_by_role("option", name=HOOK_NAME, exact=True).click()
        return ConnectionForm(dialog)

    def row(self, conn_id: str) -> Locator:
        """Return a connection's row."""
        return self._page.get_by_role("row").filter(has=self._page.get_by_text(conn_id, exact=True))

    def edit(self, conn_id: str) -> ConnectionForm:
        """Open the form of a connection."""
        self.row(conn_id).get_by_role("button", name="Edit Connection").click()
        return ConnectionForm(self._page.get_by_role("dialog"))

    def test(self, conn_id: str) -> Response:
        """Press the Test button, and return what Airflow answered."""
        with self._page.expect_response(re.compile(r"/connections/test$")) as answer:
            self.row(conn_id).get_by_role("button", name="Test Connection").click()
        return answer.value

    def notification(self, title: str) -> Locator:
        """Return the message with a title."""
        return self._page.get_by_role("status").filter(has_text=title)
