"""Database connections: statements, transactions under a lock, and bulk inserts."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.dialects import DUCKDB, MYSQL, POSTGRESQL, SQLITE, Dialect, Renderer

# How long a load waits for another load of the same table, where the database needs a limit.
_LOCK_SECONDS = 600
# Rows that become CSV at once: more do not fit into the processor's cache and take longer.
_CSV_ROWS = 100


class Database(ABC):
    """
    A connection to a database.

    :param connection: a DB API connection; :meth:`close` closes it.
    :param schema: the schema of the tables; None for the connection's own.
    :raises AlvysTableError: neither names a schema, and the database needs one.
    """

    dialect: Dialect
    placeholder = "%s"
    # SQL that returns the connection's own schema, where unqualified names may be found in several schemas.
    current_schema = ""

    def __init__(self, connection: Any, schema: str | None = None) -> None:
        self.schema = schema
        self._connection = connection
        self._cursor = self._prepare()
        if self.schema is None and self.current_schema:
            ((self.schema,),) = self.execute(f"SELECT {self.current_schema} AS here")
            self._connection.commit()
            if self.schema is None:
                raise AlvysTableError("The connection has no schema for the tables: set the parameter schema")

    def _prepare(self) -> Any:
        return self._connection.cursor()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """
        Run a statement and return its rows.

        :param sql: a statement with ``?`` for each value.
        """
        if values:
            self._cursor.execute(sql.replace("?", self.placeholder), tuple(values))
        else:
            self._cursor.execute(sql)
        if self._cursor.description is None:
            return []
        # A connection may be set to return dicts.
        rows = self._cursor.fetchall()
        return [tuple(row.values()) if isinstance(row, Mapping) else tuple(row) for row in rows]

    def change(self, sql: str) -> int:
        """Run an INSERT or DELETE and return the number of rows."""
        self.execute(sql)
        return int(self._cursor.rowcount)

    def table(self, name: str) -> str:
        """Return a table's quoted name."""
        return self.dialect.table(self.dialect.shorten(name), self.schema)

    @contextmanager
    def transaction(self, lock: str) -> Iterator[None]:
        """
        Run the block in a transaction, which an error rolls back.

        :param lock: a name; only one transaction with it runs at a time.
        :raises AlvysTableError: another transaction keeps the lock for too long.
        """
        self._begin(lock)
        try:
            yield
            self._connection.commit()
        except BaseException:
            # The first error says more than one about a lost connection.
            with suppress(Exception):
                self._connection.rollback()
            raise
        finally:
            with suppress(Exception):
                self._release(lock)

    @abstractmethod
    def _begin(self, lock: str) -> None:
        """Begin a transaction and take the lock."""

    def _release(self, lock: str) -> None:  # noqa: B027
        """Release the lock, where the end of the transaction does not."""

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """Return the columns and reported types of a table; empty if it does not exist."""

    def fill(self, stage: str, columns: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows into a temporary table."""
        names = ", ".join(self.dialect.quote(name) for name, _ in columns)
        marks = ", ".join([self.placeholder] * len(columns))
        sql = f"INSERT INTO {self.dialect.quote(stage)} ({names}) VALUES ({marks})"
        values = [list(row) for row in rows]
        for at, (_, kind) in enumerate(columns):
            if render := self.dialect.renderer(kind):
                for row in values:
                    row[at] = None if row[at] is None else render(row[at])
        self._cursor.executemany(sql, values)

    def _as_csv(self, columns: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[Any]]) -> list[bytes]:
        r"""Return lines of CSV with ``\N`` for NULL and quotes around texts."""
        renderers = [(kind, self.dialect.renderer(kind)) for _, kind in columns]
        lines: list[bytes] = []
        rest = iter(rows)
        # Column by column takes half the time of cell by cell.
        while batch := list(islice(rest, _CSV_ROWS)):
            values = zip(renderers, zip(*batch, strict=True), strict=True)
            cells = [_csv_cells(kind, render, column) for (kind, render), column in values]
            lines += [f"{','.join(line)}\n".encode() for line in zip(*cells, strict=True)]
        return lines

    def analyze(self, stage: str, columns: Sequence[str]) -> None:  # noqa: B027
        """Update the database's statistics on columns of a temporary table, where that helps."""

    def end_reads(self) -> None:
        """End the transaction that a SELECT may have begun, which would keep tables from being migrated."""
        self._connection.commit()

    def json_text(self, column: str) -> str:
        """Return an expression for a column of JSON, so that the driver returns its text."""
        return column

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def render(self, kind: Kind, value: Any) -> Any:
        """Return a value as the driver accepts it."""
        render = self.dialect.renderer(kind)
        return value if render is None or value is None else render(value)


_TRUTH = {None: "\\N", True: "true", False: "false"}


def _csv_cells(kind: Kind, render: Renderer | None, values: Sequence[Any]) -> list[str]:
    if kind == "boolean":
        return [_TRUTH[value] for value in values]
    if kind in ("integer", "decimal"):
        return ["\\N" if value is None else str(value) for value in values]
    if render:
        return ["\\N" if value is None else f'"{render(value)}"' for value in values]
    return ["\\N" if value is None else '"' + value.replace('"', '""') + '"' for value in values]


class PostgreSQL(Database):
    """PostgreSQL, with psycopg or psycopg2."""

    dialect = POSTGRESQL
    current_schema = "current_schema()"

    def _prepare(self) -> Any:
        self._connection.autocommit = False
        cursor = self._connection.cursor()
        # A timestamp that is widened to text is written in this time zone.
        cursor.execute("SET TIME ZONE 'UTC'")
        # After waiting for another load, a transaction must see its rows.
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self._connection.commit()
        return cursor

    def _begin(self, lock: str) -> None:
        # The first statement begins the transaction; the lock ends with it.
        self.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"alvys {self.schema} {lock}",))
        # With the default, for spinning disks, a search for a few rows would scan a large table.
        self.execute("SET LOCAL random_page_cost = 1.1")

    def columns(self, table: str) -> dict[str, str]:
        name = self.table(table)
        rows = self.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (name,),
        )
        return {str(column): str(type_name) for column, type_name in rows}

    def fill(self, stage: str, columns: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[Any]]) -> None:
        names = ", ".join(self.dialect.quote(name) for name, _ in columns)
        options = "FORMAT csv, NULL E'\\\\N', ENCODING 'UTF8'"
        sql = f"COPY {self.dialect.quote(stage)} ({names}) FROM STDIN ({options})"
        content = b"".join(self._as_csv(columns, rows))
        if hasattr(self._cursor, "copy_expert"):
            self._cursor.copy_expert(sql, io.BytesIO(content))
            return
        with self._cursor.copy(sql) as copy:
            copy.write(content)

    def json_text(self, column: str) -> str:
        # The driver would decode it, with floats.
        return f"CAST({column} AS TEXT)"

    def analyze(self, stage: str, columns: Sequence[str]) -> None:
        self.execute(f"ANALYZE {self.dialect.quote(stage)} ({', '.join(map(self.dialect.quote, columns))})")


class SQLite(Database):
    """SQLite, with one writing transaction at a time."""

    dialect = SQLITE
    placeholder = "?"

    def _prepare(self) -> Any:
        # The transactions of Python's driver do not include CREATE TABLE.
        self._connection.isolation_level = None
        cursor = self._connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000}")
        return cursor

    def _begin(self, lock: str) -> None:
        self.execute("BEGIN IMMEDIATE")

    def columns(self, table: str) -> dict[str, str]:
        sql = "SELECT name, type FROM pragma_table_info(?, ?)"
        rows = self.execute(sql, (self.dialect.shorten(table), self.schema or "main"))
        return {str(name): str(type_name) for name, type_name in rows}


class DuckDB(Database):
    """DuckDB, with one process at a time."""

    dialect = DUCKDB
    placeholder = "?"

    def _prepare(self) -> Any:
        # A cursor would be a separate connection.
        return self._connection

    def _begin(self, lock: str) -> None:
        self._connection.begin()

    def end_reads(self) -> None:
        # Each SELECT is a transaction of its own.
        pass

    def change(self, sql: str) -> int:
        ((count,),) = self.execute(sql)
        return int(count)

    def columns(self, table: str) -> dict[str, str]:
        rows = self.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
            "AND schema_name = coalesce(?, current_schema()) AND database_name = current_database() "
            "ORDER BY column_index",
            (self.dialect.shorten(table), self.schema),
        )
        return {str(name): str(type_name) for name, type_name in rows}

    def fill(self, stage: str, columns: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[Any]]) -> None:
        lines = self._as_csv(columns, rows)
        names = ", ".join(self.dialect.quote(name) for name, _ in columns)
        longest = max(map(len, lines), default=0)
        with tempfile.NamedTemporaryFile(prefix="alvys-", suffix=".csv", delete=False) as file:
            file.writelines(lines)
        try:
            path = file.name.replace("'", "''")
            self.execute(
                f"COPY {self.dialect.quote(stage)} ({names}) FROM '{path}' (FORMAT csv, HEADER false, "
                "AUTO_DETECT false, DELIM ',', QUOTE '\"', ESCAPE '\"', NULLSTR '\\N', "
                "ALLOW_QUOTED_NULLS false, PARALLEL false, NEW_LINE '\\n', "
                f"MAX_LINE_SIZE {max(2_097_152, 2 * longest)}, BUFFER_SIZE {max(16_777_216, 8 * longest)})"
            )
        finally:
            os.unlink(file.name)


class MySQL(Database):
    """MariaDB or MySQL, with mysqlclient or mysql-connector-python."""

    dialect = MYSQL
    current_schema = "DATABASE()"

    def _prepare(self) -> Any:
        if hasattr(self._connection, "set_charset_collation"):
            self._connection.set_charset_collation("utf8mb4")
        else:
            self._connection.set_character_set("utf8mb4")
        cursor = self._connection.cursor()
        modes = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
        cursor.execute(f"SET SESSION sql_mode = '{modes}'")
        cursor.execute("SELECT VERSION() AS version")
        (row,) = cursor.fetchall()
        version = str(next(iter(row.values())) if isinstance(row, Mapping) else row[0])
        # With the default, 'a', 'A' and 'a ' are the same key.
        collation = "utf8mb4_nopad_bin" if "MariaDB" in version else "utf8mb4_0900_bin"
        options = f" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
        self.dialect = replace(self.dialect, table_options=options)
        if self.schema is not None:
            # Temporary tables need a database, too.
            cursor.execute(f"USE {self.dialect.quote(self.schema)}")
        self._connection.commit()
        return cursor

    def _begin(self, lock: str) -> None:
        ((got,),) = self.execute("SELECT GET_LOCK(?, ?)", (_lock_name(self.schema, lock), _LOCK_SECONDS))
        if got != 1:
            raise AlvysTableError(
                f"Another load of {lock} has been running for over {_LOCK_SECONDS} s. Retry later"
            )
        # End the snapshot of the reads before the lock.
        self._connection.commit()

    def _release(self, lock: str) -> None:
        self.execute("SELECT RELEASE_LOCK(?)", (_lock_name(self.schema, lock),))

    def columns(self, table: str) -> dict[str, str]:
        rows = self.execute(
            "SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
            (self.schema, self.dialect.shorten(table)),
        )
        return {str(name): str(type_name) for name, type_name in rows}


def _lock_name(schema: str | None, lock: str) -> str:
    return f"alvys {hashlib.sha256(f'{schema} {lock}'.encode()).hexdigest()[:32]}"


_DATABASES: Mapping[str, type[Database]] = {
    database.dialect.name: database for database in (PostgreSQL, SQLite, DuckDB, MySQL)
}


def open_database(connection: Any, dialect: Dialect, schema: str | None = None) -> Database:
    """Return the database of a driver's connection."""
    return _DATABASES[dialect.name](connection, schema)
