"""Rows into Parquet and back: objects become structs, lists become lists, and what has no column is kept as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.page_decoder import Row, decode_row
from airflow_provider_alvys.api.schema.fields import Array, FieldFlag, FieldType, Record
from airflow_provider_alvys.api.schema.values import EXTRA, dump_json, snake_case
from airflow_provider_alvys.landing.formats.arrow import Column, Leaf, Left

_EXTRA = pa.field(EXTRA, pa.string())
_NOTHING: Mapping[str, Any] = {}
# Rows that are rebuilt at once.
_BATCH = 1000
# Deeper rows are kept as they are: how deep one can be taken apart depends on who calls.
_DEPTH = 200
_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]')


class _Node(Protocol):
    """A field as columns."""

    fields: list[Any]

    def take(self, values: list[Any]) -> tuple[list[Any], Left]:
        """Return the columns of some values as JSON has them, and those, or what is in them, that have none. None is none."""

    def give(self, columns: Sequence[Column]) -> list[Any]:
        """Return the values as JSON has them, of columns by ``fields``."""


class _Fields:
    """The fields of a record side by side, without what has no column."""

    def __init__(self, record: Record) -> None:
        nodes = {
            name: _make_node(name, kind, record.flags.get(name, frozenset()))
            for name, kind in record.fields.items()
        }
        # An object of which nothing is known would be a struct without fields, which Parquet does not have.
        self._nodes = {name: node for name, node in nodes.items() if node is not None}
        self._names = frozenset(self._nodes)
        self.fields = [field for node in self._nodes.values() for field in node.fields]
        self._columns = {field.name for field in self.fields}

    def take(self, records: Sequence[Mapping[str, Any]]) -> tuple[list[Any], Left]:
        """Return the columns of some records, and the fields of each that have none."""
        left: Left = {}
        for number, record in enumerate(records):
            if not self._names.issuperset(record):
                left[number] = {name: value for name, value in record.items() if name not in self._names}
        arrays: list[Any] = []
        for name, node in self._nodes.items():
            columns, strangers = node.take([record.get(name) for record in records])
            arrays += columns
            for number, value in strangers.items():
                left.setdefault(number, {})[name] = value
        return arrays, left

    def give(self, columns: Mapping[str, Column], rows: int) -> list[dict[str, Any]]:
        """Return records of as many fields as columns are known for."""
        strangers = columns.keys() - self._columns - {EXTRA}
        if strangers:
            raise AlvysStorageError(
                f"it has columns that the catalogue does not know: {', '.join(sorted(strangers))}"
            )
        records: list[dict[str, Any]] = [{} for _ in range(rows)]
        for name, node in self._nodes.items():
            own = [columns.get(field.name) for field in node.fields]
            # Of a file that was written before the catalogue knew the field, or of rows that lack it.
            if own[0] is None or all(column is None or column.null_count == rows for column in own):
                continue
            for record, value in zip(records, node.give(own), strict=True):
                if value is not None:
                    record[name] = value
        return records


class _Struct:
    """
    An object.

    :param has_extra: whether it keeps what has no column; else whatever it stands in does.
    """

    def __init__(self, name: str, inner: _Fields, *, has_extra: bool = False) -> None:
        self._inner = inner
        self._has_extra = has_extra
        self._fields = [*inner.fields, _EXTRA] if has_extra else inner.fields
        self.fields = [pa.field(name, pa.struct(self._fields))]

    def take(self, values: list[Any]) -> tuple[list[Any], Left]:
        types = set(map(type, values)) - {NoneType}
        if not types:
            return [pa.nulls(len(values), self.fields[0].type)], {}
        arrays, left = self._inner.take([value if type(value) is dict else _NOTHING for value in values])
        if types != {dict}:
            left |= {
                n: value for n, value in enumerate(values) if type(value) is not dict and value is not None
            }
        if self._has_extra:
            arrays.append(_extra_column(left, len(values)))
            left = {}
            is_null = [value is None for value in values]
        else:
            is_null = [type(value) is not dict for value in values]
        return [pa.StructArray.from_arrays(arrays, fields=self._fields, mask=pa.array(is_null))], left

    def give(self, columns: Sequence[Column]) -> list[Any]:
        (column,) = columns
        if not pa.types.is_struct(column.type):
            raise AlvysStorageError(
                f"its column {self.fields[0].name} is {column.type}, where an object was expected"
            )
        inner = {column.type.field(number).name: child for number, child in enumerate(column.flatten())}
        records: list[Any] = _give_records(self._inner, inner, len(column))
        return [
            record if is_valid else None
            for record, is_valid in zip(records, column.is_valid().to_pylist(), strict=True)
        ]


class _List:
    """A list. One with an item that does not fit does not fit."""

    def __init__(self, name: str, item: _Node) -> None:
        self._item = item
        self.fields = [pa.field(name, pa.list_(item.fields[0]))]

    def take(self, values: list[Any]) -> tuple[list[Any], Left]:
        left = {n: value for n, value in enumerate(values) if type(value) is not list and value is not None}
        (items,), strangers = self._item.take(
            [item for value in values if type(value) is list for item in value]
        )
        if strangers:
            owners = [n for n, value in enumerate(values) if type(value) is list for _ in value]
            left |= {n: values[n] for n in {owners[stranger] for stranger in strangers}}
            # Without those, each fits.
            arrays, _ = self.take([None if n in left else value for n, value in enumerate(values)])
            return arrays, left
        offsets = [0]
        for value in values:
            offsets.append(offsets[-1] + (len(value) if type(value) is list else 0))
        is_null = pa.array([type(value) is not list for value in values])
        type_ = self.fields[0].type
        return [
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=type_, mask=is_null)
        ], left

    def give(self, columns: Sequence[Column]) -> list[Any]:
        (column,) = columns
        if not pa.types.is_list(column.type):
            raise AlvysStorageError(
                f"its column {self.fields[0].name} is {column.type}, where a list was expected"
            )
        items = iter(self._item.give([column.flatten()]))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else [next(items) for _ in range(length)] for length in lengths]


def _make_node(name: str, kind: FieldType, flags: frozenset[FieldFlag] = frozenset()) -> _Node | None:
    """Return a field's columns; None for an object of which nothing is known."""
    if isinstance(kind, Record):
        inner = _Fields(kind)
        return _Struct(snake_case(name), inner) if inner.fields else None
    if isinstance(kind, Array):
        return _List(snake_case(name), _make_item(kind.of))
    return Leaf(name, kind, flags)


def _make_item(kind: FieldType) -> _Node:
    # The name that Parquet's own rules give the items of a list.
    if isinstance(kind, Record):
        return _Struct("element", _Fields(kind), has_extra=True)
    if isinstance(kind, Array):
        return _List("element", _make_item(kind.of))
    return Leaf("element", kind)


def _extra_column(left: Left, rows: int) -> Any:
    return pa.array([dump_json(left[n]) if n in left else None for n in range(rows)], pa.string())


class ParquetEncoder:
    """
    The bytes of one Parquet file. A page's rows are kept as Arrow.

    :param compression: None for snappy.
    :param level: of the compression; None for its default.
    """

    def __init__(self, stream: Stream, compression: str | None, *, level: int | None) -> None:
        self._fields = _Fields(stream.fields)
        self._schema = pa.schema([*self._fields.fields, _EXTRA])
        self._compression = compression or "snappy"
        self._level = level
        self._tables: list[Any] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Take a page's rows."""
        texts = list(map(bytes, rows))
        records = list(map(_decode, texts))
        arrays, left = self._fields.take([record or _NOTHING for record in records])
        extra = [
            text.decode() if record is None else dump_json(left[n]) if n in left else None
            for n, (record, text) in enumerate(zip(records, texts, strict=True))
        ]
        self._tables.append(
            pa.Table.from_arrays([*arrays, pa.array(extra, pa.string())], schema=self._schema)
        )

    def reopen(self, content: bytes) -> None:
        """Take the rows of a file of the same stream."""
        columns = pq.ParquetFile(pa.BufferReader(content)).read().columns
        # Not with the file's own schema, to whose fields the reader has added numbers.
        self._tables.append(pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> bytes:
        """Return the file."""
        # The same bytes, in whatever pieces the rows came.
        table = pa.concat_tables(self._tables).combine_chunks()
        sink = pa.BufferOutputStream()
        pq.write_table(
            table,
            sink,
            compression=self._compression,
            compression_level=self._level,
            row_group_size=len(table),
        )
        return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _decode(row: bytes) -> dict[str, Any] | None:
    """Return a row, or None for one that is no object, or cannot be taken apart: that is kept as it stands."""
    if _is_deep(row):
        return None
    try:
        record = decode_row(row)
    except (ValueError, ArithmeticError):
        # A number that Python does not hold.
        return None
    return record if type(record) is dict else None


def _is_deep(row: bytes) -> bool:
    if row.count(b"{") + row.count(b"[") <= _DEPTH:
        return False
    depth = deepest = 0
    for found in _BRACKET.finditer(row):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
    return deepest > _DEPTH


def rebuild_rows(content: bytes, stream: Stream) -> Iterator[bytes]:
    """
    Yield the rows of a Parquet file as JSON, by the catalogue's names.

    :raises AlvysStorageError: it holds what the catalogue does not know.
    """
    fields = _Fields(stream.fields)
    try:
        for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(batch_size=_BATCH):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            records = fields.give(columns, len(batch))
            for record, extra in zip(records, columns[EXTRA].to_pylist(), strict=True):
                # A row of which no field has a column stands there as it was.
                yield extra.encode() if extra and not record else dump_json(_merge(record, extra)).encode()
    except (AlvysStorageError, pa.ArrowException, KeyError) as error:
        raise AlvysStorageError(
            f"A part of {stream.name} cannot be read by this version's catalogue: {error}. Land it again, or "
            "read the file with "
            "pyarrow"
        ) from error


def _give_records(fields: _Fields, columns: Mapping[str, Column], rows: int) -> list[Any]:
    """Return records with what they have beside their columns."""
    records = fields.give(columns, rows)
    if EXTRA not in columns:
        return records
    return [_merge(record, extra) for record, extra in zip(records, columns[EXTRA].to_pylist(), strict=True)]


def _merge(record: dict[str, Any], extra: str | None) -> Any:
    return record if extra is None else _merged(record, decode_row(extra.encode()))


def _merged(record: Any, extra: Any) -> Any:
    if type(record) is not dict or type(extra) is not dict:
        return extra
    return {**record, **{name: _merged(record.get(name), value) for name, value in extra.items()}}
