"""How fresh the streams of a data set are, from its cursors and manifests."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_streams
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.landing.dataset.layout import CURSOR_PREFIX, MANIFEST
from airflow_provider_alvys.landing.dataset.store import Store

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_alvys.landing.dataset.manifest import Manifest

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NEVER = datetime(1, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, order=True)
class _State:
    """
    What one run, or a cursor, says of a stream. Of two, the greater one counts, as in the view of the tables.

    :param rank: 4 for a complete regular sync, 3 for a complete run whose state has no known time, 2 for a
        regular sync that may lack rows, 1 for another complete run, 0 for any other.
    """

    rank: int = 0
    as_of: datetime = _NEVER
    cadence: timedelta | None = field(default=None, compare=False)


def alvys_freshness(
    path: str | ObjectStoragePath | PurePath,
    *,
    streams: Sequence[str] | None = None,
    tenant: str | None = None,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """
    Return how fresh the streams of a data set are; for tables, the view ``alvys_freshness`` says the same.

    Reads the cursors, and only where they do not show that a stream is fresh the newest manifests.

    :param path: root of the data set, absolute, as for the landing operators.
    :param streams: streams of the catalogue, also those that have never landed; None means all that have.
    :param tenant: name of the tenant in manifests; None means all tenants.
    :param now: the time to compare with, aware; None means the current time.
    :return: a list of ``{"tenant", "stream", "as_of", "age_seconds", "cadence_seconds", "freshness"}``, by
        tenant and stream: the newest time of which the files show the complete state, in ISO 8601, and its
        age; the time between two regular syncs; and ``fresh``, ``late`` (older than one and a half of these
        times), ``unknown`` (no regular sync, or a run of version 0.2.0 or earlier) or ``never`` (never
        complete).
    :raises AlvysValueError: there is no such stream, or the path is empty or relative.
    :raises AlvysStorageError: a file of the data set cannot be read.
    """
    store, now = Store(str(path)), now or datetime.now(timezone.utc)
    folders = store.list_folder("")
    landed = [stream for name, stream in STREAMS.items() if name in folders]
    asked = landed if streams is None else get_streams(streams)
    cursors = {stream: _read_cursors(store, stream, tenant) for stream in landed}
    tenants: set[str | None] = {tenant} if tenant else {name for found in cursors.values() for name in found}
    rows = []
    for stream in asked:
        states = _read_states(store, stream, cursors.get(stream, {}), tenants, tenant, now)
        if streams is not None:
            for name in tenants or ([] if states else [None]):
                states.setdefault(name, _State())
        rows += [_row(stream, name, state, now) for name, state in states.items()]
    return sorted(rows, key=lambda row: (row["tenant"] or "", row["stream"]))


def _row(stream: Stream, tenant: str | None, state: _State, now: datetime) -> dict[str, Any]:
    is_known = state.as_of > _NEVER and state.rank in (1, 4)
    age = int((now - state.as_of).total_seconds()) if is_known else None
    return {
        "tenant": tenant,
        "stream": stream.name,
        "as_of": format_time(state.as_of) if is_known else None,
        "age_seconds": age,
        "cadence_seconds": int(state.cadence.total_seconds()) if state.cadence else None,
        "freshness": _freshness(state, now),
    }


def _freshness(state: _State, now: datetime) -> str:
    from airflow_provider_alvys.landing.dataset.manifest import LATE_AFTER

    if state.rank in (0, 2):
        return "never"
    if state.rank != 4 or state.cadence is None:
        return "unknown"
    return "late" if now - state.as_of > LATE_AFTER * state.cadence else "fresh"


def _read_cursors(store: Store, stream: Stream, tenant: str | None) -> dict[str | None, _State]:
    """Return the position of each tenant's regular sync."""
    # Imported here: each parse of a DAG imports this module.
    from airflow_provider_alvys.landing.dataset.cursor import Cursor

    found: dict[str | None, _State] = {}
    for name in store.list_folder(stream.name):
        if not name.startswith(CURSOR_PREFIX):
            continue
        cursor = store.get_json(f"{stream.name}/{name}", Cursor)
        if cursor is None or cursor.filters or cursor.window_by != stream.default_window:
            continue
        if tenant in (None, cursor.tenant):
            cadence = stream.cadence_of(cursor.window_by)
            found[cursor.tenant] = _State(4 if cadence else 1, cursor.until, cadence)
    return found


def _read_states(
    store: Store,
    stream: Stream,
    cursors: Mapping[str | None, _State],
    tenants: Collection[str | None],
    tenant: str | None,
    now: datetime,
) -> dict[str | None, _State]:
    """Return the state of each tenant: by its cursor, or by the newest manifests if that is not fresh."""
    from airflow_provider_alvys.landing.dataset.manifest import Manifest

    states = dict(cursors)
    # The newest day on which each tenant had a complete run.
    found = {name: f"{state.as_of:%Y-%m-%d}" for name, state in states.items()}
    days = [name for name in store.list_folder(stream.name) if _DATE.fullmatch(name)]
    for day in reversed(days):
        # An older day has no newer state. A windowed stream that was ever complete has a cursor.
        sought = [
            name
            for name in {*tenants, *states}
            if _freshness(states.get(name, _State()), now) != "fresh"
            and found.get(name, "") <= day
            and (name in states or stream.default_window is None or day == days[-1])
        ]
        if states and not sought:
            break
        for name in store.find(f"{stream.name}/{day}", MANIFEST):
            manifest = store.get_json(name, Manifest)
            if manifest is not None and tenant in (None, manifest.tenant):
                state = _state_of(manifest)
                states[manifest.tenant] = max(states.get(manifest.tenant, _State()), state)
                if manifest.proof == "whole":
                    found[manifest.tenant] = max(found.get(manifest.tenant, ""), day)
    return states


def _state_of(manifest: Manifest) -> _State:
    is_whole, as_of = manifest.proof == "whole", manifest.state_at
    if manifest.cadence is not None and as_of is not None:
        return _State(4 if is_whole else 2, as_of, manifest.cadence)
    if is_whole:
        return _State(3) if as_of is None else _State(1, as_of)
    return _State()
