"""An overview of a data set: newest manifests, cursors, open and unfinished runs, from few files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.landing.dataset.cursor import Cursor, CursorMove
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, cursor_file, landing_date, run_file
from airflow_provider_alvys.landing.dataset.listing import (
    FoundCursor,
    list_cursors,
    list_dates,
    list_runs,
    list_streams,
    read_json,
)
from airflow_provider_alvys.landing.dataset.manifest import Manifest, Part
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity

# The most run folders of a stream that are opened.
MAX_FOLDERS = 200
_NEWEST_RUNS = 10


@dataclass(frozen=True)
class UnfinishedRun:
    """
    A run that has neither landed nor given up: it is running, waits for a retry, or was abandoned.

    :param folder: its folder, relative to the data set.
    :param rows: rows in its complete parts.
    :param read_from: start of the reading.
    :param tenant: None if it was begun by version 0.2.0 or earlier.
    """

    folder: str
    rows: int
    parts: int
    read_from: datetime
    tenant: str | None


@dataclass
class SyncOverview:
    """
    One sync of a stream: a tenant, a set of filters and a window kind.

    :param window_by: window kind; None for a stream that is read in full.
    :param cursor: its cursor; None if it does not exist or is damaged.
    :param problem: why its cursor cannot be read; empty if it can. A damaged manifest or checkpoint has an
        overview of its own.
    :param name: name of its newest manifest, or of the damaged file, relative to the data set; None if none
        was found.
    :param open_runs: runs since the last complete one that are not proved complete.
    """

    stream: str
    tenant: str | None
    filters: dict[str, Any]
    window_by: str | None
    cursor: Cursor | None = None
    problem: str = ""
    name: str | None = None
    manifest: Manifest | None = None
    open_runs: int = 0
    unfinished: list[UnfinishedRun] = field(default_factory=list)


class _StoredParts(msgspec.Struct):
    parts: list[Part] = []


class _StoredRun(msgspec.Struct, kw_only=True):
    """The fields of a run file that its overview needs."""

    identity: RunIdentity
    folder: str
    read_from: datetime
    state: str
    progress: _StoredParts | None = None


def read_overview(
    store: Store, streams: Sequence[Stream], *, tenant: str | None = None
) -> Iterator[SyncOverview]:
    """
    Yield an overview of each sync of the streams. Opens the cursors and the newest folders only.

    :param tenant: None for all tenants.
    """
    # A stream that is read in full has no cursor that names its tenants.
    others = list_streams(store) if tenant is None else []
    cursors = {stream.name: list_cursors(store, stream) for stream in {*streams, *others}}
    known = {found.cursor.tenant for each in cursors.values() for found in each if found.cursor}
    tenants = known if tenant is None else {tenant}
    for stream in streams:
        for sync in _read_stream(store, stream, cursors[stream.name], tenants):
            if tenant is None or sync.tenant in (tenant, None):
                yield sync


def find_unfinished(store: Store, stream: Stream, tenant: str) -> list[UnfinishedRun]:
    """
    Return the unfinished runs of a stream and tenant, among its newest.

    :raises AlvysStorageError: a manifest or checkpoint is damaged.
    """
    syncs = list(read_overview(store, [stream], tenant=tenant))
    if damaged := next((sync.problem for sync in syncs if sync.name and not sync.manifest), None):
        raise AlvysStorageError(damaged)
    return list({run.folder: run for sync in syncs for run in sync.unfinished}.values())


def read_move(store: Store, stream: Stream, manifest: str) -> list[CursorMove]:
    """Return the DAG and run that wrote a manifest; empty if its checkpoint does not exist any more."""
    run_hash = manifest.split("/")[-2].rsplit("-", 2)[1]
    found = store.get_json(run_file(stream.name, run_hash), _StoredRun)
    return [CursorMove(found.identity.dag_id, found.identity.run_id)] if found else []


def _read_stream(
    store: Store, stream: Stream, cursors: Sequence[FoundCursor], tenants: Collection[str]
) -> list[SyncOverview]:
    syncs = {found.name: _begin(store, stream, found) for found in cursors}
    positions = [sync.cursor.until for sync in syncs.values() if sync.cursor]
    until = f"{min(positions):%Y%m%dT%H%M%SZ}" if positions else ""
    oldest = min((landing_date(sync.name) for sync in syncs.values() if sync.name), default=None)
    found: dict[str, Manifest] = {
        sync.name: sync.manifest for sync in syncs.values() if sync.name and sync.manifest
    }
    # A run that has no part yet has no folder.
    hashes = {name.removesuffix(".json") for name in store.list_newest(f"{stream.name}/_runs", _NEWEST_RUNS)}
    opened, missing = 0, set(tenants)
    damaged = []
    for date in list_dates(store, stream):
        for run in list_runs(store, stream, date):
            # What ended before the cursors is nobody's newest.
            if run.until is not None and run.until < until:
                continue
            opened += 1
            name = f"{run.name}/{MANIFEST}"
            manifest, problem = (found[name], "") if name in found else read_json(store, name, Manifest)
            if problem:
                damaged.append(SyncOverview(stream.name, None, {}, None, problem=problem, name=name))
            elif manifest:
                found[name] = manifest
            elif run.run_hash:
                hashes.add(run.run_hash)
        missing -= {manifest.tenant for manifest in found.values() if manifest.proof == "whole"}
        is_enough = date <= oldest.isoformat() if oldest else bool(found) and not missing
        if is_enough or opened >= MAX_FOLDERS:
            break
    _add_manifests(stream, syncs, found)
    unfinished = []
    for each in sorted(hashes):
        unfinished_run, problem = _find_checkpoint(store, stream, each)
        unfinished += [unfinished_run] if unfinished_run else []
        if problem:
            name = run_file(stream.name, each)
            damaged.append(SyncOverview(stream.name, None, {}, None, problem=problem, name=name))
    for sync in syncs.values():
        sync.unfinished = [run for run in unfinished if run.tenant in (sync.tenant, None)]
    return [*syncs.values(), *damaged]


def _begin(store: Store, stream: Stream, found: FoundCursor) -> SyncOverview:
    """Return the overview of a cursor, with the manifest that moved it."""
    cursor = found.cursor
    if cursor is None:
        return SyncOverview(stream.name, None, {}, None, problem=found.problem)
    manifest, _ = read_json(store, cursor.manifest, Manifest)
    sync = SyncOverview(stream.name, cursor.tenant, cursor.filters, cursor.window_by, cursor)
    sync.name, sync.manifest = (cursor.manifest, manifest) if manifest else (None, None)
    return sync


def _add_manifests(stream: Stream, syncs: dict[str, SyncOverview], found: Mapping[str, Manifest]) -> None:
    """Add the newest manifests, and the syncs that have no cursor."""
    with_cursor = {_key(stream, sync.tenant, sync.filters) for sync in syncs.values() if sync.tenant}
    by_sync: dict[str, list[tuple[str, Manifest]]] = {}
    for name, manifest in found.items():
        by = manifest.window.by if manifest.window else None
        key = _key(stream, manifest.tenant, manifest.filters, by)
        # A sweep or a backfill beside a sync with a cursor is not that sync.
        if key in syncs or _key(stream, manifest.tenant, manifest.filters) not in with_cursor:
            by_sync.setdefault(key, []).append((name, manifest))
            syncs.setdefault(key, SyncOverview(stream.name, manifest.tenant, manifest.filters, by))
    for key, manifests in by_sync.items():
        manifests.sort(key=lambda each: each[1].read_until)
        sync = syncs[key]
        sync.name, sync.manifest = name, manifest = manifests[-1]
        # The name of a damaged cursor is that of its manifests' tenant, filters and window kind.
        sync.tenant, sync.filters = manifest.tenant, manifest.filters
        sync.window_by = manifest.window.by if manifest.window else None
        proofs = [manifest.proof for _, manifest in manifests]
        sync.open_runs = [*reversed(proofs), "whole"].index("whole")


def _key(stream: Stream, tenant: str | None, filters: Mapping[str, Any], by: str | None = None) -> str:
    return cursor_file(stream, tenant or "", filters, by or "")


def _find_checkpoint(store: Store, stream: Stream, run_hash: str) -> tuple[UnfinishedRun | None, str]:
    """Return the run of a checkpoint, unless it has landed or given up, and why it cannot be read."""
    known, problem = read_json(store, run_file(stream.name, run_hash), _StoredRun)
    if known is None or known.state != "reading":
        return None, problem
    parts = known.progress.parts if known.progress else []
    rows = sum(part.rows for part in parts)
    run = UnfinishedRun(known.folder, rows, len(parts), known.read_from, known.identity.tenant)
    return run, ""
