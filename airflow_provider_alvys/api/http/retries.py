"""Which failures are worth another try, and how long to wait for it. The trying itself is tenacity's."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysRateLimitError,
    AlvysResponseError,
    AlvysServerError,
)
from airflow_provider_alvys.api.http.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryRules:
    """
    How patient a client is.

    :param attempts: tries of one request, the first included.
    :param longest_wait: seconds; a server that asks for a longer wait gets no further try from this call.
    """

    attempts: int = 6
    longest_wait: float = 600.0


ONE_ATTEMPT = RetryRules(attempts=1)

_backoff = wait_exponential_jitter(initial=1, max=60, jitter=1)


def _no_documented_block() -> float:
    return 60.0


def retrying(
    rules: RetryRules,
    *,
    endpoint: str,
    clock: Clock,
    repeatable: bool,
    turned_away: int = 0,
    block_seconds: Callable[[], float] = _no_documented_block,
) -> Retrying:
    """
    Return the tenacity retrying of one call.

    :param endpoint: the call's name: errors of another (a token that was fetched for it) have had their tries already.
    :param repeatable: whether the call may be made twice. Reads may. Other calls are repeated only when the
        request never arrived or was turned away by the rate limit.
    :param turned_away: 429s in a row that came before this call.
    :param block_seconds: the documented block after a 429: waited for when a second 429 follows the first, because
        the server's own ``Retry-After`` has then proved too short.
    """
    tries = _Tries(rules, endpoint, repeatable, turned_away, block_seconds)

    def sleep(seconds: float) -> None:
        try:
            clock.sleep(seconds)
        except AlvysRateLimitError as too_late:
            # What went wrong says more than that there is no time left for another try.
            if tries.error is None:
                raise
            tries.error.retry_after = seconds
            raise tries.error from too_late

    return Retrying(sleep=sleep, **tries.options())


def async_retrying(
    rules: RetryRules,
    *,
    sleep: Callable[[float], Awaitable[None]],
    turned_away: int = 0,
    block_seconds: Callable[[], float] = _no_documented_block,
) -> AsyncRetrying:
    """
    Return the tenacity retrying of reads by a client that makes one attempt of each, by the same rules as :func:`retrying`.

    Nobody else has tried again: hence errors of every call count, those of the token's too.

    :param sleep: waits in the coroutine.
    """
    return AsyncRetrying(sleep=sleep, **_Tries(rules, None, True, turned_away, block_seconds).options())


@dataclass
class _Tries:
    """
    The tries of one call.

    :param endpoint: None for errors of every call.
    :param error: what the last try ended with.
    """

    rules: RetryRules
    endpoint: str | None
    repeatable: bool
    turned_away: int
    block_seconds: Callable[[], float]
    error: AlvysError | None = None

    def options(self) -> dict[str, Any]:
        """Return what tenacity takes, but for the sleeping."""
        return {
            "retry": retry_if_exception(self._is_worth_another_try),
            "wait": self._wait,
            "stop": stop_after_attempt(self.rules.attempts),
            "before_sleep": self._tell,
            "reraise": True,
        }

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if (
            not isinstance(error, AlvysError)
            or error.endpoint is None
            or error.endpoint != (self.endpoint or error.endpoint)
        ):
            return False
        if (error.retry_after or 0) > self.rules.longest_wait:
            return False
        if isinstance(error, AlvysRateLimitError):
            return True
        if isinstance(error, AlvysConnectionError):
            return self.repeatable or not error.arrived
        # A redirect is a setting to mend; any other unreadable answer may be a cut or garbled one.
        unreadable = isinstance(error, AlvysResponseError) and (error.status_code or 200) < 300
        return self.repeatable and (isinstance(error, AlvysServerError) or unreadable)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None) or 0.0
        if not isinstance(error, AlvysRateLimitError):
            self.turned_away = 0
        else:
            self.turned_away += 1
            if self.turned_away > 1:
                asked = max(asked, min(self.block_seconds(), self.rules.longest_wait))
        return asked + random.uniform(0, min(1.0, asked / 10)) if asked else _backoff(state)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.error = error if isinstance(error, AlvysError) else None
        log.warning(
            "%s Trying again in %.1f s (attempt %d of %d).",
            error,
            state.upcoming_sleep,
            state.attempt_number + 1,
            self.rules.attempts,
        )
