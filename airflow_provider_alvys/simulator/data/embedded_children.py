"""Child rows that are items of a list in their parents' records, such as a trip's stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from airflow_provider_alvys.api.schema.fields import Array
from airflow_provider_alvys.simulator.data.children import ChildSet
from airflow_provider_alvys.simulator.data.columns import value_at
from airflow_provider_alvys.simulator.data.row_set import ColumnValues, RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import RowSetSpec
from airflow_provider_alvys.simulator.options import Options

# The maximum number of items in a list.
_STRIDE = 1000


def list_field_of(spec: RowSetSpec, parents: RowSetSpec) -> str | None:
    """Return the parents' list field with the same record type as the children, or None."""
    fields = parents.fields.fields.items()
    return next(
        (name for name, kind in fields if isinstance(kind, Array) and kind.of is spec.stream.fields), None
    )


class EmbeddedChildSet(ChildSet):
    """Rows stored as the items of their parents' lists: changing either changes both."""

    def __init__(
        self, spec: RowSetSpec, row_set_of: Callable[[str], RowSet], options: Options, data_end: int
    ) -> None:
        super().__init__(spec, row_set_of, options, data_end)
        # The parents' lists, valid until a parent changes.
        self._cached_lists: tuple[int, dict[int, list[dict[str, Any]]]] = (-1, {})

    @cached_property
    def _list_field(self) -> str:
        name = list_field_of(self.spec, self._parents.spec)
        if name is None:
            raise LookupError(f"{self.spec.name} are not embedded in their parents")
        return name

    def parent_of(self, number: int) -> int:
        """Return the number of a row's parent."""
        return number // _STRIDE

    def is_first(self, number: int) -> bool:
        """Return whether a row is its parent's first child."""
        return number % _STRIDE == 0

    def items(self, parent: int) -> list[dict[str, Any]]:
        """Return a parent's list; the caller must not change it."""
        if self._cached_lists[0] != self._parents.change_count:
            self._cached_lists = (self._parents.change_count, {})
        if parent not in self._cached_lists[1]:
            self._cached_lists[1][parent] = self._parents.record(parent).get(self._list_field) or []
        return self._cached_lists[1][parent]

    def record(self, number: int) -> dict[str, Any]:
        """Return a row's record; the caller must not change it."""
        parent, index = divmod(number, _STRIDE)
        return self.items(parent)[index]

    def column(self, path: str) -> ColumnValues:
        """Return a new column each time, since rows change with their parents."""
        return ColumnValues(lambda number: value_at(self.record(number), path.split(".")))

    def record_json(self, number: int, *, with_tombstone: bool) -> bytes:
        """Return a row's record as JSON."""
        return msgspec.json.encode(self.record(number))

    def _children(self, parents: Iterable[int]) -> list[int]:
        return [parent * _STRIDE + index for parent in parents for index in range(len(self.items(parent)))]

    def update(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows within their parents; None removes a field."""
        for number in numbers:
            parent, index = divmod(number, _STRIDE)
            items = list(self.items(parent))
            items[index] = {
                name: value for name, value in {**items[index], **columns}.items() if value is not None
            }
            self._parents.update([parent], now, {self._list_field: items})

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Append a copy of a parent's last item, with these columns."""
        parent_number = self._find_parent(columns, parent)
        items = list(self.items(parent_number))
        like = items[-1] if items else {}
        key = self.spec.stream.key[0]
        items.append({**like, key: f"{like.get(key, '')}-{len(items)}", **columns})
        self._parents.update([parent_number], at, {self._list_field: items})
        return parent_number * _STRIDE + len(items) - 1

    def remove(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows from their parents."""
        removed: dict[int, set[int]] = {}
        for number in numbers:
            removed.setdefault(number // _STRIDE, set()).add(number % _STRIDE)
        for parent, indexes in removed.items():
            kept = [item for index, item in enumerate(self.items(parent)) if index not in indexes]
            self._parents.update([parent], now, {self._list_field: kept})


def child_set_class(spec: RowSetSpec, parents: RowSetSpec) -> type[ChildSet]:
    """Return the class of the row set of some children."""
    return EmbeddedChildSet if list_field_of(spec, parents) else ChildSet
