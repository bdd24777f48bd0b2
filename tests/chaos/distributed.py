"""
Kill one of two Celery workers in the middle of a mapped backfill, and see the other one finish its walk.

``make distributed`` calls this. Exit 1 if a row was lost, more than one part was read again, or the wrong thing was killed.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons, TaskProcesses
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.monitor import Witness

DAG = "distributed"
RUN = "one-worker-dies"
TASK = "backfill_loads"
DAGS = Path(__file__).parent / "dags" / "distributed"
ROWS = 2000
PAGE = 10
PART_PAGES = 10
WINDOW_DAYS = 50
# Of the parts of a walk, so many are there when its worker dies.
_PARTS_BEFORE = 6
_ENDS_WITHIN = 180.0
# A walk of a hundred pages takes long enough to be hit in its middle.
_LATENCY = 0.15


def main() -> None:
    """Start the daemons, kill, judge."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    home = Path(tempfile.mkdtemp(prefix="alvys-distributed-"))
    lake = home / "lake"
    now = time.time()
    with (
        Simulator(loads=ROWS, days=90, latency=_LATENCY, now=now - 3600) as alvys,
        Daemons(home, DAGS, settings(alvys, lake, now), celery_workers=2) as airflow,
    ):
        airflow.wait_for_dag(DAG)
        print(
            f"Airflow with CeleryExecutor and the workers {' and '.join(airflow.workers)} is up.", flush=True
        )
        witness = Witness(alvys, lake, ("loads",))
        witness.look()
        airflow.api.trigger(DAG, RUN)
        victim, index = kill_in_mid_walk(airflow, lake)
        bring_to_end(airflow)
        problems = judge(airflow, alvys, witness, victim, index)
    if problems:
        print("\n".join(["", "NO GOOD:", *problems, f"The files and logs: {home}"]))
        sys.exit(1)
    shutil.rmtree(home)
    print("The other worker has finished, and nothing was lost.")


def settings(alvys: Simulator, lake: Path, now: float) -> dict[str, str]:
    """Return the environment of the daemons."""
    end = datetime.fromtimestamp(now, timezone.utc)
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=0, page_size=PAGE),
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (end - timedelta(days=2 * WINDOW_DAYS)).isoformat(),
        "CHAOS_END": end.isoformat(),
        "CHAOS_WINDOW_DAYS": str(WINDOW_DAYS),
        "CHAOS_PART_ROWS": str(PAGE * PART_PAGES),
    }


def kill_in_mid_walk(airflow: Daemons, lake: Path) -> tuple[str, int]:
    """Kill the worker of a walk that is past its middle, and return its name and the walk's map index."""
    deadline = time.monotonic() + _ENDS_WITHIN
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if max(Counter(part.parent for part in lake.rglob("part-*")).values(), default=0) < _PARTS_BEFORE:
            continue
        known = {task["id"]: task for task in airflow.api.tasks(DAG, RUN) if task["state"] == "running"}
        # The longer walk is the one to hit: that of the window with more rows.
        chosen = _farthest(airflow.running_tasks(), known, lake)
        if chosen is None:
            continue
        task = known[chosen.id]
        # Into the part that follows: what is read of it is lost.
        time.sleep(_LATENCY * PART_PAGES / 2)
        died = airflow.kill(chosen.worker, whole=True)
        print(
            f"{chosen.worker} was at window {task['map_index']} (pid {chosen.task.pid}, try {task['try_number']}), with "
            f"{_parts(lake, task)} parts written: killed with all that belongs to it, {died} processes.",
            flush=True,
        )
        return chosen.worker, task["map_index"]
    raise RuntimeError("No walk came to its middle")


def _farthest(
    running: list[TaskProcesses], known: dict[str, dict[str, Any]], lake: Path
) -> TaskProcesses | None:
    at_work = [
        task
        for task in running
        if task.id in known and task.worker and _parts(lake, known[task.id]) >= _PARTS_BEFORE
    ]
    return max(at_work, key=lambda task: _parts(lake, known[task.id]), default=None)


def _parts(lake: Path, task: dict[str, Any]) -> int:
    """Return how many parts a window's walk has written: its folder is named after the window's start."""
    since = datetime.fromisoformat(task["rendered_fields"]["since"])
    return len(list(lake.glob(f"loads/*/{since:%Y%m%dT%H%M%S}Z-*/part-*")))


def bring_to_end(airflow: Daemons) -> None:
    """Wait for the run's end."""
    deadline = time.monotonic() + _ENDS_WITHIN
    while (state := airflow.api.run_state(DAG, RUN)) not in END_STATES:
        if time.monotonic() > deadline:
            raise RuntimeError(f"The run does not end: it is {state}")
        time.sleep(0.5)


def judge(airflow: Daemons, alvys: Simulator, witness: Witness, victim: str, index: int) -> list[str]:
    """Print what happened, and return what is wrong with it."""
    accounts = witness.conclude()
    problems = list(witness.problems)
    tasks = [task for task in airflow.api.tasks(DAG, RUN) if task["task_id"] == TASK]
    for task in sorted(tasks, key=lambda task: task["map_index"]):
        tries = airflow.api.tries(task)
        told = ", ".join(
            f"try {one['try_number']} on {one['hostname']} (pid {one['pid']}): {one['state']}"
            for one in tries
        )
        print(f"Window {task['map_index']}: {told}")
        if task["state"] != "success":
            problems.append(f"Window {task['map_index']} is {task['state']}")
        workers = [one["hostname"] for one in tries]
        if task["map_index"] == index and (workers[0] != victim or workers[-1] == victim or len(tries) != 2):
            problems.append(
                f"Window {index} was tried by {workers}: not first by {victim}, and then by the other one"
            )
    made = alvys.stats()["requests"]["POST loads/search"]
    least = sum(landed.least_requests(PAGE) for landed in witness.landed)
    rows = sum(len(landed.rows) for landed in witness.landed)
    print(
        f"{len(witness.landed)} manifests, {rows} rows of {ROWS}, {accounts['loads'].wrong} lost; {made} requests where {least} "
        f"are the least possible: {made - least} pages read again, a part is {PART_PAGES}."
    )
    # One more was under way when the worker died.
    if made - least > PART_PAGES + 1:
        problems.append(f"{made - least} pages were read again, more than a part of {PART_PAGES}")
    return problems


if __name__ == "__main__":
    main()
