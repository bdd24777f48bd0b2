"""The cursor: where the last whole run of a stream ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.windows import format_time
from airflow_provider_alvys.landing.store import Store


class Cursor(msgspec.Struct, kw_only=True):
    """
    What a cursor file holds. A person may read it, set ``until`` back, or delete it.

    :param until: everything before it has been landed.
    :param manifest: of the run that brought it there, relative to the data set.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    filters: dict[str, Any]
    window_by: str | None
    until: datetime
    manifest: str


def read_cursor(store: Store, name: str) -> Cursor | None:
    """Return the cursor, or None where there is none yet."""
    return store.get_json(name, Cursor)


def advance_cursor(store: Store, name: str, cursor: Cursor, *, since: datetime, initial_since: datetime | None) -> str | None:
    """
    Move the cursor forward over a window that was landed, and return why not if it stays.

    It never moves back, and never over a hole: the window must begin where the cursor is, or before.

    :param since: where the window begins.
    :param initial_since: where the data set begins, for a cursor that does not exist yet.
    """
    known = read_cursor(store, name)
    begins = known.until if known else initial_since
    if known is not None and known.until >= cursor.until:
        return f"it is at {format_time(known.until)} already"
    if begins is None:
        return "there is none, and without initial_since nothing tells that this window is the first"
    if since > begins:
        return f"this window begins at {format_time(since)}, and what comes before it is landed until {format_time(begins)} only"
    store.put_json(name, cursor)
    return None
