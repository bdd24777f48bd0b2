"""The cursor: the position of an incremental sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.landing.dataset.store import Store

# Other DAGs that a cursor remembers.
_MAX_MOVES = 20


class CursorMove(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A run that moved a cursor.

    :param is_first_load: whether it was a first load, which leaves the cursor to the regular sync.
    """

    dag_id: str
    run_id: str
    is_first_load: bool = False


class Cursor(msgspec.Struct, kw_only=True):
    """
    The content of a cursor file. A person may read it, set ``until`` back, or delete it.

    :param version: version of the layout.
    :param stream: name of the stream.
    :param tenant: name of the tenant.
    :param filters: Alvys's search fields. Each set of filters has a cursor of its own.
    :param window_by: window kind, such as ``updated``.
    :param until: everything before it has landed; for streams that are read per parent see ``parents``.
    :param manifest: manifest of the run that moved the cursor, relative to the data set.
    :param parents: the position of each parent.
    :param moved_by: the last run of each DAG that moved the cursor, the newest last; empty if the cursor is
        from version 0.2.0 or earlier.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    filters: dict[str, Any]
    window_by: str | None
    until: datetime
    manifest: str
    parents: dict[str, datetime] = {}
    moved_by: list[CursorMove] = []

    def landed_until(self, parent: str | None) -> datetime | None:
        """Return the position of a parent, or of a stream without parents; None before the first run."""
        return self.until if parent is None else self.parents.get(parent)


def read_cursor(store: Store, name: str) -> Cursor | None:
    """Return the cursor, or None if it does not exist."""
    return store.get_json(name, Cursor)


def advance_cursor(
    store: Store,
    name: str,
    cursor: Cursor,
    *,
    since: Mapping[str | None, datetime],
    initial_since: datetime | None,
) -> dict[str | None, str]:
    """
    Move the cursor to the end of a landed window, and return the reason for each parent where it stays.

    It never moves back or over a gap: the window must start at the position or before. Parents that were not
    read keep their positions.

    :param cursor: its ``moved_by`` is added to that of earlier runs.
    :param since: start of the window by parent; the key is None for a stream without parents.
    :param initial_since: start of the data set, for a parent or stream without a position.
    """
    with store.exclusive_lock():
        known = read_cursor(store, name)
        reasons = {
            parent: _why_not(known, parent, start, cursor.until, initial_since)
            for parent, start in since.items()
        }
        moved = [parent for parent, why_not in reasons.items() if why_not is None]
        if moved:
            parents = known.parents if known else {}
            parents = parents | {parent: cursor.until for parent in moved if parent is not None}
            until = max(cursor.until, *parents.values()) if parents else cursor.until
            dags = {move.dag_id for move in cursor.moved_by}
            earlier = [move for move in known.moved_by if move.dag_id not in dags] if known else []
            moves = [*earlier[-_MAX_MOVES:], *cursor.moved_by]
            store.put_json(
                name, msgspec.structs.replace(cursor, until=until, parents=parents, moved_by=moves)
            )
    return {parent: why_not for parent, why_not in reasons.items() if why_not is not None}


def replace_cursor(store: Store, name: str, cursor: Cursor, *, expected: bytes | None) -> None:
    """
    Write a cursor that a person has chosen.

    :param expected: what the file contained when the person chose; None if there was no file.
    :raises AlvysStorageError: the file has changed since then. Nothing was written.
    """
    with store.exclusive_lock():
        if store.get(name) != expected:
            raise AlvysStorageError(
                f"{store.url(name)} has changed meanwhile: a run has moved the cursor. Nothing was written. "
                "Look at it again with cursor show"
            )
        store.put_json(name, cursor)


def _why_not(
    known: Cursor | None, parent: str | None, since: datetime, until: datetime, initial_since: datetime | None
) -> str | None:
    landed = known.landed_until(parent) if known else None
    begins = landed or initial_since
    if landed is not None and landed >= until:
        return f"it is already at {format_time(landed)}"
    if begins is None:
        return "it has no position yet, and without initial_since this window may not be the first"
    if since > begins:
        gap = f"begins at {format_time(since)}, and earlier rows have landed until {format_time(begins)}"
        return f"this window {gap}"
    return None
