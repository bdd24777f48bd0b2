"""The parts that records of loads and trips have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

from airflow_provider_alvys.simulator.company.money import decimal, money
from airflow_provider_alvys.simulator.company.plans.load import Charge, Load, Stop
from airflow_provider_alvys.simulator.company.texts import (
    OPEN_END,
    local_text,
    place_fields,
    text_id,
    utc_text,
    without_none,
)
from airflow_provider_alvys.simulator.data.times import HOUR

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

_ON_THE_ROAD = ("Dispatched", "En-Route", "In Transit")


def stop_record(company: Company, load: Load, position: int, leg: int, at: int, state: str) -> dict[str, Any]:
    """Return a stop; ``leg`` is 0 in a load's record, and the trip's position from 1 in a trip's."""
    stop: Stop = load.stops[position]
    key = text_id(company.salt, load.number, leg, position, 3)
    arrived, departed = (
        utc_text(moment) if stop.is_logged and _happened(load, moment, at) else None
        for moment in stop.times_of_trip(leg - position)
    )
    latitude, longitude = f"{stop.place.latitude:.4f}", f"{stop.place.longitude:.4f}"
    record = {
        "$type": "appointment" if stop.is_appointment else "delivery_window",
        "Id": key,
        "StopType": stop.kind,
        "Status": "Departed" if departed else "Arrived" if arrived else "Open",
        "Address": {"Street": company.street_of(stop.location), **place_fields(stop.place)},
        "Coordinates": {"Latitude": latitude, "Longitude": longitude},
        "CompanyId": company.name_of("locations", "Id", stop.location),
        "CompanyNumber": company.name_of("locations", "CompanyNumber", stop.location),
        "CompanyName": company.name_of("locations", "Name", stop.location),
        "ScheduleType": "APPT" if stop.is_appointment else "FCFS",
        "LoadingType": "Drop" if stop.location % 5 == 0 else "Live",
        "ArrivedAt": arrived,
        "DepartedAt": departed,
        "Eta": _eta(stop, arrived, state),
    }
    if stop.kind == "Waypoint":
        record["$type"] = "waypoint"
    if stop.is_appointment:
        covered_at = load.legs[max(0, leg - 1)].covered_at
        record |= {
            "AppointmentRequested": True,
            "AppointmentConfirmed": 0 < covered_at <= at,
            "AppointmentDate": local_text(stop.begin, stop.place),
        }
    else:
        end = OPEN_END if stop.due is None else local_text(stop.due, stop.place)
        record["StopWindow"] = {"Begin": local_text(stop.begin, stop.place), "End": end}
    if stop.location % 3:
        record["References"] = [_stop_reference(key, position, load)]
    return without_none(record)


def _happened(load: Load, moment: int, at: int) -> bool:
    """Return whether a truck was at a stop by a time; an unused truck was at the pickup only."""
    if load.picked_up_at is None:
        is_unused = load.scenario.ending.endswith("tonu")
        return is_unused and moment == load.stops[0].arrived and moment <= at
    return moment <= at


def _eta(stop: Stop, arrived: str | None, state: str) -> dict[str, Any]:
    eta = {"Planned": utc_text(stop.begin)}
    if state in _ON_THE_ROAD and arrived is None:
        eta["Live"] = utc_text(stop.arrived - stop.arrived % HOUR)
        if stop.location % 3 == 0:
            eta["Manual"] = utc_text(stop.begin + HOUR)
    return eta


def _stop_reference(key: str, position: int, load: Load) -> dict[str, Any]:
    name = "PO #" if position else "Pickup #"
    value = f"{'PO' if position else 'PU'}{1_000_000 + (load.number * 7919 + position) % 9_000_000}"
    shown = {"ReferenceId": f"ref-{1 + position}", "Name": name, "Value": value}
    return {"Id": key[:24], **shown, "Type": "Text", "Access": "Public", "Origin": "EDI"}


def charge_record(company: Company, load: Load, charge: Charge, side: int, currency: int) -> dict[str, Any]:
    """Return an accessorial charge; ``side`` is 0 for the customer's, and the trip's position from 1."""
    at, user = utc_text(charge.at), company.email_of(load.number + charge.stop)
    return {
        "Id": text_id(company.salt, load.number, side, crc32(charge.type.encode()), charge.at, charge.stop),
        "Type": charge.type,
        "Total": money(charge.total, currency),
        "Rate": money(charge.rate, currency),
        "RateType": "Hourly" if charge.unit == "Hours" else "Flat",
        "Uom": charge.unit,
        "Quantity": decimal(charge.quantity, 3),
        "CreatedAt": at,
        "CreatedBy": user,
        "UpdatedAt": at,
        "UpdatedBy": user,
        "StopId": text_id(company.salt, load.number, side, charge.stop, 3),
    }


def mileage(hundredths: int, load: Load) -> dict[str, Any]:
    """Return a distance in miles and its source."""
    source = ("PC*MILER", "PC*MILER", "Google", "Manual")[load.number % 4]
    return {"Distance": {"Value": decimal(hundredths), "UnitOfMeasure": "Miles"}, "Source": source}


def updated_by(company: Company, load: Load, at: int) -> str:
    """Return the user who made the change at a time."""
    return company.email_of(load.number + at // HOUR)


def trip_number(company: Company, load: int, position: int) -> str:
    """Return the number of a load's trip: that of the load, with its position from the second one on."""
    number = str(company.name_of("loads", "LoadNumber", load))
    return f"{number}-{position + 1}" if position else number


def carrier_invoice_number(load: Load, position: int) -> str:
    """Return the number of a carrier's invoice for a trip."""
    return f"{7_000 + load.number}-{position + 1}"
