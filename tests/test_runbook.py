"""Each case of docs/runbook.md is played, and ends where the page says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from scripts.runbook.cases import CASES
from scripts.runbook.night import Night, begin
from scripts.runbook.page import split_page
from tests.conftest import ROOT
from tests.lake import manifests, read_lines, read_manifest

PAGE = ROOT / "docs" / "runbook.md"
SECTIONS = split_page(PAGE.read_text())[1:]


def test_each_section_has_a_case() -> None:
    assert [section.title.replace(" ", "_").lower() for section in SECTIONS] == [
        case.__name__ for case in CASES
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_case_ends_where_the_page_says(
    case: Callable[[Night], None], simulator: Simulator, tmp_path: Path
) -> None:
    section = split_page(PAGE.read_text())[1:][CASES.index(case)]
    with begin(simulator, tmp_path, section) as night:
        case(night)
        assert section.played() == section.text, "run make docs"
        check_complete(night)


def check_complete(night: Night) -> None:
    """Compare tables and files with Alvys: nothing is missing, repeated or old."""
    for stream in {read_manifest(path)["stream"] for path in manifests(night.path)}:
        truth = {json.loads(row)["Id"]: row for row in night.alvys.truth_rows(stream=stream)}
        newest: dict[str, tuple[str, bytes]] = {}
        for path in manifests(night.path):
            manifest = read_manifest(path)
            lines = read_lines(path) if manifest["stream"] == stream else []
            rows = {json.loads(line)["Id"]: line for line in lines}
            assert len(rows) == len(lines), "repeated rows"
            for key, line in rows.items():
                newest[key] = max(newest.get(key, ("", b"")), (manifest["read_from"], line))
        assert {key: line for key, (_, line) in newest.items()} == truth
        with closing(sqlite3.connect(night.warehouse)) as database:
            stored = database.execute(f'SELECT id, status, _missing_since FROM "{stream}"').fetchall()
        assert {key: status for key, status, missing in stored if missing is None} == {
            key: json.loads(row)["Status"] for key, row in truth.items()
        }
