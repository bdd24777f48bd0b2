"""The results in the log, as a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.checks.results import SEVERITY, Check, Report

log = logging.getLogger(__name__)

_HEADER = ("check", "scope", "expected", "actual", "difference", "verdict")
_MAX_ROWS = 200
_MAX_WIDTH = 48


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
    for line in render(shown[:_MAX_ROWS]):
        log.info("%s", line)
    if len(shown) > _MAX_ROWS:
        log.info("%s more", counted(len(shown) - _MAX_ROWS, "checks"))


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
