"""The view alvys_freshness, on each database."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import alvys_freshness
from airflow_provider_alvys.tables import ledger
from airflow_provider_alvys.tables.schema import Column
from tests.tables.databases import Db
from tests.tables.freshness_cases import CASES
from tests.tables.runs import hour, load, write_run

NOW = datetime.now(timezone.utc)


@pytest.fixture(autouse=True)
def at_this_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test now: a view's ages count from the database's own time."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(timezone.utc))


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def write(lake: Path, hours: float, by: str | None = "updated", **changes: Any) -> None:
    """Write a run of loads whose rows are the state of some hours ago."""
    window = (by, ago(hours + 1), ago(hours)) if by else None
    # Hours after the start of the runs of other tests.
    at = (ago(hours) - hour(0)).total_seconds() / 3600
    write_run(lake, at=at, window=window, **{"as_of": ago(hours) if by else None, **changes})


def shown(db: Db) -> list[tuple[Any, ...]]:
    """Return the rows of the view, with ages in hours."""
    rows = db.query(
        "SELECT tenant, stream, table_name, age_seconds, cadence_seconds, freshness FROM alvys_freshness"
    )
    return sorted(
        (tenant, stream, table, None if age is None else round(int(age) / 3600, 1), cadence, freshness)
        for tenant, stream, table, age, cadence, freshness in rows
    )


def test_a_stream_is_late_one_and_a_half_cadences_after_its_newest_complete_state(db: Db, lake: Path) -> None:
    write(lake, 1.4, name="a", tenant="fresh")
    write(lake, 1.6, name="b", tenant="late")
    load(lake)
    write(lake, 8, None, stream="trucks", name="c", tenant="fresh")
    load(lake, "trucks")
    assert shown(db) == [
        ("fresh", "loads", "loads", 1.4, 3600, "fresh"),
        ("fresh", "trucks", "trucks", 8.0, 21600, "fresh"),
        ("late", "loads", "loads", 1.6, 3600, "late"),
    ]
    (as_of,) = db.query("SELECT as_of FROM alvys_freshness WHERE tenant = 'late'")[0]
    # SQLite stores texts. Others may return it in the machine's time zone.
    moment = datetime.fromisoformat(f"{as_of[:26]}+00:00") if isinstance(as_of, str) else as_of
    assert abs(moment.replace(tzinfo=moment.tzinfo or timezone.utc) - ago(1.6)) < timedelta(seconds=1)


@pytest.mark.parametrize(("runs", "expected"), CASES)
def test_the_view_and_the_function_say_the_same(
    sqlite: Db, lake: Path, runs: list[tuple[float, dict[str, Any]]], expected: tuple[Any, ...]
) -> None:
    for number, (hours, changes) in enumerate(runs):
        write(lake, hours, name=f"run-{number}", **changes)
        load(lake)
    assert shown(sqlite) == [("acme", "loads", "loads", *expected)]
    (row,) = alvys_freshness(lake, now=NOW)
    age = None if row["age_seconds"] is None else round(row["age_seconds"] / 3600, 1)
    assert (row["tenant"], row["stream"]) == ("acme", "loads")
    assert (age, row["cadence_seconds"], row["freshness"]) == expected


def test_each_table_of_a_stream_has_a_row(sqlite: Db, lake: Path) -> None:
    write(lake, 3, name="a")
    load(lake)
    write(lake, 1, name="b")
    load(lake, table="my_loads")
    assert [row[2:] for row in shown(sqlite)] == [
        ("loads", 3.0, 3600, "late"),
        ("my_loads", 1.0, 3600, "fresh"),
    ]


def test_the_ledger_can_get_columns_while_the_view_exists(
    db: Db, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lake, 1, name="a")
    load(lake)
    before = db.query("SELECT * FROM alvys_freshness")
    more = (Column("of_a_later_version", "text"),)
    monkeypatch.setattr(ledger, "_ADDED_COLUMNS", (*ledger._ADDED_COLUMNS, *more))
    write(lake, 0.5, name="b")
    assert load(lake)["manifests"] == 1
    assert "of_a_later_version" in db.columns("_alvys_loads")
    assert len(before) == len(shown(db)) == 1


def test_a_view_with_the_columns_of_another_version_is_replaced(db: Db, lake: Path) -> None:
    write(lake, 1, name="a")
    load(lake)
    names = db.columns("alvys_freshness")
    db.query("DROP VIEW alvys_freshness")
    db.query("CREATE VIEW alvys_freshness AS SELECT tenant FROM _alvys_loads")
    load(lake)
    assert db.columns("alvys_freshness") == names
    assert [row[-1] for row in shown(db)] == ["fresh"]


def test_a_view_that_is_current_is_left_alone(sqlite: Db, lake: Path) -> None:
    """Its rights, and the views on it, would be lost."""
    write(lake, 1, name="a")
    load(lake)
    before = sqlite.query("SELECT rootpage, sql FROM sqlite_master WHERE name = 'alvys_freshness'")
    (version,) = sqlite.query("PRAGMA schema_version")
    load(lake)
    assert sqlite.query("SELECT rootpage, sql FROM sqlite_master WHERE name = 'alvys_freshness'") == before
    assert sqlite.query("PRAGMA schema_version") == [version]


def test_a_view_that_cannot_be_created_fails_no_load(
    db: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db.query("CREATE TABLE alvys_freshness (mine INTEGER)")
    write(lake, 1, name="a")
    with caplog.at_level(logging.WARNING):
        assert load(lake)["manifests"] == 1
    assert len([record for record in caplog.records if record.name.endswith("tables.freshness")]) == 2
    assert db.columns("alvys_freshness") == ["mine"]
