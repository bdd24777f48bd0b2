"""Check what is published: version, contents, metadata, licences, workflows (``make release-check``)."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_alvys"
CONSTRAINTS = "constraints/airflow-3.3.2.txt"
CONTENTS = ROOT / "scripts" / "wheel_contents.txt"
BIN = ROOT / ".venv" / "bin"
ENVIRONMENT = ROOT / ".venv-release"
# Parts of the names of licences that need nothing but a notice, or only bind the package itself.
LICENCES = (
    "Apache;Artistic;BSD;ISC;MIT;Mozilla Public License 2.0;MPL-2.0;PSF;Python Software Foundation;Unlicense"
)
FORMS = ".github/ISSUE_TEMPLATE"


class CheckError(Exception):
    """What is built must not be published."""


@dataclass(frozen=True)
class Built:
    """The files of a version."""

    wheel: Path
    sdist: Path

    @classmethod
    def find(cls, folder: Path) -> Built:
        """Find the one wheel and the one sdist of a folder."""
        (wheel,) = folder.glob("*.whl")
        (sdist,) = folder.glob("*.tar.gz")
        return cls(wheel, sdist)

    def wheel_names(self) -> list[str]:
        """Return the wheel's files, with a placeholder for the version."""
        with ZipFile(self.wheel) as wheel:
            return sorted(
                re.sub(rf"^{PACKAGE}-[^/]+", f"{PACKAGE}-VERSION", name) for name in wheel.namelist()
            )

    def read(self, name: str) -> bytes:
        """Return a file of the wheel's ``.dist-info``."""
        with ZipFile(self.wheel) as wheel:
            (path,) = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
            return wheel.read(path)

    @property
    def metadata(self) -> Message:
        """The wheel's metadata; its body is the description."""
        return BytesParser().parsebytes(self.read("METADATA"))


def main() -> None:
    """Run all checks, and exit with 1 after the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel and the sdist are")
    parser.add_argument("--tag", help="the tag to publish; without one, changes may be unreleased")
    parser.add_argument("--audit", choices=["if-reachable", "required"], default="if-reachable")
    parser.add_argument(
        "--write-contents", action="store_true", help="write the list of the wheel's files anew"
    )
    arguments = parser.parse_args()
    built = Built.find(arguments.folder)
    if arguments.write_contents:
        CONTENTS.write_text("".join(f"{name}\n" for name in built.wheel_names()))
        return
    try:
        for done in _check(built, arguments.tag, arguments.audit == "required"):
            print(done if done.startswith("SKIPPED") else f"ok: {done}", flush=True)
    except CheckError as error:
        sys.exit(f"FAILED: {error}")


def _check(built: Built, tag: str | None, needs_audit: bool) -> Iterator[str]:
    version = str(built.metadata["Version"])
    check_version(version, (ROOT / "CHANGELOG.md").read_text(), tag)
    yield f"version {version} is in CHANGELOG.md" + (f" and is the tag {tag}" if tag else "")
    _check_workflows()
    yield "workflows and forms of .github"
    _run("twine", "check", "--strict", built.wheel, built.sdist)
    _run("check-wheel-contents", "--package", PACKAGE, built.wheel)
    _check_contents(built)
    yield "contents of the wheel and the sdist"
    _check_metadata(built.metadata)
    yield "addresses, and links of the description"
    _check_sbom(json.loads(built.read(f"sboms/{PACKAGE.replace('_', '-')}.cdx.json")), built.metadata)
    yield "bill of materials"
    _check_reproducible(built)
    yield "sdist and wheel are the same, byte by byte, when they are built elsewhere"
    python = _install(built.wheel)
    _run(python, "-I", "scripts/try_wheel.py")
    yield "works in an empty environment"
    _run("pip-licenses", "--python", python, "--partial-match", "--allow-only", LICENCES, silent=True)
    yield "licences of all that is installed with it"
    yield _audit(python, needs_audit)


def check_version(version: str, changelog: str, tag: str | None) -> None:
    """
    Check that the changelog's first version is this one, with its date.

    :param tag: what is to be published. None: changes under "Unreleased" may precede the version.
    :raises CheckError: if not.
    """
    sections = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    if tag is None and sections[:1] == ["[Unreleased]"]:
        sections = sections[1:]
    if not re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", next(iter(sections), "")):
        raise CheckError(
            f"__version__ is {version}, and CHANGELOG.md does not begin with '## [{version}] - <date>'. "
            + ("Name the version and date in place of Unreleased." if tag else "Set one of them.")
        )
    if tag not in (None, f"v{version}"):
        raise CheckError(
            f"the tag is {tag}, and the version is {version}: tag v{version}, or set __version__"
        )


def _check_workflows() -> None:
    schemas = {
        "github-workflows": [*(ROOT / ".github" / "workflows").glob("*.yml")],
        "dependabot": [ROOT / ".github" / "dependabot.yml"],
        "github-issue-config": [ROOT / FORMS / "config.yml"],
        "github-issue-forms": [file for file in (ROOT / FORMS).glob("*.yml") if file.stem != "config"],
    }
    for schema, files in schemas.items():
        _run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files, silent=True)
    _run("zizmor", "--offline", "--quiet", "--strict-collection", "--persona", "pedantic", ".github")


def _check_contents(built: Built) -> None:
    names, listed = built.wheel_names(), CONTENTS.read_text().splitlines()
    if names != listed:
        new, missing = sorted(set(names) - set(listed)), sorted(set(listed) - set(names))
        raise CheckError(
            f"the wheel has other files than {CONTENTS.relative_to(ROOT)}. New: {new}. Missing: {missing}. "
            "If that is intended: make release-contents"
        )
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = {
        *subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    }
    with tarfile.open(built.sdist) as sdist:
        packed = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    if stray := packed - known - {"PKG-INFO"}:
        raise CheckError(f"the sdist has files that are not in the repository: {sorted(stray)}")


def _check_metadata(metadata: Message) -> None:
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL", []))
    if not {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= urls.keys():
        raise CheckError(f"an address is missing in [project.urls]: {urls}")
    for link in re.findall(r"\]\(([^)\s]+)\)", str(metadata.get_payload())):
        if not link.startswith(("#", "https://", "http://")):
            raise CheckError(
                f"the description links to {link}, which is nowhere on the page of a package index"
            )


def _check_sbom(sbom: dict[str, object], metadata: Message) -> None:
    # Only this check needs more than the tests have on every Airflow.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = json.dumps(sbom)
    if problem := JsonStrictValidator(SchemaVersion.from_version(str(sbom["specVersion"]))).validate_str(
        text
    ):
        raise CheckError(f"the bill of materials is not valid: {problem}")
    components = sbom["components"]
    assert isinstance(components, list)
    named = {component["name"] for component in components}
    needed = {re.split(r"[\s;<>=!\[~]", text)[0] for text in metadata.get_all("Requires-Dist", [])}
    if named != needed - {metadata["Name"]}:
        raise CheckError(f"the bill of materials names {named}, and the metadata {needed}")


def _check_reproducible(built: Built) -> None:
    """Build again in another folder, with another mask, time zone and file times, and compare."""
    files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "copy")
        for name in subprocess.run(files, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
            "\0"
        ):
            if name and (ROOT / name).exists():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, copy / name)
        command = (
            "uv",
            "build",
            "--quiet",
            "--build-constraint",
            CONSTRAINTS,
            "--out-dir",
            f"{temporary}/dist",
        )
        epoch = subprocess.run(
            ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        environment = {"SOURCE_DATE_EPOCH": epoch.stdout.strip(), "TZ": "Asia/Kolkata"}
        old_mask = os.umask(0o077)
        try:
            _run(*command, folder=copy, environment=environment)
        finally:
            os.umask(old_mask)
        again = Built.find(Path(temporary, "dist"))
        for first, second in ((built.sdist, again.sdist), (built.wheel, again.wheel)):
            if first.name != second.name or first.read_bytes() != second.read_bytes():
                raise CheckError(f"{first.name} differs when it is built in another folder")


def _install(wheel: Path) -> Path:
    """Install the wheel, and Airflow, into an empty environment."""
    _run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT)
    python = ENVIRONMENT / "bin" / "python"
    _run("uv", "pip", "install", "--quiet", "--python", python, "-c", CONSTRAINTS, wheel)
    _run("uv", "pip", "check", "--python", python, silent=True)
    return python


def _audit(python: Path, is_required: bool) -> str:
    """Ask for known vulnerabilities of all that is installed; not every registry can answer."""
    freeze = [
        str(BIN / "uv"),
        "pip",
        "freeze",
        "--python",
        str(python),
        "--exclude",
        PACKAGE.replace("_", "-"),
    ]
    installed = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(installed)
        command = [
            str(BIN / "pip-audit"),
            "--no-deps",
            "--disable-pip",
            "--format",
            "json",
            "--progress-spinner",
            "off",
        ]
        audit = subprocess.run([*command, "--requirement", str(requirements)], capture_output=True, text=True)
    packages = json.loads(audit.stdout)["dependencies"] if audit.stdout else []
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        if is_required:
            raise CheckError(f"no vulnerability service was reached: {audit.stderr[-500:]}")
        return "SKIPPED: known vulnerabilities, because no vulnerability service can be reached from here"
    vulnerable = {package["name"]: package["vulns"] for package in packages if package.get("vulns")}
    if vulnerable or unknown:
        raise CheckError(
            f"known vulnerabilities: {json.dumps(vulnerable)[:3000]}; not known there: {unknown}"
        )
    return "no known vulnerabilities"


def _run(
    *command: object, folder: Path = ROOT, silent: bool = False, environment: dict[str, str] | None = None
) -> None:
    program = BIN / str(command[0]) if isinstance(command[0], str) else command[0]
    parts = [str(part) for part in (program, *command[1:])]
    answer = subprocess.run(
        parts, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=silent, text=True
    )
    if answer.returncode:
        details = f"\n{answer.stdout}{answer.stderr}" if silent else ""
        raise CheckError(f"{' '.join(parts[:4])} ...{details}")


if __name__ == "__main__":
    main()
