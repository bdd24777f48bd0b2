"""Whose children are to be read: from a list, from what a parent's sync has landed, or from all that was landed of late."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

from airflow_provider_alvys.api.catalogue.stream_spec import Parent
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, landing_date
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store, check_path
from airflow_provider_alvys.landing.formats.reader import open_manifest, read_parts

log = logging.getLogger(__name__)

# Rows are landed on the day of their last change or on the next one, when a run was late.
_LATE = timedelta(days=2)
_MOST_DAYS = 100_000
_OTHER_WAYS = ", what their sync returned (its XCom), the path of its manifest, or RecentParents(days=…)"


class AlvysParentsError(AlvysValueError):
    """
    Nothing of the parents has ever been landed, so that nothing tells whose children are to be read.

    :param stream: of the parents.
    """

    def __init__(self, message: str, stream: Stream) -> None:
        super().__init__(message)
        self.stream = stream


@dataclass
class RecentParents:
    """
    The parents that a data set holds and that something happened to of late, asked for again at every run.

    Nothing documents that a new document or check call moves its parent's ``UpdatedAt``: the children of changed rows alone
    may miss some.

    :param days: for how many days after the parent's time; None means the catalogue's (14 days after a load's delivery, say).
    :param where: values that the parent's fields must have, such as ``{"CustomerId": ["CU1"]}``; None means the catalogue's. (By
        ``Status`` a parent is asked for no more once it moves on.)
    :param path: root of the parent's data set; None means that of the children. (templated)
    """

    days: float | None = None
    where: Mapping[str, Sequence[str]] | None = None
    path: str | None = None

    template_fields: ClassVar[Sequence[str]] = ("path",)


def check_parents(stream: Stream, parents: Any) -> None:
    """
    Refuse parents that cannot be what is meant.

    :raises AlvysValueError: says what to give.
    """
    parent = stream.parent
    if parent is not None and isinstance(parents, RecentParents):
        _check_recent(parent, parents)
        return
    is_one = parent is not None and (isinstance(parents, Mapping) or _is_manifest(parents))
    items = parse_parents(
        stream,
        [parents] if is_one else parents,
        alternatives=_OTHER_WAYS,
        is_alternative=lambda item: isinstance(item, Mapping),
    )
    results = [item for item in items or () if isinstance(item, Mapping)]
    # A sweep returns those of several streams.
    if parent and results and not (all("manifest" in item for item in results) and any(_is_of(item, parent) for item in results)):
        raise AlvysValueError(
            f"parents holds {dict(results[0])!r}, which no sync of {parent.stream} returned. "
            f"Give a list of the {parent.column} of {parent.stream}{_OTHER_WAYS}"
        )


def _check_recent(parent: Parent, recent: RecentParents) -> None:
    days, where = recent.days, recent.where
    if days is not None and (
        not isinstance(days, (int, float)) or isinstance(days, bool) or not (math.isfinite(days) and 0 < days <= _MOST_DAYS)
    ):
        raise AlvysValueError(f"RecentParents(days={days!r}) must be a number of days above 0")
    if isinstance(recent.path, str) and "{" not in recent.path:
        check_path(recent.path)
    if where is None:
        return
    if not isinstance(where, Mapping):
        raise AlvysValueError(f"RecentParents(where={where!r}) must be a dict, such as {{'CustomerId': ['CU1']}}")
    stream = get_stream(parent.stream)
    for name, values in where.items():
        if name not in stream.fields.fields:
            raise AlvysValueError(
                f"RecentParents(where=…): {stream.name} have no field {name!r}. Fields: {', '.join(stream.fields.fields)}"
            )
        known = next((filter.values for filter in stream.filters if filter.column == name and filter.values), None)
        if not isinstance(values, Sequence) or isinstance(values, bytes) or not values:
            raise AlvysValueError(f"RecentParents(where=…): give {name} a list of values, not {values!r}")
        strangers = [value for value in _listed(values) if known and value not in known]
        if strangers:
            raise AlvysValueError(
                f"RecentParents(where=…): {name} of {stream.name} is never {', '.join(map(repr, strangers))}. "
                f"Values: {', '.join(map(str, known or ()))}"
            )


def _listed(values: Any) -> list[Any]:
    """Return what a list holds, or any other sequence that is no text, or one value."""
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]


def _is_of(result: Mapping[str, Any], parent: Parent) -> bool:
    return result.get("stream") == parent.stream


def _is_manifest(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(MANIFEST)


def plain_parents(parents: Any) -> Any:
    """Return parents as JSON that says where they come from: it tells one order from another."""
    if isinstance(parents, RecentParents):
        return {"days": parents.days, "where": parents.where and dict(parents.where), "path": parents.path}
    if isinstance(parents, Mapping):
        return parents["manifest"]
    return (
        [plain_parents(item) for item in parents] if isinstance(parents, Sequence) and not isinstance(parents, str) else parents
    )


def find_parents(store: Store, stream: Stream, parents: Any, *, tenant: str, now: datetime) -> list[str]:
    """
    Return the ids (in the parent's column that the API asks for) of checked parents.

    :param store: the data set of the children.
    :raises AlvysParentsError: recent ones are wanted, and none at all was ever landed.
    :raises AlvysValueError: a manifest is of another stream or tenant.
    :raises AlvysStorageError: a manifest or a part of it is missing or damaged.
    """
    assert stream.parent is not None  # noqa: S101
    if isinstance(parents, RecentParents):
        return _find_recent(store, stream.parent, parents, tenant=tenant, now=now)
    parent = get_stream(stream.parent.stream)
    found: list[str] = []
    for item in _listed(parents):
        if isinstance(item, Mapping) and not _is_of(item, stream.parent):
            continue
        manifest = item["manifest"] if isinstance(item, Mapping) else item
        if _is_manifest(manifest):
            run, landed = open_manifest(manifest)
            _check_tenant(landed, manifest, parent, tenant)
            rows = map(decode_row, read_parts(run, "", landed, parent))
            found += [str(row[stream.parent.column]) for row in rows if stream.parent.column in row]
        else:
            found.append(str(manifest))
    return list(dict.fromkeys(found))


def check_document_parents(stream: Stream, parents: Any) -> None:
    """
    Refuse parents of documents that cannot be what is meant. What a sync of the documents themselves returned will do as well.

    :param stream: of the documents.
    :raises AlvysValueError: says what to give.
    """
    others = [item for item in _listed(parents) if not _is_result_of(item, stream.name)]
    if others or not _listed(parents):
        check_parents(stream, others if len(others) < len(_listed(parents)) else parents)


def find_document_parents(
    store: Store, stream: Stream, parents: Any, *, tenant: str, now: datetime
) -> tuple[list[str], dict[str, list[Mapping[str, Any]]]]:
    """
    Return the ids of checked parents whose documents are to be listed, and the documents of those that a sync has listed already.

    :param store: where the documents are put.
    :param stream: of the documents.
    :raises AlvysError: as :func:`find_parents`.
    """
    if isinstance(parents, RecentParents):
        return find_parents(store, stream, parents, tenant=tenant, now=now), {}
    others: list[Any] = []
    listed: dict[str, list[Mapping[str, Any]]] = {}
    for item in _listed(parents):
        manifest = item["manifest"] if isinstance(item, Mapping) else item
        run, landed = open_manifest(manifest) if _is_manifest(manifest) else (None, None)
        if run is None or landed is None or landed.stream != stream.name:
            others.append(item)
            continue
        _check_tenant(landed, manifest, stream, tenant)
        rows = map(decode_row, read_parts(run, "", landed, stream))
        for of in landed.parents:
            listed[of.ids[0]] = list(islice(rows, of.rows))
    found = find_parents(store, stream, others, tenant=tenant, now=now)
    return [parent for parent in found if parent not in listed], listed


def _is_result_of(item: Any, stream: str) -> bool:
    return isinstance(item, Mapping) and item.get("stream") == stream and "manifest" in item


def _check_tenant(landed: Manifest, manifest: str, stream: Stream, tenant: str) -> None:
    if (landed.stream, landed.tenant) != (stream.name, tenant):
        raise AlvysValueError(
            f"{manifest} holds {landed.stream} of {landed.tenant}; the parents are {stream.name} of {tenant}. "
            "Give the manifest of those, and the same tenant to both"
        )


def _find_recent(store: Store, parent: Parent, recent: RecentParents, *, tenant: str, now: datetime) -> list[str]:
    """Return the parents whose newest landed row meets the conditions."""
    days = parent.recent_days if recent.days is None else recent.days
    since = now - timedelta(days=days)
    where = parent.recent_where if recent.where is None else recent.where
    parents = Store(recent.path) if recent.path else store
    newest: dict[tuple[Any, ...], tuple[tuple[datetime, datetime], str | None]] = {}
    stream = get_stream(parent.stream)
    stamp = next((window.column for window in stream.windows if window.tracks_changes), None)
    names = parents.find(stream.name, MANIFEST)
    # What happened after `since` was landed after it, too.
    first = (since - _LATE).date()
    for name in names:
        manifest = parents.get_json(name, Manifest) if landing_date(name) >= first else None
        if manifest is None or manifest.tenant != tenant:
            continue
        for row in map(decode_row, read_parts(parents, name.rpartition("/")[0], manifest, stream)):
            key = tuple(row.get(column) for column in stream.key)
            age = (_time(row.get(stamp)) if stamp else manifest.read_until, manifest.read_until)
            if key not in newest or age >= newest[key][0]:
                wanted = _meets(row, where) and (parent.recent_by is None or _time(row.get(parent.recent_by)) >= since)
                newest[key] = (age, str(row[parent.column]) if wanted and parent.column in row else None)
    if not newest:
        _check_landed(parents, stream, names, tenant)
    found = [id for _, id in newest.values() if id is not None]
    log.info("%d of the %d %s that were landed since %s are asked for", len(found), len(newest), stream.name, since.date())
    return found


def _check_landed(store: Store, stream: Stream, names: Sequence[str], tenant: str) -> None:
    """
    Refuse a data set in which nobody has ever looked for the parents.

    :param names: of all manifests of the parents' stream.
    """
    others = set()
    for name in reversed(names):
        manifest = store.get_json(name, Manifest)
        if manifest is not None and manifest.tenant == tenant:
            return
        others |= {manifest.tenant} if manifest else set()
    instead = f", only of {', '.join(sorted(others))}" if others else ""
    raise AlvysParentsError(
        f"No {stream.name} of tenant {tenant} have been landed below {store.path}{instead}: sync them first, or give "
        "RecentParents(path=…), and the same tenant to both",
        stream,
    )


_NEVER = as_utc("0001-01-02T00:00:00Z", "never")


def _time(value: Any) -> datetime:
    return as_utc(value, "time") if isinstance(value, str) else _NEVER


def _meets(row: Mapping[str, Any], where: Mapping[str, Sequence[str]]) -> bool:
    return all(row.get(name) in _listed(values) for name, values in where.items())
