"""SQL dialects: types, names, and the statements that databases write differently."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.values import Kind, TypeLimits
from airflow_provider_alvys.api.suggestions import suggest

# The view of how fresh the tables are.
FRESHNESS = "alvys_freshness"
_RESERVED_PREFIXES = ("_alvys_", "alvys_new_", "alvys_gone", FRESHNESS)
# The kind of an existing column's type, and whether it stores every value of that kind.
ExistingType = tuple[Kind, bool]
# Columns of two tables that are compared with each other.
Pairs = Sequence[tuple[str, str]]
# Converts a value to what the driver accepts.
Renderer = Callable[[Any], Any]


@dataclass(frozen=True)
class Dialect:
    """
    One database's SQL.

    :param provider: the distribution with Airflow's hook for it.
    :param types: the column type of each kind.
    :param existing_types: patterns of column types as the database reports them, and what they store.
    :param path_type: type of a key column that contains the path of a manifest.
    :param limits: the largest values that the types can store.
    :param max_name_bytes: longest name of a table or column.
    :param second_digits: digits that a time keeps after the seconds, at least 1.
    :param quote_char: the character around names.
    :param utc_suffix: the text after a time in UTC.
    :param temp_schema: the schema of temporary tables.
    :param table_options: text at the end of CREATE TABLE.
    :param is_case_insensitive: whether two columns of a table cannot differ in case only.
    :param is_file: whether a connection without a path is a database that ends with the task.
    :param scheme: of the database in lineage.
    :param port: the default one.
    :param default_schema: where the tables are without a schema; None if a schema is a database.
    """

    name: str
    provider: str
    types: Mapping[Kind, str]
    existing_types: Sequence[tuple[str, ExistingType]]
    path_type: str = "TEXT"
    limits: TypeLimits = field(default_factory=TypeLimits)
    max_name_bytes: int = 63
    second_digits: int = 6
    quote_char: str = '"'
    utc_suffix: str = "+00:00"
    temp_schema: str = "temp"
    table_options: str = ""
    is_case_insensitive: bool = True
    is_file: bool = False
    scheme: str = ""
    port: int | None = None
    default_schema: str | None = None

    def quote(self, name: str) -> str:
        """Return a name in quotes."""
        return f"{self.quote_char}{name.replace(self.quote_char, self.quote_char * 2)}{self.quote_char}"

    def table(self, name: str, schema: str | None = None) -> str:
        """Return a table's quoted name, with the schema if there is one."""
        return f"{self.quote(schema)}.{self.quote(name)}" if schema else self.quote(name)

    def shorten(self, name: str) -> str:
        """Return a name; if it is too long, its beginning and a hash of the full name."""
        if len(name.encode()) <= self.max_name_bytes:
            return name
        ending = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return name.encode()[: self.max_name_bytes - len(ending)].decode(errors="ignore") + ending

    def check_name(self, name: Any, parameter: str) -> None:
        """
        Check a name given by the user.

        :raises AlvysValueError: it is empty, too long, reserved, or contains an unsupported character.
        """
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            problem = "must be a name without spaces around it"
        elif "%" in name or "?" in name or not name.isprintable():
            problem = "contains a character that SQL drivers do not pass on: use letters, digits and _"
        elif name.lower().startswith(_RESERVED_PREFIXES):
            problem = "begins like the names of this package's own tables: choose another one"
        elif len(name.encode()) > self.max_name_bytes:
            problem = f"has {len(name.encode())} bytes; {self.name} allows {self.max_name_bytes}"
        else:
            return
        raise AlvysValueError(f"{parameter}={name!r} {problem}")

    def fold_name(self, name: str) -> str:
        """Return a column's name in the form that the database compares."""
        return name.lower() if self.is_case_insensitive else name

    def existing_type(self, type_name: str) -> ExistingType | None:
        """Return what an existing column's type stores, or None for an unknown type."""
        types = self.existing_types
        return next((found for pattern, found in types if re.fullmatch(pattern, type_name, re.I)), None)

    def renderer(self, kind: Kind) -> Renderer | None:
        """Return the function that converts values of a kind for the driver, or None if none is needed."""
        length = 20 + self.second_digits
        if kind == "timestamp":
            return lambda value: value[:length] + self.utc_suffix
        if kind == "wall":
            return lambda value: value[:length]
        return None

    def number(self, column: str) -> str:
        """Return a column of decimals as a number."""
        return column

    def age_seconds(self, column: str) -> str:
        """Return the number of seconds from a time to now, an integer."""
        return f"CAST(FLOOR(EXTRACT(EPOCH FROM now()) - EXTRACT(EPOCH FROM {column})) AS BIGINT)"

    def create_table(self, table: str, columns: Sequence[tuple[str, str]], key: Sequence[str]) -> str:
        """Return the statement that creates a table with a primary key, if it does not exist."""
        lines = [f"{self.quote(name)} {kind}{' NOT NULL' if name in key else ''}" for name, kind in columns]
        lines.append(f"PRIMARY KEY ({', '.join(map(self.quote, key))})")
        body = ",\n    ".join(lines)
        return f"CREATE TABLE IF NOT EXISTS {table} (\n    {body}\n){self.table_options}"

    def add_column(self, table: str, column: str, kind: Kind) -> str:
        """Return the statement that adds a column."""
        return f"ALTER TABLE {table} ADD COLUMN {self.quote(column)} {self.types[kind]}"

    def widen_column(self, table: str, column: str, kind: Kind) -> list[str]:
        """Return the statements that give a column a wider type."""
        return [f"ALTER TABLE {table} ALTER COLUMN {self.quote(column)} TYPE {self.types[kind]}"]

    def create_stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        """Return the statements that create an empty temporary table with columns of another table."""
        names = ", ".join(map(self.quote, columns))
        return [f"CREATE TEMPORARY TABLE {self.quote(stage)} AS SELECT {names} FROM {table} WHERE 1 = 0"]

    def drop_stage(self, stage: str) -> str:
        """Return the statement that drops a temporary table if it exists."""
        return f"DROP TABLE IF EXISTS {self.temp_schema}.{self.quote(stage)}"

    def join_on(self, one: str, other: str, pairs: Pairs) -> str:
        """Return the condition that the paired columns of two tables are equal."""
        return " AND ".join(f"{one}.{self.quote(a)} = {other}.{self.quote(b)}" for a, b in pairs)

    def update(self, table: str, source: str, columns: Sequence[str], pairs: Pairs, where: str = "") -> str:
        """Return the statement that copies columns from source rows ``s`` to the matching rows ``t``."""
        values = ", ".join(f"{name} = s.{name}" for name in map(self.quote, columns))
        condition = self.join_on("t", "s", pairs) + (f" AND ({where})" if where else "")
        return f"UPDATE {table} AS t SET {values} FROM {source} AS s WHERE {condition}"

    def delete(self, table: str, source: str, pairs: Pairs, where: str = "") -> str:
        """Return the statement that deletes the rows ``t`` that match source rows ``s``."""
        condition = self.join_on("t", "s", pairs) + (f" AND ({where})" if where else "")
        return f"DELETE FROM {table} AS t USING {source} AS s WHERE {condition}"


class _SQLite(Dialect):
    """SQLite cannot change a column's type, and DELETE has no USING."""

    def renderer(self, kind: Kind) -> Renderer | None:
        return (lambda value: format(value, "f")) if kind == "decimal" else super().renderer(kind)

    def number(self, column: str) -> str:
        return f"CAST({column} AS REAL)"

    def age_seconds(self, column: str) -> str:
        return f"(CAST(strftime('%s', 'now') AS INTEGER) - CAST(strftime('%s', {column}) AS INTEGER))"

    def widen_column(self, table: str, column: str, kind: Kind) -> list[str]:
        old, new = self.quote(column), self.quote(f"{column}__wider")
        return [
            f"ALTER TABLE {table} ADD COLUMN {new} {self.types[kind]}",
            f"UPDATE {table} SET {new} = {old}",
            f"ALTER TABLE {table} DROP COLUMN {old}",
            f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}",
        ]

    def create_stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        names = ", ".join(map(self.quote, key))
        index = self.quote(f"{stage}_key")
        return [
            *super().create_stage(stage, table, columns, key),
            f"CREATE INDEX temp.{index} ON {self.quote(stage)} ({names})",
        ]

    def delete(self, table: str, source: str, pairs: Pairs, where: str = "") -> str:
        names = ", ".join(self.quote(name) for name, _ in pairs)
        theirs = ", ".join(f"s.{self.quote(name)}" for _, name in pairs)
        if not where:
            return f"DELETE FROM {table} WHERE ({names}) IN (SELECT {theirs} FROM {source} AS s)"
        return (
            f"DELETE FROM {table} WHERE rowid IN (SELECT t.rowid FROM {table} AS t JOIN {source} AS s "
            f"ON {self.join_on('t', 's', pairs)} WHERE {where})"
        )


class _MySQL(Dialect):
    """MySQL: JOIN precedes SET; DROP TEMPORARY TABLE avoids an implicit commit."""

    def age_seconds(self, column: str) -> str:
        return f"TIMESTAMPDIFF(SECOND, {column}, UTC_TIMESTAMP())"

    def drop_stage(self, stage: str) -> str:
        return f"DROP TEMPORARY TABLE IF EXISTS {self.quote(stage)}"

    def widen_column(self, table: str, column: str, kind: Kind) -> list[str]:
        return [f"ALTER TABLE {table} MODIFY COLUMN {self.quote(column)} {self.types[kind]}"]

    def create_stage(self, stage: str, table: str, columns: Sequence[str], key: Sequence[str]) -> list[str]:
        names, keys = (", ".join(map(self.quote, some)) for some in (columns, key))
        select = f"SELECT {names} FROM {table} WHERE 1 = 0"
        return [f"CREATE TEMPORARY TABLE {self.quote(stage)} (KEY ({keys})) AS {select}"]

    def update(self, table: str, source: str, columns: Sequence[str], pairs: Pairs, where: str = "") -> str:
        values = ", ".join(f"t.{name} = s.{name}" for name in map(self.quote, columns))
        join = f"{table} AS t JOIN {source} AS s ON {self.join_on('t', 's', pairs)}"
        return f"UPDATE {join} SET {values}{f' WHERE {where}' if where else ''}"

    def delete(self, table: str, source: str, pairs: Pairs, where: str = "") -> str:
        join = f"{table} AS t JOIN {source} AS s ON {self.join_on('t', 's', pairs)}"
        return f"DELETE t FROM {join}{f' WHERE {where}' if where else ''}"


# At most as many digits after the point as DECIMAL(38,10) keeps.
_NARROW = r"decimal\(\d+,(?:\d|10)\)"
_SIZE = r"(?:\(\s*\d+\s*(?:,\s*\d+\s*)?\))?"
_FIXED = TypeLimits(whole_digits=28, fraction_digits=10)

POSTGRESQL = Dialect(
    name="PostgreSQL",
    provider="apache-airflow-providers-postgres",
    types={
        "key": "TEXT",
        "text": "TEXT",
        "integer": "BIGINT",
        "decimal": "NUMERIC",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "date": "DATE",
        # JSONB rejects NUL and unpaired surrogates, and changes numbers.
        "json": "JSON",
    },
    existing_types=(
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
    temp_schema="pg_temp",
    scheme="postgres",
    port=5432,
    default_schema="public",
    is_case_insensitive=False,
    # An index entry has at most 2,704 bytes: tenant, parent and key together.
    limits=TypeLimits(whole_digits=100_000, fraction_digits=16_000, key_length=600, key_bytes=850),
)
SQLITE = _SQLite(
    name="SQLite",
    provider="apache-airflow-providers-sqlite",
    is_file=True,
    scheme="sqlite",
    # SQLite stores a fraction as a float: text keeps its digits.
    types={
        **dict.fromkeys(("key", "text", "decimal", "timestamp", "wall", "date", "json"), "TEXT"),
        **dict.fromkeys(("integer", "boolean"), "INTEGER"),
    },
    existing_types=(
        (r"(?:var)?char\(\d+\)|text|clob|json", ("text", True)),
        (r"(?:big|small)?int(?:eger)?|boolean", ("integer", True)),
    ),
    max_name_bytes=255,
    second_digits=7,
)
DUCKDB = Dialect(
    name="DuckDB",
    provider="airflow-provider-duckdb",
    is_file=True,
    scheme="duckdb",
    types={
        "key": "VARCHAR",
        "text": "VARCHAR",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,10)",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "date": "DATE",
        # JSON rejects unpaired surrogates; the JSON functions accept text.
        "json": "VARCHAR",
    },
    existing_types=(
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
    max_name_bytes=255,
)
MYSQL = _MySQL(
    name="MariaDB",
    provider="apache-airflow-providers-mysql",
    scheme="mysql",
    port=3306,
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
    existing_types=(
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
    path_type="VARCHAR(500)",
    limits=TypeLimits(whole_digits=28, fraction_digits=10, key_length=255),
    max_name_bytes=64,
    quote_char="`",
    utc_suffix="",
)

# By the type of the Airflow connection, which is also the name of the package's extra with its provider.
DIALECTS: Mapping[str, Dialect] = {"postgres": POSTGRESQL, "sqlite": SQLITE, "duckdb": DUCKDB, "mysql": MYSQL}


def get_dialect(conn_type: str | None) -> Dialect:
    """
    Return the dialect of a connection type.

    :raises AlvysValueError: the operator does not support the database.
    """
    if conn_type is None or conn_type not in DIALECTS:
        raise AlvysValueError(
            f"Connections of type {conn_type!r} are not supported.{suggest(conn_type, DIALECTS, 'Types')} "
            "For Snowflake, BigQuery, Redshift and SQL Server see docs/reference/warehouses.md"
        )
    return DIALECTS[conn_type]
