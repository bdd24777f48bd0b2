"""Child rows, such as a load's documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import RowSetSpec
from airflow_provider_alvys.simulator.data.times import DAY
from airflow_provider_alvys.simulator.options import Options

# The option ``rows`` may set more.
_MAX_CHILDREN = 3
# Children start at most this long after their parent.
_MAX_DELAY = 10 * DAY


class ChildSet(RowSet):
    """The children of another set's rows: none to three each, or as many as the option ``rows`` says."""

    def __init__(
        self, spec: RowSetSpec, row_set_of: Callable[[str], RowSet], options: Options, data_end: int
    ) -> None:
        super().__init__(spec, row_set_of, options, data_end)
        self._children_per_parent = options.rows.get(spec.name)
        if spec.stream.response_type == "object":
            self._children_per_parent = 1
        self._stride = max(_MAX_CHILDREN, self._children_per_parent or 0)
        # Generated children of a parent have consecutive numbers; those of added ones are higher.
        self._next = 2**50
        self._added: dict[int, int] = {}
        self._removed: set[int] = set()

    def _initial_count(self) -> int:
        return 0

    @property
    def _parents(self) -> RowSet:
        parent = self.spec.stream.parent
        if parent is None:
            raise LookupError(f"{self.spec.name} has no parents")
        return self.row_set_of(parent.stream)

    @property
    def change_count(self) -> int:
        """The number of changes of this set and its parents."""
        return self._change_count + self._parents.change_count

    def parent_of(self, number: int) -> int:
        """Return the number of a row's parent."""
        return self._added[number] if number in self._added else number // self._stride

    def is_first(self, number: int) -> bool:
        """Return whether a row is its parent's first child."""
        return number not in self._added and number % self._stride == 0

    def has(self, number: int) -> bool:
        """Return whether a row exists."""
        return self._parents.has(self.parent_of(number)) and number in self._children(
            [self.parent_of(number)]
        )

    def started_at(self, number: int) -> int:
        """Return when a row started: some time after its parent."""
        if number in self._added_times:
            return self._added_times[number][0]
        begun = self._parents.started_at(self.parent_of(number))
        share = (hash((self.salt, number, 1)) & 0xFFFFFF) / 0x1000000
        return begun + int(share * max(0, min(_MAX_DELAY, self.data_end - begun)))

    def numbers(self) -> list[int]:
        """Return all rows, in the order of their parents."""
        return self._children(self._parents.numbers())

    def children_of(self, names: Sequence[str]) -> list[int]:
        """Return the children of the parents with these names, in the order of the names."""
        parent = self.spec.stream.parent
        found = [self._parents.number_of(parent.column, name) for name in names] if parent else []
        return self._children([number for number in found if number is not None])

    def _children(self, parents: Iterable[int]) -> list[int]:
        added: dict[int, list[int]] = {}
        for number, parent in self._added.items():
            added.setdefault(parent, []).append(number)
        numbers: list[int] = []
        for parent in parents:
            count = self._children_per_parent
            if parent in self._parents.childless and self.spec.stream.response_type != "object":
                count = 0
            elif count is None:
                # The oldest parent has at least one.
                count = max(hash((self.salt, parent)) % (_MAX_CHILDREN + 1), 0 if parent else 1)
            numbers += range(parent * self._stride, parent * self._stride + count)
            numbers += added.get(parent, ())
        return [number for number in numbers if number not in self._removed] if self._removed else numbers

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row to the named parent, or to the one in its columns, or to the latest."""
        self._added[self._next] = self._find_parent(columns, parent)
        return super().add(at, columns)

    def _find_parent(self, columns: Mapping[str, Any], parent: str | None) -> int:
        link = self.spec.stream.parent
        name = columns.get(self.spec.parent_column) if parent is None else parent
        parent_number = (
            self._parents.number_of(link.column, str(name))
            if link and name is not None
            else self._parents.numbers()[-1]
        )
        if parent_number is None:
            raise LookupError(f"{self.spec.name} has no parent {name!r}")
        return parent_number

    def _insert(self, number: int) -> None:
        """Do nothing: the order is that of the parents."""

    def _drop(self, removed: frozenset[int]) -> None:
        self._removed |= removed
