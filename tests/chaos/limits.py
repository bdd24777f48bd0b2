"""
Long walks in a real Airflow: how much of a worker's slot one holds that waits for the rate limit, what a SIGKILL costs, and
whether two syncs of everything that has pages, one right after the other, meet a 429.

``make chaos-limits`` calls this. Exit 1 if the slot is held for 15 % of the time or more, a 429 was met, the waiting cost a try, more
than a part was read again after a kill, a sync made a request too many, or a row is missing.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.dataset import Landed, count_in_logs, read_landed

DAGS = Path(__file__).parent / "dags" / "limits"
RUN = "walk"
ROWS = 600
# Pages of 10 for the walk that waits, of 6 for those that are killed.
WAITING_PAGES, KILLED_PAGES = 60, 100
PARTS = {"loads": 20, "trips": 10}
# A minute of the limits lasts so long: what ten requests wait for is more than the 20 s from which a task is deferred.
MINUTE = 25.0
# A sync of everything has more pages than the limit lets through at once, in a minute that is short.
SYNC_PAGE, FLEET = 20, 130
# Some endpoints take five requests in it, and one figure is set for all of them.
BRISK_MINUTE = 4.0
_MOST_HELD = 0.15
# One in ten of the walk's pages at most before it is noticed that sixty have been read.
_LATENCY = 0.1
_ENDS_WITHIN = 400.0


def main() -> None:
    """Start the daemons, let it walk, judge."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    home = Path(tempfile.mkdtemp(prefix="alvys-walks-"))
    lake = home / "lake"
    options: dict[str, Any] = {"loads": ROWS, "now": time.time() - 3600}
    with Simulator(**options) as alvys, Daemons(home, DAGS, settings(alvys, lake)) as airflow:
        airflow.wait_for_dag("waits")
        airflow.wait_for_dag("killed")
        airflow.wait_for_dag("syncs")
        print("Airflow with LocalExecutor is up.", flush=True)
        alvys.reset(**options, latency=_LATENCY)
        problems = walk_and_kill(airflow, alvys, lake / "killed")
        alvys.reset(**options, limits=True, minute=MINUTE)
        problems += walk_and_wait(airflow, alvys, lake / "waits")
        alvys.reset(**options, fleet=FLEET, limits=True, minute=BRISK_MINUTE)
        problems += sync_twice(airflow, alvys, lake / "syncs")
    if problems:
        print("\n".join(["", "NO GOOD:", *problems, f"The files and logs: {home}"]))
        sys.exit(1)
    shutil.rmtree(home)


def settings(alvys: Simulator, lake: Path) -> dict[str, str]:
    """Return the environment of the daemons."""
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=0),
        "AIRFLOW_CONN_ALVYS_PACED": alvys.connection_json(requests_per_minute=10 * 60 / MINUTE),
        "AIRFLOW_CONN_ALVYS_BRISK": alvys.connection_json(
            requests_per_minute=5 * 60 / BRISK_MINUTE, page_size=SYNC_PAGE
        ),
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (datetime.now(timezone.utc) - timedelta(days=6)).isoformat(),
    }


def walk_and_kill(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Kill each of two walks when 60 of its 100 pages have been read, and let Airflow try it again."""
    airflow.api.trigger("killed", RUN)
    left = set(PARTS)
    deadline = time.monotonic() + _ENDS_WITHIN
    while left:
        if time.monotonic() > deadline:
            return [f"Nothing to kill of {', '.join(left)}"]
        time.sleep(0.05)
        for stream in sorted(left):
            if _requests(alvys, stream) >= KILLED_PAGES * 0.6 and _kill(airflow, stream):
                left.remove(stream)
    states = _bring_to_end(airflow, "killed")
    problems = []
    for stream, pages in PARTS.items():
        (task,) = [task for task in states if task["task_id"] == stream]
        again = _requests(alvys, stream) - KILLED_PAGES
        landed = [read_landed(file) for file in (lake / stream).rglob("_manifest.json")]
        print(
            f"A walk of {KILLED_PAGES} pages through {stream}, killed at 60 %: {task['state']} in try {task['try_number']}, "
            f"{again} pages read again, a part is {pages}; {len(landed[0].rows)} rows in "
            f"{len(landed[0].manifest['parts'])} parts.",
            flush=True,
        )
        # One more was under way when it was killed.
        if not (task["state"] == "success" and task["try_number"] == 2 and 0 < again <= pages + 1):
            problems.append(
                f"{stream}: {task['state']} in try {task['try_number']}, {again} pages read again"
            )
        problems += _compare(alvys, stream, landed)
        parts = [part["rows"] for part in landed[0].manifest["parts"]]
        if parts != [pages * 6] * (KILLED_PAGES // pages):
            problems.append(f"{stream}: the parts are not as if nothing had happened: {parts}")
    return problems


def _kill(airflow: Daemons, task_id: str) -> bool:
    known = {task["id"]: task for task in airflow.api.tasks("killed", RUN) if task["state"] == "running"}
    for processes in airflow.running_tasks():
        if processes.id in known and known[processes.id]["task_id"] == task_id:
            return airflow.kill_task(processes) > 0
    return False


def walk_and_wait(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Let a walk of 60 pages wait for the rate limit, and measure for how long it holds its slot."""
    airflow.api.trigger("waits", RUN)
    held, began, ended = 0.0, 0.0, 0.0
    looked = time.monotonic()
    while airflow.api.run_state("waits", RUN) not in END_STATES:
        (task,) = airflow.api.tasks("waits", RUN) or [{"state": None}]
        now = time.monotonic()
        if task["state"] == "running":
            began = began or looked
            held += now - looked
        looked = ended = now
        time.sleep(0.05)
        if began and now - began > _ENDS_WITHIN:
            return ["The walk that waits does not end"]
    (task,) = airflow.api.tasks("waits", RUN)
    stats = alvys.stats()
    deferrals = count_in_logs(airflow.home / "logs", RUN, "Pausing task as DEFERRED").total()
    share = held / (ended - began)
    landed = [read_landed(file) for file in lake.rglob("_manifest.json")]
    print(
        f"A walk of {WAITING_PAGES} pages, deferrable: {ended - began:.0f} s, its slot held for {held:.1f} s ({share:.1%}); "
        f"{deferrals} deferrals, try {task['try_number']}, {stats['rate_limited']} 429s, {_requests(alvys, 'loads')} requests.",
        flush=True,
    )
    problems = _compare(alvys, "loads", landed)
    if share >= _MOST_HELD:
        problems.append(f"The slot was held for {share:.1%} of the time")
    if not (task["state"] == "success" and task["try_number"] == 1 and deferrals >= WAITING_PAGES / 10 - 1):
        problems.append(
            f"The walk that waits is {task['state']} in try {task['try_number']} after {deferrals} deferrals"
        )
    if stats["rate_limited"] or _requests(alvys, "loads") != WAITING_PAGES:
        problems.append(f"It met {stats['rate_limited']} 429s and made {_requests(alvys, 'loads')} requests")
    return problems


def sync_twice(airflow: Daemons, alvys: Simulator, lake: Path) -> list[str]:
    """Sync every stream that has pages, and again as soon as that has ended."""
    problems = []
    states = []
    for run_id in ("first", "second"):
        airflow.api.trigger("syncs", run_id)
        states += _bring_to_end(airflow, "syncs", run_id)
    stats = alvys.stats()
    landed = [read_landed(file) for file in lake.rglob("_manifest.json")]
    problems += [problem for one in landed for problem in one.problems]
    made = sum(count for endpoint, count in stats["requests"].items() if endpoint != "POST token")
    least = sum(one.least_requests(SYNC_PAGE) + _totals_again(one) for one in landed)
    print(
        f"Two syncs of {len({one.stream for one in landed})} streams: {len(states)} tasks, {stats['tokens']} tokens, {made} "
        f"requests where {least} are the least, {stats['rate_limited']} 429s.",
        flush=True,
    )
    bad = [task["task_id"] for task in states if task["state"] != "success" or task["try_number"] != 1]
    if bad or stats["tokens"] != len(states) or made != least or stats["rate_limited"]:
        problems.append(
            f"Not in one try: {bad}; {stats['tokens']} tokens for {len(states)} tasks; {made} requests, not {least}"
        )
    return problems


def _totals_again(landed: Landed) -> int:
    """Return how many totals of united searches are asked for again: all but the last; those of a window that was cut are one."""
    window = landed.manifest["window"]
    is_cut = window and get_stream(landed.stream).window(window["by"]).max_length  # type: ignore[union-attr]
    return 0 if is_cut else len(landed.manifest["searches"]) - 1


def _requests(alvys: Simulator, stream: str) -> int:
    return int(alvys.stats()["requests"].get(f"POST {stream}/search", 0))


def _bring_to_end(airflow: Daemons, dag_id: str, run_id: str = RUN) -> list[dict[str, Any]]:
    deadline = time.monotonic() + _ENDS_WITHIN
    while airflow.api.run_state(dag_id, run_id) not in END_STATES and time.monotonic() < deadline:
        time.sleep(0.2)
    return airflow.api.tasks(dag_id, run_id)


def _compare(alvys: Simulator, stream: str, landed: list[Any]) -> list[str]:
    """Hold the one manifest that there should be against what is true."""
    if len(landed) != 1:
        return [f"{stream}: {len(landed)} manifests, not one"]
    (one,) = landed
    is_true = sorted(one.rows) == sorted(alvys.truth_rows(stream=stream)) and one.is_whole
    return [
        *one.problems,
        *([] if is_true else [f"{stream}: {len(one.rows)} rows, which are not what is true"]),
    ]


if __name__ == "__main__":
    main()
