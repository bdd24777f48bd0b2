"""The example that needs daemons: Alvys's changes start it."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_alvys.simulator.process import Simulator
from scripts.torture.daemons import Daemons
from scripts.torture.metadata import wait_until
from scripts.torture.rest import END_STATES

ON_CHANGES = "alvys_on_changed_loads"
DAGS = (ON_CHANGES,)
_WITHIN = 90.0


def play_examples(airflow: Daemons, alvys: Simulator) -> list[str]:
    """Run it, and return what was wrong."""
    wait_until(lambda: bool(alvys.stats()["requests"].get("POST loads/search")), "Its first look", seconds=_WITHIN)
    return _be_told(airflow, alvys)


def _be_told(airflow: Daemons, alvys: Simulator) -> list[str]:
    keys = alvys.truth_keys(filters={"IncludeDeleted": False, "Status": ["Covered"]})[:3]
    alvys.change(keys=keys, columns={"Status": "Delivered"})
    # Not what it waits for.
    others = [key for key in alvys.truth_keys(filters={"IncludeDeleted": False}) if key not in keys]
    alvys.change(keys=others[:3], columns={"Status": "Open"})
    runs = _finished(airflow, ON_CHANGES, least=1)
    reacted = sum(task["task_id"] == "react" for run in runs for task in airflow.api.tasks(ON_CHANGES, run))
    print(f"Three loads were delivered: {ON_CHANGES} has run, and reacted to {reacted}.", flush=True)
    return [] if reacted == len(keys) else [f"{ON_CHANGES} reacted to {reacted} loads of {len(keys)}"]


def _finished(airflow: Daemons, dag_id: str, *, least: int) -> list[str]:
    """Wait until so many runs of a DAG have ended well, and return them."""

    def ended() -> list[str]:
        runs = airflow.api.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        if failed := [run["dag_run_id"] for run in runs if run["state"] == "failed"]:
            raise RuntimeError(f"{dag_id} has failed: {', '.join(failed)}")
        done = [str(run["dag_run_id"]) for run in runs]
        return done if len(runs) >= least and all(run["state"] in END_STATES for run in runs) else []

    check: Callable[[], bool] = lambda: bool(ended())  # noqa: E731
    wait_until(check, f"The run of {dag_id}", seconds=_WITHIN)
    return ended()
