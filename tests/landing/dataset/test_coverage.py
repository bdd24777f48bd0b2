"""What the manifests of whole runs prove."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.landing.dataset.coverage import Coverage, Joined, ProvedWindow, read_coverage
from airflow_provider_alvys.landing.dataset.manifest import (
    Manifest,
    ManifestParents,
    ManifestSearch,
    ManifestWindow,
)
from airflow_provider_alvys.landing.dataset.store import Store

DAY = [datetime(2026, 3, day, tzinfo=timezone.utc) for day in range(1, 31)]
MINUTE = timedelta(minutes=1)


def window(since: datetime, until: datetime | None, by: str = "updated") -> ManifestWindow:
    return ManifestWindow(by=by, since=since, until=until)


def put(store: Store, **fields: Any) -> str:
    """Write a manifest, and return its name."""
    known: dict[str, Any] = {
        "stream": "loads",
        "tenant": "acme",
        "window": None,
        "filters": {},
        "file_format": "jsonl",
        "compression": None,
        "rows": 0,
        "total": 0,
        "proof": "whole",
        "passes": 1,
        "repeats": 0,
        "requests": 1,
        "attempt": 1,
        "read_from": DAY[29],
        "read_until": DAY[29],
        "parts": [],
    }
    manifest = Manifest(**{**known, **fields})
    name = f"{manifest.stream}/2026-03-30/{len(store.sizes('')):03}/_manifest.json"
    store.put_json(name, manifest)
    return name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def coverage(store: Store, stream: str = "loads") -> Coverage:
    (found,) = read_coverage(store, get_stream(stream)).values()
    return found


def test_windows_join_until_the_first_hole(store: Store) -> None:
    names = [put(store, window=window(DAY[at], DAY[at + 2]), as_of=DAY[at + 2]) for at in (4, 0, 2, 1, 8)]
    found = coverage(store)
    assert found.join(None) == Joined(DAY[0], DAY[6], names[0], DAY[8])
    assert found.join(None, DAY[7]) == Joined(DAY[7], DAY[7], None, DAY[8])
    assert found.join(None, DAY[9]) == Joined(DAY[9], DAY[10], names[4], None)
    assert found.join("a parent") is None


def test_a_window_that_ended_after_its_reading_began_proves_nothing_later(store: Store) -> None:
    put(store, window=window(DAY[0], DAY[9]), as_of=DAY[9], read_from=DAY[5])
    put(store, window=window(DAY[6], DAY[9]), as_of=DAY[9], read_from=DAY[5])
    joined = coverage(store).join(None)
    assert joined
    assert joined.until == DAY[5] - MINUTE


def test_business_dates_ahead_of_the_reading_are_not_proved(store: Store) -> None:
    by = "transaction"
    assert get_stream("fuel").window(by)
    put(store, stream="fuel", window=window(DAY[0], DAY[20], by), as_of=DAY[9])
    joined = coverage(store, "fuel").join(None)
    assert joined
    assert joined.until == DAY[9]


def test_all_searches_of_a_run_must_have_read_a_period(store: Store) -> None:
    searches = [
        ManifestSearch(window=part, asked={}, rows=0, total=0, proof="whole")
        for part in (
            window(DAY[0], DAY[4], "created"),
            window(DAY[4], DAY[8], "created"),
            window(DAY[3], DAY[8]),
            None,
        )
    ]
    put(store, window=window(DAY[0], DAY[8]), as_of=DAY[8], searches=searches)
    joined = coverage(store).join(None)
    assert joined
    assert (joined.since, joined.until) == (DAY[3], DAY[8])


def test_a_full_read_proves_everything_before_it(store: Store) -> None:
    put(store, window=window(DAY[0], DAY[1]), as_of=DAY[1])
    put(store, window=window(DAY[9], DAY[10]), as_of=DAY[10])
    full = put(store, read_from=DAY[9] + 2 * MINUTE)
    put(store, read_from=DAY[20], proof="open")
    put(store, read_from=DAY[20], filters={"Status": ["Open"]})
    put(store, read_from=DAY[20], tenant="globex")
    (found,) = read_coverage(store, get_stream("loads")).values()
    assert [proved.manifest for proved in found.windows[None]][2:] == [full]
    joined = found.join(None)
    assert joined
    assert (joined.until, joined.hole_until) == (DAY[10], None)


def test_each_parent_is_proved_by_its_own_requests(store: Store) -> None:
    put(
        store,
        stream="driver_events",
        window=window(DAY[0], DAY[4], "occurred"),
        as_of=DAY[4],
        parents=[
            ManifestParents(ids=["a", "gone"], rows=0, window=window(DAY[0], DAY[4], "occurred")),
            ManifestParents(ids=["b"], rows=0, window=window(DAY[2], DAY[4], "occurred")),
            ManifestParents(ids=["c"], rows=0),
        ],
        missing_parents=["gone"],
    )
    found = coverage(store, "driver_events")
    assert {parent: proved[0].since for parent, proved in found.windows.items()} == {"a": DAY[0], "b": DAY[2]}


def test_open_damaged_and_other_manifests_are_not_counted(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, window=window(DAY[0], DAY[4]), as_of=DAY[4], proof="open")
    put(store, window=window(DAY[0], None), as_of=None)
    store.put("loads/2026-03-30/x/_manifest.json", b"{")
    assert read_coverage(store, get_stream("loads")) == {}
    assert "is damaged" in caplog.text


def test_a_proved_window_sorts_by_its_start() -> None:
    late, early = ProvedWindow(DAY[1], DAY[2], "a"), ProvedWindow(DAY[0], DAY[9], "b")
    assert sorted([late, early]) == [early, late]
