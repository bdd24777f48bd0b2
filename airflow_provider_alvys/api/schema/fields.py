"""The types of a record's fields, written down briefly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

# "time" is an ISO 8601 time, "date" a yyyy-MM-dd text, "json" something whose shape is not worth a name.
Scalar = Literal["string", "integer", "decimal", "boolean", "time", "date", "json"]
_SCALARS: Mapping[str, Scalar] = {
    "string": "string",
    "integer": "integer",
    "decimal": "decimal",
    "boolean": "boolean",
    "time": "time",
    "date": "date",
    "json": "json",
}


# What a type does not say of a field.
# - local: a time at a place, whose wall time and offset tell more than the moment.
# - open: a time that the year 9999 says there is not. unknown: one that 1970 says nobody knows.
# - currency: the number of a currency in ISO 4217.
# - volatile: another value at each reading, though nothing has changed.
# - secret: what must not go into a table.
Mark = Literal["local", "open", "unknown", "currency", "volatile", "secret"]


@dataclass(frozen=True)
class Record:
    """
    An object: its fields' names, as Alvys spells them, and their types. Any of them may be missing from a row.

    :param marks: of fields that have some.
    """

    fields: Mapping[str, FieldType]
    marks: Mapping[str, frozenset[Mark]] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """A list of values of one type."""

    of: FieldType


FieldType = Scalar | Record | Array


def record(text: str, **known: Record) -> Record:
    """
    Return a record from its fields, separated by white space.

    ``Name`` is a string, ``Name:type`` something else, ``Name:[type]`` a list; a type is a scalar or one of ``known``:
    ``record("Id Amount:money Tags:[string]", money=MONEY)``. Marks come last: ``ArrivedAt:time@local``.

    :raises KeyError: a type that is neither.
    :raises ValueError: a mark that there is not.
    """
    fields: dict[str, FieldType] = {}
    marks: dict[str, frozenset[Mark]] = {}
    for word in text.split():
        what, *found = word.split("@")
        name, _, type_name = what.partition(":")
        if found:
            marks[name] = frozenset(map(_mark, found))
        if type_name.startswith("["):
            fields[name] = Array(_type(type_name[1:-1], known))
        else:
            fields[name] = _type(type_name or "string", known)
    return Record(fields, marks)


def _mark(name: str) -> Mark:
    for mark in get_args(Mark):
        if mark == name:
            return mark  # type: ignore[no-any-return]
    raise ValueError(f"There is no mark {name!r}")


def _type(name: str, known: Mapping[str, Record]) -> FieldType:
    return known[name] if name in known else _SCALARS[name]
