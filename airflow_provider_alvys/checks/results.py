"""The results of checks, as the table, the file, the log and the XCom have them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.api.scrubbing import scrub

log = logging.getLogger(__name__)

Verdict = Literal["same", "differs", "moving", "unknown"]
# The worst first.
SEVERITY: tuple[Verdict, ...] = ("differs", "unknown", "moving", "same")
# In the result of a task.
_MAX_DIFFERENCES = 100
# In the log.
_HEADER = ("check", "scope", "expected", "actual", "difference", "verdict")
_MAX_LINES = 200
_MAX_WIDTH = 48
# In the figures for the status page.
_MAX_EXAMPLES = 5

Value = str | int | Decimal | None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """
    One comparison.

    :param check: ``presence``, ``content``, ``money``, ``control``, or the name of an identity.
    :param scope: what was compared, such as ``2026-03`` or ``row LD1``.
    :param expected: the value that is right: Alvys's, or that of the files, or what an identity demands.
    :param actual: the value found.
    :param difference: actual minus expected, for numbers.
    :param verdict: ``same``; ``differs``; ``moving`` if rows that changed since the last sync explain the
        difference; ``unknown`` if it could not be compared.
    """

    check: str
    scope: str
    expected: str | None
    actual: str | None
    difference: Decimal | None
    verdict: Verdict


def make_check(check: str, scope: str, expected: Value, actual: Value, verdict: Verdict) -> Check:
    """Return a check with the difference of two numbers."""
    difference = None
    if isinstance(expected, (int, Decimal)) and isinstance(actual, (int, Decimal)):
        difference = Decimal(actual) - Decimal(expected)
    texts = (None if value is None else _text(value) for value in (expected, actual))
    wanted, found = texts
    return Check(
        check=check, scope=scope, expected=wanted, actual=found, difference=difference, verdict=verdict
    )


def _text(value: Value) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


class Report(msgspec.Struct, kw_only=True):
    """
    The results of one run, and the content of a results file.

    :param run: identifies the task instance; a retry replaces its results.
    :param as_of: the time whose state the rows have, by the last complete sync; None if unknown.
    :param checked_at: when the comparison began.
    :param requests: number of requests to Alvys.
    :param repairs: arguments of the syncs that read again what differs.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    run: str
    dag_id: str
    task_id: str
    run_id: str
    as_of: datetime | None
    checked_at: datetime
    requests: int
    checks: list[Check]
    repairs: list[dict[str, Any]]

    @property
    def verdict(self) -> Verdict:
        """The verdict on all checks: the worst of them."""
        return worst([check.verdict for check in self.checks])

    @property
    def differences(self) -> list[Check]:
        """The checks that differ."""
        return [check for check in self.checks if check.verdict == "differs"]

    def summary(self) -> dict[str, Any]:
        """Return the result of the task."""
        differences = msgspec.to_builtins(self.differences[:_MAX_DIFFERENCES])
        return {
            "stream": self.stream,
            "tenant": self.tenant,
            "verdict": self.verdict,
            "as_of": format_time(self.as_of) if self.as_of else None,
            "requests": self.requests,
            "checks": len(self.checks),
            "differences": differences,
            "repairs": self.repairs,
        }

    def figures(self) -> dict[str, Any]:
        """Return the result in short, for the status page."""
        differences = self.differences
        return {
            "stream": self.stream,
            "tenant": self.tenant,
            "verdict": self.verdict,
            "as_of": format_time(self.as_of) if self.as_of else None,
            "checked_at": format_time(self.checked_at),
            "checks": len(self.checks),
            "differences": len(differences),
            "examples": [
                f"{check.check} {check.scope}: {check.actual} instead of {check.expected}"
                for check in differences[:_MAX_EXAMPLES]
            ],
        }


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that stands for several; ``unknown`` for none."""
    return min(verdicts, key=SEVERITY.index, default="unknown")


def log_report(report: Report) -> None:
    """Log the results: everything that is not the same, and how many checks are."""
    as_of = format_time(report.as_of) if report.as_of else "unknown"
    what = f"{report.stream} of {report.tenant}"
    log.info("Compared %s as of %s: requests=%d", what, as_of, report.requests)
    shown = [check for check in report.checks if check.verdict != "same"]
    # The limit hides the least important.
    shown.sort(key=lambda check: SEVERITY.index(check.verdict))
    same = len(report.checks) - len(shown)
    log.info("Result: %s, %s the same", counted(len(report.checks), "checks"), f"{same:,}")
    for line in render(shown[:_MAX_LINES]):
        log.info("%s", line)
    if len(shown) > _MAX_LINES:
        log.info("%s more", counted(len(shown) - _MAX_LINES, "checks"))


def render(checks: Sequence[Check]) -> list[str]:
    """Return the lines of a table; none without checks."""
    if not checks:
        return []
    rows = [_HEADER, *(tuple(_cell(getattr(check, name)) for name in _HEADER) for check in checks)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def _cell(value: object) -> str:
    text = "" if value is None else scrub(str(value), 2 * _MAX_WIDTH)
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"
