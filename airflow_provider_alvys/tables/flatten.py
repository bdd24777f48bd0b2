"""Flattening: one record into rows of the main table and the child tables."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import currency_number
from airflow_provider_alvys.api.schema.fields import Array, FieldFlag, FieldType, Record, without_fields
from airflow_provider_alvys.api.schema.values import (
    EXTRA,
    TypeLimits,
    column_specs,
    dump_json,
    make_converter,
)
from airflow_provider_alvys.tables.schema import HASH, KEY, PARENT, VALUE, StreamSchema, Table, column_name

_Cells = list[Any]
_Lists = list[tuple["_ListPlan", list[Any]]]
# Stores a field's value in the cells of its row, or adds a list; returns what has no column, or None.
_FieldHandler = Callable[[Any, _Cells, _Lists], Any]
_Handlers = Mapping[str, _FieldHandler]

_sorted_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted")


@dataclass
class _ListPlan:
    """A list that becomes rows of the table with the number ``table``."""

    table: int
    width: int
    extra: int | None
    has_objects: bool
    store: _FieldHandler


@dataclass
class UnmappedFields:
    """
    The fields and values that have no column; ``_extra`` keeps them.

    :param unknown: fields that the catalogue does not know, with the number of times they occurred.
    :param mismatches: known fields with a value of another type, with the number and the first row.
    """

    unknown: Counter[str] = field(default_factory=Counter)
    mismatches: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add_mismatch(self, path: str, row: str) -> None:
        """Count a value that is not of its field's type."""
        count, first = self.mismatches.get(path, (0, row))
        self.mismatches[path] = (count + 1, first)


class RowFlattener:
    """
    Flatten records into rows of a stream's tables.

    :param limits: the largest values that the database's types can store.
    """

    def __init__(self, schema: StreamSchema, limits: TypeLimits | None = None) -> None:
        self.schema = schema
        self.unmapped = UnmappedFields()
        self._limits = limits or TypeLimits()
        self._where = ""
        self._secrets = schema.stream.secret_fields
        self._tables = {table.path: number for number, table in enumerate(schema.tables)}
        main = schema.main
        self._width = len(main.columns)
        at = {column.name: number for number, column in enumerate(main.columns)}
        self._extra = at.get(EXTRA)
        self._hash = at[HASH]
        self._parent = at.get(PARENT)
        self._key = at.get(KEY)
        self._keys = [at[name] for name in schema.keys]
        self._fields = self._plan_fields(schema.stream.fields, main, "", "")
        self._content = _ExcludeFilter(schema.stream.fields, "", schema, is_content=True)

    def flatten(self, row: bytes, where: str, parent: str | None = None) -> list[list[list[Any]]]:
        """
        Return the rows of one record: a list for each table of the schema, the main table first.

        :param where: the file and row number, for messages.
        :param parent: key of the parent, for a stream of children.
        :raises AlvysTableError: the record is not an object, is nested too deeply, or has no valid key.
        """
        self._where = where
        try:
            return self._flatten(self._decode(row), parent)
        except RecursionError as error:
            raise AlvysTableError(f"{where} cannot be loaded: it is nested too deeply") from error

    def _flatten(self, record: dict[str, Any], parent: str | None) -> list[list[list[Any]]]:
        cells: _Cells = [None] * self._width
        lists: _Lists = []
        if self._parent is not None:
            cells[self._parent] = parent
        left = self._flatten_object(self._fields, record, cells, lists, "")
        if left is not None and self._extra is not None:
            cells[self._extra] = dump_json(left)
        cells[self._hash] = _hash_content(self._content(record))
        if self._key is not None:
            names = self.schema.stream.key
            cells[self._key] = dump_json([record.get(name) for name in names]) if names else cells[self._hash]
        for at in self._keys:
            self._check_key(self.schema.main.columns[at].name, cells[at])
        rows: list[list[list[Any]]] = [[] for _ in self.schema.tables]
        rows[0].append(cells)
        self._flatten_lists(lists, [cells[at] for at in self._keys], rows)
        return rows

    def _decode(self, row: bytes) -> dict[str, Any]:
        try:
            record = decode_row(row)
        except ValueError as error:
            raise AlvysTableError(f"{self._where} cannot be read: {error}") from error
        if not isinstance(record, dict):
            raise AlvysTableError(f"{self._where} is not a JSON object")
        # Files of earlier versions contain secrets.
        return without_fields(record, self._secrets) if self._secrets else record

    def _check_key(self, column: str, value: Any) -> None:
        if value is None:
            raise AlvysTableError(f"{self._where} has no valid key {column}: it is missing or not plain text")
        limits = self._limits
        characters, size = (len(value), len(value.encode())) if isinstance(value, str) else (0, 0)
        if characters > limits.key_length or size > limits.key_bytes:
            raise AlvysTableError(
                f"{self._where}: its key {column} has {characters} characters; this database allows "
                f"{limits.key_length} characters and {limits.key_bytes} bytes"
            )

    def _flatten_lists(self, lists: _Lists, key: list[Any], rows: list[list[list[Any]]]) -> None:
        for plan, items in lists:
            for position, item in enumerate(items, 1):
                here = [*key, position]
                cells = [*here, position == 1, position == len(items)]
                cells += [None] * (plan.width - len(cells))
                below: _Lists = []
                if item is not None or plan.has_objects:
                    left = plan.store(item, cells, below)
                    if plan.extra is not None and (left is not None or item is None):
                        cells[plan.extra] = dump_json(left)
                rows[plan.table].append(cells)
                self._flatten_lists(below, here, rows)

    def _flatten_object(
        self, fields: _Handlers, record: dict[str, Any], cells: _Cells, lists: _Lists, path: str
    ) -> Any:
        """Store an object's fields, and return those without a column, or None."""
        left: dict[str, Any] | None = None
        for name, value in record.items():
            handler = fields.get(name)
            if handler is None:
                self.unmapped.unknown[f"{path}.{name}" if path else name] += 1
                # A field in another spelling may contain excluded fields.
                handler = None if value is None else fields.get(_fold_name(name))
            elif value is None:
                continue
            if handler:
                value = handler(value, cells, lists)
                if value is None:
                    continue
            left = {} if left is None else left
            left[name] = value
        return left

    def _plan_fields(self, record: Record, table: Table, path: str, prefix: str) -> dict[str, _FieldHandler]:
        at = {column.name: number for number, column in enumerate(table.columns)}
        plan: dict[str, _FieldHandler] = {}
        for name, kind in record.fields.items():
            below = f"{path}.{name}" if path else name
            stem = column_name(prefix, name)
            if below in self.schema.excluded:
                plan |= dict.fromkeys((name, _fold_name(name)), _discard)
            elif isinstance(kind, Record):
                fields = self._plan_fields(kind, table, below, f"{stem}_")
                plan[name] = self._object_handler(kind, fields, below)
            elif isinstance(kind, Array) and stem in at:
                plan[name] = self._json_handler(kind, below, at[stem])
            elif isinstance(kind, Array):
                plan[name] = self._list_handler(kind, below)
            else:
                flags: frozenset[FieldFlag] = record.flags.get(name, frozenset())
                is_key = table.columns[at[stem]].kind == "key"
                plan[name] = self._scalar_handler(kind, flags, below, at[stem], is_key=is_key)
            if isinstance(kind, (Record, Array)):
                # In another spelling the field has no column, and ``_extra`` gets it without excluded fields.
                plan.setdefault(_fold_name(name), _ExcludeFilter(kind, below, self.schema))
        return plan

    def _scalar_handler(
        self, kind: Any, flags: frozenset[FieldFlag], path: str, at: int, *, is_key: bool = False
    ) -> _FieldHandler:
        convert = make_converter(kind, flags, self._limits)
        width = len(column_specs(kind, flags))

        def store(value: Any, cells: _Cells, lists: _Lists) -> Any:
            if is_key and type(value) is int:
                value = str(value)
            found = convert(value)
            if found is None:
                self.unmapped.add_mismatch(path, self._where)
                return value
            if width == 1:
                cells[at] = found[0]
            else:
                cells[at : at + width] = found
            return None

        return store

    def _object_handler(self, kind: Record, fields: _Handlers, path: str) -> _FieldHandler:
        without = _ExcludeFilter(kind, path, self.schema)

        def store(value: Any, cells: _Cells, lists: _Lists) -> Any:
            if type(value) is not dict:
                self.unmapped.add_mismatch(path, self._where)
                return without(value)
            return self._flatten_object(fields, value, cells, lists, path)

        return store

    def _json_handler(self, kind: Array, path: str, at: int) -> _FieldHandler:
        """Return a handler that stores a list as JSON in the column ``at``."""
        without = _ExcludeFilter(kind, path, self.schema)

        def store(value: Any, cells: _Cells, lists: _Lists) -> Any:
            cells[at] = dump_json(without(value))

        return store

    def _list_handler(self, kind: Array, path: str) -> _FieldHandler:
        """Return a handler that adds a list to its child table."""
        without = _ExcludeFilter(kind, path, self.schema)
        number = self._tables[path]
        table = self.schema.tables[number]
        at = {column.name: place for place, column in enumerate(table.columns)}
        if isinstance(kind.of, Record):
            handler = self._object_handler(kind.of, self._plan_fields(kind.of, table, path, ""), path)
        else:
            handler = self._scalar_handler(kind.of, frozenset(), path, at[VALUE])
        plan = _ListPlan(number, len(table.columns), at.get(EXTRA), isinstance(kind.of, Record), handler)

        def store(value: Any, cells: _Cells, lists: _Lists) -> Any:
            if type(value) is not list:
                self.unmapped.add_mismatch(path, self._where)
                return without(value)
            if value:
                lists.append((plan, value))
            return None

        return store


def _discard(value: Any, cells: _Cells, lists: _Lists) -> None:
    """Leave an excluded field out."""


def _hash_content(content: Any) -> str:
    try:
        text = _sorted_encoder.encode(content)
    except UnicodeEncodeError:
        text = dump_json(content).encode()
    return hashlib.sha256(text).hexdigest()


class _ExcludeFilter:
    """
    Return values without the excluded fields.

    :param is_content: also leave out nulls and the fields that differ with each read, and write each currency
        as its number: the result is hashed to detect a change.
    """

    def __init__(self, kind: FieldType, path: str, schema: StreamSchema, *, is_content: bool = False) -> None:
        self._is_content = is_content
        self._keeps_unknown = EXTRA not in schema.excluded
        self._tree = self._tree_of(kind, path, schema.excluded)

    def __call__(self, value: Any, *unused: object) -> Any:
        return self._filtered(value, self._tree)

    def _tree_of(self, kind: FieldType, path: str, excluded: frozenset[str]) -> _Tree:
        """Return the fields of a type, each with its own fields, or None for one that is left out."""
        if isinstance(kind, Array):
            return self._tree_of(kind.of, path, excluded)
        if not isinstance(kind, Record):
            return {}
        tree: _Tree = {}
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            flags = kind.flags.get(name, frozenset()) if self._is_content else frozenset()
            if below in excluded:
                tree[_fold_name(name)] = None
            if "volatile" in flags or below in excluded:
                tree[name] = None
            else:
                tree[name] = _CURRENCY if "currency" in flags else self._tree_of(inner, below, excluded)
            tree.setdefault(_fold_name(name), tree[name])
        return tree

    def _filtered(self, value: Any, tree: _Tree) -> Any:
        if type(value) is list:
            return [self._filtered(item, tree) for item in value]
        # Without fields the type is a scalar, or JSON of any form.
        if type(value) is not dict or not tree:
            return value
        kept: dict[str, Any] = {}
        for name, item in value.items():
            if name not in tree and not self._keeps_unknown:
                continue
            known = name if name in tree else _fold_name(name)
            if known not in tree:
                kept[name] = item
                continue
            inner = tree[known]
            if inner is None or (item is None and self._is_content):
                continue
            if inner is _CURRENCY:
                item = currency_number(item)
            kept[name] = self._filtered(item, inner) if type(item) in (dict, list) else item
        return kept


_Tree = dict[str, Any]
# A currency has no fields of its own.
_CURRENCY: _Tree = {}


def _fold_name(name: str) -> str:
    """Return one form of all spellings of a field's name; its NUL sets it apart from the names of fields."""
    return f"\0{name.casefold()}"
