from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.landing.dataset.cursor import Cursor, _why_not, advance_cursor, read_cursor
from airflow_provider_alvys.landing.dataset.layout import cursor_file
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.sync import _move_cursor, _resolve_groups, _too_early
from airflow_provider_alvys.landing.jobs.sync_log import warn_of_open

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def cursor(until: datetime) -> Cursor:
    return Cursor(stream="loads", tenant="acme", filters={}, window_by="updated", until=until, manifest="m")


def test_a_cursor_moves_forward_and_never_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    def advance(until: datetime, since: datetime = NOON - HOUR) -> dict[str | None, str]:
        return advance_cursor(store, "c.json", cursor(until), since={None: since}, initial_since=NOON - HOUR)

    assert read_cursor(store, "c.json") is None
    assert advance(NOON) == {}
    for until in (NOON - HOUR, NOON):
        assert "already at 2026-03-01T12:00:00Z" in advance(until)[None]
    assert read_cursor(store, "c.json") == cursor(NOON)
    assert advance(NOON + HOUR, since=NOON) == {}


def test_a_cursor_never_moves_over_a_gap(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    new = cursor(NOON)
    late = advance_cursor(store, "c.json", new, since={None: NOON - HOUR}, initial_since=NOON - 2 * HOUR)
    assert "begins at 2026-03-01T11:00:00Z" in late[None]
    assert (
        "initial_since"
        in advance_cursor(store, "c.json", new, since={None: NOON - HOUR}, initial_since=None)[None]
    )
    assert advance_cursor(store, "c.json", new, since={None: NOON - HOUR}, initial_since=NOON - HOUR) == {}
    later = advance_cursor(
        store, "c.json", cursor(NOON + 3 * HOUR), since={None: NOON + HOUR}, initial_since=None
    )
    assert "have landed until 2026-03-01T12:00:00Z" in later[None]
    assert read_cursor(store, "c.json") == new


def test_each_parent_has_its_own_position_in_the_cursor(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert (
        advance_cursor(store, "c.json", cursor(NOON), since={"a": NOON - HOUR}, initial_since=NOON - HOUR)
        == {}
    )
    later = cursor(NOON + HOUR)
    why_not = advance_cursor(
        store, "c.json", later, since={"b": NOON - HOUR, "c": NOON}, initial_since=NOON - HOUR
    )
    assert why_not.keys() == {"c"}
    assert "have landed until 2026-03-01T11:00:00Z" in why_not["c"]
    again = advance_cursor(store, "c.json", cursor(NOON), since={"b": NOON - HOUR}, initial_since=None)
    assert again.keys() == {"b"}
    assert "already at 2026-03-01T13:00:00Z" in again["b"]
    known = read_cursor(store, "c.json")
    assert known
    assert (known.until, known.parents) == (NOON + HOUR, {"a": NOON, "b": NOON + HOUR})


def test_each_tenant_filter_and_window_has_its_own_cursor() -> None:
    loads = get_stream("loads")
    names = {
        cursor_file(loads, tenant, filters, window_by)
        for tenant in ("acme", "other")
        for filters in ({}, {"Status": ["Open"]}, {"Status": ["Open", "Paid"]}, {"IncludeDeleted": False})
        for window_by in ("updated", "created")
    }
    assert len(names) == 16
    same = (
        {"Status": ["Open", "Paid"], "CustomerId": "1"},
        {"CustomerId": "1", "Status": ["Paid", "Open"], "IncludeDeleted": True},
    )
    assert len({cursor_file(loads, "acme", filters, "updated") for filters in same}) == 1


@pytest.mark.parametrize("function", [_why_not, _move_cursor, _resolve_groups, _too_early, warn_of_open])
def test_every_reason_why_a_cursor_does_not_move_is_documented(function: Callable[..., Any]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "data-set.md").read_text()
    section = page.partition("\n## Why the cursor does not move\n")[2].partition("\n## ")[0]
    tree = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value != function.__doc__
    ]
    pieces = [piece.strip() for text in texts if isinstance(text, str) for piece in re.split("%[ds]", text)]
    phrases = [piece for piece in pieces if " " in piece]
    assert phrases
    assert [phrase for phrase in phrases if phrase not in section] == []
