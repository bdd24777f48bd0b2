"""Each case of docs/runbook.md and docs/trust.md is played, and ends where the page says."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from scripts.runbook.cases import CASES
from scripts.runbook.night import Night, begin
from scripts.runbook.page import Section, split_page
from tests.conftest import ROOT
from tests.lake import manifests, read_lines, read_manifest

# Pages whose code blocks the cases run: docs/runbook.md and docs/trust.md.
PLAYED = [
    pytest.param(page, title, id=case.__name__)
    for page, cases in CASES.items()
    for title, case in cases.items()
]


def sections(page: str) -> dict[str, Section]:
    return {section.title: section for section in split_page((ROOT / "docs" / page).read_text())}


@pytest.mark.parametrize("page", CASES)
def test_each_section_with_code_has_a_case(page: str) -> None:
    with_code = [title for title, section in sections(page).items() if "```" in section.text]
    assert with_code == list(CASES[page])


@pytest.mark.parametrize(("page", "title"), PLAYED)
def test_a_case_ends_where_the_page_says(page: str, title: str, simulator: Simulator, tmp_path: Path) -> None:
    section = sections(page)[title]
    with begin(simulator, tmp_path, section) as night:
        CASES[page][title](night)
        assert section.played() == section.text, "run make docs"
        check_complete(night)


def test_the_runbook_quotes_the_status_page() -> None:
    judge = (ROOT / "airflow_provider_alvys" / "status_page" / "files" / "judge.js").read_text()
    titles = set(re.findall(r'title: "([^"]+)"', judge))
    text = " ".join((ROOT / "docs" / "runbook.md").read_text().split())
    quoted = re.findall(r'status page\]\(status-page.md\) (?:says|notices [^"]+:) "([^"]+)"', text)
    assert titles - {"Never complete"} == set(quoted)
    named = set(re.findall(r'page: "runbook.html#([\w-]+)"', judge))
    assert named <= {title.lower().replace(" ", "-") for title in CASES["runbook.md"]}


@pytest.mark.parametrize("page", CASES)
def test_no_step_touches_more_than_what_went_wrong(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    statements = re.findall(r"(?:UPDATE|DELETE FROM) .*?(?=```)", text, re.DOTALL)
    commands = re.findall(r"airflow tasks clear .*", text)
    assert statements + commands
    assert all("WHERE" in statement for statement in statements)
    assert all("--start-date" in command for command in commands)


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
