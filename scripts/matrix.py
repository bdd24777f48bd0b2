"""Test the built wheel with several versions of Airflow and Python. ``make matrix`` calls this."""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
# Environments, and a copy of the repository without the package, so that tests can only import the wheel.
WORK = ROOT / ".venv-matrix"
TREE = WORK / "tree"
REFUSED_AIRFLOW = "2.11.2"


@dataclass(frozen=True)
class Release:
    """
    A version of Airflow to test.

    :param pythons: the versions of Python that it allows, oldest first.
    :param is_final: False for a pre-release. It is tested with the newest versions of all packages, itself
        included, and its failure does not fail the matrix.
    """

    airflow: str
    pythons: tuple[str, ...]
    is_final: bool = True

    @property
    def requirements(self) -> list[str]:
        """What is installed in addition to the wheel."""
        if self.is_final:
            return [f"apache-airflow=={self.airflow}", "-c", f"constraints/airflow-{self.airflow}.txt"]
        # A version of its own allows pre-releases of a package.
        sdk = re.sub(r"^3", "1", self.airflow)
        core = (f"{name}>={self.airflow}" for name in ("apache-airflow", "apache-airflow-core"))
        return [*core, f"apache-airflow-task-sdk>={sdk}"]


RELEASES = (
    Release("3.1.8", ("3.10", "3.11", "3.12", "3.13")),
    Release("3.2.2", ("3.10", "3.11", "3.12", "3.13", "3.14")),
    Release("3.3.2", ("3.10", "3.11", "3.12", "3.13", "3.14")),
    Release("3.4.0b2", ("3.11", "3.12", "3.13", "3.14"), is_final=False),
)


@dataclass(frozen=True)
class Cell:
    """
    One combination to test.

    :param has_tests: whether to run the tests marked every_airflow, after scripts/try_wheel.py.
    """

    release: Release
    python: str
    has_tests: bool


@dataclass(frozen=True)
class Result:
    """What a cell has shown; a failed cell names its step."""

    airflow: str
    python: str
    ran: str
    outcome: str
    seconds: float
    is_blocking: bool = True

    @property
    def is_ok(self) -> bool:
        """Whether the matrix may succeed."""
        return self.outcome == "passed" or not self.is_blocking


class StepError(Exception):
    """A step of a cell has failed."""


def main() -> None:
    """Test the cells that the arguments choose, print a table, and exit with 1 if one has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, nargs="?", help="the wheel to test")
    parser.add_argument("--short", action="store_true", help="oldest Airflow, and a smoke test of the newest")
    parser.add_argument("--airflow", help="only this version of Airflow")
    parser.add_argument("--python", help="only this version of Python, and run the tests")
    parser.add_argument("--processes", default="2", help="of pytest")
    parser.add_argument(
        "--newest-python",
        action="store_true",
        help="only print the newest interpreter for the newest Airflow",
    )
    arguments = parser.parse_args()
    if arguments.newest_python:
        newest = [release for release in RELEASES if release.is_final][-1]
        print([found for version in newest.pythons if (found := find_python(version))][-1])
        return
    if not arguments.wheel:
        parser.error("give the wheel to test")

    _copy_tree()
    cells = _choose(arguments.short, arguments.airflow, arguments.python)
    # Builds meanwhile replace the original.
    wheel = Path(shutil.copy(arguments.wheel, TREE))
    results = [_run(cell, wheel, arguments.processes) for cell in cells]
    if arguments.airflow in (None, REFUSED_AIRFLOW):
        results.append(_check_refusal(wheel))
    if not results:
        parser.error("no version of Airflow and Python matches, or this machine has none of them")
    _print_table(results)
    sys.exit(0 if all(result.is_ok for result in results) else 1)


def _choose(short: bool, airflow: str | None, python: str | None) -> Iterator[Cell]:
    """Yield the oldest Python of each Airflow with all tests, and its newest with a smoke test."""
    if short:
        releases = [release for release in RELEASES if release.is_final]
        releases = [releases[0], releases[-1]]
    else:
        releases = [release for release in RELEASES if airflow in (None, release.airflow)]
    for release in releases:
        there = []
        for version in release.pythons:
            if python not in (None, version):
                continue
            if find_python(version):
                there.append(version)
            else:
                print(
                    f"SKIPPED: Airflow {release.airflow}, Python {version}: not on this machine", flush=True
                )
        is_tried_only = short and release is releases[-1]
        if there and not is_tried_only:
            yield Cell(release, there[0], has_tests=True)
        if (there and is_tried_only) or (there[1:] and not short):
            yield Cell(release, there[-1], has_tests=False)


@functools.cache
def find_python(version: str) -> str | None:
    """Return the path of an interpreter, also of one that pyenv has but does not activate; None without."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [*map(str, sorted(pyenv.glob("versions/*/bin"))), os.environ["PATH"]]
    command = [str(UV), "python", "find", "--system", "--no-python-downloads", version]
    environment = {**os.environ, "PATH": os.pathsep.join(path)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def _copy_tree() -> None:
    """Copy the repository without the package and without hidden folders, environments among them."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(ROOT, TREE, ignore=shutil.ignore_patterns(".*", "airflow_provider_alvys", "dist"))


def _run(cell: Cell, wheel: Path, processes: str) -> Result:
    began = time.monotonic()
    version, ran, outcome = cell.release.airflow, "smoke", "passed"
    print(f"== Airflow {version}, Python {cell.python}", flush=True)
    environment = WORK / f"{version}-{cell.python}"
    python = environment / "bin" / "python"
    create = (UV, "venv", "--quiet", "--clear", "--python", find_python(cell.python), environment)
    install = (UV, "pip", "install", "--quiet", "--python", python, *cell.release.requirements, wheel)
    test = (python, "-m", "pytest", "-m", "every_airflow", "--numprocesses", processes, "--dist", "worksteal")
    try:
        _step("environment", *create)
        # The wheel alone first: a package that only the tests ask for is not there.
        _step("installation", *install)
        version = _installed_airflow(python)
        _step("wheel", python, "-I", TREE / "scripts" / "try_wheel.py")
        if cell.has_tests:
            ran = "smoke, tests"
            _step("installation", *install, "--group", "test")
            _check_origin(python, environment)
            _step("tests", *test, folder=TREE)
    except StepError as error:
        outcome = f"FAILED: {error}"
    return Result(version, cell.python, ran, outcome, time.monotonic() - began, cell.release.is_final)


def _step(name: str, *command: object, folder: Path = ROOT) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if subprocess.run([str(part) for part in command], cwd=folder, env=environment).returncode:
        raise StepError(name)


def _installed_airflow(python: Path) -> str:
    code = "from importlib.metadata import version; print(version('apache-airflow'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _check_origin(python: Path, environment: Path) -> None:
    """Fail unless the tests, which run in the copied tree, import the package from the environment."""
    code = "import airflow_provider_alvys; print(airflow_provider_alvys.__file__)"
    answer = subprocess.run([python, "-c", code], cwd=TREE, capture_output=True, text=True, check=True)
    imported = Path(answer.stdout.strip())
    if not (imported.is_relative_to(environment) and "site-packages" in imported.parts):
        raise StepError(f"the package is imported from {imported}, not from the wheel")


def _check_refusal(wheel: Path) -> Result:
    """Check that pip refuses Airflow 2, and names what the wheel needs."""
    began = time.monotonic()
    command = [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--disable-pip-version-check"),
        *("--python-version", "3.10", "--only-binary=:all:", "--target", str(WORK / "refused")),
        *(str(wheel), f"apache-airflow=={REFUSED_AIRFLOW}"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True)
    is_refused = answer.returncode != 0 and re.search(
        r"airflow-provider-alvys \S+ depends on apache-airflow\S* and >=3\.1", answer.stdout + answer.stderr
    )
    outcome = "passed" if is_refused else f"FAILED: {answer.stdout[-2000:]}{answer.stderr[-2000:]}"
    return Result(REFUSED_AIRFLOW, "3.10", "refused by pip", outcome, time.monotonic() - began)


def _print_table(results: list[Result]) -> None:
    print(f"\n{'Airflow':<10}{'Python':<8}{'ran':<16}{'seconds':>8}  outcome")
    for result in results:
        note = "" if result.is_blocking else " (does not decide)"
        columns = f"{result.airflow:<10}{result.python:<8}{result.ran:<16}{result.seconds:>8.0f}"
        print(f"{columns}  {result.outcome}{note}")


if __name__ == "__main__":
    main()
