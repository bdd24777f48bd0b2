"""The fields of invoices, deductions and settlement statements."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows.common import ADDRESS, MONEY
from airflow_provider_alvys.api.schema.fields import record

INVOICE = record(
    """
    Id Number Type Status CreatedDate:time InvoicedDate:time DueDate:time PaidDate:time LastSendDate:time
    IsSubmitted:boolean Total:money AmountPaid:money RemainingBalance:money OverPaymentAmount:money
    SupplementalInvoiceType Vendor:vendor Customer:customer LineItems:[line] Loads:[load] Payments:[payment]
    """,
    customer=record(
        """
        Id Name EmailAddresses:[string] PhoneNumbers:[string] BillingAddress:address ShippingAddress:address
        """,
        address=ADDRESS,
    ),
    line=record(
        "Id Name Amount:money Rate:rate LoadNumber CustomerId Category",
        money=MONEY,
        rate=record("UnitOfMeasurement Units:decimal Rate:decimal"),
    ),
    load=record("Id LoadNumber SubsidiaryName Source OrderNumber PONumber"),
    money=MONEY,
    payment=record("Id PaymentDate:time Amount:money CheckNumber PaymentReference", money=MONEY),
    vendor=record("Id Name RemitAddress:address RemitEmail RemitPhone", address=ADDRESS),
)
DEDUCTION = record(
    """
    Id Type GroupId Description Category Amount:money DriverId TruckId OwnerOperatorId Date:time
    IsPaid:boolean CreatedAt:time CreatedBy
    """,
    money=MONEY,
)
CARRIER_STATEMENT = record(
    """
    Number:integer Status StatementDate:time RemittanceDate:time SubsidiaryId Payee:payee RemitTo
    PaymentProvider NetAmount:money PaidAmount:money RemainingAmount:money Trips:[trip] Payments:[payment]
    """,
    money=MONEY,
    payee=record("Type Id Name McNumber DotNumber"),
    payment=record("Id Amount:money PaymentDate:time PaymentMethod ReferenceNumber CheckNumber", money=MONEY),
    trip=record(
        """
        TripId TripNumber LoadNumber Origin Destination PickedUpAt:time DeliveredAt:time InvoiceNumber
        InvoiceDueDate:time NetAmount:money LineHaulAmount:money AccessorialsAmount:money Items:[item]
        """,
        item=record("Description Type Amount:money AccountingTag", money=MONEY),
        money=MONEY,
    ),
)
DRIVER_STATEMENT = record(
    """
    Number:integer Status StatementDate:date PayPeriodId PayPeriodTitle Driver:driver Totals:totals
    LineItems:[line]
    """,
    driver=record("Id Name Type CompanyName SubsidiaryId FleetName"),
    line=record(
        "Category TransactionType Title PolicyName TripNumber LoadNumber Amount:money SubLines:[subline]",
        money=MONEY,
        # Quantity and Rate are strings.
        subline=record("Description Quantity Rate Amount:money", money=MONEY),
    ),
    totals=record(
        """
        GrossIncome:money NetIncome:money LineHaul:money Accessorials:money Echecks:money ServiceFee:money
        DriverPayment:money Deductions:money Reimbursements:money Credits:money Escrow:money Fuel:money
        Tolls:money Bonus:money Shortfall:money DailyPay:money DailyPerDiem:money StatementPerDiem:money
        TripValue:money NumberOfTrips:integer LoadedMiles:decimal EmptyMiles:decimal HoursWorked:decimal
        """,
        money=MONEY,
    ),
)
