"""Streams of webhooks, their event types and deliveries."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows import webhooks as records
from airflow_provider_alvys.api.catalogue.stream_spec import Filter, Lookup, Parent, Stream, TimeWindow

_PERMISSION = "No document names the scope; the permission Edit Webhooks is required"

STREAMS = (
    Stream(
        name="webhooks",
        description="A subscription of one subsidiary to events",
        path="webhooks",
        method="GET",
        scope=None,
        key=("Id",),
        fields=records.WEBHOOK,
        # The default. No maximum is documented.
        page_size=50,
        filters=(Filter("SubsidiaryId", "string", "SubsidiaryId"),),
        lookup=Lookup("webhooks/{id}"),
        notes=(
            _PERMISSION,
            "Not documented: whether the list contains Secret. It is removed before a row is stored",
            "Not documented: the shape. Pages with the fields of webhooks.create are assumed",
        ),
    ),
    Stream(
        name="webhook_event_types",
        description="A type of event that a webhook can subscribe to",
        path="webhooks/event-types",
        method="GET",
        scope=None,
        # The shape is not documented.
        key=(),
        fields=records.EVENT_TYPE,
        response_type="list",
        notes=("No document names the scope", "Not documented: the shape of the response. A list is assumed"),
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
        # Not documented: which field the range filters.
        windows=(TimeWindow("sent", ("StartDate", "EndDate"), "Timestamp", column_is_certain=False),),
        default_window=None,
        parent=Parent("webhooks", "Id"),
        lookup=Lookup("webhooks/{webhookId}/delivery-logs/{logId}"),
        notes=(_PERMISSION, "The look-up of one row adds ResponseBody, EntityType, EntityId and HttpMethod"),
    ),
    Stream(
        name="webhook_health",
        description="Statistics of a webhook's deliveries in the last days",
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
