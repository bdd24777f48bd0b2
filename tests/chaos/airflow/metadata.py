"""What Airflow's database says of tasks that wait and of assets that are watched."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

_STATES = "SELECT coalesce(state, 'none'), count(*) FROM task_instance WHERE dag_id = :dag AND run_id = :run GROUP BY 1"
_WAITING = """
SELECT count(*) FROM task_instance AS ti JOIN trigger ON trigger.id = ti.trigger_id
WHERE ti.dag_id = :dag AND ti.run_id = :run AND ti.state = 'deferred' AND trigger.triggerer_id IS NOT NULL
"""
_RESUMED = """
SELECT task_id, map_index, state, scheduled_dttm, next_method, next_kwargs FROM task_instance
WHERE dag_id = :dag AND run_id = :run AND (next_kwargs::text LIKE '%"event"%' OR state IN ('success', 'failed', 'skipped'))
"""
_EVENTS = """
SELECT event.id, event.timestamp, event.extra FROM asset_event AS event JOIN asset ON asset.id = event.asset_id
WHERE asset.name = :asset ORDER BY event.id
"""
_SPANS = """
SELECT ti.task_id, ti.state, min(log.dttm), ti.end_date FROM task_instance AS ti
JOIN log ON log.dag_id = ti.dag_id AND log.run_id = ti.run_id AND log.task_id = ti.task_id AND log.event = 'running'
WHERE ti.dag_id = :dag AND ti.run_id = :run GROUP BY ti.task_id, ti.state, ti.end_date
"""
_KEPT = """
SELECT store.key, store.value FROM asset_state_store AS store JOIN asset ON asset.id = store.asset_id WHERE asset.name = :asset
"""
_WATCHERS = """
SELECT count(*) FROM asset_watcher AS watcher JOIN trigger ON trigger.id = watcher.trigger_id
WHERE trigger.triggerer_id IS NOT NULL
"""


@dataclass(frozen=True)
class Resumed:
    """
    A task whose trigger has fired.

    :param stored: when its event was, in seconds since 1970.
    :param state: ``scheduled`` where nothing takes it on.
    :param method: that the task is to go on with, where it has not yet.
    :param kwargs: of the method, as JSON: what the trigger said is in it.
    """

    stored: float
    state: str
    method: str | None
    kwargs: str


@dataclass(frozen=True)
class Span:
    """A task from its first start to its end, in seconds."""

    state: str
    seconds: float


class Metadata:
    """
    Look into the database.

    :param url: its address.
    """

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url)

    def states(self, dag_id: str, run_id: str) -> Counter[str]:
        """Count a run's tasks by state."""
        return Counter(dict(self._rows(_STATES, dag=dag_id, run=run_id)))

    def waiting(self, dag_id: str, run_id: str) -> int:
        """Count a run's tasks that are deferred, and whose trigger a triggerer has taken."""
        return int(self._rows(_WAITING, dag=dag_id, run=run_id)[0][0])

    def watchers(self) -> int:
        """Count the watchers of assets whose trigger a triggerer has taken."""
        return int(self._rows(_WATCHERS)[0][0])

    def resumed(self, dag_id: str, run_id: str) -> dict[tuple[str, int], Resumed]:
        """Return the tasks whose triggers have fired, by task id and map index."""
        return {
            (task, index): Resumed(at.timestamp(), state, method, json.dumps(kwargs))
            for task, index, state, at, method, kwargs in self._rows(_RESUMED, dag=dag_id, run=run_id)
        }

    def payloads(self, asset: str) -> list[Any]:
        """Return the payloads of a watched asset's events, oldest first."""
        return [(extra or {}).get("payload") for _, _, extra in self._rows(_EVENTS, asset=asset)]

    def kept(self, asset: str) -> dict[str, str]:
        """Return what the state store of an asset keeps."""
        return dict(self._rows(_KEPT, asset=asset))

    def spans(self, dag_id: str, run_id: str) -> dict[str, Span]:
        """Return how long each task of a run took that has ended, from when it first ran."""
        return {
            task: Span(state, (ended - began).total_seconds())
            for task, state, began, ended in self._rows(_SPANS, dag=dag_id, run=run_id)
            if isinstance(ended, datetime) and state in ("success", "failed", "skipped")
        }

    def _rows(self, query: str, **values: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(sqlalchemy.text(query), values).all())


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float, every: float = 0.3) -> None:
    """
    Wait for something.

    :raises RuntimeError: it does not come.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def comes_about(is_so: Callable[[], bool], *, seconds: float) -> bool:
    """Wait for something, and return whether it has come."""
    with suppress(RuntimeError):
        wait_until(is_so, "It", seconds=seconds)
    return is_so()
