"""What was landed on object storage into a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator, ObjectStoragePath

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.assets import alvys_table_asset
from airflow_provider_alvys.base_operator import emit_asset_event, outlet_events
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.parse_checks import check_data_set, normalize_path
from airflow_provider_alvys.tables.schema import DEFAULT_DEPTH, StreamSchema, build_schema

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.tables.load import LoadResult

MAX_MISSING_SHARE = 0.02


class AlvysObjectStorageToSqlOperator(BaseOperator):
    """
    Load what has been landed of a stream into typed tables of a database.

    Every manifest below the path that the table ``_alvys_loads`` does not list is loaded, oldest first, each in one transaction
    with its line in that table: after a night without the database, the next run catches up. Rows are merged by tenant and key,
    and the newest state of each wins, in whatever order manifests come. Tables are made, columns added and widened; nothing is
    dropped. ``docs/schema.md`` has all tables.

    PostgreSQL, SQLite, DuckDB, MariaDB and MySQL; for warehouses see ``docs/warehouses.md``.

    :param sql_conn_id: Airflow connection of the database. (templated)
    :param path: root of the data set, as it was landed. (templated)
    :param stream: name in the catalogue.
    :param manifest: load this one only, whether it was loaded before or not: its path, or what a sync returned. None means all
        that have not been loaded. (templated)
    :param schema: of the tables; None means the connection's own. (templated)
    :param table: name of the stream's table; None means the stream's. The tables of its lists are named after it. (templated)
    :param children: whether lists become tables of their own; else they are columns of JSON.
    :param depth: how deep lists in lists do: 1 for those of a row only. Deeper ones are JSON.
    :param exclude: fields to keep out, as Alvys names them: ``["Email", "BillingAddress", "Notes.User"]``. ``_extra`` keeps out
        what the catalogue does not know.
    :param max_missing_share: of the rows that a whole reading could hold. If it misses more, it is not believed, and none is
        marked as missing.
    :return: ``{"table", "stream", "path", "manifests", "rows", "merged", "missing", "disbelieved"}``: manifests loaded, and
        numbers of rows: read, new or newer, missing from now on, and missed by readings that are not believed.
    :raises AlvysValueError: while the DAG is parsed, or before anything is read: an argument is wrong.
    :raises AlvysTableError: a row cannot go into the table, or a table is not what it should be. What was loaded before stays.
    :raises AlvysStorageError: a file of the data set is missing or damaged.
    """

    template_fields: Sequence[str] = ("sql_conn_id", "path", "manifest", "schema", "table")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        sql_conn_id: str,
        path: str | ObjectStoragePath | PurePath,
        stream: str,
        manifest: str | Mapping[str, Any] | None = None,
        schema: str | None = None,
        table: str | None = None,
        children: bool = True,
        depth: int = DEFAULT_DEPTH,
        exclude: Sequence[str] = (),
        max_missing_share: float = MAX_MISSING_SHARE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.path = normalize_path(path)
        self.stream = stream
        self.manifest = manifest
        self.schema = schema
        self.table = table
        self.children = children
        self.depth = depth
        self.exclude = exclude
        self.max_missing_share = max_missing_share
        check_data_set(self.path, uses_cursor=True)
        self._stream_schema()
        if (
            isinstance(max_missing_share, bool)
            or not isinstance(max_missing_share, (int, float))
            or not 0 <= max_missing_share <= 1
        ):
            raise AlvysValueError(f"max_missing_share={max_missing_share!r} must be a number from 0 to 1")

    def execute(self, context: Context) -> dict[str, Any]:
        """Load."""
        from airflow_provider_alvys.tables.database import open_database
        from airflow_provider_alvys.tables.dialects import get_dialect
        from airflow_provider_alvys.tables.load import Loader

        events = outlet_events(context, self)
        store = Store(self.path)
        connection = BaseHook.get_connection(self.sql_conn_id)
        dialect = get_dialect(connection.conn_type)
        for value, what in ((self.schema, "schema"), (self.table, "table")):
            if value is not None:
                dialect.check_name(value, what)
        stream_schema = self._stream_schema(self.table)
        hook: Any = connection.get_hook()  # type: ignore[no-untyped-call]
        with closing(open_database(hook.get_conn(), dialect, self.schema)) as database:
            loader = Loader(database, store, stream_schema, max_missing_share=self.max_missing_share)
            loader.prepare()
            if self.manifest is None:
                found = [loader.load(name) for name in loader.pending()]
            else:
                found = [loader.load(self._manifest_name(store), reload=True)]
        result = self._result(stream_schema.main.name, store.path, [one for one in found if one is not None])
        asset = alvys_table_asset(self.stream, self.sql_conn_id, schema=self.schema, table=self.table)
        for outlet, event in events:
            emit_asset_event(outlet, event, result, asset=asset)
        return result

    def _stream_schema(self, table: str | None = None) -> StreamSchema:
        return build_schema(
            get_stream(self.stream),
            table=table,
            depth=self.depth if self.children else 0,
            exclude=self.exclude,
        )

    def _manifest_name(self, store: Store) -> str:
        """Return the name of the manifest to load, relative to the data set."""
        path = self.manifest.get("manifest") if isinstance(self.manifest, Mapping) else self.manifest
        start = store.url("")
        if not isinstance(path, str) or not path.startswith(f"{start}{self.stream}/"):
            raise AlvysValueError(
                f"manifest={self.manifest!r} is no manifest of {self.stream} below {store.path}: give its path, or what a sync "
                "returned"
            )
        return path[len(start) :]

    def _result(self, table: str, path: str, loaded: Sequence[LoadResult]) -> dict[str, Any]:
        return {
            "table": table,
            "stream": self.stream,
            "path": path,
            "manifests": len(loaded),
            "rows": sum(one.rows for one in loaded),
            "merged": sum(one.merged for one in loaded),
            "missing": sum(one.missing for one in loaded),
            "disbelieved": sum(one.suspect_deletes for one in loaded),
        }
