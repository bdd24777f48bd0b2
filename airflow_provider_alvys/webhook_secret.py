"""The secret of a webhook, from its Airflow connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from airflow.sdk import BaseHook

from airflow_provider_alvys.api.errors import AlvysWebhookError

# Seconds until a lookup that failed is repeated.
_FAILURE_MAX_AGE = 5.0
# Seconds that a delivery waits for a lookup. Alvys waits 30 seconds for the response.
_MAX_WAIT = 10.0
# Seconds after which another lookup may begin although one still runs: a backend may hang forever.
_MAX_LOOKUP = 60.0
_MAX_REASON_CHARS = 300


class AlvysWebhookSecretError(AlvysWebhookError):
    """The webhook's connection is missing, has no password, or cannot be read now. Alvys retries a 503."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=503)


class WebhookSecret:
    """
    The password of a webhook's connection. It is cached, and so is a failure to read it.

    Anyone can cause a lookup. So one runs at a time, unless it hangs, for all who wait, and in a thread of
    its own: senders without a valid signature occupy neither the event loop nor the threads that the API
    server shares.

    :param conn_id: of the connection.
    :param clock: returns seconds.
    """

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._clock = clock
        self._found: tuple[float, str] | None = None
        self._failed: tuple[float, str] | None = None
        self._lookup: Future[None] | None = None
        self._lookup_began = 0.0

    async def get(self, max_age: float) -> str:
        """
        Return the password as of at most ``max_age`` seconds ago.

        :raises AlvysWebhookSecretError: it is missing, or the lookup failed or takes too long.
        """
        now = self._clock()
        if self._found is not None and now - self._found[0] <= max_age:
            return self._found[1]
        if self._failed is not None and now - self._failed[0] <= _FAILURE_MAX_AGE:
            raise AlvysWebhookSecretError(self._failed[1])
        if self._lookup is None or self._lookup.done() or now - self._lookup_began > _MAX_LOOKUP:
            lookup: Future[None] = Future()
            # A daemon: a lookup that hangs does not keep the API server from stopping.
            arguments = (lookup, now)
            threading.Thread(target=self._look_up, args=arguments, name=self._conn_id, daemon=True).start()
            # Only now: if the machine has no thread left, the next delivery tries again.
            self._lookup, self._lookup_began = lookup, now
        try:
            # Shielded: the others wait for the same lookup.
            waiting = asyncio.shield(asyncio.wrap_future(self._lookup))
            await asyncio.wait_for(waiting, max(0.0, self._lookup_began + _MAX_WAIT - now))
        except asyncio.TimeoutError:
            raise AlvysWebhookSecretError(f"The lookup of connection {self._conn_id} takes long") from None
        if self._failed is not None:
            raise AlvysWebhookSecretError(self._failed[1])
        if self._found is None:
            raise AlvysWebhookSecretError(f"Connection {self._conn_id} has changed meanwhile")
        return self._found[1]

    def forget(self) -> None:
        """Read the connection again at the next use."""
        self._found = None

    def _look_up(self, lookup: Future[None], began: float) -> None:
        try:
            secret = BaseHook.get_connection(self._conn_id).password
            reason = f"Connection {self._conn_id} has no password: set the webhook's secret"
        # A secrets backend may raise anything.
        except Exception as error:
            secret, reason = None, f"{type(error).__name__}: {error}"
        if secret and secret.strip():
            self._found, self._failed = (began, secret), None
        else:
            self._failed = (self._clock(), " ".join(reason.split())[:_MAX_REASON_CHARS])
        lookup.set_result(None)
