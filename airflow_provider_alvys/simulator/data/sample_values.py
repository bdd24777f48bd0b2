"""Realistic sample values for fields, by field name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from airflow_provider_alvys.simulator.data.times import CANCELLED

# Returns a value for a random number of at least 60 bits.
ValueFromBits = Callable[[int], Any]

# The stage of a status: 2 picked up, 3 delivered, 4 billed, 5 paid.
STAGES: Mapping[str, int] = {
    "draft": 0,
    "admin": 0,
    "in review": 0,
    "quoted": 0,
    "reserved": 0,
    "open": 0,
    "pending": 0,
    "covered": 1,
    "dispatched": 1,
    "scheduled": 1,
    "en-route": 1,
    "in transit": 2,
    "delivered": 3,
    "trip completed": 3,
    "carrier paid": 3,
    "invoiced": 4,
    "awaitingpayment": 4,
    "financed": 4,
    "released": 4,
    "released-carrier paid": 4,
    "queued": 4,
    "completed": 5,
    "processed": 5,
    "paid": 5,
    "cancelled": CANCELLED,
    "tonu": CANCELLED,
}
# Of a row without a status in the table above.
DEFAULT_STAGE = 5

# The fields that a record lacks, by its ``$type``.
ABSENT_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "appointment": ("StopWindow",),
    "delivery_window": ("AppointmentDate", "AppointmentRequested", "AppointmentConfirmed"),
}

_PLACES: Sequence[Mapping[str, str]] = [
    dict(zip(("City", "State", "Zip", "Latitude", "Longitude", "TimeZone"), place, strict=True))
    for place in (
        ("Memphis", "TN", "38118", "35.0456", "-89.9386", "America/Chicago"),
        ("Laredo", "TX", "78045", "27.6306", "-99.4803", "America/Chicago"),
        ("Joliet", "IL", "60436", "41.4875", "-88.1190", "America/Chicago"),
        ("Ontario", "CA", "91761", "34.0345", "-117.5931", "America/Los_Angeles"),
        ("Carlisle", "PA", "17013", "40.2010", "-77.2003", "America/New_York"),
        ("Cañon City", "CO", "81212", "38.4410", "-105.2424", "America/Denver"),
        ("Reno", "NV", "89506", "39.6433", "-119.8778", "America/Los_Angeles"),
    )
]
_PEOPLE = (
    "Dana Dispatcher",
    "José Ibáñez",
    "Jürgen Groß",
    "Mary O'Neil",
    "Zoë van Dijk",
    "Lee Park",
    "Ana María Ruiz",
)
_COMPANIES = (
    "Müller & Söhne Foods, Inc.",
    "Acme Trucking LLC",
    "Peach State Cold Storage",
    "Nuñez Bros. Logistics",
    "Big “B” Tile",
)
# The unique names of a stream's first rows.
NAMES: Mapping[str, Sequence[str]] = {
    "customers": (
        "Bluff City Paper Co.",
        "Müller & Söhne Foods, Inc.",
        "Peach State Cold Storage",
        "Nuñez Bros. Logistics",
        "Big “B” Tile",
        "High Desert Bottling",
        "Lone Star Auto Parts",
        "O'Neil & Daughters Produce",
        "Great Lakes Ceramics",
        "Piñata Palace Wholesale",
        "Sierra Packaging",
        "Keystone Grocers Supply",
    )
}
# Streams with a few rows that most references use: most freight comes from few customers.
SKEWED_STREAMS = frozenset({"customers"})
_SENTENCES = (
    "Driver called from the shipper, waiting for a door. Dock hours are 07:00 to 15:00, no exceptions.",
    "Receiver asked for a new appointment; moved it and informed the customer service rep by mail.",
    "Lumper fee to be paid on site, receipt goes with the POD. Seal number checked at pickup.",
    "Reefer set to -10 °C, continuous. Temperature log wanted at delivery 🧊.",
    'Customer says: "no early arrivals", gate is closed before 06:00. Call José at the yard (ext. 12).',
)
_GOODS = (
    "canned peaches",
    "paper rolls",
    "auto parts",
    "frozen chicken",
    "ceramic tiles",
    "bottled water",
    "piñatas",
)
_NOTES = [
    f"{first} Load of {goods}. {second}" for first in _SENTENCES for goods in _GOODS for second in _SENTENCES
]
_REMARKS = (
    "Ok",
    "Seen by the yard 👍",
    "Späte Anlieferung",
    "Per contract",
    "Checked twice, see the file of the week before.",
)

_FILES = ("scan.pdf", "POD signed.pdf", "IMG_2071.jpg", "photo.png", "Übergabe.pdf")
PROOF = "Proof of Delivery"
# Document types by stream.
DOCUMENT_TYPES: Mapping[str, tuple[str, ...]] = {
    "load_documents": (
        "Bill of Lading",
        "Customer Rate Confirmation",
        "Proof of Pickup",
        "Shipping Labels",
        PROOF,
    ),
    "trip_documents": (
        "Bill of Lading",
        "Carrier Rate Confirmation",
        "Load Manifest",
        "Scale Ticket",
        "Trip Report",
        PROOF,
    ),
    "carrier_documents": ("Carrier Agreement", "Carrier Application", "Carrier Authority", "Other Documents"),
    "driver_documents": (
        "License",
        "Medical",
        "Driver License",
        "Drug Test",
        "Operating Authority",
        "Other Documents",
    ),
    "truck_documents": (
        "Motor Vehicle Record",
        "Vehicle Image",
        "Inspection Certificate",
        "Insurance Certificate",
    ),
    "trailer_documents": (
        "Motor Vehicle Record",
        "Vehicle Image",
        "Inspection Certificate",
        "Insurance Certificate",
    ),
}
# Event types by stream.
EVENT_TYPES: Mapping[str, tuple[str, ...]] = {
    "driver_events": ("Vacation", "Restart", "Hometime", "SickOrEmergency", "Other"),
    "truck_events": ("Repair", "Other"),
    "trailer_events": ("Repair", "Other"),
}
# Fields that every record has.
ALWAYS_PRESENT = ("AttachmentType",)

# By the last name of a path, or its last two. The API's documents list most of these.
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "$type": ("appointment", "delivery_window"),
    "Activity": ("Check call", "Arrived at pickup", "Left delivery"),
    "Category": ("Fuel", "Tires", "Insurance", "Advance"),
    # Alvys sends the number or the code, depending on the endpoint.
    "Currency": (840, "USD"),
    "CustomerType": ("Customer", "Broker/3PL"),
    "Days": (1, 7, 30),
    "EquipmentType": ("Van", "Reefer", "Flatbed"),
    "EventType": ("Other",),
    "Events": ("load.changed", "load.status.changed", "trip.changed", "trip.status.changed"),
    "FleetName": ("East", "West", "Süd"),
    "Fleet.Name": ("East", "West", "Süd"),
    "HttpStatusCode": (200, 202, 500),
    "LineItems.Category": ("Fuel", "Tires", "Insurance", "Escrow"),
    "LoadType": ("Standard",),
    "LoadingType": ("Live", "Drop"),
    "NoteType": ("System", "General", "Assignment", "Safety"),
    "References.Access": ("Internal", "Public"),
    # White space varies in real data.
    "References.Name": ("Permit", "Permit ", "Lease Id", "Lease  Id"),
    "References.Origin": ("Manual", "Integration", "EDI", "Unknown"),
    "References.Type": ("Text", "Date", "Bool", "List", ""),
    "RequiredEquipment": ("Van", "Reefer"),
    "Role": (
        "Admin",
        "Dispatcher",
        "Driver",
        "Biller",
        "SalesAgent",
        "DataEntry",
        "Safety",
        "OperationManager",
    ),
    "ScheduleType": ("APPT", "FCFS"),
    "Status": ("Active", "Active", "Inactive"),
    "StopType": ("Pickup", "Delivery"),
    "TransactionType": ("Deposit", "Withdrawal"),
    "Type": ("Standard", "Other"),
    "Unit": ("Fahrenheit", "Celsius"),
    "UnitOfMeasure": ("Miles",),
    "Volume.UnitOfMeasure": ("CubicFeet",),
    "Weight.UnitOfMeasure": ("Pounds",),
    "Uom": ("Hours", "Each"),
    "Year": tuple(range(2012, 2027)),
}

_BOOLEANS: Mapping[str, int] = {"IsDeleted": 10, "IsActive": 850, "IsPaid": 600, "CarrierPayOnHold": 30}


def _choice(values: Sequence[Any]) -> ValueFromBits:
    count = len(values)
    return lambda bits: values[bits % count]


def _id(name: str) -> ValueFromBits:
    """Return a generator of ids in one of three forms; each field name always has the same form."""
    form = crc32(name.encode()) % 3
    if form == 0:
        return lambda bits: f"{bits * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"
    if form == 1:
        prefix = name[:2].upper()
        return lambda bits: f"{prefix}{bits % 10**19:019d}"

    def dashed(bits: int) -> str:
        text = f"{bits * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    return dashed


def _decimals(maximum: int, places: int) -> ValueFromBits:
    """Return a generator of decimal numbers with trailing zeros, which a float would lose."""
    values = [crc32(f"{maximum} {number}".encode()) % maximum for number in range(994)]
    values += [maximum // 3 * 100, maximum // 4 // 100 * 100, 50, 100, 250, 0]
    texts = [f"{value:0{places + 1}d}" for value in values]
    return _choice([msgspec.Raw(f"{text[:-places]}.{text[-places:]}".encode()) for text in texts])


_MONEY = _decimals(450_000, 2)
_QUANTITY = _decimals(2_600_000, 3)
_POLICY = _choice(
    [msgspec.Raw(b'{"Kind":"PerMile","Rate":0.650}'), msgspec.Raw(b'{"Kind":"Percentage","Rate":27.50}')]
)

# The first match applies.
_TEXTS: tuple[tuple[str, ValueFromBits], ...] = (
    (r"(Id|id|ID)$", _id("id")),
    (r"^(Description|Comments|Notes?)$", _choice(_NOTES)),
    (r"Reason|Message|Error", _choice(_REMARKS)),
    (r"Email|By$|UserName", lambda bits: f"user{bits % 25}@acme.example"),
    (r"Phone|Fax|Mobile", lambda bits: f"+1 901 555 {bits % 10_000:04d}"),
    (r"^AttachmentPath$", lambda bits: f"attachments/{bits % 2**64:016x}/{_FILES[bits % len(_FILES)]}"),
    (r"Url|Path$", lambda bits: f"https://files.acme.example/{bits % 2**64:016x}?sig={bits % 9973}"),
    (r"Street|Address$", lambda bits: f"{bits % 9900 + 100} Industrial Pkwy"),
    (r"^(User|DriverName|SharedBy|Agent)$", _choice(_PEOPLE)),
    (r"State$", _choice(("TN", "TX", "CA"))),
    (r"Country$", _choice(("US", "CA"))),
    (r"^Name$", _choice((*_PEOPLE, *_COMPANIES))),
    (r"Name|^(Vendor|Payee|Agency|Destination|Origin|InvoiceAs|TenderAs)$", _choice(_COMPANIES)),
    (r"Number$|Num$|^Value$|Reference|Code$|Plate", lambda bits: f"{bits % 10**8:08d}"),
    (r"^(Weight|Volume|Rate|Quantity|QtyPallets)$", lambda bits: f"{bits % 45_000}.0"),
)


def _choices_of(path: str) -> tuple[Any, ...] | None:
    """Return the values of an enumeration, or None."""
    names = path.split(".")
    return _CHOICES.get(".".join(names[-2:])) or _CHOICES.get(names[-1])


def address_part(name: str) -> ValueFromBits | None:
    """Return the generator of a part of an address, or None. Equal bits give parts of one address."""
    part = {"ZipCode": "Zip", "PostalCode": "Zip", "TimeZoneId": "TimeZone"}.get(name, name)
    return _choice([place[part] for place in _PLACES]) if part in _PLACES[0] else None


def unique_name(stream: str, number: int) -> str:
    """Return the name of a row of a stream in :data:`NAMES`."""
    turn, place = divmod(number, len(NAMES[stream]))
    return f"{NAMES[stream][place]} #{turn + 1}" if turn else NAMES[stream][place]


def id_of(name: str) -> ValueFromBits:
    """Return the generator of the ids of a stream."""
    return _id(name)


def value_from_bits(path: str, kind: str) -> ValueFromBits:
    """Return the generator of the values of a field that is not a time."""
    name = path.rpartition(".")[2]
    choices = _choices_of(path)
    if choices and kind in ("string", "integer"):
        return _choice(choices)
    if kind == "boolean":
        share = _BOOLEANS.get(name, 500)
        return lambda bits: bits // 1009 % 1000 < share
    if kind == "integer":
        return (lambda bits: 2_000 + bits % 60_000) if name.endswith("Size") else (lambda bits: bits % 1000)
    if kind == "decimal":
        return _MONEY if name == "Amount" else _QUANTITY
    if kind == "json":
        return _POLICY
    for pattern, from_bits in _TEXTS:
        if re.search(pattern, name):
            return _id(name) if pattern.startswith("(Id") else from_bits
    return lambda bits: f"{name} {bits % 90 + 10}"
