"""README and the pages of docs: their code blocks, commands and anchors."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

# Scripts and the pages that they write.
GENERATED = dict(
    reversed(pair)
    for pair in re.findall(r"-m scripts\.(\w+) docs/(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a page says once for all of its blocks.
_ALL_CHECKED = re.compile(r"^<!-- all checked by: (\S+) -->$", re.MULTILINE)
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<how>from|checked by): (?P<where>\S+) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """
    A code block of a page.

    :param source: the file that it is quoted from, named by ``<!-- from: dags_examples/x.py -->`` on the line
        before.
    :param checked_by: the test that reads it, named by ``<!-- checked by: tests/test_x.py::test_y -->``, or
        for all blocks of a page by ``<!-- all checked by: tests/test_x.py::test_y -->``.
    """

    page: Path
    number: int
    language: str
    text: str
    source: str | None
    checked_by: str | None

    @property
    def id(self) -> str:
        """Where the block is."""
        return f"{self.page.relative_to(ROOT)}-{self.number}"


def parse_blocks(page: Path, text: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    all_checked = _ALL_CHECKED.search(text)
    return [
        Block(
            page,
            number,
            found["language"],
            textwrap.dedent(found["text"]),
            found["where"] if found["how"] == "from" else None,
            found["where"] if found["how"] == "checked by" else all_checked and all_checked[1],
        )
        for number, found in enumerate(_BLOCK.finditer(text))
    ]


BLOCKS = [block for page in PAGES for block in parse_blocks(page, page.read_text())]


def blocks_to_run(language: str) -> list[pytest.ParameterSet]:
    """Return the blocks of a language that are neither quoted nor read by a test of their own."""
    return [
        pytest.param(block.text, id=block.id)
        for block in BLOCKS
        if block.language == language and not block.source and not block.checked_by
    ]


def block_params(*, checked_by: str | None = None) -> list[pytest.ParameterSet]:
    """Return the blocks as parameters: all, or those that name a test."""
    return [
        pytest.param(block, id=block.id)
        for block in BLOCKS
        if checked_by is None or block.checked_by == checked_by
    ]


def has_shape(real: Any, shown: Any) -> bool:
    """Return whether a value has every field that an example shows, with values of the same type."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(
            name in real and has_shape(real[name], value) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(real, list) and all(has_shape(item, shown[0]) for item in real if shown)
    return shown is None or type(real) is type(shown)


def parse_commands(script: str) -> list[str]:
    """Return the commands of a shell script, without comments; those over several lines as one."""
    lines = re.sub(r"\s*\\\n\s*", " ", script).splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and the site give a page's headings."""
    text = re.sub(
        r"^```\{include\} (\S+)\n```", lambda found: (page.parent / found[1]).read_text(), page.read_text()
    )
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def ci_steps() -> set[str]:
    """Return the make targets that .ci/run runs."""
    script = (ROOT / ".ci" / "run").read_text()
    return {*" ".join(re.findall(r"\brun(?:_each)? ([a-z][\w -]*)$", script, re.MULTILINE)).split()}
