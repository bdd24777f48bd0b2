"""The people of the office, and e-mail addresses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from unicodedata import normalize

DOMAIN = "acme.example"
STAFF: Sequence[str] = (
    "Dana Whitfield",
    "José Ibáñez",
    "Jürgen Groß",
    "Mary O'Neil",
    "Zoë van Dijk",
    "Lee Park",
    "Ana María Ruiz",
    "Marcus Tate",
    "Priya Raman",
    "Colleen Brandt",
    "Tyrone Beasley",
    "Hannah Kowalczyk",
    "Rusty Pickett",
    "Søren Lindqvist",
    "Keisha Monroe",
    "Walt Hendricks",
    "Guadalupe Treviño",
    "Brittany Ellis",
    "Omar Farouk",
    "Deb Castellano",
)


def email(name: str, domain: str = DOMAIN) -> str:
    """Return the address of a person: their name without accents, at a domain."""
    return f"{'.'.join(plain(part) for part in name.split())}@{domain}"


@lru_cache(maxsize=16_384)
def plain(text: str) -> str:
    """Return the letters and digits of a text in lower case, without accents."""
    text = normalize("NFKD", text.lower().replace("ß", "ss").replace("ø", "o").replace("đ", "d"))
    return "".join(char for char in text if char.isascii() and char.isalnum())
