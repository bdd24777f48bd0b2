"""Amounts of loads, their invoices, and what customers pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.simulator.company.books.amounts import AMOUNTS, move_line_haul
from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.facts.invoices import DRAFT, OPEN, PAID
from airflow_provider_alvys.simulator.company.money import cents_of, money
from airflow_provider_alvys.simulator.company.plans.billing import CREDIT_MEMO, STANDARD, Invoice, Line
from airflow_provider_alvys.simulator.company.texts import text_id, utc_text
from airflow_provider_alvys.simulator.data.times import DAY

BILLED = ("Invoiced", "Financed", "Completed", "Paid")
FULLY_PAID = ("Completed", "Paid")
_CREDIT = "Credit memo"
_ADJUSTMENT = "Rate Adjustment"
UNSENT = ("InvoicedDate", "LastSendDate", "PaidDate")


# ---- invoices of a load


def invoice_load(entry: Entry, load: Paper) -> None:
    """
    Bring a load's invoices into line with its status and rate.

    A draft becomes final, and a supplemental invoice or a credit memo has what is left.
    """
    is_billed, rate = load.get("Status") in BILLED and load.is_alive, load.cents("CustomerRate")
    invoices = entry.invoices_of(load.number)
    drafts = [invoice for invoice in invoices if invoice.get("Status") == DRAFT]
    for draft in drafts:
        _refresh(draft, load)
        if is_billed:
            finish_draft(entry, draft)
        elif load.get("Status") == "Cancelled" and len(list(entry.loads_of(draft))) == 1:
            entry.remove(draft)
    finals = [invoice for invoice in invoices if invoice.get("Status") != DRAFT]
    rest = (rate if is_billed else 0) - sum(lines_of(invoice, load) for invoice in finals)
    if rest and entry.can_invoice:
        _issue(entry, load, rest, finals)
    show_billing(entry, load, is_billed=is_billed)
    if load.get("Status") in FULLY_PAID:
        for invoice in entry.invoices_of(load.number):
            _pay_share(entry, invoice, load)


def show_billing(entry: Entry, load: Paper, *, is_billed: bool) -> None:
    """Show on a load whether it is invoiced."""
    if not is_billed:
        for name in ("InvoicedAmount", "InvoicedAt", "PaidAt"):
            load.set(name, None)
        return
    load.set_cents("InvoicedAmount", load.cents("CustomerRate"))
    if load.get("InvoicedAt") is None:
        load.set("InvoicedAt", entry.at)
    if load.get("TotalPaid") is None:
        load.set_cents("TotalPaid", 0)


def lines_of(invoice: Paper, load: Paper) -> int:
    """Return what an invoice has for a load, in cents."""
    key = load.before("LoadNumber")
    return sum(
        cents_of(line.get("Amount"))
        for line in invoice.get("LineItems") or ()
        if line.get("LoadNumber") in (key, load.get("LoadNumber"))
    )


def _refresh(draft: Paper, load: Paper) -> None:
    """Let a draft have a load's present rate."""
    absorb(draft, load.cents("CustomerRate") - lines_of(draft, load), str(load.get("LoadNumber")))
    draft.set_cents("Total", sum(cents_of(line.get("Amount")) for line in draft.get("LineItems") or ()))
    draft.set_cents("RemainingBalance", draft.cents("Total") - draft.cents("AmountPaid"))


def absorb(invoice: Paper, cents: int, load: str | None = None) -> None:
    """Raise or lower an invoice's largest line, of a load if it is given."""
    lines = list(invoice.get("LineItems") or ())
    own = [place for place, line in enumerate(lines) if load in (None, line.get("LoadNumber"))]
    if not cents:
        return
    if not own:
        extra = {} if load is None else {"LoadNumber": load}
        key = text_id(invoice.rows.salt, invoice.number, len(lines))
        amount = money(cents, invoice.currency)
        lines.append({"Id": key, "Name": _ADJUSTMENT, "Amount": amount, "Category": "Linehaul", **extra})
    else:
        place = max(own, key=lambda place: abs(cents_of(lines[place].get("Amount"))))
        new = cents_of(lines[place].get("Amount")) + cents
        changed = {**lines[place], "Amount": money(new, invoice.currency)}
        changed.pop("Rate", None)
        lines[place] = changed
    invoice.set("LineItems", lines)


def finish_draft(entry: Entry, draft: Paper) -> None:
    """Make a draft final; its other loads are invoiced, too."""
    draft.set("Status", OPEN if draft.cents("Total") else PAID)
    show_sent(entry, draft)
    for load in entry.loads_of(draft):
        if load.get("Status") not in BILLED:
            load.set("Status", "Invoiced")
            move_line_haul(entry, load, invoiced_for(entry, load) - load.cents("CustomerRate"))
            show_billing(entry, load, is_billed=True)


def show_sent(entry: Entry, invoice: Paper) -> None:
    """Show on an invoice that it is final."""
    day = entry.at - entry.at % DAY
    invoice.set("IsSubmitted", True)
    for name in UNSENT[:2]:
        if invoice.get(name) is None:
            invoice.set(name, day)
    sent, due = invoice.get("InvoicedDate"), invoice.get("DueDate")
    if due is None or due < sent:
        invoice.set("DueDate", sent + 30 * DAY)


def invoiced_for(entry: Entry, load: Paper) -> int:
    """Return what the final invoices have for a load, in cents."""
    finals = [invoice for invoice in entry.invoices_of(load.number) if invoice.get("Status") != DRAFT]
    return sum(lines_of(invoice, load) for invoice in finals)


def _issue(entry: Entry, load: Paper, cents: int, finals: Sequence[Paper]) -> None:
    """Issue an invoice, or apply a credit memo to the open ones."""
    at, is_first = entry.at, not any(lines_of(invoice, load) for invoice in finals)
    line_haul, fuel, charges = (load.cents(name) for name in AMOUNTS[:3])
    parts = [("Line Haul", "Linehaul", line_haul), ("Fuel Surcharge", "FuelSurcharge", fuel)]
    parts += [
        (str(detail.get("Type")), "Accessorial", cents_of(detail.get("Total")))
        for detail in load.get("CustomerAccessorialsDetails") or ()
    ]
    if not is_first or line_haul + fuel + charges != cents:
        parts = [(_ADJUSTMENT, "Linehaul", cents)]
    lines = [Line(load.number, name, kind, "Flat", 1_000, part) for name, kind, part in parts if part]
    is_credit, terms = cents < 0, entry.company.load(load.number).terms
    due_on = at // DAY * DAY + (0 if is_credit else terms * DAY)
    kind = CREDIT_MEMO if is_credit else STANDARD
    position = 100 + len(entry.company.added.times)
    made = Invoice(load.number, position, kind, (load.number,), at, at, at, due_on, lines)
    made.is_supplemental = not is_first and not is_credit
    memo = entry.issue(made)
    for invoice in finals if memo and is_credit else ():
        part = min(-memo.cents("RemainingBalance"), invoice.cents("RemainingBalance"))  # type: ignore[union-attr]
        if part > 0 and memo is not None:
            apply(entry, invoice, part, _CREDIT)
            apply(entry, memo, -part, _CREDIT)


# ---- payments


def apply(
    entry: Entry, invoice: Paper, cents: int, reference: str, at: int | None = None, **more: Any
) -> None:
    """Apply an amount to an invoice."""
    at = entry.at if at is None else at
    found = invoice.get("Payments") or []
    key = text_id(invoice.rows.salt, invoice.number, at, len(found))
    payment = {"Id": key, "PaymentDate": utc_text(at - at % DAY), "Amount": money(cents, invoice.currency)}
    number = f"{reference} {600_000 + invoice.number % 100_000}" if reference == _CREDIT else reference
    invoice.set("Payments", [*found, {**payment, "PaymentReference": number, **more}])
    show_paid(invoice, at)


def show_paid(invoice: Paper, at: int) -> None:
    """Bring what is paid, the balance and the status of a final invoice into line with its payments."""
    paid = sum(cents_of(payment.get("Amount")) for payment in invoice.get("Payments") or ())
    invoice.set_cents("AmountPaid", paid)
    invoice.set_cents("RemainingBalance", invoice.cents("Total") - invoice.cents("AmountPaid"))
    is_paid = invoice.cents("RemainingBalance") == 0
    if invoice.get("Status") == DRAFT:
        return
    invoice.set("Status", PAID if is_paid else OPEN)
    if not is_paid:
        invoice.set("PaidDate", None)
    elif invoice.get("PaidDate") is None:
        invoice.set("PaidDate", max(at - at % DAY, invoice.get("InvoicedDate") or 0))


def receive(entry: Entry, load: Paper, cents: int, at: int | None = None, key: str = "") -> None:
    """Add a payment to a load, or take payments back if the amount is negative."""
    found = list(load.get("Payments") or ())
    at = entry.at if at is None else at
    if cents > 0:
        key = key or text_id(load.rows.salt, load.number, at, len(found))
        found.append({"Id": key, "Amount": money(cents, load.currency), "PaidAt": utc_text(at)})
    while cents < 0 and found:
        last = found.pop()
        cents += cents_of(last.get("Amount"))
        if cents > 0:
            found.append({**last, "Amount": money(cents, load.currency)})
    load.set("Payments", found)
    load.set_cents("TotalPaid", sum(cents_of(payment.get("Amount")) for payment in found))


def _pay_share(entry: Entry, invoice: Paper, load: Paper) -> None:
    """Pay the rest of an invoice, or of a load's part of it."""
    rest = invoice.cents("RemainingBalance")
    if len(list(entry.loads_of(invoice))) > 1:
        rest = min(rest, max(0, load.cents("CustomerRate") - load.cents("TotalPaid")))
    if rest > 0 and invoice.get("Status") != DRAFT:
        apply(entry, invoice, rest, f"ACH {invoice.number}")
        receive(entry, load, rest)


def split(entry: Entry, invoice: Paper, cents: int, first: Paper | None = None, **more: Any) -> None:
    """Add an invoice's payment to its loads, or take it back."""
    loads = list(entry.loads_of(invoice))
    loads.sort(key=lambda load: load is not first)
    parts = [lines_of(invoice, load) for load in loads]
    if cents < 0:
        parts = [load.cents("TotalPaid") for load in loads]
    left, sign = abs(cents), 1 if cents > 0 else -1
    for load, due in zip(loads, parts, strict=True):
        if cents > 0 and len(loads) > 1:
            due = min(due, load.cents("CustomerRate") - load.cents("TotalPaid"))
        part = left if load is loads[-1] else min(left, max(0, due))
        left -= part
        if part:
            receive(entry, load, sign * part, **more)


def received(payments: Sequence[dict[str, Any]] | None) -> int:
    """Return how much money is among payments, without credits."""
    return sum(
        cents_of(payment.get("Amount"))
        for payment in payments or ()
        if not str(payment.get("PaymentReference")).startswith(_CREDIT)
    )


def take_back(entry: Entry, invoice: Paper, *, with_credits: bool = False) -> None:
    """Take the payments of an invoice back, and the credits if it would be paid by them."""
    payments = invoice.get("Payments") or []
    credits = [one for one in payments if str(one.get("PaymentReference")).startswith(_CREDIT)]
    money_paid = sum(cents_of(one.get("Amount")) for one in payments if one not in credits)
    if with_credits or sum(cents_of(one.get("Amount")) for one in credits) == invoice.cents("Total"):
        for load in entry.loads_of(invoice) if credits else ():
            for memo in entry.invoices_of(load.number):
                if memo.get("Type") == CREDIT_MEMO and memo is not invoice:
                    memo.set("Payments", [])
                    show_paid(memo, entry.at)
        credits = []
    invoice.set("Payments", credits)
    invoice.set("OverPaymentAmount", None)
    if money_paid and invoice.get("Type") != CREDIT_MEMO:
        split(entry, invoice, -money_paid)


def close_load(entry: Entry, load: Paper) -> None:
    """Make an invoiced load paid once its invoices are, and completed once its carriers are paid, too."""
    finals = [
        invoice
        for invoice in entry.invoices_of(load.number)
        if invoice.get("Status") != DRAFT and invoice.get("Type") != CREDIT_MEMO
    ]
    status = load.get("Status")
    if status not in BILLED or not finals:
        return
    if any(invoice.get("Status") != PAID for invoice in finals):
        if status in FULLY_PAID:
            load.set("Status", "Invoiced")
            load.set("PaidAt", None)
        return
    load.set("Status", "Completed" if _are_carriers_paid(entry, load) else "Paid")
    if load.get("PaidAt") is None:
        load.set("PaidAt", entry.at)


def _are_carriers_paid(entry: Entry, load: Paper) -> bool:
    return all(
        trip.get("CarrierPaidAt") is not None or "TotalPayable" not in (trip.get("Carrier") or {})
        for trip in entry.trips_of(load.number)
    )


def open_invoices(entry: Entry, load: Paper, named: str | None) -> list[Paper]:
    """Return a load's open invoices, oldest first; a named one comes first."""
    found = [
        invoice
        for invoice in entry.invoices_of(load.number)
        if invoice.get("Status") == OPEN and invoice.cents("RemainingBalance") > 0
    ]
    found.sort(key=lambda invoice: (invoice.get("InvoicedDate") or 0, invoice.number))
    return sorted(found, key=lambda invoice: str(invoice.get("Number")) != named)


def record_payment(
    entry: Entry, cents: int, at: int, key: str, named: str | None, reference: str, check: str | None
) -> None:
    """
    Apply a customer's payment to the open invoices of the entry's load; they keep what is above.

    :param key: id of the payment.
    :param named: number of the invoice that comes first, or None.
    :param reference: what the customer wrote; ``check`` is the number of a check, or None.
    """
    load, more = entry.own, {} if check is None else {"CheckNumber": check}
    invoices = open_invoices(entry, load, named)
    for invoice in invoices:
        part = min(cents, invoice.cents("RemainingBalance"))
        if part:
            apply(entry, invoice, part, reference, at, **more)
            split(entry, invoice, part, load, at=at, key=key)
            cents -= part
    finals = [one for one in entry.invoices_of(load.number) if one.get("Type") != CREDIT_MEMO]
    for last in (invoices or finals)[-1:] if cents else ():
        last.set_cents("OverPaymentAmount", last.cents("OverPaymentAmount") + cents)
    for other in {load.number: load for invoice in invoices for load in entry.loads_of(invoice)}.values():
        close_load(entry, other)
