"""Follow docs/start.md step by step, as a new user would, with a simulated Alvys."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SteadySimulator
from tests.forked_airflow import ForkedAirflow, home_settings
from tests.lake import manifests
from tests.pages import parse_blocks, parse_commands

BLOCKS = parse_blocks(ROOT / "docs" / "start.md", (ROOT / "docs" / "start.md").read_text())
COMMANDS = [command for block in BLOCKS if block.language == "bash" for command in parse_commands(block.text)]
LOADS = 120


@pytest.mark.slow
def test_the_start_page_leads_to_a_file_and_a_table(
    forked_airflow: ForkedAirflow, migrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dags").mkdir()
    shutil.copy(ROOT / "dags_examples" / "alvys_start.py", tmp_path / "dags")
    shutil.copy(migrated / "airflow.db", tmp_path)
    settings = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ALVYS_LAKE": f"{tmp_path}/alvys_start",
    }
    environment = {**os.environ, **home_settings(tmp_path), **settings}
    printed = ""
    # The page adds the connection of the simulator last, in place of the first one.
    (simulated,) = [command for command in COMMANDS if "--conn-host http://127.0.0.1:8099" in command]
    steps = [command for command in COMMANDS if "--conn-login my-client-id" not in command]
    steps.remove(simulated)
    steps.insert(2, simulated)
    with SteadySimulator(loads=LOADS) as alvys:
        for step in steps:
            if step.startswith(("pip install", "python -m airflow_provider_alvys.simulator")):
                continue  # tests/test_docs.py runs these.
            command = step.replace("http://127.0.0.1:8099", alvys.url).replace("/tmp/", f"{tmp_path}/")
            printed += f"\n> {command}\n" + run(forked_airflow, command, environment, tmp_path)
        keys = alvys.truth_keys()
    assert "Connection success!" in printed
    assert {"customers", "loads"} == {
        path.parent.parent.parent.name for path in manifests(tmp_path / "alvys_start")
    }
    assert str(tmp_path / "alvys_start" / "loads") in printed
    with sqlite3.connect(tmp_path / "warehouse.sqlite") as database:
        assert {row[0] for row in database.execute("SELECT id FROM loads")} == set(keys)
    (look,) = [block.text for block in BLOCKS if block.checked_by]
    exec(look.replace("/tmp/", f"{tmp_path}/"))
    assert len(re.findall(r"^\('8\d+', '[\w -]+', '2026-", capsys.readouterr().out, re.MULTILINE)) == 5


def run(forked: ForkedAirflow, command: str, environment: dict[str, str], folder: Path) -> str:
    """Run a command of the page and return what it prints; a fork runs those of Airflow, which is faster."""
    words = shlex.split(command)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment = {**environment, name: value}
    if words[0] != "airflow":
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    output = folder / "printed.log"
    code = forked.run(tuple(words[1:]), environment, output)
    assert code == 0, f"{command}\n{output.read_text()[-4000:]}"
    return output.read_text()
