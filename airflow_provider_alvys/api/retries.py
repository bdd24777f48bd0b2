"""Which failures are worth another try, and how long to wait for it. The trying itself is tenacity's."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from airflow_provider_alvys.api.clock import Clock
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysRateLimitError,
    AlvysResponseError,
    AlvysServerError,
)

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


def retrying(
    rules: RetryRules,
    *,
    endpoint: str,
    clock: Clock,
    repeatable: bool,
    turned_away: int = 0,
    block_seconds: Callable[[], float] = lambda: 60.0,
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

    def is_worth_another_try(error: BaseException) -> bool:
        if not isinstance(error, AlvysError) or error.endpoint != endpoint:
            return False
        if (error.retry_after or 0) > rules.longest_wait:
            return False
        if isinstance(error, AlvysRateLimitError):
            return True
        if isinstance(error, AlvysConnectionError):
            return repeatable or not error.arrived
        # A redirect is a setting to mend; any other unreadable answer may be a cut or garbled one.
        unreadable = isinstance(error, AlvysResponseError) and (error.status_code or 200) < 300
        return repeatable and (isinstance(error, AlvysServerError) or unreadable)

    def wait(state: RetryCallState) -> float:
        nonlocal turned_away
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None) or 0.0
        if not isinstance(error, AlvysRateLimitError):
            turned_away = 0
        else:
            turned_away += 1
            if turned_away > 1:
                asked = max(asked, min(block_seconds(), rules.longest_wait))
        return asked + random.uniform(0, min(1.0, asked / 10)) if asked else _backoff(state)

    error_before: AlvysError | None = None

    def sleep(seconds: float) -> None:
        try:
            clock.sleep(seconds)
        except AlvysRateLimitError as too_late:
            # What went wrong says more than that there is no time left for another try.
            if error_before is None:
                raise
            error_before.retry_after = seconds
            raise error_before from too_late

    def tell(state: RetryCallState) -> None:
        nonlocal error_before
        error = state.outcome.exception() if state.outcome else None
        error_before = error if isinstance(error, AlvysError) else None
        log.warning(
            "%s Trying again in %.1f s (attempt %d of %d).",
            error,
            state.upcoming_sleep,
            state.attempt_number + 1,
            rules.attempts,
        )

    return Retrying(
        retry=retry_if_exception(is_worth_another_try),
        wait=wait,
        stop=stop_after_attempt(rules.attempts),
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )
