"""
Hundreds of sensors in one triggerer: blocks of its event loop, number of requests, delays.

On a small machine Airflow's own work on so many triggers and Python's garbage collection block the loop, too.
Therefore ``make waiting`` first runs as many of Airflow's FileSensors, and a block counts against this
package only if its code ran. All blocks are printed.
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
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.metadata import MetadataDatabase, becomes_true, wait_until
from tests.chaos.checks.requests import count_searches
from tests.chaos.checks.sensors import check_delays, check_fired
from tests.chaos.checks.trigger_log import read_fired
from tests.chaos.triggerer.loop_blocks import LoopBlock, read_blocks

CONNECTION = "alvys_crowd"
# A pool without slots: deferring_worker takes its tasks.
POOL = "no_slots"
RUN = "waits"
CROWD = 480
SAMPLE = 20
WAVES = 3
# Seconds between two waves.
_WAVE_INTERVAL = 4.0
# Processes that defer tasks: as many as the machine has cores to spare.
_WORKERS = 2
_STARTS_WITHIN = 120.0
# A triggerer stores the events of a wave one by one.
_STORED_WITHIN = 60.0
_BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")
# The threshold of Airflow's watchdog, in seconds.
THRESHOLD = 0.2
# Loads in one batched request.
_BATCH = 50


@dataclass(frozen=True)
class LoopReport:
    """
    The blocks of the event loop in a period.

    :param warnings: seconds of the blocks that Airflow's watchdog logged.
    :param blocks: the blocks that the probe recorded.
    """

    warnings: list[float]
    blocks: list[LoopBlock]

    @property
    def own_blocks(self) -> list[LoopBlock]:
        """The blocks in which this package ran longer than the threshold."""
        return [block for block in self.blocks if block.own > THRESHOLD]

    def __str__(self) -> str:
        longest = max(self.warnings, default=0.0)
        text = f"Airflow's watchdog warnings={len(self.warnings)} longest={longest:.2f} s"
        if not self.blocks:
            return text
        seconds = sum(block.seconds for block in self.blocks)
        own = sum(block.own for block in self.blocks)
        other = sum(block.attributed for block in self.blocks) - own
        collecting = sum(block.collecting for block in self.blocks)
        return (
            f"{text}; blocks={len(self.blocks)} total={seconds:.2f} s, of which this package={own:.2f} s "
            f"(longest {max(block.own for block in self.blocks):.2f} s) other code={other:.2f} s "
            f"garbage collection={collecting:.2f} s, the rest without a processor"
        )


class LoopMonitor:
    """
    A reader of new blocks of the event loop.

    :param log: the triggerer's log.
    :param blocks: the probe's file.
    """

    def __init__(self, log: Path, blocks: Path) -> None:
        self._log = log
        self._blocks = blocks
        self._seen = (0, 0)

    def read_new(self) -> LoopReport:
        """Return what was recorded since the last call."""
        warnings = [float(seconds) for seconds in _BLOCKED.findall(self._log.read_text(errors="replace"))]
        blocks = read_blocks(self._blocks)
        new = LoopReport(warnings[self._seen[0] :], blocks[self._seen[1] :])
        self._seen = (len(warnings), len(blocks))
        return new


def start_deferred(airflow: Daemons, metadata: MetadataDatabase, dag_id: str, tasks: int) -> None:
    """Start a run, defer its tasks of the pool, and wait until a triggerer runs all triggers."""
    airflow.api.trigger(dag_id, RUN)
    wait_until(
        lambda: (states := metadata.states(dag_id, RUN)).total() >= tasks and not states["none"],
        f"{tasks} scheduled tasks of {dag_id}",
        seconds=_STARTS_WITHIN,
    )
    with ThreadPoolExecutor(_WORKERS) as threads:
        command = ("tests.chaos.airflow.deferring_worker", dag_id, RUN, POOL)
        for worker in [threads.submit(airflow.run_module, *command) for _ in range(_WORKERS)]:
            worker.result()
    wait_until(
        lambda: metadata.count_deferred(dag_id, RUN) == tasks,
        f"{tasks} triggers of {dag_id}",
        seconds=_STARTS_WITHIN,
    )


def run_file_sensors(
    airflow: Daemons, metadata: MetadataDatabase, monitor: LoopMonitor, files: Sequence[str]
) -> None:
    """Run as many of Airflow's FileSensors, and create their files in waves."""
    start_deferred(airflow, metadata, "file_sensors", len(files))
    monitor.read_new()
    for file in dict.fromkeys(files):
        Path(file).touch()
        time.sleep(_WAVE_INTERVAL)
    wait_until(
        lambda: not metadata.states("file_sensors", RUN)["deferred"], "the FileSensors' end", seconds=60
    )
    print(f"Airflow's FileSensors: sensors={len(files)} waves={WAVES}; {monitor.read_new()}.", flush=True)


@dataclass(frozen=True)
class CrowdLoads:
    """
    The load numbers of the crowd.

    :param crowd: of the sensors that only defer and fire.
    :param sample: of the sensors that the scheduler and a worker run from start to end.
    """

    crowd: list[str]
    sample: list[str]

    def waves(self) -> list[list[str]]:
        """Return the loads to deliver in each wave."""
        return [[*self.crowd[wave::WAVES], *self.sample[wave::WAVES]] for wave in range(WAVES)]

    def number(self, task_id: str, index: int) -> str:
        """Return the load number of a sensor."""
        return (self.crowd if task_id == "wait" else self.sample)[index]


def run_crowd(
    airflow: Daemons,
    metadata: MetadataDatabase,
    monitor: LoopMonitor,
    alvys: Simulator,
    loads: CrowdLoads,
    interval: float,
) -> list[str]:
    """Start the sensors, deliver their loads in waves, and return the problems."""
    sensors = len(loads.crowd) + len(loads.sample)
    start_deferred(airflow, metadata, "crowd", sensors)
    idle_requests = _requests_per_interval(alvys, interval)
    while_waiting = monitor.read_new()
    changed: dict[str, float] = {}
    for wave in loads.waves():
        now = time.time()
        alvys.change(keys=wave, columns={"Status": "Delivered"})
        changed |= dict.fromkeys(wave, now)
        time.sleep(_WAVE_INTERVAL)
    becomes_true(lambda: len(metadata.fired_tasks("crowd", RUN)) == sensors, seconds=_STORED_WITHIN)
    becomes_true(lambda: metadata.states("crowd", RUN)["success"] == len(loads.sample), seconds=60)
    while_firing = monitor.read_new()
    tasks = {loads.number(*task): fired for task, fired in metadata.fired_tasks("crowd", RUN).items()}
    fired = {loads.number(*task): at for task, at in read_fired(airflow.home, "crowd", RUN).items()}
    problems = check_fired(changed, tasks) + check_delays(changed, fired, 2 * interval)
    states = metadata.states("crowd", RUN)
    refused = alvys.stats()["rate_limited"]
    delays = sorted(fired[number] - at for number, at in changed.items() if number in fired) or [0.0]
    stored = max(
        (tasks[number].stored - at for number, at in changed.items() if number in tasks), default=0.0
    )
    print(
        f"Sensors of this package: sensors={sensors} interval={interval:g} s, while waiting "
        f"{idle_requests:.1f} requests per interval, 429s={refused}; fired={len(tasks)}, delay median="
        f"{statistics.median(delays):.1f} s longest={delays[-1]:.1f} s, stored after {stored:.1f} s; "
        f"run to the end={states['success']} of {len(loads.sample)}.\n"
        f"  While waiting: {while_waiting}.\n  While firing: {while_firing}.",
        flush=True,
    )
    if refused:
        problems.append(f"The sensors' polls got {refused} 429s")
    # On a busy machine some sensors poll too late for their batch.
    if idle_requests > -(-sensors // _BATCH) * 1.5:
        problems.append(f"{sensors} sensors made {idle_requests:.1f} requests per interval")
    if states["success"] != len(loads.sample):
        problems.append(f"The sample did not succeed: {dict(states)}")
    for block in (*while_waiting.own_blocks, *while_firing.own_blocks):
        problems.append(
            f"Event loop blocked for {block.seconds} s, by this package {block.own:.2f} s: {block.stack}"
        )
    return problems


def _requests_per_interval(alvys: Simulator, interval: float) -> float:
    """Return the searches per poll interval while nothing changes."""
    # Not at the top: the import of Airflow sets up logging in this process.
    from airflow_provider_alvys.triggers.pollers import next_poll_time

    intervals = 2
    # Begin in the middle between two polls.
    time.sleep(next_poll_time(time.time(), CONNECTION, interval) + interval / 2 - time.time())
    before = count_searches(alvys, "loads")
    time.sleep(intervals * interval)
    return (count_searches(alvys, "loads") - before) / intervals
