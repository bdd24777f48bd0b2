"""The lines of a wait."""

from __future__ import annotations

import pytest

from airflow_provider_alvys.api.poll.wait_log import WaitLog


@pytest.mark.parametrize(
    ("deadline", "until"),
    [(3600.0, " until 1970-01-01 01:00:00 UTC"), (1e12, ""), (float("inf"), "")],
)
def test_a_wait_may_end_after_the_last_date_or_never(deadline: float, until: str) -> None:
    line = WaitLog().line("Waiting", now=0.0, seconds=60, is_growing=False, deadline=deadline)
    assert line == f"Waiting. Polling every 60 s{until}"
