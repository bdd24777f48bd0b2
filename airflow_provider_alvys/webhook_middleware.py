"""
A middleware that lets airflow-provider-inbound-webhooks receive Alvys's webhooks.

That package turns webhooks into asset events. It expects signatures over the body alone and does not answer
handshakes. This middleware runs before it in Airflow's API server and handles the address of one webhook: it
answers the handshake, checks Alvys's signature, and adds one that the package accepts. It relies on
documented features only.
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

# signature_header of the connection webhook_<name>: an HMAC over the body, in hex.
SIGNATURE_HEADER = "X-Alvys-Checked"
CONN_ID_PREFIX = "webhook_"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Seconds until the connection is read again: in general, and after a wrong signature. It may mean a new
# secret, but anyone can send one.
_SECRET_MAX_AGE = 30.0
_SECRET_MAX_AGE_AFTER_401 = 1.0
# The package stores this many characters of a delivery's id.
_MAX_KEY_CHARS = 255


class AlvysWebhookMiddleware:
    """
    Receive Alvys's deliveries for airflow-provider-inbound-webhooks; add this in an Airflow plugin.

    It answers handshakes, refuses deliveries without a valid signature (401) and deliveries that are not
    events (400), and passes on the rest. The package recognises a repeated delivery by its key, and records
    it once. The secret is the password of the connection ``webhook_<name>``, which the package reads too.

    :param app: the next ASGI application; Airflow passes it.
    :param name: of the webhook: its address is ``/webhooks/<name>``.
    :param base: the bytes that Alvys signs.
    :param tolerance: seconds that the signature's time may differ from now.
    :param largest: maximum bytes of a body; a larger one is refused (413).
    :param clock: returns seconds, to decide when to read the connection again.
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
        self._max_body_bytes = largest
        self._secret = _SecretCache(f"{CONN_ID_PREFIX}{name}", clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request to the webhook's address; pass on all others unchanged."""
        if scope["type"] != "http" or scope["method"] != "POST" or _path(scope) != self._path:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive, self._max_body_bytes)
        if body is None:
            await _respond(send, 413, {"detail": "Body is too large"})
            return
        # Counted in one pass: anyone can send thousands of headers.
        names = Counter(name for name, _ in scope["headers"])
        # Of duplicates the app may use either one: ignore both.
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if names[name] == 1
        }
        try:
            # Alvys verifies the address before the connection has the secret.
            challenge = webhooks.answer_challenge(headers, body)
            if challenge is not None:
                await _respond(send, 200, challenge)
                return
            from starlette.concurrency import run_in_threadpool

            event, secret = await run_in_threadpool(self._check, headers, body)
        except AlvysWebhookError as error:
            log.warning("Delivery refused: path=%s status=%s reason=%s", self._path, error.status_code, error)
            detail = "Invalid webhook credentials" if error.status_code == 401 else "Not a valid Alvys event"
            await _respond(send, error.status_code or 400, {"detail": detail})
            return
        except (AlvysError, AirflowNotFoundException) as error:
            # The connection is missing or has no password. Alvys retries after a 503.
            log.error("Delivery not checked, Alvys will retry: path=%s reason=%s", self._path, error)
            await _respond(send, 503, {"detail": "Webhook is misconfigured"})
            return
        added = {
            SIGNATURE_HEADER: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
            EVENT_ID: _as_header(event.key),
            "content-type": "application/json",
        }
        replaced = {name.lower().encode(): value.encode() for name, value in added.items()}
        kept = [(name, value) for name, value in scope["headers"] if name not in replaced]
        checked_scope = {**scope, "headers": [*kept, *replaced.items()]}
        await self._app(checked_scope, _receive_again(body, receive), self._retry_after_401(send))

    def _retry_after_401(self, send: Send) -> Send:
        """Turn the package's 401 into a 503, so that Alvys retries: one of us has an old secret."""

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._secret.forget()
                message = {**message, "status": 503}
            await send(message)

        return send_response

    def _check(self, headers: dict[str, str], body: bytes) -> tuple[AlvysEvent, str]:
        """Return the event and the secret. It may read the connection: do not call it on the event loop."""
        secret = self._secret.get(_SECRET_MAX_AGE)
        try:
            self._verify(headers, body, secret)
        except AlvysSignatureError:
            newer = self._secret.get(_SECRET_MAX_AGE_AFTER_401)
            if newer == secret:
                raise
            self._verify(headers, body, newer)
            secret = newer
        return webhooks.parse_event(headers, body, base=self._base), secret

    def _verify(self, headers: dict[str, str], body: bytes, secret: str) -> None:
        webhooks.verify_signature(headers, body, secret, tolerance=self._tolerance, base=self._base)


def _as_header(key: str) -> str:
    """Return an event's key, or a digest if the key is not valid in a header."""
    fits = key.isascii() and key.isprintable() and key == key.strip() and len(key) <= _MAX_KEY_CHARS
    return key if fits else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


class _SecretCache:
    """The password of a connection, cached."""

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: tuple[float, str] | None = None

    def get(self, max_age: float) -> str:
        """Return the password as of at most ``max_age`` seconds ago."""
        with self._lock:
            if self._cached is None or self._cached[0] + max_age < self._clock():
                secret = BaseHook.get_connection(self._conn_id).password
                if not secret:
                    raise AlvysValueError(
                        f"Connection {self._conn_id} has no password: set the webhook's secret"
                    )
                self._cached = (self._clock(), secret)
            return self._cached[1]

    def forget(self) -> None:
        """Read the connection again at the next use."""
        with self._lock:
            self._cached = None


def _path(scope: Scope) -> str:
    """Return the path without Airflow's root path."""
    path, root = scope["path"].rstrip("/"), scope.get("root_path", "").rstrip("/")
    # A proxy may have removed the root path already.
    return str(path.removeprefix(root) if path.startswith(f"{root}/") else path)


async def _read_body(receive: Receive, max_bytes: int) -> bytes | None:
    """Return a request's body; None if it is too large or the client disconnected."""
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _receive_again(body: bytes, receive: Receive) -> Receive:
    """Return a receive callable that yields the body again."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _respond(send: Send, status: int, content: dict[str, str]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
