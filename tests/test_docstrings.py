"""The docstrings of everything public, which the site shows: parameters, units, results and errors."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from scripts.check_site import public_names
from scripts.docstrings import Docstring, read_docstring

PACKAGE = "airflow_provider_alvys."
# A number without one of these words has no unit, or no meaning.
UNITS = re.compile(
    r"\b(seconds?|minutes?|hours?|days?|bytes?|rows?|pages?|requests?|status|times?|levels?|number|attempts?|1|0)\b"
)


def own_bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith(PACKAGE)]


def is_called_by_airflow(kind: type, name: str) -> bool:
    """Return whether Airflow, and not a user, calls a method: the site describes no such method."""
    others = [base for base in kind.__mro__ if not base.__module__.startswith(PACKAGE)]
    return any(name in vars(base) for base in others) or any(
        base.__name__ in ("BaseOperator", "BaseTrigger") for base in others
    )


def callables() -> Iterator[tuple[str, Callable[..., Any], Docstring]]:
    """Return all public functions, constructors and methods, with what describes them."""
    for address, thing in {**public_names(), f"{PACKAGE}simulator.process.Simulator": Simulator}.items():
        if not inspect.isclass(thing):
            yield address, thing, read_docstring(thing)
            continue
        bases = own_bases(thing)
        whole = read_docstring(thing)
        for base in bases[1:]:
            whole.params = {**read_docstring(base).params, **whole.params}
            whole.raises += read_docstring(base).raises
        if any("__init__" in vars(base) for base in bases) or hasattr(thing, "__dataclass_fields__"):
            yield address, thing, whole
        for base in bases:
            for name, method in vars(base).items():
                if inspect.isfunction(method) and name[0] != "_" and not is_called_by_airflow(thing, name):
                    yield f"{address}.{name}", method, read_docstring(method)


CALLABLES = {address: (thing, doc) for address, thing, doc in callables()}


def described_parameters(address: str) -> dict[str, str]:
    """Return what a docstring says of its parameters, or that of the function that it refers to."""
    doc = CALLABLES[address][1]
    (other,) = re.findall(r"The arguments are those of `(\w+)`", " ".join(doc.prose)) or [""]
    siblings = (name for name in CALLABLES if other and name == f"{address.rpartition('.')[0]}.{other}")
    return {**doc.params, **{name: text for at in siblings for name, text in CALLABLES[at][1].params.items()}}


def parameters_of(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
    return [
        parameter
        for name, parameter in signature.parameters.items()
        # Those of Airflow's base classes are described there.
        if name not in ("self", "cls") and not (inspect.isclass(thing) and name == "kwargs")
    ]


@pytest.mark.parametrize("address", CALLABLES)
def test_every_parameter_is_described_with_its_unit(address: str) -> None:
    described = described_parameters(address)
    for parameter in parameters_of(CALLABLES[address][0]):
        assert described.get(parameter.name), parameter.name
        if re.fullmatch(r"(int|float)( \| None)?", str(parameter.annotation)):
            assert UNITS.search(described[parameter.name]), described[parameter.name]


@pytest.mark.parametrize("address", CALLABLES)
def test_every_result_and_error_is_described(address: str) -> None:
    thing, doc = CALLABLES[address]
    body = thing.__init__ if inspect.isclass(thing) else thing
    assert doc.summary
    if not inspect.isclass(thing) and inspect.signature(thing).return_annotation not in ("None", None):
        assert doc.returns or re.match(r"(Return|Iterate)", doc.summary), doc.summary
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(body)))
    except (OSError, TypeError):
        return
    raised = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id[0].isupper()
    }
    assert raised <= {error for error, _ in doc.raises}, raised


def test_a_number_without_a_unit_is_found() -> None:
    assert not UNITS.search("the timeout.")
    assert UNITS.search("seconds to wait.")
