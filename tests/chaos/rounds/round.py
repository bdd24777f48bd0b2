"""A round: syncs under disruptions, then an undisturbed run, then a comparison with the simulator."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons, TaskProcesses
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.dataset import count_in_logs
from tests.chaos.checks.monitor import DatasetMonitor
from tests.chaos.rounds.plan import STREAMS, TASK_KILLED, Disruption, Plan, daemon_of

DAG = "chaos"
PAGE = 20
# Seconds that a minute of the documented limits lasts.
MINUTE = 4.0
ROWS = 400
FLEET = 120
# Four searches read them.
INVOICES = 100
_AN_HOUR = 3600.0
_CHECK_EVERY = 2.0
_ENDS_WITHIN = 240.0
# Longer than `settling` of the DAG plus the second that the Date header cuts off.
_PAUSE = 3.5
# A new scheduler needs this long to adopt the tasks of a killed one.
_ORPHANS_LIVE = 15.0
# A younger task may not have sent a request yet.
_MIN_TASK_AGE = 2.5
_DEFERRED = "Pausing task as DEFERRED"


@dataclass
class Kill:
    """
    A kill and its effect.

    :param processes: how many died.
    :param task: task id and map index of the killed task; None for a daemon.
    :param try_number: the killed try.
    """

    kind: str
    processes: int
    run_id: str
    task: tuple[str, int] | None = None
    try_number: int = 0
    was_retried: bool = False


@dataclass
class RoundResult:
    """
    The result of a round. The counters of rows and requests are by stream.

    :param seconds: of the round; ``disrupted_seconds`` until all disrupted runs had ended.
    :param missed_in_open_runs: unchanged rows that manifests with proof "open" do not have.
    :param before_lookback: rows that appeared late, dated before the lookback of all later runs.
    """

    plan: Plan
    seconds: float = 0.0
    disrupted_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    min_requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    manifests: int = 0
    missed_in_open_runs: int = 0
    before_lookback: int = 0
    tries: int = 0
    tasks: int = 0
    deferrals: int = 0
    cleared: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def extra(self) -> Counter[str]:
        """Requests beyond the minimum."""
        return Counter({stream: self.requests[stream] - self.min_requests[stream] for stream in STREAMS})


class Round:
    """
    A round of disrupted syncs.

    :param number: part of the run ids.
    :param lake: an empty data set.
    """

    def __init__(self, airflow: Daemons, alvys: Simulator, plan: Plan, number: int, lake: Path) -> None:
        self.result = RoundResult(plan)
        self._airflow = airflow
        self._alvys = alvys
        self._plan = plan
        self._number = number
        self._lake = lake
        self._runs: list[str] = []
        self._random = random.Random(number)
        self._monitor = DatasetMonitor(alvys, lake, STREAMS)
        self._orphans_since: float | None = None

    def run(self) -> RoundResult:
        """Run the round, and return its result."""
        started = time.monotonic()
        rows = {"loads": ROWS, "fleet": FLEET, "rows": {"invoices": INVOICES}}
        options = {**rows, "limits": True, "minute": MINUTE, "now": time.time() - _AN_HOUR}
        self._alvys.reset(**(options | self._plan.options))
        self._monitor.check()
        self._trigger("disrupted")
        self._disrupt()
        self._alvys.order_mutations()
        # Remove the cap on page sizes: a fault takes effect with the next request.
        self._alvys.order_faults({"kind": "cap", "cap": None, "label": "none"})
        self._wait_for_success()
        self.result.disrupted_seconds = time.monotonic() - started
        time.sleep(_PAUSE)
        self._trigger("undisturbed")
        self._wait_for_success()
        self._collect()
        self._airflow.kill_orphans()
        self.result.seconds = time.monotonic() - started
        return self.result

    def _trigger(self, name: str) -> None:
        run_id = f"round-{self._number}-{name}-{len(self._runs)}"
        self._airflow.api.trigger(DAG, run_id)
        self._runs.append(run_id)

    def _disrupt(self) -> None:
        """Apply the planned disruptions, and start another run whenever one ends meanwhile."""
        started = time.monotonic()
        for disruption in self._plan.disruptions:
            self._check_until(lambda at=disruption.at: time.monotonic() - started >= at)  # type: ignore[misc]
            self._apply(disruption)
        self._check_until(lambda: time.monotonic() - started >= self._plan.seconds)

    def _check_until(self, is_over: Callable[[], bool]) -> None:
        checked = 0.0
        while not is_over():
            if time.monotonic() - checked >= _CHECK_EVERY:
                checked = time.monotonic()
                self._check()
                if self._run_state() in END_STATES:
                    self._trigger("disrupted")
            time.sleep(0.1)

    def _check(self) -> None:
        self._monitor.check()
        if self._orphans_since is not None and time.monotonic() - self._orphans_since > _ORPHANS_LIVE:
            self._airflow.kill_orphans()
            self._orphans_since = None

    def _run_state(self) -> str:
        return self._airflow.api.run_state(DAG, self._runs[-1])

    def _apply(self, disruption: Disruption) -> None:
        if disruption.kill == TASK_KILLED:
            self._kill_task(disruption.stream)
        elif disruption.kill:
            name, with_descendants = daemon_of(disruption.kill)
            died = self._airflow.kill(name, with_descendants=with_descendants)
            self.result.kills.append(Kill(disruption.kill, died, self._runs[-1]))
            self._airflow.start(name)
            if not with_descendants:
                self._orphans_since = time.monotonic()
        else:
            self._alvys.order_faults(*disruption.faults)
            self._alvys.order_mutations(*disruption.mutations)

    def _kill_task(self, stream: str | None) -> None:
        """Kill a running task as soon as one runs."""
        found: list[tuple[TaskProcesses, dict[str, Any]]] = []

        def find() -> bool:
            tasks = self._tasks(self._runs[-1])
            running = {task["id"]: task for task in tasks if task["state"] == "running"}
            for processes in self._airflow.running_tasks():
                task = running.get(processes.id)
                is_wanted = task is not None and (stream is None or stream in task["task_id"])
                if task is not None and is_wanted and _age(processes.task) >= _MIN_TASK_AGE:
                    found.append((processes, task))
            return bool(found)

        deadline = time.monotonic() + 20
        self._check_until(lambda: find() or time.monotonic() > deadline)
        if not found:
            self.result.kills.append(Kill(TASK_KILLED, 0, self._runs[-1]))
            return
        processes, task = self._random.choice(found)
        died = self._airflow.kill_task(processes)
        killed = (task["task_id"], task["map_index"])
        self.result.kills.append(Kill(TASK_KILLED, died, self._runs[-1], killed, task["try_number"]))

    def _wait_for_success(self) -> None:
        """Wait until the last run succeeds; clear its failed tasks."""
        deadline = time.monotonic() + _ENDS_WITHIN
        while (state := self._run_state()) != "success":
            if state == "failed":
                self.result.cleared += 1
                self._airflow.api.clear_failed(DAG, self._runs[-1])
            if time.monotonic() > deadline:
                tasks = self._tasks(self._runs[-1])
                states = [(task["task_id"], task["map_index"], task["state"]) for task in tasks]
                raise RuntimeError(f"{self._runs[-1]} did not end within {_ENDS_WITHIN:g} s: {states}")
            self._check()
            time.sleep(_CHECK_EVERY)

    def _tasks(self, run_id: str) -> list[dict[str, Any]]:
        return self._airflow.api.tasks(DAG, run_id)

    def _collect(self) -> None:
        comparisons = self._monitor.finish()
        result, monitor, stats = self.result, self._monitor, self._alvys.stats()
        result.lost.update(monitor.lost)
        for stream, comparison in comparisons.items():
            result.lost[stream] += comparison.wrong
            result.requests[stream] = stats["requests"].get(f"POST {stream}/search", 0)
        for run in monitor.runs:
            result.repeated[run.stream] += run.repeated
            result.min_requests[run.stream] += run.min_requests(PAGE)
        result.faults.update(stats["faults"])
        result.mutations.update(stats["mutations"])
        planned = sum(count for name, count in result.faults.items() if ":429" in name)
        result.refused = stats["rate_limited"] - planned
        result.manifests = len(monitor.runs)
        result.missed_in_open_runs = monitor.missed_in_open_runs
        result.before_lookback = monitor.before_lookback
        result.problems += monitor.problems
        for run_id in self._runs:
            tasks = self._tasks(run_id)
            result.tasks += len(tasks)
            result.tries += sum(task["try_number"] for task in tasks)
            result.deferrals += count_in_logs(self._airflow.home / "logs", run_id, _DEFERRED).total()
            tries = {(task["task_id"], task["map_index"]): task["try_number"] for task in tasks}
            for kill in result.kills:
                if kill.task and kill.run_id == run_id:
                    kill.was_retried = tries.get(kill.task, 0) > kill.try_number


def _age(process: psutil.Process) -> float:
    try:
        return time.time() - process.create_time()
    except psutil.Error:
        return 0.0
