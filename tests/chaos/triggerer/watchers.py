"""Watchers of a stream: many that share their requests, and one beside sensors whose triggerer is killed again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import Metadata, comes_about, wait_until
from tests.chaos.checks.changes import Change, Told, Truth, judge_told, missed, read_told
from tests.chaos.checks.sensors import MODES, judge_deadlines, judge_firing
from tests.chaos.triggerer.sensor_crowd import POOL, RUN, let_wait, searches

_POLLS = 5
_LOADS = "loads_watched"
_ENDS_WITHIN = 90.0
# A dead triggerer's triggers are taken over some seconds after its last heartbeat.
_TAKEN_OVER_WITHIN = 60.0
# Rows that are changed at a time, besides those that sensors wait for.
_OTHERS = 4
# Sensors whose loads are delivered at a time: some are left for the time after the last kill.
_SENSORS = 5


class Watchers:
    """
    The watched part of the play.

    :param plan: who waits for what.
    """

    def __init__(
        self, airflow: Daemons, metadata: Metadata, alvys: Simulator, plan: Mapping[str, Any]
    ) -> None:
        self._airflow = airflow
        self._metadata = metadata
        self._alvys = alvys
        self._interval = float(plan["interval"])
        self._few: list[str] = plan["few"]
        self._status: str = plan["trip_status"]
        self._assets = [f"trips_{status}" for status in plan["statuses"]]
        self._deadline = float(plan["deadline"])
        self._deadline_interval = float(plan["deadline_interval"])
        self._loads = Truth(alvys, "loads")
        self._trips = Truth(alvys, "trips")
        # In each place another one, and none that a sensor waits for.
        self._other_loads = iter(alvys.truth_keys(stream="loads", filters={"IncludeDeleted": False}))
        self._other_trips = iter(alvys.truth_keys(stream="trips", filters={"IncludeDeleted": False}))
        self._waiting = list(self._few)
        self._changed: dict[str, float] = {}
        # Changes that were told long before the first kill.
        self._settled: list[Change] = []

    def share(self) -> list[str]:
        """Count what ten watchers cost, while sensors wait in vain in each mode."""
        # With that of the loads, that of the loop, and that of an example.
        watchers = len(self._assets) + 3
        wait_until(
            lambda: self._metadata.watchers() == watchers, f"{watchers} watchers", seconds=_ENDS_WITHIN
        )
        # From its first look on a watcher tells what changes.
        wait_until(
            lambda: bool(searches(self._alvys, "trips") and searches(self._alvys, "loads")),
            "Looks",
            seconds=_ENDS_WITHIN,
        )
        self._airflow.api.trigger("deadlines", RUN)
        before, began = searches(self._alvys, "trips"), time.monotonic()
        for poll in range(_POLLS):
            if poll in (1, 3):
                self._trips.change([next(self._other_trips) for _ in range(_OTHERS)], Status=self._status)
            if poll == 1:
                self._loads.change([next(self._other_loads) for _ in range(_OTHERS)])
            if poll == 2:
                # For later: by now the other ones have begun.
                let_wait(self._airflow, self._metadata, "few", len(self._few))
            time.sleep(max(0.0, began + (poll + 1) * self._interval - time.monotonic()))
        polls, intervals = (
            searches(self._alvys, "trips") - before,
            (time.monotonic() - began) / self._interval,
        )
        comes_about(lambda: not any(self._missed_trips().values()), seconds=3 * self._interval)
        told = {asset: read_told(self._metadata.payloads(asset)) for asset in self._assets}
        problems = [
            problem for asset in self._assets for problem in judge_told(asset, self._trips, told[asset])
        ]
        all_told = sum(not missed for missed in self._missed_trips().values())
        print(
            f"{len(self._assets)} watchers of the trips: {polls} requests in {intervals:.1f} intervals; {all_told} of "
            f"{len(self._trips.made)} changes were told to each of them.",
            flush=True,
        )
        if not intervals - 1 <= polls <= intervals + 1:
            problems.append(
                f"{len(self._assets)} watchers made {polls} requests in {intervals:.1f} intervals"
            )
        self._settled = list(self._loads.made)
        return [*problems, *self._judge_deadlines()]

    def _missed_trips(self) -> dict[Any, int]:
        """Count the watchers that have not told of a change, by the change."""
        told = [read_told(self._metadata.payloads(asset)) for asset in self._assets]
        return {change: sum(bool(missed([change], one)) for one in told) for change in self._trips.made}

    def _judge_deadlines(self) -> list[str]:
        comes_about(
            lambda: len(self._metadata.spans("deadlines", RUN)) == len(MODES) * 2, seconds=_ENDS_WITHIN
        )
        spans = self._metadata.spans("deadlines", RUN)
        told = ", ".join(
            f"{task} {span.state} after {span.seconds:.1f} s" for task, span in sorted(spans.items())
        )
        print(
            f"Sensors that wait in vain for {self._deadline:g} s, each {self._deadline_interval:g} s: {told}.",
            flush=True,
        )
        return judge_deadlines(spans, self._deadline, self._deadline_interval)

    def survive(self, *, kills: int) -> list[str]:
        """Kill the triggerer so many times, three at most, and see what became of those that waited in it."""
        blows: Mapping[str, Callable[[], None]] = {
            "right after an event": self._until_an_event,
            "in the middle of a poll": self._until_a_poll_is_under_way,
            "as it says how far it has come": self._until_state_is_kept,
        }
        problems = []
        for moment, wait in list(blows.items())[:kills]:
            self._change()
            wait()
            died = self._airflow.kill("triggerer", whole=True)
            killed = time.monotonic()
            self._alvys.order_faults()
            self._change()
            self._airflow.start("triggerer")
            self._change()
            is_quiet = comes_about(self._is_quiet, seconds=_TAKEN_OVER_WITHIN)
            end = "all have fired, and all is told" if is_quiet else "something has not fired, or is not told"
            print(
                f"Killed {moment}, {died} processes: after {time.monotonic() - killed:.1f} s {end}.",
                flush=True,
            )
            if not is_quiet:
                problems.append(f"What waited in a triggerer that was killed {moment} does not go on")
            if died < 2:
                problems.append(f"Only {died} processes were there to be killed {moment}")
        self._change(len(self._waiting))
        comes_about(self._is_quiet, seconds=_TAKEN_OVER_WITHIN)
        return problems + self._judge_survival()

    def _change(self, sensors: int = _SENSORS) -> None:
        """Deliver what some sensors wait for, and change some others, one of them again."""
        delivered, self._waiting = self._waiting[:sensors], self._waiting[sensors:]
        now = time.time()
        self._loads.change(delivered, Status="Delivered")
        self._changed |= dict.fromkeys(delivered, now)
        again = [self._loads.made[-1][0]]
        self._loads.change([*(next(self._other_loads) for _ in range(_OTHERS)), *again])

    def _told(self) -> Told:
        return read_told(self._metadata.payloads(_LOADS))

    def _is_quiet(self) -> bool:
        return len(self._metadata.resumed("few", RUN)) >= len(self._changed) and not missed(
            self._loads.made, self._told()
        )

    def _until_an_event(self) -> None:
        before = len(self._metadata.payloads(_LOADS))
        wait_until(
            lambda: len(self._metadata.payloads(_LOADS)) > before,
            "An event",
            seconds=_ENDS_WITHIN,
            every=0.05,
        )

    def _until_a_poll(self) -> None:
        before = searches(self._alvys, "loads")
        wait_until(
            lambda: searches(self._alvys, "loads") > before, "A poll", seconds=_ENDS_WITHIN, every=0.02
        )

    def _until_state_is_kept(self) -> None:
        # In the look that finds the change, or later: what was yielded before must be stored by then.
        self._until_a_poll()
        before = self._metadata.kept(_LOADS)
        wait_until(
            lambda: self._metadata.kept(_LOADS) != before, "A new state", seconds=_ENDS_WITHIN, every=0.02
        )

    def _until_a_poll_is_under_way(self) -> None:
        # What is killed is killed before it is answered.
        self._alvys.order_faults(
            {"kind": "timeout", "endpoint": "POST loads/search", "seconds": 5, "times": 2}
        )
        self._until_a_poll()

    def _judge_survival(self) -> list[str]:
        resumed = {
            self._few[index]: fired for (_, index), fired in self._metadata.resumed("few", RUN).items()
        }
        problems = judge_firing(self._changed, resumed)
        self._airflow.run_module("tests.chaos.airflow.deferring_worker", "few", RUN, POOL)
        ends = self._metadata.states("few", RUN)
        if ends["success"] != len(self._few):
            problems.append(f"The sensors whose triggerer was killed: {dict(ends)}")
        told = self._told()
        print(
            f"{len(resumed)} of {len(self._few)} sensors fired, {ends['success']} succeeded; of {len(self._loads.made)} changes "
            f"{len(missed(self._loads.made, told))} were missed, {told.repeats} were told again.",
            flush=True,
        )
        again = [change for change in self._settled if len(told.keys.get(change, ())) > 1]
        if again:
            problems.append(
                f"{len(again)} of {len(self._settled)} changes were told again long after they had been"
            )
        return problems + judge_told(_LOADS, self._loads, told)
