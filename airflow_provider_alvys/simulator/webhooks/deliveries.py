"""Delivery of events to webhooks: signed, retried, logged."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import SECOND
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.webhooks.events import Event, events_of, has_events

_MAX_ATTEMPTS = 4
# Seconds between the attempts.
_BACKOFF = (10, 30, 60)
_HANDSHAKE_TIMEOUT = 3.0
# Consecutive failed events that disable a webhook.
_MAX_FAILURES = 10
_USER_AGENT = "Alvys-Webhook/1.0"
ACTIVE, PENDING, DISABLED, FAILED = "Active", "Pending", "Disabled", "Failed to verify"


@dataclass
class Subscription:
    """
    The parts of a webhook that its record does not show.

    :param previous: the previous secret, while both are valid.
    :param with_previous: whether events contain the previous values of changed fields.
    """

    secret: str
    previous: str | None = None
    with_previous: bool = False


class Attempt(msgspec.Struct, kw_only=True):
    """An attempt to deliver an event; ``status`` is None without a response."""

    webhook: str
    url: str
    event_id: str
    event_type: str
    attempt: int
    status: int | None
    at: float
    headers: dict[str, str]
    body: str


def sign(secret: str, signed_at: int, event_id: str, body: bytes, base: str) -> str:
    """Return the signature of a delivery."""
    parts = (
        [str(signed_at).encode(), event_id.encode(), body]
        if base == "t.id.body"
        else [str(signed_at).encode(), body]
    )
    return hmac.new(secret.encode(), b".".join(parts), hashlib.sha256).hexdigest()


def new_secret() -> str:
    """Return a random secret."""
    return secrets.token_hex(32)


class WebhookSender:
    """
    Delivers a tenant's events.

    :param row_set_of: returns the row set of a stream.
    :param now: returns the tenant's time in seconds since 1970.
    :param with_download_url: adds the URL of a document's file to its record.
    """

    def __init__(
        self,
        options: Options,
        row_set_of: Callable[[str], RowSet],
        now: Callable[[], float],
        with_download_url: Callable[[RowSet, int, bytes], bytes],
    ) -> None:
        self._options = options
        self._row_set_of = row_set_of
        self._now = now
        self._with_download_url = with_download_url
        self._client: httpx.AsyncClient | None = None
        self._closing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.subscriptions: dict[int, Subscription] = {}
        self.attempts: list[Attempt] = []
        self.events: dict[str, Event] = {}

    def snapshot(self, rows: RowSet, numbers: Iterable[int]) -> dict[int, dict[str, Any]] | None:
        """Return the records of rows before a change, or None without a subscription to them."""
        if not self.subscriptions or not has_events(rows.spec.name):
            return None
        return {number: rows.record(number) for number in numbers}

    def notify(
        self, rows: RowSet, before: Mapping[int, dict[str, Any] | None], *, are_removed: bool = False
    ) -> None:
        """Publish the events of changed rows."""
        for number, record in before.items():
            after = None if are_removed else rows.record(number)
            for event in events_of(
                rows, number, record, after, int(self._now() * SECOND), self._with_download_url
            ):
                self.publish(event)

    def publish(self, event: Event) -> None:
        """Deliver an event to all active webhooks that subscribe to its type."""
        self.events[event.id] = event
        for number in self.subscriptions:
            if self._value(number, "Status") == ACTIVE and event.type in (
                self._value(number, "Events") or ()
            ):
                self.send_in_background(number, event)

    def send_in_background(self, number: int, event: Event) -> None:
        """Start to deliver an event to a webhook."""
        self.events[event.id] = event
        task = asyncio.get_running_loop().create_task(self._deliver(number, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_until_idle(self) -> None:
        """Wait for all pending deliveries and their retries."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def close(self) -> None:
        """Cancel pending deliveries."""
        for task in self._tasks:
            task.cancel()
        if self._client is not None:
            self._closing = asyncio.get_running_loop().create_task(self._client.aclose())

    async def _deliver(self, number: int, event: Event) -> None:
        subscription = self.subscriptions.get(number)
        if subscription is None:
            return
        body = event.body(with_previous=subscription.with_previous)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            if number not in self.subscriptions or self._value(number, "Status") == DISABLED:
                return
            status = await self.send_once(number, event.id, event.type, body, attempt)
            is_success = status is not None and 200 <= status < 300
            if is_success or not (status is None or status in (408, 429) or status >= 500):
                break
            if attempt < _MAX_ATTEMPTS:
                await asyncio.sleep(_BACKOFF[attempt - 1] * self._options.webhook_backoff)
        if number not in self.subscriptions:
            return
        self._record_outcome(number, is_success)
        for _ in range(self._options.webhook_copies - 1 if is_success else 0):
            await self.send_once(number, event.id, event.type, body, attempt)

    def _record_outcome(self, number: int, is_success: bool) -> None:
        """Record whether an event was delivered; too many consecutive failures disable the webhook."""
        now = int(self._now() * SECOND)
        failures = 0 if is_success else (self._value(number, "ConsecutiveFailures") or 0) + 1
        columns: dict[str, Any] = {"ConsecutiveFailures": failures, "LastTriggeredAt": now}
        if failures >= _MAX_FAILURES:
            columns |= {
                "Status": DISABLED,
                "DisabledAt": now,
                "DisabledReason": f"{failures} events failed in a row",
            }
        self._webhooks.update([number], now, columns)

    async def send_once(
        self,
        number: int,
        event_id: str,
        event_type: str,
        body: bytes,
        attempt: int,
        *,
        signed_at: int | None = None,
        secret: str | None = None,
        base: str | None = None,
        headers: Mapping[str, str] | None = None,
        replacement_body: bytes | None = None,
    ) -> int | None:
        """
        Deliver an event once, log it, and return the status of the response, or None without one.

        :param signed_at: the time in the signature; None means now.
        :param secret: signs in place of the webhook's secret.
        :param base: what is signed; None means as in the options.
        :param headers: replace valid headers.
        :param replacement_body: sent in place of the signed body.
        """
        subscription, url = self.subscriptions.get(number, Subscription("")), str(self._value(number, "Url"))
        signed_at, base = (
            int(self._now()) if signed_at is None else signed_at,
            base or self._options.webhook_base,
        )
        keys = {"v1": secret or subscription.secret, "v0": None if secret else subscription.previous}
        digests = [
            f"{name}={sign(key, signed_at, event_id, body, base)}" for name, key in keys.items() if key
        ]
        all_headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _USER_AGENT,
            "X-Alvys-Event": event_type,
            "X-Alvys-Event-Id": event_id,
            "X-Alvys-Timestamp": str(signed_at),
            "X-Alvys-Signature": ",".join([f"t={signed_at}", *digests]),
            "X-Alvys-Attempt": str(attempt),
            **_trace(),
            **(headers or {}),
        }
        body = body if replacement_body is None else replacement_body
        webhook, at, begun = self._webhooks.key(number), self._now(), time.monotonic()
        status, text, error = await self._post(url, body, all_headers, self._options.webhook_timeout)
        self.attempts.append(
            Attempt(
                webhook=webhook,
                url=url,
                event_id=event_id,
                event_type=event_type,
                attempt=attempt,
                status=status,
                at=at,
                headers=all_headers,
                body=body.decode(errors="replace"),
            )
        )
        columns = {
            "EventId": event_id,
            "EventType": event_type,
            "Status": "Success"
            if status is not None and 200 <= status < 300
            else "Timeout"
            if error == "timeout"
            else "Failed",
            "HttpStatusCode": status,
            "DurationMs": int((time.monotonic() - begun) * 1000),
            "AttemptNumber": attempt,
            "Timestamp": int(at * SECOND),
            "ConsumerUrl": url,
            "ErrorMessage": error or (text[:200] if status is None or status >= 300 else None),
        }
        if self._webhooks.has(number):
            self._row_set_of("webhook_delivery_logs").add(int(at * SECOND), columns, webhook)
        return status

    async def verify(self, number: int) -> bool:
        """Send an unsigned challenge to a webhook's address, and set the webhook's status by the response."""
        challenge = secrets.token_urlsafe(24)
        body = msgspec.json.encode({"type": "webhook.verification", "challenge": challenge})
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _USER_AGENT,
            "X-Alvys-Event": "webhook.verification",
            "X-Alvys-Challenge": challenge,
            **_trace(),
        }
        is_verified = False
        # The addresses of generated webhooks do not exist.
        if number in self.subscriptions:
            timeout = min(_HANDSHAKE_TIMEOUT, self._options.webhook_timeout)
            status, text, _ = await self._post(str(self._value(number, "Url")), body, headers, timeout)
            is_verified = status == 200 and _is_challenge_response(text, challenge)
        columns = {"Status": ACTIVE if is_verified else FAILED, "DisabledAt": None, "DisabledReason": None}
        self._webhooks.update([number], int(self._now() * SECOND), {**columns, "ConsecutiveFailures": 0})
        return is_verified

    async def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int | None, str, str | None]:
        """Return the status of a response, its text, and the error."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False)
        try:
            posted = self._client.post(url, content=body, headers=dict(headers), timeout=None)
            response = await asyncio.wait_for(posted, timeout)
        except asyncio.TimeoutError:
            return None, "", "timeout"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, "", f"{type(error).__name__}: {error}"
        return response.status_code, response.text, None

    @property
    def _webhooks(self) -> RowSet:
        return self._row_set_of("webhooks")

    def _value(self, number: int, name: str) -> Any:
        return self._webhooks.column(name)[number]


def _trace() -> dict[str, str]:
    """Return the header that Alvys adds for tracing."""
    return {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}


def _is_challenge_response(text: str, challenge: str) -> bool:
    try:
        return bool(msgspec.json.decode(text) == {"challenge": challenge})
    except msgspec.DecodeError:
        return False
