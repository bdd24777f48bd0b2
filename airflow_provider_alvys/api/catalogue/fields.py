"""The types of a record's fields, written down briefly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class Record:
    """An object: its fields' names, as Alvys spells them, and their types. Any of them may be missing from a row."""

    fields: Mapping[str, FieldType]


@dataclass(frozen=True)
class Array:
    """A list of values of one type."""

    of: FieldType


FieldType = Scalar | Record | Array


def record(text: str, **known: Record) -> Record:
    """
    Return a record from its fields, separated by white space.

    ``Name`` is a string, ``Name:type`` something else, ``Name:[type]`` a list; a type is a scalar or one of ``known``:
    ``record("Id Amount:money Tags:[string]", money=MONEY)``.

    :raises KeyError: a type that is neither.
    """
    fields: dict[str, FieldType] = {}
    for word in text.split():
        name, _, type_name = word.partition(":")
        if type_name.startswith("["):
            fields[name] = Array(_type(type_name[1:-1], known))
        else:
            fields[name] = _type(type_name or "string", known)
    return Record(fields)


def _type(name: str, known: Mapping[str, Record]) -> FieldType:
    return known[name] if name in known else _SCALARS[name]
