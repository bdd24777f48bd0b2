"""
A middleware that lets airflow-provider-inbound-webhooks receive Alvys's webhooks.

That package turns webhooks into asset events. It expects signatures over the body alone and does not answer
handshakes. This middleware runs before it in Airflow's API server and handles the address of one webhook: it
answers the handshake, checks Alvys's signature, and adds one that the package accepts. It relies on
documented features only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow_provider_alvys.api import webhooks
from airflow_provider_alvys.api.errors import AlvysError, AlvysSignatureError, AlvysWebhookError
from airflow_provider_alvys.api.webhooks import DOCUMENTED_BASE, EVENT_ID, TOLERANCE, AlvysEvent, Base
from airflow_provider_alvys.webhook_secret import WebhookSecret

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
# Memory for bodies before their signature is checked, in bodies of the maximum size. Each may use as much as
# it leaves free, so that a flood of large ones leaves room for a small one.
_MAX_UNSIGNED_BODIES = 16
# Seconds between two lines of the log for the same reason.
_LOG_INTERVAL = 60.0
# By status: without the reason, since the sender may be anyone.
_DETAILS = {
    400: "Not a valid Alvys event",
    401: "Invalid webhook credentials",
    408: "Body did not arrive in time",
    413: "Body is too large",
    503: "Delivery cannot be checked now",
}
_RETRIED = (408, 503)


class AlvysWebhookMiddleware:
    """
    Receive Alvys's deliveries for airflow-provider-inbound-webhooks; add this in an Airflow plugin.

    It answers handshakes, refuses deliveries without a valid signature (401) and deliveries that are not
    events (400), and passes on the rest. The package recognises a repeated delivery by its key, and records
    it once. The secret is the password of the connection ``webhook_<name>``, which the package reads too.

    Anyone can send requests to the address. So headers are checked before the body is read, the memory for
    bodies is limited before their signature is checked (503: Alvys retries), and so are lookups and the log.

    :param app: the next ASGI application; Airflow passes it.
    :param name: of the webhook: its address is ``/webhooks/<name>``.
    :param base: the bytes that Alvys signs.
    :param tolerance: seconds that the signature's time may differ from now.
    :param largest: maximum bytes of a body; a larger one is refused (413).
    :param read_timeout: seconds until a body must be complete; else the delivery is refused (408: Alvys
        retries).
    :param clock: returns seconds, to decide when to read the connection and to log again.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str = "alvys",
        base: Base = DOCUMENTED_BASE,
        tolerance: float = TOLERANCE,
        largest: int = 1024 * 1024,
        read_timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._path = f"/webhooks/{name}"
        self._base = base
        self._tolerance = tolerance
        self._max_body_bytes = largest
        self._read_timeout = read_timeout
        self._secret = WebhookSecret(f"{CONN_ID_PREFIX}{name}", clock)
        self._refusals = _RefusalLog(self._path, clock)
        # Bytes of bodies whose signature is not checked yet.
        self._unsigned_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request to the webhook's address; pass on all others unchanged."""
        if scope["type"] != "http" or scope["method"] != "POST" or _path(scope) != self._path:
            await self._app(scope, receive, send)
            return
        headers = _unique_headers(scope)
        unsigned = bytearray()
        try:
            is_handshake = webhooks.is_handshake(headers)
            limit = self._max_body_bytes
            if is_handshake:
                limit = min(limit, webhooks.MAX_HANDSHAKE_BYTES)
            length = headers.get("content-length", "")
            if length.isdecimal() and float(length) > limit:
                raise _too_large(limit)
            if is_handshake:
                # Alvys verifies the address before the connection has the secret.
                await self._read_body(receive, unsigned, limit)
                challenge = webhooks.answer_challenge(headers, bytes(unsigned))
                await _respond(send, 200, challenge or {})
                return
            event, body, secret = await self._read_event(headers, receive, unsigned)
        except AlvysError as error:
            # Anything else is an error of the set-up.
            status = (error.status_code if isinstance(error, AlvysWebhookError) else None) or 503
            self._refusals.add(error, status)
            await _respond(send, status, {"detail": _DETAILS[status]})
            return
        except _DisconnectedError:
            return
        finally:
            self._unsigned_bytes -= len(unsigned)
        added = {
            SIGNATURE_HEADER: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
            EVENT_ID: _as_header(event.key),
            "content-type": "application/json",
        }
        replaced = {name.lower().encode(): value.encode() for name, value in added.items()}
        kept = [(name, value) for name, value in scope["headers"] if name not in replaced]
        checked_scope = {**scope, "headers": [*kept, *replaced.items()]}
        await self._app(checked_scope, _receive_again(body, receive), self._retry_after_401(send))

    async def _read_event(
        self, headers: dict[str, str], receive: Receive, unsigned: bytearray
    ) -> tuple[AlvysEvent, bytes, str]:
        """
        Return the event of a delivery that Alvys signed, its body, and the secret.

        :param unsigned: receives what is read of the body.
        :raises AlvysWebhookError: refused. Most refusals read nothing of the body.
        """
        webhooks.check_headers(headers, tolerance=self._tolerance, base=self._base)
        secret = await self._secret.get(_SECRET_MAX_AGE)
        await self._read_body(receive, unsigned, self._max_body_bytes)
        body = bytes(unsigned)
        # On the event loop: for 1 MiB it takes about two milliseconds.
        try:
            self._verify(headers, body, secret)
        except AlvysSignatureError:
            newer = await self._secret.get(_SECRET_MAX_AGE_AFTER_401)
            if newer == secret:
                raise
            self._verify(headers, body, newer)
            secret = newer
        from starlette.concurrency import run_in_threadpool

        # In the threads that all requests share: only Alvys can cause it.
        event = await run_in_threadpool(webhooks.parse_event, headers, body, base=self._base)
        return event, body, secret

    def _verify(self, headers: dict[str, str], body: bytes, secret: str) -> None:
        # A line break may have been copied with it.
        webhooks.verify_signature(headers, body, secret.strip(), tolerance=self._tolerance, base=self._base)

    async def _read_body(self, receive: Receive, unsigned: bytearray, max_bytes: int) -> None:
        """
        Append a request's body to ``unsigned``.

        :raises AlvysWebhookError: it is too large (413), late (408), or there are too many at once (503).
        """
        try:
            await asyncio.wait_for(self._read_chunks(receive, unsigned, max_bytes), self._read_timeout)
        except asyncio.TimeoutError:
            message = f"The body is incomplete after {self._read_timeout:g} s: {len(unsigned)} bytes"
            raise AlvysWebhookError(message, status_code=408) from None

    async def _read_chunks(self, receive: Receive, unsigned: bytearray, max_bytes: int) -> None:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _DisconnectedError
            chunk = message.get("body", b"")
            if len(unsigned) + len(chunk) > max_bytes:
                raise _too_large(max_bytes)
            free = _MAX_UNSIGNED_BODIES * self._max_body_bytes - self._unsigned_bytes - len(chunk)
            if chunk and len(unsigned) + len(chunk) > free:
                raise AlvysWebhookError("Too many bodies arrive at once", status_code=503)
            unsigned += chunk
            self._unsigned_bytes += len(chunk)
            if not message.get("more_body"):
                return

    def _retry_after_401(self, send: Send) -> Send:
        """Turn the package's 401 into a 503, so that Alvys retries: one of us has an old secret."""

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._secret.forget()
                message = {**message, "status": 503}
            await send(message)

        return send_response


class _DisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


class _RefusalLog:
    """Log refused deliveries: at most one a minute for each reason, with the number of the others."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        # By reason: when it was logged, and how often it was left out since.
        self._logged: dict[str, tuple[float, int]] = {}

    def add(self, error: AlvysError, status: int) -> None:
        """Log a refusal, or count it."""
        # A few: a sender cannot cause any number of them.
        reason = f"{status} {type(error).__name__} {getattr(error, 'reason', '')}"
        now = self._clock()
        logged_at, left_out = self._logged.get(reason, (-math.inf, 0))
        if now - logged_at < _LOG_INTERVAL:
            self._logged[reason] = (logged_at, left_out + 1)
            return
        self._logged[reason] = (now, 0)
        log.log(
            logging.ERROR if status == 503 else logging.WARNING,
            "Delivery refused: path=%s status=%s reason=%s not_logged=%d%s",
            self._path,
            status,
            error,
            left_out,
            "; Alvys will retry" if status in _RETRIED else "",
        )


def _unique_headers(scope: Scope) -> dict[str, str]:
    """Return a request's headers. Of duplicates the app may use either one: without both."""
    # Counted in one pass: anyone can send thousands of headers.
    names = Counter(name for name, _ in scope["headers"])
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if names[name] == 1
    }


def _too_large(max_bytes: int) -> AlvysWebhookError:
    return AlvysWebhookError(f"The body has more than {max_bytes} bytes", status_code=413)


def _as_header(key: str) -> str:
    """Return an event's key, or a digest if the key is not valid in a header."""
    fits = key.isascii() and key.isprintable() and key == key.strip() and len(key) <= _MAX_KEY_CHARS
    return key if fits else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _path(scope: Scope) -> str:
    """Return the path without Airflow's root path."""
    path, root = scope["path"].rstrip("/"), scope.get("root_path", "").rstrip("/")
    # A proxy may have removed the root path already.
    return str(path.removeprefix(root) if path.startswith(f"{root}/") else path)


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
