"""Which failures to retry, and how long to wait before; tenacity runs the retries."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import tenacity

from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysRateLimitError,
    AlvysResponseError,
    AlvysServerError,
    AlvysTooLargeError,
)
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.usage import LimitUsage

log = logging.getLogger(__name__)

_backoff = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)


@dataclass(frozen=True)
class RetryRules:
    """
    How often and how long to retry.

    :param attempts: attempts of one request, the first included.
    :param max_wait: seconds; a call fails at once if the server asks for a longer wait.
    """

    attempts: int = 6
    max_wait: float = 600.0


ONE_ATTEMPT = RetryRules(attempts=1)


def retrying(
    rules: RetryRules,
    *,
    endpoint: str,
    clock: Clock,
    repeatable: bool,
    usage: LimitUsage | None = None,
    consecutive_429s: int = 0,
    block_seconds: Callable[[], float] = lambda: 60.0,
) -> tenacity.Retrying:
    """
    Return the tenacity ``Retrying`` of one call.

    :param endpoint: the call's name. Errors of other calls, such as the token's, have been retried already.
    :param repeatable: whether the call may be made twice, as reads may. Other calls are repeated only if the
        request never arrived or was rate-limited.
    :param usage: counts the waits after a 429.
    :param consecutive_429s: 429s on the endpoint right before this call.
    :param block_seconds: the documented block after a 429. It is waited for after a second 429 in a row,
        since the server's ``Retry-After`` was too short then.
    """
    state = _RetryState(rules, endpoint, repeatable, consecutive_429s, block_seconds)

    def sleep(seconds: float) -> None:
        is_limited = isinstance(state.error, AlvysRateLimitError)
        try:
            with usage.waiting(seconds) if usage and is_limited else nullcontext():
                clock.sleep(seconds)
        except AlvysRateLimitError as too_late:
            # No time is left for a retry: the failure of the last attempt says more than that.
            if state.error is None:
                raise
            state.error.retry_after = seconds
            raise state.error from too_late

    return tenacity.Retrying(sleep=sleep, **state.options())


def async_retrying(
    rules: RetryRules,
    *,
    sleep: Callable[[float], Awaitable[None]],
    consecutive_429s: int = 0,
    block_seconds: Callable[[], float] = lambda: 60.0,
) -> tenacity.AsyncRetrying:
    """
    Return the tenacity ``AsyncRetrying`` of reads by a client that makes one attempt of each call.

    It follows the rules of :func:`retrying`, but also retries errors of other calls, such as the token's.
    """
    state = _RetryState(rules, None, True, consecutive_429s, block_seconds)
    return tenacity.AsyncRetrying(sleep=sleep, **state.options())


@dataclass
class _RetryState:
    """The attempts of one call, or with endpoint None of all calls; ``error`` is the last failure."""

    rules: RetryRules
    endpoint: str | None
    repeatable: bool
    consecutive_429s: int
    block_seconds: Callable[[], float]
    error: AlvysError | None = None

    def options(self) -> dict[str, Any]:
        """Return tenacity's options except ``sleep``."""
        return {
            "retry": tenacity.retry_if_exception(self._is_retryable),
            "wait": self._wait_seconds,
            "stop": tenacity.stop_after_attempt(self.rules.attempts),
            "before_sleep": self._log_retry,
            "reraise": True,
        }

    def _is_retryable(self, error: BaseException) -> bool:
        if not isinstance(error, AlvysError) or error.endpoint is None:
            return False
        if (
            error.endpoint != (self.endpoint or error.endpoint)
            or (error.retry_after or 0) > self.rules.max_wait
        ):
            return False
        if isinstance(error, AlvysRateLimitError):
            return True
        if isinstance(error, AlvysConnectionError):
            return (self.repeatable or not error.arrived) and not error.is_permanent
        if isinstance(error, AlvysTooLargeError):
            return False
        # A redirect is permanent; any other unreadable response may be truncated.
        unreadable = isinstance(error, AlvysResponseError) and not 300 <= (error.status_code or 200) < 400
        return self.repeatable and (isinstance(error, AlvysServerError) or unreadable)

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = getattr(error, "retry_after", None) or 0.0
        if not isinstance(error, AlvysRateLimitError):
            self.consecutive_429s = 0
        else:
            self.consecutive_429s += 1
            if self.consecutive_429s > 1:
                retry_after = max(retry_after, min(self.block_seconds(), self.rules.max_wait))
        return retry_after + random.uniform(0, min(1.0, retry_after / 10)) if retry_after else _backoff(state)

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.error = error if isinstance(error, AlvysError) else None
        log.warning(
            "Retrying in %.1f s (attempt %d of %d): %s",
            state.upcoming_sleep,
            state.attempt_number + 1,
            self.rules.attempts,
            error,
        )
