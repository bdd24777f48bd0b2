"""Convert rows to Parquet and back: objects become structs, and unmapped fields are kept as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
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
from airflow_provider_alvys.landing.formats.arrow import Column, Leaf, Unmapped

_EXTRA = pa.field(EXTRA, pa.string())
_EMPTY: Mapping[str, Any] = {}
# Rows that are rebuilt at a time.
_BATCH = 1000
# Deeper rows are kept as JSON: Python's recursion limit depends on the caller.
_MAX_DEPTH = 200
_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]')


class _Node(Protocol):
    """A field as columns."""

    fields: list[Any]

    def encode_values(self, values: list[Any]) -> tuple[list[Any], Unmapped]:
        """Return the columns of JSON values, and the values, or parts of them, without a column."""

    def decode_values(self, columns: Sequence[Column]) -> list[Any]:
        """Return the JSON values of columns, which are in the order of ``fields``."""


class _Fields:
    """The fields of a record as columns."""

    def __init__(self, record: Record) -> None:
        nodes = {
            name: _make_node(name, kind, record.flags.get(name, frozenset()))
            for name, kind in record.fields.items()
        }
        # Parquet has no structs without fields.
        self._nodes = {name: node for name, node in nodes.items() if node is not None}
        self._names = frozenset(self._nodes)
        self.fields = [field for node in self._nodes.values() for field in node.fields]
        self._columns = {field.name for field in self.fields}

    def encode_values(self, records: Sequence[Mapping[str, Any]]) -> tuple[list[Any], Unmapped]:
        """Return the columns of records, and the unmapped fields of each."""
        unmapped: Unmapped = {}
        for number, record in enumerate(records):
            if not self._names.issuperset(record):
                unmapped[number] = {name: value for name, value in record.items() if name not in self._names}
        arrays: list[Any] = []
        for name, node in self._nodes.items():
            columns, unknown = node.encode_values([record.get(name) for record in records])
            arrays += columns
            for number, value in unknown.items():
                unmapped.setdefault(number, {})[name] = value
        return arrays, unmapped

    def decode_values(self, columns: Mapping[str, Column], rows: int) -> list[dict[str, Any]]:
        """Return records with the fields whose columns exist."""
        unknown = columns.keys() - self._columns - {EXTRA}
        if unknown:
            raise AlvysStorageError(
                f"it has columns that the catalogue does not know: {', '.join(sorted(unknown))}"
            )
        records: list[dict[str, Any]] = [{} for _ in range(rows)]
        for name, node in self._nodes.items():
            own = [columns.get(field.name) for field in node.fields]
            # The file is older than the field in the catalogue, or no row has it.
            if own[0] is None or all(column is None or column.null_count == rows for column in own):
                continue
            for record, value in zip(records, node.decode_values(own), strict=True):
                if value is not None:
                    record[name] = value
        return records


class _Struct:
    """An object. Without an ``_extra`` column, the record around it keeps its unmapped fields."""

    def __init__(self, name: str, inner: _Fields, *, has_extra: bool = False) -> None:
        self._inner = inner
        self._has_extra = has_extra
        self._fields = [*inner.fields, _EXTRA] if has_extra else inner.fields
        self.fields = [pa.field(name, pa.struct(self._fields))]

    def encode_values(self, values: list[Any]) -> tuple[list[Any], Unmapped]:
        types = set(map(type, values)) - {NoneType}
        if not types:
            return [pa.nulls(len(values), self.fields[0].type)], {}
        arrays, unmapped = self._inner.encode_values(
            [value if type(value) is dict else _EMPTY for value in values]
        )
        if types != {dict}:
            unmapped |= _not_of(dict, values)
        if self._has_extra:
            arrays.append(_extra_column(unmapped, len(values)))
            unmapped = {}
            is_null = [value is None for value in values]
        else:
            is_null = [type(value) is not dict for value in values]
        return [pa.StructArray.from_arrays(arrays, fields=self._fields, mask=pa.array(is_null))], unmapped

    def decode_values(self, columns: Sequence[Column]) -> list[Any]:
        (column,) = columns
        if not pa.types.is_struct(column.type):
            raise AlvysStorageError(
                f"its column {self.fields[0].name} is {column.type}, where an object was expected"
            )
        inner = {column.type.field(number).name: child for number, child in enumerate(column.flatten())}
        records: list[Any] = _decode_records(self._inner, inner, len(column))
        valid = column.is_valid().to_pylist()
        return [record if is_valid else None for record, is_valid in zip(records, valid, strict=True)]


class _List:
    """A list. If one item does not fit, the list is unmapped."""

    def __init__(self, name: str, item: _Node) -> None:
        self._item = item
        self.fields = [pa.field(name, pa.list_(item.fields[0]))]

    def encode_values(self, values: list[Any]) -> tuple[list[Any], Unmapped]:
        unmapped = _not_of(list, values)
        lists = [value if type(value) is list else [] for value in values]
        (items,), unknown = self._item.encode_values([item for value in lists for item in value])
        if unknown:
            owners = [n for n, value in enumerate(lists) for _ in value]
            unmapped |= {n: values[n] for n in {owners[number] for number in unknown}}
            arrays, _ = self.encode_values(
                [None if n in unmapped else value for n, value in enumerate(values)]
            )
            return arrays, unmapped
        offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
        is_null = pa.array([type(value) is not list for value in values])
        return [pa.ListArray.from_arrays(offsets, items, type=self.fields[0].type, mask=is_null)], unmapped

    def decode_values(self, columns: Sequence[Column]) -> list[Any]:
        (column,) = columns
        if not pa.types.is_list(column.type):
            raise AlvysStorageError(
                f"its column {self.fields[0].name} is {column.type}, where a list was expected"
            )
        items = iter(self._item.decode_values([column.flatten()]))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else [next(items) for _ in range(length)] for length in lengths]


def _not_of(kind: type, values: list[Any]) -> Unmapped:
    return {n: value for n, value in enumerate(values) if type(value) is not kind and value is not None}


def _make_node(name: str, kind: FieldType, flags: frozenset[FieldFlag] = frozenset()) -> _Node | None:
    """Return the node of a field; None for an object without known fields."""
    if isinstance(kind, Record):
        inner = _Fields(kind)
        return _Struct(snake_case(name), inner) if inner.fields else None
    if isinstance(kind, Array):
        return _List(snake_case(name), _make_item(kind.of))
    return Leaf(name, kind, flags)


def _make_item(kind: FieldType) -> _Node:
    # The Parquet format calls the items of a list "element".
    if isinstance(kind, Record):
        return _Struct("element", _Fields(kind), has_extra=True)
    if isinstance(kind, Array):
        return _List("element", _make_item(kind.of))
    return Leaf("element", kind)


def _extra_column(unmapped: Unmapped, rows: int) -> Any:
    return pa.array([dump_json(unmapped[n]) if n in unmapped else None for n in range(rows)], pa.string())


class ParquetEncoder:
    """Encodes rows as one Parquet file. The rows of each page are kept as an Arrow table."""

    def __init__(self, stream: Stream, compression: str | None, *, level: int | None) -> None:
        self._fields = _Fields(stream.fields)
        self._schema = pa.schema([*self._fields.fields, _EXTRA])
        self._compression = compression or "snappy"
        self._level = level
        self._tables: list[Any] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of a page."""
        texts = list(map(bytes, rows))
        records = list(map(_decode, texts))
        arrays, unmapped = self._fields.encode_values([record or _EMPTY for record in records])
        extra = [
            text.decode() if record is None else dump_json(unmapped[n]) if n in unmapped else None
            for n, (record, text) in enumerate(zip(records, texts, strict=True))
        ]
        self._tables.append(
            pa.Table.from_arrays([*arrays, pa.array(extra, pa.string())], schema=self._schema)
        )

    def reopen(self, content: bytes) -> None:
        """Add the rows of a file of the same stream."""
        columns = pq.ParquetFile(pa.BufferReader(content)).read().columns
        # The reader adds field ids to the file's own schema.
        self._tables.append(pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> bytes:
        """Return the file."""
        # Combined, so that the pages' sizes do not change the bytes.
        table = pa.concat_tables(self._tables).combine_chunks()
        sink = pa.BufferOutputStream()
        packing: dict[str, Any] = {"compression": self._compression, "compression_level": self._level}
        pq.write_table(table, sink, row_group_size=len(table), **packing)
        return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _decode(row: bytes) -> dict[str, Any] | None:
    """Return a row, or None to keep it as JSON: not an object, too deep, or with an unreadable number."""
    if not _is_deep(row):
        with suppress(ValueError):
            record = decode_row(row)
            return record if type(record) is dict else None
    return None


def _is_deep(row: bytes) -> bool:
    if row.count(b"{") + row.count(b"[") <= _MAX_DEPTH:
        return False
    depth = deepest = 0
    for found in _BRACKET.finditer(row):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
    return deepest > _MAX_DEPTH


def rebuild_rows(content: bytes, stream: Stream) -> Iterator[bytes]:
    """Yield the rows of a Parquet file as JSON. Raise AlvysStorageError if the catalogue lacks a column."""
    fields = _Fields(stream.fields)
    try:
        for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(batch_size=_BATCH):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            records = fields.decode_values(columns, len(batch))
            for record, extra in zip(records, columns[EXTRA].to_pylist(), strict=True):
                # A row without any column is kept as it was.
                yield extra.encode() if extra and not record else dump_json(_merge(record, extra)).encode()
    except (AlvysStorageError, pa.ArrowException, KeyError) as error:
        raise AlvysStorageError(
            f"A part of {stream.name} cannot be read by this version's catalogue: {error}. Land it again, or "
            "read the file with pyarrow"
        ) from error


def _decode_records(fields: _Fields, columns: Mapping[str, Column], rows: int) -> list[Any]:
    """Return records with their unmapped fields."""
    records = fields.decode_values(columns, rows)
    if EXTRA not in columns:
        return records
    return [_merge(record, extra) for record, extra in zip(records, columns[EXTRA].to_pylist(), strict=True)]


def _merge(record: dict[str, Any], extra: str | None) -> Any:
    return record if extra is None else _merged(record, decode_row(extra.encode()))


def _merged(record: Any, extra: Any) -> Any:
    if type(record) is not dict or type(extra) is not dict:
        return extra
    return {**record, **{name: _merged(record.get(name), value) for name, value in extra.items()}}
