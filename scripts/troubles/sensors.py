"""Sensors."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys import AlvysDocumentSensor, AlvysLoadStatusSensor
from scripts.troubles.bench import Bench


def cancelled(bench: Bench) -> Any:
    """
    The load was cancelled, so that it will never reach the status.

    Nothing, or `failed_statuses=None` to wait all the same. `soft_fail` skips the task instead.
    """
    number = bench.load_number()
    bench.alvys.change(keys=[number], columns={"Status": "Cancelled"})
    return bench.run(AlvysLoadStatusSensor(task_id="a", load_number=number, statuses="Delivered"))


def missing_load(bench: Bench) -> Any:
    """
    The load does not exist, with `wait_if_missing=False`.

    Check the number. By default the sensor waits for the load, and logs how often it polls.
    """
    return bench.run(
        AlvysLoadStatusSensor(task_id="a", load_number="1000001", statuses="Delivered", wait_if_missing=False)
    )


def timed_out(bench: Bench) -> Any:
    """
    The condition was not met before the `timeout`.

    Raise `timeout` (in seconds, or a timedelta; Airflow's default is 7 days), or clear the task.
    """
    number = bench.load_number()
    bench.alvys.change(keys=[number], columns={"Status": "Open"})
    return bench.run(
        AlvysLoadStatusSensor(
            task_id="a", load_number=number, statuses="Delivered", timeout=0, poke_interval=0.01
        )
    )


def skipped_upstream(bench: Bench) -> Any:
    """
    The number comes from a task that was skipped.

    Give the sensor a number, or skip it with the task before it.
    """
    task = AlvysDocumentSensor(task_id="a", parent_id="{{ x }}", document_types="Proof of Delivery")
    task.parent_id = None
    return bench.run(task)
