"""Making tables, and widening those that exist. Nothing is dropped, and nothing made narrower."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import StreamSchema, Table, build_schema

log = logging.getLogger(__name__)

# What a column of the first kind may become, so that nothing is lost: the others hold all that it does.
_WIDER: Mapping[Kind, tuple[Kind, ...]] = {
    "key": ("text",),
    "integer": ("decimal", "text"),
    "decimal": ("text",),
    "boolean": ("text",),
    "timestamp": ("text",),
    "wall": ("text",),
    "date": ("text",),
    "json": ("text",),
}


# More than any list is nested: every list is a table.
_ANY_DEPTH = 100


@dataclass(frozen=True)
class ObsoleteSchema:
    """
    What stands of other schemas of the same stream: lists that were tables, or columns of JSON; fields that were not kept out.

    :param columns: of the stream's table.
    :param tables: of lists.
    """

    columns: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def find_obsolete(database: Database, schema: StreamSchema) -> ObsoleteSchema:
    """Return what an earlier load has made that is not of this schema."""
    main = schema.main.name
    flat, nested = (build_schema(schema.stream, table=main, depth=depth) for depth in (0, _ANY_DEPTH))
    columns = dict.fromkeys(column.name for other in (flat, nested) for column in other.main.columns)
    columns_now, tables_now = (
        {column.name for column in schema.main.stored},
        {table.name for table in schema.tables},
    )
    existing = database.columns(main)
    return ObsoleteSchema(
        tuple(name for name in columns if name in existing and name not in columns_now),
        tuple(
            table
            for table in nested.tables[1:]
            if table.name not in tables_now and database.columns(table.name)
        ),
    )


def ensure_tables(database: Database, schema: StreamSchema) -> None:
    """
    Make the tables that there are not, add the columns that they lack, and widen those that are too narrow.

    :raises AlvysTableError: a column of another type, that cannot be widened without a loss.
    """
    for table in schema.tables:
        columns = database.columns(table.name)
        if columns:
            _migrate_table(database, table, columns)
        else:
            types = [(column.name, database.dialect.types[column.kind]) for column in table.stored]
            database.execute(database.dialect.create(database.table(table.name), types, table.primary_key))
            log.info("Made the table %s", database.table(table.name))


def _migrate_table(database: Database, table: Table, columns: Mapping[str, str]) -> None:
    dialect = database.dialect
    name = database.table(table.name)
    known = {dialect.fold(column): type_name for column, type_name in columns.items()}
    keys = table.primary_key
    for column in table.stored:
        type_name = known.get(dialect.fold(column.name))
        if type_name is None:
            if column.name in keys:
                raise AlvysTableError(
                    f"The table {name} has no column {column.name}, which identifies its rows: it was not made by this package. "
                    "Give another table or schema, or rename that table"
                )
            database.execute(dialect.add(name, column.name, column.kind))
            log.info("Added the column %s to %s", column.name, name)
            continue
        held = dialect.held(type_name)
        if held and held[1] and _can_hold(database, held[0], column.kind):
            continue
        if held and column.name not in keys and (_can_widen(database, held[0], column.kind)):
            try:
                for statement in dialect.widen(name, column.name, column.kind):
                    database.execute(statement)
            except Exception as error:
                raise AlvysTableError(
                    f"The column {column.name} of {name} is {type_name} and cannot be made {dialect.types[column.kind]}: {error}."
                    " Drop the views and indexes that use it, and make them again when the load is done"
                ) from error
            log.info(
                "The column %s of %s is %s now, which was %s",
                column.name,
                name,
                dialect.types[column.kind],
                type_name,
            )
            continue
        instead = "Give another table or schema, or rename that table"
        if column.name not in keys:
            instead = f"Rename the column: a new one is added beside it. Or keep the field out with exclude=[{column.field!r}]"
        raise AlvysTableError(
            f"The column {column.name} of {name} is {type_name}, and what comes is {dialect.types[column.kind]} "
            f"(Alvys's {column.field or column.name}), which it cannot hold without a loss. {instead}"
        )


def _can_hold(database: Database, held: Kind, wanted: Kind) -> bool:
    """Tell whether a column of a kind takes all values of another one."""
    types = database.dialect.types
    return types[held] == types[wanted] or held in _WIDER.get(wanted, ())


def _can_widen(database: Database, held: Kind, wanted: Kind) -> bool:
    """Tell whether what a column of a kind holds has its place in one of another kind."""
    types = database.dialect.types
    return types[held] == types[wanted] or wanted in _WIDER.get(held, ())
