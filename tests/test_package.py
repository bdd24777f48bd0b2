from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import airflow_provider_alvys
from airflow_provider_alvys.tables.dialects import DIALECTS
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PACKAGE = Path(airflow_provider_alvys.__file__).parent


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    "module",
    [
        "airflow_provider_alvys",
        "airflow_provider_alvys.get_provider_info",
        "airflow_provider_alvys.cli.definition",
        "airflow_provider_alvys.hooks",
        "airflow_provider_alvys.api.read.search",
        "airflow_provider_alvys.landing.jobs.sync",
        "airflow_provider_alvys.simulator.app.server",
    ],
)
def test_importing_a_module_imports_nothing_of_airflow(module: str) -> None:
    code = f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    assert run(code).strip() == "[]"


@pytest.mark.every_airflow
def test_the_documented_imports_work() -> None:
    run(
        "from airflow_provider_alvys.hooks.alvys import AlvysHook\n"
        "from airflow_provider_alvys.operators.alvys import AlvysRequestOperator, AlvysSearchOperator, "
        "AlvysWriteOperator\n"
        "from airflow_provider_alvys.operators.alvys import AlvysDocumentsToObjectStorageOperator, "
        "AlvysUploadDocumentOperator\n"
        "from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator\n"
        "from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor\n"
        "from airflow_provider_alvys.triggers.alvys import AlvysChangeTrigger\n"
    )


@pytest.mark.every_airflow
def test_operators_import_transfers_only_on_first_use() -> None:
    code = (
        "import sys, airflow_provider_alvys.operators.alvys as operators\n"
        "print([name for name in sys.modules if name.startswith('airflow_provider_alvys.transfers')])\n"
        "print(operators.AlvysDocumentsToObjectStorageOperator.__module__)\n"
        "print(hasattr(operators, 'Nothing'))\n"
    )
    transfers = "airflow_provider_alvys.transfers.documents_to_object_storage"
    assert run(code).splitlines()[-3:] == ["[]", transfers, "False"]


@pytest.mark.every_airflow
def test_importing_all_public_names_is_cheap() -> None:
    """
    Each parse of a DAG pays for it. The time is only printed, since machines differ.

    What any DAG with an operator and a hook imports does not count: Airflow 3.4 imports it on demand.
    """
    code = (
        "import sys, time, airflow_provider_alvys as alvys\n"
        "from airflow.sdk import DAG, BaseHook, BaseOperator\n"
        "before, began = set(sys.modules), time.perf_counter()\n"
        "[getattr(alvys, name) for name in alvys.__all__]\n"
        "print(round((time.perf_counter() - began) * 1000), *sorted(set(sys.modules) - before))\n"
    )
    milliseconds, *modules = run(code).splitlines()[-1].split()
    print(f"{milliseconds} ms, {len(modules)} modules")  # noqa: T201
    ours = {module for module in modules if module.startswith("airflow_provider_alvys.")}
    # How many of its own Airflow imports with them differs between its versions.
    others = {module for module in modules if not module.startswith("airflow.")} - ours
    assert len(ours) < 95
    assert len(others) < 5, others
    assert not {"requests", "pyarrow", "starlette", "asgiref"} & set(modules)


def test_the_commands_cost_the_start_of_airflow_nothing() -> None:
    """Each ``airflow`` command imports their definition."""
    code = (
        "import sys, argparse, dataclasses, os, importlib, typing\n"
        "before = {*sys.modules, *sys.stdlib_module_names}\n"
        "import airflow_provider_alvys.cli.definition\n"
        "print(*sorted(name for name in {*sys.modules} - before if name.split('.')[0] not in before))\n"
    )
    own = ["airflow_provider_alvys", "airflow_provider_alvys.cli", "airflow_provider_alvys.cli.definition"]
    assert run(code).split() == own


@pytest.mark.every_airflow
def test_every_export_exists() -> None:
    for name in airflow_provider_alvys.__all__:
        assert getattr(airflow_provider_alvys, name)
    assert set(airflow_provider_alvys.__all__) <= set(dir(airflow_provider_alvys))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        airflow_provider_alvys.Nothing  # noqa: B018


def test_the_version_is_that_of_the_distribution_and_the_newest_in_the_changelog() -> None:
    assert airflow_provider_alvys.__version__ == version("airflow-provider-alvys")
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == airflow_provider_alvys.__version__


def test_each_database_has_an_extra_with_its_provider() -> None:
    extras = {
        (extra[1], re.split(r"[ ;\[<>=]", line)[0])
        for line in requires("airflow-provider-alvys") or ()
        if (extra := re.search(r"extra == ['\"](\w+)['\"]", line))
    }
    assert {(name, dialect.provider) for name, dialect in DIALECTS.items()} <= extras


def test_the_package_is_typed_and_no_module_is_long() -> None:
    assert (PACKAGE / "py.typed").exists()
    for file in PACKAGE.rglob("*.py"):
        assert len(file.read_text().splitlines()) <= 400, file


def test_nothing_stored_or_received_is_executed() -> None:
    executing = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "yaml", "eval", "exec"}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            assert not {name.partition(".")[0] for name in names} & executing, file


def test_no_folder_has_more_than_15_modules() -> None:
    folders = Counter(file.parent for file in PACKAGE.rglob("*.py"))
    assert {folder: count for folder, count in folders.items() if count > 15} == {}


def test_no_two_classes_share_a_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(file.relative_to(PACKAGE)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
