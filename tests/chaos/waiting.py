"""
Hundreds of sensors, watchers of one stream, killed triggerers and timeouts in a real Airflow.

``make waiting`` calls this. Exit 1 if code of this package blocked the triggerer's event loop, a 429 was
received, a sensor fired late, never or without a change, a change was missed or emitted again with another
key, watchers did not share their requests, or a timeout depends on the mode.

Hundreds of task processes would take minutes to start. Therefore the tasks are scheduled in a pool without
slots, and :mod:`tests.chaos.airflow.deferring_worker` runs them as a worker does, many in one process. The
triggerer is the real one. The scheduler and a worker run a sample of the sensors from start to end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.home import run_in_home
from tests.chaos.airflow.metadata import MetadataDatabase
from tests.chaos.triggerer import sensor_crowd
from tests.chaos.triggerer.examples import DAGS as EXAMPLES
from tests.chaos.triggerer.examples import run_examples
from tests.chaos.triggerer.watchers import WatcherScenario

ROOT = Path(__file__).resolve().parents[2]
DAGS = Path(__file__).parent / "dags" / "waiting"
# Seconds of a minute of the limits; also the poll interval.
CROWD_MINUTE = 8.0
MINUTE = 6.0
# A rescheduled task takes some seconds to start, so its interval is longer.
TIMEOUT_INTERVAL = 12.0
TIMEOUT = 27.0
FEW = 50
_PER_MINUTE = 10 * 60
_LOADS = 700


def main() -> None:
    """Run the scenarios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short", action="store_true", help="without Airflow's FileSensors, and with one kill"
    )
    is_short = parser.parse_args().short
    run_in_home("waiting", lambda home: run_all(home, is_short=is_short))


def run_all(home: Path, *, is_short: bool) -> list[str]:
    """Start the daemons, run the scenarios, and return the failures."""
    started = time.monotonic()
    # Only the changes made here are younger than an hour.
    options: dict[str, Any] = {"now": time.time() - 3600}
    crowd_options = {**options, "loads": _LOADS, "limits": True, "minute": CROWD_MINUTE}
    few_options = {**options, "loads": 200}
    with (
        Simulator(**crowd_options) as crowd,
        Simulator(**few_options) as watched,
        Simulator(**few_options) as examples,
    ):
        plan = make_plan(home, crowd, watched)
        with Daemons(home, _copy_dags(home), _environment(home, crowd, watched, examples)) as airflow:
            for dag in ("file_sensors", "crowd", "few", "probed", "on_loads", "timeouts", *EXAMPLES):
                airflow.wait_for_dag(dag)
            airflow.api.call("POST", "pools", json={"name": sensor_crowd.POOL, "slots": 0})
            print(f"Airflow started in {time.monotonic() - started:.0f} s.", flush=True)
            return run_scenarios(airflow, crowd, watched, examples, plan, home, is_short=is_short)


def _copy_dags(home: Path) -> Path:
    """Return a folder with the DAGs of these scenarios and the examples."""
    dags = home / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    for name in EXAMPLES:
        shutil.copy(ROOT / "dags_examples" / f"{name}.py", dags)
    return dags


def make_plan(home: Path, crowd: Simulator, watched: Simulator) -> dict[str, Any]:
    """Decide which sensor waits for which load, and write the plan for the DAGs."""
    numbers = _dispatch(crowd, sensor_crowd.CROWD + sensor_crowd.SAMPLE)
    few = _dispatch(watched, FEW + 1)
    (by_status,) = [filter for filter in get_stream("trips").filters if filter.column == "Status"]
    statuses = [status for status in by_status.values or () if status != "In Transit"]
    plan = {
        "pool": sensor_crowd.POOL,
        "files": [str(home / f"wave-{number % sensor_crowd.WAVES}") for number in range(len(numbers))],
        "crowd": numbers[: sensor_crowd.CROWD],
        "sample": numbers[sensor_crowd.CROWD :],
        "crowd_conn_id": sensor_crowd.CONNECTION,
        "crowd_interval": CROWD_MINUTE,
        "few": few[:FEW],
        "never": few[FEW],
        "interval": MINUTE,
        "timeout_interval": TIMEOUT_INTERVAL,
        "timeout": TIMEOUT,
        "trip_status": "In Transit",
        "statuses": statuses[:10],
    }
    (home / "plan.json").write_text(json.dumps(plan))
    return plan


def _dispatch(alvys: Simulator, loads: int) -> list[str]:
    """Set the newest loads to Dispatched, and return their numbers."""
    rows = alvys.truth_rows(stream="loads", filters={"IncludeDeleted": False})[-loads:]
    numbers = [str(json.loads(row)["LoadNumber"]) for row in rows]
    alvys.change(keys=numbers, columns={"Status": "Dispatched"})
    return numbers


def _environment(home: Path, crowd: Simulator, watched: Simulator, examples: Simulator) -> dict[str, str]:
    crowd_connection = crowd.connection_json(requests_per_minute=_PER_MINUTE / CROWD_MINUTE)
    return {
        "AIRFLOW_CONN_FS_DEFAULT": "fs:///",
        f"AIRFLOW_CONN_{sensor_crowd.CONNECTION.upper()}": crowd_connection,
        "AIRFLOW_CONN_ALVYS_WATCHED": watched.connection_json(requests_per_minute=_PER_MINUTE / MINUTE),
        "AIRFLOW_CONN_ALVYS_DEFAULT": examples.connection_json(requests_per_minute=0),
        "ALVYS_WATCH_SECONDS": str(MINUTE),
        "CHAOS_PLAN": str(home / "plan.json"),
        "CHAOS_LOOP_BLOCKS": str(home / "loop-blocks.jsonl"),
    }


def run_scenarios(
    airflow: Daemons,
    crowd: Simulator,
    watched: Simulator,
    examples: Simulator,
    plan: dict[str, Any],
    home: Path,
    *,
    is_short: bool,
) -> list[str]:
    """Run the scenarios one after the other, and return the failures."""
    metadata = MetadataDatabase(airflow.database)
    monitor = sensor_crowd.LoopMonitor(airflow.logs / "triggerer.log", home / "loop-blocks.jsonl")
    # Airflow imports its logging on the loop when it starts.
    monitor.read_new()
    loads = sensor_crowd.CrowdLoads(plan["crowd"], plan["sample"])
    watchers = WatcherScenario(airflow, metadata, watched, plan)

    def run_file_sensors() -> list[str]:
        sensor_crowd.run_file_sensors(airflow, metadata, monitor, plan["files"])
        return []

    def run_crowd() -> list[str]:
        return sensor_crowd.run_crowd(airflow, metadata, monitor, crowd, loads, CROWD_MINUTE)

    scenarios: dict[str, Callable[[], list[str]]] = {
        "Airflow's FileSensors": run_file_sensors,
        "hundreds of sensors": run_crowd,
        "examples": lambda: run_examples(airflow, examples),
        "ten watchers and timeouts": watchers.share_requests,
        "killed triggerers": lambda: watchers.kill_triggerer(kills=1 if is_short else 3),
    }
    if is_short:
        del scenarios["Airflow's FileSensors"]
    failures = []
    for name, scenario in scenarios.items():
        began = time.monotonic()
        try:
            failures += scenario()
        except RuntimeError as error:
            # The other scenarios do not depend on this one.
            failures.append(f"{name}: {error}")
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", flush=True)
    return failures


if __name__ == "__main__":
    main()
