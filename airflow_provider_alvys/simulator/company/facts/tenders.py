"""The records of tenders: most become the load with the same number, the others are not taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.plans.load import Load
from airflow_provider_alvys.simulator.company.plans.scenarios import (
    ACCEPTED,
    EXPIRED,
    REJECTED,
    tender_outcome,
)
from airflow_provider_alvys.simulator.company.texts import local_text, text_id, without_none
from airflow_provider_alvys.simulator.company.world import goods, parties
from airflow_provider_alvys.simulator.company.world.names import bits_of
from airflow_provider_alvys.simulator.company.world.places import Place
from airflow_provider_alvys.simulator.data.people import plain
from airflow_provider_alvys.simulator.data.times import HOUR

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

PENDING, CANCELLED = "Pending", "Cancelled"
# An accepted tender comes before its load, and the others are decided or expire after this.
_BEFORE, _DECISION, _EXPIRY = HOUR // 2, 2 * HOUR, 6 * HOUR
# What a shipper offers for freight that is not taken, in percent of the market.
_LOW_OFFER = 80
_ZONE_CODES = {
    "America/New_York": "ET",
    "America/Toronto": "ET",
    "America/Detroit": "ET",
    "America/Denver": "MT",
    "America/Phoenix": "MT",
    "America/Boise": "MT",
    "America/Los_Angeles": "PT",
    "America/Vancouver": "PT",
}
_EDI_EQUIPMENT = {"Dry Van": "TV", "Reefer": "RT"}
_CUBIC_FEET_PER_POUND = 6


def _imported_at(company: Company, number: int, created_at: int) -> int:
    return created_at if company.is_extra(number) else created_at - _BEFORE


class TenderView(NamedTuple):
    """A tender at a time."""

    company: Company
    number: int
    load: Load
    at: int

    @property
    def imported_at(self) -> int:
        """When it came."""
        return _imported_at(self.company, self.number, self.load.created_at)

    @property
    def outcome(self) -> str:
        """How it ends; that of an added row stays open."""
        return PENDING if self.company.is_extra(self.number) else tender_outcome(self.number)

    @property
    def customer(self) -> parties.Customer:
        """The customer who offers the freight."""
        return self.company.customer(self.load.customer)


def _decided_at(view: TenderView) -> int:
    after = {ACCEPTED: _BEFORE, REJECTED: _DECISION, EXPIRED: _EXPIRY}
    return view.imported_at + after.get(view.outcome, 0)


def _status(view: TenderView) -> str:
    cancelled_at = view.load.cancelled_at
    if view.outcome == ACCEPTED and cancelled_at is not None and cancelled_at <= view.at:
        return CANCELLED
    return view.outcome if _decided_at(view) <= view.at else PENDING


def _load_number(view: TenderView) -> str | None:
    is_taken = view.outcome == ACCEPTED and _decided_at(view) <= view.at
    return view.company.load_number(view.number) if is_taken else None


def _time(at: int, place: Place) -> dict[str, str]:
    return {"DateTime": local_text(at, place), "TimeZoneCode": _ZONE_CODES.get(place.time_zone, "CT")}


def _entity(kind: str, qualifier: str, name: str, street: str, place: Place) -> dict[str, str]:
    return {
        "Type": kind,
        "Name": name,
        "CompanyName": name,
        "IdCodeQualifier": "93",
        "IdCode": plain(name)[:12].upper(),
        "N1Qualifier": qualifier,
        "Street": street,
        "City": place.city,
        "State": place.state,
        "PostalCode": place.zip_code,
        "CountryCode": place.country,
    }


def _facility(view: TenderView, position: int) -> dict[str, str]:
    location = parties.location(view.company.salt, view.load.stops[position].location)
    kind, qualifier = ("Consignee", "CN") if position else ("Shipper", "SH")
    return _entity(kind, qualifier, location.name, location.street, location.place)


def _entities(view: TenderView) -> list[dict[str, str]]:
    customer = view.customer
    payer = _entity("BillTo", "BT", customer.name, customer.street, customer.place)
    return [_facility(view, 0), _facility(view, -1), payer]


def _stops(view: TenderView) -> list[dict[str, Any]]:
    """Return the pickup and the deliveries; where trips meet is nothing that the shipper knows."""
    positions = [place for place, stop in enumerate(view.load.stops) if stop.kind != "Waypoint"]
    return [_stop(view, place, turn) for turn, place in enumerate(positions)]


def _stop(view: TenderView, position: int, turn: int) -> dict[str, Any]:
    stop, load = view.load.stops[position], view.load
    is_taken = view.outcome == ACCEPTED and load.delivered_at is not None and stop.is_logged
    has_arrived, has_departed = is_taken and stop.arrived <= view.at, is_taken and stop.departed <= view.at
    weight = f"{load.weight}.0"
    return without_none(
        {
            "StopId": text_id(view.company.salt, view.number, position, 7),
            "Type": "Delivery" if turn else "Pickup",
            "Entity": _facility(view, position),
            "SequenceNumber": str(turn + 1),
            "Orders": [
                {
                    "Quantity": f"{_pallets(view)}.0",
                    "WeightUnitCode": "L",
                    "Weight": weight,
                    "PoNumber": _purchase_order(view),
                    "VolumeUnitQualifier": "E",
                    "Volume": _volume(view),
                    "UnitBasisForMeasurement": "PL",
                    "Description": _commodity(view),
                    "SequenceNumber": "1",
                }
            ],
            "References": [_reference(view, "PU" if turn == 0 else "PO", position)],
            "WeightQualifier": "G",
            "ArrivedAt": _time(stop.arrived, stop.place) if has_arrived else None,
            "DepartedAt": _time(stop.departed, stop.place) if has_departed else None,
            "ScheduledArrivalStart": _time(stop.begin, stop.place),
            "ScheduledArrivalEnd": _time(stop.begin if stop.due is None else stop.due, stop.place),
            "StopReasonCode": "NS",
            "Notes": [],
        }
    )


def _reference(view: TenderView, qualifier: str, position: int) -> dict[str, str]:
    names = {"PU": "Pickup number", "PO": "Purchase order", "BM": "Bill of lading"}
    digits = (
        1_000_000
        + bits_of(view.company.salt, view.number, 61 + position + 100 * (qualifier == "BM")) % 9_000_000
    )
    number = _purchase_order(view) if qualifier == "PO" else str(digits)
    key = text_id(view.company.salt, view.number, position, 8)
    return {"Id": key, "Qualifier": qualifier, "Description": f"{names[qualifier]} {number}"}


def _purchase_order(view: TenderView) -> str:
    return f"PO{4_000_000 + view.load.number * 31 % 5_000_000}"


def _equipment(view: TenderView) -> goods.Equipment:
    return goods.EQUIPMENT_BY_REQUIRED[view.load.equipment]


def _commodity(view: TenderView) -> str:
    return goods.commodity(view.company.salt, view.number, view.load.equipment).name


def _pallets(view: TenderView) -> int:
    return max(1, _equipment(view).pallets * view.load.weight // _equipment(view).pounds)


def _volume(view: TenderView) -> str:
    return f"{view.load.weight * _CUBIC_FEET_PER_POUND // 100}.0"


def _rate(view: TenderView) -> str:
    cents = sum(view.load.price(view.load.created_at))
    if view.outcome != ACCEPTED:
        cents = cents * _LOW_OFFER // 100
    return f"{cents // 100}.{cents % 100:02d}"


_FIELDS: Mapping[str, Callable[[TenderView], Any]] = {
    "CompanyCode": lambda view: plain(view.customer.name)[:8].upper(),
    "Status": _status,
    "DateImported": lambda view: view.imported_at,
    "ShipmentId": lambda view: f"SHP{200_000_000 + view.number}",
    "LoadNumber": _load_number,
    "Equipment": lambda view: {
        "Length": str(_equipment(view).feet),
        "Type": _EDI_EQUIPMENT.get(_equipment(view).type, "FT"),
    },
    "Entities": _entities,
    "PaymentMethod": lambda view: "Third Party" if view.customer.type == "Broker/3PL" else "Prepaid",
    "QtyPallets": lambda view: f"{_pallets(view)}.0",
    "SCAC": lambda view: ("ACTL", "ACLI")[view.load.legs[0].carrier is not None],
    "Weight": lambda view: f"{view.load.weight}.0",
    "WeightUnitCode": lambda view: "L",
    "Volume": _volume,
    "VolumeUnitCode": lambda view: "E",
    "Rate": _rate,
    "ExpirationDate": lambda view: _time(view.imported_at + _EXPIRY, view.load.stops[0].place),
    "Stops": _stops,
    "References": lambda view: [_reference(view, "BM", 0)],
}


class TenderFacts(GrowingFacts):
    """The records of tenders."""

    makers = _FIELDS

    def view(self, number: int) -> TenderView:
        """Return a tender at its time."""
        return TenderView(self._company, number, self._company.load(number), self._company.time_of(number))

    def count(self) -> int:
        """Return how many tenders there are now."""
        return self._company.load_count

    def started_at(self, number: int) -> int:
        """Return when a tender came."""
        return _imported_at(self._company, number, self._company.created_at(number))

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the tenders that existed at a time and changed until another one."""
        company, found = self._company, []
        for number in range(company.load_count):
            view = self.view(number)
            times = [_decided_at(view), view.load.cancelled_at or 0]
            times += [at for stop in view.load.stops for at in (stop.arrived, stop.departed)]
            end = company.limited(number, until)
            if view.imported_at <= since and any(since < at <= end for at in times):
                found.append(number)
        return found
