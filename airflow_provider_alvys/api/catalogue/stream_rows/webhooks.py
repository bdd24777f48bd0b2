"""Webhooks, what they may tell, and how their deliveries went."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows import webhooks as records
from airflow_provider_alvys.api.catalogue.stream_spec import Filter, Lookup, Parent, Stream, TimeWindow

_PERMISSION = "No page names a scope; the permission Edit Webhooks is needed"

STREAMS = (
    Stream(
        name="webhooks",
        description="A subscription to events, of one subsidiary",
        path="webhooks",
        method="GET",
        scope=None,
        key=("Id",),
        fields=records.WEBHOOK,
        # The default; no maximum is given.
        page_size=50,
        filters=(Filter("SubsidiaryId", "string", "SubsidiaryId"),),
        lookup=Lookup("webhooks/{id}"),
        notes=(
            _PERMISSION,
            "Secret may be among the fields: whether the list hides it is not documented",
            "The OpenAPI file gives no shape: the page is assumed, the fields are those of a webhook just made",
        ),
    ),
    Stream(
        name="webhook_event_types",
        description="A kind of event that a webhook can be told of",
        path="webhooks/event-types",
        method="GET",
        scope=None,
        # The OpenAPI file gives no shape.
        key=(),
        fields=records.EVENT_TYPE,
        response_type="list",
        notes=("No page names a scope", "What an answer looks like is not documented: a list is assumed"),
    ),
    Stream(
        name="webhook_delivery_logs",
        description="An attempt to deliver an event",
        path="webhooks/{Id}/delivery-logs",
        method="GET",
        scope=None,
        key=("Id",),
        fields=records.DELIVERY_LOG,
        page_size=100,
        max_page_size=100,
        filters=(Filter("Status", "strings", "Status"), Filter("EventType", "strings", "EventType")),
        # The field is our reading.
        windows=(TimeWindow("sent", ("StartDate", "EndDate"), "Timestamp"),),
        default_window=None,
        parent=Parent("webhooks", "Id"),
        lookup=Lookup("webhooks/{webhookId}/delivery-logs/{logId}"),
        notes=(_PERMISSION, "The look-up of one adds ResponseBody, EntityType, EntityId and HttpMethod"),
    ),
    Stream(
        name="webhook_health",
        description="How a webhook's deliveries went over some days",
        path="webhooks/{Id}/health",
        method="GET",
        scope=None,
        key=("WebhookId",),
        fields=records.HEALTH,
        response_type="object",
        filters=(Filter("Days", "integer", values=(1, 7, 30)),),
        parent=Parent("webhooks", "Id"),
        references={"WebhookId": "webhooks.Id"},
        notes=(_PERMISSION,),
    ),
)
