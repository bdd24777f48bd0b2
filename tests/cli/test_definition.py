"""``airflow alvys``, since Airflow 3.2: the commands of ``python -m airflow_provider_alvys``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
import yaml
from airflow.cli import cli_config, cli_parser
from airflow.providers_manager import ProvidersManager

from airflow_provider_alvys import AlvysHook
from airflow_provider_alvys.__main__ import _parser
from airflow_provider_alvys.cli import connections
from airflow_provider_alvys.cli.definition import COMMANDS, Command, get_cli_commands
from airflow_provider_alvys.get_provider_info import get_provider_info
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES
from tests.cli.test_cursor import STARTS, land_days
from tests.conftest import Land

has_cli = pytest.mark.skipif(
    not hasattr(ProvidersManager, "cli_command_functions"), reason="Airflow 3.1 has no commands of providers"
)


@pytest.fixture
def airflow_parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[argparse.ArgumentParser]:
    """Airflow's parser with our commands, and no others of providers."""
    monkeypatch.setattr(cli_parser, "ALL_COMMANDS_DICT", {each.name: each for each in get_cli_commands()})
    cli_parser.get_parser.cache_clear()
    yield cli_parser.get_parser()
    cli_parser.get_parser.cache_clear()


def leaves(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield path, parser
    for group in groups:
        for name, below in group.choices.items():
            yield from leaves(below, f"{path} {name}".strip())


def options(parser: argparse.ArgumentParser) -> dict[str, Any]:
    return {
        action.dest: (action.option_strings, action.help, action.required, action.default, action.choices)
        for action in parser._actions
        if action.dest != "help"
    }


@pytest.mark.every_airflow
def test_both_command_lines_have_the_same_commands_and_options(
    airflow_parser: argparse.ArgumentParser,
) -> None:
    ours = {f"alvys {path}": options(parser) for path, parser in leaves(_parser())}
    theirs = {path: options(parser) for path, parser in leaves(airflow_parser)}
    assert theirs == ours
    assert {"alvys plan", "alvys status", "alvys check", "alvys sql", "alvys cursor recover"} <= set(ours)


@pytest.mark.every_airflow
@pytest.mark.parametrize("arguments", [[], ["cursor"], ["cursor", "set"], ["plan"]])
def test_airflow_prints_help(
    airflow_parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        airflow_parser.parse_args(["alvys", *arguments, "--help"])
    printed = capsys.readouterr().out
    assert "airflow alvys" in printed


@pytest.mark.every_airflow
def test_airflow_runs_a_command_and_exits_with_its_code(
    alvys: Simulator,
    land: Land,
    lake: Path,
    airflow_parser: argparse.ArgumentParser,
    capsys: pytest.CaptureFixture[str],
) -> None:
    land_days(land, days=1)
    capsys.readouterr()
    options = airflow_parser.parse_args(["alvys", "cursor", "show", "--path", str(lake), "-o", "json"])
    options.func(options)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["until"] == STARTS[0]
    options = airflow_parser.parse_args(["alvys", "status", "--path", str(lake), "--stream", "laods"])
    with pytest.raises(SystemExit, match="2"):
        options.func(options)
    said = capsys.readouterr()
    assert said.err.startswith("status: ")
    assert "Did you mean loads?" in said.err


@pytest.mark.every_airflow
@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_log_of_airflow_and_of_the_package_stays_out_of_the_rows(
    alvys: Simulator,
    airflow_parser: argparse.ArgumentParser,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    alvys.order_faults({"kind": "status", "status": 503, "endpoint": "POST loads/search", "retry_after": "0"})
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    options = airflow_parser.parse_args(["alvys", "plan", "--streams", "loads", "-o", output])
    structlog_says = "said by Airflow"

    class Speaker(AlvysHook):
        def plan(self, *args: Any, **kwargs: Any) -> Any:
            structlog.get_logger(uuid4().hex).warning(structlog_says)
            return super().plan(*args, **kwargs)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections, "AlvysHook", Speaker)
            options.func(options)
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.stream is sys.stdout
    printed = capsys.readouterr()
    (row,) = (json.loads if output == "json" else yaml.safe_load)(printed.out)
    assert row["rows"] == 450
    assert "503" in printed.err
    assert structlog_says in printed.err


@has_cli
def test_airflow_finds_the_commands_in_the_provider_info() -> None:
    assert get_cli_commands in ProvidersManager().cli_command_functions
    assert "alvys" in cli_parser.ALL_COMMANDS_DICT
    (address,) = get_provider_info()["cli"]
    assert address == f"{get_cli_commands.__module__}.{get_cli_commands.__name__}"


def test_the_choices_are_those_of_airflow_and_of_the_warehouses() -> None:
    def find(commands: tuple[Command, ...], flag: str) -> list[Any]:
        found = [option.settings for each in commands for option in each.options if flag in option.flags]
        return found + [settings for each in commands for settings in find(each.commands, flag)]

    (warehouses,) = find(COMMANDS, "--warehouse")
    assert list(warehouses["choices"]) == list(WAREHOUSES)
    outputs = find(COMMANDS, "--output")
    assert len(outputs) == 7
    for output in outputs:
        assert output["choices"] == cli_config.ARG_OUTPUT.kwargs["choices"]
        assert output["default"] == cli_config.ARG_OUTPUT.kwargs["default"]
