"""Operations on tenders."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.operation_spec import ETagSource, Field, Operation


def _texts(names: str, *, required: bool = False) -> tuple[Field, ...]:
    return tuple(Field(name, required=required) for name in names.split())


_REFERENCES = Field(
    "References", "list", items=Field("", "object", fields=_texts("Id Qualifier Description Type"))
)
_NOTES = Field("Notes", "list", items=Field(""))
_ENTITY = _texts(
    "Type Name IdCodeQualifier IdCode N1Qualifier Street City PostalCode CountryCode Phone Email State"
)
_ORDER = _texts(
    "Quantity WeightUnitCode Weight ReferenceId PoNumber VolumeUnitQualifier Volume "
    "UnitBasisForMeasurement Description"
)
_STOP = (
    Field("Type", required=True),
    Field("Entity", "object", fields=_ENTITY),
    Field("SequenceNumber"),
    Field("Orders", "list", items=Field("", "object", fields=_ORDER)),
    _REFERENCES,
    Field("WeightQualifier"),
    Field("ScheduledArrivalStart", "time"),
    Field("ScheduledArrivalEnd", "time"),
    Field("ScheduledAppointment", "time"),
    Field("StopReasonCode"),
    _NOTES,
)
_TENDER = (
    *_texts(
        "SenderIsaId SenderIsaIdQualifier SenderGsId ReceiverIsaId ReceiverIsaIdQualifier ReceiverGsId SCAC "
        "ShipmentId",
        required=True,
    ),
    Field("Stops", "list", required=True, min_items=1, items=Field("", "object", fields=_STOP)),
    Field("Equipment", "object", fields=_texts("Number Length Type")),
    Field("Entities", "list", items=Field("", "object", fields=_ENTITY)),
    *_texts(
        "PaymentMethod QtyPallets Weight WeightUnitCode WeightQualifier Volume VolumeUnitCode VolumeQualifier"
    ),
    Field("Rate", "number"),
    Field("ExpirationDate", "time"),
    _NOTES,
    _REFERENCES,
    *_texts("RoutingSequenceCode TransportationMethodTypeCode"),
)
_RECEIVED = "Success means that Alvys has received it. For the result, use a webhook or read the tender later"
_REFERENCE_TYPE = "The Type of a reference is in the changelog but not in the OpenAPI file"
_TWICE = "Not documented: whether Alvys recognizes a duplicate"
# Alvys assigns the tender's Id, which is not in the response.
_FIND = "look for the shipment {ShipmentId} among the tenders"
_VERSION = ETagSource("tenders", {"tenderId": "tenderId"}, etag_field="Etag", updated_field="")
_IF_ENABLED = "By a guide, the tender's Etag is checked as If-Match only if Alvys has enabled that"
_ANSWERED = "A retry may send a second reply to the tender's sender"

OPERATIONS = (
    Operation(
        name="tenders.create",
        description="Submit a tender",
        method="POST",
        path="tenders",
        scope="tender:create",
        body=_TENDER,
        retry_safety="unsafe",
        retry_reason="Idempotency-Key is recommended by a guide, but is not in the OpenAPI file",
        check=_FIND,
        has_response=False,
        idempotency_header="Idempotency-Key",
        notes=(_RECEIVED, _REFERENCE_TYPE),
    ),
    Operation(
        name="tenders.update",
        description="Submit a change of a tender",
        method="POST",
        path="tenders/update",
        scope="tender:update",
        scope_is_documented=False,
        body=_TENDER,
        retry_safety="unsafe",
        retry_reason=_TWICE,
        check=f"{_FIND}, with this change",
        has_response=False,
        notes=(_RECEIVED, _REFERENCE_TYPE),
    ),
    Operation(
        name="tenders.cancel",
        description="Submit the cancellation of a tender",
        method="POST",
        path="tenders/cancel",
        scope="tender:update",
        scope_is_documented=False,
        body=_TENDER,
        retry_safety="unsafe",
        retry_reason=_TWICE,
        check=f"{_FIND}, with its cancellation",
        has_response=False,
        notes=(_RECEIVED, _REFERENCE_TYPE),
    ),
    Operation(
        name="tenders.accept",
        description="Accept a tender",
        method="POST",
        path="tenders/{tenderId}/accept",
        scope="tender:update",
        body=(
            Field(
                "StopCompanyLinks",
                "list",
                required=True,
                min_items=1,
                items=Field("", "object", fields=_texts("StopId CompanyId", required=True)),
            ),
            Field("FleetId"),
        ),
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="unsafe",
        retry_reason=_ANSWERED,
        check="read the tender {tenderId}: its Status and its LoadNumber",
        notes=(_IF_ENABLED,),
    ),
    Operation(
        name="tenders.accept_updates",
        description="Accept the changes of a tender",
        method="POST",
        path="tenders/{tenderId}/accept-updates",
        scope="tender:update",
        body=(Field("ApplyAllChangesToLoad", "boolean", required=True),),
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="unsafe",
        retry_reason=_ANSWERED,
        check="read the tender {tenderId}: its Status",
        has_response=False,
        notes=(_IF_ENABLED,),
    ),
    Operation(
        name="tenders.accept_cancel",
        description="Accept the cancellation of a tender",
        method="POST",
        path="tenders/{tenderId}/accept-cancel",
        scope="tender:update",
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="unsafe",
        retry_reason=_ANSWERED,
        check="read the tender {tenderId}: its Status",
        has_response=False,
        notes=(_IF_ENABLED,),
    ),
    Operation(
        name="tenders.reject",
        description="Reject a tender",
        method="POST",
        path="tenders/{tenderId}/reject",
        scope="tender:update",
        body=(
            Field("ReasonCode", required=True),
            Field("ReasonDescription", required=True),
            Field("CancelLinkedLoad", "boolean", required=True),
        ),
        if_match="optional",
        etag_source=_VERSION,
        retry_safety="unsafe",
        retry_reason=_ANSWERED,
        check="read the tender {tenderId}: its Status",
        has_response=False,
        notes=(_IF_ENABLED,),
    ),
)
