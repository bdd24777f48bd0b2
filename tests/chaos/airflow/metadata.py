"""Queries of Airflow's database: deferred tasks, watched assets, durations."""

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

_STATES = """
SELECT coalesce(state, 'none'), count(*) FROM task_instance
WHERE dag_id = :dag AND run_id = :run GROUP BY 1
"""
_DEFERRED = """
SELECT count(*) FROM task_instance AS ti JOIN trigger ON trigger.id = ti.trigger_id
WHERE ti.dag_id = :dag AND ti.run_id = :run AND ti.state = 'deferred' AND trigger.triggerer_id IS NOT NULL
"""
_FIRED = """
SELECT task_id, map_index, state, scheduled_dttm, next_method, next_kwargs FROM task_instance
WHERE dag_id = :dag AND run_id = :run
AND (next_kwargs::text LIKE '%"event"%' OR state IN ('success', 'failed', 'skipped'))
"""
_EVENTS = """
SELECT event.id, event.timestamp, event.extra FROM asset_event AS event
JOIN asset ON asset.id = event.asset_id
WHERE asset.name = :asset ORDER BY event.id
"""
_DURATIONS = """
SELECT ti.task_id, ti.state, min(log.dttm), ti.end_date FROM task_instance AS ti
JOIN log ON log.dag_id = ti.dag_id AND log.run_id = ti.run_id AND log.task_id = ti.task_id
AND log.event = 'running'
WHERE ti.dag_id = :dag AND ti.run_id = :run GROUP BY ti.task_id, ti.state, ti.end_date
"""
_ASSET_STATE = """
SELECT store.key, store.value FROM asset_state_store AS store
JOIN asset ON asset.id = store.asset_id WHERE asset.name = :asset
"""
_WATCHERS = """
SELECT count(*) FROM asset_watcher AS watcher JOIN trigger ON trigger.id = watcher.trigger_id
WHERE trigger.triggerer_id IS NOT NULL
"""


@dataclass(frozen=True)
class FiredTask:
    """
    A task with a fired trigger.

    :param stored: when Airflow stored the event, in seconds since 1970.
    :param state: ``scheduled`` until a worker takes the task.
    :param method: the ``next_method`` of the task, until it has run.
    :param kwargs: the method's arguments as JSON, with the trigger's event.
    """

    stored: float
    state: str
    method: str | None
    kwargs: str


@dataclass(frozen=True)
class TaskDuration:
    """An ended task, and the seconds from its first start to its end."""

    state: str
    seconds: float


class MetadataDatabase:
    """
    A reader of Airflow's database.

    :param url: its SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url)

    def states(self, dag_id: str, run_id: str) -> Counter[str]:
        """Return the number of a run's tasks by state."""
        return Counter(dict(self._rows(_STATES, dag=dag_id, run=run_id)))

    def count_deferred(self, dag_id: str, run_id: str) -> int:
        """Return how many tasks of a run are deferred with a trigger that runs in a triggerer."""
        return int(self._rows(_DEFERRED, dag=dag_id, run=run_id)[0][0])

    def count_watchers(self) -> int:
        """Return how many asset watchers run in a triggerer."""
        return int(self._rows(_WATCHERS)[0][0])

    def fired_tasks(self, dag_id: str, run_id: str) -> dict[tuple[str, int], FiredTask]:
        """Return the tasks with fired triggers, by task id and map index."""
        return {
            (task, index): FiredTask(at.timestamp(), state, method, json.dumps(kwargs))
            for task, index, state, at, method, kwargs in self._rows(_FIRED, dag=dag_id, run=run_id)
        }

    def payloads(self, asset: str) -> list[Any]:
        """Return the payloads of a watched asset's events, oldest first."""
        return [(extra or {}).get("payload") for _, _, extra in self._rows(_EVENTS, asset=asset)]

    def asset_state(self, asset: str) -> dict[str, str]:
        """Return the state store of an asset."""
        return dict(self._rows(_ASSET_STATE, asset=asset))

    def durations(self, dag_id: str, run_id: str) -> dict[str, TaskDuration]:
        """Return the durations of the ended tasks of a run, by task id."""
        return {
            task: TaskDuration(state, (ended - began).total_seconds())
            for task, state, began, ended in self._rows(_DURATIONS, dag=dag_id, run=run_id)
            if isinstance(ended, datetime) and state in ("success", "failed", "skipped")
        }

    def _rows(self, query: str, **values: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(sqlalchemy.text(query), values).all())


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float, every: float = 0.3) -> None:
    """
    Wait until a condition is true.

    :raises RuntimeError: the time is over.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Timed out after {seconds:g} s: {what}")
        time.sleep(every)


def becomes_true(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until a condition is true or the time is over, and return which."""
    with suppress(RuntimeError):
        wait_until(condition, "condition", seconds=seconds)
    return condition()
