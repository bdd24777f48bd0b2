"""
Kill one of two Celery workers in the middle of a mapped backfill; the other worker resumes its read.

``make distributed`` calls this. Exit 1 if a row was lost, more than one part was read again, or the wrong
process was killed.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons, TaskProcesses
from tests.chaos.airflow.home import run_in_home
from tests.chaos.airflow.metadata import wait_until
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.monitor import DatasetMonitor

DAG = "distributed"
RUN = "one-worker-dies"
TASK = "backfill_loads"
DAGS = Path(__file__).parent / "dags" / "distributed"
ROWS = 2000
PAGE = 10
PART_PAGES = 10
WINDOW_DAYS = 50
# Parts of a window that are written before its worker is killed.
_PARTS_BEFORE = 6
_ENDS_WITHIN = 180.0
# A read of a hundred pages takes long enough to be killed in the middle.
_LATENCY = 0.15


def kill_worker(home: Path) -> list[str]:
    """Start the daemons, kill a worker, and return the failures."""
    lake = home / "lake"
    now = time.time()
    with (
        Simulator(loads=ROWS, days=90, latency=_LATENCY, now=now - 3600) as alvys,
        Daemons(home, DAGS, _environment(alvys, lake, now), celery_workers=2) as airflow,
    ):
        airflow.wait_for_dag(DAG)
        print(f"Airflow started with the Celery workers {', '.join(airflow.workers)}.", flush=True)
        monitor = DatasetMonitor(alvys, lake, ("loads",))
        monitor.check()
        airflow.api.trigger(DAG, RUN)
        victim, index = _kill_in_the_middle(airflow, lake)
        wait_until(
            lambda: airflow.api.run_state(DAG, RUN) in END_STATES, "the run's end", seconds=_ENDS_WITHIN
        )
        return _check(airflow, alvys, monitor, victim, index)


def _environment(alvys: Simulator, lake: Path, now: float) -> dict[str, str]:
    end = datetime.fromtimestamp(now, timezone.utc)
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=0, page_size=PAGE),
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (end - timedelta(days=2 * WINDOW_DAYS)).isoformat(),
        "CHAOS_END": end.isoformat(),
        "CHAOS_WINDOW_DAYS": str(WINDOW_DAYS),
        "CHAOS_PART_ROWS": str(PAGE * PART_PAGES),
    }


def _kill_in_the_middle(airflow: Daemons, lake: Path) -> tuple[str, int]:
    """Kill a worker that has read more than half of a window; return its name and the window's map index."""
    deadline = time.monotonic() + _ENDS_WITHIN
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if max(Counter(part.parent for part in lake.rglob("part-*")).values(), default=0) < _PARTS_BEFORE:
            continue
        tasks = {task["id"]: task for task in airflow.api.tasks(DAG, RUN) if task["state"] == "running"}
        chosen = _longest(airflow.running_tasks(), tasks, lake)
        if chosen is None:
            continue
        task = tasks[chosen.id]
        # Half a part further: its pages must be read again.
        time.sleep(_LATENCY * PART_PAGES / 2)
        died = airflow.kill(chosen.worker, with_descendants=True)
        print(
            f"Killed {chosen.worker}: window={task['map_index']} pid={chosen.task.pid} "
            f"try={task['try_number']} parts={_count_parts(lake, task)} processes={died}.",
            flush=True,
        )
        return chosen.worker, task["map_index"]
    raise RuntimeError("No worker read half of a window")


def _longest(
    running: list[TaskProcesses], tasks: dict[str, dict[str, Any]], lake: Path
) -> TaskProcesses | None:
    """Return the running task with the most parts, if it has enough."""
    parts = {one.id: _count_parts(lake, tasks[one.id]) for one in running if one.id in tasks and one.worker}
    candidates = [one for one in running if parts.get(one.id, 0) >= _PARTS_BEFORE]
    return max(candidates, key=lambda one: parts[one.id], default=None)


def _count_parts(lake: Path, task: dict[str, Any]) -> int:
    """Return the number of a window's parts: the folder's name begins with the window's start."""
    since = datetime.fromisoformat(task["rendered_fields"]["since"])
    return len(list(lake.glob(f"loads/*/{since:%Y%m%dT%H%M%S}Z-*/part-*")))


def _check(airflow: Daemons, alvys: Simulator, monitor: DatasetMonitor, victim: str, index: int) -> list[str]:
    """Print the result, and return the failures."""
    comparison = monitor.finish()["loads"]
    failures = list(monitor.problems)
    tasks = [task for task in airflow.api.tasks(DAG, RUN) if task["task_id"] == TASK]
    for task in sorted(tasks, key=lambda task: task["map_index"]):
        tries = airflow.api.tries(task)
        described = [
            f"try {one['try_number']} on {one['hostname']} (pid {one['pid']}): {one['state']}"
            for one in tries
        ]
        print(f"Window {task['map_index']}: {', '.join(described)}")
        if task["state"] != "success":
            failures.append(f"Window {task['map_index']} is {task['state']}")
        workers = [one["hostname"] for one in tries]
        if task["map_index"] == index and (workers[0] != victim or workers[-1] == victim or len(tries) != 2):
            failures.append(f"Window {index} ran on {workers}, expected {victim}, then the other worker")
    requests = alvys.stats()["requests"]["POST loads/search"]
    again = requests - sum(run.min_requests(PAGE) for run in monitor.runs)
    print(
        f"manifests={len(monitor.runs)} rows={sum(len(run.rows) for run in monitor.runs)} of {ROWS} "
        f"wrong={comparison.wrong}; requests={requests} pages read again={again} (a part has {PART_PAGES})."
    )
    # One more request may have been open when the worker died.
    if again > PART_PAGES + 1:
        failures.append(f"{again} pages were read again, more than a part of {PART_PAGES}")
    return failures


if __name__ == "__main__":
    run_in_home("distributed", kill_worker)
