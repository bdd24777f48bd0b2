"""Each entry of docs/troubleshooting.md is provoked, and each error and warning has an entry."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest
from airflow.jobs import scheduler_job_runner

from airflow_provider_alvys.api import errors
from airflow_provider_alvys.simulator.process import Simulator
from scripts.troubles import connection, parse
from scripts.troubles.bench import Provoked, troubles_of
from scripts.write_troubleshooting_page import GROUPS, error_types, name_of, page, provoke_all
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
TROUBLES = [
    pytest.param(name_of(module, trouble), module is connection, id=name_of(module, trouble))
    for module in GROUPS
    for trouble in troubles_of(module)
]
# Warnings that no user can act on, or that need a triggerer, a clock or an Airflow of their own to appear.
WITHOUT_ENTRY = {
    "%s %s is the number of two records, %s and %s",
    "It is unique within a subsidiary only: the one that changed last counts",
    "%s: not compared with a search for rows of any status: no time",
    "%s: requesting missing page %d again: total is %s",
    "%s: rows kept moving between searches; some may be missing",
    "Airflow did not mask a token within %g s",
    "Cursor advanced for %d of %s",
    "Not advanced for %s: %s",
    "Not counted: %s",
    "Fields missing from all %s of %s: %s",
    "Most earlier rows have them. Check whether Alvys renamed them (see _extra)",
    "Or check whether the token lost a permission",
    "Pace file not written: %s: %s",
    "Poll failed; the next one reads changes of %s since %s again",
    "Requested %s=%s of %s, and Alvys returned %s",
    # docs/status-page.md has the settings.
    "The status page is shown: %s",
    "The status page uses %s=%s: %s",
    "The status page uses %s=%s: %s is not a positive number",
    "Skipping %s: Alvys no longer lists it",
    "Starting over in another folder: %s",
    "Starting over: the checkpoint is from version %s of this package",
    "Checkpoint: %s",
    "The API's clock is behind: rows count as read only until %s",
    "The trigger failed",
    "Watching %s from now on: Airflow before 3.3 stores no state",
    "Changes are missed while no triggerer runs",
    "%s of other data sets must be loaded into %s again",
}


@pytest.fixture(scope="module")
def provoked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Provoked]:
    with Simulator() as alvys:
        return provoke_all(alvys, tmp_path_factory.mktemp("troubles"))


@pytest.mark.parametrize(("name", "may_be_text"), TROUBLES)
def test_a_trouble_shows_what_its_entry_says(
    name: str, may_be_text: bool, provoked: dict[str, Provoked]
) -> None:
    found = provoked[name]
    text = " ".join(found.text.split())
    assert f"```text {text} ```" in " ".join(PAGE.read_text().split()), "run make docs"
    assert found.error or found.records or may_be_text
    # Neither a fault of the bench nor of Python.
    assert not isinstance(found.error, (StopIteration, TypeError, AttributeError, AssertionError, OSError))


def test_the_page_is_current(provoked: dict[str, Provoked]) -> None:
    assert page(provoked) == PAGE.read_text(), "run make docs"
    assert "-m scripts.write_troubleshooting_page docs/troubleshooting.md" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("expression", parse.EXPRESSIONS)
def test_an_argument_that_is_not_valid_raises_the_error_of_its_entry(expression: str) -> None:
    message = " ".join(parse.message_of(expression).split())
    assert f"```py {' '.join(expression.split())} ```" in " ".join(PAGE.read_text().split())
    assert f"```text {message} ```" in " ".join(PAGE.read_text().split()), "run make docs"


def test_the_message_about_a_missing_pool_is_airflows() -> None:
    message = "Tasks using non-existent pool '%s' will not be scheduled"
    assert message in inspect.getsource(scheduler_job_runner)
    assert message % "alvys" in PAGE.read_text()


def test_an_error_that_is_retried_by_an_attribute_says_so() -> None:
    for error, attribute in (
        (errors.AlvysUnknownOutcomeError("", check=""), "may_repeat"),
        (errors.AlvysNotFoundError(""), "is_stray"),
    ):
        assert errors.is_hopeless(error)
        setattr(error, attribute, True)
        assert not errors.is_hopeless(error)
        row = next(line for line in PAGE.read_text().splitlines() if f"| `{type(error).__name__}` |" in line)
        assert row.endswith(f"| if `{attribute}` |")


def test_each_error_type_has_an_entry(provoked: dict[str, Provoked]) -> None:
    types = {type(found.error) for found in provoked.values()}
    for error_type in error_types():
        # The base class is raised for nothing in particular.
        is_met = any(issubclass(met, error_type) for met in types)
        assert is_met, f"{error_type.__name__}: add a trouble to scripts/troubles"
        assert f"| `{error_type.__name__}` |" in PAGE.read_text()


def test_each_advice_for_a_status_has_an_entry(provoked: dict[str, Provoked]) -> None:
    text = "\n".join(found.text for found in provoked.values())
    for status, (error_type, _) in errors._BY_STATUS.items():
        assert (
            any(
                isinstance(found.error, error_type) and found.error.status_code == status
                for found in provoked.values()
            )
            or f"answered {status}" in text
        ), status


def warnings() -> Iterator[tuple[str, str]]:
    """Yield the file and the text of each warning and error that the package logs."""
    package = ROOT / "airflow_provider_alvys"
    for file in sorted(package.rglob("*.py")):
        if file.is_relative_to(package / "simulator"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("warning", "error", "exception")
                and ast.unparse(node.func.value) in ("log", "self.log")
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(file.relative_to(package)), str(node.args[0].value)


def test_each_warning_has_an_entry(provoked: dict[str, Provoked]) -> None:
    shown = {record.msg for found in provoked.values() for record in found.records}
    missing = [(file, text) for file, text in warnings() if text not in shown | WITHOUT_ENTRY]
    assert missing == []
    assert sorted(shown & WITHOUT_ENTRY) == []
