"""The operator that loads landed data into a SQL database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, ObjectStoragePath

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.assets import alvys_table_asset
from airflow_provider_alvys.base_operator import TemplatedTask, emit_asset_event, outlet_events
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.parse_checks import check_data_set, normalize_path
from airflow_provider_alvys.retry_policy import fail_if_not_retryable
from airflow_provider_alvys.tables.schema import DEFAULT_DEPTH, StreamSchema, build_schema

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.tables.load import LoadResult

MAX_MISSING_SHARE = 0.02
_PENDING = "no later run loads what this one leaves out. Give a fixed path, or the manifest to load"


class AlvysObjectStorageToSqlOperator(TemplatedTask):
    """
    Load the landed data of a stream into typed SQL tables.

    Loads every manifest below ``path`` that the ledger ``_alvys_loads`` does not list, oldest first, each in
    one transaction with its ledger entry. Rows are merged by tenant and key; the newest state of a row wins,
    in any order of loading. Tables are created and columns added or widened; nothing is dropped. Manifests
    that the ledger lists are loaded again if the tables lack their rows, columns or child tables.
    ``docs/reference/schema.md`` lists all tables.

    For PostgreSQL, SQLite, DuckDB, MariaDB and MySQL, whose providers are installed with the extras
    ``[postgres]``, ``[sqlite]``, ``[duckdb]`` and ``[mysql]``; for warehouses see
    ``docs/reference/warehouses.md``. The connection and its provider are checked before anything is read. A
    landing task directly before this one checks them before it lands, unless ``sql_conn_id`` is a template or
    the two tasks have different queues, executors or users.

    Asset event: each outlet gets one, and its extra is the result.

    Cost: no request to Alvys.

    :param sql_conn_id: Airflow connection of the database: PostgreSQL, SQLite, DuckDB, MariaDB or MySQL.
        (templated)
    :param path: root of the data set, absolute, as for the landing operators. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param manifest: path of one manifest, or the result of a sync: load it, even if it is loaded already.
        None loads all manifests that are not loaded yet. Those whose data the tables lack are loaded again in
        any case. (templated)
    :param schema: database schema of the tables; None means the connection's own. (templated)
    :param table: name of the main table; None means the stream's default. Child tables are named after it.
        (templated)
    :param children: whether lists become child tables; if not, they are JSON columns.
    :param depth: levels of nested lists that become child tables, 1 for the lists of a row; deeper lists are
        JSON.
    :param exclude: fields to leave out of the tables, by Alvys's names: ``["Email", "BillingAddress",
        "Notes.User"]``; ``_extra`` leaves out all fields that the catalogue does not know.
    :param max_missing_share: largest share of missing rows, from 0 to 1: if a complete read lacks more of
        them, no row is marked missing.
    :return: ``{"table", "stream", "path", "manifests", "rows", "merged", "changed", "missing",
        "disbelieved", "as_of", "bytes", "seconds"}``: the number of manifests loaded; of rows in them; of
        rows merged, new or read again, changed or not; of these that are new or have another content; of
        rows marked as missing; of absent rows that were too many to mark; the newest ``as_of`` of the
        complete manifests, or None; the size of the parts; the seconds that the load took.
    :raises AlvysValueError: an argument is not valid; raised while the DAG is parsed, except for templated
        arguments. Or the connection or its provider is missing: the message says what to install.
    :raises AlvysTableError: a row cannot be stored, a table cannot be migrated, or the tables lack data of a
        manifest that the data set no longer has. Manifests loaded before stay loaded.
    :raises AlvysStorageError: a file of the data set is missing or damaged.
    """

    template_fields: Sequence[str] = ("sql_conn_id", "path", "manifest", "schema", "table")
    none_fields = ("manifest",)
    ui_color = "#d7ebf7"
    # The result, for lineage.
    _loaded: dict[str, Any] | None = None

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
        check_data_set(self.path, fixed_for=_PENDING if manifest is None else "")
        self.stream_schema()
        if (
            isinstance(max_missing_share, bool)
            or not isinstance(max_missing_share, (int, float))
            or not 0 <= max_missing_share <= 1
        ):
            raise AlvysValueError(f"max_missing_share={max_missing_share!r} must be a number from 0 to 1")
        self.remember_given()

    @fail_if_not_retryable
    def execute(self, context: Context) -> dict[str, Any]:
        """Load the manifests and return the counts."""
        from airflow_provider_alvys.hooks.databases import get_database_hook
        from airflow_provider_alvys.tables.database import open_database
        from airflow_provider_alvys.tables.load import Loader
        from airflow_provider_alvys.tables.numbers import warn_of_shared_numbers

        self.check_rendered()
        began = time.monotonic()
        events = outlet_events(context, self)
        hook, dialect = get_database_hook(self.sql_conn_id)
        store = Store(self.path)
        manifest = None if self.manifest is None else self._manifest_name(store)
        for parameter, name in (("schema", self.schema), ("table", self.table)):
            if name is not None:
                dialect.check_name(name, parameter)
        stream_schema = self.stream_schema(self.table)
        with closing(open_database(hook.get_conn(), dialect, self.schema)) as database:
            loader = Loader(database, store, stream_schema, max_missing_share=self.max_missing_share)
            loader.prepare()
            results = [loader.load(name, reload=name == manifest) for name in loader.pending(manifest)]
            loaded = [result for result in results if result is not None]
            if loaded:
                warn_of_shared_numbers(database, stream_schema)
            loader.check_gaps()
        result = self._summary(stream_schema.main.name, store.path, loaded)
        result["seconds"] = round(time.monotonic() - began, 3)
        asset = alvys_table_asset(self.stream, self.sql_conn_id, schema=self.schema, table=self.table)
        for outlet, event in events:
            emit_asset_event(outlet, event, result, asset=asset)
        self._loaded = result
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was read and written, for Airflow's OpenLineage provider."""
        from airflow_provider_alvys.lineage import loaded_lineage, no_lineage
        from airflow_provider_alvys.tables.dialects import get_dialect

        if self._loaded is None:
            return no_lineage()
        connection = BaseHook.get_connection(self.sql_conn_id)
        dialect, tables = get_dialect(connection.conn_type), self.stream_schema(self.table).tables
        return loaded_lineage(self._loaded, connection, dialect, self.schema, tables)

    def stream_schema(self, table: str | None = None) -> StreamSchema:
        """Return the tables of the stream; with ``table`` None under their default names."""
        depth = self.depth if self.children else 0
        return build_schema(get_stream(self.stream), table=table, depth=depth, exclude=self.exclude)

    def _manifest_name(self, store: Store) -> str:
        """Return the name of the manifest to load, relative to the data set."""
        path = self.manifest.get("manifest") if isinstance(self.manifest, Mapping) else self.manifest
        start = store.url("")
        if not isinstance(path, str) or not path.startswith(f"{start}{self.stream}/"):
            raise AlvysValueError(
                f"manifest={path or self.manifest!r} is not a manifest of {self.stream} below {store.path}: "
                "give its path, or the result of a sync"
            )
        return path[len(start) :]

    def _summary(self, table: str, path: str, loaded: Sequence[LoadResult]) -> dict[str, Any]:
        as_of = max((result.as_of for result in loaded if result.as_of), default=None)
        return {
            "table": table,
            "stream": self.stream,
            "path": path,
            "manifests": len(loaded),
            "rows": sum(result.rows for result in loaded),
            "merged": sum(result.merged for result in loaded),
            "changed": sum(result.changed for result in loaded),
            "missing": sum(result.missing for result in loaded),
            "disbelieved": sum(result.suspect_deletes for result in loaded),
            "as_of": format_time(as_of) if as_of else None,
            "bytes": sum(result.bytes for result in loaded),
        }
