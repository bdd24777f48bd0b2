"""What Airflow does about a task that failed: tries again when Alvys says, or not at all where that cannot help."""

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

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_LONGEST = timedelta(hours=1)
# Tasks that were turned away together should not come back together.
_JITTER = 0.1

F = TypeVar("F", bound=Callable[..., Any])


class AlvysRetryPolicy(RetryPolicy):
    """
    Try again when Alvys said (429 and 503), fail at once where a retry cannot help, else do what Airflow does.

    Needs Airflow 3.3, where it is the default of this package's operators and sensors. A ``retry_policy`` given to a task, or in
    ``default_args``, takes its place.

    :param longest: the longest delay; a server that asks for more gets its retry after this.
    """

    def __init__(self, longest: timedelta = _LONGEST) -> None:
        self.longest = longest

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide about a failed try, whose number is from 1."""
        if is_hopeless(exception):
            return RetryDecision.fail(f"Another try cannot help: {exception}")
        if isinstance(exception, AlvysError) and exception.status_code in (None, 429, 503):
            seconds = _seconds(exception)
            if seconds is not None:
                seconds = min(seconds * (1 + random.uniform(0, _JITTER)), self.longest.total_seconds())
                return RetryDecision.retry(
                    timedelta(seconds=seconds), f"Alvys takes the next request in {seconds:.0f} s"
                )
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return what :meth:`deserialize` takes."""
        return {"longest": self.longest.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AlvysRetryPolicy:
        """Return the policy that was serialized."""
        return cls(timedelta(seconds=data["longest"]))


def _seconds(error: AlvysError) -> float | None:
    """Return how long Alvys wants to be left alone, or None where it does not say."""
    if error.retry_after is not None:
        return error.retry_after
    if isinstance(error, AlvysRateLimitError) and error.endpoint and " " in error.endpoint:
        method, _, template = error.endpoint.partition(" ")
        return limit_of(Endpoint(method, template)).block
    return None


class _NonRetryable(AlvysUnknownOutcomeError, AirflowFailException):  # type: ignore[misc]
    """An unknown outcome after which Airflow itself makes no retry, whatever the task and its retry policy say."""


def as_non_retryable(error: AlvysUnknownOutcomeError) -> AlvysUnknownOutcomeError:
    """Return the same error as one that no retry follows, in a task of any kind, where a retry might write twice."""
    if error.may_repeat:
        return error
    final = _NonRetryable(str(error), check=error.check)
    vars(final).update(vars(error))
    return final


def fail_if_not_retryable(execute: F) -> F:
    """
    Let a method of an operator fail its task for good where a retry cannot help.

    Airflow 3.3 asks the retry policy instead, but for sensors, whose ``soft_fail`` and ``silent_fail`` know no other way.
    """

    @functools.wraps(execute)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return execute(*args, **kwargs)
        except AlvysError as error:
            is_asked = HAS_RETRY_POLICY and execute.__name__ != "poke"
            if is_hopeless(error) and not is_asked:
                raise AirflowFailException(f"Another try cannot help: {error}") from error
            if HAS_RETRY_POLICY:
                raise
            seconds = _seconds(error)
            if seconds is not None:
                log.info(
                    "Alvys takes the next request in %.0f s. Before Airflow 3.3 a retry comes after retry_delay all the same",
                    seconds,
                )
            raise

    return cast("F", wrapper)
