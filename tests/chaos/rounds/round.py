"""One round: syncs under blows, then calm, then a last quiet run, then the verdict."""

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
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.rest_api import END_STATES
from tests.chaos.checks.dataset import count_in_logs
from tests.chaos.checks.monitor import Witness
from tests.chaos.rounds.plan import STREAMS, TASK_KILLED, Blow, Plan, daemon_of

DAG = "chaos"
PAGE = 20
# A minute of the documented limits lasts so many seconds.
MINUTE = 4.0
ROWS = 400
FLEET = 120
# They are read by four searches.
INVOICES = 100
_AN_HOUR = 3600.0
_LOOK_EVERY = 2.0
_ENDS_WITHIN = 240.0
# More than what the windows leave to settle, and the second that the Date header cuts off.
_SETTLED = 3.5
# By then a new scheduler has taken the tasks of a killed one from it, while they went on.
_ORPHANS_LIVE = 15.0
# A task that is younger may not have sent a request yet.
_GROWN = 2.5
_DEFERRED = "Pausing task as DEFERRED"


@dataclass
class Kill:
    """
    A kill, and what became of it.

    :param processes: how many died.
    :param task: which was hit, as ``(task id, map index)``; None for a daemon.
    :param try_number: of the task when it was hit.
    """

    kind: str
    processes: int
    run_id: str
    task: tuple[str, int] | None = None
    try_number: int = 0
    was_tried_again: bool = False


@dataclass
class Result:
    """What a round came to. The counters are by stream."""

    plan: Plan
    seconds: float = 0.0
    storm_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    least: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    manifests: int = 0
    missed_openly: int = 0
    out_of_reach: int = 0
    tries: int = 0
    tasks: int = 0
    deferrals: int = 0
    cleared: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def extra(self) -> Counter[str]:
        """Requests that were made beyond the least possible."""
        return Counter({stream: self.requests[stream] - self.least[stream] for stream in STREAMS})


class Round:
    """
    Play a round.

    :param number: names its runs.
    :param lake: an empty data set.
    """

    def __init__(self, airflow: Daemons, alvys: Simulator, plan: Plan, number: int, lake: Path) -> None:
        self.result = Result(plan)
        self._airflow = airflow
        self._alvys = alvys
        self._plan = plan
        self._number = number
        self._lake = lake
        self._runs: list[str] = []
        self._random = random.Random(number)
        self._witness = Witness(alvys, lake, STREAMS)
        self._orphans_since: float | None = None

    def play(self) -> Result:
        """Play it, and return what it came to."""
        started = time.monotonic()
        rows = {"loads": ROWS, "fleet": FLEET, "rows": {"invoices": INVOICES}}
        options = {**rows, "limits": True, "minute": MINUTE, "now": time.time() - _AN_HOUR}
        self._alvys.reset(**(options | self._plan.options))
        self._witness.look()
        self._trigger("storm")
        self._strike()
        self._alvys.order_mutations()
        # The cap goes with the next request.
        self._alvys.order_faults({"kind": "cap", "cap": None, "label": "none"})
        self._bring_to_end()
        self.result.storm_seconds = time.monotonic() - started
        time.sleep(_SETTLED)
        self._trigger("quiet")
        self._bring_to_end()
        self._conclude()
        self._airflow.end_orphans()
        self.result.seconds = time.monotonic() - started
        return self.result

    def _trigger(self, name: str) -> None:
        run_id = f"round-{self._number}-{name}-{len(self._runs)}"
        self._airflow.api.trigger(DAG, run_id)
        self._runs.append(run_id)

    def _strike(self) -> None:
        """Do as planned; a run that ends before the blows do is followed by another."""
        started = time.monotonic()
        for blow in self._plan.blows:
            self._watch(lambda blow=blow: time.monotonic() - started >= blow.at)  # type: ignore[misc]
            self._deal(blow)
        self._watch(lambda: time.monotonic() - started >= self._plan.seconds)

    def _watch(self, is_over: Callable[[], bool]) -> None:
        looked = 0.0
        while not is_over():
            if time.monotonic() - looked >= _LOOK_EVERY:
                looked = time.monotonic()
                self._look()
                if self._run_state() in END_STATES:
                    self._trigger("storm")
            time.sleep(0.1)

    def _look(self) -> None:
        self._witness.look()
        if self._orphans_since is not None and time.monotonic() - self._orphans_since > _ORPHANS_LIVE:
            self._airflow.end_orphans()
            self._orphans_since = None

    def _run_state(self) -> str:
        return self._airflow.api.run_state(DAG, self._runs[-1])

    def _deal(self, blow: Blow) -> None:
        if blow.kill == TASK_KILLED:
            self._kill_task(blow.stream)
        elif blow.kill:
            name, whole = daemon_of(blow.kill)
            died = self._airflow.kill(name, whole=whole)
            self.result.kills.append(Kill(blow.kill, died, self._runs[-1]))
            self._airflow.start(name)
            if not whole:
                self._orphans_since = time.monotonic()
        else:
            self._alvys.order_faults(*blow.faults)
            self._alvys.order_mutations(*blow.mutations)

    def _kill_task(self, stream: str | None) -> None:
        """Kill a task that is at work, as soon as there is one."""
        found: list[Any] = []

        def is_there() -> bool:
            known = {
                task["id"]: task
                for task in self._airflow.api.tasks(DAG, self._runs[-1])
                if task["state"] == "running"
            }
            for task in self._airflow.running_tasks():
                is_wanted = task.id in known and (stream is None or stream in known[task.id]["task_id"])
                if is_wanted and _age(task.task) >= _GROWN:
                    found.append((task, known[task.id]))
            return bool(found)

        deadline = time.monotonic() + 20
        self._watch(lambda: is_there() or time.monotonic() > deadline)
        if not found:
            self.result.kills.append(Kill(TASK_KILLED, 0, self._runs[-1]))
            return
        processes, task = self._random.choice(found)
        died = self._airflow.kill_task(processes)
        hit = (task["task_id"], task["map_index"])
        self.result.kills.append(Kill(TASK_KILLED, died, self._runs[-1], hit, task["try_number"]))

    def _bring_to_end(self) -> None:
        """Wait for the last run; let what failed be tried again."""
        deadline = time.monotonic() + _ENDS_WITHIN
        while (state := self._run_state()) != "success":
            if state == "failed":
                self.result.cleared += 1
                self._airflow.api.clear_failed(DAG, self._runs[-1])
            if time.monotonic() > deadline:
                states = [
                    (task["task_id"], task["map_index"], task["state"])
                    for task in self._tasks(self._runs[-1])
                ]
                raise RuntimeError(f"{self._runs[-1]} does not end: {states}")
            self._look()
            time.sleep(_LOOK_EVERY)

    def _tasks(self, run_id: str) -> list[dict[str, Any]]:
        return self._airflow.api.tasks(DAG, run_id)

    def _conclude(self) -> None:
        accounts = self._witness.conclude()
        result, witness, stats = self.result, self._witness, self._alvys.stats()
        result.lost.update(witness.lost)
        for stream, account in accounts.items():
            result.lost[stream] += account.wrong
            result.requests[stream] = stats["requests"].get(f"POST {stream}/search", 0)
        for landed in witness.landed:
            result.repeated[landed.stream] += landed.repeated
            result.least[landed.stream] += landed.least_requests(PAGE)
        result.faults.update(stats["faults"])
        result.mutations.update(stats["mutations"])
        ordered = sum(count for name, count in result.faults.items() if ":429" in name)
        result.refused = stats["rate_limited"] - ordered
        result.manifests = len(witness.landed)
        result.missed_openly = witness.missed_openly
        result.out_of_reach = witness.out_of_reach
        result.problems += witness.problems
        for run_id in self._runs:
            tasks = self._tasks(run_id)
            result.tasks += len(tasks)
            result.tries += sum(task["try_number"] for task in tasks)
            result.deferrals += count_in_logs(self._airflow.home / "logs", run_id, _DEFERRED).total()
            tried = {(task["task_id"], task["map_index"]): task["try_number"] for task in tasks}
            for kill in result.kills:
                if kill.task and kill.run_id == run_id:
                    kill.was_tried_again = tried.get(kill.task, 0) > kill.try_number


def _age(process: psutil.Process) -> float:
    try:
        return time.time() - process.create_time()
    except psutil.Error:
        return 0.0
