from __future__ import annotations

import functools
import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import metadata
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_alvys.get_provider_info import get_provider_info

pytestmark = [pytest.mark.every_airflow, pytest.mark.slow]


@functools.cache
def airflow(*arguments: str) -> str:
    """Run a command, the same once, and return its output."""
    command = [str(Path(sys.executable).parent / "airflow"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_provider_info_matches_the_schema_of_the_installed_airflow() -> None:
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_lists_the_provider() -> None:
    assert "airflow-provider-alvys" in airflow("providers", "list")
    (described,) = json.loads(airflow("providers", "get", "airflow-provider-alvys", "--full", "-o", "json"))
    assert described["package-name"] == "airflow-provider-alvys"
    assert described["description"].startswith("Alvys, a transportation management system")


def test_the_providers_page_links_to_the_documentation() -> None:
    (described,) = json.loads(airflow("providers", "get", "airflow-provider-alvys", "--full", "-o", "json"))
    urls = dict(entry.split(", ") for entry in metadata("airflow-provider-alvys").get_all("Project-URL"))
    # Without it, Airflow links to a page of Airflow's own site that does not exist.
    assert described["documentation-url"].strip() == urls["Documentation"]


def test_every_named_class_and_module_can_be_imported() -> None:
    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    modules += [entry["python-module"] for entry in info["transfers"]]
    for module in modules:
        import_module(module)
    for connection_type in info["connection-types"]:
        module, _, name = connection_type["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert hook.conn_type == connection_type["connection-type"]
        assert hook.hook_name == connection_type["hook-name"]


def test_airflow_lists_the_options_of_the_provider() -> None:
    printed = airflow("config", "list", "--section", "alvys", "--include-examples", "--include-descriptions")
    for name in ("pool", "status_page", "status_page_late_after", "status_page_busy_share"):
        assert name in printed
