"""Making whole records out of the numbers of rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

import msgspec

from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record
from airflow_provider_alvys.simulator.data import sample_values
from airflow_provider_alvys.simulator.data.columns import FORMS, ColumnMaker, Make, RowSource
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE
from airflow_provider_alvys.simulator.data.times import Facts, TimeRule, format_date, format_time, rule_of

Bits = Callable[[int], int]
Part = Callable[[Bits, Facts, int], Any]

# How many items a list has, at least and at most.
_ITEMS: Mapping[str, tuple[int, int]] = {
    "CustomerAccessorialsDetails": (0, 1),
    "CustomerType": (1, 1),
    "Notes": (1, 2),
    "Payments": (0, 1),
    "References": (1, 1),
    "Stops": (2, 3),
}
_SOME = (0, 3)
# The lists of places to which a run leads, one after the other.
_ON_THE_WAY = ("Stops",)
# What belongs to a list's items by their order, the last for all that follow.
_IN_ORDER: Mapping[str, tuple[str, ...]] = {"StopType": ("Pickup", "Delivery")}
_HALF_AN_EMOJI = msgspec.Raw(rb'"Driver says \ud83d"')
# How a field of an object is made.
_LEAF, _PLACE, _TIME, _PART = range(4)


class RecordMaker:
    """Make the records of a row set."""

    def __init__(self, rows: RowSource, columns: ColumnMaker) -> None:
        self._rows = rows
        self._plan = rows.plan
        self._columns = columns
        self._kept = self._find_kept()
        # Nobody has done what has not happened.
        late = columns.late_times()
        self._doers = [(f"{time[:-2]}By", time) for time in late if time.endswith("At")]
        names = [name for name in self._plan.made if name != TOMBSTONE]
        self._top = [self._field(name, self._plan.fields.fields[name]) for name in names]

    def make(self, number: int, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's record without nulls and tombstone, with ``changes`` instead of what was made."""
        rows = self._rows
        facts = rows.facts(number)
        bits = random.Random(hash((rows.salt, number))).getrandbits
        result = {}
        for name, make, part in self._top:
            value = make(number, 0) if make else part(bits, facts, 0)  # type: ignore[misc]
            if value is not None:
                result[name] = value
        if number < rows.options.cut_notes and result.get("Notes"):
            note = result["Notes"][0]
            result["Notes"][0] = (
                {**note, "Description": _HALF_AN_EMOJI} if isinstance(note, dict) else _HALF_AN_EMOJI
            )
        for name, time in self._doers:
            if time not in result:
                result.pop(name, None)
        for name, value in changes.items():
            if name in self._plan.hides or name == TOMBSTONE or "." in name:
                continue
            result[name] = self._columns.shown(number, name, value)
            if value is None:
                del result[name]
        return result

    def _field(self, name: str, kind: FieldType) -> tuple[str, Make | None, Part | None]:
        """Return what makes a field of the record: a part for what has parts itself, else a value."""
        if isinstance(kind, (Record, Array)):
            part = self._part(name, kind)
            return name, None, part
        make = self._columns.value(name)
        if self._columns.is_time(name):
            value = make
            make = lambda number, item: self._columns.shown(number, name, value(number, item))  # noqa: E731
        share = 0 if name in self._kept else _null_share(name)
        if not share:
            return name, make, None
        salt = self._columns.salt(f"{name} null")
        return (
            name,
            lambda number, item: None if hash((salt, number)) % 100 < share else make(number, item),
            None,
        )

    def _find_kept(self) -> set[str]:
        """Return the columns that are never left out: rows are found by them."""
        plan = self._plan
        columns = {filter.column for filter in plan.filters if filter.column}
        columns |= {
            name for name in plan.fields.fields if self._columns.is_time(name) and rule_of(name).hours
        }
        return {
            *columns,
            *sample_values.ALWAYS,
            *plan.first.key,
            *plan.by_column,
            *plan.links,
            *plan.unique,
            *self._columns.late_times(),
        }

    def _part(self, path: str, kind: FieldType) -> Part:
        """Return what makes an object or a list of the record."""
        if isinstance(kind, Record):
            return self._object(path, kind)
        if not isinstance(kind, Array):
            raise TypeError(f"{path} has no parts")
        least, most = _ITEMS.get(path.rpartition(".")[2], _SOME)
        spread = most - least + 1
        if isinstance(kind.of, (Record, Array)):
            item = self._part(path, kind.of)
            if any(self._plan.array_of(name) == path for name in self._plan.named):
                count = self._columns.count(path)
                return lambda bits, facts, index: [
                    item(bits, facts, number) for number in range(count(facts.number))
                ]
            if path.rpartition(".")[2] in _ON_THE_WAY:

                def stops(bits: Bits, facts: Facts, index: int) -> list[Any]:
                    number = least + bits(30) % spread
                    return [item(bits, facts.at_stop(stop, number), stop) for stop in range(number)]

                return stops
            return lambda bits, facts, index: [
                item(bits, facts, number) for number in range(least + bits(30) % spread)
            ]
        leaf = sample_values.leaf_of(path, kind.of)
        return lambda bits, facts, index: [leaf(bits(62)) for _ in range(least + bits(30) % spread)]

    def _object(self, path: str, record: Record) -> Part:
        # Alvys spells an id first.
        names = sorted(record.fields, key=lambda name: name.lower() != "id")
        parts: list[tuple[str, int, Any]] = []
        for name in names:
            parts.append((name, *self._member(f"{path}.{name}", record.fields[name])))
        has_kinds = "$type" in record.fields

        def build(bits: Bits, facts: Facts, index: int) -> dict[str, Any]:
            place = bits(32)
            if facts.place is not None:
                place = facts.place
            result = {}
            for name, mode, make in parts:
                if mode == _LEAF:
                    value = make(bits(62))
                elif mode == _PLACE:
                    value = make(place)
                elif mode == _TIME:
                    value = make(bits(62), facts)
                else:
                    value = make(bits, facts, index)
                if value is not None:
                    result[name] = value
            if has_kinds:
                for name in sample_values.KINDS[result["$type"]]:
                    result.pop(name, None)
            return result

        return build

    def _member(self, path: str, kind: FieldType) -> tuple[int, Any]:
        """Return how a field of an object is made, and by what."""
        name = path.rpartition(".")[2]
        if isinstance(kind, (Record, Array)):
            return _PART, self._part(path, kind)
        if path in self._plan.named:
            make = self._columns.value(path)
            return _PART, lambda bits, facts, index: self._columns.shown(
                facts.number, path, make(facts.number, index)
            )
        if kind in ("time", "date"):
            digits, grain = FORMS[crc32(path.encode()) % 3]
            return _TIME, _time_leaf(rule_of(name), name, kind == "date", digits, grain)
        if name in _IN_ORDER:
            values = _IN_ORDER[name]
            return _PART, lambda bits, facts, index: values[min(index, len(values) - 1)]
        place = sample_values.place_of(name)
        if place:
            return _PLACE, place
        leaf = sample_values.leaf_of(path, kind)
        share = (
            0
            if name in ("Id", "id", "$type", "Amount", "Currency", "Value", "Description")
            else _null_share(path)
        )
        if not share:
            return _LEAF, leaf
        return _LEAF, lambda bits: None if bits // 7919 % 100 < share else leaf(bits)


def _time_leaf(
    rule: TimeRule, name: str, is_date: bool, digits: int, grain: int
) -> Callable[[int, Facts], str | None]:
    def make(bits: int, facts: Facts) -> str | None:
        if name == "End" and bits % 3 == 0:
            # Without an end.
            return "9999-12-31T00:00:00+00:00"
        at = rule.moment(bits, facts)
        if at is None:
            return None
        return format_date(at) if is_date else format_time(at - at % grain, digits, rule.zone)

    return make


def _null_share(path: str) -> int:
    """Return in how many rows of a hundred a field is missing: most have it always, some rarely."""
    return (60, 15, 15, 0, 0, 0, 0, 0, 0, 0)[crc32(path.encode()) % 10]
