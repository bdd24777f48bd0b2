"""When triggers fired, by what the triggerer wrote down in that moment: its database learns it later, one after the other."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

# In a file of the task's own; in the daemon's, where the trigger has ended before the line was read.
_OWN = re.compile(r'^\{"timestamp":"(?P<at>[^"]+)".*"event":"Trigger fired event","name":"(?P<name>[^ "]+)')
_DAEMON = re.compile(r"^(?P<at>\S+) \[.*Trigger fired event .* name='(?P<name>[^ ']+)")


def read_fired(home: Path, dag_id: str, run_id: str) -> dict[tuple[str, int], float]:
    """
    Return when the triggers of a run's tasks fired first, in seconds since 1970, by task id and map index.

    :param home: of Airflow.
    """
    files = [(home / "daemons" / "triggerer.log", _DAEMON)]
    files += [
        (file, _OWN) for file in (home / "logs").glob(f"dag_id={dag_id}/run_id={run_id}/**/*.trigger.*.log")
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
