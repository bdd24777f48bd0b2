from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.__main__ import main

Rows = list[dict[str, Any]]


@pytest.fixture
def run(lake: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Rows]:
    """Run a command on the data set, and return its rows."""

    def run(*arguments: str) -> Rows:
        capsys.readouterr()
        main([*arguments, "--path", str(lake), "-o", "json"])
        rows: Rows = json.loads(capsys.readouterr().out)
        return rows

    return run


@pytest.fixture
def refuse(lake: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command that fails, and return its exit code and what it says."""

    def refuse(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([*arguments, "--path", str(lake)])
        assert isinstance(exit.value.code, int)
        return exit.value.code, capsys.readouterr().err

    return refuse
