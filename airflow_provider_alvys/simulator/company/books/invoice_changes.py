"""What follows from a change of an invoice."""

from __future__ import annotations

from airflow_provider_alvys.simulator.company.books.amounts import move_line_haul
from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.books.receivables import (
    BILLED,
    UNSENT,
    absorb,
    apply,
    close_load,
    invoiced_for,
    received,
    show_billing,
    show_paid,
    show_sent,
    split,
    take_back,
)
from airflow_provider_alvys.simulator.company.facts.invoices import DRAFT, OPEN, PAID
from airflow_provider_alvys.simulator.company.money import cents_of
from airflow_provider_alvys.simulator.company.plans.billing import CREDIT_MEMO


def follow_invoice(entry: Entry, invoice: Paper) -> None:
    """Bring an invoice, and its loads, into line with what the caller has set on it."""
    named, total = invoice.named, cents_of(invoice.before("Total"))
    was, money_before = invoice.before("Status"), received(invoice.before("Payments"))
    if "LineItems" in named:
        lines = invoice.get("LineItems") or ()
        invoice.set_cents("Total", sum(cents_of(line.get("Amount")) for line in lines))
    elif "Total" in named:
        absorb(invoice, invoice.cents("Total") - total)
    status = invoice.get("Status")
    if status == DRAFT:
        if was != DRAFT:
            take_back(entry, invoice, with_credits=True)
        for name in UNSENT:
            invoice.set(name, None)
        invoice.set("IsSubmitted", False)
    else:
        show_sent(entry, invoice)
        if status == OPEN and "Status" in named and invoice.cents("AmountPaid") >= invoice.cents("Total"):
            take_back(entry, invoice)
            money_before = received(invoice.get("Payments"))
    _follow_paid(entry, invoice, status)
    show_paid(invoice, entry.at)
    loads = list(entry.loads_of(invoice))
    extra = received(invoice.get("Payments")) - money_before
    if status != DRAFT and extra and loads and invoice.get("Type") != CREDIT_MEMO:
        split(entry, invoice, extra)
    for load in loads:
        if status == DRAFT:
            if was != DRAFT:
                reopen(entry, load)
            continue
        if was == DRAFT and load.get("Status") not in BILLED:
            load.set("Status", "Invoiced")
        if load.get("Status") in BILLED:
            move_line_haul(entry, load, invoiced_for(entry, load) - load.cents("CustomerRate"))
            show_billing(entry, load, is_billed=True)
            close_load(entry, load)


def _follow_paid(entry: Entry, invoice: Paper, status: str) -> None:
    """Bring the payments into line with an amount that the caller has set, or with the status."""
    named, total = invoice.named, invoice.cents("Total")
    applied = sum(cents_of(payment.get("Amount")) for payment in invoice.get("Payments") or ())
    wanted = applied
    if "AmountPaid" in named:
        wanted = invoice.cents("AmountPaid")
    elif "RemainingBalance" in named:
        wanted = total - invoice.cents("RemainingBalance")
    elif (status == PAID and "Status" in named) or applied > total >= 0:
        wanted = total
    if wanted == applied or "Payments" in named:
        return
    if wanted < applied:
        invoice.set("Payments", [])
        applied = 0
    if wanted != applied:
        apply(entry, invoice, wanted - applied, f"ACH {invoice.number}")


def reopen(entry: Entry, load: Paper) -> None:
    """Show on a load that it is not invoiced any more."""
    if load.get("Status") in BILLED:
        load.set("Status", "Released")
    show_billing(entry, load, is_billed=False)


def drop_invoice(entry: Entry, invoice: Paper, except_for: Paper | None = None) -> None:
    """Take the payments and the status of an invoice from its loads, before it is removed."""
    if invoice.get("Status") == DRAFT:
        return
    paid = received(invoice.get("Payments"))
    if paid > 0:
        split(entry, invoice, -paid)
    for load in entry.loads_of(invoice):
        if load is not except_for:
            reopen(entry, load)
