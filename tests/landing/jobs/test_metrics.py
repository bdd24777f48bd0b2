"""The metrics of a sync, through Airflow's own."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_provider_alvys import _compat
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, SkippingClock

pytestmark = pytest.mark.every_airflow


class Recorder:
    """Takes the place of Airflow's metrics."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.tags: list[dict[str, str]] = []

    def incr(self, stat: str, count: int, *, tags: dict[str, str]) -> None:
        assert isinstance(count, int)
        self.gauge(stat, count, tags=tags)

    def gauge(self, stat: str, value: float, *, tags: dict[str, str]) -> None:
        assert stat not in self.values
        self.values[stat] = value
        self.tags.append(tags)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(_compat, "get_stats", lambda: recorder)
    return recorder


def test_a_sync_emits_its_metrics(
    alvys: Simulator, land: Land, clock: SkippingClock, recorder: Recorder
) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 429, "endpoint": "POST loads/search", "retry_after": "30", "times": 1}
    )
    result = land(tenant="acme")
    age = recorder.values.pop("alvys.sync.age_seconds")
    assert recorder.values == {
        "alvys.sync.rows": result["rows"],
        "alvys.sync.requests": result["requests"],
        "alvys.sync.waited_seconds": round(sum(clock.sleeps)),
        "alvys.sync.rate_limited": 1,
    }
    # The window ends a minute before the start, and the wait follows.
    assert 60 + 30 <= age < 60 + 40
    assert recorder.tags == [{"stream": "loads", "tenant": "acme"}] * 5


def test_a_sync_without_a_wait_emits_zeros(land: Land, recorder: Recorder) -> None:
    land(stream="customers", initial_since=None)
    assert {recorder.values[f"alvys.sync.{name}"] for name in ("rate_limited", "waited_seconds")} == {0}


def test_they_go_where_those_of_airflow_about_the_task_go() -> None:
    theirs: Any = getattr(task_runner, "Stats", None) or task_runner.stats
    ours = _compat.get_stats()
    assert (ours.incr, ours.gauge) == (theirs.incr, theirs.gauge)
    # Airflow has no backend here, so this is discarded; a value or tag that it cannot send is no error.
    ours.incr("alvys.sync.rows", 0, tags={"stream": "loads", "tenant": "a,b=c"})
