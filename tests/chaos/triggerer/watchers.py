"""Ten watchers that share their requests; a watcher and sensors whose triggerer is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import MetadataDatabase, becomes_true, wait_until
from tests.chaos.checks.changes import (
    Change,
    EmittedChanges,
    MadeChanges,
    check_emitted,
    find_missed,
    read_emitted,
)
from tests.chaos.checks.requests import count_searches
from tests.chaos.checks.sensors import MODES, check_fired, check_timeouts
from tests.chaos.triggerer.sensor_crowd import POOL, RUN, start_deferred

_POLLS = 5
_LOADS = "loads_watched"
_ENDS_WITHIN = 90.0
# Another triggerer takes over some seconds after the last heartbeat.
_TAKEN_OVER_WITHIN = 60.0
# Rows changed at a time, in addition to those of sensors.
_OTHERS = 4
# Sensors to fire at a time: some remain for the time after the last kill.
_SENSORS = 5


class WatcherScenario:
    """
    The scenarios of watchers.

    :param plan: what the DAGs wait for.
    """

    def __init__(
        self, airflow: Daemons, metadata: MetadataDatabase, alvys: Simulator, plan: Mapping[str, Any]
    ) -> None:
        self._airflow = airflow
        self._metadata = metadata
        self._alvys = alvys
        self._interval = float(plan["interval"])
        self._few: list[str] = plan["few"]
        self._status: str = plan["trip_status"]
        self._assets = [f"trips_{status}" for status in plan["statuses"]]
        self._timeout = float(plan["timeout"])
        self._timeout_interval = float(plan["timeout_interval"])
        self._loads = MadeChanges(alvys, "loads")
        self._trips = MadeChanges(alvys, "trips")
        # Rows that no sensor waits for, each used once.
        self._other_loads = iter(alvys.truth_keys(stream="loads", filters={"IncludeDeleted": False}))
        self._other_trips = iter(alvys.truth_keys(stream="trips", filters={"IncludeDeleted": False}))
        self._waiting = list(self._few)
        self._changed: dict[str, float] = {}
        # Changes emitted long before the first kill.
        self._before_kills: list[Change] = []

    def share_requests(self) -> list[str]:
        """Count the requests of ten watchers, while sensors of each mode time out; return the problems."""
        # In addition: those of the loads, of the loop probe, and of an example.
        watchers = len(self._assets) + 3
        wait_until(
            lambda: self._metadata.count_watchers() == watchers, f"{watchers} watchers", seconds=_ENDS_WITHIN
        )
        # A watcher emits the changes after its first poll.
        wait_until(
            lambda: bool(count_searches(self._alvys, "trips") and count_searches(self._alvys, "loads")),
            "the first polls",
            seconds=_ENDS_WITHIN,
        )
        self._airflow.api.trigger("timeouts", RUN)
        before, began = count_searches(self._alvys, "trips"), time.monotonic()
        for poll in range(_POLLS):
            if poll in (1, 3):
                self._trips.change([next(self._other_trips) for _ in range(_OTHERS)], Status=self._status)
            if poll == 1:
                self._loads.change([next(self._other_loads) for _ in range(_OTHERS)])
            if poll == 2:
                # For kill_triggerer: by now the sensors that time out have started.
                start_deferred(self._airflow, self._metadata, "few", len(self._few))
            time.sleep(max(0.0, began + (poll + 1) * self._interval - time.monotonic()))
        polls = count_searches(self._alvys, "trips") - before
        intervals = (time.monotonic() - began) / self._interval
        becomes_true(lambda: not any(self._watchers_missing().values()), seconds=3 * self._interval)
        problems = []
        for asset in self._assets:
            problems += check_emitted(asset, self._trips, read_emitted(self._metadata.payloads(asset)))
        complete = sum(not missing for missing in self._watchers_missing().values())
        print(
            f"Watchers of trips: watchers={len(self._assets)} requests={polls} in {intervals:.1f} intervals; "
            f"{complete} of {len(self._trips.made)} changes emitted by every watcher.",
            flush=True,
        )
        if not intervals - 1 <= polls <= intervals + 1:
            problems.append(
                f"{len(self._assets)} watchers made {polls} requests in {intervals:.1f} intervals"
            )
        self._before_kills = list(self._loads.made)
        return [*problems, *self._check_timeouts()]

    def _watchers_missing(self) -> dict[Change, int]:
        """Return by change how many watchers have not emitted it."""
        emitted = [read_emitted(self._metadata.payloads(asset)) for asset in self._assets]
        return {
            change: sum(bool(find_missed([change], one)) for one in emitted) for change in self._trips.made
        }

    def _check_timeouts(self) -> list[str]:
        expected = len(MODES) * 2
        becomes_true(lambda: len(self._metadata.durations("timeouts", RUN)) == expected, seconds=_ENDS_WITHIN)
        durations = self._metadata.durations("timeouts", RUN)
        ends = ", ".join(
            f"{task} {one.state} after {one.seconds:.1f} s" for task, one in sorted(durations.items())
        )
        interval = self._timeout_interval
        print(f"Sensors with timeout={self._timeout:g} s interval={interval:g} s: {ends}.", flush=True)
        return check_timeouts(durations, self._timeout, interval)

    def kill_triggerer(self, *, kills: int) -> list[str]:
        """Kill the triggerer up to three times, and return the problems of its sensors and watchers."""
        moments: Mapping[str, Callable[[], None]] = {
            "right after an event": self._wait_for_event,
            "during a poll": self._wait_for_hanging_poll,
            "while it saves its state": self._wait_for_state,
        }
        problems = []
        for moment, wait in list(moments.items())[:kills]:
            self._change()
            wait()
            died = self._airflow.kill("triggerer", with_descendants=True)
            killed = time.monotonic()
            self._alvys.order_faults()
            self._change()
            self._airflow.start("triggerer")
            self._change()
            is_caught_up = becomes_true(self._is_caught_up, seconds=_TAKEN_OVER_WITHIN)
            seconds = time.monotonic() - killed
            outcome = "all sensors fired, all changes emitted" if is_caught_up else "not caught up"
            print(
                f"Triggerer killed {moment}: processes={died}, after {seconds:.1f} s {outcome}.", flush=True
            )
            if not is_caught_up:
                problems.append(f"Triggerer killed {moment}: its triggers did not catch up")
            if died < 2:
                problems.append(f"Triggerer killed {moment}: only {died} processes were alive")
        self._change(len(self._waiting))
        becomes_true(self._is_caught_up, seconds=_TAKEN_OVER_WITHIN)
        return problems + self._check_after_kills()

    def _change(self, sensors: int = _SENSORS) -> None:
        """Deliver the loads of some sensors, change some other loads, and one of the changed loads again."""
        delivered, self._waiting = self._waiting[:sensors], self._waiting[sensors:]
        now = time.time()
        self._loads.change(delivered, Status="Delivered")
        self._changed |= dict.fromkeys(delivered, now)
        again = [self._loads.made[-1][0]]
        self._loads.change([*(next(self._other_loads) for _ in range(_OTHERS)), *again])

    def _emitted(self) -> EmittedChanges:
        return read_emitted(self._metadata.payloads(_LOADS))

    def _is_caught_up(self) -> bool:
        fired = len(self._metadata.fired_tasks("few", RUN))
        return fired >= len(self._changed) and not find_missed(self._loads.made, self._emitted())

    def _wait_for_event(self) -> None:
        before = len(self._metadata.payloads(_LOADS))
        wait_until(
            lambda: len(self._metadata.payloads(_LOADS)) > before,
            "an event",
            seconds=_ENDS_WITHIN,
            every=0.05,
        )

    def _wait_for_poll(self) -> None:
        before = count_searches(self._alvys, "loads")
        wait_until(
            lambda: count_searches(self._alvys, "loads") > before, "a poll", seconds=_ENDS_WITHIN, every=0.02
        )

    def _wait_for_state(self) -> None:
        # After the poll that finds the change: the events yielded before must be stored by then.
        self._wait_for_poll()
        before = self._metadata.asset_state(_LOADS)
        wait_until(
            lambda: self._metadata.asset_state(_LOADS) != before,
            "a new state",
            seconds=_ENDS_WITHIN,
            every=0.02,
        )

    def _wait_for_hanging_poll(self) -> None:
        # The response comes after the kill.
        fault = {"kind": "timeout", "endpoint": "POST loads/search", "seconds": 5, "times": 2}
        self._alvys.order_faults(fault)
        self._wait_for_poll()

    def _check_after_kills(self) -> list[str]:
        tasks = self._metadata.fired_tasks("few", RUN)
        fired = {self._few[index]: task for (_, index), task in tasks.items()}
        problems = check_fired(self._changed, fired)
        self._airflow.run_module("tests.chaos.airflow.deferring_worker", "few", RUN, POOL)
        states = self._metadata.states("few", RUN)
        if states["success"] != len(self._few):
            problems.append(f"Sensors after the kills: {dict(states)}, expected {len(self._few)} success")
        emitted = self._emitted()
        missed = find_missed(self._loads.made, emitted)
        print(
            f"After the kills: sensors={len(self._few)} fired={len(fired)} succeeded={states['success']}; "
            f"changes={len(self._loads.made)} missed={len(missed)} emitted again={emitted.repeats}.",
            flush=True,
        )
        again = [change for change in self._before_kills if len(emitted.keys.get(change, ())) > 1]
        if again:
            problems.append(f"{len(again)} of {len(self._before_kills)} old changes were emitted again")
        return problems + check_emitted(_LOADS, self._loads, emitted)
