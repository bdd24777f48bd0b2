"""The cursor: where the last whole run of a stream ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_alvys.landing.store import Store


class Cursor(msgspec.Struct, kw_only=True):
    """
    What a cursor file holds. A person may read it, set ``until`` back, or delete it.

    :param until: everything before it has been landed.
    :param manifest: of the run that brought it there, relative to the data set.
    """

    version: int = 1
    stream: str
    tenant: str
    filters: dict[str, Any]
    window_by: str | None
    until: datetime
    manifest: str


def read_cursor(store: Store, name: str) -> Cursor | None:
    """Return the cursor, or None where there is none yet."""
    return store.get_json(name, Cursor)


def advance_cursor(store: Store, name: str, cursor: Cursor) -> bool:
    """Move the cursor forward, never back, and return whether it moved."""
    known = read_cursor(store, name)
    if known is not None and known.until >= cursor.until:
        return False
    store.put_json(name, cursor)
    return True
