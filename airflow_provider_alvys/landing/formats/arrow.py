"""Convert scalar values to Arrow columns, with the types of the SQL tables, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Context, Decimal
from types import NoneType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import currency_number
from airflow_provider_alvys.api.schema.fields import FieldFlag, Scalar
from airflow_provider_alvys.api.schema.values import (
    Kind,
    TypeLimits,
    column_specs,
    make_converter,
    snake_case,
)

# Values without a column, by their position.
Unmapped = dict[int, Any]
# A column of a file; None if the file does not have it.
Column = Any

_SCALE = 10
_DECIMAL = pa.decimal128(38, _SCALE)
_LIMITS = TypeLimits(whole_digits=28, fraction_digits=_SCALE)
_DIGITS = Context(prec=38)
_STEP = Decimal(1).scaleb(-_SCALE)
_UTC = pa.timestamp("us", tz="UTC")
_LOCAL = pa.timestamp("us")
_TYPES: dict[Kind, Any] = {
    "key": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "decimal": _DECIMAL,
    "boolean": pa.bool_(),
    "timestamp": _UTC,
    "wall": _LOCAL,
    "date": pa.date32(),
    "json": pa.string(),
}
# Their Python values are those of JSON.
_PLAIN = (pa.string(), pa.int64(), _DECIMAL, pa.bool_())
# Python types that Arrow converts itself.
_FAST_TYPES: dict[Scalar, set[type]] = {
    "string": {str},
    "integer": {int},
    "decimal": {int, Decimal},
    "boolean": {bool},
    "date": {str},
    "time": {str},
    "json": set(),
}
# For these spellings Arrow and our converter agree. The converter reads all others.
_COMMON_DATE = r"^[1-9]\d{3}-\d\d-\d\d$"
_COMMON_TIME = r"^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
_ZONE = r"(Z|[+-]\d\d:\d\d)$"
_MICROSECONDS = 26
# Microseconds until the year 10000: an offset may lead there, and Arrow would accept it.
_END = 253_402_300_800_000_000


class Leaf:
    """A scalar field as columns. A time at a place has three."""

    def __init__(self, name: str, kind: Scalar, flags: frozenset[FieldFlag] = frozenset()) -> None:
        specs = column_specs(kind, flags)
        self.fields = [pa.field(snake_case(name) + spec.suffix, _TYPES[spec.kind]) for spec in specs]
        self._kinds = [spec.kind for spec in specs]
        self._suffixes = [spec.suffix for spec in specs]
        self._is_currency = "currency" in flags
        self._convert = make_converter(kind, flags, _LIMITS)
        self._fast_types = {int, str} if self._is_currency else _FAST_TYPES[kind]
        encoders = {"string": _encode_text, "date": _encode_date, "time": self._encode_time}
        self._encode_fast: Callable[[list[Any]], list[Any] | None] = (
            self._encode_currency if self._is_currency else encoders.get(kind, self._encode_plain)
        )
        self._decode = self._make_decoder(kind)

    def encode_values(self, values: list[Any]) -> tuple[list[Any], Unmapped]:
        """Return the columns of JSON values, and the values that do not fit. None is always null."""
        types = set(map(type, values)) - {NoneType}
        if not types:
            return [pa.nulls(len(values), field.type) for field in self.fields], {}
        if types <= self._fast_types:
            with suppress(pa.ArrowException, ValueError, OverflowError):
                if (arrays := self._encode_fast(values)) is not None:
                    return arrays, {}
        return self._encode_each(values)

    def decode_values(self, columns: Sequence[Column]) -> list[Any]:
        """Return the JSON values of columns, which are in the order of ``fields``."""
        for field, column in zip(self.fields, columns, strict=True):
            if column is not None and column.type != field.type:
                if len(self.fields) == 1 and column.type in _PLAIN:
                    # Written when the catalogue had another type.
                    return [_number(x) if isinstance(x, Decimal) else x for x in column.to_pylist()]
                raise AlvysStorageError(
                    f"its column {field.name} is {column.type}, where {field.type} was expected"
                )
        return self._decode(columns)

    def _encode_each(self, values: list[Any]) -> tuple[list[Any], Unmapped]:
        unmapped: Unmapped = {}
        nulls = (None,) * len(self.fields)
        rows: list[tuple[Any, ...]] = []
        for number, value in enumerate(values):
            row = nulls
            if value is not None:
                # Zero fits with any number of digits.
                is_zero = type(value) is Decimal and not value
                row = self._convert(0 if is_zero and "decimal" in self._kinds else value) or nulls
                if row is nulls:
                    unmapped[number] = value
            rows.append(row)
        columns = zip(*rows, strict=True)
        return [_typed(kind, column) for kind, column in zip(self._kinds, columns, strict=True)], unmapped

    def _encode_plain(self, values: list[Any]) -> list[Any]:
        return [pa.array(values, self.fields[0].type)]

    def _encode_currency(self, values: list[Any]) -> list[Any] | None:
        letters = {value: self._convert(value) for value in set(values) - {None}}
        if None in letters.values():
            return None
        return [pa.array([value if value is None else letters[value][0] for value in values], pa.string())]  # type: ignore[index]

    def _encode_time(self, values: list[Any]) -> list[Any] | None:
        text = pa.array(values, pa.string())
        if not _all_match(text, _COMMON_TIME):
            return None
        short = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
        times = short.cast(_UTC)
        if pc.max(times).value >= _END:
            return None
        arrays = [times]
        for suffix in self._suffixes[1:]:
            if suffix == "_local":
                arrays.append(pc.replace_substring_regex(short, _ZONE, "").cast(_LOCAL))
            elif suffix == "_offset":
                zones = pc.replace_substring_regex(text, r"^.{19}(\.\d+)?", "")
                arrays.append(pc.replace_substring(zones, "Z", "+00:00"))
            else:
                day = {"_is_open": "9999-12-31", "_is_unknown": "1970-01-01"}[suffix]
                arrays.append(pc.starts_with(text, day))
        return arrays

    def _make_decoder(self, kind: Scalar) -> Callable[[Sequence[Column]], list[Any]]:
        if self._is_currency:
            return lambda columns: [currency_number(letters) for letters in columns[0].to_pylist()]
        if kind == "time":
            return self._decode_time
        if kind == "decimal":
            return lambda columns: [x if x is None else _number(x) for x in columns[0].to_pylist()]
        if kind == "date":
            return lambda columns: columns[0].cast(pa.string()).to_pylist()
        if kind == "json":
            return lambda columns: [x and decode_row(x.encode()) for x in columns[0].to_pylist()]
        return lambda columns: columns[0].to_pylist()

    def _decode_time(self, columns: Sequence[Column]) -> list[Any]:
        known = dict(zip(self._suffixes, columns, strict=True))
        if known.get("_local") is None:
            return [None if text is None else f"{text}+00:00" for text in _texts(known[""])]
        local_times, offsets = _texts(known["_local"]), known["_offset"].to_pylist()
        return [local and local + (offset or "") for local, offset in zip(local_times, offsets, strict=True)]


def _encode_text(values: list[Any]) -> list[Any] | None:
    text = pa.array(values, pa.string())
    # No database accepts NUL.
    return None if pc.any(pc.match_substring(text, "\0")).as_py() else [text]


def _encode_date(values: list[Any]) -> list[Any] | None:
    text = pa.array(values, pa.string())
    return [text.cast(pa.date32())] if _all_match(text, _COMMON_DATE) else None


def _all_match(text: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _typed(kind: Kind, values: Sequence[Any]) -> Any:
    """Return a column of converted values."""
    if kind == "decimal":
        values = [x if x is None else Decimal(x).quantize(_STEP, context=_DIGITS) for x in values]
    elif kind in ("timestamp", "wall"):
        # Arrow refuses more than six digits.
        zone = "Z" if kind == "timestamp" else ""
        values = [x and x[:_MICROSECONDS] + zone for x in values]
    if kind in ("timestamp", "wall", "date"):
        return pa.array(values, pa.string()).cast(_TYPES[kind])
    return pa.array(values, _TYPES[kind])


def _texts(times: Any) -> list[str | None]:
    """Return times in ISO 8601, without a zone."""
    texts = times.cast(_LOCAL).cast(pa.string()).to_pylist()
    return [None if text is None else f"{text[:10]}T{text[11:].removesuffix('.000000')}" for text in texts]


def _number(value: Decimal) -> int | Decimal:
    whole = int(value)
    return whole if whole == value else value.normalize(_DIGITS)
