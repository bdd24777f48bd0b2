"""The cursor: where the last whole run of a stream ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.landing.dataset.store import Store


class Cursor(msgspec.Struct, kw_only=True):
    """
    What a cursor file holds. A person may read it, set ``until`` back, or delete it.

    :param until: everything before it has been landed; of a stream that is read by its parents, see ``parents``.
    :param parents: for each parent that was ever asked for, until when its rows have been landed.
    :param manifest: of the run that brought it there, relative to the data set.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    filters: dict[str, Any]
    window_by: str | None
    until: datetime
    manifest: str
    parents: dict[str, datetime] = {}

    def landed_until(self, parent: str | None) -> datetime | None:
        """Return until when rows have been landed: of one parent, or of a stream without parents; None for never."""
        return self.until if parent is None else self.parents.get(parent)


def read_cursor(store: Store, name: str) -> Cursor | None:
    """Return the cursor, or None where there is none yet."""
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
    Move the cursor forward over what was landed, and return why not for each parent where it does not move.

    It never moves back, and never over a hole: what was landed must begin where the cursor is, or before. Where there are
    parents, each has a position of its own, and those that were not asked for keep theirs.

    :param since: where it begins, for each parent that was asked for; for the key None where the stream has none.
    :param initial_since: where the data set begins, for a parent or stream without a position.
    """
    known = read_cursor(store, name)
    reasons = {
        parent: _why_not(known, parent, begins, cursor.until, initial_since)
        for parent, begins in since.items()
    }
    moved = [parent for parent, why_not in reasons.items() if why_not is None]
    if moved:
        parents = {
            **(known.parents if known else {}),
            **{parent: cursor.until for parent in moved if parent is not None},
        }
        until = max(cursor.until, *parents.values()) if parents else cursor.until
        store.put_json(name, msgspec.structs.replace(cursor, until=until, parents=parents))
    return {parent: why_not for parent, why_not in reasons.items() if why_not is not None}


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
        return f"this window begins at {format_time(since)}, and earlier rows are landed only until {format_time(begins)}"
    return None
