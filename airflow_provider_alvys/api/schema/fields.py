"""The types of a record's fields, and a short notation for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

# "time" is an ISO 8601 time, "date" a yyyy-MM-dd text, "json" a value without a fixed type.
Scalar = Literal["string", "integer", "decimal", "boolean", "time", "date", "json"]
_SCALARS: Mapping[str, Scalar] = {name: name for name in get_args(Scalar)}

# - local: a local time, whose wall time and offset say more than the moment.
# - open: a time for which the year 9999 means that it has no end. unknown: one for which 1970 means unknown.
# - currency: the ISO 4217 number or code of a currency.
# - volatile: a value that differs at each read although the row has not changed.
# - secret: a credential, which no file, table, XCom or log may contain. See without_fields.
FieldFlag = Literal["local", "open", "unknown", "currency", "volatile", "secret"]
_FLAGS: Mapping[str, FieldFlag] = {name: name for name in get_args(FieldFlag)}


@dataclass(frozen=True)
class Record:
    """
    An object type. Any of its fields may be missing from a row.

    :param fields: types by name, as Alvys spells it.
    :param flags: by name, of the fields that have some.
    """

    fields: Mapping[str, FieldType]
    flags: Mapping[str, frozenset[FieldFlag]] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """A list of values of one type."""

    of: FieldType


FieldType = Scalar | Record | Array


def record(text: str, **known: Record) -> Record:
    """
    Return a record from a list of fields, separated by white space.

    ``Name`` is a string, ``Name:type`` another type, ``Name:[type]`` a list; a type is a scalar or one of
    ``known``: ``record("Id Amount:money Tags:[string]", money=MONEY)``. Flags come last:
    ``ArrivedAt:time@local``.

    :raises KeyError: an unknown type or flag.
    """
    fields: dict[str, FieldType] = {}
    flags: dict[str, frozenset[FieldFlag]] = {}
    for word in text.split():
        declaration, *names = word.split("@")
        name, _, type_name = declaration.partition(":")
        if names:
            flags[name] = frozenset(_FLAGS[flag] for flag in names)
        if type_name.startswith("["):
            fields[name] = Array(_type(type_name[1:-1], known))
        else:
            fields[name] = _type(type_name or "string", known)
    return Record(fields, flags)


def _type(name: str, known: Mapping[str, Record]) -> FieldType:
    return known[name] if name in known else _SCALARS[name]


def secret_fields(kind: FieldType) -> frozenset[str]:
    """Return the names, in lower case, of a type's fields with the flag ``secret``, at any depth."""
    if isinstance(kind, Array):
        return secret_fields(kind.of)
    if not isinstance(kind, Record):
        return frozenset()
    own = {name.casefold() for name, flags in kind.flags.items() if "secret" in flags}
    return frozenset(own).union(*map(secret_fields, kind.fields.values()))


def without_fields(value: Any, names: Collection[str]) -> Any:
    """Return a JSON value without the fields of these names (in lower case), in any case, at any depth."""
    if isinstance(value, list):
        return [without_fields(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_fields(item, names) for name, item in value.items() if name.casefold() not in names}
