"""Operations on deductions, payments and invoices."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.operation_spec import Field, OneOf, Operation, Upload
from airflow_provider_alvys.api.schema.currencies import CURRENCIES

_MONEY = (
    Field("Amount", "number", required=True),
    Field(
        "Currency",
        "integer",
        values=tuple(CURRENCIES),
        hint="Give the ISO 4217 number: 840 for USD, 124 for CAD, 484 for MXN",
    ),
)
_BY_REFERENCE = "Alvys recognizes the ReferenceNumber and responds with the existing payment"
_SEND_AGAIN = "send it again with the ReferenceNumber {{ReferenceNumber}}: the response has the {}"
_PAYMENT = (
    Field("Amount", "object", required=True, fields=_MONEY),
    Field("PaymentDate", "day", required=True),
    Field("ReferenceNumber", required=True),
    Field("PaymentMethod"),
    Field("CheckNumber"),
    Field("Note"),
)
_NAMES = "The changelog has other names for these fields; the names here are from the OpenAPI file"

OPERATIONS = (
    Operation(
        name="deductions.create",
        description="Create a one-time deduction for a driver or a truck",
        method="POST",
        path="deductions/once",
        scope="deduction:create",
        body=(
            Field("Date", "day", required=True),
            Field("Amount", "number", required=True, less_than=-1.0),
            Field("Category", required=True),
            Field("Description", required=True),
            Field("DriverId"),
            Field("TruckId"),
            Field("OwnerOperatorId"),
        ),
        rules=(OneOf(("DriverId", "TruckId")),),
        retry_safety="unsafe",
        retry_reason="Each call creates another deduction",
        check="look for the amount {Amount} and this Description among the deductions of that Date",
        notes=("Amount is a plain number without a currency, and negative: less than -1.00",),
    ),
    Operation(
        name="deductions.delete",
        description="Delete a deduction",
        method="DELETE",
        path="deductions/{id}",
        scope="deduction:delete",
        retry_safety="safe",
        retry_reason="A deleted record stays deleted",
        check="read the deduction {id}: it no longer exists",
        notes=("Alvys answers 422 if it does not allow the deletion",),
    ),
    Operation(
        name="invoices.create_carrier_invoice",
        description="Upload a carrier's invoice for a trip",
        method="POST",
        path="invoices/carrier-invoice",
        scope="invoice:update",
        scope_is_documented=False,
        body=(Field("TripId", required=True), Field("CarrierInvoiceNumber"), Field("PaymentType")),
        upload=Upload(),
        secrets=("DownloadUrl",),
        retry_safety="unsafe",
        retry_reason="Each upload creates another document",
        check="look for this file among the documents of the trip {TripId}",
        notes=(
            "An unknown PaymentType becomes payment terms of 30 days",
            "No document names the scope: invoice:update is inferred and may be invoice:create",
            "Not documented: the allowed file types. Those of the other uploads are assumed",
        ),
    ),
    Operation(
        name="invoices.record_carrier_payment",
        description="Record a payment to a trip's carrier",
        method="POST",
        path="invoices/carrier-payments",
        scope="invoice:update",
        body=(Field("TripId", required=True), *_PAYMENT),
        retry_safety="by_key",
        idempotency_field="ReferenceNumber",
        retry_reason=_BY_REFERENCE,
        check=_SEND_AGAIN.format("payments of the trip {TripId}"),
        notes=(
            "Full payment sets the trip to Completed",
            "The page has MarkAsPaid, which Alvys removed in July 2026 and ignores; it is refused here",
            _NAMES,
        ),
    ),
    Operation(
        name="invoices.record_customer_payment",
        description="Record a customer's payment for a load",
        method="POST",
        path="invoices/customer-payments",
        scope="invoice:update",
        body=(Field("LoadNumber", required=True), *_PAYMENT, Field("InvoiceNumber")),
        retry_safety="by_key",
        idempotency_field="ReferenceNumber",
        retry_reason=_BY_REFERENCE,
        check=_SEND_AGAIN.format("payments of the load {LoadNumber}"),
        notes=("The load must be Invoiced, Completed or Financed", _NAMES),
    ),
    Operation(
        name="invoices.record_financing",
        description="Record a factor's advance on a load",
        method="POST",
        path="invoices/financing",
        scope="invoice:update",
        body=(
            Field("LoadNumber", required=True),
            Field("AmountFunded", "number", required=True),
            Field("Fee", "number", required=True),
            Field("DateFunded", "day"),
            Field("ReserveEscrowAmount", "number"),
            Field("ReferenceNumber", required=True),
        ),
        retry_safety="by_key",
        idempotency_field="ReferenceNumber",
        retry_reason=_BY_REFERENCE,
        check=_SEND_AGAIN.format("funding of the load {LoadNumber}"),
        notes=(
            "Amounts are plain numbers without a currency",
            "Fee is required by the OpenAPI file but not by the page: give 0 for no fee",
            _NAMES,
        ),
    ),
)
