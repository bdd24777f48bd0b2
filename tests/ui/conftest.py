"""A whole Airflow with a simulated Alvys, and a browser in front of it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import ROOT
from tests.ui.users import GUEST, OUTSIDER

# Only `make ui-test` installs the dependency group ui; without it there is nothing to collect.
if importlib.util.find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from PIL import Image
    from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

    from tests.chaos.airflow.daemons import Daemons
    from tests.chaos.airflow.metadata import wait_until
    from tests.chaos.airflow.rest_api import END_STATES
    from tests.ui.connections import ConnectionsPage

    # A busy machine renders late.
    expect.set_options(timeout=120_000)

# Environment variables: the interpreter of the Airflow to test, a folder for pictures, and the data set's
# path, which is seen in pictures.
PYTHON = "UI_TEST_PYTHON"
PICTURES = "UI_TEST_PICTURES"
LAKE = "UI_TEST_LAKE"

PASSWORD = "the-password-of-the-ui-tests"
LOGIN = ("admin", PASSWORD)
USERS = {"admin": "admin", OUTSIDER: "viewer", GUEST: ""}
SECRET = "s3cret-of-the-ui-tests"
WEB_URL = "https://app.example/{stream}/{id}"
DAG = "alvys_to_warehouse"
STREAMS = ("loads", "trips", "invoices")
ROWS = 2000
_PAGE_SIZE = 100
SIZE = {"width": 1440, "height": 900}
_AN_HOUR = 3600
# Seconds of a minute of the rate limits; requests_per_minute of the connection.
_MINUTE = 1
_PACE = 300
# Seconds of a response: reading the loads takes long enough to log its progress.
_LATENCY = 0.7


@pytest.fixture(scope="session")
def alvys() -> Iterator[Simulator]:
    """A simulated Alvys with the documented limits, whose minutes are short."""
    with Simulator(
        loads=ROWS,
        rows={"trips": 500, "invoices": 100},
        client_secret=SECRET,
        limits=True,
        minute=_MINUTE,
        latency=_LATENCY,
        now=time.time() - _AN_HOUR,
    ) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def load(alvys: Simulator) -> dict[str, Any]:
    """The newest load, which is delivered."""
    number = alvys.truth_keys(stream="loads", filters={"IncludeDeleted": False})[-1]
    alvys.change(keys=[number], columns={"Status": "Delivered"})
    rows = map(json.loads, alvys.truth_rows(stream="loads", filters={"IncludeDeleted": False}))
    return next(row for row in rows if row["Status"] == "Delivered")


@pytest.fixture(scope="session")
def lake() -> Iterator[Path]:
    """The path of an empty data set, as short as ``/data/alvys``: it is part of log lines."""
    path = Path(os.environ.get(LAKE) or f"/tmp/{secrets.token_hex(3)}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


def python_under_test() -> Path:
    """The Python with the Airflow that a browser drives; by default this one."""
    return Path(os.environ.get(PYTHON) or sys.executable).absolute()


@pytest.fixture(scope="session")
def airflow(
    alvys: Simulator, load: dict[str, Any], lake: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemons]:
    """An Airflow with the DAGs of this folder, the Test button, one user, and a connection to SQLite."""
    home = tmp_path_factory.mktemp("airflow")
    passwords = home / "passwords-of-all.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    settings = {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.ui.auth_manager.AuthManagerOfTests",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(":".join(user) for user in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(home / "warehouse.sqlite")}),
        "ALVYS_LAKE": str(lake),
        "ALVYS_INITIAL_SINCE": "2026-01-01T00:00:00Z",
        "ALVYS_LOAD_NUMBER": str(load["LoadNumber"]),
    }
    options: dict[str, Any] = {"with_postgres": False, "login": LOGIN}
    options["python"] = python_under_test()
    with Daemons(home, Path(__file__).parent / "dags", settings, **options) as daemons:
        daemons.wait_for_dag(DAG)
        yield daemons


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo on the Airflow under test: the one that `make demo` has left, if there is one."""
    folder = ROOT / ".demo"
    python = python_under_test()
    if python != Path(sys.executable) or not (folder / "airflow" / "airflow.db").exists():
        folder = tmp_path_factory.mktemp("demo")
        environment = {**os.environ, "DEMO_FOLDER": str(folder)}
        subprocess.run([python, "-m", "scripts.demo"], cwd=ROOT, env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def airflow_version(airflow: Daemons) -> tuple[int, ...]:
    """The version of the Airflow under test, such as (3, 3, 2)."""
    return tuple(int(part) for part in airflow.api.call("GET", "version")["version"].split(".")[:3])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        assert program, "make ui-test installs chromium from Debian's packages"
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_context(browser: Browser, airflow: Daemons, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=airflow.api.url, viewport=SIZE, color_scheme="light", **options)
    context.set_default_timeout(120_000)
    return context


def log_in(page: Page, user: str) -> Page:
    """Log in through the form."""
    page.goto("/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Dags").first).to_be_visible()
    return page


@pytest.fixture(scope="session")
def session(browser: Browser, airflow: Daemons) -> Any:
    """Cookies of a user who has logged in through the form."""
    context = open_context(browser, airflow)
    log_in(context.new_page(), LOGIN[0])
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def problems() -> list[str]:
    """What went wrong in the browser: errors of scripts, and responses. A test clears what it expects."""
    return []


@pytest.fixture
def page(browser: Browser, airflow: Daemons, session: Any, problems: list[str]) -> Iterator[Page]:
    """A page of a user who has logged in. Nothing may go wrong in it."""
    context = open_context(browser, airflow, storage_state=session)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert problems == []


def save_picture(page: Page, name: str) -> None:
    """Save a picture of a page for the docs, if the environment names a folder."""
    if folder := os.environ.get(PICTURES):
        shot = page.screenshot(animations="disabled", caret="hide")
        # 256 colours need a third of the space.
        Image.open(io.BytesIO(shot)).quantize(dither=Image.Dither.NONE).save(
            Path(folder) / f"{name}.png", optimize=True
        )


@pytest.fixture
def picture(page: Page) -> Callable[[str], None]:
    """Save a picture of the page for the docs."""
    return lambda name: save_picture(page, name)


@pytest.fixture(scope="session")
def fields(alvys: Simulator) -> dict[str, Any]:
    """The fields of a connection to the simulator, without a port."""
    return {
        "host": alvys.url,
        "login": alvys.options.client_id,
        "password": SECRET,
        "auth_url": f"{alvys.url}/oauth/token",
        "requests_per_minute": _PACE,
        "page_size": _PAGE_SIZE,
        "web_url": WEB_URL,
    }


@pytest.fixture(scope="session")
def connection(browser: Browser, airflow: Daemons, session: Any, fields: dict[str, Any]) -> str:
    """The id of a connection to the simulator, added through the form."""
    context = open_context(browser, airflow, storage_state=session)
    form = ConnectionsPage(context.new_page()).add("alvys_default")
    form.fill({**fields, "port": 443})
    form.save()
    context.close()
    return "alvys_default"


@pytest.fixture(scope="session")
def run(browser: Browser, airflow: Daemons, session: Any, connection: str) -> str:
    """The id of a successful run of the DAG, triggered in the browser."""
    context = open_context(browser, airflow, storage_state=session)
    page = context.new_page()
    page.goto(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    page.wait_for_url(re.compile(r"/runs/manual__"))
    (run,) = airflow.api.call("GET", f"dags/{DAG}/dagRuns")["dag_runs"]
    expect(page.get_by_role("heading", name=run["dag_run_id"])).to_be_visible()
    context.close()
    id = str(run["dag_run_id"])
    wait_until(lambda: airflow.api.run_state(DAG, id) in END_STATES, "the run ends", seconds=300)
    assert airflow.api.run_state(DAG, id) == "success"
    return id
