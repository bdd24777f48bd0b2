"""The examples that need daemons: one is triggered by changes in Alvys, one asks a person for approval."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import wait_until
from tests.chaos.airflow.rest_api import END_STATES, AirflowApi
from tests.chaos.checks.requests import count_searches
from tests.chaos.triggerer.sensor_crowd import RUN

ON_CHANGES = "alvys_on_changed_loads"
ON_APPROVAL = "alvys_block_carriers"
DAGS = (ON_CHANGES, ON_APPROVAL)
_WITHIN = 90.0
# A task that resumes before the scheduler has seen the end of its first process is taken for a dead one.
_ANSWER_AFTER = 3.0


def run_examples(airflow: Daemons, alvys: Simulator) -> list[str]:
    """Run the examples, and return the problems."""
    wait_until(lambda: count_searches(alvys, "loads") > 0, "the first poll", seconds=_WITHIN)
    return _run_on_changes(airflow.api, alvys) + _run_on_approval(airflow.api, alvys)


def _run_on_changes(api: AirflowApi, alvys: Simulator) -> list[str]:
    keys = alvys.truth_keys(filters={"IncludeDeleted": False, "Status": ["Covered"]})[:3]
    alvys.change(keys=keys, columns={"Status": "Delivered"})
    # Changes that the DAG's filter excludes.
    others = [key for key in alvys.truth_keys(filters={"IncludeDeleted": False}) if key not in keys]
    alvys.change(keys=others[:3], columns={"Status": "Open"})
    wait_until(lambda: _have_ended(_runs(api, ON_CHANGES)), f"the run of {ON_CHANGES}", seconds=_WITHIN)
    runs = [run["dag_run_id"] for run in _runs(api, ON_CHANGES)]
    reactions = sum(task["task_id"] == "react" for run in runs for task in api.tasks(ON_CHANGES, run))
    print(f"{ON_CHANGES}: delivered={len(keys)} reactions={reactions}.", flush=True)
    return [] if reactions == len(keys) else [f"{ON_CHANGES}: {reactions} reactions, expected {len(keys)}"]


def _run_on_approval(api: AirflowApi, alvys: Simulator) -> list[str]:
    carriers = alvys.change(stream="carriers", rows=3, columns={"Status": "Expired Insurance"})
    # The scheduler has created a run for last week; this one starts after its end.
    api.trigger(ON_APPROVAL, RUN)
    blocked: dict[str, int] = {}

    def has_ended() -> bool:
        for run in (run["dag_run_id"] for run in _runs(api, ON_APPROVAL)):
            if run not in blocked and _awaits_input(api, run):
                time.sleep(_ANSWER_AFTER)
                blocked[run] = _count_blocked(alvys, carriers)
                _answer(api, run, "Approve" if run == RUN else "Reject")
        return _have_ended(_runs(api, ON_APPROVAL))

    wait_until(has_ended, f"the runs of {ON_APPROVAL}", seconds=_WITHIN)
    before, after = list(blocked.values()), _count_blocked(alvys, carriers)
    print(
        f"{ON_APPROVAL}: rejected, then approved; carriers blocked before={before} after={after}.", flush=True
    )
    problems = [] if before == [0, 0] else [f"{ON_APPROVAL}: carriers blocked before the answers: {before}"]
    if after != len(carriers):
        problems.append(f"{ON_APPROVAL}: {after} carriers blocked, expected {len(carriers)}")
    return problems


def _awaits_input(api: AirflowApi, run: str) -> bool:
    tasks = api.tasks(ON_APPROVAL, run)
    return any(task["task_id"] == "approve" and task["state"] == "awaiting_input" for task in tasks)


def _answer(api: AirflowApi, run: str, option: str) -> None:
    task = f"dags/{ON_APPROVAL}/dagRuns/{run}/taskInstances/approve/-1"
    api.call("PATCH", f"{task}/hitlDetails", json={"chosen_options": [option], "params_input": {}})


def _count_blocked(alvys: Simulator, keys: Sequence[str]) -> int:
    rows = [json.loads(row) for row in alvys.truth_rows(stream="carriers")]
    return sum(row["Id"] in keys and row["Status"] == "Do Not Load" for row in rows)


def _runs(api: AirflowApi, dag_id: str) -> list[dict[str, Any]]:
    return list(api.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"])


def _have_ended(runs: Sequence[dict[str, Any]]) -> bool:
    if failed := [f"{run['dag_id']} {run['dag_run_id']}" for run in runs if run["state"] == "failed"]:
        raise RuntimeError(f"Failed: {', '.join(failed)}")
    return bool(runs) and all(run["state"] in END_STATES for run in runs)
