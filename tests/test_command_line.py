"""Both command lines: each option is described, and each error is a sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import pytest

from airflow_provider_alvys import AlvysHook
from airflow_provider_alvys import __main__ as provider
from airflow_provider_alvys.simulator import __main__ as simulator
from airflow_provider_alvys.simulator.options import make_options
from airflow_provider_alvys.simulator.process import Simulator

COMMANDS = {"provider": provider, "simulator": simulator}


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of both command lines, and those of their commands."""
    left: list[argparse.ArgumentParser] = [provider._parser(), simulator._parser()]
    while left:
        parser = left.pop()
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                left += action.choices.values()


def failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str
) -> str:
    """Run a command line that fails, and return what it says."""
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    with pytest.raises(SystemExit) as exit:
        COMMANDS[command].main()
    assert exit.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_every_option_and_command_is_described() -> None:
    described = 0
    for parser in parsers():
        assert parser.description or parser.prog.count(" ") > 2
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (
                f"{parser.prog} {action.dest}"
            )
            if isinstance(action, argparse._SubParsersAction):
                assert {choice.dest for choice in action._choices_actions if choice.help} == set(
                    action.choices
                )
            described += 1
    assert described > 80


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("provider", ["plam"], "Did you mean plan?"),
        ("provider", ["plan", "--streems", "loads"], "Did you mean --streams?"),
        ("provider", ["plan", "--streams", "laods"], "Did you mean loads?"),
        ("provider", ["plan", "--since", "yesterday"], "since='yesterday'"),
        ("provider", ["plan", "--conn-id", "nobody"], "nobody"),
        ("provider", ["sql", "--warehouse", "snowflak", "--stream", "loads"], "Did you mean snowflake?"),
        ("provider", ["sql", "--warehouse", "snowflake", "--stream", "laods"], "Did you mean loads?"),
        ("provider", ["cursor", "shw", "--path", "/a"], "Did you mean show?"),
        ("provider", ["cursor", "show", "--pth", "/a"], "Did you mean --path?"),
        ("provider", ["status", "--path", "lake"], "is relative"),
        ("provider", ["status", "--path", "/nowhere/at/all"], "no data set"),
        ("provider", ["status", "--path", "/nowhere", "-o", "jsn"], "Did you mean json?"),
        ("simulator", ["--laods", "5"], "Did you mean --loads?"),
        ("simulator", ["--order", "newst"], "Did you mean newest?"),
        ("simulator", ["--rows", '{"laods": 5}'], "Did you mean loads?"),
        ("simulator", ["--disabled", "customers.creat"], "Did you mean customers.create?"),
        ("simulator", ["--ignored-filters", "trucks.IsActiv"], "Did you mean IsActive?"),
        ("simulator", ["--host", "256.0.0.1"], "cannot listen"),
    ],
)
def test_a_wrong_argument_is_a_sentence_and_exit_code_2(
    alvys: Simulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    arguments: list[str],
    says: str,
) -> None:
    assert says in failure(capsys, monkeypatch, command, *arguments)


def test_a_connection_that_airflow_cannot_read_is_a_sentence(
    alvys: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("no such table: connection")

    monkeypatch.setattr(AlvysHook, "get_connection", fail)
    said = failure(capsys, monkeypatch, "provider", "plan")
    assert "no such table" in said
    assert "--conn-id" in said


def test_an_unknown_option_of_a_simulator_in_python_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"Did you mean loads\?"):
        make_options({"laods": 5})
    with pytest.raises(ValueError, match=r"Did you mean loads\?"):
        Simulator(laods=5)
