from __future__ import annotations

import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.check_release import CheckError, check_version
from scripts.matrix import REFUSED_AIRFLOW, RELEASES, find_python
from tests.conftest import ROOT

RELEASED = "# Changelog\n\n## [1.2.0] - 2027-01-31\n\n## [1.1.0] - 2026-11-30\n"
UNRELEASED = RELEASED.replace("## [1.2.0]", "## [Unreleased]\n\n### Added\n\n## [1.2.0]")


@pytest.mark.parametrize(
    ("version", "changelog", "tag"),
    [("1.2.0", RELEASED, "v1.2.0"), ("1.2.0", RELEASED, None), ("1.2.0", UNRELEASED, None)],
)
def test_a_named_version_may_be_released_and_changes_after_it_developed(
    version: str, changelog: str, tag: str | None
) -> None:
    check_version(version, changelog, tag)


@pytest.mark.parametrize(
    ("version", "changelog", "tag"),
    [
        pytest.param("1.2.0", UNRELEASED, "v1.2.0", id="unreleased changes"),
        pytest.param("1.2.0", RELEASED, "v1.3.0", id="another tag"),
        pytest.param("1.2.0", RELEASED, "1.2.0", id="a tag without v"),
        pytest.param("1.3.0", RELEASED, "v1.3.0", id="a version that is not named"),
        pytest.param("1.3.0", UNRELEASED, None, id="a version that is not named, without a tag"),
        pytest.param("1.1.0", RELEASED, None, id="an older version"),
        pytest.param("1.2.0", RELEASED.replace(" - 2027-01-31", ""), "v1.2.0", id="no date"),
        pytest.param("1.2.0", "# Changelog\n", None, id="an empty changelog"),
    ],
)
def test_a_version_that_the_changelog_does_not_begin_with_is_refused(
    version: str, changelog: str, tag: str | None
) -> None:
    with pytest.raises(CheckError):
        check_version(version, changelog, tag)


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return loaded


def test_the_workflow_tests_the_oldest_and_the_newest_python_of_each_airflow() -> None:
    matrix = workflow("ci.yml")["jobs"]["matrix"]["strategy"]["matrix"]
    pairs = set(product(matrix["airflow"], matrix["python"]))
    pairs -= {(pair["airflow"], pair["python"]) for pair in matrix["exclude"]}
    pairs |= {(pair["airflow"], pair["python"]) for pair in matrix["include"]}
    ends = {
        (release.airflow, python)
        for release in RELEASES
        for python in (release.pythons[0], release.pythons[-1])
    }
    assert {pair for pair in pairs if pair[0] != REFUSED_AIRFLOW} == ends
    assert REFUSED_AIRFLOW in {airflow for airflow, _ in pairs}


def test_only_the_pre_release_may_fail_in_the_workflow() -> None:
    (pre_release,) = [release.airflow for release in RELEASES if not release.is_final]
    rule = workflow("ci.yml")["jobs"]["matrix"]["continue-on-error"]
    assert rule == f"${{{{ matrix.airflow == '{pre_release}' }}}}"


def test_the_workflows_run_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):.*## ", makefile, re.MULTILINE))
    used = " ".join(workflow("ci.yml")["jobs"]["make"]["strategy"]["matrix"]["target"])
    steps = [
        step["run"]
        for name in ("ci.yml", "publish.yml")
        for job in workflow(name)["jobs"].values()
        for step in job["steps"]
        if step.get("run", "").startswith("make ")
    ]
    assert steps
    words = " ".join([used, *(step.removeprefix("make ") for step in steps)]).split()
    assert {word for word in words if "=" not in word} <= targets


def test_actions_are_pinned_by_commit() -> None:
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: (.*)", file.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_each_released_airflow_has_its_constraints() -> None:
    for release in RELEASES:
        file = ROOT / "constraints" / f"airflow-{release.airflow}.txt"
        assert file.exists() == release.is_final
        if release.is_final:
            assert f"\napache-airflow=={release.airflow}\n" in file.read_text()


def test_a_missing_python_is_not_found() -> None:
    assert find_python("3.99") is None


def test_this_python_is_found() -> None:
    found = find_python(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert found is not None
    assert Path(found).exists()
