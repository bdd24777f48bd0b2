"""How fresh the streams of a data set are, by its cursors and manifests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import alvys_freshness
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.landing.dataset.cursor import Cursor
from airflow_provider_alvys.landing.dataset.layout import cursor_file
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.freshness import Evidence, judge
from tests.conftest import DataSet, Land
from tests.tables.freshness_cases import CASES
from tests.tables.runs import hour, write_run

# Hours after the first run of write_run.
NOW = 60 * 24


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    found: list[str] = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda store, name: found.append(name) or get(store, name))
    return found


def put_cursor(lake: Path, at: float, stream: str = "loads", tenant: str = "acme", **changes: Any) -> None:
    """Write a cursor, and an hourly run before it."""
    row = STREAMS[stream]
    by = row.default_window
    assert by
    cursor = Cursor(
        **{
            **{"stream": stream, "tenant": tenant, "filters": {}, "window_by": by},
            **{"until": hour(at), "manifest": "loads/x/_manifest.json", **changes},
        }
    )
    name = cursor_file(row, tenant, cursor.filters, cursor.window_by or "")
    Store(str(lake)).put_json(name, cursor)


def freshness(lake: Path, **arguments: Any) -> dict[tuple[str | None, str], tuple[Any, str]]:
    """Return the age in hours and the verdict, by tenant and stream."""
    rows = alvys_freshness(lake, now=hour(NOW), **arguments)
    return {
        (row["tenant"], row["stream"]): (
            None if row["age_seconds"] is None else row["age_seconds"] / 3600,
            row["freshness"],
        )
        for row in rows
    }


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("evidence", "age", "cadence", "expected"),
    [
        (Evidence.REGULAR, 0 * HOUR, HOUR, "fresh"),
        (Evidence.REGULAR, 1.5 * HOUR, HOUR, "fresh"),
        (Evidence.REGULAR, 1.5 * HOUR + timedelta(seconds=1), HOUR, "late"),
        (Evidence.REGULAR, 35 * HOUR, 24 * HOUR, "fresh"),
        (Evidence.REGULAR, 37 * HOUR, 24 * HOUR, "late"),
        (Evidence.REGULAR, 0 * HOUR, None, "unknown"),
        (Evidence.COMPLETE, 0 * HOUR, HOUR, "unknown"),
        (Evidence.COMPLETE_UNDATED, 0 * HOUR, HOUR, "unknown"),
        (Evidence.REGULAR_OPEN, 0 * HOUR, HOUR, "never"),
        (Evidence.NONE, 0 * HOUR, HOUR, "never"),
    ],
)
def test_the_rule(evidence: Evidence, age: timedelta, cadence: timedelta | None, expected: str) -> None:
    now = hour(NOW)
    assert judge(evidence, now - age, cadence, now) == expected


@pytest.mark.parametrize("since_midnight", [1.5, 12])
@pytest.mark.parametrize(("runs", "expected"), CASES)
def test_midnight_changes_nothing(
    lake: Path, runs: list[tuple[float, dict[str, Any]]], expected: tuple[Any, ...], since_midnight: float
) -> None:
    now = NOW + since_midnight
    for number, (age, changes) in enumerate(runs):
        changes = {"as_of": hour(now - age), "by": "updated", **changes}
        by = changes.pop("by")
        window = (by, hour(now - age - 1), hour(now - age)) if by else None
        write_run(lake, at=now - age, window=window, name=f"run-{number}", **changes)
    (row,) = alvys_freshness(lake, now=hour(now))
    age_in_hours = None if row["age_seconds"] is None else row["age_seconds"] / 3600
    assert (age_in_hours, row["cadence_seconds"], row["freshness"]) == expected


def test_a_damaged_file_makes_its_stream_unknown_and_no_other(lake: Path) -> None:
    for stream in ("loads", "trips"):
        put_cursor(lake, NOW - 1, stream)
    put_cursor(lake, NOW - 1, tenant="beta")
    write_run(lake, at=NOW - 1, window=("updated", hour(0), hour(NOW - 1)), as_of=hour(NOW - 1))
    (cursor,) = [path for path in (lake / "loads").glob("_cursor*") if b"acme" in path.read_bytes()]
    cursor.write_bytes(cursor.read_bytes()[:30])
    manifest = Path(write_run(lake, stream="trucks", at=NOW - 1))
    manifest.write_text("{")
    rows = {(row["tenant"], row["stream"]): row for row in alvys_freshness(lake, now=hour(NOW))}
    assert {key: row["freshness"] for key, row in rows.items()} == {
        ("acme", "loads"): "unknown",
        ("acme", "trips"): "fresh",
        ("beta", "loads"): "fresh",
        (None, "trucks"): "unknown",
    }
    assert cursor.name in rows["acme", "loads"]["problem"]
    # What the manifests show.
    assert rows["acme", "loads"]["age_seconds"] == 3600
    assert str(manifest.parent.name) in rows[None, "trucks"]["problem"]
    assert rows["beta", "loads"]["problem"] is None
    assert freshness(lake, tenant="beta", streams=["loads"]) == {("beta", "loads"): (1, "fresh")}


def test_the_only_cursor_may_be_damaged(lake: Path) -> None:
    put_cursor(lake, NOW - 1)
    (cursor,) = (lake / "loads").glob("_cursor*")
    cursor.write_bytes(b"")
    assert freshness(lake) == {(None, "loads"): (None, "unknown")}
    assert freshness(lake, tenant="acme") == {("acme", "loads"): (None, "unknown")}


def test_what_was_just_landed_is_fresh_and_late_when_syncs_stop(land: Land, data_set: DataSet) -> None:
    loads = land(path=data_set.path)
    customers = land(path=data_set.path, stream="customers", initial_since=None)
    rows = alvys_freshness(data_set.path)
    assert [(row["tenant"], row["stream"], row["as_of"], row["freshness"]) for row in rows] == [
        ("alvys_default", "customers", customers["as_of"], "fresh"),
        ("alvys_default", "loads", loads["until"], "fresh"),
    ]
    assert 0 <= rows[0]["age_seconds"] < 60 <= rows[1]["age_seconds"] < 120
    later = as_utc(loads["until"], "until") + timedelta(hours=1.5)
    for now, expected in ((later, ["fresh", "fresh"]), (later + timedelta(seconds=1), ["fresh", "late"])):
        assert [row["freshness"] for row in alvys_freshness(data_set.path, now=now)] == expected


def test_a_fresh_cursor_is_all_that_is_read(lake: Path, reads: list[str]) -> None:
    for number in range(100):
        write_run(lake, at=NOW - number, window=("updated", hour(0), hour(1)), as_of=hour(NOW - number))
    put_cursor(lake, NOW - 1)
    reads.clear()
    assert freshness(lake) == {("acme", "loads"): (1, "fresh")}
    assert [Path(name).name[:8] for name in reads] == ["_cursor-"]


def test_of_a_stream_without_a_cursor_only_the_newest_day_is_read(lake: Path, reads: list[str]) -> None:
    for number in range(20):
        write_run(lake, stream="trucks", at=NOW - 6 * number - 1)
    assert freshness(lake) == {("acme", "trucks"): (1, "fresh")}
    assert {name.split("/")[1] for name in reads} == {f"{hour(NOW - 1):%Y-%m-%d}"}


def test_a_read_in_full_after_the_cursor_counts(lake: Path, reads: list[str]) -> None:
    for day in range(1, 20):
        write_run(lake, at=NOW - 24 * day)
    put_cursor(lake, NOW - 24 * 3 - 2)
    assert freshness(lake) == {("acme", "loads"): (24, "late")}
    assert len(reads) == 2


def test_no_manifest_that_is_older_than_the_cursor_is_read(lake: Path, reads: list[str]) -> None:
    for day in range(1, 20):
        write_run(lake, at=NOW - 24 * day, proof="open")
    put_cursor(lake, NOW - 24 * 3 - 2)
    assert freshness(lake) == {("acme", "loads"): (24 * 3 + 2, "late")}
    assert len(reads) == 1 + 4


def test_a_tenant_that_has_stopped_is_late_while_others_go_on(lake: Path) -> None:
    for day in range(1, 10):
        write_run(lake, stream="trucks", at=NOW - 24 * day + 20, tenant="acme")
    write_run(lake, stream="trucks", at=NOW - 24 * 30, tenant="beta")
    put_cursor(lake, NOW - 1, tenant="acme")
    put_cursor(lake, NOW - 24 * 30, tenant="beta")
    write_run(lake, at=NOW - 1, window=("updated", hour(0), hour(1)), proof="open", tenant="new", name="n")
    assert freshness(lake) == {
        ("acme", "loads"): (1, "fresh"),
        ("acme", "trucks"): (4, "fresh"),
        ("beta", "loads"): (24 * 30, "late"),
        ("beta", "trucks"): (24 * 30, "late"),
        ("new", "loads"): (None, "never"),
    }
    assert freshness(lake, tenant="beta").keys() == {("beta", "loads"), ("beta", "trucks")}


def test_a_cursor_of_other_rows_than_the_regular_sync_proves_nothing(lake: Path) -> None:
    put_cursor(lake, NOW - 1, filters={"CustomerId": "c"})
    put_cursor(lake, NOW - 1, window_by="created")
    write_run(lake, at=NOW - 1, window=("updated", hour(0), hour(1)), as_of=hour(NOW - 1), filters={"a": 1})
    assert freshness(lake) == {("acme", "loads"): (1, "unknown")}


def test_a_stream_that_has_never_landed_is_shown_if_it_is_named(lake: Path) -> None:
    assert freshness(lake) == {}
    assert freshness(lake, streams=["loads"]) == {(None, "loads"): (None, "never")}
    assert freshness(lake, streams=["loads"], tenant="acme") == {("acme", "loads"): (None, "never")}
    put_cursor(lake, NOW - 1)
    assert freshness(lake, streams=["trips"]) == {("acme", "trips"): (None, "never")}
    with pytest.raises(AlvysValueError):
        alvys_freshness(lake, streams=["lods"])


def test_every_tier_has_a_cadence() -> None:
    tiers = {tier for stream in STREAMS.values() for tier in stream.tiers}
    assert {tier.name: tier.cadence for tier in tiers}["hourly"] == timedelta(hours=1)
    for name, stream in STREAMS.items():
        expected = bool([tier for tier in stream.tiers if tier.window in (None, stream.default_window)])
        assert (stream.cadence_of(None) is not None) is expected, name
    assert STREAMS["loads"].cadence_of("created") is None


def test_the_default_time_is_now(land: Land, lake: Path) -> None:
    land()
    (row,) = alvys_freshness(lake)
    age = datetime.now(timezone.utc) - as_utc(row["as_of"], "as_of")
    assert 0 <= age.total_seconds() - row["age_seconds"] < 5
