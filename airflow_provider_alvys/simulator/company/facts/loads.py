"""The records of loads at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.masters.base import fleet_record
from airflow_provider_alvys.simulator.company.money import decimal, money
from airflow_provider_alvys.simulator.company.plans.load import Charge, Load, has_changed, last_change, status
from airflow_provider_alvys.simulator.company.records import (
    charge_record,
    mileage,
    stop_record,
    updated_by,
)
from airflow_provider_alvys.simulator.company.texts import local_text, text_id, utc_text

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company


class LoadView(NamedTuple):
    """A load at a time."""

    company: Company
    load: Load
    at: int

    def until(self, at: int | None) -> int | None:
        """Return a time unless it is still to come."""
        return at if at is not None and at <= self.at else None


def _charges_until(load: Load, at: int) -> list[Charge]:
    return [charge for charge in load.charges if charge.at <= at]


def _load_stops(view: LoadView) -> list[dict[str, Any]]:
    state = status(view.load.events, view.at)
    return [
        stop_record(view.company, view.load, position, 0, view.at, state)
        for position in range(len(view.load.stops))
    ]


def _details(view: LoadView) -> list[dict[str, Any]]:
    is_paid = view.until(view.load.paid_at) is not None
    return [
        {**charge_record(view.company, view.load, charge, 0, view.load.currency), "IsPaid": is_paid}
        for charge in _charges_until(view.load, view.at)
    ]


def _receipts(view: LoadView) -> list[dict[str, Any]]:
    return [
        {
            "Id": text_id(view.company.salt, view.load.number, at, 5),
            "Amount": money(cents, view.load.currency),
            "PaidAt": utc_text(at),
        }
        for at, cents in view.load.receipts
        if at <= view.at
    ]


def _load_money(view: LoadView, cents: int) -> dict[str, Any]:
    return money(cents, view.load.currency)


def _total_paid(view: LoadView) -> dict[str, Any] | None:
    paid = [cents for at, cents in view.load.receipts if at <= view.at]
    return _load_money(view, sum(paid)) if paid or view.load.is_billed(view.at) else None


def _cancelled(view: LoadView) -> int | None:
    unused_at = view.load.legs[0].unused_at
    is_released = view.until(view.load.released_at) is not None
    return view.until(view.load.cancelled_at if unused_at is None or is_released else unused_at)


def _billed_since(view: LoadView) -> int | None:
    if not view.load.is_billed(view.at):
        return None
    return max(since for since, is_billed in view.load.billed if is_billed and since <= view.at)


def _fleet(view: LoadView) -> dict[str, str] | None:
    """Return the fleet of the first own driver; a load without one belongs to no fleet."""
    drivers = [leg.driver for leg in view.load.legs if leg.driver is not None]
    return fleet_record(view.company.driver(drivers[0]).fleet) if drivers else None


_LOAD_FIELDS: Mapping[str, Callable[[LoadView], Any]] = {
    "PONumber": lambda view: f"PO{4_000_000 + view.load.number * 31 % 5_000_000}",
    "CustomerId": lambda view: view.company.name_of("customers", "Id", view.load.customer),
    "CustomerName": lambda view: view.company.name_of("customers", "Name", view.load.customer),
    "CustomerNumber": lambda view: view.company.name_of("customers", "CompanyNumber", view.load.customer),
    "CustomerType": lambda view: [view.company.name_of("customers", "Type", view.load.customer)],
    "TenderId": lambda view: view.company.tender_id(view.load.number),
    "CustomerSalesAgentId": lambda view: view.company.name_of(
        "customers", "SalesAgentId", view.load.customer
    ),
    "CustomerSalesManagerId": lambda view: view.company.user_id("OperationManager", view.load.customer),
    "CustomerAccountManagerId": lambda view: view.company.user_id("SalesAgent", view.load.customer + 1),
    "CustomerServiceRepId": lambda view: view.company.user_id("Dispatcher", view.load.customer),
    "CustomerLoadPlannerId": lambda view: view.company.user_id("Dispatcher", view.load.customer + 1),
    "Fleet": _fleet,
    "Status": lambda view: status(view.load.events, view.at),
    "LoadType": lambda view: "Revenue" if view.load.scenario.is_revenue else "Non-Revenue",
    "InvoiceAs": lambda view: view.company.invoice_as(view.load),
    "Stops": _load_stops,
    "RequiredEquipment": lambda view: [view.load.equipment],
    "Linehaul": lambda view: _load_money(view, view.load.price(view.at)[0]),
    "FuelSurcharge": lambda view: _load_money(view, view.load.price(view.at)[1]),
    "CustomerAccessorials": lambda view: _load_money(
        view, sum(charge.total for charge in _charges_until(view.load, view.at))
    ),
    "CustomerAccessorialsDetails": _details,
    "CustomerRate": lambda view: _load_money(view, view.load.rate(view.at)),
    "CustomerMileage": lambda view: mileage(sum(leg.loaded for leg in view.load.legs), view.load),
    "InvoicedAmount": lambda view: (
        _load_money(view, view.load.rate(view.at)) if view.load.is_billed(view.at) else None
    ),
    "TotalPaid": _total_paid,
    "Payments": _receipts,
    "Weight": lambda view: {"Value": decimal(view.load.weight * 10, 1), "UnitOfMeasure": "Pounds"},
    "Volume": lambda view: (
        {"Value": decimal(view.load.weight * 60 // 10, 1), "UnitOfMeasure": "CubicFeet"}
        if view.load.number % 3
        else None
    ),
    "ScheduledPickupAt": lambda view: local_text(view.load.stops[0].begin, view.load.stops[0].place),
    "ScheduledDeliveryAt": lambda view: local_text(view.load.stops[-1].begin, view.load.stops[-1].place),
    "PickedUpAt": lambda view: view.until(view.load.picked_up_at),
    "DeliveredAt": lambda view: view.until(view.load.delivered_at),
    "InvoicedAt": _billed_since,
    "LastInvoiceSentAt": lambda view: view.until(view.company.last_sent(view.load, view.at)),
    "PaidAt": lambda view: view.until(view.load.paid_at),
    "CreatedAt": lambda view: view.load.created_at,
    "CreatedBy": lambda view: view.company.email_of(view.load.number),
    "UpdatedAt": lambda view: last_change(view.load.events, view.at),
    "UpdatedBy": lambda view: updated_by(view.company, view.load, last_change(view.load.events, view.at)),
    "CancelledAt": _cancelled,
    "CancelledBy": lambda view: view.company.email_of(view.load.number + 1) if _cancelled(view) else None,
    "IsDeleted": lambda view: view.until(view.load.deleted_at) is not None,
}


class LoadFacts(GrowingFacts):
    """The records of loads."""

    are_loads = True
    parts = "trips"
    makers = _LOAD_FIELDS

    def view(self, number: int) -> LoadView:
        """Return a load at its time."""
        return LoadView(self._company, self._company.load(number), self._company.time_of(number))

    def count(self) -> int:
        """Return how many loads there are now."""
        return self._company.load_count

    def started_at(self, number: int) -> int:
        """Return when a load was created."""
        return self._company.created_at(number)

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the loads that existed at a time and changed until another one."""
        company = self._company
        return [
            number
            for number in range(company.load_count)
            if company.created_at(number) <= since
            and has_changed(company.load(number).events, since, company.limited(number, until))
        ]

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the load itself."""
        return (number,)
