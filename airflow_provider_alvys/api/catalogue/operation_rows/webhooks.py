"""What can be written of webhooks."""

from __future__ import annotations

from typing import Literal

from airflow_provider_alvys.api.catalogue.operation_spec import (
    AnyOf,
    ETagSource,
    Field,
    Operation,
    RetrySafety,
)

_PARENTS = ("load", "trip", "driver", "carrier", "truck", "trailer")
EVENTS = (
    "tender.accepted",
    "tender.cancelled",
    "tender.change.accepted",
    "tender.rejected",
    "tender.invoiced",
    "tender.stop.arrived",
    "tender.stop.departed",
    "tender.stop.eta_updated",
    "tender.bid.submitted",
    "load.status.changed",
    "load.changed",
    "trip.status.changed",
    "trip.changed",
    *(f"{parent}.document.{verb}" for parent in _PARENTS for verb in ("uploaded", "deleted")),
)
"""What a webhook can be told of."""

_PERMISSION = "No page names a scope; the permission Edit Webhooks is needed"
_PREVIOUS = "IncludePreviousAttributes is documented and missing from the OpenAPI file"
_NO_SHAPE = "The OpenAPI file gives its answer no shape"
_VERSION = ETagSource("webhooks", {"id": "id"})
# Alvys reaches no loopback address: those are for the simulator.
_BEGINS = ("https://", "http://127.0.0.1", "http://localhost")
_EVENTS_HINT = "For an event that is newer than this package, use hook.request"
_FIELDS = (
    Field("Name"),
    Field("Url", max_length=2048, prefixes=_BEGINS),
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
        description="Subscribe to events",
        method="POST",
        path="webhooks",
        scope=None,
        body=(
            Field("Name", required=True),
            Field("SubsidiaryId", required=True),
            Field("Url", required=True, max_length=2048, prefixes=_BEGINS),
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
        retry_reason="Each one is a further subscription, and each event would come twice",
        check="look among the webhooks for the name {Name} and the address {Url}",
        secrets=("Secret",),
        notes=(
            _PERMISSION,
            _PREVIOUS,
            "A new webhook is Pending until it is enabled and has answered the challenge",
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
        retry_reason="It sets the same values again",
        check="read the webhook {id} and compare its fields",
        response_is_documented=False,
        secrets=("Secret",),
        notes=(_PERMISSION, _NO_SHAPE, _PREVIOUS, "Another Url makes Alvys send its challenge anew"),
    ),
    Operation(
        name="webhooks.delete",
        description="End a subscription",
        method="DELETE",
        path="webhooks/{id}",
        scope=None,
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="safe",
        retry_reason="What is gone stays gone",
        check="read the webhook {id}: it is gone",
        has_response=False,
        notes=(_PERMISSION,),
    ),
    _action(
        "enable",
        "Let a webhook be told of events",
        "safe",
        "It sets the same state again; Alvys sends its challenge once more, which changes nothing",
        "read the webhook {id}: its Status",
    ),
    _action(
        "disable",
        "Let a webhook be told of nothing",
        "safe",
        "It sets the same state again",
        "read the webhook {id}: its Status is Disabled",
    ),
    _action(
        "verify",
        "Let a webhook's address prove that it is ours",
        "safe",
        "Alvys sends its challenge once more, which changes nothing",
        "read the webhook {id}: its Status",
    ),
    _action(
        "test",
        "Send a webhook an event for trying",
        "unsafe",
        "Each one is a further delivery",
        "look into the delivery logs of the webhook {id}",
    ),
    _action(
        "rotate_secret",
        "Give a webhook a new secret",
        "unsafe",
        "The secret before the last one ceases to be valid: a second one would end the receiver's",
        "reveal the secret of the webhook {id} in Alvys and compare it with the receiver's",
        "The secret before it goes on signing beside it, as v0",
    ),
)
