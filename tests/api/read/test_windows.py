from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import Window, as_timedelta, as_utc, format_time

UTC = timezone.utc
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01 12:00:00+00:00", NOON),
        (" 2026-03-01T08:00:00-04:00 ", NOON),
        ("2026-03-01T12:00:00.0000009+00:00", NOON),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON),
    ],
)
def test_times_are_converted_to_utc(value: str | datetime, expected: datetime) -> None:
    result = as_utc(value, "since")
    assert result == expected
    assert result.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("9999-12-31T23:59:59-05:00", "since=9999-12-31T23:59:59-05:00"),
        (datetime(2026, 3, 1), "since=2026-03-01T00:00:00 "),
        ("2026-03-01T00:00:00", "time zone"),
        ("2026-03-01", "since='2026-03-01'"),
        ("yesterday", "since='yesterday'"),
        (5, "since=5 "),
    ],
)
def test_a_time_without_a_zone_is_refused(value: object, message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        as_utc(value, "since")  # type: ignore[arg-type]


@pytest.mark.parametrize(("until", "kind"), [(NOON, "empty"), (NOON - timedelta(1), "inverted")])
def test_an_empty_or_inverted_window_is_refused_with_advice(until: datetime, kind: str) -> None:
    with pytest.raises(AlvysValueError, match=f"is {kind}.*data_interval_start == data_interval_end"):
        Window(NOON, until)


def test_a_period_has_the_format_of_alvys() -> None:
    assert Window(NOON, NOON + timedelta(microseconds=5)).period() == {
        "Start": "2026-03-01T12:00:00Z",
        "End": "2026-03-01T12:00:00.000005Z",
    }
    assert Window(NOON, None).period() == {"Start": "2026-03-01T12:00:00Z"}
    assert format_time(NOON.astimezone(timezone(timedelta(hours=-4)))) == "2026-03-01T12:00:00Z"


def test_a_window_has_ended_when_its_end_has_passed() -> None:
    window = Window(NOON, NOON + timedelta(hours=1))
    assert not window.has_ended(NOON.timestamp())
    assert window.has_ended(NOON.timestamp() + 3600)
    assert not Window(NOON, None).has_ended(2e9)


def test_halves_cover_the_window_and_share_the_middle() -> None:
    window = Window(NOON, NOON + timedelta(hours=2))
    first, second = window.halves() or ()
    assert (first.since, second.until) == (window.since, window.until)
    assert first.until == second.since
    assert Window(NOON, NOON + timedelta(seconds=119)).halves() is None
    assert Window(NOON, None).halves() is None


def test_a_length_of_time_is_a_timedelta_or_seconds() -> None:
    assert as_timedelta(timedelta(1), "overlap") == timedelta(1)
    assert as_timedelta(1.5, "overlap") == timedelta(seconds=1.5)
    for bad in (-1, timedelta(-1), "5 minutes", True, float("nan"), float("inf")):
        with pytest.raises(AlvysValueError, match="overlap="):
            as_timedelta(bad, "overlap")  # type: ignore[arg-type]
