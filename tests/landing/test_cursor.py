from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_provider_alvys.landing.cursor import Cursor, advance_cursor, read_cursor
from airflow_provider_alvys.landing.layout import cursor_file
from airflow_provider_alvys.landing.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def cursor(until: datetime) -> Cursor:
    return Cursor(stream="loads", tenant="acme", filters={}, window_by="updated", until=until, manifest="m")


def test_a_cursor_moves_forward_and_never_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_cursor(store, "c.json") is None
    assert advance_cursor(store, "c.json", cursor(NOON))
    assert not advance_cursor(store, "c.json", cursor(NOON - timedelta(hours=1)))
    assert not advance_cursor(store, "c.json", cursor(NOON))
    assert read_cursor(store, "c.json") == cursor(NOON)
    assert advance_cursor(store, "c.json", cursor(NOON + timedelta(seconds=1)))


def test_each_tenant_filter_and_window_has_a_cursor_of_its_own() -> None:
    names = {
        cursor_file("loads", tenant, filters, window_by)
        for tenant in ("acme", "other")
        for filters in ({}, {"Status": ["Open"]}, {"Status": ["Open", "Paid"]})
        for window_by in ("updated", "created")
    }
    assert len(names) == 12
    same = ({"Status": ["Open"], "CustomerId": "1"}, {"CustomerId": "1", "Status": ["Open"]})
    assert len({cursor_file("loads", "acme", filters, None) for filters in same}) == 1
