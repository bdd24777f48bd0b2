"""The records of drivers' settlement statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_alvys.simulator.company.money import decimal, money
from airflow_provider_alvys.simulator.company.plans.weeks import title_of, week_begin, week_of
from airflow_provider_alvys.simulator.company.records import trip_number
from airflow_provider_alvys.simulator.company.settlement.facts import ItemView, VaryingFacts, own_trip
from airflow_provider_alvys.simulator.company.settlement.pay import PayLine, trip_value
from airflow_provider_alvys.simulator.company.settlement.payroll import (
    DriverSettlement,
    driver_settlements,
    lines_of,
)
from airflow_provider_alvys.simulator.company.texts import text_id, without_none
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES, USD
from airflow_provider_alvys.simulator.data.times import DAY

# The totals that are sums of a category's lines.
_CATEGORIES = (
    *("LineHaul", "Accessorials", "Echecks", "ServiceFee", "DriverPayment", "Deductions", "Reimbursements"),
    *("Credits", "Escrow", "Fuel", "Tolls", "Bonus", "Shortfall", "DailyPay", "DailyPerDiem"),
    "StatementPerDiem",
)
_EARNINGS = ("LineHaul", "Accessorials", "Bonus")


def _driver(view: ItemView[DriverSettlement]) -> dict[str, Any]:
    company, number = view.company, view.item.driver
    driver = company.driver(number)
    owner = {"CompanyName": f"{driver.name} Trucking"} if driver.type == "OWNER_OPERATOR" else {}
    return {
        "Id": company.name_of("drivers", "Id", number),
        "Name": company.name_of("drivers", "Name", number),
        "Type": driver.type,
        **owner,
        "SubsidiaryId": SUBSIDIARIES[0].id,
        "FleetName": driver.fleet.name,
    }


def _lines(view: ItemView[DriverSettlement]) -> list[dict[str, Any]]:
    return [_line(view, line) for line in lines_of(view.company, view.item)]


def _line(view: ItemView[DriverSettlement], line: PayLine) -> dict[str, Any]:
    company, load = view.company, line.load
    has_trip = load is not None and line.trip is not None
    fields = {
        "Category": line.category,
        "TransactionType": line.transaction,
        "Title": line.title,
        "PolicyName": line.policy,
        "TripNumber": trip_number(company, load or 0, line.trip or 0) if has_trip else None,
        "LoadNumber": None if load is None else company.name_of("loads", "LoadNumber", load),
        "Amount": money(line.cents, USD),
        "SubLines": [
            {
                "Description": part.description,
                "Quantity": part.quantity,
                "Rate": part.rate,
                "Amount": money(part.cents, USD),
            }
            for part in line.parts
        ],
    }
    return without_none(fields)


def _totals(view: ItemView[DriverSettlement]) -> Mapping[str, Any]:
    company, item = view.company, view.item
    sums: Counter[str] = Counter()
    for line in lines_of(company, item):
        sums[line.category] += line.cents
    trips = [own_trip(company, event.load, event.position) for event in item.trips if event.charge is None]
    values = [trip_value(trip, company.limited(trip.load.number, item.as_of)) for trip in trips]
    return {
        "GrossIncome": money(sum(sums[name] for name in _EARNINGS), USD),
        "NetIncome": money(sum(sums.values()), USD),
        **{name: money(sums[name], USD) for name in _CATEGORIES},
        "TripValue": money(sum(values), USD),
        "NumberOfTrips": len(trips),
        "LoadedMiles": decimal(sum(trip.leg.loaded for trip in trips)),
        "EmptyMiles": decimal(sum(trip.leg.empty for trip in trips)),
        "HoursWorked": decimal(0),
    }


class DriverStatementFacts(VaryingFacts[DriverSettlement]):
    """The records of drivers' settlement statements."""

    makers: ClassVar[Any] = {
        "Status": lambda view: "Failed" if view.item.is_failed else "Processed",
        # The last day of the pay period.
        "StatementDate": lambda view: week_begin(view.item.week + 1) - DAY,
        "PayPeriodId": lambda view: text_id(view.company.salt, view.item.week, 227),
        "PayPeriodTitle": lambda view: title_of(view.item.week),
        "Driver": _driver,
        "Totals": _totals,
        "LineItems": _lines,
    }

    def _items(self) -> Sequence[DriverSettlement]:
        return driver_settlements(self._company)

    def _added(self, number: int, at: int) -> DriverSettlement:
        return DriverSettlement(at, at, number % 5, week_of(at), False, (), (), (), (), 0, 0)
