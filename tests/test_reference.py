"""The docstrings that the pages of docs/reference are written from say what those pages need."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest

import airflow_provider_alvys
from airflow_provider_alvys import AlvysHook
from scripts.docstrings import Docstring, read_docstring
from scripts.write_reference_page import PAGES
from tests.conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
TASKS = [name for name in airflow_provider_alvys.__all__ if name.endswith(("Operator", "Sensor"))]
FUNCTIONS = [name for name in airflow_provider_alvys.__all__ if name.startswith("alvys_")]
METHODS = [
    name
    for name, method in vars(AlvysHook).items()
    if inspect.isfunction(method) and not name.startswith("_")
]


def public(name: str) -> Any:
    return getattr(airflow_provider_alvys, name)


def section(task: str) -> str:
    """Return the section of a task in its page."""
    page = REFERENCE / ("operators.md" if task.endswith("Operator") else "sensors.md")
    (text,) = re.findall(rf"^## {task}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    return str(text)


def check_parameters(thing: Any, doc: Docstring) -> None:
    """Compare the described parameters with those of the signature, in its order."""
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
    names = [
        name
        for name, parameter in signature.parameters.items()
        if name != "self" and not (inspect.isclass(thing) and parameter.kind is parameter.VAR_KEYWORD)
    ]
    assert list(doc.params) == names


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_current(name: str) -> None:
    page = REFERENCE / f"{name}.md"
    assert PAGES[name]().rstrip() + "\n" == page.read_text(), "run make docs"
    assert f"-m scripts.write_reference_page docs/reference/{name}.md" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", TASKS)
def test_the_docstring_of_a_task_says_what_its_reference_needs(name: str) -> None:
    task, doc = public(name), read_docstring(public(name))
    check_parameters(task, doc)
    assert doc.templated == set(task.template_fields)
    assert doc.returns
    assert doc.raises
    assert doc.notes["Cost"]
    assert ("Asset event" in doc.notes) == ("emit_asset_event" in inspect.getsource(task))


@pytest.mark.parametrize("name", TASKS)
def test_the_reference_quotes_an_example_of_each_task(name: str) -> None:
    (file, code) = re.findall(r"From \[(\w+\.py)\].*?\n\n```py\n(.*?)```", section(name), re.DOTALL)[0]
    source = (ROOT / "dags_examples" / file).read_text()
    assert re.search(rf"\b{name}\b", code)
    for line in code.splitlines():
        assert line.strip() in source


@pytest.mark.parametrize("name", TASKS)
def test_the_reference_shows_the_keys_of_an_xcom_that_the_docstring_names(name: str) -> None:
    returns = read_docstring(public(name)).returns
    named = re.match(r"`\{(.*?)\}`", returns)
    (shown,) = re.findall(r"```json\n(.*?)```", section(name), re.DOTALL)
    if named:
        assert list(json.loads(shown)) == re.findall(r'"(\w+)"', named[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_function_describes_its_parameters(name: str) -> None:
    doc = read_docstring(public(name))
    check_parameters(public(name), doc)
    assert doc.returns


@pytest.mark.parametrize("name", METHODS)
def test_the_docstring_of_a_method_describes_its_parameters(name: str) -> None:
    method = vars(AlvysHook)[name]
    doc = read_docstring(method)
    if "search" in doc.summary or "write" in doc.summary:
        # As those of hook.search and hook.write.
        return
    check_parameters(method, doc)
