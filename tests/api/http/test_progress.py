"""The progress of a long job: a line every 30 s or 10 %, and at most one in 5 s."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_alvys.api.figures import counted, duration, size
from airflow_provider_alvys.api.http.progress import ProgressLog
from tests.conftest import StoppedClock

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level("INFO")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("seconds", "units", "most", "least"),
    [
        # A slow job: one line every 30 s. A fast one: at most one in 5 s. One in between: one every 10 %.
        (20.0, 200, 200 * 20 / 30 + 1, 200 * 20 / 40 - 1),
        (0.1, 1000, 1000 * 0.1 / 5 + 1, 10),
        (1.0, 100, 10, 9),
        (0.02, 200, 0, 0),
        (0.02, 1000, 4, 3),
    ],
)
def test_lines_are_neither_rare_nor_frequent(
    lines: Lines, seconds: float, units: int, most: float, least: float
) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Read", "loads", clock=clock)
    for done in range(1, units + 1):
        clock.sleep(seconds)
        progress.update(done, units)
    assert least <= len(lines()) <= most


def test_a_line_has_figures_rate_and_time_left(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Loaded", "rows", clock=clock)
    clock.sleep(60)
    progress.update(2_000, 5_000, detail=lambda: "part 2 of 5")
    (line,) = lines()
    figures = ["2,000 of 5,000 rows", "part 2 of 5", "2,000 a minute", "about 2 min left"]
    assert line.removeprefix("Loaded ").split(", ") == figures


def test_a_total_that_is_not_known_is_left_out(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Read", "invoices", clock=clock)
    clock.sleep(31)
    progress.update(1_000)
    (line,) = lines()
    assert line.startswith("Read 1,000 invoices, ")
    assert "left" not in line


def test_a_line_comes_before_a_long_wait_and_its_rate_contains_the_wait(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Read", "loads", clock=clock)
    clock.sleep(1)
    progress.update(2_000, 100_000, wait=59)
    (line,) = lines()
    assert "2,000 a minute" in line


def test_a_burst_is_not_faster_than_the_rate_limit(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Read", "loads", clock=clock)
    clock.sleep(62)
    progress.update(4_000, 100_000, highest_rate=2_000)
    assert "2,000 a minute" in lines()[0]


def test_what_an_earlier_process_did_is_not_in_the_rate(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Read", "loads", clock=clock, done=40_000)
    clock.sleep(60)
    progress.update(42_000, 50_000)
    assert "2,000 a minute" in lines()[0]


def test_a_deferral_does_not_stop_the_clock_of_the_rate(lines: Lines) -> None:
    clock = StoppedClock()
    # 40,000 loads in 20 minutes, and then a resumed process.
    progress = ProgressLog("Read", "loads", clock=clock, done=40_000, since=clock.time() - 1_200)
    clock.sleep(60)
    progress.update(42_000, 50_000)
    assert "2,000 a minute" in lines()[0]


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (5000, "loads", "5,000 loads"),
        (1, "pages", "1 page"),
        (0, "rows", "0 rows"),
        (1, "fuel", "1 fuel"),
        (1, "load_documents", "1 load_documents"),
    ],
)
def test_counts_have_separators_and_a_fitting_unit(number: int, unit: str, text: str) -> None:
    assert counted(number, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min")]
)
def test_durations_have_units_of_their_length(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 kB"), (12_000, "12 kB"), (3_400_000, "3.4 MB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes_have_units_of_their_length(number: int, text: str) -> None:
    assert size(number) == text


def test_tenths_count_from_when_the_total_is_known(lines: Lines) -> None:
    clock = StoppedClock()
    progress = ProgressLog("Downloaded", "documents", clock=clock)
    clock.sleep(31)
    progress.update(50)
    clock.sleep(6)
    progress.update(60, 100)
    assert [line.split(",")[0] for line in lines()] == [
        "Downloaded 50 documents",
        "Downloaded 60 of 100 documents",
    ]
