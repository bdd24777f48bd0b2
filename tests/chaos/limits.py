"""
Long reads in a real Airflow: time in a worker's slot, pages read again after a kill, requests of two syncs.

``make chaos-limits`` calls this. Exit 1 if a deferrable task holds its slot for 15 % of the time or more, a
429 was received, waiting used up a try, more than a part was read again after a kill, a sync made an
unnecessary request, or a row is missing.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.home import run_in_home
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.dataset import LandedRun, count_in_logs, read_run
from tests.chaos.checks.requests import count_searches

DAGS = Path(__file__).parent / "dags" / "limits"
RUN = "read"
ROWS = 600
# Pages of 10 rows for the read that waits, of 6 rows for those that are killed.
WAITING_PAGES, KILLED_PAGES = 60, 100
# Pages of a part, by stream.
PARTS = {"loads": 20, "trips": 10}
# Seconds of a minute of the limits: a wait for ten requests is longer than the 20 s after which a task
# defers.
MINUTE = 25.0
# The streams have more pages than the limit allows at once.
SYNC_PAGE, FLEET = 20, 130
# Seconds of a minute for the syncs, of endpoints with a limit of ten and of five requests.
SHORT_MINUTE = 4.0
_MAX_SLOT_SHARE = 0.15
# Slow enough to kill a read soon after its sixtieth page.
_LATENCY = 0.1
_ENDS_WITHIN = 400.0


def run_all(home: Path) -> list[str]:
    """Start the daemons, run the three tests, and return the failures."""
    lake = home / "lake"
    options: dict[str, Any] = {"loads": ROWS, "rows": {"trips": ROWS}, "now": time.time() - 3600}
    with Simulator(**options) as alvys, Daemons(home, DAGS, _environment(alvys, lake)) as airflow:
        for dag_id in ("waits", "killed", "syncs"):
            airflow.wait_for_dag(dag_id)
        print("Airflow started with LocalExecutor.", flush=True)
        alvys.reset(**options, latency=_LATENCY)
        failures = read_and_kill(airflow, alvys, lake / "killed")
        alvys.reset(**options, limits=True, minute=MINUTE)
        failures += read_and_wait(airflow, alvys, lake / "waits")
        alvys.reset(**options, fleet=FLEET, limits=True, minute=SHORT_MINUTE)
        return failures + sync_twice(airflow, alvys, lake / "syncs")


def _environment(alvys: Simulator, lake: Path) -> dict[str, str]:
    syncs = alvys.connection_json(requests_per_minute=10 * 60 / SHORT_MINUTE, page_size=SYNC_PAGE)
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=0),
        "AIRFLOW_CONN_ALVYS_PACED": alvys.connection_json(requests_per_minute=10 * 60 / MINUTE),
        "AIRFLOW_CONN_ALVYS_SYNCS": syncs,
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (datetime.now(timezone.utc) - timedelta(days=6)).isoformat(),
    }


def read_and_kill(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Kill two reads after 60 of 100 pages each, let Airflow retry them, and return the failures."""
    airflow.api.trigger("killed", RUN)
    remaining = set(PARTS)
    deadline = time.monotonic() + _ENDS_WITHIN
    while remaining:
        if time.monotonic() > deadline:
            return [f"Not killed: {', '.join(remaining)}"]
        time.sleep(0.05)
        for stream in sorted(remaining):
            if count_searches(alvys, stream) >= KILLED_PAGES * 0.6 and _kill(airflow, stream):
                remaining.remove(stream)
    tasks = _wait_for_end(airflow, "killed")
    failures = []
    for stream, pages in PARTS.items():
        (task,) = [task for task in tasks if task["task_id"] == stream]
        again = count_searches(alvys, stream) - KILLED_PAGES
        runs = [read_run(file) for file in (lake / stream).rglob("_manifest.json")]
        parts = [part["rows"] for part in runs[0].manifest["parts"]] if runs else []
        result = f"{task['state']} in try {task['try_number']}, pages read again={again}"
        print(
            f"Read of {KILLED_PAGES} pages of {stream}, killed at 60 %: {result} (a part has {pages}); "
            f"rows={sum(parts)} parts={len(parts)}.",
            flush=True,
        )
        # One more request may have been open when the task was killed.
        if not (task["state"] == "success" and task["try_number"] == 2 and 0 < again <= pages + 1):
            failures.append(f"{stream}: {result}")
        failures += _compare(alvys, stream, runs)
        if parts != [pages * 6] * (KILLED_PAGES // pages):
            failures.append(f"{stream}: the parts differ from those of an undisturbed run: {parts}")
    return failures


def _kill(airflow: Daemons, task_id: str) -> bool:
    running = {task["id"]: task for task in airflow.api.tasks("killed", RUN) if task["state"] == "running"}
    for processes in airflow.running_tasks():
        if processes.id in running and running[processes.id]["task_id"] == task_id:
            return airflow.kill_task(processes) > 0
    return False


def read_and_wait(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Run a deferrable read of 60 pages under the rate limit, and return the failures."""
    airflow.api.trigger("waits", RUN)
    in_slot, began, ended = 0.0, 0.0, 0.0
    polled = time.monotonic()
    while airflow.api.run_state("waits", RUN) not in END_STATES:
        (task,) = airflow.api.tasks("waits", RUN) or [{"state": None}]
        now = time.monotonic()
        if task["state"] == "running":
            began = began or polled
            in_slot += now - polled
        polled = ended = now
        time.sleep(0.05)
        if began and now - began > _ENDS_WITHIN:
            return [f"The deferrable read did not end within {_ENDS_WITHIN:g} s"]
    (task,) = airflow.api.tasks("waits", RUN)
    refused, requests = alvys.stats()["rate_limited"], count_searches(alvys, "loads")
    deferrals = count_in_logs(airflow.home / "logs", RUN, "Pausing task as DEFERRED").total()
    share = in_slot / (ended - began)
    print(
        f"Deferrable read of {WAITING_PAGES} pages: {ended - began:.0f} s, in a slot {in_slot:.1f} s "
        f"({share:.1%}); deferrals={deferrals} try={task['try_number']} 429s={refused} requests={requests}.",
        flush=True,
    )
    failures = _compare(alvys, "loads", [read_run(file) for file in lake.rglob("_manifest.json")])
    if share >= _MAX_SLOT_SHARE:
        failures.append(f"The deferrable read held its slot for {share:.1%} of the time")
    if not (task["state"] == "success" and task["try_number"] == 1 and deferrals >= WAITING_PAGES / 10 - 1):
        failures.append(
            f"The deferrable read: {task['state']}, try {task['try_number']}, {deferrals} deferrals"
        )
    if refused or requests != WAITING_PAGES:
        failures.append(f"The deferrable read: {refused} 429s, {requests} requests, expected {WAITING_PAGES}")
    return failures


def sync_twice(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Sync every stream with pages twice, one sync right after the other, and return the failures."""
    tasks = []
    for run_id in ("first", "second"):
        airflow.api.trigger("syncs", run_id)
        tasks += _wait_for_end(airflow, "syncs", run_id)
    stats = alvys.stats()
    runs = [read_run(file) for file in lake.rglob("_manifest.json")]
    failures = [problem for run in runs for problem in run.problems]
    requests = sum(count for endpoint, count in stats["requests"].items() if endpoint != "POST token")
    expected = sum(run.min_requests(SYNC_PAGE) + _repeated_totals(run) + _comparisons(run) for run in runs)
    print(
        f"Two syncs: streams={len({run.stream for run in runs})} tasks={len(tasks)} tokens={stats['tokens']} "
        f"requests={requests} (minimum {expected}) 429s={stats['rate_limited']}.",
        flush=True,
    )
    bad = [task["task_id"] for task in tasks if task["state"] != "success" or task["try_number"] != 1]
    if bad or stats["tokens"] != len(tasks) or requests != expected or stats["rate_limited"]:
        failures.append(
            f"Two syncs: failed or retried tasks {bad}; {stats['tokens']} tokens for {len(tasks)} tasks; "
            f"{requests} requests, expected {expected}; {stats['rate_limited']} 429s"
        )
    return failures


def _repeated_totals(run: LandedRun) -> int:
    """Return how many searches request their total twice: all but the last, or none of a split window."""
    window = run.manifest["window"]
    is_split = window and get_stream(run.stream).window(window["by"]).max_length  # type: ignore[union-attr]
    return 0 if is_split else len(run.manifest["searches"]) - len(run.repeated_searches) - 1


def _comparisons(run: LandedRun) -> int:
    """Return how many requests compare a read of all rows with a search for rows of any status."""
    return 2 if run.manifest["window"] is None and get_stream(run.stream).control else 0


def _wait_for_end(airflow: Daemons, dag_id: str, run_id: str = RUN) -> list[dict[str, Any]]:
    deadline = time.monotonic() + _ENDS_WITHIN
    while airflow.api.run_state(dag_id, run_id) not in END_STATES and time.monotonic() < deadline:
        time.sleep(0.2)
    return airflow.api.tasks(dag_id, run_id)


def _compare(alvys: Simulator, stream: str, runs: list[LandedRun]) -> list[str]:
    """Return the failures of the only run of a stream."""
    if len(runs) != 1:
        return [f"{stream}: {len(runs)} manifests, expected 1"]
    (run,) = runs
    is_right = run.is_whole and sorted(run.rows) == sorted(alvys.truth_rows(stream=stream))
    return (
        run.problems if is_right else [*run.problems, f"{stream}: {len(run.rows)} rows, not the simulator's"]
    )


if __name__ == "__main__":
    run_in_home("limits", run_all)
