"""The fields of webhooks and their deliveries."""

from __future__ import annotations

from airflow_provider_alvys.api.schema.fields import Record, record

# The shape of the list is not documented. These are the fields of the response to webhooks.create.
WEBHOOK = record(
    """
    Id CompanyCode SubsidiaryId Name Url Secret@secret Events:[string] Status DisabledAt:time DisabledReason
    ConsecutiveFailures:integer CreatedAt:time CreatedBy UpdatedAt:time UpdatedBy LastTriggeredAt:time
    """
)
# The fields of an event type are not documented.
EVENT_TYPE = Record({})
DELIVERY_LOG = record(
    """
    Id EventId EventType Status HttpStatusCode:integer DurationMs:integer AttemptNumber:integer Timestamp:time
    ConsumerUrl ErrorMessage
    """
)
HEALTH = record(
    """
    WebhookId WebhookName Period:period Metrics:metrics LastDelivery:delivery ConsecutiveFailures:integer
    Status
    """,
    delivery=record("Timestamp:time Status EventType"),
    metrics=record(
        """
        TotalAttempts:integer SuccessCount:integer FailureCount:integer TimeoutCount:integer
        SkippedCount:integer SuccessRate:decimal AvgDurationMs:decimal MaxDurationMs:integer
        """
    ),
    period=record("Days:integer StartDate:time EndDate:time"),
)
