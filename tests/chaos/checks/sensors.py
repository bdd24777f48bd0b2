"""What is wrong with who fired when, and with how long was waited in vain."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.airflow.metadata import Resumed, Span

# Of a sensor, as the DAG names its tasks.
MODES = ("poke", "reschedule", "deferrable")


def judge_firing(changed: Mapping[str, float], resumed: Mapping[str, Resumed]) -> list[str]:
    """
    Return what is wrong with who fired.

    :param changed: when each load was delivered, by number, in seconds since 1970.
    :param resumed: what became of the sensor of each.
    """
    problems = []
    missing = sorted(set(changed) - set(resumed))
    if missing:
        problems.append(f"{len(missing)} sensors did not fire, such as that of {missing[0]}")
    early = [number for number, at in changed.items() if number in resumed and resumed[number].stored < at]
    if early:
        problems.append(
            f"{len(early)} sensors fired before their load was delivered, such as that of {early[0]}"
        )
    invented = sorted(set(resumed) - set(changed))
    if invented:
        problems.append(f"{len(invented)} sensors fired for nothing, such as that of {invented[0]}")
    wrong = [
        (number, fired.method, fired.kwargs)
        for number, fired in resumed.items()
        if fired.state == "scheduled" and number not in fired.kwargs
    ]
    if wrong:
        problems.append(f"{len(wrong)} events are not of the load that was waited for, such as {wrong[0]}")
    return problems


def judge_delays(changed: Mapping[str, float], fired: Mapping[str, float], limit: float) -> list[str]:
    """
    Return what is wrong with when the sensors fired.

    :param changed: when each load was delivered, by number, in seconds since 1970.
    :param fired: when the trigger of each did.
    :param limit: it must within so many seconds of the change.
    """
    problems = []
    unknown = sorted(set(changed) - set(fired))
    if unknown:
        problems.append(f"When {len(unknown)} sensors fired is not known, such as that of {unknown[0]}")
    late = [
        fired[number] - at for number, at in changed.items() if number in fired and fired[number] - at > limit
    ]
    if late:
        problems.append(
            f"{len(late)} sensors fired later than {limit:g} s after the change, up to {max(late):.1f} s"
        )
    return problems


def judge_deadlines(spans: Mapping[str, Span], deadline: float, interval: float) -> list[str]:
    """
    Return what is wrong with the ends of sensors that wait in vain.

    :param spans: by ``mode`` and ``mode_soft``.
    """
    problems = []
    for suffix, state in (("", "failed"), ("_soft", "skipped")):
        ended = {mode: spans[mode + suffix] for mode in MODES if mode + suffix in spans}
        for mode in MODES:
            if mode not in ended:
                problems.append(f"The sensor {mode}{suffix} did not end")
            elif ended[mode].state != state:
                problems.append(f"The sensor {mode}{suffix} is {ended[mode].state}, not {state}")
            elif ended[mode].seconds < deadline:
                problems.append(
                    f"The sensor {mode}{suffix} ended after {ended[mode].seconds:.1f} s, before its {deadline:g} s"
                )
        seconds = [span.seconds for span in ended.values()]
        if seconds and max(seconds) - min(seconds) >= interval:
            problems.append(f"The modes' ends {seconds} differ by a poll interval of {interval:g} s or more")
    return problems
