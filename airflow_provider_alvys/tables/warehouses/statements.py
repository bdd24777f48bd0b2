"""
Scripts that load a landed run into a warehouse: create the tables, stage the files, check them, merge.

The scripts are Jinja templates, which Airflow renders for each run: see docs/reference/warehouses.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Array
from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.tables.schema import (
    KEY,
    LOADED_AT,
    MANIFEST,
    POSITION,
    READ_AT,
    TENANT,
    Column,
    StreamSchema,
)
from airflow_provider_alvys.tables.warehouses.base import NEW_ROWS, Warehouse
from airflow_provider_alvys.tables.warehouses.bigquery import BigQuery
from airflow_provider_alvys.tables.warehouses.redshift import Redshift
from airflow_provider_alvys.tables.warehouses.snowflake import Snowflake
from airflow_provider_alvys.tables.warehouses.sqlserver import SqlServer
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable, staged_tables

WAREHOUSES: Mapping[str, Warehouse] = {
    warehouse.name: warehouse for warehouse in (Snowflake(), BigQuery(), Redshift(), SqlServer())
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_TASK = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_URL = re.compile(r"[A-Za-z0-9_.:/\\@~+$ -]+", re.ASCII)


def write_sql(
    warehouse: str,
    stream_schema: StreamSchema,
    *,
    schema: str | None = None,
    url: str | None = None,
    task_id: str = "run",
) -> str:
    """
    Return a template of the statements that load one run.

    :param warehouse: ``snowflake``, ``bigquery``, ``redshift`` or ``sqlserver``.
    :param schema: schema of the tables, such as ``name`` or ``database.name``; None for the connection's own.
    :param url: URL of the data set in the warehouse's form; None for an example.
    :param task_id: the task that returns the values of a manifest for the template.
    :raises AlvysValueError: the warehouse is unknown, a name or URL contains characters that are not allowed,
        or the stream cannot be loaded from files alone.
    """
    found = WAREHOUSES.get(warehouse)
    if found is None:
        hint = suggest(warehouse, WAREHOUSES, "Warehouses")
        raise AlvysValueError(f"There is no warehouse {warehouse!r}.{hint}")
    _validate(stream_schema, schema, url, task_id)
    return _ScriptWriter(found, stream_schema, schema, (url or found.example).rstrip("/"), task_id).write()


def _validate(stream_schema: StreamSchema, schema: str | None, url: str | None, task_id: str) -> None:
    stream = stream_schema.stream
    names = [("table", stream_schema.main.name), *(("schema", part) for part in _parts(schema))]
    for parameter, name in names:
        if not _NAME.fullmatch(name):
            raise AlvysValueError(f"{parameter}={name!r} must be a name of at most 63 letters, digits and _")
    if url is not None and not _URL.fullmatch(url):
        # Not quoted: it may contain a signature.
        raise AlvysValueError("url=*** may contain only letters, digits and .:/\\@~+$-_")
    if not _TASK.fullmatch(task_id):
        raise AlvysValueError(f"task_id={task_id!r} is not a task id")
    if stream.is_child and stream.parent:
        raise AlvysValueError(
            f"The rows of {stream.name} do not contain the key of their parent ({stream.parent.stream}): "
            "only the manifest does, by the order of the rows, which no warehouse keeps. Load them into a "
            "database with AlvysObjectStorageToSqlOperator, and copy them from there"
        )
    if not stream.key and stream.fields.fields:
        raise AlvysValueError(f"The rows of {stream.name} have no key, so they cannot be merged")
    lists = [
        column.name
        for staged in staged_tables(stream_schema)
        for column, source in staged.columns
        if column.kind == "json" and source is not None and isinstance(source.kind, Array)
    ]
    if lists:
        raise AlvysValueError(f"Lists must be child tables, but {', '.join(lists)} are JSON: omit depth")


def _parts(schema: str | None) -> list[str]:
    return [] if schema is None else schema.split(".", 1)


class _ScriptWriter:
    """Writes the script of one stream for one warehouse."""

    def __init__(
        self, warehouse: Warehouse, stream_schema: StreamSchema, schema: str | None, url: str, task_id: str
    ) -> None:
        self.warehouse = warehouse
        self.stream_schema = stream_schema
        self.schema = schema
        self.url = url
        self.task_id = task_id
        self.tables = list(staged_tables(stream_schema))
        self.tenant = warehouse.literal("tenant")
        self.manifest = warehouse.literal("manifest")

    def write(self) -> str:
        warehouse = self.warehouse
        lists = [table.lists[0] for table in self.tables if table.level == 1]
        staging = warehouse.stage(self.stream_schema.stream, lists, self.url)
        children = [statement for table in self.tables[1:] for statement in self._replace(table)]
        steps: list[tuple[str, Sequence[str]]] = [
            ("Creates missing tables.", [self._create(table) for table in self.tables]),
            (staging.description, [*warehouse.setup, *staging.statements]),
            ("Fails unless all rows of the manifest are staged.", [staging.check]),
            (
                "Merges rows by their key, unless the table has a newer row; replaces the child rows of "
                "merged rows.\nAll in one transaction.",
                [*self._prepare(), warehouse.begin, *self._merge(), *children, warehouse.commit],
            ),
            ("", staging.cleanup),
        ]
        title = f"{self.stream_schema.stream.name} into {warehouse.title}"
        lines = [f"-- {title}, by airflow-provider-alvys. A template: Airflow renders it for each run."]
        lines += [f"-- {line}" for line in warehouse.notes(self.url)]
        lines += [f'{{% set run = ti.xcom_pull(task_ids="{self.task_id}") %}}']
        lines += [f"{{% set {name} = run.{name}{warehouse.escape} %}}" for name in ("tenant", "manifest")]
        lines.append("")
        for number, (about, statements) in enumerate(steps):
            if number == 1:
                # A run without rows has no parts.
                lines += ["{% if run.files %}", ""]
            lines += [f"-- {line}" for line in about.splitlines()]
            lines += ["\n\n".join(text if text.startswith("{%") else f"{text};" for text in statements), ""]
        return "\n".join([*lines, "{% endif %}"]) + "\n"

    def _name(self, table: str) -> str:
        quote = self.warehouse.quote
        return ".".join(map(quote, [*_parts(self.schema), table]))

    def _create(self, staged: StagedTable) -> str:
        warehouse = self.warehouse
        key = staged.table.primary_key
        lines = [
            f"    {warehouse.quote(column.name)} {warehouse.types[column.kind]}"
            + (" NOT NULL" if column.name in key else "")
            for column, _ in staged.columns
        ]
        return warehouse.create_table(self._name(staged.table.name), lines, list(map(warehouse.quote, key)))

    def _merge(self) -> list[str]:
        """Return the statements that merge the rows of the main table."""
        warehouse = self.warehouse
        main = self.tables[0]
        quote = warehouse.quote
        names = [quote(column.name) for column, _ in main.columns]
        keys = [quote(name) for name in self.stream_schema.main.primary_key]
        target = self._name(main.table.name)
        if not warehouse.has_merge:
            new = quote(NEW_ROWS)
            same = "\n    AND ".join(f"{target}.{key} = {new}.{key}" for key in keys)
            return [
                f"DELETE FROM {new} USING {target}\nWHERE {same}\n    AND {self._newer(target, new, '>')}",
                f"DELETE FROM {target} USING {new}\nWHERE {same}",
                f"INSERT INTO {target} (\n    {_wrap(names)}\n)\nSELECT\n    {_wrap(names)}\nFROM {new}",
            ]
        sets = ",\n    ".join(f"{name} = s.{name}" for name in names if name not in keys)
        values = _wrap([f"s.{name}" for name in names])
        return [
            f"MERGE INTO {target}{warehouse.merge_hint} AS t\nUSING (\n{self._select(main)}\n) AS s\n"
            f"ON {' AND '.join(f't.{key} = s.{key}' for key in keys)}\n"
            f"WHEN MATCHED AND {self._newer('s', 't', '>=')} THEN UPDATE SET\n    {sets}\n"
            f"WHEN NOT MATCHED THEN INSERT (\n    {_wrap(names)}\n) VALUES (\n    {values}\n)"
        ]

    def _prepare(self) -> list[str]:
        if self.warehouse.has_merge:
            return []
        new, select = self.warehouse.quote(NEW_ROWS), self._select(self.tables[0])
        return [f"DROP TABLE IF EXISTS {new}", f"CREATE TEMP TABLE {new} AS\n{select}"]

    def _newer(self, one: str, other: str, operator: str) -> str:
        """Return the condition that a row is newer: by the version, then by the time of the read."""
        quote = self.warehouse.quote
        read = f"{one}.{quote(READ_AT)} {operator} {other}.{quote(READ_AT)}"
        if self.stream_schema.version is None:
            return read
        left, right = (f"{side}.{quote(self.stream_schema.version)}" for side in (one, other))
        return (
            f"(\n    {left} > {right}\n    OR ({left} IS NOT NULL AND {right} IS NULL)\n"
            f"    OR (({left} = {right} OR ({left} IS NULL AND {right} IS NULL)) AND {read})\n)"
        )

    def _replace(self, staged: StagedTable) -> list[str]:
        """Return the statements that replace the child rows of the rows merged from this run."""
        quote = self.warehouse.quote
        target = self._name(staged.table.name)
        merged = (
            f"(\n    SELECT {quote(self.stream_schema.keys[0])} FROM "
            f"{self._name(self.stream_schema.main.name)}\n    WHERE {quote(TENANT)} = {self.tenant} AND "
            f"{quote(MANIFEST)} = {self.manifest}\n)"
        )
        parent = quote(staged.table.key[0])
        names = _wrap([quote(column.name) for column, _ in staged.columns])
        return [
            f"DELETE FROM {target}\nWHERE {quote(TENANT)} = {self.tenant} AND {parent} IN {merged}",
            f"INSERT INTO {target} (\n    {names}\n)\n{self._select(staged)}\nWHERE {self._key()} IN "
            f"{merged}",
        ]

    def _select(self, staged: StagedTable) -> str:
        quote = self.warehouse.quote
        lines = ",\n".join(
            f"    {self._value(staged, column, source)} AS {quote(column.name)}"
            for column, source in staged.columns
        )
        return f"SELECT\n{lines}\n{self.warehouse.from_clause(staged)}"

    def _key(self) -> str:
        """Return the key of the row, at any level."""
        if len(self.stream_schema.stream.key) != 1:
            return self.warehouse.composite_key(self.stream_schema.stream)
        name = self.stream_schema.keys[0]
        return next(
            self.warehouse.key(source, column.kind)
            for column, source in self.tables[0].columns
            if column.name == name and source is not None
        )

    def _value(self, staged: StagedTable, column: Column, source: SourceField | None) -> str:
        warehouse = self.warehouse
        name = column.name
        level = staged.level
        if source is not None:
            is_main_key = level == 0 and name in self.stream_schema.keys
            return self._key() if is_main_key else warehouse.value(level, source, column.kind)
        if name == TENANT:
            return self.tenant
        if name == EXTRA:
            return warehouse.extra_value(staged, self.stream_schema)
        if name == READ_AT:
            return f"CAST({warehouse.literal('run.read_from')} AS {warehouse.types['timestamp']})"
        if name == LOADED_AT:
            return warehouse.now
        if name == MANIFEST:
            return self.manifest
        if name == KEY or name == staged.table.key[0]:
            return self._key()
        position = warehouse.position(level)
        if name == POSITION:
            return position
        if name == "_is_first":
            return warehouse.boolean(f"{position} = 1")
        if name == "_is_last":
            return warehouse.boolean(f"{position} = {warehouse.length(level, staged.lists[-1])}")
        return warehouse.position(staged.table.key.index(name))


def _wrap(names: Sequence[str]) -> str:
    """Return names separated by commas, in lines of at most about 110 characters."""
    lines: list[str] = [""]
    for number, name in enumerate(names):
        word = name + ("," if number < len(names) - 1 else "")
        if lines[-1] and len(lines[-1]) + len(word) > 110:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n    ".join(lines)
