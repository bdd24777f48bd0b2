"""The examples that need daemons: one that Alvys's changes start, and one that asks a person."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import wait_until
from tests.chaos.airflow.rest_api import END_STATES, AirflowApi
from tests.chaos.triggerer.sensor_crowd import RUN

ON_CHANGES = "alvys_on_changed_loads"
ON_APPROVAL = "alvys_block_carriers"
DAGS = (ON_CHANGES, ON_APPROVAL)
_WITHIN = 90.0
# Nobody answers sooner. A task that goes on before the scheduler has heard that its first process ended is taken for a dead one.
_THINKS = 3.0


def play_examples(airflow: Daemons, alvys: Simulator) -> list[str]:
    """Run them, and return what was wrong."""
    wait_until(
        lambda: bool(alvys.stats()["requests"].get("POST loads/search")), "Its first look", seconds=_WITHIN
    )
    return _be_told(airflow.api, alvys) + _ask(airflow.api, alvys)


def _be_told(api: AirflowApi, alvys: Simulator) -> list[str]:
    keys = alvys.truth_keys(filters={"IncludeDeleted": False, "Status": ["Covered"]})[:3]
    alvys.change(keys=keys, columns={"Status": "Delivered"})
    # Not what it waits for.
    others = [key for key in alvys.truth_keys(filters={"IncludeDeleted": False}) if key not in keys]
    alvys.change(keys=others[:3], columns={"Status": "Open"})
    wait_until(lambda: _have_ended(_runs(api, ON_CHANGES)), f"The run of {ON_CHANGES}", seconds=_WITHIN)
    runs = [run["dag_run_id"] for run in _runs(api, ON_CHANGES)]
    reacted = sum(task["task_id"] == "react" for run in runs for task in api.tasks(ON_CHANGES, run))
    print(f"Three loads were delivered: {ON_CHANGES} has run, and reacted to {reacted}.", flush=True)
    return [] if reacted == len(keys) else [f"{ON_CHANGES} reacted to {reacted} loads of {len(keys)}"]


def _ask(api: AirflowApi, alvys: Simulator) -> list[str]:
    carriers = alvys.change(stream="carriers", rows=3, columns={"Status": "Expired Insurance"})
    # The scheduler has made a run of its own, for last week, and this one waits for its end.
    api.trigger(ON_APPROVAL, RUN)
    blocked: dict[str, int] = {}

    def has_ended() -> bool:
        for run in _runs(api, ON_APPROVAL):
            if run["dag_run_id"] not in blocked and _has_asked(api, run["dag_run_id"]):
                blocked[run["dag_run_id"]] = _blocked(alvys, carriers)
                _answer(api, run["dag_run_id"], "Approve" if run["dag_run_id"] == RUN else "Reject")
        return _have_ended(_runs(api, ON_APPROVAL))

    wait_until(has_ended, f"The runs of {ON_APPROVAL}", seconds=_WITHIN)
    before, after = list(blocked.values()), _blocked(alvys, carriers)
    print(
        f"{ON_APPROVAL}: a person was asked {len(before)} times and has rejected, then approved: {after} carriers are blocked.",
        flush=True,
    )
    problems = [] if before == [0, 0] else [f"Carriers blocked when a person was asked: {before}, for [0, 0]"]
    return problems + (
        [] if after == len(carriers) else [f"{after} carriers of {len(carriers)} were blocked"]
    )


def _has_asked(api: AirflowApi, run: str) -> bool:
    asked = [
        task
        for task in api.tasks(ON_APPROVAL, run)
        if task["task_id"] == "approve" and task["state"] == "awaiting_input"
    ]
    if asked:
        time.sleep(_THINKS)
    return bool(asked)


def _answer(api: AirflowApi, run: str, option: str) -> None:
    task = f"dags/{ON_APPROVAL}/dagRuns/{run}/taskInstances/approve/-1"
    api.call("PATCH", f"{task}/hitlDetails", json={"chosen_options": [option], "params_input": {}})


def _blocked(alvys: Simulator, keys: Sequence[str]) -> int:
    rows = [json.loads(row) for row in alvys.truth_rows(stream="carriers")]
    return sum(row["Id"] in keys and row["Status"] == "Do Not Load" for row in rows)


def _runs(api: AirflowApi, dag_id: str) -> list[dict[str, Any]]:
    return list(api.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"])


def _have_ended(runs: Sequence[dict[str, Any]]) -> bool:
    if failed := [f"{run['dag_id']} {run['dag_run_id']}" for run in runs if run["state"] == "failed"]:
        raise RuntimeError(f"It has failed: {', '.join(failed)}")
    return bool(runs) and all(run["state"] in END_STATES for run in runs)
