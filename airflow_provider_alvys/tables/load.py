"""Landed manifests into the tables of a database: each in a transaction of its own, with its line in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import repeat
from typing import Any

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.reader import read_part
from airflow_provider_alvys.landing.formats.registry import read_rows
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.deletes import find_delete_scope, mark_missing
from airflow_provider_alvys.tables.drift import DriftDetector
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.ledger import LEDGER, Ledger, format_timestamp
from airflow_provider_alvys.tables.merge import Merge, stage_name
from airflow_provider_alvys.tables.migrate import ObsoleteSchema, ensure_tables, find_obsolete
from airflow_provider_alvys.tables.schema import METADATA_COLUMNS, StreamSchema

log = logging.getLogger(__name__)

# Rows of a stream on their way at once, and bytes of them: their lists may hold a great many items.
_BATCH = 2000
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True)
class LoadResult:
    """
    What has become of one manifest.

    :param rows: that it holds.
    :param merged: of these, the ones that were new, or newer than those in the table.
    :param missing: rows of the table that are missing from now on.
    :param suspect_deletes: rows that it misses, of which it is not believed that they have gone.
    """

    manifest: str
    rows: int
    merged: int
    missing: int
    suspect_deletes: int


class Loader:
    """
    Loads what has been landed of a stream.

    :param store: the data set.
    :param max_missing_share: of the rows that a whole reading could hold: if it misses more, none is marked as missing.
    """

    def __init__(
        self, database: Database, store: Store, schema: StreamSchema, *, max_missing_share: float
    ) -> None:
        self._database = database
        self._store = store
        self._schema = schema
        self._max_missing_share = max_missing_share
        self._ledger = Ledger(database, schema.main.name)
        self._obsolete = ObsoleteSchema()

    def prepare(self) -> None:
        """
        Make or widen the ledger and the tables.

        :raises AlvysTableError: a table is not what it should be.
        """
        with self._database.transaction(LEDGER):
            self._ledger.create()
        with self._database.transaction(self._schema.main.name):
            ensure_tables(self._database, self._schema)
            self._obsolete = find_obsolete(self._database, self._schema)

    def pending(self) -> list[str]:
        """Return the manifests of the data set that have not been loaded, relative to it, in the order of their reading."""
        known = self._ledger.manifests()
        names = self._store.find(self._schema.stream.name, MANIFEST)
        unknown = [name for name in names if self._store.url(name) not in known]
        return sorted(unknown, key=lambda name: (self._open(name).read_from, name))

    def load(self, name: str, *, reload: bool = False) -> LoadResult | None:
        """
        Load one manifest.

        :param name: of its file, relative to the data set.
        :param reload: even though it has been loaded.
        :return: what has become of it; None for one that has been loaded, by whomever.
        :raises AlvysTableError: a row cannot go into the table.
        :raises AlvysStorageError: a file is missing or damaged.
        """
        manifest = self._open(name)
        path = self._store.url(name)
        loaded_at = datetime.now(timezone.utc)
        flattener = RowFlattener(self._schema, self._database.dialect.limits)
        drift = DriftDetector(self._schema)
        merge = Merge(self._database, self._schema, self._obsolete)
        with self._database.transaction(self._schema.main.name):
            if not reload and self._ledger.holds(path):
                log.info("%s has been loaded meanwhile", path)
                return None
            merge.open_stages()
            metadata = _metadata_cells(manifest, path, loaded_at)
            rows = 0
            for batch in _batches(self._records(name, manifest)):
                rows += len(batch)
                self._fill(flattener, drift, batch, manifest.tenant, metadata)
            if rows != manifest.rows:
                raise AlvysTableError(
                    f"{path} tells of {manifest.rows} rows, and its parts hold {rows}: land it again"
                )
            merge.analyze()
            missing, suspect_deletes = self._mark_missing(manifest, merge.stage(self._schema.main))
            drift.warn(self._database, manifest)
            merged = merge.run()
            merge.close_stages()
            self._ledger.add(path, manifest, loaded_at)
        self._report_unmapped(flattener)
        log.info(
            "LoadResult %d %s, %d of them new or newer: %s", rows, self._schema.stream.name, merged, path
        )
        return LoadResult(path, rows, merged, missing, suspect_deletes)

    def _open(self, name: str) -> Manifest:
        manifest = self._store.get_json(name, Manifest)
        if manifest is None:
            raise AlvysTableError(f"There is no manifest {self._store.url(name)}: its run has not ended well")
        if manifest.stream != self._schema.stream.name:
            raise AlvysTableError(
                f"{self._store.url(name)} is of {manifest.stream}, not of {self._schema.stream.name}"
            )
        return manifest

    def _records(self, name: str, manifest: Manifest) -> Iterator[tuple[bytes, str, str | None]]:
        """Yield each record, where it stands, and whose child it is."""
        folder = name.rpartition("/")[0]
        parents: Iterator[str | None] = repeat(None)
        if self._schema.stream.is_child:
            parents = (id for group in manifest.parents for id in repeat(group.ids[0], group.rows))
        for part in manifest.parts:
            where = f"{self._store.url(folder)}/{part.name}"
            content = read_part(self._store, folder, part)
            for number, row in enumerate(
                read_rows(content, self._schema.stream, manifest.file_format, manifest.compression), 1
            ):
                yield row, f"Row {number} of {where}", next(parents, None)

    def _fill(
        self,
        flattener: RowFlattener,
        drift: DriftDetector,
        batch: Sequence[tuple[bytes, str, str | None]],
        tenant: str,
        metadata: Sequence[Any],
    ) -> None:
        found: list[list[list[Any]]] = [[] for _ in self._schema.tables]
        for row, where, parent in batch:
            for into, rows in zip(found, flattener.flatten(row, where, parent), strict=True):
                into += rows
        drift.observe(found[0])
        for table, rows in zip(self._schema.tables, found, strict=True):
            if rows:
                end = [] if table.parent else metadata
                columns = [(column.name, column.kind) for column in table.stored]
                stage = self._database.dialect.fit(stage_name(table))
                self._database.fill(stage, columns, ([tenant, *row, *end] for row in rows))

    def _mark_missing(self, manifest: Manifest, stage: str) -> tuple[int, int]:
        scope = find_delete_scope(self._schema, manifest)
        if scope is None or self._ledger.has_newer(manifest.tenant, manifest.read_from):
            return 0, 0
        return mark_missing(
            self._database, self._schema, manifest, scope, stage=stage, max_share=self._max_missing_share
        )

    def _report_unmapped(self, flattener: RowFlattener) -> None:
        unmapped = flattener.unmapped
        kept = (
            "kept in _extra"
            if any(column.name == EXTRA for column in self._schema.main.columns)
            else "left out"
        )
        if unmapped.unknown:
            log.warning(
                "The catalogue does not know %s of %s: %s",
                ", ".join(f"{path} ({count} times)" for path, count in unmapped.unknown.items()),
                self._schema.stream.name,
                kept,
            )
        for path, (count, first) in unmapped.mismatches.items():
            log.warning(
                "%d values of %s of %s are not of its type: its column is empty and the value %s. The first: %s",
                count,
                path,
                self._schema.stream.name,
                kept,
                first,
            )


def _metadata_cells(manifest: Manifest, path: str, loaded_at: datetime) -> list[Any]:
    """Return the cells of :data:`METADATA_COLUMNS`."""
    read, now = format_timestamp(manifest.read_from), format_timestamp(loaded_at)
    cells = {"_read_at": read, "_loaded_at": now, "_changed_at": now, "_manifest": path}
    return [cells.get(column.name) for column in METADATA_COLUMNS]


def _batches(
    records: Iterable[tuple[bytes, str, str | None]],
) -> Iterator[list[tuple[bytes, str, str | None]]]:
    batch: list[tuple[bytes, str, str | None]] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record[0])
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
