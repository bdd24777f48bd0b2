"""The checks of sensors, watchers and the event loop detect each kind of error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.metadata import FiredTask, TaskDuration
from tests.chaos.checks.changes import EmittedChanges, MadeChanges, check_emitted, read_emitted
from tests.chaos.checks.sensors import check_delays, check_fired, check_timeouts
from tests.chaos.checks.trigger_log import read_fired
from tests.chaos.triggerer.loop_blocks import summarize


@pytest.fixture
def changes(alvys: Simulator) -> MadeChanges:
    alvys.reset(loads=20, now=time.time() - 3600)
    changes = MadeChanges(alvys, "loads")
    keys = alvys.truth_keys(stream="loads")
    changes.change(keys[:3], Status="Delivered")
    changes.change(keys[2:5], Status="Delivered")
    return changes


def emit_all(changes: MadeChanges) -> EmittedChanges:
    return EmittedChanges({change: [f"{change[0]}@{change[1]}"] for change in changes.made})


def test_complete_events_pass(changes: MadeChanges) -> None:
    assert len(changes.made) == 6
    assert check_emitted("loads", changes, emit_all(changes)) == []


def test_the_last_of_two_changes_to_a_row_is_enough(changes: MadeChanges) -> None:
    emitted = emit_all(changes)
    (twice,) = {id for id, _ in changes.made[:3]} & {id for id, _ in changes.made[3:]}
    del emitted.keys[next(change for change in changes.made if change[0] == twice)]
    assert check_emitted("loads", changes, emitted) == []


def test_a_missed_change_is_detected(changes: MadeChanges) -> None:
    emitted = emit_all(changes)
    del emitted.keys[changes.made[-1]]
    (problem,) = check_emitted("loads", changes, emitted)
    assert "changes missed: 1 of 6" in problem


def test_an_invented_change_is_detected(changes: MadeChanges) -> None:
    emitted = emit_all(changes)
    emitted.keys[changes.made[0][0], 1] = ["x"]
    (problem,) = check_emitted("loads", changes, emitted)
    assert "changes invented: 1" in problem


def test_an_unstable_key_and_a_shared_key_are_detected(changes: MadeChanges) -> None:
    emitted = emit_all(changes)
    emitted.keys[changes.made[0]].append("another")
    assert emitted.repeats == 1
    (problem,) = check_emitted("loads", changes, emitted)
    assert "repeated with another key" in problem
    emitted = emit_all(changes)
    emitted.keys[changes.made[0]] = emitted.keys[changes.made[1]]
    (problem,) = check_emitted("loads", changes, emitted)
    assert "5 for 6 changes" in problem


def test_events_are_read_by_row_and_stamp() -> None:
    change = {"id": "a", "updated_at": "1970-01-01T00:00:01.0000000+00:00", "key": "k"}
    later = {**change, "updated_at": "1970-01-01T00:00:02Z", "key": "l"}
    emitted = read_emitted([{"changes": [change, later]}, {"changes": [change]}])
    assert emitted.keys == {("a", 1_000_000): ["k", "k"], ("a", 2_000_000): ["l"]}
    assert emitted.repeats == 1


def fired(stored: float, *, state: str = "scheduled", load: str = "7") -> FiredTask:
    return FiredTask(stored, state, "execute_complete", f'{{"event": {{"load_number": "{load}"}}}}')


FIRINGS = [
    pytest.param({"7": fired(110)}, None, id="in time"),
    pytest.param({"7": fired(110, state="success", load="")}, None, id="in time, and run to its end"),
    pytest.param({}, "did not fire: 1", id="never"),
    pytest.param({"7": fired(99)}, "before the delivery: 1", id="early"),
    pytest.param(
        {"7": fired(110), "8": fired(110, load="8")}, "without a delivery: 1", id="without a delivery"
    ),
    pytest.param(
        {"7": fired(110, load="8")}, "event of another load: 1", id="with the event of another load"
    ),
]


@pytest.mark.parametrize(("tasks", "problem"), FIRINGS)
def test_a_sensor_that_fires_never_early_or_without_a_delivery_is_detected(
    tasks: dict[str, FiredTask], problem: str | None
) -> None:
    problems = check_fired({"7": 100.0}, tasks)
    assert len(problems) == (problem is not None)
    assert all(str(problem) in found for found in problems)


def test_a_late_sensor_is_detected() -> None:
    assert check_delays({"7": 100.0}, {"7": 120.0}, 20) == []
    (problem,) = check_delays({"7": 100.0, "8": 100.0}, {"7": 120.5, "8": 101.0}, 20)
    assert "later than 20 s: 1, the last after 20.5 s" in problem
    (problem,) = check_delays({"7": 100.0}, {}, 20)
    assert "without a logged time: 1" in problem


def test_the_times_of_triggers_come_from_both_logs(tmp_path: Path) -> None:
    own = tmp_path / "logs/dag_id=d/run_id=r/task_id=t/map_index=4/attempt=1.log.trigger.1.log"
    own.parent.mkdir(parents=True)
    line = '{"timestamp":"1970-01-01T00:00:%sZ","level":"info","event":"%s","name":"d/r/t/4/1 (ID 7)"}\n'
    own.write_text(
        line % ("05.5", "trigger starting") + line % ("07.5", "Trigger fired event") + "not JSON\n"
    )
    daemon = tmp_path / "daemons/triggerer.log"
    daemon.parent.mkdir()
    text = "1970-01-01T00:00:%sZ [info     ] Trigger fired event [a] dag_id=d name='%s/1 (ID 9)' result=x\n"
    daemon.write_text(text % ("09", "d/r/t/5") + text % ("08", "d/r/t/4") + text % ("01", "other/r/t/4"))
    assert read_fired(tmp_path, "d", "r") == {("t", 4): 7.5, ("t", 5): 9.0}


SECONDS = {"poke": 21.0, "reschedule": 23.0, "deferrable": 27.0}


def durations(**others: TaskDuration) -> dict[str, TaskDuration]:
    hard = {mode: TaskDuration("failed", seconds) for mode, seconds in SECONDS.items()}
    soft = {f"{mode}_soft": TaskDuration("skipped", seconds) for mode, seconds in SECONDS.items()}
    return {**hard, **soft, **others}


TIMEOUTS = [
    pytest.param({}, None, id="equal"),
    pytest.param({"poke": TaskDuration("success", 21)}, "poke is success", id="not failed"),
    pytest.param(
        {"deferrable_soft": TaskDuration("failed", 22)}, "deferrable_soft is failed", id="failed, not skipped"
    ),
    pytest.param({"reschedule": TaskDuration("failed", 12)}, "before 21 s", id="too early"),
    pytest.param({"deferrable": TaskDuration("failed", 28)}, "differ by 7 s", id="too late"),
]


@pytest.mark.parametrize(("others", "problem"), TIMEOUTS)
def test_a_timeout_that_depends_on_the_mode_is_detected(
    others: dict[str, TaskDuration], problem: str | None
) -> None:
    problems = check_timeouts(durations(**others), 21, 7)
    assert bool(problems) == (problem is not None)
    assert not problems or any(str(problem) in found for found in problems)


def test_a_sensor_that_does_not_end_is_detected() -> None:
    ended = durations()
    del ended["poke"]
    assert check_timeouts(ended, 21, 7) == ["Sensor poke did not end"]


def test_a_block_counts_by_the_share_of_samples_with_our_code() -> None:
    ours = [
        "/x/json.py:1 loads",
        "/x/site-packages/airflow_provider_alvys/api/poll/batching.py:9 poll",
        "/x/events.py:80 _run",
    ]
    airflow = ["<frozen importlib._bootstrap>:241 _call", "/x/site-packages/airflow/jobs/runner.py:7 run"]
    block = summarize(0.5, 0.4, 0.0, [ours, ours, ours, airflow])
    assert (block.seconds, block.cpu, block.share) == (0.5, 0.4, 0.75)
    assert block.own == pytest.approx(0.3)
    assert block.top_lines[0].startswith(
        "3 x /x/json.py:1 loads < airflow_provider_alvys/api/poll/batching.py:9 poll"
    )
    assert block.top_lines[1] == "1 x airflow/jobs/runner.py:7 run"


def test_time_without_a_processor_or_of_garbage_collection_is_attributed_to_no_code() -> None:
    ours = ["/x/site-packages/airflow_provider_alvys/api/poll/batching.py:9 poll"]
    assert summarize(0.5, 0.0, 0.0, [ours] * 21).own == pytest.approx(0.5)
    assert summarize(0.5, 0.01, 0.0, [ours]).own == pytest.approx(0.1)
    assert summarize(0.5, 0.0, 0.0, []).own == 0
    assert summarize(0.5, 0.4, 0.4, [ours]).own == pytest.approx(0.1)
