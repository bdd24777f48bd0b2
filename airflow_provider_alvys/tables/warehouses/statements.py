"""
The statements by which a run that was landed gets into the tables of a warehouse: made, staged, checked, merged.

They are written, not run. What differs between runs is left to Jinja, which Airflow renders: see docs/warehouses.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Array
from airflow_provider_alvys.api.schema.values import EXTRA
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
from airflow_provider_alvys.tables.warehouses.base import Warehouse
from airflow_provider_alvys.tables.warehouses.bigquery import BigQuery
from airflow_provider_alvys.tables.warehouses.redshift import Redshift
from airflow_provider_alvys.tables.warehouses.snowflake import Snowflake
from airflow_provider_alvys.tables.warehouses.sqlserver import SqlServer
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable, staged_tables

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
    :param schema: of the tables: a name, or two with a point between; None for the connection's own.
    :param url: of the data set, as the warehouse finds it; None for a made-up one.
    :param task_id: of the task that returns what the statements need of a manifest.
    :raises AlvysValueError: there is no such warehouse, a name cannot stand in a statement, or the files do not tell what the
        tables need.
    """
    found = WAREHOUSES.get(warehouse)
    if found is None:
        raise AlvysValueError(f"There is no warehouse {warehouse!r}. Warehouses: {', '.join(WAREHOUSES)}")
    _check(stream_schema, schema, url, task_id)
    return _Writer(found, stream_schema, schema, (url or found.example).rstrip("/"), task_id).write()


def _check(stream_schema: StreamSchema, schema: str | None, url: str | None, task_id: str) -> None:
    stream = stream_schema.stream
    for name in (stream_schema.main.name, *(schema.split(".", 1) if schema is not None else [])):
        if not _NAME.fullmatch(name):
            raise AlvysValueError(
                f"{name!r} is no name of a table or schema: letters, digits and _ are, 63 at most"
            )
    if url is not None and not _URL.fullmatch(url):
        raise AlvysValueError(
            f"{url!r} cannot stand in a statement: give letters, digits and .:/\\@~+$-_ only"
        )
    if not _TASK.fullmatch(task_id):
        raise AlvysValueError(f"{task_id!r} is no task_id")
    if stream.is_child and stream.parent:
        raise AlvysValueError(
            f"The rows of {stream.name} do not name the {stream.parent.stream} that they belong to; the manifest does, by their "
            "order, which no warehouse keeps. Load them into a database with the operator, and copy them from there"
        )
    if not stream.key and stream.fields.fields:
        raise AlvysValueError(f"Nothing identifies the rows of {stream.name}")
    deep = [
        column.name
        for table in stream_schema.tables
        for column in table.columns
        if _is_list(stream_schema, column)
    ]
    if deep:
        raise AlvysValueError(f"{', '.join(deep)}: lists become tables here; give no depth")


def _is_list(stream_schema: StreamSchema, column: Column) -> bool:
    if not column.field or column.kind != "json":
        return False
    return any(
        place is not None and isinstance(place.kind, Array)
        for staged in staged_tables(stream_schema)
        for found, place in staged.columns
        if found == column
    )


class _Writer:
    """Writes the statements of one stream for one warehouse."""

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
        staging = warehouse.stage(
            self.stream_schema.stream, [table.lists[0] for table in self.tables if table.level == 1], self.url
        )
        children = [statement for table in self.tables[1:] for statement in self._replace(table)]
        steps: list[tuple[str, Sequence[str]]] = [
            ("The tables, where they are missing.", [self._create(table) for table in self.tables]),
            (staging.how, [*warehouse.before, *staging.statements]),
            ("Nothing goes on unless all rows of the manifest are there.", [staging.check]),
            (
                "Rows are merged by their key, unless the table holds newer ones; the rows of their lists take the place of\n"
                "those that were there. All of it, or none.",
                [*self._prepare(), warehouse.begin, *self._merge(), *children, warehouse.commit],
            ),
            ("", staging.after),
        ]
        title = f"{self.stream_schema.stream.name} into {warehouse.title}"
        lines = [f"-- {title}, by airflow-provider-alvys. A template: Airflow fills in the run."]
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
        parts = self.schema.split(".") if self.schema else []
        return ".".join(map(quote, [*parts, table]))

    def _create(self, staged: StagedTable) -> str:
        warehouse = self.warehouse
        key = list(staged.table.primary_key)
        lines = [
            f"    {warehouse.quote(column.name)} {warehouse.types[column.kind]}{' NOT NULL' if column.name in key else ''}"
            for column, _ in staged.columns
        ]
        return warehouse.create(self._name(staged.table.name), lines, [warehouse.quote(name) for name in key])

    def _merge(self) -> list[str]:
        """Return what merges the stream's own rows."""
        warehouse = self.warehouse
        main = self.tables[0]
        quote = warehouse.quote
        names = [quote(column.name) for column, _ in main.columns]
        keys = [quote(name) for name in self.stream_schema.main.primary_key]
        target = self._name(main.table.name)
        if not warehouse.has_merge:
            new = quote(warehouse.new)
            same = "\n    AND ".join(f"{target}.{key} = {new}.{key}" for key in keys)
            return [
                f"DELETE FROM {new} USING {target}\nWHERE {same}\n    AND {self._newer(target, new, '>')}",
                f"DELETE FROM {target} USING {new}\nWHERE {same}",
                f"INSERT INTO {target} (\n    {_wrap(names)}\n)\nSELECT\n    {_wrap(names)}\nFROM {new}",
            ]
        sets = ",\n    ".join(f"{name} = s.{name}" for name in names if name not in keys)
        return [
            f"MERGE INTO {target}{warehouse.merge_hint} AS t\nUSING (\n{self._select(main)}\n) AS s\n"
            f"ON {' AND '.join(f't.{key} = s.{key}' for key in keys)}\n"
            f"WHEN MATCHED AND {self._newer('s', 't', '>=')} THEN UPDATE SET\n    {sets}\n"
            f"WHEN NOT MATCHED THEN INSERT (\n    {_wrap(names)}\n) VALUES (\n    {_wrap([f's.{name}' for name in names])}\n)"
        ]

    def _prepare(self) -> list[str]:
        warehouse = self.warehouse
        if warehouse.has_merge:
            return []
        return [
            f"DROP TABLE IF EXISTS {warehouse.quote(warehouse.new)}",
            warehouse.create_as(warehouse.new, self._select(self.tables[0])),
        ]

    def _newer(self, one: str, other: str, operator: str) -> str:
        """Return the condition by which a row is newer: by the version, and then by when it was read."""
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
        """Return what puts the rows of a list in place of those that were there, for the rows that this run has won."""
        quote = self.warehouse.quote
        target = self._name(staged.table.name)
        won = (
            f"(\n    SELECT {quote(self.stream_schema.keys[0])} FROM {self._name(self.stream_schema.main.name)}\n"
            f"    WHERE {quote(TENANT)} = {self.tenant} AND {quote(MANIFEST)} = {self.manifest}\n)"
        )
        parent = quote(staged.table.key[0])
        names = [quote(column.name) for column, _ in staged.columns]
        return [
            f"DELETE FROM {target}\nWHERE {quote(TENANT)} = {self.tenant} AND {parent} IN {won}",
            f"INSERT INTO {target} (\n    {_wrap(names)}\n)\n{self._select(staged)}\nWHERE {self._key()} IN {won}",
        ]

    def _select(self, staged: StagedTable) -> str:
        quote = self.warehouse.quote
        lines = ",\n".join(
            f"    {self._value(staged, column, place)} AS {quote(column.name)}"
            for column, place in staged.columns
        )
        return f"SELECT\n{lines}\n{self.warehouse.source(staged)}"

    def _key(self) -> str:
        """Return what identifies the row, from anywhere below it."""
        main = self.tables[0]
        if len(self.stream_schema.stream.key) != 1:
            return self.warehouse.joined_key(self.stream_schema.stream)
        column, place = next(
            (column, place) for column, place in main.columns if column.name == self.stream_schema.keys[0]
        )
        if place is None:
            raise AssertionError(column)
        return self.warehouse.key(place, column.kind)

    def _value(self, staged: StagedTable, column: Column, place: Place | None) -> str:
        warehouse = self.warehouse
        name = column.name
        level = staged.level
        if place is not None:
            is_main_key = level == 0 and name in self.stream_schema.keys
            return self._key() if is_main_key else warehouse.value(level, place, column.kind)
        if name == TENANT:
            return self.tenant
        if name == EXTRA:
            return warehouse.left_over(staged, self.stream_schema)
        if name == READ_AT:
            return f"CAST({warehouse.literal('run.read_from')} AS {warehouse.types['timestamp']})"
        if name == LOADED_AT:
            return warehouse.now
        if name == MANIFEST:
            return self.manifest
        if name == KEY or name == staged.table.key[0]:
            return self._key()
        if name == POSITION:
            return warehouse.position(level)
        if name == "_is_first":
            return warehouse.truth(f"{warehouse.position(level)} = 1")
        if name == "_is_last":
            return warehouse.truth(
                f"{warehouse.position(level)} = {warehouse.length(level, staged.lists[-1])}"
            )
        return warehouse.position(staged.table.key.index(name))


def _wrap(names: Sequence[str]) -> str:
    """Return names with commas between, in lines that can be read."""
    lines: list[str] = [""]
    for number, name in enumerate(names):
        word = name + ("," if number < len(names) - 1 else "")
        if lines[-1] and len(lines[-1]) + len(word) > 110:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n    ".join(lines)
