from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys.simulator.process import Simulator
from tests.checks.conftest import make_db, sqlite
from tests.checks.reconciled import sync, sync_and_load
from tests.pages import Block, block_params, parse_commands
from tests.tables.databases import Db

__all__ = ["make_db", "sqlite"]

CHECK = ("check", "--stream", "loads", "--tenant", "acme", "-o", "json")


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Return exit code, rows and notes."""
    capsys.readouterr()
    code: Any = 0
    try:
        main([*CHECK, *arguments])
    except SystemExit as exit:
        code = exit.code
    printed = capsys.readouterr()
    return code, json.loads(printed.out or "[]"), printed.err


def test_tables_are_compared_with_alvys(
    alvys: Simulator, sqlite: Db, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alvys.reset(loads=40, days=60)
    sync_and_load(lake)
    tables = ("--sql-conn-id", "sql")
    code, rows, said = check(capsys, *tables)
    assert (code, rows) == (0, [])
    assert "verdict same" in said
    sqlite.query("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 2)")
    code, rows, said = check(capsys, *tables, "--start", "2026-01-01T00:00:00Z", "--by", "year")
    assert code == 1
    assert [row["difference"] for row in rows if row["scope"] == "2026"] == ["-2"]
    assert {row["verdict"] for row in rows} == {"differs"}
    assert "To repair, sync with {" in said
    assert "_alvys_checks" not in sqlite.tables()


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/cli/test_check.py::test_the_command_of_the_docs_runs")
)
def test_the_command_of_the_docs_runs(
    alvys: Simulator, sqlite: Db, lake: Path, capsys: pytest.CaptureFixture[str], block: Block
) -> None:
    alvys.reset(loads=20, days=60)
    sync_and_load(lake, tenant="alvys_default")
    (command,) = parse_commands(block.text)
    python, module, name, *arguments = shlex.split(command.replace("warehouse", "sql"))
    assert (python, module, name) == ("python", "-m", "airflow_provider_alvys")
    main(arguments)
    assert "verdict same" in capsys.readouterr().err


def test_files_are_compared_with_alvys(
    alvys: Simulator, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alvys.reset(loads=40, days=60)
    result = sync(lake)
    assert check(capsys, "--path", str(lake))[:2] == (0, [])
    Path(result["manifest"]).unlink()
    sync(lake, since="2026-11-20T00:00:00Z", until="2026-11-21T00:00:00Z")
    code, rows, _ = check(capsys, "--path", str(lake))
    assert code == 1
    assert {row["check"] for row in rows} == {"presence"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--sql-conn-id"),
        (["--path", "lake"], "is relative"),
        (["--path", "/lake", "--stream", "laods"], "Did you mean loads?"),
        (["--path", "/lake", "--stream", "load_documents"], "reconcile loads"),
        (["--path", "/lake", "--statuses", "Delivred"], "Delivred"),
        (["--path", "/lake", "--start", "yesterday"], "start='yesterday'"),
        (["--path", "/lake", "--by", "fortnight"], "--by"),
        (["--path", "/lake", "--conn-id", "nobody"], "nobody"),
    ],
)
def test_a_wrong_argument_is_a_sentence(
    alvys: Simulator, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    code, rows, said = check(capsys, *arguments)
    assert (code, rows) == (2, [])
    assert says in said
    assert "Traceback" not in said
