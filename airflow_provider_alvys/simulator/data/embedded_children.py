"""The rows that are the items of a list in their parents' records, such as a trip's stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from airflow_provider_alvys.api.schema.fields import Array
from airflow_provider_alvys.simulator.data.children import ChildSet
from airflow_provider_alvys.simulator.data.row_set import ColumnValues, RowSet, dig
from airflow_provider_alvys.simulator.data.row_set_spec import Plan
from airflow_provider_alvys.simulator.options import Options

# No list has more items.
_STRIDE = 1000


def list_of(plan: Plan, parents: Plan) -> str | None:
    """Return the field of the parents' records that holds just what a plan's rows are, or None."""
    fields = parents.fields.fields.items()
    return next(
        (name for name, kind in fields if isinstance(kind, Array) and kind.of is plan.first.fields), None
    )


class PartSet(ChildSet):
    """Rows that are nothing but the items of the parents' lists: a change of either is one of both."""

    def __init__(self, plan: Plan, sets: Callable[[str], RowSet], options: Options, born: int) -> None:
        super().__init__(plan, sets, options, born)
        # The lists of the parents, as long as none of these changes.
        self._seen: tuple[int, dict[int, list[dict[str, Any]]]] = (-1, {})

    @cached_property
    def _list(self) -> str:
        name = list_of(self.plan, self._parents.plan)
        if name is None:
            raise LookupError(f"{self.plan.name} are no part of their parents")
        return name

    def parent_of(self, number: int) -> int:
        """Return whose part a row is."""
        return number // _STRIDE

    def is_first(self, number: int) -> bool:
        """Return whether a row is the first of its parent's."""
        return number % _STRIDE == 0

    def items(self, parent: int) -> list[dict[str, Any]]:
        """Return a parent's list, which must not be changed."""
        if self._seen[0] != self._parents.version:
            self._seen = (self._parents.version, {})
        if parent not in self._seen[1]:
            self._seen[1][parent] = self._parents.record(parent).get(self._list) or []
        return self._seen[1][parent]

    def record(self, number: int) -> dict[str, Any]:
        """Return a row's record, which must not be changed."""
        parent, place = divmod(number, _STRIDE)
        return self.items(parent)[place]

    def column(self, path: str) -> ColumnValues:
        """Return a column, made anew: a row changes with its parent."""
        return ColumnValues(lambda number: dig(self.record(number), path.split(".")))

    def text(self, number: int, *, with_tombstone: bool) -> bytes:
        """Return a row's record as JSON."""
        return msgspec.json.encode(self.record(number))

    def _children(self, parents: Iterable[int]) -> list[int]:
        return [parent * _STRIDE + place for parent in parents for place in range(len(self.items(parent)))]

    def touch(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows within their parents, at ``now``; None removes a field."""
        for number in numbers:
            parent, place = divmod(number, _STRIDE)
            items = list(self.items(parent))
            items[place] = {
                name: value for name, value in {**items[place], **columns}.items() if value is not None
            }
            self._parents.touch([parent], now, {self._list: items})

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row like the last one to the end of a parent's list."""
        whose = self._find_parent(columns, parent)
        items = list(self.items(whose))
        like = items[-1] if items else {}
        key = self.plan.first.key[0]
        items.append({**like, key: f"{like.get(key, '')}-{len(items)}", **columns})
        self._parents.touch([whose], at, {self._list: items})
        return whose * _STRIDE + len(items) - 1

    def remove(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows from their parents."""
        gone: dict[int, set[int]] = {}
        for number in numbers:
            gone.setdefault(number // _STRIDE, set()).add(number % _STRIDE)
        for parent, places in gone.items():
            kept = [item for place, item in enumerate(self.items(parent)) if place not in places]
            self._parents.touch([parent], now, {self._list: kept})


def kind_of_children(plan: Plan, parents: Plan) -> type[ChildSet]:
    """Return the kind of set that holds the rows of a plan with parents."""
    return PartSet if list_of(plan, parents) else ChildSet
