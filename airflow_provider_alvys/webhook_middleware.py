"""
The piece between Alvys and the package airflow-provider-inbound-webhooks, which makes webhooks into asset events.

That package checks signatures over the body alone, and answers no handshake: it cannot take Alvys's deliveries as they come. This
stands before it, in Airflow's API server, does both for the address of one webhook, and passes on what Alvys has signed with a
signature of the kind that the package checks. It uses nothing of that package but what it documents.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.sdk import BaseHook

from airflow_provider_alvys._compat import AirflowNotFoundException
from airflow_provider_alvys.api import webhooks
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysSignatureError,
    AlvysValueError,
    AlvysWebhookError,
)
from airflow_provider_alvys.api.webhooks import DOCUMENTED_BASE, EVENT_ID, TOLERANCE, AlvysEvent, Base

log = logging.getLogger(__name__)

# What the connection webhook_<name> has as signature_header: over the body alone, in hex digits.
SIGNATURE_HEADER = "X-Alvys-Checked"
CONN_ID_PREFIX = "webhook_"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Seconds that a secret is used before the connection is read again: while it does, and when a signature was refused, since the
# secret may have been changed. Anyone can send what is refused: hence not for each of these.
_KEPT = 30.0
_KEPT_WHEN_REFUSED = 1.0
# The package keeps as many characters of a delivery's id.
_LONGEST_KEY = 255


class AlvysWebhookMiddleware:
    """
    Take Alvys's deliveries for a webhook of airflow-provider-inbound-webhooks: a middleware for a plugin of Airflow.

    Its handshakes are answered, deliveries that Alvys has not signed are refused with 401, and those that are no events with
    400. The rest goes on to the package, which knows a delivery that comes again by its key, and records it once. The secret is
    the password of the connection ``webhook_<name>``, which the package reads too.

    :param app: what stands behind; Airflow gives it.
    :param name: of the webhook: the address is ``/webhooks/<name>``.
    :param base: what Alvys signs.
    :param tolerance: seconds that the signature's time may be off.
    :param largest: bytes of a body; a larger one is refused with 413.
    :param clock: what tells how many seconds ago the connection was read.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str = "alvys",
        base: Base = DOCUMENTED_BASE,
        tolerance: float = TOLERANCE,
        largest: int = 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._path = f"/webhooks/{name}"
        self._base = base
        self._tolerance = tolerance
        self._largest = largest
        self._secret = _Secret(f"{CONN_ID_PREFIX}{name}", clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request to the webhook's address; pass on all others as they are."""
        if scope["type"] != "http" or scope["method"] != "POST" or _path(scope) != self._path:
            await self._app(scope, receive, send)
            return
        body = await _read(receive, self._largest)
        if body is None:
            await _answer(send, 413, {"detail": "The body is too large"})
            return
        # Counted once: anyone may send thousands of headers.
        names = Counter(name for name, _ in scope["headers"])
        # Nothing tells which of two of the same name counts behind: neither does.
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if names[name] == 1
        }
        try:
            # A webhook is verified before its secret need be known here.
            challenge = webhooks.answer_challenge(headers, body)
            if challenge is not None:
                await _answer(send, 200, challenge)
                return
            from starlette.concurrency import run_in_threadpool

            event, secret = await run_in_threadpool(self._check, headers, body)
        except AlvysWebhookError as error:
            log.warning("Refused a delivery to %s: %s", self._path, error)
            detail = (
                "Invalid webhook credentials" if error.status_code == 401 else "This is no event of Alvys's"
            )
            await _answer(send, error.status_code or 400, {"detail": detail})
            return
        except (AlvysError, AirflowNotFoundException) as error:
            # Of the connection. Alvys tries again after a 503.
            log.error("Cannot check a delivery to %s: %s", self._path, error)
            await _answer(send, 503, {"detail": "Webhook is misconfigured"})
            return
        checked = {
            SIGNATURE_HEADER: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
            EVENT_ID: _as_header(event.key),
            "content-type": "application/json",
        }
        replaced = {name.lower().encode(): value.encode() for name, value in checked.items()}
        kept = [(name, value) for name, value in scope["headers"] if name not in replaced]
        passed_on = {**scope, "headers": [*kept, *replaced.items()]}
        await self._app(passed_on, _replay(body, receive), self._watch(send))

    def _watch(self, send: Send) -> Send:
        """Return what lets Alvys try again where the package has read another secret than this has: one of them is old."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._secret.forget()
                message = {**message, "status": 503}
            await send(message)

        return watch

    def _check(self, headers: dict[str, str], body: bytes) -> tuple[AlvysEvent, str]:
        """Return the event that was delivered, and the secret. It may read the connection: not for the event loop."""
        secret = self._secret.get(_KEPT)
        try:
            self._verify(headers, body, secret)
        except AlvysSignatureError:
            newer = self._secret.get(_KEPT_WHEN_REFUSED)
            if newer == secret:
                raise
            self._verify(headers, body, newer)
            secret = newer
        return webhooks.parse_event(headers, body, base=self._base), secret

    def _verify(self, headers: dict[str, str], body: bytes, secret: str) -> None:
        webhooks.verify_signature(headers, body, secret, tolerance=self._tolerance, base=self._base)


def _as_header(key: str) -> str:
    """Return an event's key, or a digest of one that no header can have."""
    fits = key.isascii() and key.isprintable() and key == key.strip() and len(key) <= _LONGEST_KEY
    return key if fits else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


class _Secret:
    """The password of a connection, kept for a while."""

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, str] | None = None

    def get(self, longest: float) -> str:
        """Return it, as it was at most ``longest`` seconds ago."""
        with self._lock:
            if self._known is None or self._known[0] + longest < self._clock():
                secret = BaseHook.get_connection(self._conn_id).password
                if not secret:
                    raise AlvysValueError(
                        f"The connection {self._conn_id} has no password: give it the webhook's secret"
                    )
                self._known = (self._clock(), secret)
            return self._known[1]

    def forget(self) -> None:
        """Have it read again."""
        with self._lock:
            self._known = None


def _path(scope: Scope) -> str:
    """Return the path below the one under which Airflow is served."""
    path, root = scope["path"].rstrip("/"), scope.get("root_path", "").rstrip("/")
    # A server before this one may have cut it off: then it only looks as if the path began with it.
    return str(path.removeprefix(root) if path.startswith(f"{root}/") else path)


async def _read(receive: Receive, largest: int) -> bytes | None:
    """Return a request's body; None for one that is too large, or whose sender has gone."""
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read once more."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _answer(send: Send, status: int, content: dict[str, str]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
