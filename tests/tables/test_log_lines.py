"""Texts of rows, such as names of fields and numbers, forge no log lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tables.databases import Db
from tests.tables.runs import load, write_run

FORGED = "x\n2026-11-30 ERROR \x1b[31mforged\r\u2028"
NUMBERS = [{"Id": "L1", "LoadNumber": FORGED}, {"Id": "L2", "LoadNumber": FORGED}]
FIELDS = [{"Id": "L1", FORGED: 1, **{f"Field{at}": 1 for at in range(9999)}}]


@pytest.mark.parametrize("rows", [NUMBERS, FIELDS], ids=["numbers", "fields"])
def test_a_row_forges_no_log_line(
    sqlite: Db, lake: Path, caplog: pytest.LogCaptureFixture, rows: list[dict[str, Any]]
) -> None:
    write_run(lake, rows)
    load(lake)
    about = [line for record in caplog.records if "forged" in (line := record.getMessage())]
    assert about
    for line in about:
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert len(line) < 5000
