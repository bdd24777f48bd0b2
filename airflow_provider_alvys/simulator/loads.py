"""Loads as Alvys answers them: full records of 3 to 6 KB, nulls left out, times in the forms that were seen."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_alvys.api.streams import get_stream
from airflow_provider_alvys.simulator.rows import Row

_HOUR = 3_600_000_000
_CITIES = [
    ("Memphis", "TN", "38118", "35.0456", "-89.9386"),
    ("Laredo", "TX", "78045", "27.6306", "-99.4803"),
    ("Joliet", "IL", "60436", "41.4875", "-88.1190"),
    ("Ontario", "CA", "91761", "34.0345", "-117.5931"),
    ("Carlisle", "PA", "17013", "40.2010", "-77.2003"),
    ("Savannah", "GA", "31408", "32.1167", "-81.1637"),
    ("Reno", "NV", "89506", "39.6433", "-119.8778"),
]
_GOODS = ["canned peaches", "paper rolls", "auto parts", "frozen chicken", "ceramic tiles", "bottled water", "piñatas"]
_TALK = [
    "Driver called from the shipper, waiting for a door. Dock hours are 07:00 to 15:00, no exceptions.",
    "Receiver asked for a new appointment; moved it and told the customer service rep by mail.",
    "Lumper fee to be paid on site, receipt goes with the POD. Seal number checked at pickup.",
    "Reefer set to -10 °C, continuous. Temperature log wanted at delivery 🧊.",
    'Customer says: "no early arrivals", gate is closed before 06:00. Call José at the yard (ext. 12).',
]
_STATUSES = ["Open", "Covered", "Dispatched", "In Transit", "Delivered", "Invoiced", "Completed", "Cancelled"]
_CUSTOMERS = 40


def make_loads(count: int, *, seed: int, days: float, now: int, cut_notes: int) -> list[Row]:
    """Return ``count`` loads created over ``days`` before ``now`` (microseconds since 1970), oldest first."""
    span = int(days * 24 * _HOUR)
    rng = random.Random(seed)
    created = sorted(now - rng.randrange(1, span) for _ in range(count))
    return [
        make_load(number, created_at, rng.randrange(created_at, now), seed=seed, cut_note=number < cut_notes)
        for number, created_at in enumerate(created)
    ]


def make_load(number: int, created: int, updated: int, *, seed: int, cut_note: bool = False) -> Row:
    """Return one load; its text is made when it is first read."""
    rng = random.Random(f"{seed}-{number}")
    # To the millisecond: it is written with 3 digits, too.
    created -= created % 1000
    customer = rng.randrange(_CUSTOMERS)
    return Row(
        columns={
            "Id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "LoadNumber": str(1_000_001 + number),
            "OrderNumber": f"ORD-{500_000 + number}",
            "PONumber": f"PO{rng.randrange(10**7):07d}",
            "CustomerId": f"{customer:032x}",
            "UpdatedBy": f"user{rng.randrange(25)}@acme.example",
            "CustomerSalesAgentId": f"US{rng.randrange(8):019d}",
            "Status": rng.choice(_STATUSES),
            "CreatedAt": created,
            "UpdatedAt": updated,
            "IsDeleted": rng.random() < 0.01,
        },
        build=lambda row: _build(row, random.Random(f"{seed}-{number}-body"), cut_note),
        stream=get_stream("loads"),
    )


def _build(row: Row, rng: random.Random, cut_note: bool) -> dict[str, Any]:
    columns = row.columns
    created = columns["CreatedAt"]
    rate = rng.randrange(60_000, 450_000)
    pickup = created + rng.randrange(4, 96) * _HOUR
    delivery = pickup + rng.randrange(8, 72) * _HOUR
    status = columns["Status"]
    is_delivered = status in ("Delivered", "Invoiced", "Completed")
    is_invoiced = status in ("Invoiced", "Completed")
    customer = int(columns["CustomerId"], 16)
    stops = [_stop(rng, "Pickup", pickup, is_delivered), _stop(rng, "Delivery", delivery, is_delivered)]
    if rng.random() < 0.3:
        stops.insert(1, _stop(rng, "Delivery", (pickup + delivery) // 2, is_delivered))
    load = {
        "Id": columns["Id"],
        "LoadNumber": columns["LoadNumber"],
        "OrderNumber": columns["OrderNumber"],
        "PONumber": columns["PONumber"],
        "CustomerId": columns["CustomerId"],
        "CustomerName": f"Customer {customer} Foods & Söhne, Inc.",
        "CustomerNumber": f"C{customer:04d}" if customer % 8 else None,
        "Status": status,
        "LoadType": "Standard",
        "ContractId": f"{rng.getrandbits(128):032x}" if rng.random() < 0.2 else None,
        "CustomerType": ["Customer"] if customer % 3 else ["Broker/3PL"],
        "Stops": stops,
        "Fleet": {"Id": f"{rng.getrandbits(64):016x}", "Name": "East", "InvoiceNumberPrefix": "E"},
        "InvoiceAs": "Acme Trucking LLC",
        "OfficeId": f"OF{rng.randrange(4):019d}",
        "Linehaul": _money(rate),
        "FuelSurcharge": _money(rate // 10),
        "CustomerAccessorials": _money(rate // 25),
        "CustomerAccessorialsDetails": [_accessorial(rng, created) for _ in range(rng.randrange(3))],
        "CustomerRate": _money(rate + rate // 10 + rate // 25),
        "CustomerMileage": {
            "Distance": {"Value": _decimal(rng.randrange(80_000, 2_600_000), 3), "UnitOfMeasure": "Miles"},
            "Source": "PCMiler",
            "ProfileId": f"{rng.getrandbits(64):016x}",
            "ProfileName": "53' trailer",
        },
        "InvoicedAmount": _money(rate + rate // 10) if is_invoiced else None,
        "Weight": {"Value": _decimal(rng.randrange(10_000, 45_000) * 10, 1), "UnitOfMeasure": "Pounds"},
        "Volume": {"Value": rng.randrange(500, 3500), "UnitOfMeasure": "CubicFeet"} if rng.random() < 0.3 else None,
        "ScheduledPickupAt": _local(pickup),
        "ScheduledDeliveryAt": _local(delivery),
        "PickedUpAt": format_utc(pickup + _HOUR, 0) if is_delivered else None,
        "DeliveredAt": format_utc(delivery, 3) if is_delivered else None,
        "InvoicedAt": format_utc(delivery - delivery % (24 * _HOUR), 0) if is_invoiced else None,
        "LastInvoiceSentAt": format_utc(delivery + 2 * _HOUR, 7) if is_invoiced else None,
        "Notes": [_note(rng, created, cut_note and not number) for number in range(rng.randrange(1, 6 - len(stops)))],
        "CreatedAt": format_utc(created, rng.choice((3, 6, 7))),
        "CreatedBy": "edi@acme.example",
        "CancelledAt": format_utc(columns["UpdatedAt"], 6) if status == "Cancelled" else None,
        "CancelledBy": columns["UpdatedBy"] if status == "Cancelled" else None,
        "References": [_reference(rng) for _ in range(rng.randrange(1, 3))],
        "CustomerServiceRepId": f"US{rng.randrange(25):019d}",
        "CustomerSalesAgentId": columns["CustomerSalesAgentId"],
        "CustomerSalesManagerId": f"US{rng.randrange(3):019d}",
        "CustomerLoadPlannerId": f"US{rng.randrange(9):019d}" if rng.random() < 0.5 else None,
        "UpdatedAt": None if columns["UpdatedAt"] is None else format_utc(columns["UpdatedAt"], 7),
        "UpdatedBy": columns["UpdatedBy"],
        "CustomerAccountManagerId": f"US{rng.randrange(5):019d}" if rng.random() < 0.5 else None,
        "PaidAt": format_utc(delivery + 30 * 24 * _HOUR, 0) if status == "Completed" else None,
        "TotalPaid": _money(rate if status == "Completed" else 0),
        "Payments": [{"Id": f"{rng.getrandbits(64):016x}", "Amount": _money(rate), "PaidAt": format_utc(delivery, 0)}]
        if status == "Completed"
        else [],
        "TenderId": f"{rng.getrandbits(128):032x}" if rng.random() < 0.4 else None,
        "RequiredEquipment": ["Reefer"] if rng.random() < 0.2 else ["Van"],
    }
    return load


def _stop(rng: random.Random, kind: str, at: int, is_done: bool) -> dict[str, Any]:
    city, state, zip_code, latitude, longitude = rng.choice(_CITIES)
    is_appointment = rng.random() < 0.6
    stop: dict[str, Any] = {
        "$type": "appointment" if is_appointment else "delivery_window",
        "Id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "Address": {"Street": f"{rng.randrange(100, 9999)} Industrial Pkwy", "City": city, "State": state, "ZipCode": zip_code},
        "Coordinates": {"Latitude": latitude, "Longitude": longitude},
        "Status": "Departed" if is_done else "Scheduled",
        "StopType": kind,
        "ArrivedAt": format_utc(at, 0) if is_done else None,
        "DepartedAt": format_utc(at + _HOUR, 7) if is_done else None,
        "References": [_reference(rng)],
        "CompanyId": f"{rng.getrandbits(128):032x}",
        "CompanyNumber": f"L{rng.randrange(9999):05d}" if rng.random() < 0.8 else None,
        "CompanyName": f"{city} Cold Storage",
        "LoadingType": "Live",
        "ScheduleType": "APPT" if is_appointment else "FCFS",
    }
    if is_appointment:
        stop |= {"AppointmentDate": _local(at), "AppointmentRequested": True, "AppointmentConfirmed": rng.random() < 0.7}
    else:
        stop["StopWindow"] = {"Begin": format_utc(at, 0), "End": "9999-12-31T00:00:00+00:00"}
    return stop


def _accessorial(rng: random.Random, at: int) -> dict[str, Any]:
    quantity = rng.randrange(1, 5)
    return {
        "Id": f"{rng.getrandbits(128):032x}",
        "Type": rng.choice(["Detention", "Lumper", "Layover"]),
        "Total": _money(5_000 * quantity),
        "Rate": _money(5_000),
        "RateType": "Flat",
        "Uom": "Hours",
        "Quantity": quantity,
        "IsPaid": rng.random() < 0.5,
        "CreatedAt": format_utc(at, 6),
        "CreatedBy": "edi@acme.example",
    }


def _note(rng: random.Random, at: int, cut: bool) -> dict[str, Any]:
    text: Any = f"{rng.choice(_TALK)} Load of {rng.choice(_GOODS)}. {rng.choice(_TALK)}"
    if cut:
        # The first half of a surrogate pair: what is left of an emoji where a text was cut by length.
        text = msgspec.Raw(rb'"Driver says \ud83d"')
    return {
        "id": f"{rng.getrandbits(128):032x}",
        "Description": text,
        "NoteType": rng.choice(["System", "General", "Assignment", "Safety"]),
        "Time": format_utc(at, 7),
        "User": "Dana Dispatcher",
        "UserId": f"US{rng.randrange(25):019d}",
    }


def _reference(rng: random.Random) -> dict[str, Any]:
    return {
        "Id": f"{rng.getrandbits(128):032x}",
        "ReferenceId": f"{rng.getrandbits(64):016x}",
        "Name": rng.choice(["BOL", "Seal", "Pickup number"]),
        "Value": f"{rng.randrange(10**8):08d}",
        "Type": "Text",
        "Access": "Public",
        "Origin": "Manual",
    }


def _money(cents: int) -> dict[str, Any]:
    return {"Amount": _decimal(cents, 2), "Currency": 840}


def _decimal(value: int, places: int) -> msgspec.Raw:
    """Return ``value / 10**places`` with its trailing zeros, which a float would lose."""
    digits = f"{value:0{places + 1}d}"
    return msgspec.Raw(f"{digits[:-places]}.{digits[-places:]}".encode())


def format_utc(micros: int, digits: int) -> str:
    """Return microseconds since 1970 as ISO 8601 with ``+00:00`` and 0 to 7 digits of a second, as Alvys mixes them."""
    # The seventh digit is below a microsecond and says nothing: 0.
    fraction = f".{micros % 1_000_000:06d}0"[: digits + 1] if digits else ""
    return f"{_time(micros):%Y-%m-%dT%H:%M:%S}{fraction}+00:00"


def _local(micros: int) -> str:
    return f"{_time(micros - 4 * _HOUR):%Y-%m-%dT%H:%M:%S}-04:00"


def _time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=micros // 1_000_000)
