"""What differs between databases: types, names, and the few statements that no two of them spell alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.values import Kind, Limits

_OURS = ("_alvys_", "alvys_new_", "alvys_gone")
# A type that exists, and whether it holds all that the one of the same kind does that we would make.
Held = tuple[Kind, bool]
Render = Callable[[Any], Any]


@dataclass(frozen=True)
class Dialect:
    """
    How a database wants things said.

    :param types: of columns, by kind.
    :param address_type: of a column that holds the path of a manifest and is part of a key.
    :param known: patterns of the types that columns may have already, as the database names them, and what those hold.
    :param longest_name: characters or bytes of a name.
    :param digits: of a second that a time keeps.
    :param mark: around names.
    :param zone: behind a time in UTC.
    :param temporary: the schema of temporary tables.
    :param table_options: at the end of CREATE TABLE.
    :param folds_case: whether no table has two columns whose names differ in case only.
    """

    name: str
    types: Mapping[Kind, str]
    known: Sequence[tuple[str, Held]]
    address_type: str = "TEXT"
    limits: Limits = field(default_factory=Limits)
    longest_name: int = 63
    digits: int = 6
    mark: str = '"'
    zone: str = "+00:00"
    temporary: str = "temp"
    table_options: str = ""
    folds_case: bool = True

    def quote(self, name: str) -> str:
        """Return a name as it stands in a statement, whatever it is made of."""
        return f"{self.mark}{name.replace(self.mark, self.mark * 2)}{self.mark}"

    def table(self, name: str, schema: str | None = None) -> str:
        """Return a table's name as it stands in a statement."""
        return f"{self.quote(schema)}.{self.quote(name)}" if schema else self.quote(name)

    def fit(self, name: str) -> str:
        """Return a name, or where it is too long, its beginning and a hash of all of it."""
        if len(name.encode()) <= self.longest_name:
            return name
        ending = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return name.encode()[: self.longest_name - len(ending)].decode(errors="ignore") + ending

    def check_name(self, name: Any, what: str) -> str:
        """
        Return a name that a user gives.

        :raises AlvysValueError: it is too long, empty, or holds what no driver can pass on.
        """
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise AlvysValueError(f"{what}={name!r} must be a name, without spaces around it")
        if "%" in name or "?" in name or not name.isprintable():
            raise AlvysValueError(
                f"{what}={name!r} has a character that cannot stand in a statement: use letters, digits and _"
            )
        if name.lower().startswith(_OURS):
            raise AlvysValueError(
                f"{what}={name!r} begins as the names of this package's own tables do: choose another one"
            )
        if len(name.encode()) > self.longest_name:
            raise AlvysValueError(
                f"{what}={name!r} has {len(name.encode())} bytes, and {self.name} takes {self.longest_name}"
            )
        return name

    def fold(self, name: str) -> str:
        """Return a column's name in the form in which the database compares it."""
        return name.lower() if self.folds_case else name

    def held(self, type_name: str) -> Held | None:
        """Return what a type of an existing column holds, or None for one that is none of ours."""
        return next(
            (held for pattern, held in self.known if re.fullmatch(pattern, type_name, re.IGNORECASE)), None
        )

    def render(self, kind: Kind) -> Render | None:
        """Return what turns a value into what the driver is given, or None where that is the value itself."""
        length = 20 + self.digits if self.digits else 19
        if kind == "timestamp":
            return lambda value: value[:length] + self.zone
        if kind == "wall":
            return lambda value: value[:length]
        return None

    def create(
        self, table: str, columns: Sequence[tuple[str, str]], key: Sequence[str], *, if_missing: bool = True
    ) -> str:
        """Return the statement that makes a table with a primary key."""
        lines = [
            f"{self.quote(name)} {type_name}{' NOT NULL' if name in key else ''}"
            for name, type_name in columns
        ]
        lines.append(f"PRIMARY KEY ({', '.join(map(self.quote, key))})")
        body = ",\n    ".join(lines)
        return f"CREATE TABLE {'IF NOT EXISTS ' if if_missing else ''}{table} (\n    {body}\n){self.table_options}"

    def add(self, table: str, column: str, kind: Kind) -> str:
        """Return the statement that adds a column."""
        return f"ALTER TABLE {table} ADD COLUMN {self.quote(column)} {self.types[kind]}"

    def widen(self, table: str, column: str, kind: Kind) -> list[str]:
        """Return the statements that give a column a wider type."""
        return [f"ALTER TABLE {table} ALTER COLUMN {self.quote(column)} TYPE {self.types[kind]}"]

    def stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        """Return the statements that make an empty temporary table with columns of another one, found by its key."""
        names = ", ".join(map(self.quote, columns))
        return [f"CREATE TEMPORARY TABLE {self.quote(stage)} AS SELECT {names} FROM {table} WHERE 1 = 0"]

    def drop(self, stage: str) -> str:
        """Return the statement that drops a temporary table, if there is one."""
        return f"DROP TABLE IF EXISTS {self.temporary}.{self.quote(stage)}"

    def on(self, one: str, other: str, pairs: Sequence[tuple[str, str]]) -> str:
        """Return the condition that rows of two tables agree in columns."""
        return " AND ".join(
            f"{one}.{self.quote(left)} = {other}.{self.quote(right)}" for left, right in pairs
        )

    def update(
        self,
        table: str,
        source: str,
        columns: Sequence[str],
        pairs: Sequence[tuple[str, str]],
        where: str = "",
    ) -> str:
        """Return the statement that sets columns of rows ``t`` to those of the rows ``s`` that agree with them."""
        values = ", ".join(f"{self.quote(name)} = s.{self.quote(name)}" for name in columns)
        condition = f" AND ({where})" if where else ""
        return (
            f"UPDATE {table} AS t SET {values} FROM {source} AS s WHERE {self.on('t', 's', pairs)}{condition}"
        )

    def delete(self, table: str, source: str, pairs: Sequence[tuple[str, str]], where: str = "") -> str:
        """Return the statement that deletes the rows ``t`` that agree with rows ``s``."""
        condition = f" AND ({where})" if where else ""
        return f"DELETE FROM {table} AS t USING {source} AS s WHERE {self.on('t', 's', pairs)}{condition}"


class _SQLite(Dialect):
    """The types are how values are kept, not what they are; and a column's type cannot be changed."""

    def widen(self, table: str, column: str, kind: Kind) -> list[str]:
        old, new = self.quote(column), self.quote(f"{column}__wider")
        return [
            f"ALTER TABLE {table} ADD COLUMN {new} {self.types[kind]}",
            f"UPDATE {table} SET {new} = {old}",
            f"ALTER TABLE {table} DROP COLUMN {old}",
            f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}",
        ]

    def stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        names = ", ".join(map(self.quote, key))
        index = self.quote(f"{stage}_key")
        return [
            *super().stage(stage, table, columns, key),
            f"CREATE INDEX temp.{index} ON {self.quote(stage)} ({names})",
        ]

    def delete(self, table: str, source: str, pairs: Sequence[tuple[str, str]], where: str = "") -> str:
        names = ", ".join(self.quote(name) for name, _ in pairs)
        theirs = ", ".join(f"s.{self.quote(name)}" for _, name in pairs)
        if not where:
            return f"DELETE FROM {table} WHERE ({names}) IN (SELECT {theirs} FROM {source} AS s)"
        return (
            f"DELETE FROM {table} WHERE rowid IN (SELECT t.rowid FROM {table} AS t JOIN {source} AS s "
            f"ON {self.on('t', 's', pairs)} WHERE {where})"
        )


class _MySQL(Dialect):
    """Joins stand before what is done with them, and to drop a table ends the transaction unless it is said to be temporary."""

    def drop(self, stage: str) -> str:
        return f"DROP TEMPORARY TABLE IF EXISTS {self.quote(stage)}"

    def widen(self, table: str, column: str, kind: Kind) -> list[str]:
        return [f"ALTER TABLE {table} MODIFY COLUMN {self.quote(column)} {self.types[kind]}"]

    def stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        names = ", ".join(map(self.quote, columns))
        keys = ", ".join(map(self.quote, key))
        return [
            f"CREATE TEMPORARY TABLE {self.quote(stage)} (KEY ({keys})) AS SELECT {names} FROM {table} WHERE 1 = 0"
        ]

    def update(
        self,
        table: str,
        source: str,
        columns: Sequence[str],
        pairs: Sequence[tuple[str, str]],
        where: str = "",
    ) -> str:
        values = ", ".join(f"t.{self.quote(name)} = s.{self.quote(name)}" for name in columns)
        condition = f" WHERE {where}" if where else ""
        return f"UPDATE {table} AS t JOIN {source} AS s ON {self.on('t', 's', pairs)} SET {values}{condition}"

    def delete(self, table: str, source: str, pairs: Sequence[tuple[str, str]], where: str = "") -> str:
        condition = f" WHERE {where}" if where else ""
        return f"DELETE t FROM {table} AS t JOIN {source} AS s ON {self.on('t', 's', pairs)}{condition}"


# No more digits after the point than we would keep.
_NARROW = r"decimal\(\d+,(?:\d|10)\)"
_SIZE = r"(?:\(\s*\d+\s*(?:,\s*\d+\s*)?\))?"
_FIXED = Limits(whole_digits=28, fraction_digits=10)

POSTGRESQL = Dialect(
    name="PostgreSQL",
    types={
        "key": "TEXT",
        "text": "TEXT",
        "integer": "BIGINT",
        "decimal": "NUMERIC",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "date": "DATE",
        # Not JSONB, which refuses NUL and halves of emoji, and changes numbers.
        "json": "JSON",
    },
    known=(
        ("text", ("text", True)),
        (r"character( varying)?(\(\d+\))?", ("text", False)),
        ("bigint", ("integer", True)),
        ("integer|smallint", ("integer", False)),
        ("numeric", ("decimal", True)),
        (r"numeric\(.*\)", ("decimal", False)),
        ("boolean", ("boolean", True)),
        ("timestamp with time zone", ("timestamp", True)),
        ("timestamp without time zone", ("wall", True)),
        (r"timestamp\(\d\) with time zone", ("timestamp", False)),
        (r"timestamp\(\d\) without time zone", ("wall", False)),
        ("date", ("date", True)),
        ("json", ("json", True)),
        ("jsonb", ("json", False)),
    ),
    temporary="pg_temp",
    folds_case=False,
    # An index takes 2,704 bytes for tenant, parent and key together.
    limits=Limits(whole_digits=100_000, fraction_digits=16_000, key_length=600, key_bytes=850),
)
SQLITE = _SQLite(
    name="SQLite",
    # A number with a fraction would be kept as a float: as a text it keeps its digits.
    types={
        "key": "TEXT",
        "text": "TEXT",
        "integer": "INTEGER",
        "decimal": "TEXT",
        "boolean": "INTEGER",
        "timestamp": "TEXT",
        "wall": "TEXT",
        "date": "TEXT",
        "json": "TEXT",
    },
    known=(
        (r"(?:var)?char\(\d+\)|text|clob|json", ("text", True)),
        (r"(?:big|small)?int(?:eger)?|boolean", ("integer", True)),
    ),
    longest_name=255,
    digits=7,
)
DUCKDB = Dialect(
    name="DuckDB",
    types={
        "key": "VARCHAR",
        "text": "VARCHAR",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,10)",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "date": "DATE",
        # Not JSON, which refuses halves of emoji. JSON's functions take a text as well.
        "json": "VARCHAR",
    },
    known=(
        ("VARCHAR|JSON", ("text", True)),
        ("BIGINT", ("integer", True)),
        ("INTEGER|SMALLINT|TINYINT", ("integer", False)),
        (r"DECIMAL\(38,10\)", ("decimal", True)),
        (_NARROW, ("decimal", False)),
        ("BOOLEAN", ("boolean", True)),
        ("TIMESTAMP WITH TIME ZONE", ("timestamp", True)),
        ("TIMESTAMP", ("wall", True)),
        ("DATE", ("date", True)),
    ),
    limits=_FIXED,
    longest_name=255,
)
MYSQL = _MySQL(
    name="MariaDB",
    types={
        "key": "VARCHAR(255)",
        "text": "LONGTEXT",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,10)",
        "boolean": "BOOLEAN",
        # TIMESTAMP ends in 2038.
        "timestamp": "DATETIME(6)",
        "wall": "DATETIME(6)",
        "date": "DATE",
        "json": "LONGTEXT",
    },
    known=(
        ("longtext|json", ("text", True)),
        (r"varchar\(255\)", ("key", True)),
        (r"varchar\(\d+\)|char\(\d+\)|(?:tiny|medium)?text", ("text", False)),
        (rf"bigint{_SIZE}", ("integer", True)),
        (r"tinyint\(1\)", ("boolean", True)),
        (rf"(?:small|medium|tiny)?int{_SIZE}", ("integer", False)),
        (r"decimal\(38,10\)", ("decimal", True)),
        (_NARROW, ("decimal", False)),
        (r"datetime\(6\)", ("timestamp", True)),
        (r"datetime(?:\(\d\))?", ("timestamp", False)),
        ("date", ("date", True)),
    ),
    address_type="VARCHAR(500)",
    limits=Limits(whole_digits=28, fraction_digits=10, key_length=255),
    longest_name=64,
    mark="`",
    zone="",
)

# By the type of the Airflow connection.
DIALECTS: Mapping[str, Dialect] = {"postgres": POSTGRESQL, "sqlite": SQLITE, "duckdb": DUCKDB, "mysql": MYSQL}


def dialect_of(conn_type: str | None) -> Dialect:
    """
    Return the dialect for a type of connection.

    :raises AlvysValueError: a database that is not spoken to by itself.
    """
    if conn_type is None or conn_type not in DIALECTS:
        raise AlvysValueError(
            f"A connection of type {conn_type!r} is not loaded into by this operator, but {', '.join(DIALECTS)} are. For "
            "Snowflake, BigQuery, Redshift and SQL Server see docs/warehouses.md"
        )
    return DIALECTS[conn_type]
