"""
Conversion of JSON values to typed column values, without loss.

A value that its type cannot hold is refused. Values are text, int, bool or :class:`~decimal.Decimal`; a time
is a text of fixed length that sorts correctly: ``2026-03-01 08:30:00.1234567``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.schema.currencies import CURRENCIES, currency_number
from airflow_provider_alvys.api.schema.fields import FieldFlag, Scalar

# The column of unmapped fields, as JSON.
EXTRA = "_extra"
# key: a text that identifies a row. timestamp: in UTC. wall: a time without a zone. json: JSON text.
Kind = Literal["key", "text", "integer", "decimal", "boolean", "timestamp", "wall", "date", "json"]
# Returns the values of a field's columns, or None for a value that they cannot hold.
Converter = Callable[[Any], tuple[Any, ...] | None]

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII
)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:T00:00:00(?:\.0+)?(?:Z|[+-]00:00)?)?", re.ASCII)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_OPEN_DATE = "9999-12-31"
_UNKNOWN_DATE = "1970-01-01"
_LAST_TIME = "9999-12-31 23:59:59.9999999"
_INT64 = 1 << 63


@dataclass(frozen=True)
class TypeLimits:
    """
    Limits of a database's types. The defaults are those of Python.

    :param whole_digits: digits of a decimal before the point.
    :param fraction_digits: digits of a decimal after the point.
    :param key_length: characters of a key.
    :param key_bytes: bytes of a key.
    """

    whole_digits: int = 100_000
    fraction_digits: int = 16_000
    key_length: int = 100_000
    key_bytes: int = 400_000


@dataclass(frozen=True)
class ColumnSpec:
    """
    A column of a scalar field.

    :param suffix: of the column's name, after the field's.
    """

    suffix: str
    kind: Kind


@functools.lru_cache(4096)
def snake_case(name: str) -> str:
    """Return the column name of a field: ``PONumber`` becomes ``po_number``."""
    return "_".join(filter(None, _WORD_BREAK.sub("_", name).lower().split("_")))


@functools.lru_cache(256)
def column_specs(type: Scalar, flags: frozenset[FieldFlag] = frozenset()) -> tuple[ColumnSpec, ...]:
    """Return the columns of a scalar field; the first has the field's own name."""
    if type != "time":
        return (ColumnSpec("", "text" if type == "string" or "currency" in flags else type),)
    specs = [ColumnSpec("", "timestamp")]
    if "local" in flags:
        specs += [ColumnSpec("_local", "wall"), ColumnSpec("_offset", "text")]
    if "open" in flags:
        specs.append(ColumnSpec("_is_open", "boolean"))
    if "unknown" in flags:
        specs.append(ColumnSpec("_is_unknown", "boolean"))
    return tuple(specs)


def make_converter(
    type: Scalar, flags: frozenset[FieldFlag] = frozenset(), limits: TypeLimits | None = None
) -> Converter:
    """Return a function that converts a field's JSON value to the values of its columns."""
    if "currency" in flags:
        return _currency
    if type == "time":
        return lambda value: _time(value, flags)
    if type == "decimal":
        bounds = limits or TypeLimits()
        return lambda value: _decimal(value, bounds)
    return _CONVERTERS[type]


def _text(value: Any) -> tuple[str] | None:
    return (value,) if type(value) is str and is_storable(value) else None


def is_storable(text: str) -> bool:
    """Return whether every database can hold a text: one without NUL and without half a surrogate pair."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return "\0" not in text


def _decimal(value: Any, limits: TypeLimits) -> tuple[Decimal] | None:
    if type(value) is int:
        value = Decimal(value)
    elif type(value) is not Decimal:
        return None
    _, digits, exponent = value.as_tuple()
    if not value and exponent > 0:
        return (Decimal(0),)
    places = -exponent
    if places > limits.fraction_digits:
        # Trailing zeros do not count.
        zeros = next((number for number, digit in enumerate(reversed(digits)) if digit), places)
        if places - zeros > limits.fraction_digits:
            return None
    if len(digits) - places > limits.whole_digits:
        return None
    return (value,)


def _date(value: Any) -> tuple[str] | None:
    found = _DATE.fullmatch(value) if type(value) is str else None
    if found is None:
        return None
    try:
        date.fromisoformat(found[1])
    except ValueError:
        return None
    return (found[1],)


def _time(value: Any, flags: frozenset[FieldFlag]) -> tuple[Any, ...] | None:
    found = _TIME.fullmatch(value) if type(value) is str else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    wall = f"{day} {clock}"
    try:
        datetime.fromisoformat(wall)
    except ValueError:
        return None
    # Alvys sends seven digits at most.
    digits = f".{(fraction or '')[:7]:0<7}"
    utc: str | None = f"{wall}{digits}"
    if zone is None:
        utc = None
    elif zone not in ("Z", "z", "+00:00", "-00:00"):
        try:
            moment = datetime.fromisoformat(wall + zone).astimezone(timezone.utc)
            utc = f"{moment.replace(tzinfo=None)}{digits}"
        except OverflowError:
            utc = _LAST_TIME if day == _OPEN_DATE and "open" in flags else None
    if utc is None and not ("local" in flags and zone is None):
        return None
    values: list[Any] = [utc]
    if "local" in flags:
        values += [wall + digits, "+00:00" if zone in ("Z", "z") else zone]
    if "open" in flags:
        values.append(day == _OPEN_DATE)
    if "unknown" in flags:
        values.append(day == _UNKNOWN_DATE)
    return tuple(values)


def _currency(value: Any) -> tuple[str] | None:
    number = currency_number(value)
    return (CURRENCIES[number],) if type(number) is int and number in CURRENCIES else None


_CONVERTERS: dict[Scalar, Converter] = {
    "string": _text,
    "integer": lambda value: (value,) if type(value) is int and -_INT64 <= value < _INT64 else None,
    "boolean": lambda value: (value,) if type(value) is bool else None,
    "date": _date,
    "json": lambda value: (dump_json(value),),
}

_encoder = msgspec.json.Encoder(decimal_format="number")


def dump_json(value: Any) -> str:
    """Return a decoded value as JSON text, with the digits of every number unchanged."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        # Half a surrogate pair is valid JSON only in its escaped form.
        return _encode(value)


def _encode(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_encode(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_encode, value))}]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
