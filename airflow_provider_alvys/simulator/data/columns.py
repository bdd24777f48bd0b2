"""Making the values of columns out of the numbers of rows: nothing is kept but the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from zlib import crc32

from airflow_provider_alvys.simulator.data import sample_values
from airflow_provider_alvys.simulator.data.row_set_spec import Link, Plan
from airflow_provider_alvys.simulator.data.times import DAY, SECOND, Facts, format_date, format_time, rule_of
from airflow_provider_alvys.simulator.options import Options

# Makes a value of a row; the second number is the item's, for what stands in a list.
Make = Callable[[int, int], Any]

# Digits of a second, and what the time is a multiple of.
FORMS = ((0, SECOND), (3, 1000), (7, 1))
_MASK = 0x3FFFFFFFFFFFFFFF


class RowSource(Protocol):
    """What the makers of columns and records read of a row set."""

    plan: Plan
    options: Options
    born: int
    salt: int
    count: int

    @property
    def sets(self) -> Callable[[str], RowSource]:
        """Gives the row set of another stream."""

    def at(self, number: int) -> int:
        """Return when a row began."""

    def facts(self, number: int) -> Facts:
        """Return what a row's times depend on."""

    def parent_of(self, number: int) -> int:
        """Return a row's parent."""

    def is_first(self, number: int) -> bool:
        """Return whether a row is the first of its parent's."""

    def column(self, path: str) -> Mapping[int, Any]:
        """Return a column."""


class ColumnMaker:
    """Make the columns that a row set's plan describes."""

    def __init__(self, rows: RowSource) -> None:
        self._rows = rows
        self._plan = rows.plan

    def column(self, path: str) -> Callable[[int], Any]:
        """Return what makes a column's value out of a row's number; within a list, a tuple of one for each item."""
        array = self._plan.array_of(path)
        make = self.value(path)
        if array is None:
            return lambda number: make(number, 0)
        count = self.count(array)
        return lambda number: tuple(make(number, item) for item in range(count(number)))

    def shown(self, number: int, path: str, value: Any) -> Any:
        """Return a column's value as the record shows it."""
        kind = self._plan.type_of(path)
        if not isinstance(value, int) or isinstance(value, bool) or kind not in ("time", "date", "string"):
            return value
        if kind == "date":
            return format_date(value)
        return format_time(value, self._form(path, number)[0], rule_of(path.rpartition(".")[2]).zone)

    def is_time(self, path: str) -> bool:
        """Return whether a column holds a time."""
        return path in self._plan.by_column or self._plan.type_of(path) in ("time", "date")

    def late_times(self) -> list[str]:
        """Return the times that are empty until a row has come so far."""
        return [name for name in self._plan.fields.fields if self.is_time(name) and rule_of(name).stage]

    def salt(self, path: str) -> int:
        """Return what makes a path's random numbers other than those of another one."""
        return hash((self._rows.salt, crc32(path.encode())))

    def value(self, path: str) -> Make:
        """Return what makes the value of one path."""
        plan = self._plan
        if path in plan.links:
            return self._link(path, plan.links[path])
        if self.is_time(path):
            return self._time(path)
        salt, name = self.salt(path), path.rpartition(".")[2]
        kind = plan.type_of(path) or ("boolean" if name.startswith("Is") else "string")
        if path == "Name" and plan.name in sample_values.NAMES:
            return lambda number, item: sample_values.name_of(plan.name, number)
        if path == "AttachmentType" and plan.name in sample_values.DOCUMENT_TYPES:
            return self._document_type(sample_values.DOCUMENT_TYPES[plan.name], salt)
        if path in plan.unique:
            start = 100_001 if kind == "integer" else 1_000_000 * (1 + crc32(name.encode()) % 8) + 1
            if kind == "integer":
                return lambda number, item: start + number
            if name.endswith(("Number", "Num")):
                return lambda number, item: str(start + number)
            leaf = sample_values.id_of(plan.name)
        elif path in plan.values:
            # What says how far a row has come is more frequent than the rest.
            values = [
                value
                for value in plan.values[path]
                for _ in range(5 if str(value).lower() in sample_values.STAGES else 1)
            ]
            return lambda number, item: values[hash((salt, number, item)) % len(values)]
        else:
            leaf = sample_values.place_of(name) or sample_values.leaf_of(
                path, kind if isinstance(kind, str) else "json"
            )
        # Where the tuple's hash is negative, a mask makes it a number of the same size.
        return lambda number, item: leaf(hash((salt, number, item)) & _MASK)

    def _document_type(self, types: Sequence[str], salt: int) -> Make:
        """Return what makes the types of documents: nobody has the proof of what has not happened, most have that of what has."""
        rows, parent = self._rows, self._plan.first.parent
        others = [kind for kind in types if kind != sample_values.PROOF]

        def kind(number: int, item: int) -> str:
            bits = hash((salt, number, item))
            if parent and sample_values.PROOF in types:
                is_delivered = (
                    rows.sets(parent.stream).facts(rows.parent_of(number)).stage
                    >= sample_values.STAGES["delivered"]
                )
                if is_delivered and rows.is_first(number) and bits % 10:
                    return sample_values.PROOF
            return others[bits % len(others)]

        return kind

    def _link(self, path: str, link: Link) -> Make:
        rows, plan = self._rows, self._plan
        parent = plan.first.parent
        if parent and plan.first.is_child:
            if link.stream == parent.stream and not link.role:
                column = rows.sets(parent.stream).column(link.column)
                return lambda number, item: column[rows.parent_of(number)]
            theirs = rows.sets(parent.stream).plan.links
            same = next((path for path, other in theirs.items() if other == link and "." not in path), None)
            if same:
                column = rows.sets(parent.stream).column(same)
                return lambda number, item: column[rows.parent_of(number)]
        target = rows.sets(link.stream)
        column, count, salt = (
            target.column(link.column),
            target.count or 60,
            self.salt(f"{link.stream} {link.role}"),
        )
        place = plan.first.key.index(path) if path in plan.first.key else None
        if place in (0, 1) and len(plan.first.key) > 1:
            # So that no two rows have the same key.
            step = place * count
            return lambda number, item: column[(number + (number // step if step else 0)) % count]
        if target.plan.is_regular and not link.role:
            return lambda number, item: column[(number + item) % count]
        if link.stream in sample_values.UNEVEN:
            return lambda number, item: column[
                hash((salt, number, item)) % (1 + hash((salt, number, item, 1)) % count)
            ]
        return lambda number, item: column[hash((salt, number, item)) % count]

    def _time(self, path: str) -> Make:
        rows, plan = self._rows, self._plan
        name, salt = path.rpartition(".")[2], self.salt(path)
        rule = rule_of(name)
        if path == plan.stamp:
            bare = rows.options.without_stamp
            half = max(1, rows.count // 2)

            def stamp(number: int, item: int) -> int | None:
                bits = hash((salt, number)) & _MASK
                if bare and number < half and hash((salt, number, 1)) % 10_000 < 20_000 * bare:
                    return None
                at = rows.at(number)
                return at + int(max(0, rows.born - at) * ((bits & 0xFFFFFFFF) / 0x100000000))

            return stamp
        grain = self.grain(path)
        if plan.main and path == plan.main.column:
            stage = rule.stage

            def main(number: int, item: int) -> int | None:
                if stage and rows.facts(number).stage < stage:
                    return None
                at = rows.at(number)
                return at - at % grain

            return main

        def moment(number: int, item: int) -> int | None:
            at = rule.moment(hash((salt, number, item)), rows.facts(number))
            return None if at is None else at - at % grain

        return moment

    def grain(self, path: str) -> int:
        """Return what the times of a column are multiples of, so that the record shows all of them."""
        window = self._plan.by_column.get(path)
        name = path.rpartition(".")[2]
        if self._plan.type_of(path) == "date" or (window and window.whole_days and _is_day(name)):
            return DAY
        return 1000 if self._has_mixed_forms(path) else self._form(path, 0)[1]

    def _has_mixed_forms(self, path: str) -> bool:
        window = self._plan.by_column.get(path)
        if window and window.whole_days and _is_day(path):
            return False
        return path != self._plan.stamp and (
            window is not None or rule_of(path.rpartition(".")[2]).share == (0, 0)
        )

    def _form(self, path: str, number: int) -> tuple[int, int]:
        """Return with how many digits of a second a time is written, and what it is a multiple of."""
        if path == self._plan.stamp:
            return 7, 1
        if self._has_mixed_forms(path):
            return (3, 6, 7)[number % 3], 1000
        if path in self._plan.by_column:
            return 0, SECOND
        return FORMS[crc32(path.encode()) % 3]

    def count(self, array: str) -> Callable[[int], int]:
        """Return how many items a list has that rows are searched or linked by: one, or sometimes more."""
        salt = self.salt(f"{array} count")
        return lambda number: (1, 1, 1, 1, 2, 3)[hash((salt, number)) % 6]


def _is_day(name: str) -> bool:
    return name.endswith("Date") and not name.startswith("Transaction")
