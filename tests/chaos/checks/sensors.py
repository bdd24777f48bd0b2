"""Check which sensors fired, when they fired, and how they timed out."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.airflow.metadata import FiredTask, TaskDuration

# The modes of a sensor, as the DAG names its tasks.
MODES = ("poke", "reschedule", "deferrable")


def check_fired(changed: Mapping[str, float], fired: Mapping[str, FiredTask]) -> list[str]:
    """
    Return the problems with the sensors that fired.

    :param changed: by load number, when the load was delivered, in seconds since 1970.
    :param fired: by load number, the sensors that fired.
    """
    problems = []
    if missing := sorted(set(changed) - set(fired)):
        problems.append(f"Sensors that did not fire: {len(missing)}, first for load {missing[0]}")
    early = [number for number, at in changed.items() if number in fired and fired[number].stored < at]
    if early:
        problems.append(f"Sensors that fired before the delivery: {len(early)}, first for load {early[0]}")
    if unexpected := sorted(set(fired) - set(changed)):
        problems.append(
            f"Sensors that fired without a delivery: {len(unexpected)}, first for load {unexpected[0]}"
        )
    wrong = [
        (number, task.method, task.kwargs)
        for number, task in fired.items()
        if task.state == "scheduled" and number not in task.kwargs
    ]
    if wrong:
        problems.append(f"Sensors with the event of another load: {len(wrong)}, first {wrong[0]}")
    return problems


def check_delays(changed: Mapping[str, float], fired: Mapping[str, float], limit: float) -> list[str]:
    """
    Return the problems with the times at which sensors fired.

    :param changed: by load number, when the load was delivered, in seconds since 1970.
    :param fired: by load number, when the trigger fired.
    :param limit: longest allowed delay in seconds.
    """
    problems = []
    if unknown := sorted(set(changed) - set(fired)):
        problems.append(f"Sensors without a logged time: {len(unknown)}, first for load {unknown[0]}")
    delays = [fired[number] - at for number, at in changed.items() if number in fired]
    if late := [delay for delay in delays if delay > limit]:
        problems.append(f"Sensors later than {limit:g} s: {len(late)}, the last after {max(late):.1f} s")
    return problems


def check_timeouts(durations: Mapping[str, TaskDuration], timeout: float, interval: float) -> list[str]:
    """
    Return the problems with sensors that time out.

    :param durations: by ``mode`` and ``mode_soft``.
    """
    problems = []
    for suffix, state in (("", "failed"), ("_soft", "skipped")):
        ended = {mode: durations[mode + suffix] for mode in MODES if mode + suffix in durations}
        for mode in MODES:
            name = f"Sensor {mode}{suffix}"
            if mode not in ended:
                problems.append(f"{name} did not end")
            elif ended[mode].state != state:
                problems.append(f"{name} is {ended[mode].state}, expected {state}")
            elif ended[mode].seconds < timeout:
                problems.append(f"{name} ended after {ended[mode].seconds:.1f} s, before {timeout:g} s")
        seconds = [task.seconds for task in ended.values()]
        if seconds and max(seconds) - min(seconds) >= interval:
            problems.append(f"Timeouts of the modes differ by {interval:g} s or more: {seconds}")
    return problems
