from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse, ReactAppResponse

from airflow_provider_alvys.status_page.plugin import AlvysStatusPagePlugin

pytestmark = pytest.mark.every_airflow


@pytest.mark.slow
def test_the_plugin_costs_a_task_nothing() -> None:
    """Airflow imports plugins in each process, with its own modules for them already there."""
    code = (
        "import sys, airflow_provider_alvys, airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_alvys.status_page.plugin import AlvysStatusPagePlugin as Plugin\n"
        "assert Plugin().external_views and Plugin().react_apps\n"
        "print(*sorted(set(sys.modules) - before))\n"
        "print(*[name for name in sys.modules if name.startswith(('fastapi', 'starlette'))])\n"
        "print(*[name for name in sys.modules if name.startswith('airflow.api_fastapi')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = "airflow_provider_alvys.status_page"
    assert done.stdout.splitlines()[-3:] == [f"{own} {own}.plugin", "", ""]


def test_airflow_finds_the_plugin() -> None:
    found = {
        entry.load() for entry in entry_points(group="airflow.plugins") if entry.name.startswith("alvys")
    }
    assert found == {AlvysStatusPagePlugin}


def test_airflow_knows_each_place() -> None:
    plugin = AlvysStatusPagePlugin()
    # Airflow leaves out a plugin of which it does not know a destination.
    views = [ExternalViewResponse.model_validate(view) for view in plugin.external_views]
    cards = [ReactAppResponse.model_validate(app) for app in plugin.react_apps]
    assert [view.destination for view in views] == ["nav", "dag"]
    assert [card.destination for card in cards] == ["dashboard"]
    # Relative to Airflow's own base path.
    assert all(view.href.startswith("alvys/") for view in views)


def test_the_card_is_below_the_path_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/a/path/")
    (card,) = AlvysStatusPagePlugin().react_apps
    assert card["bundle_url"] == "/a/path/alvys/card.js"


def test_the_page_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AlvysStatusPagePlugin().fastapi_apps
    monkeypatch.setenv("AIRFLOW__ALVYS__STATUS_PAGE", "False")
    plugin = AlvysStatusPagePlugin()
    assert (plugin.external_views, plugin.react_apps, plugin.fastapi_apps) == ([], [], [])


def test_a_wrong_setting_is_logged_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__ALVYS__STATUS_PAGE", "maybe")
    assert AlvysStatusPagePlugin().external_views
    assert "maybe" in caplog.text
