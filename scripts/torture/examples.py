"""The examples that need more than one task process: one that Alvys's changes start, and one that waits for a person."""

from __future__ import annotations

import json
from collections.abc import Callable

from airflow_provider_alvys.simulator.process import Simulator
from scripts.torture.crowds import RUN
from scripts.torture.daemons import Daemons
from scripts.torture.metadata import wait_until
from scripts.torture.rest import END_STATES

ON_CHANGES = "alvys_on_changed_loads"
ON_APPROVAL = "alvys_block_carriers"
DAGS = (ON_CHANGES, ON_APPROVAL)
_WITHIN = 90.0
_ASKING = ("awaiting_input", "deferred")
_EXPIRED, _BLOCKED = "Expired Insurance", "Do Not Load"


def play_examples(airflow: Daemons, alvys: Simulator) -> list[str]:
    """Run them, and return what was wrong."""
    wait_until(lambda: bool(alvys.stats()["requests"].get("POST loads/search")), "Its first look", seconds=_WITHIN)
    return _be_told(airflow, alvys) + _ask(airflow, alvys)


def _be_told(airflow: Daemons, alvys: Simulator) -> list[str]:
    keys = alvys.truth_keys(filters={"IncludeDeleted": False, "Status": ["Covered"]})[:3]
    alvys.change(keys=keys, columns={"Status": "Delivered"})
    # Not what it waits for.
    alvys.change(rows=3, columns={"Status": "Open"})
    runs = _finished(airflow, ON_CHANGES, least=1)
    reacted = sum(task["task_id"] == "react" for run in runs for task in airflow.api.tasks(ON_CHANGES, run))
    print(f"Three loads were delivered: {ON_CHANGES} has run, and reacted to {reacted}.", flush=True)
    return [] if reacted == len(keys) else [f"{ON_CHANGES} reacted to {reacted} loads of {len(keys)}"]


def _ask(airflow: Daemons, alvys: Simulator) -> list[str]:
    api = airflow.api
    carriers = alvys.change(stream="carriers", rows=3, columns={"Status": _EXPIRED})
    api.trigger(ON_APPROVAL, RUN)

    problems: list[str] = []

    def is_done() -> bool:
        runs = [str(run["dag_run_id"]) for run in api.call("GET", f"dags/{ON_APPROVAL}/dagRuns")["dag_runs"]]
        for run in runs:
            asks = [task for task in api.tasks(ON_APPROVAL, run) if task["task_id"] == "approve" and task["state"] in _ASKING]
            if asks and run == RUN and _blocked(alvys, carriers):
                problems.append("Carriers were blocked before a person had agreed")
            for _ in asks:
                # The scheduler has made a run of its own, for last week, and only one runs at a time.
                answer = {"chosen_options": ["Approve" if run == RUN else "Reject"], "params_input": {}}
                api.call("PATCH", f"dags/{ON_APPROVAL}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails", json=answer)
        return api.run_state(ON_APPROVAL, RUN) in END_STATES

    wait_until(is_done, f"The end of {ON_APPROVAL}", seconds=_WITHIN)
    blocked = _blocked(alvys, carriers)
    print(f"A person has agreed: {ON_APPROVAL} is {api.run_state(ON_APPROVAL, RUN)}, {blocked} carriers are blocked.", flush=True)
    return problems + ([] if blocked == len(carriers) else [f"{blocked} carriers of {len(carriers)} were blocked"])


def _blocked(alvys: Simulator, keys: list[str]) -> int:
    rows = [json.loads(row) for row in alvys.truth_rows(stream="carriers")]
    return sum(row["Id"] in keys and row.get("Status") == _BLOCKED for row in rows)


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
