"""The site of the docs: what its build refuses. ``make docs-site`` builds and checks the pages themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.check_site import PUBLIC_MODULES, find_problems, public_names
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the site's tools need Python 3.11"),
]

INDEX = """\
# Title

## A heading

[other](other.md) [heading](other.md#whats-there) [here](#a-heading)

```{toctree}
:glob:

*
```
"""
OTHER = "# Other\n\n## What's there\n"
MISTAKES = [
    "[gone](gone.md)",
    "[gone](other.md#gone)",
    "[gone](#gone)",
    "[gone](../scripts/gone.py)",
    "![gone](gone.svg)",
    "```{include} ../gone.md\n```",
    "```{toctree}\ngone\n```",
    "```{eval-rst}\n.. autoclass:: airflow_provider_alvys.Alvysgone\n```",
    "```{eval-rst}\nSee :class:`airflow_provider_alvys.Alvysgone`.\n```",
]


def build(folder: Path, pages: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build the pages with the configuration and the options of `make docs-site`."""
    source = folder / "docs"
    source.mkdir()
    for name, text in pages.items():
        (source / name).write_text(text)
    (options,) = [
        line.partition("-m sphinx ")[2].split("--doctree-dir")[0]
        for line in (ROOT / "Makefile").read_text().replace("\\\n", "").splitlines()
        if "-m sphinx " in line
    ]
    command = [sys.executable, "-m", "sphinx", *options.split(), "--conf-dir", str(ROOT / "docs")]
    return subprocess.run(
        [*command, str(source), str(folder / "site")], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_pages_with_links_and_anchors_become_a_site_that_needs_no_other_host(tmp_path: Path) -> None:
    done = build(tmp_path, {"index.md": INDEX, "other.md": OTHER})
    assert (done.returncode, done.stderr) == (0, "")
    assert find_problems(tmp_path / "site") == []
    assert 'id="whats-there"' in (tmp_path / "site" / "other.html").read_text()


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A build of pages with one mistake each, and of one that the navigation does not name."""
    index = INDEX.replace("*", "mistake*\nother")
    pages = {
        f"mistake{number}.md": "# Page\n\n" + text.replace("gone", f"gone{number}") + "\n"
        for number, text in enumerate(MISTAKES)
    }
    return build(
        tmp_path_factory.mktemp("mistakes"),
        {"index.md": index, "other.md": OTHER, "lost.md": "# Lost\n", **pages},
    )


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=lambda number: MISTAKES[number])
def test_a_broken_link_fails_the_build(number: int, mistaken: subprocess.CompletedProcess[str]) -> None:
    assert mistaken.returncode != 0
    assert re.search(f"gone{number}\\b", mistaken.stderr)


def test_a_page_outside_of_the_navigation_fails_the_build(mistaken: subprocess.CompletedProcess[str]) -> None:
    assert mistaken.returncode != 0
    assert "lost.md: WARNING: document isn't included in any toctree" in mistaken.stderr


def test_the_check_names_lost_pages_and_files_of_other_hosts(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="a.html#x">a</a><a href="https://example.com">far</a>')
    (tmp_path / "a.html").write_text('<script src="https://example.com/a.js"></script><img src="a.svg">')
    (tmp_path / "lost.html").write_text('<link rel="stylesheet" href="//example.com/a.css">')
    (tmp_path / "a.css").write_text(
        'a { background: url("data:image/png,"); src: url(https://example.com/f) }'
    )
    assert sorted(find_problems(tmp_path)) == [
        "a.css: loads https://example.com/f from another host",
        "a.html: loads https://example.com/a.js from another host",
        "lost.html: loads //example.com/a.css from another host",
        "lost.html: the navigation does not lead to it",
    ]


def test_the_reference_needs_every_public_name() -> None:
    names = public_names()
    assert "airflow_provider_alvys.AlvysHook" in names
    assert "airflow_provider_alvys.hooks.alvys.AlvysHook" not in names, "once, at its shortest address"
    assert "airflow_provider_alvys.api.errors.AlvysIncompleteError" in names
    assert {name.rpartition(".")[0] for name in names} <= {
        "airflow_provider_alvys",
        *(f"airflow_provider_alvys.{module}" for module in PUBLIC_MODULES),
    }
