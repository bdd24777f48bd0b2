from __future__ import annotations

import logging
from datetime import datetime, timezone

import pytest

from airflow_provider_alvys.checks.results import Report, Verdict, log_report, make_check


def make_report(*verdicts: Verdict) -> Report:
    now = datetime.now(timezone.utc)
    checks = [make_check("presence", f"row {n}", n, n, verdict) for n, verdict in enumerate(verdicts)]
    names = dict.fromkeys(("stream", "tenant", "run", "dag_id", "task_id", "run_id"), "loads")
    return Report(**names, as_of=now, checked_at=now, requests=1, checks=checks, repairs=[])


def test_many_rows_that_change_do_not_hide_one_that_differs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = make_report(*["moving"] * 300, "unknown", "differs", *["same"] * 5)
    log_report(report)
    shown = [text.split()[-1] for text in caplog.messages if text.startswith("presence")]
    assert (shown[:2], set(shown[2:])) == (["differs", "unknown"], {"moving"})
    assert len(shown) < 300
    assert report.verdict == "differs"
    assert make_report("same", "moving").verdict == "moving"
    assert make_report().verdict == "unknown"
