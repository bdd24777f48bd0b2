"""The effects of writes to webhooks."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.responses import Response

from airflow_provider_alvys.simulator.data.times import SECOND, format_time
from airflow_provider_alvys.simulator.effects.write_call import WriteCall
from airflow_provider_alvys.simulator.protocol.http import json_response
from airflow_provider_alvys.simulator.webhooks.deliveries import DISABLED, PENDING, Subscription, new_secret
from airflow_provider_alvys.simulator.webhooks.events import Event

# Not in a webhook's record.
_PREVIOUS_FIELD = "IncludePreviousAttributes"


def create_webhook(write: WriteCall) -> Response:
    """Create a pending subscription; it receives events after its address is verified."""
    columns = {"CompanyCode": write.tenant.options.tenant, "Status": PENDING, "ConsecutiveFailures": 0}
    number = write.add("webhooks", {**columns, **_record_fields(write)})
    subscription = Subscription(new_secret(), with_previous=write.body.get(_PREVIOUS_FIELD, False))
    write.tenant.webhook_sender.subscriptions[number] = subscription
    shown = write.tenant.rows("webhooks").record(number)
    return json_response({**shown, "Secret": subscription.secret}, 201)


async def update_webhook(write: WriteCall) -> Response:
    """Change a subscription; a new address has to be verified."""
    columns = _record_fields(write)
    is_moved = "Url" in columns and columns["Url"] != write.value("Url")
    subscription = write.tenant.webhook_sender.subscriptions.get(write.number)
    write.has_changed = any(write.value(name) != value for name, value in columns.items())
    if subscription and _PREVIOUS_FIELD in write.body:
        write.has_changed = write.has_changed or subscription.with_previous != write.body[_PREVIOUS_FIELD]
        subscription.with_previous = write.body[_PREVIOUS_FIELD]
    if write.has_changed:
        write.update(write.rows, write.number, columns)
    if is_moved:
        await write.tenant.webhook_sender.verify(write.number)
    return write.respond_with(write.rows, write.number)


def delete_webhook(write: WriteCall) -> Response:
    """Remove a subscription."""
    write.tenant.webhook_sender.subscriptions.pop(write.number, None)
    write.remove(write.rows, write.number)
    return Response(status_code=204)


async def verify_webhook(write: WriteCall) -> Response:
    """Verify a webhook's address, which activates it."""
    before = write.value("Status")
    await write.tenant.webhook_sender.verify(write.number)
    write.has_changed = before != write.value("Status")
    return write.respond_with(write.rows, write.number)


def disable_webhook(write: WriteCall) -> Response:
    """Disable a webhook."""
    write.has_changed = write.value("Status") != DISABLED
    if write.has_changed:
        write.update(write.rows, write.number, {"Status": DISABLED, "DisabledAt": write.tenant.now_micros()})
    return write.respond_with(write.rows, write.number)


def send_test_event(write: WriteCall) -> Response:
    """Send a test event to a webhook."""
    now = format_time(int(write.tenant.now() * SECOND), 7)
    event = Event(secrets.token_hex(16), "webhook.test", now, {"message": "This is a test."})
    if write.number in write.tenant.webhook_sender.subscriptions:
        write.tenant.webhook_sender.send_in_background(write.number, event)
    return json_response({"EventId": event.id})


def rotate_secret(write: WriteCall) -> Response:
    """Give a webhook a new secret; the previous one signs as well."""
    subscription = write.tenant.webhook_sender.subscriptions.setdefault(
        write.number, Subscription(new_secret())
    )
    subscription.previous, subscription.secret = subscription.secret, new_secret()
    write.update(write.rows, write.number, {})
    return json_response({"Id": write.rows.key(write.number), "Secret": subscription.secret})


def _record_fields(write: WriteCall) -> dict[str, Any]:
    return {name: value for name, value in write.body.items() if name != _PREVIOUS_FIELD}
