"""The example that needs daemons: Alvys's changes start it."""

from __future__ import annotations

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
    runs: list[str] = []

    def has_run() -> bool:
        found = airflow.api.call("GET", f"dags/{ON_CHANGES}/dagRuns")["dag_runs"]
        if failed := [run["dag_run_id"] for run in found if run["state"] == "failed"]:
            raise RuntimeError(f"{ON_CHANGES} has failed: {', '.join(failed)}")
        runs[:] = [str(run["dag_run_id"]) for run in found]
        return bool(runs) and all(run["state"] in END_STATES for run in found)

    wait_until(has_run, f"The run of {ON_CHANGES}", seconds=_WITHIN)
    reacted = sum(task["task_id"] == "react" for run in runs for task in airflow.api.tasks(ON_CHANGES, run))
    print(f"Three loads were delivered: {ON_CHANGES} has run, and reacted to {reacted}.", flush=True)
    return [] if reacted == len(keys) else [f"{ON_CHANGES} reacted to {reacted} loads of {len(keys)}"]
