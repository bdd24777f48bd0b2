"""Merges staged rows into the tables by tenant and key: the newest state wins, in any order of loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.migrate import ObsoleteSchema
from airflow_provider_alvys.tables.schema import (
    CHANGED_AT,
    HASH,
    LOADED_AT,
    MANIFEST,
    MISSED_AT,
    MISSING_SINCE,
    READ_AT,
    TENANT,
    StreamSchema,
    Table,
)


@dataclass(frozen=True)
class MergeResult:
    """
    What a merge did.

    :param merged: rows that are new, or newer than those in the table.
    :param changed: how many of them have another content.
    :param replaced: number of replaced rows of the main table, by the manifest of their state.
    :param added: by how many rows each table has grown; negative if it has shrunk.
    :param key: the key of one merged row; empty if no row is merged.
    """

    merged: int
    changed: int
    replaced: Mapping[str, int]
    added: Mapping[str, int]
    key: list[Any]


class Merge:
    """
    The merge of one manifest's rows, from temporary stage tables into the tables of a stream.

    :param obsolete: columns to empty, and tables to delete from, for the merged rows.
    :param name: the manifest, relative to its data set.
    """

    def __init__(self, database: Database, schema: StreamSchema, obsolete: ObsoleteSchema, name: str) -> None:
        self._database = database
        self._schema = schema
        self._obsolete = obsolete
        self._name = name
        self._dialect = database.dialect
        self._main = database.table(schema.main.name)
        self._main_stage = self._dialect.quote(self.stage_name(schema.main))
        self._pairs = [(name, name) for name in schema.main.primary_key]

    def stage_name(self, table: Table) -> str:
        """Return the unquoted name of a table's stage."""
        return self._dialect.shorten(f"alvys_new_{table.name}")

    def create_stages(self) -> None:
        """Create the stage tables, empty."""
        self.drop_stages()
        for table in self._schema.tables:
            columns = [column.name for column in table.all_columns]
            if not table.parent:
                columns += self._obsolete.columns
            name = self._database.table(table.name)
            stage = self.stage_name(table)
            for statement in self._dialect.create_stage(stage, name, columns, table.primary_key):
                self._database.execute(statement)

    def drop_stages(self) -> None:
        """Drop the stage tables."""
        for table in self._schema.tables:
            self._database.execute(self._dialect.drop_stage(self.stage_name(table)))

    def analyze(self) -> None:
        """Update the statistics on the key columns of the stages."""
        for table in self._schema.tables:
            self._database.analyze(self.stage_name(table), table.primary_key)

    def run(self) -> MergeResult:
        """Merge the rows that are new or newer."""
        self._check_duplicate_keys()
        quote, main = self._dialect.quote, self._schema.main
        missing = [MISSED_AT, MISSING_SINCE]
        # A row that is read again is not missing, even in an older state. Both columns are NULL in the stage.
        was_missed = f"s.{quote(READ_AT)} > t.{quote(MISSED_AT)}"
        self._update(self._main, self._main_stage, missing, was_missed)
        self._delete_older()
        replaced = self._count_replaced()
        self._update(self._main_stage, self._main, [CHANGED_AT], f"t.{quote(HASH)} = s.{quote(HASH)}")
        kept = {*main.primary_key, *missing}
        columns = [column.name for column in main.all_columns if column.name not in kept]
        self._update(self._main, self._main_stage, [*columns, *self._obsolete.columns])
        exists = f"SELECT 1 FROM {self._main} AS t WHERE {self._dialect.join_on('t', 's', self._pairs)}"
        added = {main.name: self._insert(main, f"NOT EXISTS ({exists})")}
        for table in (*self._obsolete.tables, *self._schema.tables[1:]):
            name, pairs = self._database.table(table.name), self._parent_key(table)
            added[table.name] = -self._database.change(self._dialect.delete(name, self._main_stage, pairs))
        for table in self._schema.tables[1:]:
            join = self._dialect.join_on("s", "m", self._parent_key(table))
            added[table.name] += self._insert(
                table, f"EXISTS (SELECT 1 FROM {self._main_stage} AS m WHERE {join})"
            )
        changed = f"COUNT(CASE WHEN {quote(CHANGED_AT)} = {quote(LOADED_AT)} THEN 1 END) AS rows_changed"
        (counts,) = self._database.execute(f"SELECT COUNT(*) AS n, {changed} FROM {self._main_stage}")
        keys = self._database.execute(
            f"SELECT {', '.join(map(quote, main.key))} FROM {self._main_stage} LIMIT 1"
        )
        return MergeResult(int(counts[0]), int(counts[1]), replaced, added, [*keys[0]] if keys else [])

    def _count_replaced(self) -> dict[str, int]:
        """Return the number of rows that will be replaced, by their manifest."""
        manifest = f"t.{self._dialect.quote(MANIFEST)}"
        join = self._dialect.join_on("t", "s", self._pairs)
        rows = self._database.execute(
            f"SELECT {manifest}, COUNT(*) AS n FROM {self._main_stage} AS s JOIN {self._main} AS t ON {join} "
            f"GROUP BY {manifest}"
        )
        return {str(name): int(count) for name, count in rows}

    def _check_duplicate_keys(self) -> None:
        keys = ", ".join(map(self._dialect.quote, self._schema.keys))
        sql = f"SELECT {keys} FROM {self._main_stage} GROUP BY {keys} HAVING COUNT(*) > 1 LIMIT 1"
        duplicates = self._database.execute(sql)
        if duplicates:
            raise AlvysTableError(
                f"Two rows of one manifest have the same key {', '.join(self._schema.keys)}: "
                f"{', '.join(map(repr, duplicates[0]))}. Landing removes duplicates, except a number and its "
                "text: land the manifest again, or delete its folder"
            )

    def _delete_older(self) -> None:
        """Delete staged rows ``t`` of which the main table has a newer state ``s``."""
        read_at, manifest = self._dialect.quote(READ_AT), self._dialect.quote(MANIFEST)
        # A data set that was moved has the same manifests at another path.
        newer = (
            f"s.{read_at} > t.{read_at} OR (s.{read_at} = t.{read_at} AND s.{manifest} > t.{manifest} AND "
            f"s.{manifest} NOT LIKE ?)"
        )
        if self._schema.version:
            # A row without a version is older than a row with one.
            version = self._dialect.quote(self._schema.version)
            newer = (
                f"s.{version} > t.{version} OR (s.{version} IS NOT NULL AND t.{version} IS NULL) OR "
                f"((s.{version} = t.{version} OR (t.{version} IS NULL AND s.{version} IS NULL)) AND "
                f"({newer}))"
            )
        sql = self._dialect.delete(self._main_stage, self._main, self._pairs, newer)
        self._database.execute(sql, (f"%/{self._name}",))

    def _parent_key(self, table: Table) -> list[tuple[str, str]]:
        """Return the columns of a child table with the key of the main table, paired with that key."""
        return [(TENANT, TENANT), *zip(table.key, self._schema.keys, strict=False)]

    def _update(self, target: str, source: str, columns: Sequence[str], where: str = "") -> None:
        self._database.execute(self._dialect.update(target, source, columns, self._pairs, where))

    def _insert(self, table: Table, where: str) -> int:
        """Insert the staged rows ``s`` of a table that meet a condition; return their number."""
        quote = self._dialect.quote
        names = ", ".join(quote(column.name) for column in table.all_columns)
        return self._database.change(
            f"INSERT INTO {self._database.table(table.name)} ({names}) SELECT {names} "
            f"FROM {quote(self.stage_name(table))} AS s WHERE {where}"
        )
