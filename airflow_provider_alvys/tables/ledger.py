"""The ledger: the table of loaded manifests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import Column

LEDGER = "_alvys_loads"
_COLUMNS = (
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


def format_timestamp(time: datetime) -> str:
    """Return a time in the form of :mod:`airflow_provider_alvys.api.schema.values`."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}0"


class Ledger:
    """
    The loaded manifests of one main table.

    :param table: name of the main table.
    """

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self._name = database.table(LEDGER)
        self._quote = database.dialect.quote

    def create(self) -> None:
        """Create the ledger if it does not exist."""
        dialect = self._database.dialect
        if self._database.columns(LEDGER):
            return
        types = [(column.name, dialect.types[column.kind]) for column in _COLUMNS]
        types = [(name, dialect.path_type if name == "manifest" else type_name) for name, type_name in types]
        self._database.execute(dialect.create_table(self._name, types, ("table_name", "manifest")))

    def has(self, path: str) -> bool:
        """Return whether a manifest is loaded."""
        return self._count(f"{self._quote('manifest')} = ?", path) > 0

    def manifests(self) -> set[str]:
        """Return the paths of the loaded manifests."""
        sql = f"SELECT {self._quote('manifest')} FROM {self._name} WHERE {self._quote('table_name')} = ?"
        return {str(manifest) for (manifest,) in self._database.execute(sql, (self._table,))}

    def has_newer(self, tenant: str, read_at: datetime) -> bool:
        """Return whether a manifest of the tenant is loaded that was read later."""
        where = f"{self._quote('tenant')} = ? AND {self._quote('read_at')} > ?"
        return self._count(where, tenant, self._time(read_at)) > 0

    def add(self, path: str, manifest: Manifest, loaded_at: datetime) -> None:
        """Record a loaded manifest, in place of an earlier record of it."""
        self._database.execute(
            f"DELETE FROM {self._name} WHERE {self._quote('table_name')} = ? AND {self._quote('manifest')} = "
            "?",
            (self._table, path),
        )
        window = manifest.window
        values: Sequence[object] = (
            self._table,
            path,
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
        )
        names = ", ".join(self._quote(column.name) for column in _COLUMNS)
        marks = ", ".join("?" * len(_COLUMNS))
        self._database.execute(f"INSERT INTO {self._name} ({names}) VALUES ({marks})", values)

    def _count(self, where: str, *values: str) -> int:
        where = f"{self._quote('table_name')} = ? AND {where}"
        sql = f"SELECT COUNT(*) AS entries FROM {self._name} WHERE {where}"
        ((count,),) = self._database.execute(sql, (self._table, *values))
        return int(count)

    def _time(self, time: datetime) -> str:
        return str(self._database.render("timestamp", format_timestamp(time)))
