"""What can be written of customers and carriers."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_alvys.api.catalogue.operation_spec import AnyOf, Field, Operation, Version
from airflow_provider_alvys.api.catalogue.stream_rows.partners import CARRIER_STATUSES, CUSTOMER_STATUSES

_ADDRESS = Field(
    "BillingAddress",
    "object",
    fields=(
        Field("Street", required=True),
        Field("City", required=True),
        Field("State", required=True),
        Field("Zip", required=True, shown_as="ZipCode"),
        # The OpenAPI file requires it, the page takes US where it is missing.
        Field("Country", shown_as=None),
    ),
)
_FIELDS = (
    Field("Name", longest=200),
    Field("Type", values=("Customer", "Broker/3PL")),
    Field("CompanyNumber", longest=32),
    Field("Status", values=CUSTOMER_STATUSES),
    _ADDRESS,
    Field("Email", "list", items=Field("")),
    Field("Phone", "list", items=Field("")),
    Field("Fax"),
    Field("ExternalId", longest=100),
)
# A merge patch names the parts that change, those of the address included.
_PARTS = tuple(replace(part, required=False) for part in _ADDRESS.fields)
_PATCHED = tuple(replace(field, fields=_PARTS) if field is _ADDRESS else field for field in _FIELDS)
# Only the answer to a write tells when a customer was changed.
_CUSTOMER = Version("customers", {"id": "id"}, stamp="DateModified")
_STALE = "Its If-Match names the version that the first one has replaced, so that it is refused"

OPERATIONS = (
    Operation(
        name="customers.create",
        about="Make a customer",
        method="POST",
        path="customers",
        scope="customer:create",
        body=(replace(_FIELDS[0], required=True), *_FIELDS[1:]),
        repeat="unsafe",
        because="Only one of the same CompanyNumber, ExternalId, or Name and Zip is refused: without them a second one is made",
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
        about="Change fields of a customer",
        method="PATCH",
        path="customers/{id}",
        scope="customer:update",
        body=_PATCHED,
        rules=(AnyOf(tuple(field.name for field in _PATCHED)),),
        patch=True,
        if_match="required",
        version=_CUSTOMER,
        repeat="guarded",
        because=_STALE,
        check="read the customer {id} and compare its fields",
        notes=(
            "A JSON merge patch: a field that is None is emptied, one that is missing stays as it is",
            "The OpenAPI file does not declare If-Match; the page requires it",
            "The OpenAPI file requires all parts of BillingAddress; of a merge patch, those that change are enough",
        ),
    ),
    Operation(
        name="customers.delete",
        about="Make a customer inactive",
        method="DELETE",
        path="customers/{id}",
        scope="customer:delete",
        if_match="required",
        version=_CUSTOMER,
        repeat="guarded",
        because=_STALE,
        check="read the customer {id}: its Status is Inactive",
        answers=False,
        shows={"Status": "Inactive"},
        notes=(
            "The customer stays as Inactive and keeps its number; customers.update with the Status Active restores it",
            "The OpenAPI file does not declare If-Match; the page requires it",
        ),
    ),
    Operation(
        name="carriers.set_status",
        about="Set the status of a carrier",
        method="PATCH",
        path="carriers/{carrierId}/status",
        scope="carrier:update",
        body=(Field("Status", required=True, values=(*CARRIER_STATUSES, "DoNotLoad")),),
        if_match="optional",
        version=Version("carriers", {"id": "carrierId"}),
        repeat="safe",
        because="It sets the same status again",
        check="read the carrier {carrierId}: its Status is {Status}",
        answers=False,
        notes=(
            "The OpenAPI file does not declare If-Match; the page takes it, and answers with the new ETag",
            "The changelog once spells Do Not Load without blanks: both are taken",
        ),
    ),
)
