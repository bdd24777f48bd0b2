"""Carriers' settlement statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.money import money
from airflow_provider_alvys.simulator.company.plans.load import Leg, Load
from airflow_provider_alvys.simulator.company.plans.planning import CHECK_EVERY
from airflow_provider_alvys.simulator.company.plans.scenarios import CARRIER, first_trip
from airflow_provider_alvys.simulator.company.records import carrier_invoice_number, trip_number
from airflow_provider_alvys.simulator.company.settlement.facts import ItemView, VaryingFacts
from airflow_provider_alvys.simulator.company.texts import text_id, utc_text, without_none
from airflow_provider_alvys.simulator.company.world import parties
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES, USD
from airflow_provider_alvys.simulator.data.times import DAY, HOUR, SECOND

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

# Some statements are paid in two parts, the first one on the day after.
_SPLIT_EVERY = 6
_FIRST_PERCENT = 60
_FIRST_PAYMENT = DAY + 15 * HOUR


class CarrierSettlement(NamedTuple):
    """
    A statement of what a carrier gets on a day.

    :param trips: number of the load, and position of the trip in it.
    """

    created_at: int
    carrier: int
    currency: int
    day: int
    trips: tuple[tuple[int, int], ...]

    @property
    def gone_at(self) -> None:
        """Statements of carriers stay."""


class _Pay(NamedTuple):
    """What a carrier gets for a trip, in cents."""

    load: Load
    leg: Leg
    position: int
    line_haul: int
    items: list[tuple[str, str, int]]

    @property
    def total(self) -> int:
        return sum(cents for _, _, cents in self.items)


def carrier_settlements(company: Company) -> Sequence[CarrierSettlement]:
    """Return the statements until now, in their order."""
    return company.part(_settlement_list).until(company.now)


def _settlement_list(company: Company) -> GrowingList[CarrierSettlement]:
    return GrowingList(partial(_settlements_between, company))


def _settlements_between(company: Company, since: int, until: int) -> list[CarrierSettlement]:
    """Return the statements that are made after a time, until another one, in their order."""
    found: dict[tuple[int, int, int, int], list[tuple[int, int]]] = defaultdict(list)
    for number in range(company.load_count):
        load = company.load(number)
        end = company.limited(number, until)
        for position, leg in enumerate(load.legs):
            is_changed = (number, position) in company.added.unstated
            if leg.carrier is None or leg.settled_on is None or leg.paid_at is None or is_changed:
                continue
            # Quick pay may be paid before the end of the day.
            made_at = leg.settled_on + DAY - SECOND
            if since < made_at <= until and min(made_at, leg.paid_at) <= end:
                found[made_at, leg.carrier, load.currency, leg.settled_on].append((number, position))
    return [CarrierSettlement(*key, tuple(found[key])) for key in sorted(found)]


def _pays(company: Company, settlement: CarrierSettlement) -> Iterator[_Pay]:
    for number, position in settlement.trips:
        load = company.load(number)
        leg, at = load.legs[position], company.limited(number, settlement.created_at)
        line_haul = leg.line_haul(at)
        items = [("Line haul", "LineHaul", line_haul)] if line_haul else []
        items += [(charge.type, "Accessorial", charge.total) for charge in leg.charges if charge.at <= at]
        items += [("E-check", "ECheck", -cents) for since, cents in leg.advances if 0 < since <= at]
        yield _Pay(load, leg, position, line_haul, items)


def _payments(company: Company, settlement: CarrierSettlement) -> list[tuple[int, int]]:
    """Return when it is paid, and cents: now and later."""
    found: dict[int, int] = defaultdict(int)
    is_split = (settlement.carrier + settlement.day // DAY) % _SPLIT_EVERY == 0
    for pay in _pays(company, settlement):
        paid_at, first_at = pay.leg.paid_at or 0, settlement.day + _FIRST_PAYMENT
        first = pay.total * _FIRST_PERCENT // 100 if is_split and first_at < paid_at else 0
        for at, cents in ((first_at, first), (paid_at, pay.total - first)):
            if cents and at <= company.limited(pay.load.number, at):
                found[at] += cents
    return sorted(found.items())


def _paid(view: ItemView[CarrierSettlement]) -> list[tuple[int, int]]:
    return [payment for payment in _payments(view.company, view.item) if payment[0] <= view.at]


def _money(view: ItemView[CarrierSettlement], cents: int) -> dict[str, Any]:
    return money(cents, view.item.currency)


def _net(view: ItemView[CarrierSettlement]) -> int:
    return sum(pay.total for pay in _pays(view.company, view.item))


def _remaining(view: ItemView[CarrierSettlement]) -> int:
    return _net(view) - sum(cents for _, cents in _paid(view))


def _status(view: ItemView[CarrierSettlement]) -> str:
    remaining, paid = _remaining(view), _paid(view)
    if not remaining:
        return "Paid"
    is_held = any(pay.leg.is_held for pay in _pays(view.company, view.item))
    return "On Hold" if is_held else "Partially Paid" if paid else "Processed"


def _payee(view: ItemView[CarrierSettlement]) -> dict[str, Any]:
    def name(column: str) -> Any:
        return view.company.name_of("carriers", column, view.item.carrier)

    numbers = {"McNumber": name("McNum"), "DotNumber": name("UsDotNum")}
    return {"Type": "Carrier", "Id": name("Id"), "Name": name("Name"), **without_none(numbers)}


def _factor(view: ItemView[CarrierSettlement]) -> str | None:
    return parties.carrier(view.company.salt, view.item.carrier).factoring_company


def _provider(view: ItemView[CarrierSettlement]) -> str:
    provider = view.company.name_of("carriers", "PaymentProvider", view.item.carrier)
    return str(provider["Name"]) if provider else "None"


def _trips(view: ItemView[CarrierSettlement]) -> list[dict[str, Any]]:
    return [_trip(view, pay) for pay in _pays(view.company, view.item)]


def _trip(view: ItemView[CarrierSettlement], pay: _Pay) -> dict[str, Any]:
    company, load, leg = view.company, pay.load, pay.leg
    first, last = (load.stops[stop].place for stop in leg.stops)
    at = company.limited(load.number, view.item.created_at)

    def until(moment: int | None) -> str | None:
        return utc_text(moment) if moment is not None and moment <= at else None

    accessorials = sum(cents for _, kind, cents in pay.items if kind == "Accessorial")
    fields = {
        "TripId": company.name_of("trips", "Id", first_trip(load.number) + pay.position),
        "TripNumber": trip_number(company, load.number, pay.position),
        "LoadNumber": company.name_of("loads", "LoadNumber", load.number),
        "Origin": f"{first.city}, {first.state}",
        "Destination": f"{last.city}, {last.state}",
        "PickedUpAt": until(leg.picked_up_at),
        "DeliveredAt": until(leg.delivered_at),
        "InvoiceNumber": carrier_invoice_number(load, pay.position),
        "InvoiceDueDate": utc_text(view.item.day),
        "NetAmount": _money(view, pay.total),
        "LineHaulAmount": _money(view, pay.line_haul),
        "AccessorialsAmount": _money(view, accessorials),
        "Items": [
            {
                "Description": description,
                "Type": kind,
                "Amount": _money(view, cents),
                "AccountingTag": f"Purchased Transportation:{kind}",
            }
            for description, kind, cents in pay.items
        ],
    }
    return without_none(fields)


def _shown_payments(view: ItemView[CarrierSettlement]) -> list[dict[str, Any]]:
    shown = []
    for at, cents in _paid(view):
        number = 700_000 + view.item.carrier * 1_009 + at // DAY % 1_000
        payment = {
            "Id": text_id(view.company.salt, view.item.carrier, view.item.currency, at, 251),
            "Amount": _money(view, cents),
            "PaymentDate": utc_text(at - at % DAY),
            "PaymentMethod": "Check" if view.item.carrier % CHECK_EVERY == 0 else "ACH",
            "ReferenceNumber": f"{'CHK' if view.item.carrier % CHECK_EVERY == 0 else 'ACH'} {number}",
        }
        if view.item.carrier % CHECK_EVERY == 0:
            payment["CheckNumber"] = str(number)
        shown.append(payment)
    return shown


def _remitted_on(view: ItemView[CarrierSettlement]) -> int | None:
    payments = _payments(view.company, view.item)
    return payments[-1][0] // DAY * DAY if payments else None


class CarrierStatementFacts(VaryingFacts[CarrierSettlement]):
    """The records of carriers' settlement statements."""

    makers: ClassVar[Mapping[str, Any]] = {
        "Status": _status,
        "StatementDate": lambda view: view.item.day,
        "RemittanceDate": _remitted_on,
        "SubsidiaryId": lambda view: view.company.subsidiary(CARRIER).id,
        "Payee": _payee,
        "RemitTo": lambda view: _factor(view) or view.company.name_of("carriers", "Name", view.item.carrier),
        "PaymentProvider": _provider,
        "NetAmount": lambda view: _money(view, _net(view)),
        "PaidAmount": lambda view: _money(view, _net(view) - _remaining(view)),
        "RemainingAmount": lambda view: _money(view, _remaining(view)),
        "Trips": _trips,
        "Payments": _shown_payments,
    }

    def _items(self) -> Sequence[CarrierSettlement]:
        return carrier_settlements(self._company)

    def _changes(self, item: CarrierSettlement) -> Iterator[int]:
        return (at for at, _ in _payments(self._company, item))

    def _added(self, number: int, at: int) -> CarrierSettlement:
        carrier = len(SUBSIDIARIES) + number % 3
        return CarrierSettlement(at, carrier, USD, at // DAY * DAY, ())

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the loads of a statement, which are not paid if somebody changes it."""
        return tuple(load for load, _ in self._item(number).trips)
