"""Where a row's values are in the files that were landed: what the statements of :mod:`warehouses` are written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.fields import Array, FieldFlag, FieldType, Record
from airflow_provider_alvys.api.schema.values import EXTRA, column_specs, snake_case
from airflow_provider_alvys.tables.schema import (
    CHANGED_AT,
    HASH,
    MISSED_AT,
    MISSING_SINCE,
    Column,
    StreamSchema,
    Table,
)

# What takes a reading of all rows to know. The operator for databases keeps these; statements cannot.
_UNKEPT = frozenset({HASH, CHANGED_AT, MISSED_AT, MISSING_SINCE})


@dataclass(frozen=True)
class Place:
    """
    Where a column's value is.

    :param steps: names of fields, from the row, or from the item of a list; empty for an item that is no object.
    :param kind: of the field.
    :param suffix: what its name has behind the field's in a Parquet file, such as ``_local``.
    """

    steps: tuple[str, ...]
    kind: FieldType
    flags: frozenset[FieldFlag]
    suffix: str

    @property
    def parquet(self) -> tuple[str, ...]:
        """The names in a Parquet file."""
        names = [step if step == EXTRA else snake_case(step) for step in self.steps]
        return (*names[:-1], names[-1] + self.suffix) if names else ()


@dataclass(frozen=True)
class StagedTable:
    """
    A table, and where its rows come from.

    :param columns: all of its columns, and the places of those that come from Alvys's fields.
    :param lists: the steps to the list in the row, then those from its item to the list in it, and so on; none for the
        stream's own table.
    """

    table: Table
    columns: tuple[tuple[Column, Place | None], ...]
    lists: tuple[tuple[str, ...], ...] = ()

    @property
    def level(self) -> int:
        """How deep the list is; 0 for the stream's own table."""
        return len(self.lists)

    @property
    def has_objects(self) -> bool:
        """Whether the rows come from objects, rather than plain values."""
        return all(place is None or place.steps for _, place in self.columns)


def staged_tables(schema: StreamSchema) -> Iterator[StagedTable]:
    """Yield a schema's tables, without the columns that statements cannot keep."""
    fields = {path: (kind, flags) for path, kind, flags in _fields_of(schema.stream.fields, "")}
    lists: dict[str, tuple[tuple[str, ...], ...]] = {"": ()}
    paths = {table.name: table.path for table in schema.tables}
    for table in schema.tables:
        above = paths[table.parent] if table.parent else ""
        if table.path:
            lists[table.path] = (*lists[above], _steps(table.path, above))
        columns: list[tuple[Column, Place | None]] = []
        first: dict[str, str] = {}
        for column in table.all_columns:
            if column.name in _UNKEPT:
                continue
            if not column.field:
                columns.append((column, None))
                continue
            kind, flags = fields[column.field]
            if isinstance(kind, Array) and column.field == table.path:
                kind = kind.of
            # Of the columns of one field, the one that is named as the field comes first.
            suffix = column.name.removeprefix(first.setdefault(column.field, column.name))
            columns.append((column, Place(_steps(column.field, table.path), kind, flags, suffix)))
        yield StagedTable(table, tuple(columns), lists[table.path])


def parquet_columns(stream: Stream) -> Iterator[Column]:
    """Yield the columns of a stream's Parquet files, in their order; those that hold objects or lists are of the kind json."""
    for name, kind in stream.fields.fields.items():
        if isinstance(kind, Record) and not _has_columns(kind):
            # Parquet has no struct without fields.
            continue
        if isinstance(kind, (Record, Array)):
            yield Column(snake_case(name), "json", name)
        else:
            for spec in column_specs(kind, stream.fields.flags.get(name, frozenset())):
                yield Column(
                    snake_case(name) + spec.suffix, "text" if spec.kind == "json" else spec.kind, name
                )


def _has_columns(record: Record) -> bool:
    return any(not isinstance(kind, Record) or _has_columns(kind) for kind in record.fields.values())


def is_in_list(stream: Stream, path: str) -> bool:
    """Tell whether a field stands in the items of a list."""
    kind: FieldType = stream.fields
    for step in path.split("."):
        if isinstance(kind, Array):
            return True
        kind = kind.fields[step] if isinstance(kind, Record) else kind
    return False


def _steps(path: str, above: str) -> tuple[str, ...]:
    below = path[len(above) :].strip(".")
    return tuple(below.split(".")) if below else ()


def _fields_of(kind: FieldType, path: str) -> Iterator[tuple[str, FieldType, frozenset[FieldFlag]]]:
    if isinstance(kind, Array):
        yield from _fields_of(kind.of, path)
    elif isinstance(kind, Record):
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            yield below, inner, kind.flags.get(name, frozenset())
            yield from _fields_of(inner, below)
