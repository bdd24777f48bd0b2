"""The verdicts on what waits can fail: who fires late, never or for nothing, what is missed, and who blocked the loop."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.metadata import Resumed, Span
from tests.chaos.checks.changes import Told, Truth, judge_told, read_told
from tests.chaos.checks.sensors import judge_deadlines, judge_delays, judge_firing
from tests.chaos.checks.trigger_log import read_fired
from tests.chaos.triggerer.loop_blocks import summarize


@pytest.fixture
def truth(alvys: Simulator) -> Truth:
    alvys.reset(loads=20, now=time.time() - 3600)
    truth = Truth(alvys, "loads")
    keys = alvys.truth_keys(stream="loads")
    truth.change(keys[:3], Status="Delivered")
    truth.change(keys[2:5], Status="Delivered")
    return truth


def tell(truth: Truth) -> Told:
    return Told({change: [f"{change[0]}@{change[1]}"] for change in truth.made})


def test_what_is_told_whole_is_not_blamed(truth: Truth) -> None:
    assert len(truth.made) == 6
    assert judge_told("loads", truth, tell(truth)) == []


def test_the_last_of_two_changes_to_a_row_is_enough(truth: Truth) -> None:
    told = tell(truth)
    (twice,) = {id for id, _ in truth.made[:3]} & {id for id, _ in truth.made[3:]}
    del told.keys[next(change for change in truth.made if change[0] == twice)]
    assert judge_told("loads", truth, told) == []


def test_a_change_that_is_missed_is_found_out(truth: Truth) -> None:
    told = tell(truth)
    del told.keys[truth.made[-1]]
    (problem,) = judge_told("loads", truth, told)
    assert "1 of 6 changes were missed" in problem


def test_a_change_that_never_was_is_found_out(truth: Truth) -> None:
    told = tell(truth)
    told.keys[truth.made[0][0], 1] = ["x"]
    (problem,) = judge_told("loads", truth, told)
    assert "told that never were" in problem


def test_a_repeat_with_another_key_and_a_key_for_two_are_found_out(truth: Truth) -> None:
    told = tell(truth)
    told.keys[truth.made[0]].append("another")
    assert told.repeats == 1
    (problem,) = judge_told("loads", truth, told)
    assert "another key" in problem
    told = tell(truth)
    told.keys[truth.made[0]] = told.keys[truth.made[1]]
    (problem,) = judge_told("loads", truth, told)
    assert "6 changes have 5 keys" in problem


def test_events_are_read_by_row_and_stamp() -> None:
    change = {"id": "a", "updated_at": "1970-01-01T00:00:01.0000000+00:00", "key": "k"}
    later = {**change, "updated_at": "1970-01-01T00:00:02Z", "key": "l"}
    told = read_told([{"changes": [change, later]}, {"changes": [change]}])
    assert told.keys == {("a", 1_000_000): ["k", "k"], ("a", 2_000_000): ["l"]}
    assert told.repeats == 1


def resume(stored: float, *, state: str = "scheduled", load: str = "7") -> Resumed:
    return Resumed(stored, state, "execute_complete", f'{{"event": {{"load_number": "{load}"}}}}')


FIRINGS = [
    pytest.param({"7": resume(110)}, None, id="in time"),
    pytest.param({"7": resume(110, state="success", load="")}, None, id="in time, and taken to its end"),
    pytest.param({}, "did not fire", id="never"),
    pytest.param({"7": resume(99)}, "before their load", id="early"),
    pytest.param({"7": resume(110), "8": resume(110, load="8")}, "for nothing", id="for nothing"),
    pytest.param({"7": resume(110, load="8")}, "not of the load", id="with another's event"),
]


@pytest.mark.parametrize(("resumed", "problem"), FIRINGS)
def test_who_fires_never_too_soon_or_for_nothing_is_found_out(
    resumed: dict[str, Resumed], problem: str | None
) -> None:
    problems = judge_firing({"7": 100.0}, resumed)
    assert len(problems) == (problem is not None)
    assert all(str(problem) in found for found in problems)


def test_who_fires_late_is_found_out() -> None:
    assert judge_delays({"7": 100.0}, {"7": 120.0}, 20) == []
    (problem,) = judge_delays({"7": 100.0, "8": 100.0}, {"7": 120.5, "8": 101.0}, 20)
    assert "1 sensors fired later than 20 s after the change, up to 20.5 s" in problem
    (problem,) = judge_delays({"7": 100.0}, {}, 20)
    assert "is not known" in problem


def test_when_triggers_fired_is_read_from_both_logs(tmp_path: Path) -> None:
    own = tmp_path / "logs/dag_id=d/run_id=r/task_id=t/map_index=4/attempt=1.log.trigger.1.log"
    own.parent.mkdir(parents=True)
    line = '{"timestamp":"1970-01-01T00:00:%sZ","level":"info","event":"%s","name":"d/r/t/4/1 (ID 7)","result":"x"}\n'
    own.write_text(
        line % ("05.5", "trigger starting") + line % ("07.5", "Trigger fired event") + "not JSON\n"
    )
    daemon = tmp_path / "daemons/triggerer.log"
    daemon.parent.mkdir()
    text = "1970-01-01T00:00:%sZ [info     ] Trigger fired event            [airflow] dag_id=d name='%s/1 (ID 9)' result=x\n"
    daemon.write_text(text % ("09", "d/r/t/5") + text % ("08", "d/r/t/4") + text % ("01", "other/r/t/4"))
    assert read_fired(tmp_path, "d", "r") == {("t", 4): 7.5, ("t", 5): 9.0}


ENDS = {"poke": 21.0, "reschedule": 23.0, "deferrable": 27.0}


def spans(**others: Span) -> dict[str, Span]:
    hard = {mode: Span("failed", seconds) for mode, seconds in ENDS.items()}
    soft = {f"{mode}_soft": Span("skipped", seconds) for mode, seconds in ENDS.items()}
    return {**hard, **soft, **others}


DEADLINES = [
    pytest.param({}, None, id="alike"),
    pytest.param({"poke": Span("success", 21)}, "poke is success", id="not failed"),
    pytest.param(
        {"deferrable_soft": Span("failed", 22)}, "deferrable_soft is failed", id="failed in place of skipped"
    ),
    pytest.param({"reschedule": Span("failed", 12)}, "before its 21 s", id="too soon"),
    pytest.param({"deferrable": Span("failed", 28)}, "differ by a poll interval", id="too late"),
]


@pytest.mark.parametrize(("others", "problem"), DEADLINES)
def test_a_deadline_that_depends_on_the_mode_is_found_out(
    others: dict[str, Span], problem: str | None
) -> None:
    problems = judge_deadlines(spans(**others), 21, 7)
    assert bool(problems) == (problem is not None)
    assert not problems or any(str(problem) in found for found in problems)


def test_a_sensor_that_does_not_end_is_found_out() -> None:
    ended = spans()
    del ended["poke"]
    assert judge_deadlines(ended, 21, 7) == ["The sensor poke did not end"]


def test_a_stall_is_ours_as_far_as_our_code_was_at_work() -> None:
    ours = [
        "/x/json.py:1 loads",
        "/x/site-packages/airflow_provider_alvys/api/poll/batching.py:9 go_on",
        "/x/events.py:80 _run",
    ]
    airflow = ["<frozen importlib._bootstrap>:241 _call", "/x/site-packages/airflow/jobs/runner.py:7 run"]
    stall = summarize(0.5, 0.4, 0.0, [ours, ours, ours, airflow])
    assert (stall.seconds, stall.cpu, stall.share) == (0.5, 0.4, 0.75)
    assert stall.ours == pytest.approx(0.3)
    assert stall.seen[0].startswith(
        "3 x /x/json.py:1 loads < airflow_provider_alvys/api/poll/batching.py:9 go_on"
    )
    assert stall.seen[1] == "1 x airflow/jobs/runner.py:7 run"


def test_a_loop_that_waits_is_known_by_who_looks_and_one_without_a_processor_by_nobody_nor_one_that_collects_garbage() -> (
    None
):
    ours = ["/x/site-packages/airflow_provider_alvys/api/poll/batching.py:9 go_on"]
    assert summarize(0.5, 0.0, 0.0, [ours] * 21).ours == pytest.approx(0.5)
    assert summarize(0.5, 0.01, 0.0, [ours]).ours == pytest.approx(0.1)
    assert summarize(0.5, 0.0, 0.0, []).ours == 0
    assert summarize(0.5, 0.4, 0.4, [ours]).ours == pytest.approx(0.1)
