"""Invoices of loads, and what customers pay for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from airflow_provider_alvys.simulator.company.plans.load import Charge, Load, PlannedEvent, in_order
from airflow_provider_alvys.simulator.company.plans.planning import working_day
from airflow_provider_alvys.simulator.company.plans.scenarios import CARRIER
from airflow_provider_alvys.simulator.company.world.charges import LAYOVER
from airflow_provider_alvys.simulator.data.times import DAY, HOUR

STANDARD, SUMMARY, STANDALONE, CREDIT_MEMO = (
    "LoadInvoice",
    "SummaryInvoice",
    "StandaloneInvoice",
    "Credit Memo",
)
# This share of the invoices is paid up to so many days later than usual.
_REMINDED, _REMINDED_DAYS = 0.1, 90
# Old trips keep a status that Alvys no longer gives.
_OLD_STATUS_EVERY = 17


class Line(NamedTuple):
    """
    A line of an invoice.

    :param load: number of the load.
    :param unit: what the quantity counts; the quantity is in thousandths.
    :param cents: negative on a credit memo.
    """

    load: int
    name: str
    category: str
    unit: str
    quantity: int
    cents: int


class Payment(NamedTuple):
    """
    An amount applied to an invoice.

    :param at: when it was recorded; its date is that day.
    :param is_credit: whether a credit memo was applied, instead of money.
    """

    at: int
    cents: int
    is_credit: bool = False


@dataclass(slots=True)
class Invoice:
    """
    An invoice.

    :param load: number of its first load; ``position`` counts the invoices of that load from 0.
    :param invoiced_at: when the draft becomes final.
    :param overpaid: cents that the last payment had above the balance.
    """

    load: int
    position: int
    type: str
    loads: tuple[int, ...]
    created_at: int
    invoiced_at: int
    sent_at: int
    due_on: int
    lines: list[Line]
    payments: list[Payment] = field(default_factory=list)
    overpaid: int = 0
    is_supplemental: bool = False

    @property
    def total(self) -> int:
        """The total in cents."""
        return sum(line.cents for line in self.lines)

    def paid(self, at: int) -> int:
        """Return what is applied to it at a time, in cents."""
        return sum(payment.cents for payment in self.payments if payment.at <= at)

    @property
    def paid_at(self) -> int | None:
        """When its balance becomes zero."""
        paid = 0
        for payment in self.payments:
            paid += payment.cents
            if paid == self.total:
                return payment.at
        return None


def bill(loads: Sequence[Load], salt: int) -> list[Invoice]:
    """Add the events after the release to loads that share an invoice, and return their invoices."""
    released = [load.released_at for load in loads if load.released_at is not None]
    if len(released) < len(loads):
        return []
    rng = random.Random(hash((salt, loads[0].number, 19)))
    if not loads[0].scenario.is_revenue:
        for load in loads:
            _finish(load, max(released) + DAY)
        return []
    created_at = max(released) + int((1 + 11 * rng.random()) * HOUR)
    # A common invoice waits for the end of its period.
    slowest = 72 if len(loads) > 1 else 24
    invoiced_at = working_day(created_at + int((1 + slowest * rng.random()) * HOUR))
    first = _issue(loads, 0, created_at, invoiced_at, rng)
    first.lines = [line for load in loads for line in _lines(load, created_at)]
    invoices = [first]
    if len(loads) > 1:
        _change(loads, created_at, "Queued")
    _mark_billed(loads, first.invoiced_at)
    follow_up = _FOLLOW_UPS.get(loads[0].scenario.billing)
    if follow_up:
        invoices += follow_up(loads[0], first, rng)
    _collect(loads, invoices, rng)
    return invoices


def _issue(
    loads: Sequence[Load], position: int, created_at: int, invoiced_at: int, rng: random.Random
) -> Invoice:
    first = loads[0]
    return Invoice(
        load=first.number,
        position=position,
        type=SUMMARY if len(loads) > 1 else STANDARD,
        loads=tuple(load.number for load in loads),
        created_at=created_at,
        invoiced_at=invoiced_at,
        sent_at=invoiced_at + int(5 * rng.random() * HOUR),
        due_on=invoiced_at // DAY * DAY + first.terms * DAY,
        lines=[],
    )


def _lines(load: Load, at: int) -> list[Line]:
    line_haul, fuel = load.price(at)
    miles = sum(leg.loaded for leg in load.legs) * 10
    lines = [
        Line(load.number, "Line Haul", "Linehaul", "Flat", 1_000, line_haul),
        Line(load.number, "Fuel Surcharge", "FuelSurcharge", "Miles", miles, fuel),
    ]
    lines = [line for line in lines if line.cents]
    return lines + [_charge_line(load, charge) for charge in load.charges if charge.at <= at]


def _charge_line(load: Load, charge: Charge) -> Line:
    return Line(load.number, charge.type, "Accessorial", charge.unit, charge.quantity, charge.total)


def _supplement(load: Load, first: Invoice, rng: random.Random) -> list[Invoice]:
    """Invoice a charge that became known late."""
    at = working_day(first.sent_at + int((1 + 4 * rng.random()) * DAY))
    fee = 2_500 * (4 + int(rng.random() * 10))
    charge = Charge(at, LAYOVER.types[0], LAYOVER.unit, 1_000, fee, fee, len(load.stops) - 1)
    load.charges.append(charge)
    load.legs[-1].events.append(PlannedEvent(at))
    invoice = _issue([load], 1, at, at, rng)
    invoice.is_supplemental = True
    invoice.lines = [_charge_line(load, charge)]
    load.events.append(PlannedEvent(at))
    return [invoice]


def _credit(load: Load, first: Invoice, rng: random.Random) -> list[Invoice]:
    """Reduce the rate after a claim: a credit memo, applied to the invoice."""
    at = working_day(first.sent_at + int((2 + 5 * rng.random()) * DAY))
    line_haul, fuel = load.price(at)
    amount = min(500 * (5 + int(rng.random() * 40)), line_haul // 2)
    load.prices.append((at, line_haul - amount, fuel))
    load.events.append(PlannedEvent(at))
    for leg in load.legs:
        leg.events.append(PlannedEvent(at))
    return [
        _memo(
            load,
            1,
            at,
            [Line(load.number, "Rate Adjustment", "Linehaul", "Flat", 1_000, -amount)],
            first,
            rng,
        )
    ]


def _reopen(load: Load, first: Invoice, rng: random.Random) -> list[Invoice]:
    """Take an invoice back with a wrong rate, and issue it again."""
    at = working_day(first.sent_at + int((1 + 3 * rng.random()) * DAY))
    reversed_lines = [line._replace(cents=-line.cents) for line in first.lines]
    memo = _memo(load, 1, at, reversed_lines, first, rng)
    load.billed.append((at, False))
    _change([load], at, "Released")
    line_haul, fuel = load.price(at)
    load.prices.append((at, line_haul + 500 * (int(rng.random() * 30) - 12), fuel))
    again = _issue([load], 2, at + DAY // 4, working_day(at + DAY), rng)
    again.lines = _lines(load, at)
    _mark_billed([load], again.invoiced_at)
    return [memo, again]


def _memo(
    load: Load, position: int, at: int, lines: list[Line], first: Invoice, rng: random.Random
) -> Invoice:
    memo = _issue([load], position, at, at, rng)
    memo.type, memo.lines, memo.due_on = CREDIT_MEMO, lines, at // DAY * DAY
    memo.payments = [Payment(at, memo.total, is_credit=True)]
    first.payments.append(Payment(at, -memo.total, is_credit=True))
    return memo


_FOLLOW_UPS = {"supplemental": _supplement, "credit": _credit, "reopened": _reopen}


def _mark_billed(loads: Sequence[Load], at: int) -> None:
    for load in loads:
        load.billed.append((at, True))
    _change(loads, at, "Invoiced")
    if loads[0].scenario.billing == "factored":
        _change(loads, at + DAY, "Financed")


def _collect(loads: Sequence[Load], invoices: Sequence[Invoice], rng: random.Random) -> None:
    """Let the customer pay, and finish the loads once nothing is open."""
    billing = loads[0].scenario.billing
    for invoice in invoices:
        balance = invoice.total - sum(payment.cents for payment in invoice.payments)
        if balance == 0:
            continue
        terms = max(7, loads[0].terms)
        # Most customers pay soon, some only after reminders.
        reminded = _REMINDED_DAYS * rng.random() if rng.random() < _REMINDED else 0
        day = invoice.invoiced_at // DAY * DAY + int(terms * (0.6 + 0.9 * rng.random()) + reminded) * DAY
        at = working_day(day + 15 * HOUR)
        if billing == "two payments":
            part = balance * 6 // 10
            invoice.payments += [Payment(at, part), Payment(working_day(at + 9 * DAY), balance - part)]
        elif billing == "short":
            invoice.payments.append(Payment(at, balance - min(balance // 2, 7_500)))
        else:
            invoice.payments.append(Payment(at, balance))
            invoice.overpaid = 2_500 if billing == "overpaid" else 0
    for invoice in invoices:
        for load in loads:
            load.events.append(PlannedEvent(invoice.sent_at))
        _receive(loads, invoice)
    paid = [invoice.paid_at for invoice in invoices]
    last = max((at for at in paid if at is not None), default=0)
    if None not in paid:
        for load in loads:
            load.paid_at = last
            _finish(load, last)


def _receive(loads: Sequence[Load], invoice: Invoice) -> None:
    """Split the payments of an invoice among its loads, in their order."""
    due = {
        load.number: sum(line.cents for line in invoice.lines if line.load == load.number) for load in loads
    }
    for payment in invoice.payments:
        left = payment.cents
        for load in loads:
            part = left if load is loads[-1] else min(left, due[load.number])
            due[load.number] -= part
            left -= part
            if part and not payment.is_credit:
                load.receipts.append((payment.at, part))
            load.events.append(PlannedEvent(payment.at))


def _finish(load: Load, paid_at: int) -> None:
    """Complete a load once its customer has paid, and its carriers are paid."""
    done_at = max([paid_at, *(leg.paid_at for leg in load.legs if leg.paid_at is not None)])
    if done_at > paid_at:
        load.events.append(PlannedEvent(paid_at, "Paid"))
    load.events.append(PlannedEvent(done_at, "Completed"))
    final = "Paid" if load.number % _OLD_STATUS_EVERY == 0 else "Completed"
    for leg in load.legs:
        if leg.hauler != CARRIER:
            leg.events.append(PlannedEvent(done_at, "" if leg.unused_at is not None else final))


def _change(loads: Sequence[Load], at: int, status: str) -> None:
    """Change the status of loads, and of their trips unless a carrier is paid or the truck was not used."""
    for load in loads:
        load.events.append(PlannedEvent(at, status))
        for leg in load.legs:
            is_final = leg.unused_at is not None or (leg.paid_at is not None and leg.paid_at <= at)
            leg.events.append(PlannedEvent(at, "" if is_final else status))


def complete(load: Load) -> None:
    """Add the payments to carriers, and put all events in order."""
    for leg in load.legs:
        if leg.paid_at is not None:
            leg.events.append(PlannedEvent(leg.paid_at, "" if leg.unused_at is not None else "Completed"))
            load.events.append(PlannedEvent(leg.paid_at))
        leg.events = in_order(leg.events)
    load.events = in_order(load.events)
