"""The simulator's own paths for webhooks: subscribe to events, see their deliveries, repeat and forge them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from airflow_provider_alvys.api.catalogue.operation_rows.webhooks import EVENTS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.data.times import SECOND, format_time
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.webhooks.deliveries import ACTIVE, Subscription, new_secret
from airflow_provider_alvys.simulator.webhooks.events import Event


class SubscribeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The body of ``POST /_sim/webhooks``: a webhook that is told of events at once, without a handshake.

    :param events: of which it is told; None means all.
    :param secret: None means a new one.
    :param previous_secret: signs beside it, as while it rotates.
    :param include_previous_attributes: whether it is told what changed fields held before.
    """

    url: str
    events: list[str] | None = None
    secret: str | None = None
    previous_secret: str | None = None
    include_previous_attributes: bool = False


class DeliverBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The body of ``POST /_sim/deliver``: one attempt to deliver an event, right or forged, whatever the webhook's state.

    :param webhook: its id; None means the latest.
    :param event_id: of an event that was told before; None means the latest, or with ``type`` a new one.
    :param type: of a new event.
    :param data: of a new event.
    :param age: how many seconds ago it was signed; below 0 for a time that is still to come.
    :param secret: that signs it, in the place of the webhook's.
    :param base: what is signed: ``t.id.body`` or ``t.body``; None means what the options say.
    :param body: sent in the place of the one that is signed.
    :param headers: sent in the place of the right ones, such as another ``X-Alvys-Event-Id`` than the one that is signed.
    :param attempt: which of the attempts it says it is.
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
    """Make a webhook that is told of events at once, without a handshake."""
    body = msgspec.json.decode(await request.body(), type=SubscribeBody)
    events = list(EVENTS) if body.events is None else body.events
    strangers = sorted(set(events) - set(EVENTS))
    if strangers:
        raise AlvysValueError(f"There is no event {strangers[0]!r}. Events: {', '.join(EVENTS)}")
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
    """Tell all attempts to deliver events; ``wait=true`` waits until nothing is under way."""
    if request.query_params.get("wait") == "true":
        await tenant.webhook_sender.wait_until_idle()
    return tenant.webhook_sender.attempts


async def deliver(tenant: Tenant, request: Request) -> Any:
    """Deliver an event once, right or forged, and tell the status of the answer: see :class:`DeliverBody`."""
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
        raise AlvysValueError("There is no such webhook: make one by POST /_sim/webhooks, or through the API")
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
        raise AlvysValueError(f"There is no event {key!r}: give a type for a new one")
    return events[key]
