"""Run the code and commands of README and docs, and check their names and links."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from datetime import datetime, timezone
from importlib.metadata import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from airflow.exceptions import ParamValidationError
from airflow.sdk import DAG
from packaging.requirements import Requirement

import airflow_provider_alvys
from airflow_provider_alvys import RecentParents, connection_form
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.checks.checks_table import create_checks
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.simulator.app.control_api import CONTROL_ENDPOINTS
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.database import open_database
from airflow_provider_alvys.tables.dialects import get_dialect
from airflow_provider_alvys.tables.freshness import create_freshness_view
from airflow_provider_alvys.tables.ledger import Ledger
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from scripts.check_site import PUBLIC_MODULES
from scripts.matrix import RELEASES, Release
from tests.conftest import CONNECTION, ROOT, SkippingClock
from tests.forked_airflow import ForkedAirflow, home_settings
from tests.pages import (
    GENERATED,
    PAGES,
    Block,
    anchors,
    block_params,
    blocks_to_run,
    ci_steps,
    has_shape,
    parse_blocks,
    parse_commands,
)
from tests.recorder import Recorder
from tests.test_start import COMMANDS as START

ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
REFERENCE = ROOT / "docs" / "reference"
BIN = Path(sys.executable).parent


def test_the_example_lists_documents_of_delivered_loads_of_any_status() -> None:
    example = runpy.run_path(str(ROOT / "dags_examples" / "alvys_delivered_documents.py"))
    assert example["documents"].parents == RecentParents(days=14)


def test_the_streams_page_names_the_streams_without_a_full_read() -> None:
    (sentence,) = re.findall(r"Alvys does not allow that for.*", (REFERENCE / "streams.md").read_text())
    named = re.findall(r"`(\w+)`", sentence)
    assert named == [name for name, stream in STREAMS.items() if not stream.full_read]


def test_the_compatibility_page_names_every_public_name() -> None:
    section = (ROOT / "docs" / "compatibility.md").read_text().partition("\n## What is public\n")[2]
    names = set(re.findall(r"`([\w.]+)`", section))
    assert set(airflow_provider_alvys.__all__) - {"__version__"} <= names
    assert set(PUBLIC_MODULES) <= names
    assert "python -m airflow_provider_alvys plan" in section


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.airflow)
def test_the_compatibility_page_has_the_versions_of_the_matrix(release: Release) -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text()
    (row,) = [line for line in text.splitlines() if re.search(rf"\| {re.escape(release.airflow)}\b", line)]
    assert f"| {release.airflow[:3]} | {release.pythons[0]} to {release.pythons[-1]} |" in row


# Sphinx reads its directives itself: make docs-site.
DIRECTIVES = {"{toctree}", "{include}", "{eval-rst}"}


@pytest.mark.parametrize("block", block_params())
def test_every_block_is_run_or_quoted_or_read_by_a_test(block: Block) -> None:
    if block.source:
        assert block.source.startswith(("dags_examples/", "scripts/", "tests/")), "that run"
        texts = [textwrap.indent(block.text, " " * indent) for indent in (0, 4, 8)]
        assert any(text in (ROOT / block.source).read_text() for text in texts)
    elif block.checked_by:
        file, _, name = block.checked_by.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
        assert (
            block.page.name in (ROOT / file).read_text()
            or f'"{block.checked_by}"' in (ROOT / file).read_text()
        )
    elif str(block.page).removeprefix(f"{ROOT}/docs/") not in GENERATED:
        assert block.language.partition(" ")[0] in {"python", "bash", "sql", *DIRECTIVES}


def test_a_block_that_nothing_checks_is_found() -> None:
    text = (
        "```yaml\na: 1\n```\n\n<!-- from: a.py -->\n\n```python\na\n```\n1. a\n\n   ```bash\n   b\n   ```\n"
    )
    found = parse_blocks(ROOT / "README.md", text)
    assert [(block.language, block.text, block.source) for block in found] == [
        ("yaml", "a: 1\n", None),
        ("python", "a\n", "a.py"),
        ("bash", "b\n", None),
    ]


def commands() -> list[pytest.ParameterSet]:
    return [
        pytest.param(command, id=command[:60])
        for block in blocks_to_run("bash")
        for command in parse_commands(block.values[0])
    ]


def python_blocks() -> list[pytest.ParameterSet]:
    """All blocks of Python; those that read files, once for each compression."""
    return [
        pytest.param(*block.values, compression, id=f"{block.id}-{compression}" if compression else block.id)
        for block in blocks_to_run("python")
        for compression in ([None, "gzip"] if "_manifest.json" in str(block.values[0]) else [None])
    ]


@pytest.mark.parametrize(("code", "compression"), python_blocks())
def test_python_code_runs(code: str, compression: str | None, alvys: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "alvys"
    if "_manifest.json" in code:
        operator = AlvysToObjectStorageOperator(
            task_id="fill",
            stream="loads",
            path=str(path),
            initial_since="2026-01-01T00:00:00Z",
            file_format="parquet" if "parquet" in code else "jsonl",
            compression=compression,
        )
        operator.execute({})
    names = {"__name__": "docs"}
    exec(compile(code.replace("/data/alvys", str(path)), "docs", "exec"), names)
    if "_manifest.json" in code:
        # What a page's code finds in the files; nothing is open.
        assert [len(names[name]) > 0 for name in ("loads", "new_files") if name in names] in ([True], [])


SENT = {
    "docs/writing.md": [
        ("PUT", "loads/1001/documents/d-1/type"),
        ("POST", "tracking/TR0000000000000000001/telemetry"),
    ],
    "docs/reference/operations.md": [("POST", "trips/TR0000000000000000001/dispatch")],
}


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/test_docs.py::test_the_writes_that_pages_show_are_sent")
)
def test_the_writes_that_pages_show_are_sent(
    block: Block, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(AlvysHook, "get_conn", lambda hook: recorder.client(clock))
    exec(compile(block.text, "docs", "exec"), {"__name__": "docs"})
    sent = [
        (request.method, request.path.partition("/v")[2].partition("/")[2]) for request in recorder.requests
    ]
    assert sent == SENT[str(block.page.relative_to(ROOT))]
    assert all(json.loads(request.body) for request in recorder.requests if request.body)
    recorder.close()


@pytest.mark.parametrize(
    "block",
    block_params(checked_by="tests/test_docs.py::test_code_of_packages_that_are_not_installed_compiles"),
)
def test_code_of_packages_that_are_not_installed_compiles(block: Block) -> None:
    compile(block.text, "docs", "exec")


@pytest.fixture
def landed(alvys: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The result of a landing that keeps the pace, into a data set that has a sweep, too."""
    monkeypatch.setenv(CONNECTION, alvys.connection_json())
    common: dict[str, Any] = {"path": str(tmp_path / "alvys"), "compression": "gzip"}
    AlvysSweepToObjectStorageOperator(task_id="sweep", streams=["drivers", "trucks"], **common).execute({})
    landing = AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", initial_since="2026-01-01T00:00:00Z", **common
    )
    return landing.execute({})


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/test_docs.py::test_a_landing_has_the_result_that_pages_show")
)
def test_a_landing_has_the_result_that_pages_show(block: Block, landed: dict[str, Any]) -> None:
    assert has_shape(landed, json.loads(block.text))


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/test_docs.py::test_a_data_set_has_the_json_that_pages_show")
)
def test_a_data_set_has_the_json_that_pages_show(block: Block, landed: dict[str, Any]) -> None:
    shown = json.loads(block.text)
    stored = [json.loads(file.read_text()) for file in (Path(landed["path"]) / "loads").rglob("*.json")]
    assert any(has_shape(found, shown) and found.keys() == shown.keys() for found in stored), stored


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/test_docs.py::test_a_data_set_has_the_files_that_pages_show")
)
def test_a_data_set_has_the_files_that_pages_show(block: Block, landed: dict[str, Any]) -> None:
    root = Path(landed["path"])
    files = [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]
    folder = ""
    for line in block.text.splitlines():
        name = line.split()[0].removeprefix("/data/alvys/")
        name = name if not line.startswith(" ") else folder + name
        if name.endswith("/"):
            folder = name
            continue
        pattern = re.sub(r"<\w+>", "[^/]+", re.sub(r"\d{4}-\d\d-\d\d", "[0-9-]+", name))
        pattern = re.sub(r"\b[0-9a-f]{16}\b", "[0-9a-f]{16}", pattern)
        assert [file for file in files if re.fullmatch(pattern, file)], (name, files)


@pytest.fixture
def home(migrated: Path, tmp_path: Path) -> Path:
    """An Airflow home with a database."""
    shutil.copy(migrated / "airflow.db", tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_commands_run(
    command: str,
    alvys: Simulator,
    home: Path,
    forked_airflow: ForkedAirflow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if command.startswith("make "):
        target = command.split()[1]
        assert target in ci_steps()
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    if command.startswith("pip install "):
        # make matrix-short installs it into an empty environment.
        wanted = Requirement(shlex.split(command)[2])
        assert wanted.name == "airflow-provider-alvys"
        assert wanted.extras <= set(metadata(wanted.name).get_all("Provides-Extra", []))
        return
    if command in START:
        # tests/test_start.py runs them, one after the other.
        return
    if command.startswith("export "):
        name, _, value = command.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value.strip("'"))
        if name == "AIRFLOW__ALVYS__POOL":
            assert AlvysToObjectStorageOperator(task_id="a", stream="drivers", path="/a").pool == value
            return
        assert name == CONNECTION
        assert AlvysHook().settings.credentials.client_id == "my-client-id"
        return
    if command.startswith("python -m airflow_provider_alvys.simulator"):
        command = f"{command.replace(' --port 8099', '')} --port 0 --stop-with-stdin </dev/null"
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        CONNECTION: alvys.connection_json(),
    }
    if "connections delete" in command:
        command = f"{command.rpartition(' && ')[2]} && {command}"
    if command.startswith("airflow "):
        environment |= home_settings(home)
        for number, part in enumerate(command.replace("\\\n", " ").split(" && ")):
            program, *arguments = shlex.split(part)
            assert program == "airflow"
            printed = tmp_path / f"printed-{number}.log"
            assert forked_airflow.run(tuple(arguments), environment, printed) == 0, printed.read_text()
            assert "connections test" not in part or "Connection success!" in printed.read_text()
        return
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "simulator" in command:
        assert done.stdout.startswith("http://127.0.0.1:")
        assert "export AIRFLOW_CONN_ALVYS_DEFAULT=" in done.stdout


def test_every_link_has_a_target() -> None:
    for page in ALL_PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def test_every_link_of_the_readme_leads_somewhere_from_other_places_too() -> None:
    # Airflow's page of providers and package indexes show it without the repository.
    urls = dict(text.split(", ") for text in metadata("airflow-provider-alvys").get_all("Project-URL", []))
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text)
    assert links
    for target, anchor in links:
        assert target.startswith("https://"), target
        if target.startswith(urls["Documentation"]):
            file = ROOT / "docs" / target.removeprefix(urls["Documentation"]).replace(".html", ".md")
        elif target.startswith(urls["Source"]):
            file = ROOT / re.sub("^/(blob|raw|tree)/main/", "", target.removeprefix(urls["Source"]))
        else:
            continue
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_every_named_file_exists() -> None:
    for page in ALL_PAGES:
        for name in re.findall(
            r"`((?:airflow_provider_alvys|tests|scripts|docs|bench)/[\w./]+)`", page.read_text()
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
    page = ROOT / "docs" / "architecture.md"
    for name in re.findall(r"`([a-z_]+/[\w./]+|[a-z_]+\.py)`", page.read_text()):
        assert (ROOT / "airflow_provider_alvys" / name).exists(), f"{page.name}: {name}"


def test_every_field_of_the_connection_is_described() -> None:
    text = (ROOT / "docs" / "connection.md").read_text()
    for field in connection_form.FIELDS:
        assert f"| {field.label} | extra `{field.name}` |" in text


def test_every_control_of_the_simulator_is_described() -> None:
    text = (REFERENCE / "simulator.md").read_text()
    for call in CONTROL_ENDPOINTS:
        assert f"| `{call}` |" in text


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages, written by one process: importing Airflow takes longer than writing them."""
    folder = tmp_path_factory.mktemp("written")
    code = "import runpy, sys\n" + "".join(
        f"sys.argv = [{script!r}, {str(folder / Path(name).name)!r}]\n"
        f"runpy.run_module({f'scripts.{script}'!r}, run_name='__main__')\n"
        for name, script in GENERATED.items()
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    return folder


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_current(name: str, written: Path) -> None:
    assert (written / Path(name).name).read_text() == (ROOT / "docs" / name).read_text(), "run make docs"


def test_the_schema_page_has_every_column_and_links_to_tables() -> None:
    text = (REFERENCE / "schema.md").read_text()
    sections = dict(re.findall(r"^#{3,4} `(\w+)`\n(.*?)(?=^#{2,4} )", f"{text}## ", re.MULTILINE | re.DOTALL))
    for stream in STREAMS.values():
        for table in build_schema(stream).tables:
            if stream.name.endswith("_list"):
                assert f"`{table.name}`" in text
                continue
            for column in table.all_columns:
                assert f"`{column.name}`" in sections[table.name], f"{table.name}.{column.name}"
    for target in re.findall(r"\]\(#([\w-]+)\)", text):
        heading = target.replace("-", "[-, ]+")
        assert target in sections or re.search(rf"^## {heading}$", text, re.MULTILINE | re.IGNORECASE), target


@pytest.fixture(scope="module")
def tables() -> sqlite3.Connection:
    """A database with all tables, also in the schemas that the pages name, and this package's own."""
    database = sqlite3.connect(":memory:")
    database.execute("ATTACH ':memory:' AS alvys_new")
    for stream in STREAMS.values():
        for table in build_schema(stream).tables:
            columns = ", ".join(f'"{column.name}"' for column in table.all_columns)
            for schema in ("main", "alvys_new"):
                database.execute(f'CREATE TABLE {schema}."{table.name}" ({columns})')
    opened = open_database(database, get_dialect("sqlite"))
    Ledger(opened, "loads").create()
    create_checks(opened)
    create_freshness_view(opened)
    # The table of a script.
    database.execute("CREATE TABLE old_loads (id, amount)")
    return database


@pytest.mark.parametrize("code", blocks_to_run("sql"))
def test_sql_runs(code: str, tables: sqlite3.Connection) -> None:
    tables.executescript(code if code.rstrip().endswith(";") else f"{code};")


def test_the_picture_shows_every_table_in_readable_size() -> None:
    picture = ElementTree.parse(REFERENCE / "schema.svg").getroot()
    assert int(picture.attrib["width"]) == 1200
    texts = ["".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for stream in STREAMS.values():
        if not stream.name.endswith("_list"):
            assert build_schema(stream).main.name in texts
    assert "customer_id → customers" in texts


def test_no_file_names_this_machine() -> None:
    for page in [
        *PAGES,
        ROOT / "CHANGELOG.md",
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        *(ROOT / "constraints").glob("*.txt"),
    ]:
        assert str(ROOT) not in page.read_text(), page
        assert "://" not in page.read_text() or page.suffix in (".md", ".toml"), page


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in ALL_PAGES:
        named = set(re.findall(r"`make ([a-z -]+?)`|^make ([a-z-]+)", page.read_text(), re.M))
        assert {name for pair in named for text in pair for name in text.split()} <= targets, page.name


def test_security_md_names_a_test_that_exists_for_each_protection() -> None:
    lines = (ROOT / "SECURITY.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| threat ")]
    assert rows
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert tests, row
        for file, name in tests:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"


# 22:30 on the day before, in Chicago.
EVENING = datetime(2026, 3, 2, 4, 30, tzinfo=timezone.utc)


def dag_of(code: str) -> DAG:
    """Return the DAG that an example defines."""
    names: dict[str, Any] = {}
    exec(re.sub(r"^(with DAG\((?:.|\n)*?\)):$", r"\1 as the_dag:", code, flags=re.MULTILINE), names)
    dag: DAG = names["the_dag"]
    return dag


def payments() -> list[pytest.ParameterSet]:
    return [block for block in blocks_to_run("python") if "PaymentDate" in block.values[0]]


@pytest.mark.parametrize("code", payments())
def test_the_day_of_a_payment_is_that_of_the_companys_time_zone(code: str) -> None:
    if "DAG(" not in code:
        # A fixed day.
        assert re.search(r'"PaymentDate": "\d{4}-\d\d-\d\d', code)
        return
    pay = dag_of(code).get_task("pay")
    context: Any = {"dag_run": SimpleNamespace(run_after=EVENING, conf={}), "params": {}, "run_id": "manual"}
    (template,) = re.findall(r'"PaymentDate": "(.*?)"', code)
    assert pay.render_template(template, context) == "2026-03-01"


def test_the_example_pays_on_the_day_of_the_companys_time_zone(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = runpy.run_path(str(ROOT / "dags_examples" / "alvys_pod_and_payment.py"))
    trips = [json.loads(row) for row in alvys.truth_rows(stream="trips")]
    payable = next(
        row
        for row in trips
        if row["Status"] == "Delivered"
        and row.get("Carrier", {}).get("TotalPayable", {}).get("Amount", 0) > 0
    )
    function = example["carrier_payments"].function
    monkeypatch.setitem(
        function.__globals__, "get_current_context", lambda: {"dag_run": SimpleNamespace(run_after=EVENING)}
    )
    assert {payment["PaymentDate"] for payment in function(payable["LoadNumber"])} == {"2026-03-01"}


PARAMETER = re.compile(r"\{\{ *params\.(\w+) *\}\}")
OUTSIDE = [
    "/etc/passwd",
    "../../etc/passwd",
    "..",
    ".ssh",
    "a/b.pdf",
    "a/../../b.pdf",
    "s3://bucket/a.pdf",
    "file:///etc/passwd",
    "\\\\host\\share",
    "a\\..\\b",
    "",
    " ",
    "~/key",
    "/data/outbox/../key",
    "a.pdf\n/b",
]


@pytest.mark.parametrize("code", [block for block in blocks_to_run("python") if "path=" in block.values[0]])
def test_no_parameter_chooses_a_file_outside_of_a_folder(code: str) -> None:
    for path in re.findall(r'(?:path|file)=f?"(.*?)"', code):
        for name in PARAMETER.findall(path):
            assert re.fullmatch(r"/[\w/]+/\{\{ *params\.\w+ *\}\}", path), path
            param = dag_of(code).params.get_param(name)
            for outside in OUTSIDE:
                with pytest.raises(ParamValidationError):
                    param.resolve(outside)
            for inside in ("pod.pdf", "POD 1001_2.jpeg", "a"):
                assert param.resolve(inside) == inside


def test_the_example_of_an_upload_is_among_those_with_a_path() -> None:
    assert any(
        "AlvysUploadDocumentOperator(" in block.values[0] and PARAMETER.search(block.values[0])
        for block in blocks_to_run("python")
    )
