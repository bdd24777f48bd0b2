"""How fresh the streams of a data set are, from its cursors and manifests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_alvys.api.catalogue.streams import Stream, get_streams
from airflow_provider_alvys.api.read.windows import format_time, in_seconds
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, cursor_file
from airflow_provider_alvys.landing.dataset.store import Store

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_alvys.landing.dataset.listing import FoundCursor
    from airflow_provider_alvys.landing.dataset.manifest import Manifest

Freshness = Literal["fresh", "late", "unknown", "never"]
_NO_TIME = datetime(1, 1, 1, tzinfo=timezone.utc)


class Evidence(IntEnum):
    """What one run, or a cursor, shows of a stream. Of two, the greater one counts, as in the view."""

    NONE = 0
    # A complete run that is no regular sync.
    COMPLETE = 1
    # A regular sync that may lack rows.
    REGULAR_OPEN = 2
    # A complete run of version 0.2.0 or earlier, whose state has no known time.
    COMPLETE_UNDATED = 3
    REGULAR = 4


def judge(evidence: Evidence, as_of: datetime, cadence: timedelta | None, now: datetime) -> Freshness:
    """
    Return how fresh a stream is.

    :param as_of: the time of which the complete state is there.
    :param cadence: the time between two regular syncs; None if the stream has no tier.
    """
    from airflow_provider_alvys.landing.dataset.manifest import LATE_AFTER

    if evidence in (Evidence.NONE, Evidence.REGULAR_OPEN):
        return "never"
    if evidence is not Evidence.REGULAR or cadence is None:
        return "unknown"
    return "late" if now - as_of > LATE_AFTER * cadence else "fresh"


@dataclass(frozen=True, order=True)
class _State:
    """
    The best evidence of a stream.

    :param problem: why a file cannot be read; empty if all can.
    """

    evidence: Evidence = Evidence.NONE
    as_of: datetime = _NO_TIME
    cadence: timedelta | None = field(default=None, compare=False)
    problem: str = field(default="", compare=False)

    def freshness(self, now: datetime) -> Freshness:
        return "unknown" if self.problem else judge(self.evidence, self.as_of, self.cadence, now)


def alvys_freshness(
    path: str | ObjectStoragePath | PurePath,
    *,
    streams: Sequence[str] | None = None,
    tenant: str | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """
    Return how fresh the streams of a data set are; for tables, the view ``alvys_freshness`` says the same.

    Reads the cursors, and only where they do not show that a stream is fresh the manifests, the newest first,
    back to the last complete regular sync.

    :param path: root of the data set, absolute, as for the landing operators.
    :param streams: streams of the catalogue, also those that have never landed; None means all that have.
    :param tenant: name of the tenant in manifests; None means all tenants.
    :param now: the time to compare with, aware; None means the current time.
    :return: a list of ``{"tenant", "stream", "as_of", "age_seconds", "cadence_seconds", "freshness",
        "problem"}``, by tenant and stream: the newest time of which the files show the complete state, in
        ISO 8601, and its age; the time between two regular syncs; ``fresh``, ``late`` (older than one and a
        half of these times), ``unknown`` (no regular sync, a run of version 0.2.0 or earlier, or a damaged
        file) or ``never`` (never complete); and why a cursor or manifest cannot be read, else None. If no
        one knows whose file is damaged, the tenant is None.
    :raises AlvysValueError: there is no such stream, or the path is empty or relative.
    :raises AlvysStorageError: a folder of the data set cannot be listed.
    """
    return read_freshness(Store(str(path)), streams=streams, tenant=tenant, now=now)


def read_freshness(
    store: Store,
    *,
    streams: Sequence[str] | None = None,
    tenant: str | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return what :func:`alvys_freshness` returns."""
    # Imported here: each parse of a DAG imports this module.
    from airflow_provider_alvys.landing.dataset.listing import list_cursors, list_streams

    now = now or datetime.now(timezone.utc)
    landed = list_streams(store)
    asked = landed if streams is None else get_streams(streams)
    found = {stream: list_cursors(store, stream) for stream in landed}
    known = {each.cursor.tenant for cursors in found.values() for each in cursors if each.cursor}
    tenants: set[str | None] = {tenant} if tenant else {*known}
    rows = []
    for stream in asked:
        states = _read_states(store, stream, found.get(stream, []), known, tenant, now)
        if streams is not None:
            for name in tenants or ([] if states else [None]):
                states.setdefault(name, _State())
        rows += [_row(stream, name, state, now) for name, state in states.items()]
    return sorted(rows, key=lambda row: (row["tenant"] or "", row["stream"]))


def _row(stream: Stream, tenant: str | None, state: _State, now: datetime) -> dict[str, Any]:
    is_known = state.evidence in (Evidence.COMPLETE, Evidence.REGULAR)
    return {
        "tenant": tenant,
        "stream": stream.name,
        "as_of": format_time(state.as_of) if is_known else None,
        "age_seconds": int((now - state.as_of).total_seconds()) if is_known else None,
        "cadence_seconds": in_seconds(state.cadence),
        "freshness": state.freshness(now),
        "problem": state.problem or None,
    }


def _read_states(
    store: Store,
    stream: Stream,
    cursors: Sequence[FoundCursor],
    known: Collection[str],
    tenant: str | None,
    now: datetime,
) -> dict[str | None, _State]:
    """
    Return the state of each tenant: by its cursor, or by the newest manifests if that is not fresh.

    :param known: the tenants of all cursors.
    :param tenant: the only one to return; None for all.
    """
    from airflow_provider_alvys.landing.dataset.listing import list_dates, list_runs, read_json
    from airflow_provider_alvys.landing.dataset.manifest import Manifest

    states = _states_of(stream, cursors, tenant)
    best = Evidence.COMPLETE if stream.cadence_of(stream.default_window) is None else Evidence.REGULAR
    # The newest day on which a run of each tenant showed the best that the stream can show.
    found = {name: f"{state.as_of:%Y-%m-%d}" for name, state in states.items()}
    damaged = [(each.name, each.problem) for each in cursors if each.problem]
    dates = list_dates(store, stream)
    for date in dates:
        # An older day may have better evidence, but no newer state. A windowed stream that was ever complete
        # has a cursor.
        sought = [
            name
            for name in {*([tenant] if tenant else known), *states}
            if states.get(name, _State()).freshness(now) != "fresh"
            and found.get(name, "") <= date
            and (name in states or damaged or stream.default_window is None or date == dates[0])
        ]
        if states and not sought:
            break
        for run in list_runs(store, stream, date):
            name = f"{run.name}/{MANIFEST}"
            manifest, problem = read_json(store, name, Manifest)
            if problem:
                damaged.append((name, problem))
            elif manifest is not None and tenant in (None, manifest.tenant):
                state = _state_of(manifest)
                states[manifest.tenant] = max(states.get(manifest.tenant, _State()), state)
                if state.evidence >= best:
                    found[manifest.tenant] = max(found.get(manifest.tenant, ""), date)
    owners = {
        cursor_file(stream, name, {}, stream.default_window or ""): name
        for name in {*known, *states, tenant}
        if name is not None
    }
    for name, problem in damaged:
        owner = owners.get(name, tenant)
        if tenant in (None, owner):
            states[owner] = replace(states.get(owner, _State()), problem=problem)
    return states


def _states_of(
    stream: Stream, cursors: Sequence[FoundCursor], tenant: str | None
) -> dict[str | None, _State]:
    """Return the position of each tenant's regular sync."""
    states: dict[str | None, _State] = {}
    for found in cursors:
        cursor = found.cursor
        is_regular = cursor and not cursor.filters and cursor.window_by == stream.default_window
        if cursor and is_regular and tenant in (None, cursor.tenant):
            cadence = stream.cadence_of(cursor.window_by)
            evidence = Evidence.REGULAR if cadence else Evidence.COMPLETE
            states[cursor.tenant] = _State(evidence, cursor.until, cadence)
    return states


def _state_of(manifest: Manifest) -> _State:
    is_whole, as_of = manifest.proof == "whole", manifest.state_at
    if manifest.cadence is not None and as_of is not None:
        return _State(Evidence.REGULAR if is_whole else Evidence.REGULAR_OPEN, as_of, manifest.cadence)
    if is_whole:
        return _State(Evidence.COMPLETE_UNDATED) if as_of is None else _State(Evidence.COMPLETE, as_of)
    return _State()
