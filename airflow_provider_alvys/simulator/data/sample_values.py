"""Realistic sample values for fields, by field name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from airflow_provider_alvys.simulator.data.people import STAFF, email
from airflow_provider_alvys.simulator.data.sample_choices import (
    CHOICES,
    CHOICES_BY_ITEM,
    COMPANIES,
    NUMBERS,
)
from airflow_provider_alvys.simulator.data.sample_companions import COMPANIONS
from airflow_provider_alvys.simulator.data.times import CANCELLED

T = TypeVar("T")

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
    dict(zip(("City", "State", "Zip", "Latitude", "Longitude", "TimeZone"), place, strict=True), Country="US")
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
_PLACE_PARTS = {"ZipCode": "Zip", "PostalCode": "Zip", "TimeZoneId": "TimeZone", "CountryCode": "Country"}
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

_STREETS = ("Industrial Pkwy", "Commerce St", "Airways Blvd", "Logistics Way", "Old Mill Rd", "Peña Blvd")
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
# Fields that every record has.
ALWAYS_PRESENT = ("AttachmentType",)

_DIGIT = "?"
_BOOLEANS: Mapping[str, int] = {"IsDeleted": 10, "IsActive": 850, "IsPaid": 600, "CarrierPayOnHold": 30}


def _lookup(table: Mapping[str, T], stream: str, path: str) -> T | None:
    """Return the entry of a table with the longest key that is an end of the path, or None."""
    names = [stream, *path.split(".")]
    ends = (".".join(names[place:]) for place in range(len(names)))
    return next((table[end] for end in ends if end in table), None)


def _choice(values: Sequence[Any]) -> ValueFromBits:
    count = len(values)
    return lambda bits: values[bits % count]


def _text(values: Sequence[Any]) -> ValueFromBits:
    """Return a generator of one of some values; ``?`` in a text stands for any digit."""
    if not any(isinstance(value, str) and _DIGIT in value for value in values):
        return _choice(values)
    count = len(values)
    parts = [str(value).split(_DIGIT) for value in values]

    def fill(bits: int) -> str:
        first, *rest = parts[bits % count]
        digits = f"{bits // count % 10 ** len(rest):0{len(rest)}d}" if rest else ""
        return first + "".join(digit + part for digit, part in zip(digits, rest, strict=True))

    return fill


def _number(low: int, high: int, places: int, kind: str) -> ValueFromBits:
    """Return a generator of numbers with zeros at the end, which a float would lose."""
    # One place of one, and of three the last one.
    used = places // 2 * 2
    unit, zeros = 10**used, "0" * (places - used)

    def number(bits: int) -> Any:
        value = low * unit + bits // 31 % ((high - low) * unit + 1)
        if kind == "integer":
            return value
        sign, digits = "-" if value < 0 else "", f"{abs(value):0{used + 1}d}"
        point = len(digits) - used
        text = f"{sign}{digits[:point]}.{digits[point:]}{zeros}"
        return text if kind == "string" else msgspec.Raw(text.encode())

    return number


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
    (r"Email|By$|UserName", _choice([email(name) for name in STAFF])),
    (r"Phone|Fax|Mobile", lambda bits: f"+1 901 555 {bits % 10_000:04d}"),
    (r"^AttachmentPath$", lambda bits: f"attachments/{bits % 2**64:016x}/{_FILES[bits % len(_FILES)]}"),
    (r"Url|Path$", lambda bits: f"https://files.acme.example/{bits % 2**64:016x}?sig={bits % 9973}"),
    (r"Street|Address$", lambda bits: f"{bits % 9900 + 100} {_STREETS[bits // 9901 % len(_STREETS)]}"),
    (r"^(User|Agent)$", _choice(STAFF)),
    (r"State$", _choice(("TN", "TX", "CA"))),
    (r"Country$", _choice(("US", "CA"))),
    (r"^Name$", _choice((*STAFF, *COMPANIES))),
    (r"Name|^(Vendor|Payee|Destination|Origin)$", _choice(COMPANIES)),
    (r"Number$|Num$|^Value$|Reference|Code$|Plate", lambda bits: f"{bits % 10**8:08d}"),
)


def address_part(name: str) -> ValueFromBits | None:
    """Return the generator of a part of an address, or None. Equal bits give parts of one address."""
    part = _PLACE_PARTS.get(name, name)
    return _choice([place[part] for place in _PLACES]) if part in _PLACES[0] else None


def unique_name(stream: str, number: int) -> str:
    """Return the name of a row of a stream in :data:`NAMES`."""
    turn, place = divmod(number, len(NAMES[stream]))
    return f"{NAMES[stream][place]} #{turn + 1}" if turn else NAMES[stream][place]


def id_of(name: str) -> ValueFromBits:
    """Return the generator of the ids of a stream."""
    return _id(name)


def choices_by_item(stream: str, path: str) -> Sequence[str] | None:
    """Return a field's values by number of the item that has it, or None; the last one repeats."""
    return _lookup(CHOICES_BY_ITEM, stream, path)


def companions_of(stream: str, path: str = "") -> Sequence[tuple[str, str, Mapping[str, ValueFromBits]]]:
    """
    Return the fields that fit other fields of the same row, or of the same item of a list.

    Each comes as the other field, the field itself, and the generators of its values.
    """
    found = _lookup(COMPANIONS, stream, path) if path else COMPANIONS.get(stream)
    return [
        (decider, name, {value: _text(texts) for value, texts in values.items()})
        for decider, name, values in found or ()
    ]


def value_from_bits(stream: str, path: str, kind: str) -> ValueFromBits:
    """Return the generator of the values of a field that is not a time."""
    name = path.rpartition(".")[2]
    choices = _lookup(CHOICES, stream, path)
    if choices and kind in ("string", "integer"):
        return _text(choices)
    numbers = _lookup(NUMBERS, stream, path)
    if numbers and kind in ("string", "integer", "decimal"):
        return _number(*numbers, kind)
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
    # Of a field that this module does not know yet.
    return lambda bits: f"{name} {bits % 90 + 10}"
