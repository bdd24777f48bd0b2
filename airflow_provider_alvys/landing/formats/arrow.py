"""Scalar values into Arrow's columns, of the types that the tables have, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from types import NoneType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import FieldFlag, Scalar
from airflow_provider_alvys.api.schema.values import (
    Kind,
    TypeLimits,
    column_specs,
    make_converter,
    snake_case,
)

# What does not fit, by the number of the value.
Left = dict[int, Any]
# A column of a file, or None for one that it was written without.
Column = Any

_SCALE = 10
_DECIMAL = pa.decimal128(38, _SCALE)
_LIMITS = TypeLimits(whole_digits=28, fraction_digits=_SCALE)
_DIGITS = Context(prec=38)
_STEP = Decimal(1).scaleb(-_SCALE)
_UTC = pa.timestamp("us", tz="UTC")
_WALL = pa.timestamp("us")
_TYPES: dict[Kind, Any] = {
    "key": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "decimal": _DECIMAL,
    "boolean": pa.bool_(),
    "timestamp": _UTC,
    "wall": _WALL,
    "date": pa.date32(),
    "json": pa.string(),
}
# Those whose values are Python's as JSON has them.
_PLAIN = (pa.string(), pa.int64(), _DECIMAL, pa.bool_())
# Python's types of the values that Arrow may take by itself.
_QUICK: dict[Scalar, set[type]] = {
    "string": {str},
    "integer": {int},
    "decimal": {int, Decimal},
    "boolean": {bool},
    "date": {str},
    "time": {str},
    "json": set(),
}
# The usual spellings, in which Arrow reads what our own converter reads. Others are left to that.
_USUAL_DATE = r"^[1-9]\d{3}-\d\d-\d\d$"
_USUAL_TIME = r"^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
_ZONE = r"(Z|[+-]\d\d:\d\d)$"
_MICROSECONDS = 26
# Microseconds until the year 10000: an offset may lead there, and Arrow would follow it.
_END = 253_402_300_800_000_000
_NUMBERS = {letters: number for number, letters in CURRENCIES.items()}


class Leaf:
    """
    A scalar field as columns: a time at a place is three.

    :param name: as Alvys spells it.
    """

    def __init__(self, name: str, kind: Scalar, flags: frozenset[FieldFlag] = frozenset()) -> None:
        specs = column_specs(kind, flags)
        self.fields = [pa.field(snake_case(name) + spec.suffix, _TYPES[spec.kind]) for spec in specs]
        self._kinds = [spec.kind for spec in specs]
        self._suffixes = [spec.suffix for spec in specs]
        self._is_currency = "currency" in flags
        self._convert = make_converter(kind, flags, _LIMITS)
        self._quick_types = {int, str} if self._is_currency else _QUICK[kind]
        self._quick: Callable[[list[Any]], list[Any] | None] = self._take_plain
        if self._is_currency:
            self._quick = self._take_currency
        elif kind in ("string", "date", "time"):
            self._quick = {"string": _take_text, "date": _take_date, "time": self._take_time}[kind]
        self._give = self._giver(kind)

    def take(self, values: list[Any]) -> tuple[list[Any], Left]:
        """Return the columns of some values as JSON has them, and those that do not fit. None is none."""
        types = set(map(type, values)) - {NoneType}
        if not types:
            return [pa.nulls(len(values), field.type) for field in self.fields], {}
        if types <= self._quick_types:
            try:
                arrays = self._quick(values)
            except (pa.ArrowException, ValueError, OverflowError):
                arrays = None
            if arrays is not None:
                return arrays, {}
        return self._take_each(values)

    def give(self, columns: Sequence[Column]) -> list[Any]:
        """Return the values as JSON has them, of columns by :attr:`fields`."""
        for field, column in zip(self.fields, columns, strict=True):
            if column is not None and column.type != field.type:
                if len(self.fields) == 1 and column.type in _PLAIN:
                    # Written when the catalogue had another type: the values are what they were.
                    return [
                        _number(value) if isinstance(value, Decimal) else value
                        for value in column.to_pylist()
                    ]
                raise AlvysStorageError(
                    f"its column {field.name} is {column.type}, where {field.type} was expected"
                )
        return self._give(columns)

    def _take_each(self, values: list[Any]) -> tuple[list[Any], Left]:
        left: Left = {}
        nothing = (None,) * len(self.fields)
        rows: list[tuple[Any, ...]] = []
        for number, value in enumerate(values):
            found = nothing
            if value is not None:
                # Nothing is nothing, with however many digits.
                is_zero = type(value) is Decimal and not value
                found = self._convert(0 if is_zero and "decimal" in self._kinds else value) or nothing
                if found is nothing:
                    left[number] = value
            rows.append(found)
        columns = zip(*rows, strict=True)
        return [_typed(kind, column) for kind, column in zip(self._kinds, columns, strict=True)], left

    def _take_plain(self, values: list[Any]) -> list[Any]:
        return [pa.array(values, self.fields[0].type)]

    def _take_currency(self, values: list[Any]) -> list[Any] | None:
        letters = {value: self._convert(value) for value in set(values) - {None}}
        if None in letters.values():
            return None
        return [pa.array([value if value is None else letters[value][0] for value in values], pa.string())]  # type: ignore[index]

    def _take_time(self, values: list[Any]) -> list[Any] | None:
        text = pa.array(values, pa.string())
        if not _all_match(text, _USUAL_TIME):
            return None
        short = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
        moments = short.cast(_UTC)
        if pc.max(moments).value >= _END:
            return None
        arrays = [moments]
        for suffix in self._suffixes[1:]:
            if suffix == "_local":
                arrays.append(pc.replace_substring_regex(short, _ZONE, "").cast(_WALL))
            elif suffix == "_offset":
                zones = pc.replace_substring_regex(text, r"^.{19}(\.\d+)?", "")
                arrays.append(pc.replace_substring(zones, "Z", "+00:00"))
            else:
                arrays.append(
                    pc.starts_with(text, {"_is_open": "9999-12-31", "_is_unknown": "1970-01-01"}[suffix])
                )
        return arrays

    def _giver(self, kind: Scalar) -> Callable[[Sequence[Column]], list[Any]]:
        if self._is_currency:
            return lambda columns: [_NUMBERS.get(letters, letters) for letters in columns[0].to_pylist()]
        if kind == "time":
            return self._give_time
        if kind == "decimal":
            return lambda columns: [
                None if value is None else _number(value) for value in columns[0].to_pylist()
            ]
        if kind == "date":
            return lambda columns: columns[0].cast(pa.string()).to_pylist()
        if kind == "json":
            return lambda columns: [
                None if text is None else decode_row(text.encode()) for text in columns[0].to_pylist()
            ]
        return lambda columns: columns[0].to_pylist()

    def _give_time(self, columns: Sequence[Column]) -> list[Any]:
        known = dict(zip(self._suffixes, columns, strict=True))
        if known.get("_local") is None:
            return [None if text is None else f"{text}+00:00" for text in _texts(known[""])]
        walls, offsets = _texts(known["_local"]), known["_offset"].to_pylist()
        return [
            None if wall is None else wall + (offset or "")
            for wall, offset in zip(walls, offsets, strict=True)
        ]


def _take_text(values: list[Any]) -> list[Any] | None:
    text = pa.array(values, pa.string())
    # As in tables: no database takes it.
    return None if pc.any(pc.match_substring(text, "\0")).as_py() else [text]


def _take_date(values: list[Any]) -> list[Any] | None:
    text = pa.array(values, pa.string())
    return [text.cast(pa.date32())] if _all_match(text, _USUAL_DATE) else None


def _all_match(text: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _typed(kind: Kind, values: Sequence[Any]) -> Any:
    """Return a column of values as the converter gives them."""
    if kind == "decimal":
        values = [
            None if value is None else Decimal(value).quantize(_STEP, context=_DIGITS) for value in values
        ]
    elif kind in ("timestamp", "wall"):
        # Cut, as Arrow would not.
        zone = "Z" if kind == "timestamp" else ""
        values = [None if value is None else value[:_MICROSECONDS] + zone for value in values]
    if kind in ("timestamp", "wall", "date"):
        return pa.array(values, pa.string()).cast(_TYPES[kind])
    return pa.array(values, _TYPES[kind])


def _texts(times: Any) -> list[str | None]:
    """Return times in ISO 8601, without a zone."""
    texts = times.cast(_WALL).cast(pa.string()).to_pylist()
    return [None if text is None else f"{text[:10]}T{text[11:].removesuffix('.000000')}" for text in texts]


def _number(value: Decimal) -> int | Decimal:
    whole = int(value)
    return whole if whole == value else value.normalize(_DIGITS)
