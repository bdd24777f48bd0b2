"""Migrations: create tables, add columns and widen them. Nothing is dropped or narrowed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import StreamSchema, Table, build_schema

log = logging.getLogger(__name__)

# The kinds into which a column of each kind can be widened without loss. All can become text.
_WIDER: Mapping[Kind, tuple[Kind, ...]] = {
    "integer": ("decimal", "text"),
    **dict.fromkeys(("key", "decimal", "boolean", "timestamp", "wall", "date", "json"), ("text",)),
}
# Deeper than any list is nested, so that every list is a child table.
_ANY_DEPTH = 100


@dataclass(frozen=True)
class ObsoleteSchema:
    """
    Columns and tables that loads with another ``depth`` or ``exclude`` created and the current one does not
    use.

    :param columns: of the main table.
    :param tables: child tables.
    """

    columns: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def find_obsolete(database: Database, schema: StreamSchema) -> ObsoleteSchema:
    """Return the existing columns and tables of the stream that are not part of the schema."""
    main = schema.main.name
    flat, nested = (build_schema(schema.stream, table=main, depth=depth) for depth in (0, _ANY_DEPTH))
    used = {column.name for column in schema.main.all_columns}
    columns = dict.fromkeys(column.name for other in (flat, nested) for column in other.main.columns)
    existing = database.columns(main)
    tables = {table.name for table in schema.tables}
    return ObsoleteSchema(
        tuple(name for name in columns if name in existing and name not in used),
        tuple(one for one in nested.tables[1:] if one.name not in tables and database.columns(one.name)),
    )


def find_absent(database: Database, schema: StreamSchema) -> list[str]:
    """Return the tables and columns of the schema that do not exist, such as ``loads.weight``."""
    absent = []
    for table in schema.tables:
        existing = {database.dialect.fold_name(name) for name in database.columns(table.name)}
        names = [column.name for column in table.all_columns]
        lacking = [name for name in names if database.dialect.fold_name(name) not in existing]
        absent += [f"{table.name}.{name}" for name in lacking] if existing else [table.name]
    return absent


def ensure_tables(database: Database, schema: StreamSchema) -> None:
    """
    Create missing tables, add missing columns and widen columns that are too narrow.

    :raises AlvysTableError: a column's type cannot be widened without loss, or a table has other keys.
    """
    for table in schema.tables:
        columns = database.columns(table.name)
        if columns:
            _migrate_table(database, table, columns)
        else:
            types = [(column.name, database.dialect.types[column.kind]) for column in table.all_columns]
            name = database.table(table.name)
            database.execute(database.dialect.create_table(name, types, table.primary_key))
            log.info("Created table %s", name)


def _migrate_table(database: Database, table: Table, columns: Mapping[str, str]) -> None:
    dialect = database.dialect
    name = database.table(table.name)
    existing = {dialect.fold_name(column): type_name for column, type_name in columns.items()}
    keys = table.primary_key
    for column in table.all_columns:
        wanted = dialect.types[column.kind]
        type_name = existing.get(dialect.fold_name(column.name))
        if type_name is None:
            if column.name in keys:
                raise AlvysTableError(
                    f"The table {name} has no column {column.name}, which is part of its key: this package "
                    "did not create the table. Give another table or schema, or rename that table"
                )
            database.execute(dialect.add_column(name, column.name, column.kind))
            log.info("Added column %s to %s", column.name, name)
            continue
        found = dialect.existing_type(type_name)
        if found and found[1] and _can_widen(database, column.kind, found[0]):
            continue
        if found and column.name not in keys and _can_widen(database, found[0], column.kind):
            try:
                for statement in dialect.widen_column(name, column.name, column.kind):
                    database.execute(statement)
            except Exception as error:
                raise AlvysTableError(
                    f"The column {column.name} of {name} is {type_name} and cannot become {wanted}: {error}. "
                    "Drop the views and indexes that use it, and create them again after the load"
                ) from error
            log.info("Widened column %s of %s from %s to %s", column.name, name, type_name, wanted)
            continue
        advice = "Give another table or schema, or rename that table"
        if column.name not in keys:
            advice = f"Rename the column (the next load adds a new one), or use exclude=[{column.field!r}]"
        raise AlvysTableError(
            f"The column {column.name} of {name} is {type_name} and cannot store the {wanted} values of "
            f"Alvys's field {column.field or column.name} without loss. {advice}"
        )


def _can_widen(database: Database, kind: Kind, wider: Kind) -> bool:
    """Return whether a column of the second kind can store all values of the first."""
    types = database.dialect.types
    return types[kind] == types[wider] or wider in _WIDER.get(kind, ())
