"""Gaps: rows, columns and child tables that the ledger's manifests have filled and the tables do not have."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec

from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.landing.dataset.layout import MANIFEST as MANIFEST_FILE
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.ledger import LOAD_AGAIN, Ledger, LedgerEntry, TableRows
from airflow_provider_alvys.tables.migrate import find_absent
from airflow_provider_alvys.tables.schema import MANIFEST, TENANT, StreamSchema, Table, build_schema

log = logging.getLogger(__name__)


def hash_schema(schema: StreamSchema) -> str:
    """Return a hash of the stream's tables and columns at this depth, with those that are excluded."""
    full = build_schema(schema.stream, table=schema.main.name, depth=schema.depth)
    tables = [
        (table.path, [(one.name, one.kind, one.field) for one in table.all_columns]) for table in full.tables
    ]
    return hashlib.sha256(msgspec.json.encode(tables)).hexdigest()[:32]


class GapFinder:
    """
    Find the manifests that must be loaded again, because the tables lack some of their data.

    :param store: the data set.
    """

    def __init__(self, database: Database, schema: StreamSchema, ledger: Ledger, store: Store) -> None:
        self._database = database
        self._schema = schema
        self._ledger = ledger
        self._store = store
        self._schema_hash = hash_schema(schema)
        self._excluded = sorted(schema.excluded)

    def complete(self, entry: LedgerEntry) -> LedgerEntry:
        """Return an entry with the current schema."""
        return replace(entry, schema_hash=self._schema_hash, excluded=self._excluded)

    def is_gap(self, entry: LedgerEntry) -> bool:
        """Return whether a manifest must be loaded again."""
        if entry.schema_hash == LOAD_AGAIN:
            return True
        if entry.schema_hash is None or not entry.current_rows:
            return False
        return entry.schema_hash != self._schema_hash or not all(map(self._is_excluded, entry.excluded))

    def _is_excluded(self, path: str) -> bool:
        return any(path == one or path.startswith(f"{one}.") for one in self._excluded)

    def own_tenants(self, entries: Sequence[LedgerEntry]) -> set[str]:
        """Return the tenants of the data set."""
        stream = self._schema.stream.name
        start = self._store.url(f"{stream}/")
        tenants = {entry.tenant for entry in entries if entry.manifest.startswith(start)}
        if not tenants and (names := self._store.find(stream, MANIFEST_FILE)):
            manifest = self._store.get_json(names[-1], Manifest)
            tenants = {manifest.tenant} if manifest else set()
        return tenants

    def mark(self) -> list[str]:
        """
        Compare the tables with the ledger, before they are migrated, and mark the entries that must be loaded
        again. Rows of other tenants are left to the loads of their data sets.

        :return: what is missing, for the log.
        """
        entries = self._ledger.entries()
        if not entries:
            return []
        main = self._database.table(self._schema.main.name)
        log.info("Comparing %s with its ledger of %s", main, counted(len(entries), "manifests"))
        absent = find_absent(self._database, self._schema)
        counts = {table.name: self._count(table, TENANT, absent) for table in self._schema.tables}
        reasons = [f"{name} did not exist" for name in absent]
        own = self.own_tenants(entries)
        for tenant in own:
            rows = {name: count.get(tenant, 0) for name, count in counts.items()}
            if group := [entry for entry in entries if entry.tenant == tenant]:
                reasons += self._mark_tenant(group, rows, absent)
        others = [entry for entry in entries if entry.tenant not in own]
        if absent and others:
            found = self._count(self._schema.main, MANIFEST, absent)
            for entry in others:
                if entry.manifest in found:
                    self._ledger.update(replace(entry, schema_hash=LOAD_AGAIN))
        return reasons

    def _mark_tenant(
        self, entries: Sequence[LedgerEntry], rows: Mapping[str, int], absent: Collection[str]
    ) -> list[str]:
        main = self._schema.main
        last = max(entries, key=lambda entry: (entry.table_rows is not None, entry.read_at))
        state = last.table_rows or TableRows(rows=rows)
        changed = [name for name, count in rows.items() if state.rows.get(name, count) != count]
        reasons = [f"{name} has {rows[name]} rows instead of {state.rows[name]}" for name in changed]
        state = msgspec.structs.replace(state, rows=rows)
        counted = [*entries]
        again = set()
        if (
            main.name in changed
            or any(entry.current_rows is None for entry in entries)
            or not self._has_last_row(last.tenant, state, absent)
        ):
            state = TableRows(rows=rows)
            found = self._count(main, MANIFEST, absent)
            counted = [replace(entry, current_rows=found.get(entry.manifest, 0)) for entry in entries]
            lost = _find_lost(entries, counted)
            if lost:
                reasons.append(f"{main.name} lacks rows of {len(lost)} manifests")
                # Later manifests follow, in order, so that missing rows are marked as before.
                oldest = min(entry.read_at for entry in lost)
                names = self._store.find(self._schema.stream.name, MANIFEST_FILE)
                stored = {self._store.url(name) for name in names}
                again = {entry.manifest for entry in lost}
                for entry in entries:
                    if entry.read_at >= oldest and entry.manifest in stored:
                        again.add(entry.manifest)
                    elif entry.read_at >= oldest and entry.current_rows == 0:
                        # Neither its file nor a row of it is left.
                        self._ledger.remove(entry.manifest)
        if absent or {*changed} - {main.name}:
            again |= {entry.manifest for entry in counted if entry.current_rows}
        for entry, new in zip(entries, counted, strict=True):
            if entry.manifest in again:
                new = replace(new, schema_hash=LOAD_AGAIN)
            elif entry.schema_hash is None:
                new = self.complete(new)
            new = replace(new, table_rows=state if entry is last else None)
            if new != entry:
                self._ledger.update(new)
        return reasons

    def _has_last_row(self, tenant: str, state: TableRows, absent: Collection[str]) -> bool:
        """Return whether a row of the last load still has the state of that load."""
        main = self._schema.main
        if state.manifest is None or absent:
            return not absent
        quote = self._database.dialect.quote
        where = " AND ".join(f"{quote(name)} = ?" for name in main.primary_key)
        sql = f"SELECT {quote(MANIFEST)} FROM {self._database.table(main.name)} WHERE {where}"
        return self._database.execute(sql, (tenant, *state.key)) == [(state.manifest,)]

    def _count(self, table: Table, column: str, absent: Collection[str]) -> dict[str, int]:
        """Return the number of rows of a table by the values of a column; none if it does not exist."""
        if table.name in absent or f"{table.name}.{column}" in absent:
            return {}
        name = self._database.dialect.quote(column)
        sql = f"SELECT {name}, COUNT(*) AS n FROM {self._database.table(table.name)} GROUP BY {name}"
        return {str(value): int(count) for value, count in self._database.execute(sql)}


def _find_lost(entries: Sequence[LedgerEntry], counted: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Return the entries with more rows than are counted now."""
    now = {entry.manifest: entry.current_rows or 0 for entry in counted}
    lost = [entry for entry in entries if (entry.current_rows or 0) > now[entry.manifest]]
    # 0.1.0 and 0.2.0 did not count. A table has at least as many rows as each manifest.
    old = [entry for entry in entries if entry.current_rows is None and entry.schema_hash is None]
    if sum(now.values()) < max((entry.rows for entry in old), default=0):
        lost += [entry for entry in old if entry.rows]
    return lost
