"""Names of people, companies and streets, and ways to choose among them by number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from math import gcd, prod
from typing import TypeVar

from airflow_provider_alvys.simulator.data.people import plain

T = TypeVar("T")

_MASK = 0x3FFFFFFFFFFFFFFF
_MIXER = 0x1F58476D1CE4E5B9

FIRST_NAMES: Sequence[str] = tuple(
    "James Robert Darnell Luis Terry Miguel Earl Wayne Gurpreet Harjit José Rosa Tammy Carlos Dwight "
    "Bobby Viktor Oleksandr Patrice Yolanda Chantal Réjean Clarence Randy Sheila Amarjit Kenneth Ramón "
    "Jesús Lorna Travis Curtis Denise Björn Ahmed Abdi Nguyễn Melvin Ricky Lakisha Manuel Stan Piotr "
    "Dolores Cody Otis Renée Leroy Brenda Hector Shawn Gary".split()
)
LAST_NAMES: Sequence[str] = tuple(
    "Hollis Martínez Singh Whitaker O'Brien Muñoz Kowalski Petrov Jackson Beauchamp McAllister Nguyen "
    "Delgado Stubblefield Gill Boudreaux Tremblay Hernández Crump Yazzie Haugen Dhillon Fontenot Ortega "
    "Müller Pruitt Sidhu Vance Ledbetter Castillo Bondarenko Tucker Abdullahi Gagné Rutledge Peña "
    "Sandoval Weir Kirkpatrick Bassett Ochoa Grady Lambert Nuñez D'Angelo Schwartz Mabry Orr Villarreal "
    "Quick Tillman".split()
)
STREETS: Sequence[str] = (
    "Industrial Pkwy",
    "Distribution Dr",
    "Commerce St",
    "Airways Blvd",
    "Terminal Rd",
    "Lamar Ave",
    "Old Mill Rd",
    "Logistics Way",
    "Warehouse Row",
    "County Road 12",
    "Gateway Blvd, Bldg C",
    "Peña Blvd",
)
_AREA_CODES = dict(
    pair.split(":")
    for pair in (
        "TN:901 TX:214 IL:815 CA:909 PA:717 CO:719 NV:775 GA:404 NC:704 SC:864 FL:904 AL:205 MS:662 AR:501 "
        "LA:504 OK:405 MO:816 KS:913 NE:402 IA:515 MN:612 WI:414 IN:317 KY:502 OH:614 MI:313 NJ:908 NY:716 "
        "MA:413 MD:410 VA:757 UT:801 ID:208 AZ:602 OR:503 WA:253 ON:905 QC:514 MB:204 BC:604 TAM:867 "
        "CHH:656 NLE:811"
    ).split()
)


def bits_of(salt: int, number: int, use: int) -> int:
    """Return a random number of 62 bits; each use of a row's number has its own."""
    # The hashes of neighbours have similar bits.
    bits = hash((salt, number, use)) & _MASK
    bits = (bits ^ bits >> 29) * _MIXER & _MASK
    return bits ^ bits >> 31


def pick(values: Sequence[T], salt: int, number: int, use: int) -> T:
    """Return one of some values."""
    return values[bits_of(salt, number, use) % len(values)]


def combination(number: int, salt: int, *parts: Sequence[str]) -> list[str]:
    """Return a word of each part: other words for another number, until all combinations are used."""
    total = prod(len(part) for part in parts)
    place = (number * _step(total) + salt) % total
    words = []
    for part in parts:
        place, index = divmod(place, len(part))
        words.append(part[index])
    turn = number // total
    return [*words, f"#{turn + 1}"] if turn else words


@lru_cache(maxsize=64)
def _step(total: int) -> int:
    """Return a step that visits each of so many places once, neighbours far apart."""
    return next(step for step in count(int(total * 0.618)) if gcd(step, total) == 1)


def street(salt: int, number: int) -> str:
    """Return a house number and a street."""
    bits = bits_of(salt, number, 901)
    return f"{bits % 9_800 + 100} {STREETS[(bits >> 20) % len(STREETS)]}"


def phone(salt: int, number: int, state: str = "TN") -> str:
    """Return a phone number that nobody has, with an area code of a state."""
    country = "+52" if state in ("TAM", "CHH", "NLE") else "+1"
    return f"{country} {_AREA_CODES.get(state, '901')} 555 {bits_of(salt, number, 902) % 10_000:04d}"


def domain_of(company: str) -> str:
    """Return the domain of a company."""
    return f"{plain(company)[:24]}.example"
