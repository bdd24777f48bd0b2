"""The records of trips at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.masters.base import fleet_record
from airflow_provider_alvys.simulator.company.money import decimal, money, shares
from airflow_provider_alvys.simulator.company.plans.load import Leg, Load, has_changed, last_change, status
from airflow_provider_alvys.simulator.company.plans.pay_days import driver_charges, paid_at
from airflow_provider_alvys.simulator.company.plans.scenarios import CARRIER, OWNER_OPERATOR
from airflow_provider_alvys.simulator.company.plans.weeks import is_paid
from airflow_provider_alvys.simulator.company.records import (
    carrier_invoice_number,
    charge_record,
    mileage,
    stop_record,
    trip_number,
    updated_by,
)
from airflow_provider_alvys.simulator.company.texts import text_id, utc_text, without_none
from airflow_provider_alvys.simulator.company.world import crew, goods

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company


class TripView(NamedTuple):
    """A trip at a time."""

    company: Company
    load: Load
    leg: Leg
    position: int
    at: int
    is_extra: bool

    def until(self, at: int | None) -> int | None:
        """Return a time unless it is still to come."""
        return at if at is not None and at <= self.at else None

    @property
    def is_assigned(self) -> bool:
        """Whether a carrier or driver has accepted it."""
        return 0 < self.leg.covered_at <= self.at


def leg_values(load: Load, at: int) -> list[int]:
    """Return the trips' shares of line haul and fuel surcharge in cents, by loaded miles."""
    return shares(sum(load.price(at)), [leg.loaded for leg in load.legs])


def _trip_stops(view: TripView) -> list[dict[str, Any]]:
    first, last = view.leg.stops
    state = status(view.leg.events, view.at)
    return [
        stop_record(view.company, view.load, position, view.position + 1, view.at, state)
        for position in range(first, last + 1)
    ]


def _carrier(view: TripView) -> dict[str, Any] | None:
    if not view.is_assigned:
        return None
    if view.leg.carrier is None:
        # An own trip has the subsidiary as its carrier, and no money.
        return {"Id": view.company.own_carrier(view.leg.hauler)}
    charges = [charge for charge in view.leg.charges if charge.at <= view.at]
    advances = [advance for advance in view.leg.advances if 0 < advance[0] <= view.at]
    line_haul, accessorials = view.leg.line_haul(view.at), sum(charge.total for charge in charges)
    currency = view.load.currency
    payable = line_haul + accessorials - sum(cents for _, cents in advances)
    invoiced_at = view.until(view.leg.billed_at)
    number = carrier_invoice_number(view.load, view.position) if invoiced_at else None
    is_paid = view.until(view.leg.paid_at) is not None
    fields = {
        "Id": view.company.name_of("carriers", "Id", view.leg.carrier),
        "CarrierInvoiceNumber": number,
        "Rate": money(line_haul, currency),
        "Linehaul": money(line_haul, currency),
        "Accessorials": money(accessorials, currency),
        "AccessorialsDetails": [
            {**charge_record(view.company, view.load, charge, view.position + 1, currency), "IsPaid": is_paid}
            for charge in charges
        ],
        "EChecks": _advances(view),
        "TotalPayable": money(payable, currency),
    }
    return without_none(fields)


def _advances(view: TripView) -> list[dict[str, Any]]:
    return [
        {
            "Id": text_id(view.company.salt, view.load.number, view.position, at, 6),
            "CheckNumber": f"{30_000_000 + view.load.number * 13 + view.position}",
            "Amount": money(cents, view.load.currency),
            "Fee": money(0, view.load.currency),
            "Type": "Lumper" if cents % 1_000 else "Advance",
            "IsPaid": view.until(view.leg.paid_at) is not None,
            "CreatedAt": utc_text(at),
        }
        for at, cents in view.leg.advances
        if 0 < at <= view.at
    ]


def _driver(view: TripView, number: int | None, *, has_advances: bool = True) -> dict[str, Any] | None:
    if number is None or not view.is_assigned:
        return None
    driver = view.company.driver(number)
    shown = {
        "Id": view.company.name_of("drivers", "Id", number),
        "ContractorType": driver.type,
        "Fleet": fleet_record(driver.fleet),
        "Rates": view.company.pay_policy(number),
        "RatesV2": view.company.pay_policy(number),
        "AccessorialsDetails": _driver_charges(view, number),
    }
    return {**shown, "EChecks": _advances(view)} if has_advances else shown


def _driver_charges(view: TripView, driver: int) -> list[dict[str, Any]]:
    company, currency = view.company, view.load.currency
    return [
        {
            **charge_record(company, view.load, charge, view.position + 1, currency),
            "IsPaid": is_paid(paid_at(company.salt, view.leg, charge, driver), view.at),
        }
        for charge in driver_charges(view.load, view.leg, view.at)
    ]


def _owner_operator(view: TripView) -> dict[str, Any] | None:
    if view.leg.hauler != OWNER_OPERATOR or not view.is_assigned or view.leg.driver is None:
        return None
    policy = view.company.pay_policy(view.leg.driver)
    return {"Id": view.company.name_of("drivers", "Id", view.leg.driver), "RatesV2": policy}


def _truck(view: TripView) -> dict[str, Any] | None:
    if view.leg.truck is None or not view.is_assigned:
        return None
    fleet = crew.truck(view.company.salt, view.leg.truck).fleet
    return {"Id": view.company.name_of("trucks", "Id", view.leg.truck), "Fleet": fleet_record(fleet)}


def _trailer(view: TripView) -> dict[str, Any] | None:
    if view.leg.trailer is None or not view.is_assigned:
        return None
    trailer = crew.trailer(view.company.salt, view.leg.trailer)
    return {
        "Id": view.company.name_of("trailers", "Id", view.leg.trailer),
        "EquipmentType": trailer.equipment.type,
        "EquipmentLength": {"Value": decimal(trailer.equipment.feet * 10, 1), "UnitOfMeasure": "Feet"},
        "Fleet": fleet_record(trailer.fleet),
    }


def _due(view: TripView) -> int | None:
    return view.leg.settled_on if view.until(view.leg.billed_at) else None


def _scheduled(view: TripView, end: int) -> int:
    return view.load.stops[view.leg.stops[end]].begin


def _trip_number(view: TripView) -> str:
    if view.is_extra:
        return str(view.load.number)
    return trip_number(view.company, view.load.number, view.position)


def _temperature(view: TripView) -> dict[str, Any] | None:
    degrees = goods.commodity(view.company.salt, view.load.number, view.load.equipment).fahrenheit
    if degrees is None:
        return None
    return {
        "SetpointTemperature": decimal(10 * degrees, 1),
        "SetpointTemperatureMax": decimal(10 * degrees + 50, 1),
        "ControlMode": "Continuous" if view.load.number % 2 else "Cycle",
    }


_TRIP_FIELDS: Mapping[str, Callable[[TripView], Any]] = {
    "TripNumber": _trip_number,
    "Status": lambda view: status(view.leg.events, view.at),
    "LoadNumber": lambda view: view.company.name_of("loads", "LoadNumber", view.load.number),
    "OrderNumber": lambda view: view.company.name_of("loads", "OrderNumber", view.load.number),
    "Stops": _trip_stops,
    "TenderAs": lambda view: view.company.subsidiary(view.leg.hauler).name,
    "TenderAsSubsidiaryType": lambda view: view.company.subsidiary(view.leg.hauler).type,
    "RequiredEquipment": lambda view: [view.load.equipment],
    "Temperature": _temperature,
    "TotalMileage": lambda view: mileage(view.leg.loaded + view.leg.empty, view.load),
    "EmptyMileage": lambda view: mileage(view.leg.empty, view.load),
    "LoadedMileage": lambda view: mileage(view.leg.loaded, view.load),
    "PickupDate": lambda view: _scheduled(view, 0),
    "DeliveryDate": lambda view: _scheduled(view, 1),
    "PickedUpAt": lambda view: view.until(view.leg.picked_up_at),
    "DeliveredAt": lambda view: view.until(view.leg.delivered_at),
    "CarrierAssignedAt": lambda view: view.leg.covered_at if view.is_assigned else None,
    "ReleasedAt": lambda view: view.until(view.leg.released_at),
    "ReleasedBy": lambda view: (
        view.company.email_of(view.load.number + 2) if view.until(view.leg.released_at) else None
    ),
    "CarrierPaidAt": lambda view: view.until(view.leg.paid_at),
    "DueDate": _due,
    "TripValue": lambda view: money(
        0 if view.is_extra else leg_values(view.load, view.at)[view.position], view.load.currency
    ),
    "Truck": _truck,
    "Trailer": _trailer,
    "Driver1": lambda view: _driver(view, view.leg.driver),
    "Driver2": lambda view: _driver(view, view.leg.second_driver, has_advances=False),
    "OwnerOperator": _owner_operator,
    "Carrier": _carrier,
    "DispatchedBy": lambda view: view.company.email_of(view.load.number + 3) if view.is_assigned else None,
    "DispatcherId": lambda view: (
        view.company.name_of("users", "Id", view.company.dispatcher(view.load.number + 3))
        if view.is_assigned
        else None
    ),
    "CarrierSalesAgentId": lambda view: (
        view.company.user_id("SalesAgent", view.load.number) if view.leg.carrier is not None else None
    ),
    "CarrierPayOnHold": lambda view: (
        view.leg.is_held and view.is_assigned and view.until(view.leg.paid_at) is None
    ),
    "UpdatedAt": lambda view: last_change(view.leg.events, view.at),
    "UpdatedBy": lambda view: updated_by(view.company, view.load, last_change(view.leg.events, view.at)),
    "IsDeleted": lambda view: view.until(view.load.deleted_at) is not None,
}


# Those who haul a trip themselves, and with what.
CREW = ("Truck", "Trailer", "Driver1", "Driver2", "OwnerOperator")


def assignment(company: Company, number: int, hauler: str | None, at: int) -> dict[str, Any]:
    """
    Return the carrier and the crew of a trip as if it were assigned at a time.

    :param hauler: who hauls it; None means as planned.
    """
    view = TripFacts(company).view(number)
    leg = replace(view.leg, covered_at=1)
    if hauler is not None and (hauler == CARRIER) != (leg.carrier is not None):
        leg = company.with_other_hauler(view.load, leg, hauler)
    view = view._replace(leg=leg, at=max(at, view.at))
    return {name: _TRIP_FIELDS[name](view) for name in (*CREW, "Carrier", "DispatchedBy", "DispatcherId")}


class TripFacts(GrowingFacts):
    """The records of trips."""

    part_of = "loads"
    makers = _TRIP_FIELDS

    def view(self, number: int) -> TripView:
        """Return a trip at its time."""
        company = self._company
        load_number, position = company.leg_of(number)
        is_extra, load = company.is_extra(load_number) and load_number == number, company.load(load_number)
        return TripView(company, load, load.legs[position], position, company.time_of(load_number), is_extra)

    def count(self) -> int:
        """Return how many trips there are now."""
        return self._company.trip_count

    def started_at(self, number: int) -> int:
        """Return when a trip was created: with its load."""
        return self._company.created_at(self._company.leg_of(number)[0])

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the trips that existed at a time and changed until another one."""
        company, found = self._company, []
        for trip, (load, position) in enumerate(company.legs()):
            if load.created_at <= since:
                end = company.limited(load.number, until)
                found += [trip] if has_changed(load.legs[position].events, since, end) else []
        return found

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the load of a trip."""
        return (self._company.load_of(number),)
