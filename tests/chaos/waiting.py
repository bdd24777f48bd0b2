"""
What waits in a triggerer, in a real Airflow: hundreds of sensors, sensors and watchers whose triggerer is killed, many watchers
of one stream, and sensors that wait in vain.

``make waiting`` calls this. Exit 1 if code of this package blocked the triggerer's event loop, a 429 was met, a sensor fired
late, never or for nothing, a change was missed or told again with another key, watchers did not share their requests, or a
timeout depends on the mode.

Hundreds of processes for tasks that defer at once would take minutes to start. So the tasks are scheduled in a pool without
slots, and :mod:`tests.chaos.airflow.deferring_worker` does with them what a worker does, in one process for many: what is then in the database
is what the sensors themselves have put there. The triggerer is the real one. Some of the crowd are left to the scheduler and a
worker from their first step to their last.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import Metadata
from tests.chaos.triggerer import sensor_crowd as crowds
from tests.chaos.triggerer.examples import DAGS as EXAMPLES
from tests.chaos.triggerer.examples import play_examples
from tests.chaos.triggerer.watchers import Watchers

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).parent / "dags" / "waiting"
# A minute of the limits lasts so many seconds, and so does what is a minute for the sensors: their poll interval.
CROWD_MINUTE = 8.0
MINUTE = 6.0
# A task that is rescheduled needs some seconds of it to start: no such sensor looks more often.
DEADLINE_INTERVAL = 12.0
DEADLINE = 27.0
FEW = 50
_PER_MINUTE = 10 * 60
_LOADS = 700


def main() -> None:
    """Start the daemons, let it all wait, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="without Airflow's own sensors to compare with, and with one kill",
    )
    is_short = parser.parse_args().short
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="alvys-waiting-"))
    # Nothing is younger than an hour but what is changed here.
    options: dict[str, Any] = {"now": time.time() - 3600}
    crowd_options = {**options, "loads": _LOADS, "limits": True, "minute": CROWD_MINUTE}
    few_options = {**options, "loads": 200}
    with (
        Simulator(**crowd_options) as crowded,
        Simulator(**few_options) as watched,
        Simulator(**few_options) as tried,
    ):
        plan = make_plan(home, crowded, watched)
        with Daemons(home, copy_dags(home), settings(home, crowded, watched, tried)) as airflow:
            for dag in ("plain", "crowd", "few", "probed", "on_loads", "deadlines", *EXAMPLES):
                airflow.wait_for_dag(dag)
            airflow.api.call("POST", "pools", json={"name": crowds.POOL, "slots": 0})
            print(f"Airflow with LocalExecutor is up after {time.monotonic() - started:.0f} s.", flush=True)
            problems = play(airflow, crowded, watched, tried, plan, home, is_short=is_short)
    if problems:
        print("\n".join(["", "NO GOOD:", *problems, f"The files and logs: {home}"]))
        sys.exit(1)
    shutil.rmtree(home)
    print(f"All have fired, and nothing was missed: {time.monotonic() - started:.0f} s.")


def copy_dags(home: Path) -> Path:
    """Return a folder with the DAGs of this play and the examples in it."""
    dags = home / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    for name in EXAMPLES:
        shutil.copy(ROOT / "dags_examples" / f"{name}.py", dags)
    return dags


def make_plan(home: Path, crowded: Simulator, watched: Simulator) -> dict[str, Any]:
    """Say who waits for what, and write it down for the DAGs."""
    crowd = _under_way(crowded, crowds.CROWD + crowds.SAMPLE)
    few = _under_way(watched, FEW + 1)
    (by_status,) = [filter for filter in get_stream("trips").filters if filter.column == "Status"]
    statuses = [status for status in by_status.values or () if status != "In Transit"]
    plan = {
        "files": [str(home / f"wave-{number % crowds.WAVES}") for number in range(len(crowd))],
        "crowd": crowd[: crowds.CROWD],
        "sample": crowd[crowds.CROWD :],
        "crowd_conn_id": crowds.CONNECTION,
        "crowd_interval": CROWD_MINUTE,
        "few": few[:FEW],
        "never": few[FEW],
        "interval": MINUTE,
        "deadline_interval": DEADLINE_INTERVAL,
        "deadline": DEADLINE,
        "trip_status": "In Transit",
        "statuses": statuses[:10],
    }
    (home / "plan.json").write_text(json.dumps(plan))
    return plan


def _under_way(alvys: Simulator, loads: int) -> list[str]:
    """Let so many loads be under way, and return their numbers."""
    rows = [json.loads(row) for row in alvys.truth_rows(stream="loads", filters={"IncludeDeleted": False})][
        -loads:
    ]
    numbers = [str(row["LoadNumber"]) for row in rows]
    alvys.change(keys=numbers, columns={"Status": "Dispatched"})
    return numbers


def settings(home: Path, crowded: Simulator, watched: Simulator, tried: Simulator) -> dict[str, str]:
    """Return the environment of the daemons."""
    return {
        "AIRFLOW_CONN_FS_DEFAULT": "fs:///",
        f"AIRFLOW_CONN_{crowds.CONNECTION.upper()}": crowded.connection_json(
            requests_per_minute=_PER_MINUTE / CROWD_MINUTE
        ),
        "AIRFLOW_CONN_ALVYS_WATCHED": watched.connection_json(requests_per_minute=_PER_MINUTE / MINUTE),
        "AIRFLOW_CONN_ALVYS_DEFAULT": tried.connection_json(requests_per_minute=0),
        "ALVYS_WATCH_SECONDS": str(MINUTE),
        "CHAOS_PLAN": str(home / "plan.json"),
        "CHAOS_STALLS": str(home / "stalls.jsonl"),
    }


def play(
    airflow: Daemons,
    crowded: Simulator,
    watched: Simulator,
    tried: Simulator,
    plan: dict[str, Any],
    home: Path,
    *,
    is_short: bool,
) -> list[str]:
    """Play all parts, and return what was wrong."""
    metadata = Metadata(airflow.database)
    loop = crowds.LoopWatch(airflow.logs / "triggerer.log", home / "stalls.jsonl")
    # At its start Airflow imports what it logs with, on the loop.
    loop.look()
    numbers = crowds.Numbers(plan["crowd"], plan["sample"])
    watchers = Watchers(airflow, metadata, watched, plan)

    def plain() -> list[str]:
        crowds.play_plain(airflow, metadata, loop, plan["files"])
        return []

    def crowd() -> list[str]:
        return crowds.play_crowd(airflow, metadata, loop, crowded, numbers, CROWD_MINUTE)

    parts: dict[str, Callable[[], list[str]]] = {
        "Airflow's own sensors": plain,
        "the crowd": crowd,
        "the examples": lambda: play_examples(airflow, tried),
        "ten watchers, and the deadlines": watchers.share,
        "the kills": lambda: watchers.survive(kills=1 if is_short else 3),
    }
    if is_short:
        del parts["Airflow's own sensors"]
    problems = []
    for name, part in parts.items():
        began = time.monotonic()
        try:
            problems += part()
        except RuntimeError as error:
            # The parts that follow do not depend on it.
            problems.append(f"{name}: {error}")
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", flush=True)
    return problems


if __name__ == "__main__":
    main()
