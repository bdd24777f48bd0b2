"""When Airflow retries a failed task: at the time Alvys names, or never if the error is not retryable."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow_provider_alvys._compat import (
    HAS_RESCHEDULE,
    HAS_RETRY_POLICY,
    AirflowFailException,
    RetryDecision,
    RetryPolicy,
)
from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.limits import limit_of
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysRateLimitError,
    AlvysUnknownOutcomeError,
    is_hopeless,
)
from airflow_provider_alvys.tracebacks import shorten

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_LONGEST = timedelta(hours=1)
_RESCHEDULE_TIMEOUT = timedelta(hours=2)
# Airflow fails a task that is queued again before it has seen that the task's last process has ended.
_MIN_RESCHEDULE = 10.0
# Spreads the retries of tasks that were rate-limited together.
_JITTER = 0.1

F = TypeVar("F", bound=Callable[..., Any])


class AlvysRetryPolicy(RetryPolicy):
    """
    Retry when Alvys said (429 and 503), fail at once on errors that are not retryable, otherwise follow
    Airflow.

    Needs Airflow 3.3, where it is the default of this package's operators and sensors. A ``retry_policy`` on
    the task or in ``default_args`` replaces it. On Airflow 3.4 a 429 reschedules the task, which spends no
    retry.

    :param longest: the longest delay, whatever Alvys asks for. A rescheduled task waits ten seconds at least,
        which Airflow needs.
    :param reschedule_timeout: after this time of rescheduling, a 429 spends a retry; two hours by default. A
        sensor is rescheduled until its own ``timeout``. None means that each 429 spends a retry, as before
        Airflow 3.4.
    """

    def __init__(
        self, longest: timedelta = _LONGEST, reschedule_timeout: timedelta | None = _RESCHEDULE_TIMEOUT
    ) -> None:
        self.longest = longest
        self.reschedule_timeout = reschedule_timeout

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide about a failed attempt."""
        if is_hopeless(exception):
            return RetryDecision.fail(f"Not retryable: {exception}")
        if isinstance(exception, AlvysError) and exception.status_code in (None, 429, 503):
            seconds = _requested_delay(exception)
            if HAS_RESCHEDULE and exception.status_code == 429 and self.reschedule_timeout is not None:
                return self._reschedule(seconds, self.reschedule_timeout, context)
            if seconds is not None:
                return RetryDecision.retry(*self._when(seconds))
        return RetryDecision.default()

    def _reschedule(
        self, seconds: float | None, timeout: timedelta, context: Context | None
    ) -> RetryDecision:
        from airflow.sdk import BaseSensorOperator

        task = (context or {}).get("task")
        if isinstance(task, BaseSensorOperator):
            # With mode="reschedule", Airflow counts from the first poll.
            timeout = timedelta(seconds=max(task.timeout, 1.0))
        # Without a delay it is the task's retry_delay.
        delay, reason = (None, "Rate-limited") if seconds is None else self._when(seconds, _MIN_RESCHEDULE)
        decide = cast("Any", RetryDecision).reschedule
        return cast("RetryDecision", decide(delay, reschedule_timeout=timeout, reason=reason))

    def _when(self, seconds: float, least: float = 0.0) -> tuple[timedelta, str]:
        """Return the delay until the next attempt, and the reason for it."""
        seconds = min(seconds * (1 + random.uniform(0, _JITTER)), self.longest.total_seconds())
        seconds = max(least, seconds)
        return timedelta(seconds=seconds), f"Alvys accepts the next request in {seconds:.0f} s"

    def serialize(self) -> dict[str, Any]:
        """Return the arguments for :meth:`deserialize`."""
        bound = self.reschedule_timeout
        return {
            "longest": self.longest.total_seconds(),
            "reschedule_timeout": None if bound is None else bound.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AlvysRetryPolicy:
        """Return a serialized policy."""
        bound = data.get("reschedule_timeout", _RESCHEDULE_TIMEOUT.total_seconds())
        return cls(timedelta(seconds=data["longest"]), None if bound is None else timedelta(seconds=bound))


def _requested_delay(error: AlvysError) -> float | None:
    """Return the seconds that Alvys asks to wait; None if it does not say."""
    if error.retry_after is not None:
        return error.retry_after
    if isinstance(error, AlvysRateLimitError) and error.endpoint and " " in error.endpoint:
        method, _, template = error.endpoint.partition(" ")
        return limit_of(Endpoint(method, template)).block
    return None


class _NonRetryable(AlvysUnknownOutcomeError, AirflowFailException):  # type: ignore[misc]
    """An unknown outcome that Airflow does not retry, whatever the task and its retry policy say."""


def as_non_retryable(error: AlvysUnknownOutcomeError) -> AlvysUnknownOutcomeError:
    """Return the error as one that Airflow does not retry, if a retry might write twice."""
    if error.may_repeat:
        return error
    final = _NonRetryable(str(error), check=error.check)
    vars(final).update(vars(error))
    return final


def fail_if_not_retryable(execute: F) -> F:
    """
    Make an operator's method fail its task without a retry on errors that are not retryable, and with a short
    traceback on all errors of this package.

    On Airflow 3.3 the retry policy decides, except for sensors, whose ``soft_fail`` and ``silent_fail`` need
    this.
    """

    @functools.wraps(execute)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return execute(*args, **kwargs)
        except AlvysError as error:
            short = shorten(error)
            policy_decides = HAS_RETRY_POLICY and execute.__name__ != "poke"
            if is_hopeless(error) and not policy_decides:
                raise AirflowFailException(f"Not retryable: {error}") from short
            seconds = None if HAS_RETRY_POLICY else _requested_delay(error)
            if seconds is not None:
                log.info(
                    "Alvys accepts the next request in %.0f s. Airflow before 3.3 retries after retry_delay",
                    seconds,
                )
            raise short from None

    return cast("F", wrapper)
