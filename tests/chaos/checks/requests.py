"""Count the requests that a simulator has received."""

from __future__ import annotations

from airflow_provider_alvys.simulator.process import Simulator


def count_searches(alvys: Simulator, stream: str) -> int:
    """Return the number of searches of a stream so far."""
    return int(alvys.stats()["requests"].get(f"POST {stream}/search", 0))
