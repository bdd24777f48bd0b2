"""The records of invoices at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.money import decimal, money
from airflow_provider_alvys.simulator.company.plans.billing import STANDALONE, Invoice, Line
from airflow_provider_alvys.simulator.company.texts import place_fields, text_id, utc_text
from airflow_provider_alvys.simulator.data.times import DAY

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

# Invoices have the code of a currency, not its number.
_CODES: Mapping[int, str] = {840: "USD", 124: "CAD"}
DRAFT, OPEN, PAID = "Draft", "AwaitingPayment", "Paid"


class InvoiceView(NamedTuple):
    """An invoice at a time."""

    company: Company
    invoice: Invoice
    at: int

    @property
    def currency(self) -> str:
        """The code of its currency."""
        return _CODES[self.company.load(self.invoice.load).currency]

    @property
    def customer(self) -> int:
        """The number of its customer."""
        return self.company.load(self.invoice.load).customer

    @property
    def is_final(self) -> bool:
        """Whether it is no draft any more."""
        return self.invoice.invoiced_at <= self.at

    @property
    def is_paid(self) -> bool:
        """Whether nothing is left to pay."""
        return self.invoice.paid_at is not None and self.invoice.paid_at <= self.at


def _money(view: InvoiceView, cents: int) -> dict[str, Any]:
    return money(cents, view.currency)


def _day(at: int) -> int:
    return at - at % DAY


def _line(view: InvoiceView, position: int, line: Line) -> dict[str, Any]:
    rate = line.cents * 10_000 // line.quantity if line.quantity else 0
    shown = {
        "Id": f"{text_id(view.company.salt, view.invoice.load, view.invoice.position, 7)}-{position + 1}",
        "Name": line.name,
        "Amount": _money(view, line.cents),
        "Rate": {
            "UnitOfMeasurement": line.unit,
            "Units": decimal(line.quantity, 3),
            "Rate": decimal(rate, 3),
        },
        "CustomerId": view.company.name_of("customers", "Id", view.customer),
        "Category": line.category,
    }
    if view.invoice.loads:
        shown["LoadNumber"] = view.company.name_of("loads", "LoadNumber", line.load)
    return shown


def _loads(view: InvoiceView) -> list[dict[str, Any]]:
    company = view.company
    return [
        {
            "Id": company.name_of("loads", "Id", load),
            "LoadNumber": company.name_of("loads", "LoadNumber", load),
            "SubsidiaryName": company.invoice_as(company.load(load)),
            "Source": "Load",
            "OrderNumber": company.name_of("loads", "OrderNumber", load),
            "PONumber": company.name_of("loads", "PONumber", load),
        }
        for load in view.invoice.loads
    ]


def _payments(view: InvoiceView) -> list[dict[str, Any]]:
    shown = []
    for position, payment in enumerate(view.invoice.payments):
        if payment.at > view.at:
            continue
        number = 500_000 + view.invoice.load * 7 + position
        reference = f"Credit memo {number}" if payment.is_credit else f"ACH {number}"
        record = {
            "Id": text_id(view.company.salt, view.invoice.load, view.invoice.position, position, 8),
            "PaymentDate": utc_text(_day(payment.at)),
            "Amount": _money(view, payment.cents),
            "PaymentReference": reference,
        }
        if number % 3 == 0 and not payment.is_credit:
            record |= {"CheckNumber": str(number), "PaymentReference": f"Check {number}"}
        shown.append(record)
    return shown


def _vendor(view: InvoiceView) -> dict[str, Any]:
    load = view.company.load(view.invoice.load)
    issuer = view.company.issuer(load)
    contact = {"RemitEmail": issuer.email, "RemitPhone": issuer.phone}
    remit = {"Street": issuer.street, **place_fields(issuer.place)}
    return {"Id": issuer.id, "Name": issuer.name, "RemitAddress": remit, **contact}


def _customer(view: InvoiceView) -> dict[str, Any]:
    company, number = view.company, view.customer
    customer = company.customer(number)
    billing = {"Street": customer.street, **place_fields(customer.place)}
    mail = company.name_of("customers", "Email", number) or []
    return {
        "Id": company.name_of("customers", "Id", number),
        "Name": company.name_of("customers", "Name", number),
        "EmailAddresses": mail,
        "PhoneNumbers": company.name_of("customers", "Phone", number) or [],
        "BillingAddress": billing,
        "ShippingAddress": billing,
    }


def _over(view: InvoiceView) -> dict[str, Any] | None:
    return _money(view, view.invoice.overpaid) if view.invoice.overpaid and view.is_paid else None


def _final(view: InvoiceView, at: int) -> int | None:
    return at if view.is_final and at <= view.at else None


_FIELDS: Mapping[str, Callable[[InvoiceView], Any]] = {
    "Type": lambda view: view.invoice.type,
    "Status": lambda view: DRAFT if not view.is_final else PAID if view.is_paid else OPEN,
    "CreatedDate": lambda view: _day(view.invoice.created_at),
    "InvoicedDate": lambda view: _final(view, _day(view.invoice.invoiced_at)),
    "DueDate": lambda view: view.invoice.due_on,
    "PaidDate": lambda view: _day(view.invoice.paid_at) if view.is_paid and view.invoice.paid_at else None,
    "LastSendDate": lambda view: _day(sent) if (sent := _final(view, view.invoice.sent_at)) else None,
    "IsSubmitted": lambda view: view.is_final,
    "Total": lambda view: _money(view, view.invoice.total),
    "AmountPaid": lambda view: _money(view, view.invoice.paid(view.at)),
    "RemainingBalance": lambda view: _money(view, view.invoice.total - view.invoice.paid(view.at)),
    "OverPaymentAmount": _over,
    "SupplementalInvoiceType": lambda view: "Accessorial" if view.invoice.is_supplemental else None,
    "Vendor": _vendor,
    "Customer": _customer,
    "LineItems": lambda view: [
        _line(view, position, line) for position, line in enumerate(view.invoice.lines)
    ],
    "Loads": _loads,
    "Payments": _payments,
}


class InvoiceFacts(GrowingFacts):
    """The records of invoices."""

    makers = _FIELDS

    def view(self, number: int) -> InvoiceView:
        """Return an invoice at its time."""
        company = self._company
        if company.is_extra(number):
            invoice = company.added.invoices.get(number) or _standalone(company, number)
            return InvoiceView(company, invoice, max(company.now, invoice.created_at))
        invoice = company.invoices[number]
        return InvoiceView(company, invoice, company.time_of(invoice.load))

    def count(self) -> int:
        """Return how many invoices there are now."""
        return len(self._company.invoices)

    def started_at(self, number: int) -> int:
        """Return when an invoice was created."""
        company = self._company
        return company.created_at(number) if company.is_extra(number) else company.invoices[number].created_at

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the invoices that existed at a time and changed until another one."""
        company, found = self._company, []
        for number, invoice in enumerate(company.invoices):
            times = (invoice.invoiced_at, invoice.sent_at, *(payment.at for payment in invoice.payments))
            end = company.limited(invoice.load, until)
            if invoice.created_at <= since and any(since < at <= end for at in times):
                found.append(number)
        return found

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the loads of an invoice."""
        company = self._company
        if company.is_extra(number):
            return company.added.invoices[number].loads if number in company.added.invoices else ()
        return company.invoices[number].loads


def _standalone(company: Company, number: int) -> Invoice:
    """Return an invoice without a load, as for a row that a test adds."""
    at = company.created_at(number)
    fee = 2_500 * (1 + number % 40)
    line = Line(number, "Yard storage", "Miscellaneous", "Days", 1_000, fee)
    return Invoice(number, 0, STANDALONE, (), at, at, at, _day(at) + 30 * DAY, [line])
