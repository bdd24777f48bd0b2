"""The ledger: the table of loaded manifests, and of what the tables had after the loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_alvys.api.read.windows import in_seconds
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import Column

LEDGER = "_alvys_loads"
_FIRST_COLUMNS = (
    Column("table_name", "key"),
    Column("manifest", "key"),
    Column("tenant", "key"),
    Column("stream", "key"),
    Column("window_by", "text"),
    Column("window_since", "timestamp"),
    Column("window_until", "timestamp"),
    Column("rows", "integer"),
    Column("total", "integer"),
    Column("proof", "text"),
    Column("read_at", "timestamp"),
    Column("loaded_at", "timestamp"),
)
# What can change in an entry. Ledgers of 0.1.0 and 0.2.0 lack these columns.
_STATE_COLUMNS = (
    Column("current_rows", "integer"),
    Column("schema_hash", "text"),
    Column("excluded", "text"),
    Column("table_rows", "text"),
)
# From the manifest; NULL in the entries of ledgers that lacked them.
_RUN_COLUMNS = (
    Column("as_of", "timestamp"),
    Column("requests", "integer"),
    Column("passes", "integer"),
    Column("waited", "decimal"),
    Column("cadence", "integer"),
)
_ADDED_COLUMNS = (*_STATE_COLUMNS, *_RUN_COLUMNS)
_COLUMNS = (*_FIRST_COLUMNS, *_ADDED_COLUMNS)
# The schema hash of a manifest that must be loaded again.
LOAD_AGAIN = ""


def format_timestamp(time: datetime) -> str:
    """Return a time in the form of :mod:`airflow_provider_alvys.api.schema.values`."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}0"


class TableRows(msgspec.Struct, kw_only=True):
    """
    What the tables of a stream had of one tenant after its last load.

    :param rows: number of rows of each table.
    :param manifest: the last manifest that changed rows of the main table; None if it is not known.
    :param key: the key of one of these rows.
    """

    rows: Mapping[str, int]
    manifest: str | None = None
    key: list[str | int] = []


@dataclass(frozen=True)
class LedgerEntry:
    """
    A loaded manifest.

    :param read_at: as the database's driver returns it.
    :param current_rows: number of rows of the main table whose state is from this manifest; None if unknown.
    :param schema_hash: hash of the tables and columns at the time of the load; :data:`LOAD_AGAIN` if the
        manifest must be loaded again; None if unknown.
    :param excluded: the fields that were left out.
    :param table_rows: only in the entry of the tenant's last load.
    """

    manifest: str
    tenant: str
    rows: int
    read_at: Any
    current_rows: int | None
    schema_hash: str | None
    excluded: list[str] = field(default_factory=list)
    table_rows: TableRows | None = None


class Ledger:
    """
    The loaded manifests of one main table.

    :param table: name of the main table.
    """

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self.name = database.table(LEDGER)
        self._quote = database.dialect.quote

    def create(self) -> None:
        """Create the ledger if it does not exist, and add the columns that an older one lacks."""
        dialect = self._database.dialect
        existing = self._database.columns(LEDGER)
        if existing:
            for column in _ADDED_COLUMNS:
                if column.name not in existing:
                    self._database.execute(dialect.add_column(self.name, column.name, column.kind))
            return
        types = [(column.name, dialect.types[column.kind]) for column in _COLUMNS]
        types = [(name, dialect.path_type if name == "manifest" else type_name) for name, type_name in types]
        self._database.execute(dialect.create_table(self.name, types, ("table_name", "manifest")))

    def entries(self) -> list[LedgerEntry]:
        """Return all entries."""
        return self._select("1 = 1")

    def find(self, path: str) -> LedgerEntry | None:
        """Return the entry of a manifest, or None if it is not loaded."""
        return next(iter(self._select(f"{self._quote('manifest')} = ?", path)), None)

    def find_last(self, tenant: str) -> list[LedgerEntry]:
        """Return the entry of the tenant's last load; none if it is not known."""
        return self._select(
            f"{self._quote('tenant')} = ? AND {self._quote('table_rows')} IS NOT NULL", tenant
        )

    def find_copies(self, manifest: Manifest, path: str, name: str) -> list[LedgerEntry]:
        """Return the entries of a manifest at other paths, from which its data set was moved or copied."""
        column = self._quote("manifest")
        where = (
            f"{self._quote('tenant')} = ? AND {self._quote('read_at')} = ? AND {column} LIKE ? AND "
            f"{column} <> ?"
        )
        return self._select(where, manifest.tenant, self._time(manifest.read_from), f"%/{name}", path)

    def has_newer(self, tenant: str, read_at: datetime) -> bool:
        """Return whether a manifest that was read later is loaded and need not be loaded again."""
        schema_hash = self._quote("schema_hash")
        where = (
            f"{self._quote('tenant')} = ? AND {self._quote('read_at')} > ? AND "
            f"({schema_hash} IS NULL OR {schema_hash} <> ?)"
        )
        sql = f"SELECT COUNT(*) AS entries FROM {self.name} WHERE {self._quote('table_name')} = ? AND {where}"
        values = (self._table, tenant, self._time(read_at), LOAD_AGAIN)
        ((count,),) = self._database.execute(sql, values)
        return int(count) > 0

    def update(self, entry: LedgerEntry) -> None:
        """Store what can change in an entry: its rows and its schema."""
        values = _stored(entry)
        sets = ", ".join(f"{self._quote(name)} = ?" for name in values)
        self._execute(f"UPDATE {self.name} SET {sets}", entry.manifest, *values.values())

    def release(self, manifest: str, rows: int) -> None:
        """Record that rows of the main table are replaced, whose state was from this manifest."""
        column = self._quote("current_rows")
        self._execute(f"UPDATE {self.name} SET {column} = {column} - ?", manifest, rows)

    def remove(self, manifest: str) -> None:
        """Delete an entry."""
        self._execute(f"DELETE FROM {self.name}", manifest)

    def add(self, entry: LedgerEntry, manifest: Manifest, loaded_at: datetime) -> None:
        """Record a loaded manifest, in place of an earlier record of it."""
        # On MariaDB, to delete a row that does not exist would lock its neighbours.
        if self.find(entry.manifest):
            self.remove(entry.manifest)
        window = manifest.window
        cadence, waited = manifest.cadence, manifest.waited
        values: Sequence[object] = (
            self._table,
            entry.manifest,
            manifest.tenant,
            manifest.stream,
            window.by if window else None,
            self._time(window.since) if window else None,
            self._time(window.until) if window and window.until else None,
            manifest.rows,
            manifest.total,
            manifest.proof,
            self._time(manifest.read_from),
            self._time(loaded_at),
            *_stored(entry).values(),
            self._time(manifest.state_at) if manifest.state_at else None,
            manifest.requests,
            manifest.passes,
            self._database.render("decimal", None if waited is None else Decimal(str(waited))),
            in_seconds(cadence),
        )
        names = ", ".join(self._quote(column.name) for column in _COLUMNS)
        marks = ", ".join("?" * len(_COLUMNS))
        self._database.execute(f"INSERT INTO {self.name} ({names}) VALUES ({marks})", values)

    def sql_to_forget(self, entries: Sequence[LedgerEntry]) -> str:
        """Return a statement that deletes entries, and others that can be loaded again."""
        tenants = ", ".join(map(_literal, sorted({entry.tenant for entry in entries})))
        table, tenant, read_at = map(self._quote, ("table_name", "tenant", "read_at"))
        last = _literal(str(max(entry.read_at for entry in entries)))
        return (
            f"DELETE FROM {self.name} WHERE {table} = {_literal(self._table)} AND {tenant} IN ({tenants}) "
            f"AND {read_at} <= {last}"
        )

    def _select(self, where: str, *values: str) -> list[LedgerEntry]:
        names = ("manifest", "tenant", "rows", "read_at", *(column.name for column in _STATE_COLUMNS))
        columns = ", ".join(map(self._quote, names))
        where = f"{self._quote('table_name')} = ? AND {where}"
        found = self._database.execute(
            f"SELECT {columns} FROM {self.name} WHERE {where}", (self._table, *values)
        )
        return [_entry(*row) for row in found]

    def _execute(self, sql: str, manifest: str, *values: object) -> None:
        where = f"{self._quote('table_name')} = ? AND {self._quote('manifest')} = ?"
        self._database.execute(f"{sql} WHERE {where}", (*values, self._table, manifest))

    def _time(self, time: datetime) -> str:
        return str(self._database.render("timestamp", format_timestamp(time)))


def _entry(
    manifest: str,
    tenant: str,
    rows: int,
    read_at: Any,
    current_rows: int | None,
    schema_hash: str | None,
    excluded: str | None,
    table_rows: str | None,
) -> LedgerEntry:
    return LedgerEntry(
        manifest,
        tenant,
        rows,
        read_at,
        current_rows,
        schema_hash,
        [] if excluded is None else msgspec.json.decode(excluded),
        None if table_rows is None else msgspec.json.decode(table_rows, type=TableRows),
    )


def _stored(entry: LedgerEntry) -> dict[str, object]:
    """Return the values of the columns that can change."""
    tables = entry.table_rows
    return {
        "current_rows": entry.current_rows,
        "schema_hash": entry.schema_hash,
        "excluded": msgspec.json.encode(entry.excluded).decode(),
        "table_rows": None if tables is None else msgspec.json.encode(tables).decode(),
    }


def _literal(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
