"""Generation of complete records from row numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record
from airflow_provider_alvys.simulator.data import sample_values
from airflow_provider_alvys.simulator.data.columns import TIME_FORMATS, ColumnGenerator, RowSource, RowValue
from airflow_provider_alvys.simulator.data.derived_fields import set_derived_fields
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE
from airflow_provider_alvys.simulator.data.times import Lifecycle, TimeRule, format_date, format_time, rule_of

Bits = Callable[[int], int]
NestedValue = Callable[[Bits, Lifecycle, int], Any]

# The minimum and maximum number of items in a list.
_ITEM_COUNTS: Mapping[str, tuple[int, int]] = {
    "CustomerAccessorialsDetails": (0, 1),
    "CustomerType": (1, 1),
    "Notes": (1, 2),
    "Payments": (0, 1),
    "References": (1, 1),
    "Stops": (2, 3),
}
_DEFAULT_COUNT = (0, 3)
# Lists of places visited one after the other.
_ROUTE_LISTS = ("Stops",)
_HALF_AN_EMOJI = msgspec.Raw(rb'"Driver says \ud83d"')
# How a field of an object is generated.
_VALUE, _PLACE, _TIME, _NESTED = range(4)


class RecordGenerator:
    """Generates the records of a row set."""

    def __init__(self, rows: RowSource, columns: ColumnGenerator) -> None:
        self._rows = rows
        self._spec = rows.spec
        self._columns = columns
        self._required = self._find_required()
        self._times = frozenset(name for name in self._spec.fields.fields if columns.is_time(name))
        # Without the time of an event there is no actor: no CancelledBy without CancelledAt.
        late = columns.stage_times()
        self._actor_fields = [(f"{time[:-2]}By", time) for time in late if time.endswith("At")]
        names = [name for name in self._spec.generated_fields if name != TOMBSTONE]
        self._companions = sample_values.companions_of(self._spec.name)
        self._fields = [self._field(name, self._spec.fields.fields[name]) for name in names]

    def record(self, number: int, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's record without nulls and tombstone; ``changes`` replace generated values."""
        rows = self._rows
        # All addresses of a row without a route are in one place.
        lifecycle = rows.lifecycle(number)._replace(place=hash((rows.salt, number, 2)) & 0xFFFF)
        bits = random.Random(hash((rows.salt, number))).getrandbits
        result = {}
        decided = rows.facts.record(number) if rows.facts else {}
        for name, make, nested in self._fields:
            if make is None and nested is None:
                value = decided.get(name)
                if name in self._times:
                    value = self._columns.decided_value(number, name, value)
                    value = self._columns.format_value(number, name, value)
            else:
                value = make(number, 0) if make else nested(bits, lifecycle, 0)  # type: ignore[misc]
            if value is not None:
                result[name] = value
        _set_companions(result, self._companions, bits)
        if number < rows.options.cut_notes and result.get("Notes"):
            note = result["Notes"][0]
            result["Notes"][0] = (
                {**note, "Description": _HALF_AN_EMOJI} if isinstance(note, dict) else _HALF_AN_EMOJI
            )
        for name, time in self._actor_fields:
            if time not in result:
                result.pop(name, None)
        for name, value in changes.items():
            if name in self._spec.hidden_columns or name == TOMBSTONE or "." in name:
                continue
            result[name] = self._columns.format_value(number, name, value)
            if value is None:
                del result[name]
        set_derived_fields(self._spec.fields.fields.keys() - changes.keys(), result)
        return result

    def _field(self, name: str, kind: FieldType) -> tuple[str, RowValue | None, NestedValue | None]:
        """Return a field's name and its generator: of a single value, or of an object or list."""
        if self._rows.facts and name in self._rows.facts.fields:
            return name, None, None
        if isinstance(kind, (Record, Array)):
            return name, None, self._nested(name, kind)
        make = self._columns.value_function(name)
        if self._columns.is_time(name):
            value = make

            def make(number: int, item: int) -> Any:
                return self._columns.format_value(number, name, value(number, item))

        share = 0 if name in self._required else _null_percentage(name)
        if not share:
            return name, make, None
        salt = self._columns.salt(f"{name} null")
        return (
            name,
            lambda number, item: None if hash((salt, number)) % 100 < share else make(number, item),
            None,
        )

    def _find_required(self) -> set[str]:
        """Return the columns that every record has, because searches use them."""
        spec = self._spec
        columns = {filter.column for filter in spec.filters if filter.column}
        columns |= {
            name for name in spec.fields.fields if self._columns.is_time(name) and rule_of(name).hours
        }
        return {
            *columns,
            *sample_values.ALWAYS_PRESENT,
            *spec.stream.key,
            *spec.windows_by_column,
            *spec.foreign_keys,
            *spec.unique_columns,
            *self._columns.stage_times(),
        }

    def _nested(self, path: str, kind: FieldType) -> NestedValue:
        """Return the generator of an object or a list."""
        if isinstance(kind, Record):
            return self._object(path, kind)
        if not isinstance(kind, Array):
            raise TypeError(f"{path} is neither an object nor a list")
        minimum, maximum = _ITEM_COUNTS.get(path.rpartition(".")[2], _DEFAULT_COUNT)
        spread = maximum - minimum + 1
        if isinstance(kind.of, (Record, Array)):
            item = self._nested(path, kind.of)
            if any(self._spec.array_of(name) == path for name in self._spec.nested_columns):
                count = self._columns.item_count(path)
                return lambda bits, lifecycle, index: [
                    item(bits, lifecycle, number) for number in range(count(lifecycle.number))
                ]
            if path.rpartition(".")[2] in _ROUTE_LISTS:

                def stops(bits: Bits, lifecycle: Lifecycle, index: int) -> list[Any]:
                    number = minimum + bits(30) % spread
                    return [item(bits, lifecycle.at_stop(stop, number), stop) for stop in range(number)]

                return stops
            return lambda bits, lifecycle, index: [
                item(bits, lifecycle, number) for number in range(minimum + bits(30) % spread)
            ]
        from_bits = sample_values.value_from_bits(self._spec.name, path, kind.of)
        return lambda bits, lifecycle, index: [
            from_bits(bits(62)) for _ in range(minimum + bits(30) % spread)
        ]

    def _object(self, path: str, record: Record) -> NestedValue:
        # As in Alvys, the id comes first.
        names = sorted(record.fields, key=lambda name: name.lower() != "id")
        parts: list[tuple[str, int, Any]] = []
        for name in names:
            parts.append((name, *self._member(f"{path}.{name}", record.fields[name])))
        has_kinds = "$type" in record.fields
        companions = sample_values.companions_of(self._spec.name, path)

        def build(bits: Bits, lifecycle: Lifecycle, index: int) -> dict[str, Any]:
            # All parts of an item have the same place.
            place = lifecycle.place + index
            result = {}
            for name, mode, make in parts:
                if mode == _VALUE:
                    value = make(bits(62))
                elif mode == _PLACE:
                    value = make(place)
                elif mode == _TIME:
                    value = make(bits(62), lifecycle)
                else:
                    value = make(bits, lifecycle, index)
                if value is not None:
                    result[name] = value
            if has_kinds:
                for name in sample_values.ABSENT_BY_TYPE[result["$type"]]:
                    result.pop(name, None)
            _set_companions(result, companions, bits)
            return result

        return build

    def _member(self, path: str, kind: FieldType) -> tuple[int, Any]:
        """Return how a field of an object is generated, and its generator."""
        name = path.rpartition(".")[2]
        if isinstance(kind, (Record, Array)):
            return _NESTED, self._nested(path, kind)
        if path in self._spec.nested_columns:
            make = self._columns.value_function(path)
            return _NESTED, lambda bits, lifecycle, index: self._columns.format_value(
                lifecycle.number, path, make(lifecycle.number, index)
            )
        if kind in ("time", "date"):
            digits, grain = TIME_FORMATS[crc32(path.encode()) % 3]
            return _TIME, _time_function(rule_of(name), name, kind == "date", digits, grain)
        values = sample_values.choices_by_item(self._spec.name, path)
        if values:
            return _NESTED, lambda bits, lifecycle, index: values[min(index, len(values) - 1)]
        place = sample_values.address_part(name)
        if place:
            return _PLACE, place
        from_bits = sample_values.value_from_bits(self._spec.name, path, kind)
        share = (
            0
            if name in ("Id", "id", "$type", "Amount", "Currency", "Value", "Description")
            else _null_percentage(path)
        )
        if not share:
            return _VALUE, from_bits
        return _VALUE, lambda bits: None if bits // 7919 % 100 < share else from_bits(bits)


def _set_companions(
    result: dict[str, Any],
    companions: Sequence[tuple[str, str, Mapping[str, sample_values.ValueFromBits]]],
    bits: Bits,
) -> None:
    """Set the fields that fit other fields."""
    for decider, name, makers in companions:
        make = makers.get(result.get(decider, ""))
        if make and name in result:
            result[name] = make(bits(62))
            if result[name] is None:
                del result[name]


def _time_function(
    rule: TimeRule, name: str, is_date: bool, digits: int, grain: int
) -> Callable[[int, Lifecycle], str | None]:
    def make(bits: int, lifecycle: Lifecycle) -> str | None:
        if name == "End" and bits % 3 == 0:
            # An open end.
            return "9999-12-31T00:00:00+00:00"
        if name == "Manual" and bits % 3 == 0:
            return None
        at = rule.time_of(bits, lifecycle)
        if at is None:
            return None
        return format_date(at) if is_date else format_time(at - at % grain, digits, rule.zone)

    return make


def _null_percentage(path: str) -> int:
    """Return the percentage of rows without a field: 0 for most fields."""
    return (60, 15, 15, 0, 0, 0, 0, 0, 0, 0)[crc32(path.encode()) % 10]
