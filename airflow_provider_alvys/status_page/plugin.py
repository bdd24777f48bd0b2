"""
The plugin that adds the status page to Airflow's UI.

Airflow imports plugins in task processes, too. Import nothing of FastAPI or of Airflow's server here.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

_PREFIX = "alvys"
_ICONS = {"icon": f"{_PREFIX}/icon.svg", "icon_dark_mode": f"{_PREFIX}/icon-dark.svg"}


class AlvysStatusPagePlugin(AirflowPlugin):
    """
    A page in the navigation, a tab on each DAG, and a card on the home page.

    ``[alvys] status_page = False`` in Airflow's configuration switches them off.
    """

    name = "alvys_status_page"

    # Airflow resolves the addresses against its own base, so they have no leading slash.
    @cached_property
    def external_views(self) -> list[Any]:  # type: ignore[override]
        """The page and the tab."""
        page = {"name": "Alvys", **_ICONS}
        nav = {**page, "destination": "nav", "url_route": "alvys", "href": f"{_PREFIX}/"}
        tab = {**page, "destination": "dag", "url_route": "alvys_dag", "href": f"{_PREFIX}/?dag={{DAG_ID}}"}
        return [nav, tab] if _is_on() else []

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """The card."""
        # Airflow 3.1 and 3.2 import a bundle only by an absolute path.
        base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        card = {"name": "Alvys status", "destination": "dashboard", "url_route": "alvys_card"}
        return [{**card, "bundle_url": f"{base}/{_PREFIX}/card.js"}] if _is_on() else []

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The app that serves the page. Only Airflow's API server asks for it."""
        if not _is_on():
            return []
        from airflow_provider_alvys.status_page.app import build_app

        return [{"app": build_app(), "url_prefix": f"/{_PREFIX}", "name": "Alvys status page"}]


def _is_on() -> bool:
    try:
        return conf.getboolean("alvys", "status_page", fallback=True)
    except AirflowConfigException as error:
        # An exception here would keep Airflow's API server from starting.
        log.error("The status page is shown: %s", error)
        return True
