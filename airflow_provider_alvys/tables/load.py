"""Loads landed manifests into tables: each in one transaction with its entry in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import repeat
from typing import Any

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.http.progress import ProgressLog
from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, scrub
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.reader import read_part
from airflow_provider_alvys.landing.formats.registry import read_rows
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.deletes import find_delete_scope, mark_missing
from airflow_provider_alvys.tables.drift import DriftDetector
from airflow_provider_alvys.tables.flatten import RowFlattener, UnmappedFields
from airflow_provider_alvys.tables.freshness import create_freshness_view
from airflow_provider_alvys.tables.gaps import GapFinder
from airflow_provider_alvys.tables.ledger import LEDGER, Ledger, LedgerEntry, TableRows, format_timestamp
from airflow_provider_alvys.tables.merge import Merge, MergeResult
from airflow_provider_alvys.tables.migrate import ObsoleteSchema, ensure_tables, find_obsolete
from airflow_provider_alvys.tables.schema import METADATA_COLUMNS, TENANT, StreamSchema

log = logging.getLogger(__name__)

_SETTINGS_HAVE_CHANGED = "fields, exclude, depth or children have changed, or an earlier load has failed"
# A batch ends at this number of rows or bytes: child tables can have many rows for each.
_BATCH_ROWS = 2000
_BATCH_BYTES = 4 << 20

# A landed row, its file and number for messages, and the key of its parent.
_Record = tuple[bytes, str, str | None]
_Rows = list[list[Any]]


@dataclass(frozen=True)
class LoadResult:
    """
    The result of loading one manifest.

    :param manifest: its path.
    :param rows: rows in it.
    :param merged: how many of them were new, or read later than those in the table, changed or not.
    :param changed: how many of these have another content.
    :param missing: rows of the table that are marked as missing from now on.
    :param suspect_deletes: rows that it lacks but that are not marked, because they are too many.
    :param as_of: the time at which its rows were the stream's state; None if some may be missing.
    :param bytes: size of its parts.
    """

    manifest: str
    rows: int
    merged: int
    changed: int
    missing: int
    suspect_deletes: int
    as_of: datetime | None
    bytes: int


class Loader:
    """
    Load the landed manifests of one stream.

    :param store: the data set.
    :param max_missing_share: if a complete read lacks more than this share of rows, none is marked missing.
    :param clock: gives the time; tests replace it.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        schema: StreamSchema,
        *,
        max_missing_share: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._database = database
        self._store = store
        self._schema = schema
        self._max_missing_share = max_missing_share
        self._ledger = Ledger(database, schema.main.name)
        self._gaps = GapFinder(database, schema, self._ledger, store)
        self._flattener = RowFlattener(schema, database.dialect.limits)
        self._gap_reasons: list[str] = []
        self._obsolete = ObsoleteSchema()
        self._clock = clock
        self._progress = ProgressLog("Loaded", "rows", clock=clock)
        # Rows of all manifests to load, and those staged so far.
        self._rows = self._rows_staged = 0

    def prepare(self) -> None:
        """
        Create or migrate the ledger and the tables, and compare them with each other.

        :raises AlvysTableError: an existing table cannot be migrated.
        """
        with self._database.transaction(LEDGER):
            self._ledger.create()
        create_freshness_view(self._database)
        with self._database.transaction(self._schema.main.name):
            # MariaDB commits at each CREATE: the marks come first.
            self._gap_reasons = self._gaps.mark()
            ensure_tables(self._database, self._schema)
            self._obsolete = find_obsolete(self._database, self._schema)

    def pending(self, named: str | None = None) -> list[str]:
        """
        Return the manifests to load, relative to the data set, oldest read first.

        :param named: load only this manifest, and those that must be loaded again; None for all that are not
            loaded.
        """
        entries = {entry.manifest: entry for entry in self._ledger.entries()}
        pending = set() if named is None else {named}
        again = 0
        for name in self._store.find(self._schema.stream.name, MANIFEST):
            entry = entries.get(self._store.url(name))
            if entry is not None and self._gaps.is_gap(entry):
                again += 1
                pending.add(name)
            elif entry is None and named is None:
                pending.add(name)
        if again:
            table = self._database.table(self._schema.main.name)
            log.warning("Loading %s into %s again", counted(again, "manifests"), table)
            for reason in self._gap_reasons or [_SETTINGS_HAVE_CHANGED]:
                log.warning("Reason: %s", reason)
        manifests = {}
        progress = ProgressLog("Read", "manifests", clock=self._clock)
        for number, name in enumerate(pending):
            progress.update(number, len(pending))
            manifests[name] = self._read_manifest(name)
        self._rows = sum(manifest.rows for manifest in manifests.values())
        log.info("Loading %s of %s", counted(len(pending), "manifests"), counted(self._rows, "rows"))
        return sorted(pending, key=lambda name: (manifests[name].read_from, name))

    def check_gaps(self) -> None:
        """
        Check that no manifest must be loaded again.

        :raises AlvysTableError: the data set no longer contains such a manifest.
        """
        entries = self._ledger.entries()
        tenants = self._gaps.own_tenants(entries)
        gaps = [entry for entry in entries if self._gaps.is_gap(entry)]
        own = [entry for entry in gaps if entry.tenant in tenants]
        main = self._database.table(self._schema.main.name)
        if len(gaps) > len(own):
            others = counted(len(gaps) - len(own), "manifests")
            log.warning("%s of other data sets must be loaded into %s again", others, main)
        if own:
            first = ", ".join(entry.manifest for entry in own[:3])
            raise AlvysTableError(
                f"{main} and its child tables lack data of {counted(len(own), 'loaded manifests')}, not in "
                f"{self._store.path}: {first}. Restore the files, or load their data set. If they are lost, "
                "read their period again (cursor rewind), and have the ledger forget them by this statement: "
                f"{self._ledger.sql_to_forget(own)}"
            )

    def load(self, name: str, *, reload: bool = False) -> LoadResult | None:
        """
        Load one manifest.

        :param name: its file, relative to the data set.
        :param reload: load it even if the ledger lists it.
        :return: None if the ledger lists it, for example because another task loaded it.
        :raises AlvysTableError: a row cannot be stored in the tables.
        :raises AlvysStorageError: a file is missing or damaged.
        """
        manifest = self._read_manifest(name)
        path = self._store.url(name)
        loaded_at = datetime.now(timezone.utc)
        self._flattener.unmapped = UnmappedFields()
        drift = DriftDetector(self._schema)
        merge = Merge(self._database, self._schema, self._obsolete, name)
        with self._database.transaction(self._schema.main.name):
            entry = self._ledger.find(path)
            if entry and not reload and not self._gaps.is_gap(entry):
                log.info("Skipped a manifest that is already loaded: %s", path)
                return None
            merge.create_stages()
            metadata = _metadata_cells(manifest, path, loaded_at)
            rows = 0
            for batch in _batches(self._records(name, manifest)):
                rows += len(batch)
                tables = _flatten(self._flattener, batch)
                drift.observe(tables[0])
                self._stage(merge, tables, manifest.tenant, metadata)
                self._rows_staged += len(batch)
                self._progress.update(self._rows_staged, max(self._rows, self._rows_staged))
            if rows != manifest.rows:
                raise AlvysTableError(f"{path} lists {manifest.rows} rows, its parts {rows}: land it again")
            merge.analyze()
            missing, suspect_deletes = self._mark_missing(manifest, merge)
            drift.warn(self._database, manifest)
            result = merge.run()
            merge.drop_stages()
            self._record(manifest, name, loaded_at, result)
        self._warn_of_unmapped(self._flattener.unmapped)
        log.info("Loaded a manifest: %s read, %s changed", f"{rows:,}", f"{result.changed:,}")
        log.info("Manifest: %s", path)
        as_of = manifest.state_at if manifest.proof == "whole" else None
        size = sum(part.bytes for part in manifest.parts)
        merged, changed = result.merged, result.changed
        return LoadResult(path, rows, merged, changed, missing, suspect_deletes, as_of, size)

    def _record(self, manifest: Manifest, name: str, loaded_at: datetime, result: MergeResult) -> None:
        """Record the load in the ledger."""
        path = self._store.url(name)
        last: TableRows | None = None
        for entry in self._ledger.find_last(manifest.tenant):
            last = entry.table_rows
            self._ledger.update(replace(entry, table_rows=None))
        known = last.rows if last else {}
        rows = {
            table.name: known[table.name] + result.added[table.name]
            if table.name in known
            else self._count(table.name, manifest.tenant)
            for table in self._schema.tables
        }
        state = TableRows(rows=rows, manifest=path, key=result.key)
        if not result.key:
            state = (
                TableRows(rows=rows, manifest=last.manifest, key=last.key) if last else TableRows(rows=rows)
            )
        for replaced, count in result.replaced.items():
            self._ledger.release(replaced, count)
        for entry in self._ledger.find_copies(manifest, path, name):
            self._ledger.update(self._gaps.complete(replace(entry, current_rows=0)))
        entry = LedgerEntry(path, manifest.tenant, manifest.rows, None, result.merged, None, table_rows=state)
        self._ledger.add(self._gaps.complete(entry), manifest, loaded_at)

    def _count(self, table: str, tenant: str) -> int:
        where = f"{self._database.dialect.quote(TENANT)} = ?"
        sql = f"SELECT COUNT(*) AS n FROM {self._database.table(table)} WHERE {where}"
        ((count,),) = self._database.execute(sql, (tenant,))
        return int(count)

    def _read_manifest(self, name: str) -> Manifest:
        manifest = self._store.get_json(name, Manifest)
        if manifest is None:
            raise AlvysTableError(f"{self._store.url(name)} does not exist: its run has not finished")
        if manifest.stream != self._schema.stream.name:
            raise AlvysTableError(f"{self._store.url(name)} is not of the stream {self._schema.stream.name}")
        return manifest

    def _records(self, name: str, manifest: Manifest) -> Iterator[_Record]:
        folder = name.rpartition("/")[0]
        parents: Iterator[str | None] = repeat(None)
        if self._schema.stream.is_child:
            parents = (id for group in manifest.parents for id in repeat(group.ids[0], group.rows))
        for part in manifest.parts:
            where = f"{self._store.url(folder)}/{part.name}"
            content = read_part(self._store, folder, part)
            rows = read_rows(content, self._schema.stream, manifest.file_format, manifest.compression)
            for number, row in enumerate(rows, 1):
                yield row, f"Row {number} of {where}", next(parents, None)

    def _stage(self, merge: Merge, tables: Sequence[_Rows], tenant: str, metadata: list[Any]) -> None:
        for table, rows in zip(self._schema.tables, tables, strict=True):
            if rows:
                end = [] if table.parent else metadata
                columns = [(column.name, column.kind) for column in table.all_columns]
                self._database.fill(merge.stage_name(table), columns, ([tenant, *row, *end] for row in rows))

    def _mark_missing(self, manifest: Manifest, merge: Merge) -> tuple[int, int]:
        scope = find_delete_scope(self._schema, manifest)
        if scope is None or self._ledger.has_newer(manifest.tenant, manifest.read_from):
            return 0, 0
        stage = self._database.dialect.quote(merge.stage_name(self._schema.main))
        max_share = self._max_missing_share
        return mark_missing(self._database, self._schema, manifest, scope, stage=stage, max_share=max_share)

    def _warn_of_unmapped(self, unmapped: UnmappedFields) -> None:
        stream = self._schema.stream.name
        has_extra = any(column.name == EXTRA for column in self._schema.main.columns)
        kept = "kept in _extra" if has_extra else "left out"
        if unmapped.unknown:
            fields = ", ".join(f"{path} ({times:,} times)" for path, times in unmapped.unknown.items())
            log.warning("Unknown fields in %s, %s: %s", stream, kept, scrub(fields, MAX_MESSAGE_CHARS))
        for path, (times, first) in unmapped.mismatches.items():
            values = counted(times, "values")
            log.warning("Type mismatch in %s: %s, %s, %s; first: %s", stream, path, values, kept, first)


def _flatten(flattener: RowFlattener, batch: Sequence[_Record]) -> list[_Rows]:
    """Return the rows of each table."""
    tables: list[_Rows] = [[] for _ in flattener.schema.tables]
    for row, where, parent in batch:
        for table, rows in zip(tables, flattener.flatten(row, where, parent), strict=True):
            table += rows
    return tables


def _metadata_cells(manifest: Manifest, path: str, loaded_at: datetime) -> list[Any]:
    """Return the cells of :data:`METADATA_COLUMNS`."""
    read, now = format_timestamp(manifest.read_from), format_timestamp(loaded_at)
    cells = {"_read_at": read, "_loaded_at": now, "_changed_at": now, "_manifest": path}
    return [cells.get(column.name) for column in METADATA_COLUMNS]


def _batches(records: Iterable[_Record]) -> Iterator[list[_Record]]:
    batch: list[_Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record[0])
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
