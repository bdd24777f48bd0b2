"""Read from the triggerer's logs when triggers fired: the database stores events later, one by one."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

# The task's own log; the daemon's log has the line if the trigger ended first.
_TASK = re.compile(r'^\{"timestamp":"(?P<at>[^"]+)".*"event":"Trigger fired event","name":"(?P<name>[^ "]+)')
_DAEMON = re.compile(r"^(?P<at>\S+) \[.*Trigger fired event .* name='(?P<name>[^ ']+)")


def read_fired(home: Path, dag_id: str, run_id: str) -> dict[tuple[str, int], float]:
    """
    Return by task id and map index when a run's triggers first fired, in seconds since 1970.

    :param home: Airflow's home.
    """
    files = [(home / "daemons" / "triggerer.log", _DAEMON)]
    files += [
        (file, _TASK) for file in (home / "logs").glob(f"dag_id={dag_id}/run_id={run_id}/**/*.trigger.*.log")
    ]
    fired: dict[tuple[str, int], float] = {}
    for file, pattern in files:
        for line in file.read_text(errors="replace").splitlines():
            found = pattern.match(line)
            if found and found["name"].startswith(f"{dag_id}/{run_id}/"):
                _, _, task_id, index, _ = found["name"].split("/")
                at = datetime.fromisoformat(found["at"].replace("Z", "+00:00")).timestamp()
                fired[task_id, int(index)] = min(at, fired.get((task_id, int(index)), at))
    return fired
