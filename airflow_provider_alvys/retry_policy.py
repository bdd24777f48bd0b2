"""When Airflow retries a failed task: at the time Alvys names, or never if the error is not retryable."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow_provider_alvys._compat import HAS_RETRY_POLICY, AirflowFailException, RetryDecision, RetryPolicy
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
# Spreads the retries of tasks that were rate-limited together.
_JITTER = 0.1

F = TypeVar("F", bound=Callable[..., Any])


class AlvysRetryPolicy(RetryPolicy):
    """
    Retry when Alvys said (429 and 503), fail at once on errors that are not retryable, otherwise follow
    Airflow.

    Needs Airflow 3.3, where it is the default of this package's operators and sensors. A ``retry_policy`` on
    the task or in ``default_args`` replaces it.

    :param longest: the longest delay, whatever Alvys asks for.
    """

    def __init__(self, longest: timedelta = _LONGEST) -> None:
        self.longest = longest

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide about a failed attempt."""
        if is_hopeless(exception):
            return RetryDecision.fail(f"Not retryable: {exception}")
        if isinstance(exception, AlvysError) and exception.status_code in (None, 429, 503):
            seconds = _requested_delay(exception)
            if seconds is not None:
                seconds = min(seconds * (1 + random.uniform(0, _JITTER)), self.longest.total_seconds())
                return RetryDecision.retry(
                    timedelta(seconds=seconds), f"Alvys accepts the next request in {seconds:.0f} s"
                )
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the arguments for :meth:`deserialize`."""
        return {"longest": self.longest.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AlvysRetryPolicy:
        """Return a serialized policy."""
        return cls(timedelta(seconds=data["longest"]))


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
