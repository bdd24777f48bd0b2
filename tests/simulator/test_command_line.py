from __future__ import annotations

import socket
import sys

import msgspec
import pytest

from airflow_provider_alvys.simulator.__main__ import main
from airflow_provider_alvys.simulator.options import Options, option_descriptions


def exit_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> SystemExit:
    """Run the command line and return how it exits."""
    # Wide enough for argparse to break no line.
    monkeypatch.setenv("COLUMNS", "10000")
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    return exit.value


def test_help_describes_every_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(monkeypatch, "--help").code == 0
    text = capsys.readouterr().out
    descriptions = option_descriptions()
    assert list(descriptions) == [field.name for field in msgspec.structs.fields(Options)]
    for name, description in descriptions.items():
        assert f"--{name.replace('_', '-')}" in text
        assert f" {description} (default: " in text


def test_a_port_in_use_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert exit_of(monkeypatch, "--port", port).code == 2
    message = capsys.readouterr().err
    assert f"127.0.0.1:{port}: Address already in use" in message
    assert "--port 0" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--order", "random"),
        ("--loads", "many"),
        ("--rows", "{"),
        ("--rows", '{"lodes": 1}'),
        ("--port", "x"),
    ],
)
def test_a_wrong_option_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str]) -> None:
    assert exit_of(monkeypatch, *arguments).code == 2
