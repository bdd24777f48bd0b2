"""Operations on webhooks."""

from __future__ import annotations

from typing import Literal

from airflow_provider_alvys.api.catalogue.operation_spec import (
    AnyOf,
    ETagSource,
    Field,
    Operation,
    RetrySafety,
)
from airflow_provider_alvys.api.catalogue.webhook_events import EVENTS

_PERMISSION = "No document names the scope; the permission Edit Webhooks is required"
_PREVIOUS = "IncludePreviousAttributes is on the page but missing from the OpenAPI file"
_NO_SHAPE = "Not documented: the shape of the response"
_VERSION = ETagSource("webhooks", {"id": "id"})
# The loopback addresses are for the simulator.
_URL_PREFIXES = ("https://", "http://127.0.0.1", "http://localhost")
_EVENTS_HINT = "For an event that is newer than this package, use hook.request"
_FIELDS = (
    Field("Name"),
    Field("Url", max_length=2048, prefixes=_URL_PREFIXES),
    Field("Events", "list", min_items=1, items=Field("", values=EVENTS, hint=_EVENTS_HINT)),
    Field("IncludePreviousAttributes", "boolean", record_field=None),
)


def _action(
    verb: str,
    about: str,
    repeat: RetrySafety,
    because: str,
    check: str,
    *notes: str,
    method: Literal["POST"] = "POST",
) -> Operation:
    return Operation(
        name=f"webhooks.{verb}",
        description=about,
        method=method,
        path=f"webhooks/{{id}}/{verb.replace('_', '-')}",
        scope=None,
        retry_safety=repeat,
        retry_reason=because,
        check=check,
        response_is_documented=False,
        secrets=("Secret",),
        notes=(_PERMISSION, _NO_SHAPE, *notes),
    )


OPERATIONS = (
    Operation(
        name="webhooks.create",
        description="Create a subscription to events",
        method="POST",
        path="webhooks",
        scope=None,
        body=(
            Field("Name", required=True),
            Field("SubsidiaryId", required=True),
            Field("Url", required=True, max_length=2048, prefixes=_URL_PREFIXES),
            Field(
                "Events",
                "list",
                required=True,
                min_items=1,
                items=Field("", values=EVENTS, hint=_EVENTS_HINT),
            ),
            Field("IncludePreviousAttributes", "boolean", record_field=None),
        ),
        retry_safety="unsafe",
        retry_reason="Each call creates another subscription, which delivers every event again",
        check="look for the Name {Name} and the Url {Url} among the webhooks",
        secrets=("Secret",),
        notes=(
            _PERMISSION,
            _PREVIOUS,
            "A new webhook is Pending until it is enabled and its URL has answered the challenge",
        ),
    ),
    Operation(
        name="webhooks.update",
        description="Change a subscription",
        method="PUT",
        path="webhooks/{id}",
        scope=None,
        body=_FIELDS,
        rules=(AnyOf(tuple(field.name for field in _FIELDS)),),
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="safe",
        retry_reason="A retry sets the same values again",
        check="read the webhook {id} and compare its fields",
        response_is_documented=False,
        secrets=("Secret",),
        notes=(_PERMISSION, _NO_SHAPE, _PREVIOUS, "After a change of Url, Alvys sends its challenge again"),
    ),
    Operation(
        name="webhooks.delete",
        description="Delete a subscription",
        method="DELETE",
        path="webhooks/{id}",
        scope=None,
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="safe",
        retry_reason="A deleted record stays deleted",
        check="read the webhook {id}: it no longer exists",
        has_response=False,
        notes=(_PERMISSION,),
    ),
    _action(
        "enable",
        "Enable a webhook",
        "safe",
        "A retry sets the same state again and repeats the challenge, which changes nothing",
        "read the webhook {id}: its Status",
    ),
    _action(
        "disable",
        "Disable a webhook",
        "safe",
        "A retry sets the same state again",
        "read the webhook {id}: its Status is Disabled",
    ),
    _action(
        "verify",
        "Send the challenge to a webhook's URL",
        "safe",
        "A retry repeats the challenge, which changes nothing",
        "read the webhook {id}: its Status",
    ),
    _action(
        "test",
        "Send a test event to a webhook",
        "unsafe",
        "Each call sends another event",
        "look at the delivery logs of the webhook {id}",
    ),
    _action(
        "rotate_secret",
        "Create a new secret for a webhook",
        "unsafe",
        "Only the last two secrets are valid: a second rotation invalidates the one that the receiver has",
        "compare the secret of the webhook {id} in Alvys with the receiver's",
        "Deliveries are also signed with the previous secret, as v0",
    ),
)
