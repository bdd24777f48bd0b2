"""What follows from a change, by stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_alvys.simulator.company.books import (
    amounts,
    invoice_changes,
    progress,
    receivables,
    statements,
)
from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.facts.invoices import PAID
from airflow_provider_alvys.simulator.company.money import cents_of
from airflow_provider_alvys.simulator.company.plans.billing import CREDIT_MEMO
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE

# Fields of a load that its trips and invoices repeat.
_IN_TRIPS = ("LoadNumber", "OrderNumber")
_IN_INVOICES = ("LoadNumber", "OrderNumber", "PONumber")
_MILES = ("LoadedMileage", "EmptyMileage", "TotalMileage")
_CREWED = ("Carrier", "Driver1", "Truck")
_OF_INVOICE = (
    *("Status", "Total", "AmountPaid", "RemainingBalance", "Payments", "LineItems"),
    *("OverPaymentAmount", "PaidDate", "InvoicedDate"),
)


def follow(entry: Entry) -> None:
    """Bring the changed record and all that depend on it into line with what the caller has set."""
    _FOLLOW[entry.own.rows.spec.name](entry, entry.own)
    statements.revert(entry)


def withdraw(entry: Entry) -> None:
    """Bring the records that depend on one into line before it is removed."""
    _WITHDRAW[entry.own.rows.spec.name](entry, entry.own)
    statements.revert(entry)


def _follow_load(entry: Entry, load: Paper) -> None:
    _repeat(entry, load)
    is_deleted = load.get(TOMBSTONE)
    # An added load is not deleted, even if its trips are planned so.
    has_trips = is_deleted or entry.trips_of(load.number)
    if TOMBSTONE in load.named and (is_deleted != load.before(TOMBSTONE) or not has_trips):
        for trip in entry.trips_of(load.number, with_deleted=True):
            trip.set(TOMBSTONE, is_deleted)
        for invoice in entry.invoices_of(load.number) if is_deleted else ():
            _remove_invoice(entry, invoice, load)
    has_status, has_amount = "Status" in load.named, not load.named.isdisjoint(amounts.AMOUNTS)
    if has_amount:
        amounts.follow_amounts(load)
        amounts.share_among_trips(entry, load)
    if has_status:
        progress.follow_status(entry, load, load.get("CreatedAt"))
        progress.follow_cancellation(entry, load)
    if "Payments" in load.named:
        payments = load.get("Payments") or ()
        load.set_cents("TotalPaid", sum(cents_of(one.get("Amount")) for one in payments))
    elif "TotalPaid" in load.named:
        paid = sum(cents_of(one.get("Amount")) for one in load.get("Payments") or ())
        receivables.receive(entry, load, load.cents("TotalPaid") - paid)
    if has_status and load.get("Status") in ("Invoiced", "Financed"):
        _take_payments_back(entry, load)
    if (has_status or has_amount or TOMBSTONE in load.named) and load.is_alive:
        receivables.invoice_load(entry, load)


def _take_payments_back(entry: Entry, load: Paper) -> None:
    """A load that is not paid any more has no paid invoices."""
    if load.before("Status") in receivables.FULLY_PAID:
        for invoice in entry.invoices_of(load.number):
            if invoice.get("Status") == PAID and invoice.get("Type") != CREDIT_MEMO:
                invoice.set("PaidDate", None)
                receivables.take_back(entry, invoice)
                receivables.show_paid(invoice, entry.at)
        load.set("PaidAt", None)


def _repeat(entry: Entry, load: Paper) -> None:
    """Repeat a load's numbers in its trips and invoices."""
    new = {name: load.get(name) for name in _IN_INVOICES if name in load.named}
    for trip in entry.trips_of(load.number, with_deleted=True) if new else ():
        trip.keep("TripNumber")
        for name in new.keys() & _IN_TRIPS:
            trip.set(name, new[name])
    tender = entry.tender_of(load.number)
    if tender and "LoadNumber" in new:
        tender.set("LoadNumber", new["LoadNumber"])
    old = load.before("LoadNumber")
    for invoice in entry.invoices_of(load.number) if new else ():
        for field in ("Loads", "LineItems"):
            items = invoice.get(field) or []
            fields = new if field == "Loads" else {name: new[name] for name in new if name == "LoadNumber"}
            invoice.set(
                field, [{**item, **fields} if item.get("LoadNumber") == old else item for item in items]
            )


def _follow_trip(entry: Entry, trip: Paper) -> None:
    load = next(entry.loads_of(trip), None)
    if not trip.named.isdisjoint(_CREWED):
        progress.follow_carrier(entry, trip)
    if "Status" in trip.named:
        progress.follow_trip_status(entry, trip)
    if "Stops" in trip.named:
        progress.follow_stops(entry, trip)
    has_miles = not trip.named.isdisjoint(_MILES)
    if has_miles:
        progress.follow_miles(trip)
    if load is None:
        return
    if TOMBSTONE in trip.named and trip.get(TOMBSTONE) != trip.before(TOMBSTONE):
        if not trip.get(TOMBSTONE):
            load.set(TOMBSTONE, False)
            receivables.invoice_load(entry, load)
        elif not entry.trips_of(load.number):
            load.set(TOMBSTONE, True)
            for invoice in entry.invoices_of(load.number):
                _remove_invoice(entry, invoice, load)
        has_miles = True
    if has_miles:
        amounts.share_among_trips(entry, load, is_forced=True)
    if "TripValue" in trip.named:
        values = sum(other.cents("TripValue") for other in entry.trips_of(load.number))
        freight = load.cents("Linehaul") + load.cents("FuelSurcharge")
        amounts.move_line_haul(entry, load, values - freight)
        if values != freight and load.get("InvoicedAmount") is not None:
            receivables.invoice_load(entry, load)


def _follow_invoice(entry: Entry, invoice: Paper) -> None:
    if not invoice.named.isdisjoint(_OF_INVOICE):
        invoice_changes.follow_invoice(entry, invoice)


def _withdraw_load(entry: Entry, load: Paper) -> None:
    """The trips and invoices of a load go with it, and its tender has none any more."""
    tender = entry.tender_of(load.number)
    if tender:
        tender.set("LoadNumber", None)
    for trip in entry.trips_of(load.number, with_deleted=True):
        entry.remove(trip)
    for invoice in entry.invoices_of(load.number):
        _remove_invoice(entry, invoice, load)


def _remove_invoice(entry: Entry, invoice: Paper, load: Paper) -> None:
    """Remove an invoice; the other loads on it are not invoiced any more."""
    invoice_changes.drop_invoice(entry, invoice, except_for=load)
    entry.remove(invoice)


def _withdraw_trip(entry: Entry, trip: Paper) -> None:
    """The other trips of a load share what it earned; without any, the load goes, too."""
    load = next(entry.loads_of(trip), None)
    entry.remove(trip)
    if load is None or not trip.is_alive:
        return
    if entry.trips_of(load.number):
        amounts.share_among_trips(entry, load)
    else:
        _withdraw_load(entry, load)
        entry.remove(load)


def _withdraw_invoice(entry: Entry, invoice: Paper) -> None:
    """The loads of an invoice are not invoiced any more."""
    invoice_changes.drop_invoice(entry, invoice)


_Rule = Callable[[Entry, Paper], None]
_FOLLOW: Mapping[str, _Rule] = {"loads": _follow_load, "trips": _follow_trip, "invoices": _follow_invoice}
_WITHDRAW: Mapping[str, _Rule] = {
    "loads": _withdraw_load,
    "trips": _withdraw_trip,
    "invoices": _withdraw_invoice,
}
# The streams with rules.
RULES = _FOLLOW.keys()


def save_load(entry: Entry, *, is_moved: bool) -> None:
    """
    Bring the entry's load into line with its trips.

    :param is_moved: whether the status of a trip has been set.
    """
    load = entry.own
    progress.follow_trips(entry, load, is_moved=is_moved)
    if load.get("Status") != load.before("Status"):
        progress.follow_cancellation(entry, load)
        receivables.invoice_load(entry, load)
    receivables.close_load(entry, load)
