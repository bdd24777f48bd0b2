"""The config hash: a run file with another one is not resumed, so it must not change between versions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_alvys.landing.jobs import sync
from airflow_provider_alvys.landing.jobs.parents import RecentParents
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

LONG_AGO = "2020-01-01T00:00:00Z"
JANUARY = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
IN_EUROPE = timezone(timedelta(hours=2))
INTERVAL = {"since": "{{ data_interval_start }}", "until": "{{ data_interval_end }}"}
UNTIL_NOW = {"until": "{{ run_after }}", "initial_since": LONG_AGO}

# Computed by version 0.1.
FINGERPRINTS = [
    pytest.param({"initial_since": None}, {}, "0398a185e9c6e297", id="no time"),
    pytest.param({**JANUARY, "window_by": "created"}, {}, "0171e2c435f50253", id="texts"),
    pytest.param(
        {
            "since": "2026-01-01T02:00:00+02:00",
            "until": "2026-02-01T00:00:00.000000Z",
            "window_by": "created",
        },
        {},
        "0171e2c435f50253",
        id="the same times in other words",
    ),
    pytest.param(
        {
            "since": datetime(2026, 1, 1, 2, tzinfo=IN_EUROPE),
            "until": datetime(2026, 2, 1, tzinfo=timezone.utc),
            "window_by": "created",
        },
        {},
        "0171e2c435f50253",
        id="the same times as datetimes",
    ),
    pytest.param(
        {"initial_since": "2020-01-01T00:00:00.1234567Z"}, {}, "e810b063f37fad7e", id="a fraction of a second"
    ),
    pytest.param(INTERVAL, JANUARY, "445da854e23f5f24", id="templates"),
    pytest.param(
        INTERVAL,
        {**JANUARY, "until": "2026-03-01T00:00:00Z"},
        "445da854e23f5f24",
        id="templates that render to another time",
    ),
    pytest.param(
        UNTIL_NOW,
        {"until": datetime(2026, 2, 1, tzinfo=timezone.utc)},
        "3ba1c57ca2d21705",
        id="a template of a datetime",
    ),
    pytest.param(UNTIL_NOW, {"until": None}, "3ba1c57ca2d21705", id="a template of nothing"),
    pytest.param(
        {
            "stream": "trips",
            "initial_since": LONG_AGO,
            "overlap": 60,
            "settling": 5,
            "window_by": "pickup",
            "look_back": timedelta(days=3),
            "look_ahead": 86400,
            "full_refresh": True,
        },
        {},
        "2f00056dda6a6c48",
        id="lengths",
    ),
    pytest.param(
        {
            "initial_since": LONG_AGO,
            "filters": {"Status": ["Open", "Covered"], "IncludeDeleted": True},
            "tenant": "acme",
            "file_format": "parquet",
            "compression": "zstd",
        },
        {},
        "82fdb3f6484ecfeb",
        id="filters and format",
    ),
    pytest.param(
        {"stream": "load_documents", "parents": ["1001", "1002"]}, {}, "46825783919fa2a1", id="parents"
    ),
    pytest.param(
        {"stream": "driver_events", "parents": RecentParents(days=3), "initial_since": "{{ start }}"},
        {"initial_since": LONG_AGO},
        "eeea38ef6141f9f6",
        id="recent parents",
    ),
]


@pytest.mark.parametrize(("arguments", "rendered", "fingerprint"), FINGERPRINTS)
def test_a_task_has_the_config_hash_of_version_0_1(
    arguments: dict[str, Any], rendered: dict[str, Any], fingerprint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def land(*_: Any, config_hash: str, **__: Any) -> dict[str, Any]:
        found.append(config_hash)
        return {}

    monkeypatch.setattr(sync, "land", land)
    operator = AlvysToObjectStorageOperator(
        **{"task_id": "land", "stream": "loads", "path": "/lake", "page_size": 50, **arguments}
    )
    for name, value in rendered.items():
        setattr(operator, name, value)
    client: Any = None
    operator.land({}, client, is_resumed=False)
    assert found == [fingerprint]
