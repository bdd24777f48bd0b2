"""What can be written of customers and carriers."""

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
        # The OpenAPI file requires it, the page takes US where it is missing.
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
# A merge patch names the parts that change, those of the address included.
_PARTS = tuple(replace(part, required=False) for part in _ADDRESS.fields)
_PATCHED = tuple(replace(field, fields=_PARTS) if field is _ADDRESS else field for field in _FIELDS)
# Only the answer to a write tells when a customer was changed.
_CUSTOMER = ETagSource("customers", {"id": "id"}, updated_field="DateModified")
_STALE = "Its If-Match names the version that the first one has replaced, so that it is refused"

OPERATIONS = (
    Operation(
        name="customers.create",
        description="Make a customer",
        method="POST",
        path="customers",
        scope="customer:create",
        body=(replace(_FIELDS[0], required=True), *_FIELDS[1:]),
        retry_safety="unsafe",
        retry_reason="Only one of the same CompanyNumber, ExternalId, or Name and Zip is refused: without them a second one is made",
        check="look among the customers for the name {Name}, number {CompanyNumber} or external id {ExternalId}",
        notes=(
            "Type is required by the changelog, and by neither the page nor the OpenAPI file: it may be left out",
            "BillingAddress.Country is required by the OpenAPI file; by the page it is US where it is left out",
            "409 where such a customer exists already; 503 where Alvys has switched the call off",
            "Alvys documents the statuses Active and Inactive; Disabled was seen in searches",
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
            "A JSON merge patch: a field that is None is emptied, one that is missing stays as it is",
            "The OpenAPI file does not declare If-Match; the page requires it",
            "The OpenAPI file requires all parts of BillingAddress; of a merge patch, those that change are enough",
        ),
    ),
    Operation(
        name="customers.delete",
        description="Make a customer inactive",
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
            "The customer stays as Inactive and keeps its number; customers.update with the Status Active restores it",
            "The OpenAPI file does not declare If-Match; the page requires it",
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
        retry_reason="It sets the same status again",
        check="read the carrier {carrierId}: its Status is {Status}",
        has_response=False,
        notes=(
            "The OpenAPI file does not declare If-Match; the page takes it, and answers with the new ETag",
            "The changelog once spells Do Not Load without blanks: both are taken",
        ),
    ),
)
