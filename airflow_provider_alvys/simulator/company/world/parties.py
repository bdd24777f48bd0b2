"""Whom the company works with: its legal entities, customers, carriers and facilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from airflow_provider_alvys.simulator.company.world import names
from airflow_provider_alvys.simulator.company.world.names import bits_of, pick
from airflow_provider_alvys.simulator.company.world.places import PLACES, Place, road_miles
from airflow_provider_alvys.simulator.data.people import STAFF
from airflow_provider_alvys.simulator.data.sample_choices import OWN_NAMES
from airflow_provider_alvys.simulator.data.sample_values import NAMES

USD, CAD = 840, 124
_BY_CITY = {place.city: place for place in PLACES}
_CANADA = tuple(place for place in PLACES if place.country == "CA")
_US = tuple(place for place in PLACES if place.country == "US")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A part of a subsidiary's trucks and drivers."""

    id: str
    name: str
    invoice_prefix: str


@dataclass(frozen=True, slots=True)
class Subsidiary:
    """
    A legal entity of the company.

    :param type: ``Carrier`` hauls with its own trucks, ``Broker`` with other carriers.
    :param invoice_prefix: the first letters of its invoice numbers.
    """

    id: str
    name: str
    type: str
    mc_number: str
    dot_number: str
    street: str
    place: Place
    email: str
    phone: str
    invoice_prefix: str


@dataclass(frozen=True, slots=True)
class Customer:
    """
    A customer.

    :param type: ``Customer`` or ``Broker/3PL``.
    :param currency: ISO number, 840 or 124.
    :param terms: days until an invoice is due.
    :param equipment: type of the trailers it orders, as in :data:`goods.EQUIPMENT_BY_TYPE`.
    :param is_factored: whether its invoices are sold to a factoring company.
    """

    number: int
    name: str
    type: str
    status: str
    currency: int
    terms: int
    place: Place
    street: str
    equipment: str
    is_factored: bool


@dataclass(frozen=True, slots=True)
class Carrier:
    """
    A carrier that hauls brokered loads. The first ones are the company's own legal entities.

    :param is_own: whether it is one of these.
    :param terms: days until its invoices are due.
    :param factoring_company: the payee of its invoices, or None.
    :param insurance_days_left: days from the data's end to the end of its insurance; negative if expired.
    """

    number: int
    is_own: bool
    name: str
    mc_number: str
    dot_number: str
    status: str
    terms: int
    factoring_company: str | None
    insurance_days_left: int
    place: Place
    street: str
    contact: str
    equipment: str

    @property
    def is_usable(self) -> bool:
        """Whether brokered loads may be given to it."""
        return self.status == "Active" and not self.is_own


@dataclass(frozen=True, slots=True)
class Location:
    """
    A facility.

    :param type: ``Shipper``, ``Receiver`` or ``Yard``; a yard is the company's own.
    :param opens: hour of the day at which its docks open, in its time zone.
    :param closes: and close; 24 for never.
    :param takes_appointments: whether trucks need one; otherwise it is first come, first served.
    """

    number: int
    name: str
    type: str
    status: str
    place: Place
    street: str
    opens: int
    closes: int
    takes_appointments: bool


FLEETS: Sequence[Fleet] = (
    Fleet("6f1d0a52-8c1e-4b7a-9d11-0e5c3a7b9001", "East", "ATE"),
    Fleet("6f1d0a52-8c1e-4b7a-9d11-0e5c3a7b9002", "West", "ATW"),
    Fleet("6f1d0a52-8c1e-4b7a-9d11-0e5c3a7b9003", "Süd", "ATS"),
)
SUBSIDIARIES: Sequence[Subsidiary] = (
    Subsidiary(
        "2b9e7c14-53a8-4d0f-a6c2-7f0d91e4b101",
        OWN_NAMES[0],
        "Carrier",
        "MC-184210",
        "1042877",
        "4410 Lamar Ave",
        _BY_CITY["Memphis"],
        "remit@acme.example",
        "+1 901 555 0100",
        "ATL",
    ),
    Subsidiary(
        "2b9e7c14-53a8-4d0f-a6c2-7f0d91e4b102",
        OWN_NAMES[1],
        "Broker",
        "MC-733905",
        "2288164",
        "4410 Lamar Ave, Suite 200",
        _BY_CITY["Memphis"],
        "remit.logistics@acme.example",
        "+1 901 555 0120",
        "ALI",
    ),
)
FACTORS: Sequence[str] = (
    "Ironclad Factoring, LLC",
    "Red Oak Capital",
    "Apéx & Sons Funding",
    "Freightline Factors",
    "Cumberland Receivables",
)
# Type, home, equipment, and whether its invoices are factored.
_FIRST_CUSTOMERS = (
    ("Customer", "Memphis", "Dry Van", False),
    ("Customer", "Milwaukee", "Reefer", False),
    ("Customer", "Atlanta", "Reefer", True),
    ("Broker/3PL", "Laredo", "Dry Van", True),
    ("Customer", "Dallas", "Flatbed", False),
    ("Customer", "Reno", "Dry Van", False),
    ("Customer", "San Antonio", "Dry Van", False),
    ("Customer", "Fresno", "Reefer", False),
    ("Customer", "Windsor", "Flatbed", False),
    ("Customer", "McAllen", "Dry Van", True),
    ("Customer", "Stockton", "Dry Van", False),
    ("Customer", "Carlisle", "Reefer", False),
)
_REGIONS = tuple(
    "Delta|Ozark|Pioneer|Río Grande|Tidewater|Cascade|Blue Ridge|Gateway|Prairie|Golden Isles|Big Sky|Hill "
    "Country|Cumberland|Bayou|North Shore|Sandhills|Copper State|Old Dominion|Twin Rivers|Garden State|"
    "Heartland|Buckeye|Wasatch|Évangéline|Piedmont|Summit|Harbor|Redwood|Magnolia".split("|")
)
# The trade in a customer's name, with the trailers that it needs.
_TRADES = {
    "Foods": "Reefer",
    "Paper": "Dry Van",
    "Steel": "Flatbed",
    "Building Products": "Flatbed",
    "Beverages": "Dry Van",
    "Dairy": "Reefer",
    "Plastics": "Dry Van",
    "Produce": "Reefer",
    "Home Goods": "Dry Van",
    "Equipment": "Step Deck",
    "Aluminum": "Conestoga",
    "Logistics": "Dry Van",
    "Pet Products": "Dry Van",
}
_TRADE_NAMES = tuple(_TRADES)
_SUFFIXES = ("Inc.", "LLC", "Co.", "Corp.", "& Sons", "Group", "Supply Co.")
_CARRIER_WORDS = tuple(
    "Nuñez Bros.|Lightning|Grüner|O'Malley|Singh & Sons|Big “Rig” Bob's|Delta Queen|Red River|Lobo|"
    "Three Rivers|Eagle Ridge|Kowalski|Rolling Thunder|Dhillon|Bayou|Lone Wolf|Silver Creek|Tri-State|J&R|"
    "Aztlán|True North|Mack Daddy 🚛|Gulf Coast|Blue Diamond|Prairie Star|Sandoval|Iron Horse|Four Corners|"
    "Cardinal|Yukon".split("|")
)
_CARRIER_TRADES = (
    "Trucking",
    "Transport",
    "Express",
    "Hauling",
    "Freight Lines",
    "Logistics",
    "Carriers",
    "Cartage",
)
_LEGAL_FORMS = ("LLC", "Inc.", "Corp", "", "Co.")
_CARRIER_EQUIPMENT = ("Dry Van", "Dry Van", "Reefer", "Flatbed", "Step Deck", "Conestoga")
# By place in a cycle; all others are Active.
_CARRIER_STATUSES = {
    2: "Expired Insurance",
    5: "Pending",
    7: "Packet Sent",
    9: "Packet Completed",
    11: "Do Not Load",
    13: "Interested",
    15: "Invited",
}
_CARRIER_CYCLE = 21
_CUSTOMER_CYCLE = {14: "Inactive", 17: "Disabled"}
_TERMS = (30, 30, 30, 45, 15, 60)
_YARD_CYCLE = 12
# Has no common divisor with the number of places.
_PLACE_STEP = 31
_SHORT_MILES = 100
_LOCATION_WORDS = (
    "DC",
    "Distribution Center",
    "Logistics Park",
    "Warehouse",
    "Plant 2",
    "Cross-Dock",
    "Mill",
    "Terminal",
    "Entrepôt",
    "Whse “North”",
)
_HOURS = ((0, 24), (6, 14), (7, 15), (6, 22), (8, 16), (5, 13), (7, 19))


def currency_of(place: Place) -> int:
    """Return the ISO number of the currency that is paid in a place: US dollars outside Canada."""
    return CAD if place.country == "CA" else USD


@lru_cache(maxsize=16_384)
def customer(salt: int, number: int) -> Customer:
    """Return a customer."""
    status = _CUSTOMER_CYCLE.get(number % 20, "Active")
    if number < len(_FIRST_CUSTOMERS):
        name = NAMES["customers"][number]
        kind, city, equipment, is_factored = _FIRST_CUSTOMERS[number]
        place = _BY_CITY[city]
    else:
        words = names.combination(number - len(_FIRST_CUSTOMERS), salt, _REGIONS, _TRADE_NAMES, _SUFFIXES)
        name, trade = " ".join(words), words[1]
        kind = "Broker/3PL" if trade == "Logistics" else "Customer"
        equipment = _TRADES[trade]
        is_factored = bits_of(salt, number, 1) % 5 == 0
        place = pick(_CANADA if number % 10 == 8 else _US, salt, number, 2)
    is_canadian = place.country == "CA"
    return Customer(
        number=number,
        name=name,
        type=kind,
        status=status,
        currency=currency_of(place),
        terms=pick(_TERMS, salt, number, 3),
        place=place,
        street=names.street(salt, number),
        equipment=equipment,
        # The factoring company buys invoices in US dollars only.
        is_factored=is_factored and not is_canadian,
    )


@lru_cache(maxsize=16_384)
def carrier(salt: int, number: int) -> Carrier:
    """Return a carrier. Each status occurs among the first 21."""
    status = _CARRIER_STATUSES.get(number % _CARRIER_CYCLE, "Active")
    words = names.combination(number, salt, _CARRIER_WORDS, _CARRIER_TRADES, _LEGAL_FORMS)
    days = bits_of(salt, number, 11) % 200
    if number < len(SUBSIDIARIES):
        own = SUBSIDIARIES[number]
        return Carrier(
            number=number,
            is_own=True,
            name=own.name,
            mc_number=own.mc_number,
            dot_number=own.dot_number,
            status="Active",
            terms=30,
            factoring_company=None,
            insurance_days_left=150 + days,
            place=own.place,
            street=own.street,
            contact=STAFF[0],
            equipment="Dry Van",
        )
    return Carrier(
        number=number,
        is_own=False,
        name=" ".join(word for word in words if word),
        mc_number=f"MC-{200_000 + (number * 7919 + salt) % 1_000_003:06d}",
        dot_number=f"{1_000_000 + (number * 7919 + salt // 7) % 3_000_017}",
        status=status,
        terms=pick((30, 30, 21, 15, 45), salt, number, 12),
        factoring_company=pick(FACTORS, salt, number, 13) if bits_of(salt, number, 14) % 100 < 45 else None,
        insurance_days_left=-1 - days % 90 if status == "Expired Insurance" else 150 + days,
        place=pick(_US if number % 9 else _CANADA, salt, number, 15),
        street=names.street(salt, 1_000_000 + number),
        contact=person(salt, 5_000_000 + number),
        equipment=pick(_CARRIER_EQUIPMENT, salt, number, 16),
    )


@lru_cache(maxsize=16_384)
def location(salt: int, number: int) -> Location:
    """Return a facility. The first one and each twelfth is a yard; neighbours lie in different places."""
    place = PLACES[number * _PLACE_STEP % len(PLACES)]
    is_yard = number % _YARD_CYCLE == 0
    opens, closes = (0, 24) if is_yard else pick(_HOURS, salt, number, 21)
    if is_yard:
        name = f"Acme Yard {place.city}" if number < len(PLACES) else f"Acme Yard {place.city} #{number}"
    else:
        words = names.combination(number, salt, _REGIONS, _LOCATION_WORDS, ("-",))
        name = f"{' '.join(words)} {place.city}"
    return Location(
        number=number,
        name=name,
        type="Yard" if is_yard else ("Shipper", "Receiver")[number % 2],
        status="Active" if is_yard else {10: "Inactive", 19: "Disabled"}.get(number % 20, "Active"),
        place=place,
        street=names.street(salt, 7_000_000 + number),
        opens=opens,
        closes=closes,
        takes_appointments=not is_yard and bits_of(salt, number, 22) % 100 < 65,
    )


@lru_cache(maxsize=16_384)
def lanes(salt: int, number: int, count: int) -> tuple[tuple[int, int], ...]:
    """
    Return the lanes of a customer: numbers of the locations where its loads begin and end.

    The first one begins near the customer. Most are longer than 100 miles.

    :param count: number of locations; each lane has numbers below it.
    """
    home = customer(salt, number).place
    places = [location(salt, other) for other in range(count)]
    usable = [other for other in places if other.type != "Yard" and other.status == "Active"] or places
    shippers = [other for other in usable if other.type == "Shipper"] or usable
    shippers = sorted(shippers, key=lambda other: road_miles(home, other.place))[:4]
    found = []
    for turn in range(3 + bits_of(salt, number, 31) % 4):
        origin = shippers[bits_of(salt, number, 32 + turn) % len(shippers) if turn else 0]
        far = [other for other in usable if road_miles(origin.place, other.place) > _SHORT_MILES] or usable
        receivers = [other for other in far if other.type == "Receiver"] or far
        found.append((origin.number, pick(receivers, salt, number, 42 + turn).number))
    return tuple(found)


def person(salt: int, number: int) -> str:
    """Return the name of a person."""
    return f"{pick(names.FIRST_NAMES, salt, number, 51)} {pick(names.LAST_NAMES, salt, number, 52)}"
