"""Operations on customers and carriers."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_alvys.api.catalogue.operation_spec import AnyOf, ETagSource, Field, Operation
from airflow_provider_alvys.api.catalogue.stream_rows.partners import CARRIER_STATUSES, CUSTOMER_STATUSES

_ADDRESS = Field(
    "BillingAddress",
    "object",
    fields=(
        Field("Street", required=True),
        Field("City", required=True),
        Field("State", required=True),
        Field("Zip", required=True, record_field="ZipCode"),
        # Required by the OpenAPI file. By the page the default is US.
        Field("Country", record_field=None),
    ),
)
_FIELDS = (
    Field("Name", max_length=200),
    Field("Type", values=("Customer", "Broker/3PL")),
    Field("CompanyNumber", max_length=32),
    Field("Status", values=CUSTOMER_STATUSES),
    _ADDRESS,
    Field("Email", "list", items=Field("")),
    Field("Phone", "list", items=Field("")),
    Field("Fax"),
    Field("ExternalId", max_length=100),
)
# A merge patch has only the fields that change, also inside the address.
_PARTS = tuple(replace(part, required=False) for part in _ADDRESS.fields)
_PATCHED = tuple(replace(field, fields=_PARTS) if field is _ADDRESS else field for field in _FIELDS)
# Only the response to a write has the time of the last change.
_CUSTOMER = ETagSource("customers", {"id": "id"}, updated_field="DateModified")
_STALE = "A retry sends the ETag that the first attempt replaced, so Alvys refuses it"

OPERATIONS = (
    Operation(
        name="customers.create",
        description="Create a customer",
        method="POST",
        path="customers",
        scope="customer:create",
        body=(replace(_FIELDS[0], required=True), *_FIELDS[1:]),
        retry_safety="unsafe",
        retry_reason="Alvys refuses a duplicate only by CompanyNumber, by ExternalId, or by Name and Zip",
        check="look for {Name}, number {CompanyNumber} or ExternalId {ExternalId} among the customers",
        notes=(
            "Type is required by the changelog, but not by the page or the OpenAPI file: it is optional here",
            "BillingAddress.Country is required by the OpenAPI file; by the page its default is US",
            "Alvys answers 409 for a duplicate, and 503 if it has disabled the endpoint",
            "The documented statuses are Active and Inactive; searches also find Disabled",
        ),
    ),
    Operation(
        name="customers.update",
        description="Change fields of a customer",
        method="PATCH",
        path="customers/{id}",
        scope="customer:update",
        body=_PATCHED,
        rules=(AnyOf(tuple(field.name for field in _PATCHED)),),
        is_merge_patch=True,
        if_match="required",
        etag_source=_CUSTOMER,
        retry_safety="guarded",
        retry_reason=_STALE,
        check="read the customer {id} and compare its fields",
        notes=(
            "A JSON merge patch: None clears a field, and a missing field does not change",
            "If-Match is required by the page but missing from the OpenAPI file",
            "The OpenAPI file requires all fields of BillingAddress; here, those that change are enough",
        ),
    ),
    Operation(
        name="customers.delete",
        description="Set a customer to Inactive",
        method="DELETE",
        path="customers/{id}",
        scope="customer:delete",
        if_match="required",
        etag_source=_CUSTOMER,
        retry_safety="guarded",
        retry_reason=_STALE,
        check="read the customer {id}: its Status is Inactive",
        has_response=False,
        resulting_fields={"Status": "Inactive"},
        notes=(
            "The customer keeps its number; customers.update with the Status Active restores it",
            "If-Match is required by the page but missing from the OpenAPI file",
        ),
    ),
    Operation(
        name="carriers.set_status",
        description="Set the status of a carrier",
        method="PATCH",
        path="carriers/{carrierId}/status",
        scope="carrier:update",
        body=(Field("Status", required=True, values=(*CARRIER_STATUSES, "DoNotLoad")),),
        if_match="optional",
        etag_source=ETagSource("carriers", {"id": "carrierId"}),
        retry_safety="safe",
        retry_reason="A retry sets the same status again",
        check="read the carrier {carrierId}: its Status is {Status}",
        has_response=False,
        notes=(
            "If-Match is optional by the page, which returns the new ETag, but missing from the OpenAPI file",
            "The changelog also spells Do Not Load without spaces: both are allowed",
        ),
    ),
)
