"""Look up the ids of parents: given ones, and those that have landed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import Parent
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.progress import ProgressLog
from airflow_provider_alvys.api.read.page_decoder import decode_record
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, landing_date
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.reader import open_manifest, read_parts
from airflow_provider_alvys.landing.jobs.parents import (
    AlvysParentsError,
    RecentParents,
    is_manifest,
    is_of,
    listed_values,
)

log = logging.getLogger(__name__)

# How long after its last change a row lands at most.
_MAX_LANDING_DELAY = timedelta(days=2)
_NEVER = as_utc("0001-01-02T00:00:00Z", "never")


def find_parents(store: Store, stream: Stream, parents: Any, *, tenant: str, now: datetime) -> list[str]:
    """Return the ids of validated parents. Raise AlvysError if a manifest is wrong or no parent landed."""
    assert stream.parent is not None  # noqa: S101
    if isinstance(parents, RecentParents):
        return _find_recent(store, stream.parent, parents, tenant=tenant, now=now)
    parent = get_stream(stream.parent.stream)
    found: list[str] = []
    for item in listed_values(parents):
        if isinstance(item, Mapping) and not is_of(item, parent.name):
            continue
        manifest = item["manifest"] if isinstance(item, Mapping) else item
        if is_manifest(manifest):
            run, landed = open_manifest(manifest)
            _check_tenant(landed, manifest, parent, tenant)
            rows = (decode_record(row, parent) for row in read_parts(run, "", landed, parent))
            found += [str(row[stream.parent.column]) for row in rows if stream.parent.column in row]
        else:
            found.append(str(manifest))
    return list(dict.fromkeys(found))


def find_document_parents(
    store: Store, stream: Stream, parents: Any, *, tenant: str, now: datetime
) -> tuple[list[str], dict[str, list[Mapping[str, Any]]]]:
    """Return the ids of parents whose documents must be listed, and the documents listed by a sync."""
    if isinstance(parents, RecentParents):
        return find_parents(store, stream, parents, tenant=tenant, now=now), {}
    others: list[Any] = []
    listed: dict[str, list[Mapping[str, Any]]] = {}
    for item in listed_values(parents):
        manifest = item["manifest"] if isinstance(item, Mapping) else item
        run, landed = open_manifest(manifest) if is_manifest(manifest) else (None, None)
        if run is None or landed is None or landed.stream != stream.name:
            others.append(item)
            continue
        _check_tenant(landed, manifest, stream, tenant)
        rows = (decode_record(row, stream) for row in read_parts(run, "", landed, stream))
        for of in landed.parents:
            listed[of.ids[0]] = list(islice(rows, of.rows))
    found = find_parents(store, stream, others, tenant=tenant, now=now)
    return [parent for parent in found if parent not in listed], listed


def _check_tenant(landed: Manifest, manifest: str, stream: Stream, tenant: str) -> None:
    if (landed.stream, landed.tenant) != (stream.name, tenant):
        raise AlvysValueError(
            f"{manifest} contains {landed.stream} of {landed.tenant}; the parents are {stream.name} of "
            f"{tenant}. Give the manifest of the parents, and the same tenant to both tasks"
        )


def _find_recent(
    store: Store, parent: Parent, recent: RecentParents, *, tenant: str, now: datetime
) -> list[str]:
    """Return the parents whose newest version matches the conditions."""
    days = parent.recent_days if recent.days is None else recent.days
    since = now - timedelta(days=days)
    where = parent.recent_where if recent.where is None else recent.where
    parents = Store(recent.path) if recent.path else store
    newest: dict[tuple[Any, ...], tuple[tuple[datetime, datetime], str | None]] = {}
    stream = get_stream(parent.stream)
    stamp = next((window.column for window in stream.windows if window.tracks_changes), None)
    names = parents.find(stream.name, MANIFEST)
    first = (since - _MAX_LANDING_DELAY).date()
    progress = ProgressLog("Searched", "manifests for parents")
    for number, name in enumerate(names):
        progress.update(number, len(names))
        manifest = parents.get_json(name, Manifest) if landing_date(name) >= first else None
        if manifest is None or manifest.tenant != tenant:
            continue
        for raw in read_parts(parents, name.rpartition("/")[0], manifest, stream):
            row = decode_record(raw, stream)
            key = tuple(row.get(column) for column in stream.key)
            age = (_time(row.get(stamp)) if stamp else manifest.read_until, manifest.read_until)
            if key not in newest or age >= newest[key][0]:
                is_recent = parent.recent_by is None or _time(row.get(parent.recent_by)) >= since
                is_wanted = is_recent and _matches(row, where) and parent.column in row
                newest[key] = (age, str(row[parent.column]) if is_wanted else None)
    if not newest:
        _check_landed(parents, stream, names, tenant)
    found = [id for _, id in newest.values() if id is not None]
    landed = counted(len(newest), stream.name)
    log.info("Found %s among %s landed since %s", counted(len(found), "recent parents"), landed, since.date())
    return found


def _check_landed(store: Store, stream: Stream, names: Sequence[str], tenant: str) -> None:
    """Raise AlvysParentsError if none of the stream's manifests is of the tenant."""
    others = set()
    for name in reversed(names):
        manifest = store.get_json(name, Manifest)
        if manifest is not None and manifest.tenant == tenant:
            return
        others |= {manifest.tenant} if manifest else set()
    instead = f", only of {', '.join(sorted(others))}" if others else ""
    what = f"No {stream.name} of tenant {tenant} have landed below {store.path}{instead}"
    todo = "Sync them first, or give RecentParents(path=...), and the same tenant to both tasks"
    raise AlvysParentsError(f"{what}. {todo}", stream)


def _time(value: Any) -> datetime:
    return as_utc(value, "time") if isinstance(value, str) else _NEVER


def _matches(row: Mapping[str, Any], where: Mapping[str, Sequence[str]]) -> bool:
    return all(row.get(name) in listed_values(values) for name, values in where.items())
