"""The control endpoints of webhooks: subscribe, list deliveries, repeat and forge them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from airflow_provider_alvys.api.catalogue.webhook_events import EVENTS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.simulator.data.times import SECOND, format_time
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.webhooks.deliveries import ACTIVE, Subscription, new_secret
from airflow_provider_alvys.simulator.webhooks.events import Event


class SubscribeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The body of ``POST /_sim/webhooks``: a webhook that is active at once, without a handshake.

    :param events: event types; None means all.
    :param secret: None means a new one.
    :param previous_secret: signs in addition, as during a rotation.
    :param include_previous_attributes: whether events contain the previous values of changed fields.
    """

    url: str
    events: list[str] | None = None
    secret: str | None = None
    previous_secret: str | None = None
    include_previous_attributes: bool = False


class DeliverBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The body of ``POST /_sim/deliver``: an attempt to deliver an event, valid or forged.

    :param webhook: its id; None means the latest.
    :param event_id: id of an earlier event; None means the latest, or a new one if there is a ``type``.
    :param type: type of a new event.
    :param data: data of a new event.
    :param age: age of the signature in seconds; below 0 for a time in the future.
    :param secret: signs in place of the webhook's secret.
    :param base: what is signed: ``t.id.body`` or ``t.body``; None means as in the options.
    :param body: sent in place of the signed body.
    :param headers: replace valid headers, such as ``X-Alvys-Event-Id``.
    :param attempt: value of ``X-Alvys-Attempt``.
    """

    webhook: str | None = None
    event_id: str | None = None
    type: str | None = None
    data: dict[str, Any] = {}
    age: int = 0
    secret: str | None = None
    base: str | None = None
    body: str | None = None
    headers: dict[str, str] = {}
    attempt: int = 1


async def subscribe(tenant: Tenant, request: Request) -> Any:
    """Create a webhook that is active at once, without a handshake."""
    body = msgspec.json.decode(await request.body(), type=SubscribeBody)
    events = list(EVENTS) if body.events is None else body.events
    unknown = sorted(set(events) - set(EVENTS))
    if unknown:
        raise AlvysValueError(f"No event type {unknown[0]!r}.{suggest(unknown[0], EVENTS, 'Events')}")
    rows = tenant.rows("webhooks")
    columns = {"Url": body.url, "Events": events, "Status": ACTIVE, "ConsecutiveFailures": 0, "Secret": None}
    number = rows.add(tenant.now_micros(), columns)
    rows.childless.add(number)
    subscription = Subscription(
        body.secret or new_secret(), body.previous_secret, body.include_previous_attributes
    )
    tenant.webhook_sender.subscriptions[number] = subscription
    return {"id": rows.key(number), "secret": subscription.secret}


async def deliveries(tenant: Tenant, request: Request) -> Any:
    """Return all attempts to deliver events; ``wait=true`` first waits for pending ones."""
    if request.query_params.get("wait") == "true":
        await tenant.webhook_sender.wait_until_idle()
    return tenant.webhook_sender.attempts


async def deliver(tenant: Tenant, request: Request) -> Any:
    """Deliver an event once, valid or forged, and return the response's status."""
    body = msgspec.json.decode(await request.body() or b"{}", type=DeliverBody)
    hub = tenant.webhook_sender
    number, event = _find_webhook(tenant, body.webhook), _find_event(tenant, body)
    status = await hub.send_once(
        number,
        event.id,
        event.type,
        event.body(with_previous=hub.subscriptions[number].with_previous),
        body.attempt,
        signed_at=int(tenant.now()) - body.age,
        secret=body.secret,
        base=body.base,
        headers=body.headers,
        replacement_body=None if body.body is None else body.body.encode(),
    )
    return {"status": status, "event_id": event.id}


def _find_webhook(tenant: Tenant, key: str | None) -> int:
    rows = tenant.rows("webhooks")
    found = [number for number in tenant.webhook_sender.subscriptions if key in (None, rows.key(number))]
    if not found:
        raise AlvysValueError("No such webhook. Create one with POST /_sim/webhooks or through the API.")
    return found[-1]


def _find_event(tenant: Tenant, body: DeliverBody) -> Event:
    if body.type is not None:
        now = int(tenant.now() * SECOND)
        event = Event(body.event_id or f"forged-{now}", body.type, format_time(now, 7), body.data)
        tenant.webhook_sender.events[event.id] = event
        return event
    events = tenant.webhook_sender.events
    key = body.event_id or next(reversed(events), "")
    if key not in events:
        raise AlvysValueError(f"No event {key!r}. Pass a type for a new one.")
    return events[key]
