"""Streams of invoices, deductions and settlement statements."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_alvys.api.catalogue.record_rows import money as records
from airflow_provider_alvys.api.catalogue.stream_spec import Branch, Filter, Lookup, Stream, Tier, TimeWindow

_DAY = timedelta(days=1)
# Whole UTC days, with both ends included. A statement's date may be weeks in the future or months in the
# past.
_STATEMENT_DATES = TimeWindow(
    "statement",
    "StatementDateRange",
    "StatementDate",
    whole_days=True,
    look_back=60 * _DAY,
    look_ahead=60 * _DAY,
    needs_end=True,
    includes_end=True,
    required=True,
)
_ALL_STATEMENTS = (Branch(window="statement", unbounded=True),)
_STATEMENT_TIERS = (Tier("daily"), Tier("weekly", look_back=400 * _DAY, look_ahead=90 * _DAY, sweep=True))

STREAMS = (
    Stream(
        name="invoices",
        description="A bill to a customer",
        path="invoices/search",
        scope="invoice:read",
        key=("Id",),
        fields=records.INVOICE,
        filters=(
            Filter("Status", "strings", "Status", values=("Draft", "AwaitingPayment", "Paid")),
            # Clients were refused more than 50 load numbers; for order numbers a document says so.
            Filter("LoadNumbers", "strings", "Loads.LoadNumber", max_items=50),
            Filter("PONumbers", "strings", "Loads.PONumber"),
            Filter("OrderNumbers", "strings", "Loads.OrderNumber", max_items=50),
            Filter("CustomerId", "string", "Customer.Id"),
        ),
        # From live errors. The page lists the ranges too, but Alvys does not accept them alone.
        any_of=("Status", "LoadNumbers", "PONumbers", "OrderNumbers", "CustomerId"),
        windows=(
            # No time field is updated by every change: read all unpaid invoices, and the others by their
            # dates. The unpaid ones first: an invoice that is paid in between is then found by PaidDate.
            TimeWindow(
                "activity",
                branches=(
                    Branch({"Status": ["Draft", "AwaitingPayment"]}),
                    Branch(window="invoiced"),
                    Branch(window="sent"),
                    Branch(window="paid"),
                ),
            ),
            # Midnight, mostly before the invoice was created. By one document the range filters by
            # CreatedDate, and finds drafts.
            TimeWindow(
                "invoiced",
                "InvoicedDateRange",
                "InvoicedDate",
                column_is_certain=False,
                whole_days=True,
                look_back=45 * _DAY,
                look_ahead=_DAY,
            ),
            # Not documented: which field the range filters.
            TimeWindow(
                "sent",
                "InvoiceSentRange",
                "LastSendDate",
                column_is_certain=False,
                whole_days=True,
                look_back=7 * _DAY,
                look_ahead=_DAY,
            ),
            # Midnight. Payments are entered late.
            TimeWindow(
                "paid", "PaidDateRange", "PaidDate", whole_days=True, look_back=90 * _DAY, look_ahead=_DAY
            ),
        ),
        default_window="activity",
        lookup=Lookup("invoices", one_of={"id": "Id", "invoiceNumber": "Number"}),
        references={
            "Customer.Id": "customers.Id",
            "Loads.Id": "loads.Id",
            "Loads.LoadNumber": "loads.LoadNumber",
            "LineItems.CustomerId": "customers.Id",
            "LineItems.LoadNumber": "loads.LoadNumber",
        },
        tiers=(Tier("4-hourly"), Tier("monthly", window="invoiced", look_back=455 * _DAY, sweep=True)),
        final_when="if Paid",
        notes=(
            "PaidDate is the date of the full payment",
            "A summary invoice has several loads: do not sum its totals after a join with them",
            "Two pages list different values of Type",
            "Alvys refuses a window without a status, so an invoice whose status this version does not know "
            "is not found",
            "Documents contradict each other on whether the window invoiced filters by InvoicedDate or by "
            "CreatedDate, so it may find drafts, and it marks no row as missing",
        ),
    ),
    Stream(
        name="deductions",
        description="An amount deducted from a driver's or an owner operator's pay",
        path="deductions/search",
        scope="deduction:read",
        key=("Id",),
        fields=records.DEDUCTION,
        filters=(
            Filter("DriverId", "string", "DriverId"),
            Filter("TruckId", "string", "TruckId"),
            Filter("OwnerOperatorId", "string", "OwnerOperatorId"),
            Filter("IncludePaid", "boolean", default=True, required=True, unhides="IsPaid"),
        ),
        any_of=("DateRange", "DriverId", "TruckId", "OwnerOperatorId"),
        mutually_exclusive=("DriverId", "TruckId"),
        windows=(
            # No time field is updated when IsPaid changes: read all unpaid deductions, and first.
            TimeWindow(
                "activity",
                branches=(
                    Branch({"IncludePaid": False}, window="date", unbounded=True),
                    Branch(window="date"),
                ),
            ),
            # Midnight of the effective day, which may be in the future.
            TimeWindow("date", "DateRange", "Date", whole_days=True, look_back=120 * _DAY, look_ahead=None),
        ),
        default_window="activity",
        full_read=(Branch(window="date", unbounded=True),),
        lookup=Lookup("deductions/{id}"),
        references={"DriverId": "drivers.Id", "TruckId": "trucks.Id", "OwnerOperatorId": "drivers.Id"},
        tiers=(Tier("6-hourly"), Tier("monthly", window="date", look_back=400 * _DAY, sweep=True)),
        final_when="if paid, unless the statement that paid it is reverted",
        notes=(
            "The filters DriverId and TruckId exclude each other",
            "Splitting a deduction deletes it and creates new ones with the same GroupId",
        ),
    ),
    Stream(
        name="carrier_settlement_statements",
        description="A statement of a carrier's pay for its trips",
        path="carrier-settlement-statements/search",
        scope="carrier:read",
        key=("Number",),
        fields=records.CARRIER_STATEMENT,
        page_size=100,
        max_page_size=100,
        filters=(
            Filter("CarrierId", "string", "Payee.Id"),
            Filter("SubsidiaryId", "string", "SubsidiaryId"),
        ),
        windows=(_STATEMENT_DATES,),
        default_window="statement",
        full_read=_ALL_STATEMENTS,
        lookup=Lookup("carrier-settlement-statements/{number}"),
        references={
            "Trips.TripId": "trips.Id",
            "Trips.TripNumber": "trips.TripNumber",
            "Trips.LoadNumber": "loads.LoadNumber",
        },
        tiers=_STATEMENT_TIERS,
        notes=(
            "Failed and deleted statements are not returned",
            "A reverted statement is no longer returned",
        ),
    ),
    Stream(
        name="driver_settlement_statements",
        description="A statement of a driver's pay for a pay period",
        path="driver-settlement-statements/search",
        scope="driver:read",
        key=("Number",),
        fields=records.DRIVER_STATEMENT,
        page_size=100,
        max_page_size=100,
        filters=(
            # Not case-sensitive.
            Filter("DriverType", "string", "Driver.Type", values=("COMPANY", "OWNER_OPERATOR", "CONTRACTOR")),
            Filter("DriverId", "string", "Driver.Id"),
        ),
        windows=(_STATEMENT_DATES,),
        default_window="statement",
        full_read=_ALL_STATEMENTS,
        lookup=Lookup("driver-settlement-statements/{number}"),
        references={
            "Driver.Id": "drivers.Id",
            "LineItems.TripNumber": "trips.TripNumber",
            "LineItems.LoadNumber": "loads.LoadNumber",
        },
        tiers=_STATEMENT_TIERS,
        notes=(
            "A statement's date may be months after its deductions",
            "Line items of the category Escrow are found nowhere else; their TransactionType is Deposit "
            "(negative) or Withdrawal (positive)",
            "Very long windows are accepted, such as ten years",
            "A reverted statement is no longer returned",
        ),
    ),
)
