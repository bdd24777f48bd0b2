"""Generation of column values from row numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from zlib import crc32

from airflow_provider_alvys.simulator.data import sample_values
from airflow_provider_alvys.simulator.data.facts import Facts
from airflow_provider_alvys.simulator.data.row_set_spec import ForeignKey, RowSetSpec
from airflow_provider_alvys.simulator.data.times import (
    DAY,
    SECOND,
    Lifecycle,
    format_date,
    format_time,
    rule_of,
)
from airflow_provider_alvys.simulator.options import Options

# Generates a value from a row number and, within a list, an item number.
RowValue = Callable[[int, int], Any]

# Digits of a second, and resolution in microseconds.
TIME_FORMATS = ((0, SECOND), (3, 1000), (7, 1))
_MASK = 0x3FFFFFFFFFFFFFFF


class RowSource(Protocol):
    """The part of a row set that the generators use."""

    spec: RowSetSpec
    options: Options
    data_end: int
    salt: int
    count: int

    facts: Facts | None

    @property
    def row_set_of(self) -> Callable[[str], RowSource]:
        """Returns the row set of another stream."""

    def started_at(self, number: int) -> int:
        """Return when a row started."""

    def lifecycle(self, number: int) -> Lifecycle:
        """Return the lifecycle of a row."""

    def parent_of(self, number: int) -> int:
        """Return the number of a row's parent."""

    def is_first(self, number: int) -> bool:
        """Return whether a row is its parent's first child."""

    def column(self, path: str) -> Mapping[int, Any]:
        """Return a column."""


class ColumnGenerator:
    """Generates the columns of a row set."""

    def __init__(self, rows: RowSource) -> None:
        self._rows = rows
        self._spec = rows.spec

    def column(self, path: str) -> Callable[[int], Any]:
        """Return a function from row number to value; within a list, to a tuple with a value per item."""
        decided = self.decided(path)
        if decided:
            return decided
        array = self._spec.array_of(path)
        make = self.value_function(path)
        if array is None:
            return lambda number: make(number, 0)
        count = self.item_count(array)
        return lambda number: tuple(make(number, item) for item in range(count(number)))

    def decided(self, path: str) -> Callable[[int], Any] | None:
        """Return the function from row number to the value that the company decides, or None."""
        head, *rest = path.split(".")
        facts = self._rows.facts
        if facts is None or head not in facts.fields:
            return None
        if rest:
            return lambda number: value_at(facts.value(number, head), rest)
        return lambda number: self.decided_value(number, path, facts.value(number, path))

    def decided_value(self, number: int, name: str, value: Any) -> Any:
        """Return a value that the company decides, in the form of a column."""
        if name == self._spec.updated_column and self._is_undated(number):
            return None
        if isinstance(value, int) and self.is_time(name):
            value -= value % self.resolution(name)
        return value

    def _is_undated(self, number: int) -> bool:
        """Return whether a row lacks the time of its last change."""
        share = self._rows.options.without_stamp
        if not share or number >= max(1, self._rows.count // 2):
            return False
        return hash((self.salt(self._spec.updated_column or ""), number, 1)) % 10_000 < 20_000 * share

    def format_value(self, number: int, path: str, value: Any) -> Any:
        """Return a column's value in the form of the record: times as text."""
        kind = self._spec.type_of(path)
        if not isinstance(value, int) or isinstance(value, bool) or kind not in ("time", "date", "string"):
            return value
        if kind == "date":
            return format_date(value)
        return format_time(value, self._time_format(path, number)[0], rule_of(path.rpartition(".")[2]).zone)

    def is_time(self, path: str) -> bool:
        """Return whether a column contains times."""
        return path in self._spec.windows_by_column or self._spec.type_of(path) in ("time", "date")

    def stage_times(self) -> list[str]:
        """Return the time columns that are empty until a row reaches a stage."""
        return [name for name in self._spec.fields.fields if self.is_time(name) and rule_of(name).stage]

    def salt(self, path: str) -> int:
        """Return the seed of a path's random numbers."""
        return hash((self._rows.salt, crc32(path.encode())))

    def value_function(self, path: str) -> RowValue:
        """Return the function that generates the values of a path."""
        spec = self._spec
        decided = self.decided(path)
        if decided:
            return lambda number, item: decided(number)
        if path in spec.foreign_keys:
            return self._foreign_key(path, spec.foreign_keys[path])
        if self.is_time(path):
            return self._time(path)
        salt, name = self.salt(path), path.rpartition(".")[2]
        kind = spec.type_of(path) or ("boolean" if name.startswith("Is") else "string")
        if path == "Name" and spec.name in sample_values.NAMES:
            return lambda number, item: sample_values.unique_name(spec.name, number)
        if path == "AttachmentType" and spec.name in sample_values.DOCUMENT_TYPES:
            return self._document_type(sample_values.DOCUMENT_TYPES[spec.name], salt)
        if path in spec.unique_columns:
            start = 100_001 if kind == "integer" else 1_000_000 * (1 + crc32(name.encode()) % 8) + 1
            if kind == "integer":
                return lambda number, item: start + number
            if name.endswith(("Number", "Num")):
                return lambda number, item: str(start + number)
            from_bits = sample_values.id_of(spec.name)
        elif path in spec.known_values:
            # Statuses that imply a stage are more frequent.
            values = [
                value
                for value in spec.known_values[path]
                for _ in range(5 if str(value).lower() in sample_values.STAGES else 1)
            ]
            return lambda number, item: values[hash((salt, number, item)) % len(values)]
        else:
            from_bits = sample_values.address_part(name) or sample_values.value_from_bits(
                spec.name, path, kind if isinstance(kind, str) else "json"
            )
        # The mask makes negative hashes positive.
        return lambda number, item: from_bits(hash((salt, number, item)) & _MASK)

    def _document_type(self, types: Sequence[str], salt: int) -> RowValue:
        """Generate document types: most delivered rows have a proof of delivery, no other row has one."""
        rows, parent = self._rows, self._spec.stream.parent
        others = [kind for kind in types if kind != sample_values.PROOF]

        def kind(number: int, item: int) -> str:
            bits = hash((salt, number, item))
            if parent and sample_values.PROOF in types:
                delivered_at = rows.row_set_of(parent.stream).column("DeliveredAt")
                if delivered_at[rows.parent_of(number)] is not None and rows.is_first(number) and bits % 10:
                    return sample_values.PROOF
            return others[bits % len(others)]

        return kind

    def _foreign_key(self, path: str, foreign_key: ForeignKey) -> RowValue:
        rows, spec = self._rows, self._spec
        parent = spec.stream.parent
        if parent and spec.stream.is_child:
            if foreign_key.stream == parent.stream and not foreign_key.role:
                column = rows.row_set_of(parent.stream).column(foreign_key.column)
                return lambda number, item: column[rows.parent_of(number)]
            theirs = rows.row_set_of(parent.stream).spec.foreign_keys
            same = next(
                (path for path, other in theirs.items() if other == foreign_key and "." not in path), None
            )
            if same:
                column = rows.row_set_of(parent.stream).column(same)
                return lambda number, item: column[rows.parent_of(number)]
        target = rows.row_set_of(foreign_key.stream)
        column, count, salt = (
            target.column(foreign_key.column),
            target.count or 60,
            self.salt(f"{foreign_key.stream} {foreign_key.role}"),
        )
        place = spec.stream.key.index(path) if path in spec.stream.key else None
        if place in (0, 1) and len(spec.stream.key) > 1:
            # Each row needs another key.
            step = place * count
            return lambda number, item: column[(number + (number // step if step else 0)) % count]
        if target.spec.is_regular and not foreign_key.role:
            return lambda number, item: column[(number + item) % count]
        if foreign_key.stream in sample_values.SKEWED_STREAMS:
            return lambda number, item: column[
                hash((salt, number, item)) % (1 + hash((salt, number, item, 1)) % count)
            ]
        return lambda number, item: column[hash((salt, number, item)) % count]

    def _time(self, path: str) -> RowValue:
        rows, spec = self._rows, self._spec
        name, salt = path.rpartition(".")[2], self.salt(path)
        rule = rule_of(name)
        if path == spec.updated_column:

            def updated_at(number: int, item: int) -> int | None:
                bits = hash((salt, number)) & _MASK
                if self._is_undated(number):
                    return None
                at = rows.started_at(number)
                return at + int(max(0, rows.data_end - at) * ((bits & 0xFFFFFFFF) / 0x100000000))

            return updated_at
        grain = self.resolution(path)
        if spec.start_window and path == spec.start_window.column:
            stage = rule.stage

            def started_at(number: int, item: int) -> int | None:
                if stage and rows.lifecycle(number).stage < stage:
                    return None
                at = rows.started_at(number)
                return at - at % grain

            return started_at

        def happened_at(number: int, item: int) -> int | None:
            at = rule.time_of(hash((salt, number, item)), rows.lifecycle(number))
            return None if at is None else at - at % grain

        return happened_at

    def resolution(self, path: str) -> int:
        """Return the resolution of a time column in microseconds, so that the record shows the exact time."""
        window = self._spec.windows_by_column.get(path)
        name = path.rpartition(".")[2]
        if self._spec.type_of(path) == "date" or (window and window.whole_days and _is_day(name)):
            return DAY
        return 1000 if self._has_mixed_formats(path) else self._time_format(path, 0)[1]

    def _has_mixed_formats(self, path: str) -> bool:
        window = self._spec.windows_by_column.get(path)
        if window and window.whole_days and _is_day(path):
            return False
        return path != self._spec.updated_column and (
            window is not None or rule_of(path.rpartition(".")[2]).share == (0, 0)
        )

    def _time_format(self, path: str, number: int) -> tuple[int, int]:
        """Return the digits of a second in a time, and its resolution in microseconds."""
        if path == self._spec.updated_column:
            return 7, 1
        if self._has_mixed_formats(path):
            return (3, 6, 7)[number % 3], 1000
        if path in self._spec.windows_by_column:
            return 0, SECOND
        return TIME_FORMATS[crc32(path.encode()) % 3]

    def item_count(self, array: str) -> Callable[[int], int]:
        """Return a function from row number to the length of a list that searches or foreign keys use."""
        salt = self.salt(f"{array} count")
        return lambda number: (1, 1, 1, 1, 2, 3)[hash((salt, number)) % 6]


def _is_day(name: str) -> bool:
    return name.endswith("Date") and not name.startswith("Transaction")


def value_at(value: Any, names: Sequence[str]) -> Any:
    """Return the value at a path; through a list, a tuple with a value per item."""
    for number, name in enumerate(names):
        if isinstance(value, list):
            return tuple(value_at(item, names[number:]) for item in value)
        value = value.get(name) if isinstance(value, dict) else None
    return value
