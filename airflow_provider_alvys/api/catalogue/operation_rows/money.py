"""What can be written of deductions, payments and invoices."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.operation_spec import Field, OneOf, Operation, Upload
from airflow_provider_alvys.api.schema.currencies import CURRENCIES

_MONEY = (
    Field("Amount", "number", required=True),
    Field(
        "Currency",
        "integer",
        values=tuple(CURRENCIES),
        hint="It is the number of ISO 4217: 840 is USD, 124 CAD, 484 MXN",
    ),
)
_BY_REFERENCE = "Alvys knows a payment again by its ReferenceNumber, and answers with what stands"
_PAYMENT = (
    Field("Amount", "object", required=True, fields=_MONEY),
    Field("PaymentDate", "day", required=True),
    Field("ReferenceNumber", required=True),
    Field("PaymentMethod"),
    Field("CheckNumber"),
    Field("Note"),
)
_SHAPE = "The changelog shows other names for these fields: those of the OpenAPI file are taken"

OPERATIONS = (
    Operation(
        name="deductions.create",
        description="Deduct an amount once from a driver's or a truck's pay",
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
        retry_reason="Each one is a further deduction",
        check="look among the deductions of that Date for the amount {Amount} and this Description",
        notes=("Amount is negative: below -1.00, and a plain number without a currency",),
    ),
    Operation(
        name="deductions.delete",
        description="Remove a deduction",
        method="DELETE",
        path="deductions/{id}",
        scope="deduction:delete",
        retry_safety="safe",
        retry_reason="What is gone stays gone",
        check="read the deduction {id}: it is gone",
        notes=("422 where Alvys does not allow it",),
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
        retry_reason="Each one is a further file",
        check="look among the documents of the trip {TripId} for this file",
        notes=(
            "A PaymentType that Alvys does not know becomes terms of 30 days",
            "No page states the scope: invoice:update is inferred, and may be invoice:create",
            "The files that it takes are not documented: those of the other uploads are assumed",
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
        check="send it again with the ReferenceNumber {ReferenceNumber}: Alvys tells the payments of the trip {TripId}",
        notes=(
            "Payments in full move the trip to Completed",
            "The page still has MarkAsPaid, which Alvys removed in July 2026 and ignores: it is refused here",
            _SHAPE,
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
        check="send it again with the ReferenceNumber {ReferenceNumber}: Alvys tells what is paid of the load {LoadNumber}",
        notes=("The load must be Invoiced, Completed or Financed", _SHAPE),
    ),
    Operation(
        name="invoices.record_financing",
        description="Record what a factor has advanced on a load",
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
        check="send it again with the ReferenceNumber {ReferenceNumber}: Alvys tells what is funded of the load {LoadNumber}",
        notes=(
            "Amounts are plain numbers, without a currency",
            "Fee is required by the OpenAPI file and not by the page: give 0 for none",
            _SHAPE,
        ),
    ),
)
