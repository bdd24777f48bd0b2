"""
Hundreds of sensors in one triggerer: how long its event loop stands still, what they cost, and when they fire.

Airflow's own work on so many triggers blocks the loop, too, on a small machine, and so does Python's garbage
collection of all that Airflow has loaded: hence a crowd of its own FileSensor comes first, and what is held against
this package is a stall in which its code was at work. The other stalls are printed.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers.pollers import next_look
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import Metadata, comes_about, wait_until
from tests.chaos.checks.sensors import judge_delays, judge_firing
from tests.chaos.checks.trigger_log import read_fired
from tests.chaos.triggerer.loop_blocks import Stall, read_stalls

CONNECTION = "alvys_crowd"
POOL = "held"
RUN = "waits"
CROWD = 480
SAMPLE = 20
WAVES = 3
# Seconds between two waves.
_APART = 4.0
# Processes that take tasks to their deferral: as many as the machine has cores to spare.
_WORKERS = 2
_STARTS_WITHIN = 120.0
# A triggerer stores the events of a wave one by one, which takes as long as the machine is slow.
_STORED_WITHIN = 60.0
_BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")
# Above this the event loop was blocked, as Airflow's watchdog has it.
THRESHOLD = 0.2
# Loads that one request asks for.
_BATCH = 150


@dataclass(frozen=True)
class Loop:
    """
    What became of the event loop in some time.

    :param blocked: what Airflow's watchdog reported, in seconds.
    :param stalls: what the probe saw.
    """

    blocked: list[float]
    stalls: list[Stall]

    @property
    def ours(self) -> list[Stall]:
        """The stalls in which this package blocked the loop for longer than is allowed."""
        return [stall for stall in self.stalls if stall.ours > THRESHOLD]

    def __str__(self) -> str:
        longest = max(self.blocked, default=0.0)
        told = f"Airflow's watchdog told {len(self.blocked)} times of a blocked loop, {longest:.2f} s at most"
        if not self.stalls:
            return told
        seconds, collecting = (
            sum(stall.seconds for stall in self.stalls),
            sum(stall.collecting for stall in self.stalls),
        )
        known, ours = sum(stall.known for stall in self.stalls), sum(stall.ours for stall in self.stalls)
        return (
            f"{told}; of {seconds:.2f} s in {len(self.stalls)} stalls {known - ours:.2f} s were others' code, {ours:.2f} s ours "
            f"({max(stall.ours for stall in self.stalls):.2f} s at most), {collecting:.2f} s garbage collection, the "
            "rest was without a processor"
        )


class LoopWatch:
    """
    Tell what the event loop did since the last time.

    :param log: of the triggerer.
    :param stalls: the probe's file.
    """

    def __init__(self, log: Path, stalls: Path) -> None:
        self._log = log
        self._stalls = stalls
        self._read = (0, 0)

    def look(self) -> Loop:
        """Return what is new."""
        blocked = [float(seconds) for seconds in _BLOCKED.findall(self._log.read_text(errors="replace"))]
        stalls = read_stalls(self._stalls)
        new = Loop(blocked[self._read[0] :], stalls[self._read[1] :])
        self._read = (len(blocked), len(stalls))
        return new


def let_wait(airflow: Daemons, metadata: Metadata, dag_id: str, tasks: int) -> None:
    """Start a run of tasks that wait in the pool, and take them to their deferral: all, when a triggerer has them."""
    airflow.api.trigger(dag_id, RUN)
    wait_until(
        lambda: (states := metadata.states(dag_id, RUN)).total() >= tasks and not states["none"],
        f"{tasks} scheduled tasks of {dag_id}",
        seconds=_STARTS_WITHIN,
    )
    with ThreadPoolExecutor(_WORKERS) as pool:
        for worker in [
            pool.submit(airflow.run_module, "tests.chaos.airflow.deferring_worker", dag_id, RUN, POOL)
            for _ in range(_WORKERS)
        ]:
            worker.result()
    wait_until(
        lambda: metadata.waiting(dag_id, RUN) == tasks,
        f"{tasks} triggers of {dag_id}",
        seconds=_STARTS_WITHIN,
    )


def play_plain(airflow: Daemons, metadata: Metadata, watch: LoopWatch, files: Sequence[str]) -> Loop:
    """Let as many sensors of Airflow's own wait for files, which come in waves."""
    let_wait(airflow, metadata, "plain", len(files))
    watch.look()
    for file in dict.fromkeys(files):
        Path(file).touch()
        time.sleep(_APART)
    wait_until(lambda: not metadata.states("plain", RUN)["deferred"], "The files' sensors", seconds=60)
    loop = watch.look()
    print(f"{len(files)} sensors of Airflow's own, in {WAVES} waves: {loop}.", flush=True)
    return loop


@dataclass(frozen=True)
class Numbers:
    """The loads of the crowd, and of those of them that scheduler and worker take from end to end."""

    held: list[str]
    sample: list[str]

    def waves(self) -> list[list[str]]:
        """Return who is delivered when: some of both in each wave."""
        return [[*self.held[wave::WAVES], *self.sample[wave::WAVES]] for wave in range(WAVES)]

    def number(self, task_id: str, index: int) -> str:
        """Return which load a task waits for."""
        return (self.held if task_id == "wait" else self.sample)[index]


def play_crowd(
    airflow: Daemons,
    metadata: Metadata,
    watch: LoopWatch,
    alvys: Simulator,
    numbers: Numbers,
    interval: float,
) -> list[str]:
    """Let the crowd wait, deliver its loads in waves, and judge."""
    everybody = len(numbers.held) + len(numbers.sample)
    let_wait(airflow, metadata, "crowd", everybody)
    problems = []
    calm = _count_calm(alvys, interval)
    waiting = watch.look()
    changed: dict[str, float] = {}
    for wave in numbers.waves():
        now = time.time()
        alvys.change(keys=wave, columns={"Status": "Delivered"})
        changed |= dict.fromkeys(wave, now)
        time.sleep(_APART)
    comes_about(lambda: len(metadata.resumed("crowd", RUN)) == everybody, seconds=_STORED_WITHIN)
    comes_about(lambda: metadata.states("crowd", RUN)["success"] == len(numbers.sample), seconds=60)
    firing = watch.look()
    resumed = {numbers.number(*task): fired for task, fired in metadata.resumed("crowd", RUN).items()}
    fired = {numbers.number(*task): at for task, at in read_fired(airflow.home, "crowd", RUN).items()}
    problems += judge_firing(changed, resumed) + judge_delays(changed, fired, 2 * interval)
    ends = metadata.states("crowd", RUN)
    refused = alvys.stats()["rate_limited"]
    delays = sorted(fired[number] - at for number, at in changed.items() if number in fired) or [0.0]
    stored = max(
        (resumed[number].stored - at for number, at in changed.items() if number in resumed), default=0.0
    )
    print(
        f"{everybody} sensors, a poll interval of {interval:g} s: {calm:.1f} requests per interval while all wait, {refused} "
        f"429s; {len(resumed)} fired, {statistics.median(delays):.1f} s after the change in the median, {delays[-1]:.1f} s at "
        f"most, {stored:.1f} s until Airflow had stored it; {ends['success']} of {len(numbers.sample)} were taken to their end.\n"
        f"  While they wait {waiting}.\n  While they fire {firing}.",
        flush=True,
    )
    if refused:
        problems.append(f"The crowd met {refused} 429s")
    # On a busy machine some come too late for their batch.
    if calm > -(-everybody // _BATCH) * 1.5:
        problems.append(f"{everybody} sensors cost {calm:.1f} requests per interval")
    if ends["success"] != len(numbers.sample):
        problems.append(f"The crowd's sample did not succeed: {dict(ends)}")
    for stall in (*waiting.ours, *firing.ours):
        problems.append(
            f"The loop was blocked for {stall.seconds} s, {stall.ours:.2f} s of it by us: {stall.whole}"
        )
    return problems


def _count_calm(alvys: Simulator, interval: float) -> float:
    """Return how many searches are made per poll interval while nothing happens."""
    looks = 2
    # From the middle between two moments at which all look.
    time.sleep(next_look(time.time(), CONNECTION, interval) + interval / 2 - time.time())
    before = searches(alvys, "loads")
    time.sleep(looks * interval)
    return (searches(alvys, "loads") - before) / looks


def searches(alvys: Simulator, stream: str) -> int:
    """Count the searches of a stream so far."""
    return int(alvys.stats()["requests"].get(f"POST {stream}/search", 0))
