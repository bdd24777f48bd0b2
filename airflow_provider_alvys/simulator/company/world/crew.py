"""The company's own people and vehicles: drivers, trucks, trailers and users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from airflow_provider_alvys.simulator.company.world import names
from airflow_provider_alvys.simulator.company.world.goods import EQUIPMENT, Equipment
from airflow_provider_alvys.simulator.company.world.names import bits_of, pick
from airflow_provider_alvys.simulator.company.world.parties import FLEETS, Fleet
from airflow_provider_alvys.simulator.company.world.places import PLACES, Place
from airflow_provider_alvys.simulator.data.people import STAFF, email


@dataclass(frozen=True, slots=True)
class PayPolicy:
    """
    How a driver is paid.

    :param kind: ``PerMile`` or ``Percentage``.
    :param loaded_rate: tenths of a cent per loaded mile; 0 for a percentage.
    :param empty_rate: tenths of a cent per empty mile; 0 for a percentage.
    :param share: hundredths of a percent of the linehaul; 0 if paid per mile.
    """

    kind: str
    loaded_rate: int = 0
    empty_rate: int = 0
    share: int = 0


@dataclass(frozen=True, slots=True)
class Driver:
    """
    A driver.

    :param type: ``COMPANY``, ``OWNER_OPERATOR`` or ``CONTRACTOR``.
    :param partner: number of the other driver of the team, or None; the partner's partner is this driver.
    :param hired_days_ago: days from the hire to the data's end.
    :param terminated_days_ago: and from the termination, which is later; None if still employed.
    :param licence_days_left: days from the data's end until the licence expires; negative if expired.
    :param medical_days_left: and until the medical certificate expires.
    """

    number: int
    name: str
    type: str
    is_active: bool
    pay: PayPolicy
    partner: int | None
    fleet: Fleet
    home: Place
    street: str
    hired_days_ago: int
    terminated_days_ago: int | None
    licence_days_left: int
    medical_days_left: int


@dataclass(frozen=True, slots=True)
class Truck:
    """
    A truck.

    :param unit: number painted on its door.
    :param owner: number of the owner-operator who drives it; None if the company owns it.
    """

    number: int
    unit: str
    vin: str
    year: int
    make: str
    model: str
    status: str
    fleet: Fleet
    owner: int | None

    @property
    def is_usable(self) -> bool:
        """Whether it can haul loads."""
        return self.status == "Active"


@dataclass(frozen=True, slots=True)
class Trailer:
    """
    A trailer.

    :param unit: number painted on it.
    """

    number: int
    unit: str
    vin: str
    year: int
    make: str
    status: str
    equipment: Equipment
    fleet: Fleet

    @property
    def is_usable(self) -> bool:
        """Whether it can haul loads."""
        return self.status == "Active"


@dataclass(frozen=True, slots=True)
class User:
    """
    A user of the company's Alvys.

    :param role: as in Alvys, such as ``Dispatcher``.
    """

    number: int
    name: str
    role: str
    status: str
    email: str


_DRIVER_TYPES = ("COMPANY", "OWNER_OPERATOR", "COMPANY", "COMPANY", "CONTRACTOR", "COMPANY", "COMPANY")
_MILE_RATES = (520, 550, 580, 600, 625, 650, 680)
_SHARES = {"OWNER_OPERATOR": (7000, 7200, 7500, 8000), "CONTRACTOR": (2500, 2700, 2750, 3000)}
_US = tuple(place for place in PLACES if place.country == "US")
# The beginning of the VIN, make and model.
_TRUCKS = (
    ("1FUJHHDR", "Freightliner", "Cascadia"),
    ("1XKYD49X", "Kenworth", "T680"),
    ("1XPBDP9X", "Peterbilt", "579"),
    ("4V4NC9EH", "Volvo", "VNL 760"),
    ("3HSDZAPR", "International", "LT625"),
    ("1M1AN4GY", "Mack", "Anthem"),
)
_TRAILERS = (
    ("1GRAA062", "Great Dane"),
    ("1JJV532D", "Wabash"),
    ("1UYVS253", "Utility"),
    ("3H3V532C", "Hyundai Translead"),
    ("1DW1A532", "Stoughton"),
)
_FLATBEDS = (("13N14820", "Fontaine"), ("1RND48A2", "Reitnouer"))
# By place in a cycle; all others are Active.
_FLEET_CYCLE = 20
_FLEET_STATUSES = {4: "In Shop", 9: "Inactive", 13: "Crashed", 16: "Repair"}
_TRAILER_LETTERS = {"Dry Van": "V", "Reefer": "R", "Flatbed": "F", "Step Deck": "S", "Conestoga": "C"}
# Most trailers are vans and reefers.
_TRAILER_KINDS = (0, 1, 0, 2, 0, 1, 0, 3, 1, 4)
_ROLES = (
    "Dispatcher",
    "SalesAgent",
    "Dispatcher",
    "Biller",
    "Admin",
    "Dispatcher",
    "OperationManager",
    "SalesAgent",
    "DataEntry",
    "Safety",
    "Dispatcher",
    "Driver",
)
_USER_STATUSES = {8: "Disabled", 17: "Deleted"}
_VIN_LETTERS = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ"
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
# The tenth character of a VIN, from 2012 on.
_VIN_YEARS = "CDEFGHJKLMNPRSTV"


@lru_cache(maxsize=16_384)
def driver(salt: int, number: int) -> Driver:
    """Return a driver. Each type occurs among the first seven."""
    bits = bits_of(salt, number, 101)
    is_team = _is_team(salt, number // 2)
    kind = "COMPANY" if is_team else _DRIVER_TYPES[number % len(_DRIVER_TYPES)]
    is_active = is_team or number % 10 != 6
    hired = 120 + bits % 2_800
    rate = _MILE_RATES[bits % len(_MILE_RATES)]
    return Driver(
        number=number,
        name=" ".join(names.combination(number, salt, names.FIRST_NAMES, names.LAST_NAMES)),
        type=kind,
        is_active=is_active,
        pay=PayPolicy("PerMile", rate, rate - 100)
        if kind == "COMPANY"
        else PayPolicy("Percentage", share=pick(_SHARES[kind], salt, number, 102)),
        partner=number ^ 1 if is_team else None,
        fleet=FLEETS[(number // 2) % len(FLEETS)],
        home=pick(_US, salt, number // 2 if is_team else number, 103),
        street=names.street(salt, 3_000_000 + number),
        hired_days_ago=hired,
        terminated_days_ago=None if is_active else 5 + bits % (hired - 100),
        licence_days_left=-1 - bits % 40 if number % 14 == 5 else 120 + bits // 7 % 1_200,
        medical_days_left=-1 - bits % 25 if number % 17 == 8 else 120 + bits // 11 % 600,
    )


def _is_team(salt: int, pair: int) -> bool:
    return pair % 6 == 1 or (pair > 3 and bits_of(salt, pair, 104) % 12 == 0)


@lru_cache(maxsize=16_384)
def truck(salt: int, number: int) -> Truck:
    """Return a truck. Each status occurs among the first twenty."""
    prefix, make, model = pick(_TRUCKS, salt, number, 111)
    year = 2015 + bits_of(salt, number, 112) % 12
    return Truck(
        number=number,
        unit=str(1001 + number),
        vin=_vin(prefix, year, number),
        year=year,
        make=make,
        model=model,
        status=_FLEET_STATUSES.get(number % _FLEET_CYCLE, "Active"),
        fleet=FLEETS[(number // 2) % len(FLEETS)],
        owner=number if driver(salt, number).type == "OWNER_OPERATOR" else None,
    )


@lru_cache(maxsize=16_384)
def trailer(salt: int, number: int) -> Trailer:
    """Return a trailer. Each status occurs among the first twenty, each kind among the first ten."""
    equipment = EQUIPMENT[_TRAILER_KINDS[number % len(_TRAILER_KINDS)]]
    makes = _TRAILERS if equipment.type in ("Dry Van", "Reefer") else _FLATBEDS
    prefix, make = pick(makes, salt, number, 121)
    year = 2012 + bits_of(salt, number, 122) % 15
    return Trailer(
        number=number,
        unit=f"{_TRAILER_LETTERS[equipment.type]}{equipment.feet}{101 + number:03d}",
        vin=_vin(prefix, year, number),
        year=year,
        make=make,
        status=_FLEET_STATUSES.get(number % _FLEET_CYCLE, "Active"),
        equipment=equipment,
        fleet=FLEETS[number % len(FLEETS)],
    )


@lru_cache(maxsize=16_384)
def user(salt: int, number: int) -> User:
    """Return a user: the staff of the office first. Each role occurs among the first twelve."""
    role = _ROLES[number % len(_ROLES)]
    # Of each twelve users, one is a driver.
    turn = number // len(_ROLES)
    if role == "Driver":
        name = driver(salt, turn).name
    elif number - turn < len(STAFF):
        name = STAFF[number - turn]
    else:
        name = " ".join(names.combination(number, salt + 1, names.FIRST_NAMES, names.LAST_NAMES))
    return User(
        number=number,
        name=name,
        role=role,
        status=_USER_STATUSES.get(number % 20, "Active"),
        email=email(name),
    )


def login_of(driver: int) -> int:
    """Return the number of a driver's user, which has the driver's name."""
    return (driver + 1) * len(_ROLES) - 1


@lru_cache
def users_with(role: str, count: int) -> Sequence[int]:
    """Return the numbers of the active users with a role among the first ones; all if nobody has it."""
    found = tuple(
        number
        for number in range(count)
        if _ROLES[number % len(_ROLES)] == role and number % 20 not in _USER_STATUSES
    )
    return found or tuple(range(count))


def _vin(prefix: str, year: int, number: int) -> str:
    """Return a vehicle identification number of 17 characters with a correct check digit."""
    text = f"{prefix}0{_VIN_YEARS[(year - 2012) % len(_VIN_YEARS)]}S{(100_000 + number) % 1_000_000:06d}"
    total = sum(
        _VIN_LETTERS.index(char) % 10 * weight for char, weight in zip(text, _VIN_WEIGHTS, strict=True)
    )
    return f"{text[:8]}{'0123456789X'[total % 11]}{text[9:]}"
