"""Read the log of a sync: the lines of this package at INFO, with the times of the test's clock."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_alvys.api.http.clock import Clock

_PROGRESS = re.compile(
    r"Read (?P<done>[\d,]+) of (?P<total>[\d,]+) \w+, page (?P<page>[\d,]+) of (?P<pages>[\d,]+)"
    r"(, (?P<rate>[\d,]+) a minute)?(, about (?P<left>\d+) (?P<unit>s|min) left)?"
)
MAX_LENGTH = 120
ONE_SCREEN = 40


@dataclass(frozen=True)
class Progress:
    """The figures of a line. ``left`` is in seconds; None if the line has no such figure."""

    time: float
    done: int
    total: int
    page: int
    pages: int
    rate: int | None
    left: float | None


class LogReader(logging.Handler):
    """Collect the lines of this package at INFO and above with their times."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[float, str]] = []
        self.warnings: list[str] = []
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        if "airflow_provider_alvys" in record.name:
            self.lines.append((self._clock.time(), record.getMessage()))
            if record.levelno >= logging.WARNING:
                self.warnings.append(record.getMessage())

    def texts(self, start: str = "") -> list[str]:
        """Return the lines with a start."""
        return [text for _, text in self.lines if text.startswith(start)]

    def progress(self) -> Iterator[Progress]:
        """Return the figures of the lines of progress."""
        for time, text in self.lines:
            found = _PROGRESS.fullmatch(text)
            if found:
                plain = {name: value and value.replace(",", "") for name, value in found.groupdict().items()}
                length = 60 if plain["unit"] == "min" else 1
                left = float(plain["left"]) * length if plain["left"] else None
                rate = int(plain["rate"]) if plain["rate"] else None
                counts = [int(plain[name]) for name in ("done", "total", "page", "pages")]
                yield Progress(time, *counts, rate, left)

    def check_form(self) -> None:
        """Check that the lines are short and few."""
        assert [text for text in self.texts() if len(text) > MAX_LENGTH and "Manifest: " not in text] == []
        assert len(self.lines) <= ONE_SCREEN

    def check_silence(self, longest: float = 31.0) -> None:
        """Check that a silence is short, or that a line before it gives its length."""
        announced = 0.0
        for (before, text), (after, _) in zip(self.lines, self.lines[1:], strict=False):
            wait = re.match(r"Waiting (\d+) s: ", text)
            announced = before + float(wait[1]) + 5 if wait else announced
            assert after <= max(announced, before + longest), text
