"""The tables of a stream in a warehouse, and where their values are in the landed files."""

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
    fields_of,
)

# Only the operator for databases fills these columns.
_OMITTED = frozenset({HASH, CHANGED_AT, MISSED_AT, MISSING_SINCE})


@dataclass(frozen=True)
class SourceField:
    """
    The field with a column's value.

    :param steps: names of nested fields, from the row or the item of a list; empty for an item that is not an
        object.
    :param kind: type of the field.
    :param suffix: the end of its name in Parquet, after the field's name, such as ``_local``.
    """

    steps: tuple[str, ...]
    kind: FieldType
    flags: frozenset[FieldFlag]
    suffix: str

    @property
    def parquet(self) -> tuple[str, ...]:
        """The names of the nested fields in a Parquet file."""
        names = [step if step == EXTRA else snake_case(step) for step in self.steps]
        return (*names[:-1], names[-1] + self.suffix) if names else ()


@dataclass(frozen=True)
class StagedTable:
    """
    A table and the source of its rows.

    :param columns: all columns, with the field that each comes from; None for a column of this package.
    :param lists: the steps from the row to the list, then from its item to the nested list, and so on; empty
        for the main table.
    """

    table: Table
    columns: tuple[tuple[Column, SourceField | None], ...]
    lists: tuple[tuple[str, ...], ...] = ()

    @property
    def level(self) -> int:
        """The depth of the list; 0 for the main table."""
        return len(self.lists)

    @property
    def contains_objects(self) -> bool:
        """True if the rows come from objects, not from plain values."""
        return all(source is None or source.steps for _, source in self.columns)


def staged_tables(schema: StreamSchema) -> Iterator[StagedTable]:
    """Yield the tables of a stream, without the columns that only the operator fills."""
    fields = {path: (kind, flags) for path, kind, flags in fields_of(schema.stream.fields)}
    lists: dict[str, tuple[tuple[str, ...], ...]] = {"": ()}
    paths = {table.name: table.path for table in schema.tables}
    for table in schema.tables:
        above = paths[table.parent] if table.parent else ""
        if table.path:
            lists[table.path] = (*lists[above], _steps(table.path, above))
        columns: list[tuple[Column, SourceField | None]] = []
        first: dict[str, str] = {}
        for column in table.all_columns:
            if column.name in _OMITTED:
                continue
            if not column.field:
                columns.append((column, None))
                continue
            kind, flags = fields[column.field]
            if isinstance(kind, Array) and column.field == table.path:
                kind = kind.of
            # The first column of a field has the field's name, the others a suffix.
            suffix = column.name.removeprefix(first.setdefault(column.field, column.name))
            columns.append((column, SourceField(_steps(column.field, table.path), kind, flags, suffix)))
        yield StagedTable(table, tuple(columns), lists[table.path])


def parquet_columns(stream: Stream) -> Iterator[Column]:
    """Yield the columns of a stream's Parquet files, in order; objects and lists are of the kind json."""
    for name, kind in stream.fields.fields.items():
        if isinstance(kind, Record) and not _has_columns(kind):
            # Parquet has no empty structs.
            continue
        if isinstance(kind, (Record, Array)):
            yield Column(snake_case(name), "json", name)
        else:
            for spec in column_specs(kind, stream.fields.flags.get(name, frozenset())):
                column_kind = "text" if spec.kind == "json" else spec.kind
                yield Column(snake_case(name) + spec.suffix, column_kind, name)


def _has_columns(record: Record) -> bool:
    return any(not isinstance(kind, Record) or _has_columns(kind) for kind in record.fields.values())


def _steps(path: str, above: str) -> tuple[str, ...]:
    below = path[len(above) :].strip(".")
    return tuple(below.split(".")) if below else ()
