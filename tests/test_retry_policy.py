"""What becomes of a task that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_alvys import retry_policy
from airflow_provider_alvys._compat import HAS_RESCHEDULE, HAS_RETRY_POLICY, AirflowFailException
from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysConflictError,
    AlvysConnectionError,
    AlvysError,
    AlvysIncompleteError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysPreconditionError,
    AlvysRateLimitError,
    AlvysRefusedError,
    AlvysResponseError,
    AlvysServerError,
    AlvysValidationError,
    is_hopeless,
)
from airflow_provider_alvys.operators.alvys import AlvysRequestOperator, AlvysSearchOperator
from airflow_provider_alvys.retry_policy import AlvysRetryPolicy
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from airflow_provider_alvys.transfers.first_load import AlvysBeginFirstLoadOperator, AlvysHandOverOperator

HOPELESS = [
    AlvysAuthError("x", status_code=401),
    AlvysPermissionError("x", status_code=403),
    AlvysValidationError("x", status_code=400),
    AlvysNotFoundError("x", status_code=404),
    # The record exists already, or is settled.
    AlvysConflictError("x", status_code=409),
    AlvysPreconditionError("x", status_code=412),
    AlvysRefusedError("x", status_code=422),
]
PASSING = [
    AlvysServerError("x", status_code=500),
    AlvysServerError("x", status_code=503),
    AlvysConnectionError("x"),
    AlvysResponseError("x", status_code=200),
    AlvysIncompleteError("x"),
    ValueError("x"),
    OSError("x"),
]
with_policies = pytest.mark.skipif(
    not HAS_RETRY_POLICY, reason="before Airflow 3.3 there are no retry policies"
)


def name(error: Exception) -> str:
    return f"{type(error).__name__} {getattr(error, 'status_code', None)}"


@pytest.mark.every_airflow
@pytest.mark.parametrize("error", HOPELESS, ids=name)
def test_what_a_retry_cannot_mend_fails_at_once(
    error: AlvysError, alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_hopeless(error)
    task = AlvysRequestOperator(task_id="x", path="loads")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(task.hook, "request", fail)
    if HAS_RETRY_POLICY:
        decision = AlvysRetryPolicy().evaluate(error, 1, 3)
        assert decision.action.value == "fail"
        assert "Not retryable: x" in decision.reason
        with pytest.raises(type(error)):
            task.execute({})
    else:
        with pytest.raises(AirflowFailException, match="Not retryable: x"):
            task.execute({})


@with_policies
@pytest.mark.parametrize("error", PASSING, ids=name)
def test_the_rest_goes_airflows_own_way(error: Exception) -> None:
    assert AlvysRetryPolicy().evaluate(error, 1, 3).action.value == "default"


@pytest.fixture
def before_3_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the Airflow, decide as on one that cannot reschedule."""
    monkeypatch.setattr(retry_policy, "HAS_RESCHEDULE", False)


@dataclass
class Decision:
    """A stand-in for the RetryDecision of Airflow 3.4, which other versions lack."""

    action: str
    delay: timedelta | None = None
    reason: str | None = None
    reschedule_timeout: timedelta | None = None

    @classmethod
    def retry(cls, delay: timedelta, reason: str) -> Decision:
        return cls("retry", delay, reason)

    @classmethod
    def default(cls) -> Decision:
        return cls("default")

    @classmethod
    def fail(cls, reason: str) -> Decision:
        return cls("fail", reason=reason)

    @classmethod
    def reschedule(cls, delay: timedelta | None, *, reschedule_timeout: timedelta, reason: str) -> Decision:
        return cls("reschedule", delay, reason, reschedule_timeout)


@pytest.fixture
def like_3_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the Airflow, decide as on one that can reschedule."""
    monkeypatch.setattr(retry_policy, "HAS_RESCHEDULE", True)
    monkeypatch.setattr(retry_policy, "RetryDecision", Decision)


@with_policies
@pytest.mark.usefixtures("before_3_4")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "least", "most"), [(60, 60, 66), (0, 0, 0), (1.5, 1.5, 1.65), (86400, 3600, 3600)]
)
def test_a_retry_comes_when_alvys_said(status: int, asked: float, least: float, most: float) -> None:
    make = AlvysRateLimitError if status == 429 else AlvysServerError
    decision = AlvysRetryPolicy().evaluate(make("x", status_code=status, retry_after=asked), 1, 3)
    assert decision.action.value == "retry"
    assert least <= decision.retry_delay.total_seconds() <= most


@with_policies
@pytest.mark.usefixtures("before_3_4")
def test_a_429_that_does_not_say_when_waits_for_the_documented_block() -> None:
    error = AlvysRateLimitError("x", status_code=429, endpoint="POST loads/search")
    assert 180 <= AlvysRetryPolicy().evaluate(error, 1, 3).retry_delay.total_seconds() <= 198


@with_policies
@pytest.mark.usefixtures("before_3_4")
def test_the_longest_delay_can_be_set_and_survives_serialization() -> None:
    policy = AlvysRetryPolicy.deserialize(AlvysRetryPolicy(timedelta(minutes=2)).serialize())
    error = AlvysRateLimitError("x", status_code=429, retry_after=9999)
    assert policy.evaluate(error, 1, 3).retry_delay == timedelta(minutes=2)


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (AlvysRateLimitError("x", status_code=429, retry_after=60), 60, 66),
        # Airflow fails a task that is queued again at once.
        (AlvysRateLimitError("x", status_code=429, retry_after=0), 10, 10),
        (AlvysRateLimitError("x", status_code=429, retry_after=86400), 3600, 3600),
        # The documented block of the endpoint.
        (AlvysRateLimitError("x", status_code=429, endpoint="POST loads/search"), 180, 198),
    ],
)
def test_where_airflow_can_reschedule_a_429_spends_no_retry(
    error: AlvysError, least: float, most: float
) -> None:
    decision: Any = AlvysRetryPolicy().evaluate(error, 1, 0)
    assert decision.action == "reschedule"
    assert least <= decision.delay.total_seconds() <= most
    assert decision.reschedule_timeout == timedelta(hours=2)


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
def test_a_short_longest_delay_leaves_airflow_the_time_it_needs() -> None:
    policy = AlvysRetryPolicy(timedelta(seconds=2))
    error = AlvysRateLimitError("x", status_code=429, retry_after=60)
    decision: Any = policy.evaluate(error, 1, 0)
    assert (decision.action, decision.delay) == ("reschedule", timedelta(seconds=10))


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
def test_a_429_of_an_unknown_endpoint_reschedules_after_the_tasks_own_delay() -> None:
    error = AlvysRateLimitError("x", status_code=429)
    decision: Any = AlvysRetryPolicy().evaluate(error, 1, 3)
    assert (decision.action, decision.delay) == ("reschedule", None)


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
@pytest.mark.parametrize(
    ("error", "action"),
    [
        # The task's execution_timeout is too short for the pace: its user has set that bound.
        (AlvysRateLimitError("x", retry_after=60), "retry"),
        (AlvysServerError("x", status_code=503, retry_after=60), "retry"),
        (AlvysServerError("x", status_code=503), "default"),
        (AlvysNotFoundError("x", status_code=404), "fail"),
    ],
)
def test_nothing_but_a_429_reschedules(error: AlvysError, action: str) -> None:
    decision: Any = AlvysRetryPolicy().evaluate(error, 1, 3)
    assert decision.action == action


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
def test_a_sensor_is_rescheduled_until_its_own_timeout() -> None:
    error = AlvysRateLimitError("x", status_code=429, retry_after=60)
    for seconds, expected in ((300.0, timedelta(minutes=5)), (0.0, timedelta(seconds=1))):
        sensor = AlvysLoadStatusSensor(task_id="x", load_number="1", statuses="Delivered", timeout=seconds)
        decision: Any = AlvysRetryPolicy().evaluate(error, 1, 3, {"task": sensor})
        assert decision.reschedule_timeout == expected


@pytest.mark.every_airflow
@pytest.mark.usefixtures("like_3_4")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (AlvysRetryPolicy(), ("reschedule", timedelta(hours=2))),
        (AlvysRetryPolicy(reschedule_timeout=timedelta(hours=9)), ("reschedule", timedelta(hours=9))),
        (AlvysRetryPolicy(reschedule_timeout=None), ("retry", None)),
    ],
)
def test_the_bound_can_be_set_and_survives_serialization(
    policy: AlvysRetryPolicy, expected: tuple[str, timedelta | None]
) -> None:
    error = AlvysRateLimitError("x", status_code=429, retry_after=60)
    for known in (policy, AlvysRetryPolicy.deserialize(policy.serialize())):
        decision: Any = known.evaluate(error, 1, 3)
        assert (decision.action, decision.reschedule_timeout) == expected
    # As before this version.
    old = AlvysRetryPolicy.deserialize({"longest": 60.0})
    assert (old.longest, old.reschedule_timeout) == (timedelta(minutes=1), timedelta(hours=2))


@pytest.mark.every_airflow
@pytest.mark.skipif(not HAS_RESCHEDULE, reason="before Airflow 3.4 a retry policy cannot reschedule")
def test_the_decision_to_reschedule_is_airflows_own() -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction

    error = AlvysRateLimitError("x", status_code=429, retry_after=60)
    decision: Any = AlvysRetryPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.RESCHEDULE
    assert decision.reschedule_timeout == timedelta(hours=2)


WINDOW = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
TASKS: list[tuple[Any, dict[str, Any]]] = [
    (AlvysRequestOperator, {"path": "loads"}),
    (AlvysSearchOperator, {"stream": "loads"}),
    (AlvysLoadStatusSensor, {"load_number": "1", "statuses": "Delivered"}),
    (AlvysToObjectStorageOperator, {"stream": "loads", "path": "/lake", **WINDOW}),
    (AlvysSweepToObjectStorageOperator, {"streams": ["drivers"], "path": "/lake"}),
    (AlvysBeginFirstLoadOperator, {"stream": "loads", "path": "/lake", "start": "2026-01-01T00:00:00Z"}),
    (
        AlvysHandOverOperator,
        {"stream": "loads", "path": "/lake", "begun": "2026-01-01T00:00:00Z", "total": 1, "landed": []},
    ),
]


@with_policies
@pytest.mark.parametrize(("make", "arguments"), TASKS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_policy_is_the_default_of_every_task_and_default_args_win(
    make: Any, arguments: dict[str, Any]
) -> None:
    own = AlvysRetryPolicy(timedelta(seconds=1))
    with DAG("plain"):
        assert isinstance(make(task_id="x", **arguments).retry_policy, AlvysRetryPolicy)
        assert make(task_id="y", retry_policy=own, **arguments).retry_policy is own
    with DAG("with_default_args", default_args={"retry_policy": own, "alvys_conn_id": "other"}):
        task = make(task_id="x", **arguments)
        assert task.retry_policy is own
        assert task.alvys_conn_id == "other"


@with_policies
def test_mapped_tasks_have_it_too_and_default_args_win() -> None:
    own = AlvysRetryPolicy(timedelta(seconds=1))
    for default_args, expected in (({}, None), ({"retry_policy": own}, own)):
        with DAG("mapped", default_args=default_args) as dag:
            AlvysToObjectStorageOperator.partial(task_id="x", stream="loads", path="/lake").expand_kwargs(
                [WINDOW]
            )
        # As a worker makes it, for one map index.
        task = dag.get_task("x").unmap(WINDOW)
        assert isinstance(task.retry_policy, AlvysRetryPolicy)
        assert expected is None or task.retry_policy is expected


@pytest.mark.every_airflow
def test_before_airflow_3_3_the_log_says_that_the_delay_is_airflows(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICY", False)
    task = AlvysRequestOperator(task_id="x", path="loads")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AlvysRateLimitError("x", status_code=429, retry_after=77)

    monkeypatch.setattr(task.hook, "request", fail)
    with caplog.at_level("INFO"), pytest.raises(AlvysRateLimitError):
        task.execute({})
    assert [record.args for record in caplog.records if record.name.endswith("retry_policy")] == [(77,)]
