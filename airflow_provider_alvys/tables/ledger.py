"""The ledger: which manifests a database has taken in."""

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
    """Return a time as :mod:`airflow_provider_alvys.api.schema.values` has it."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}0"


class Ledger:
    """
    What has been loaded into one table.

    :param table: its name.
    """

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self._name = database.table(LEDGER)

    def create(self) -> None:
        """Make it, if there is none."""
        dialect = self._database.dialect
        if self._database.columns(LEDGER):
            return
        types = [(column.name, dialect.types[column.kind]) for column in _COLUMNS]
        types = [(name, dialect.path_type if name == "manifest" else type_name) for name, type_name in types]
        self._database.execute(dialect.create_table(self._name, types, ("table_name", "manifest")))

    def has(self, path: str) -> bool:
        """Tell whether a manifest was loaded."""
        quote = self._database.dialect.quote
        sql = f"SELECT COUNT(*) AS known FROM {self._name} WHERE {quote('table_name')} = ? AND {quote('manifest')} = ?"
        ((known,),) = self._database.execute(sql, (self._table, path))
        return int(known) > 0

    def manifests(self) -> set[str]:
        """Return the paths of those that were loaded."""
        quote = self._database.dialect.quote
        sql = f"SELECT {quote('manifest')} FROM {self._name} WHERE {quote('table_name')} = ?"
        return {str(manifest) for (manifest,) in self._database.execute(sql, (self._table,))}

    def has_newer(self, tenant: str, read_at: datetime) -> bool:
        """Tell whether one was loaded whose reading began later."""
        quote = self._database.dialect.quote
        sql = (
            f"SELECT COUNT(*) AS newer FROM {self._name} WHERE {quote('table_name')} = ? AND {quote('tenant')} = ? "
            f"AND {quote('read_at')} > ?"
        )
        ((newer,),) = self._database.execute(sql, (self._table, tenant, self._time(read_at)))
        return int(newer) > 0

    def add(self, path: str, manifest: Manifest, loaded_at: datetime) -> None:
        """Note that a manifest was loaded: in place of what is noted of it, if that was before."""
        quote = self._database.dialect.quote
        self._database.execute(
            f"DELETE FROM {self._name} WHERE {quote('table_name')} = ? AND {quote('manifest')} = ?",
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
        names = ", ".join(quote(column.name) for column in _COLUMNS)
        marks = ", ".join("?" * len(_COLUMNS))
        self._database.execute(f"INSERT INTO {self._name} ({names}) VALUES ({marks})", values)

    def _time(self, time: datetime) -> str:
        return str(self._database.render("timestamp", format_timestamp(time)))
