"""Check each new manifest of a data set while syncs run and the simulator's rows change."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.checks.dataset import Comparison, Key, LandedRun, compare, key_of, read_run

_BOUNDS = {"window_by": "by", "since": "since", "until": "until"}


class DatasetMonitor:
    """
    A checker of a data set that a simulator is synced into.

    :param streams: names of the streams to check.
    """

    def __init__(self, alvys: Simulator, lake: Path, streams: tuple[str, ...]) -> None:
        self.runs: list[LandedRun] = []
        # By stream: unchanged rows that a manifest with proof "whole" does not have.
        self.lost: dict[str, int] = dict.fromkeys(streams, 0)
        self.problems: list[str] = []
        # Unchanged rows that manifests with proof "open" do not have.
        self.missed_in_open_runs = 0
        # Rows that appeared during a run, dated before the lookback of all later runs: only a sweep finds
        # them.
        self.before_lookback = 0
        self._alvys = alvys
        self._lake = lake
        self._streams = streams
        # The time and, by stream and key, the hash of each row.
        self._snapshots: list[tuple[float, dict[str, dict[Key, bytes]]]] = []
        self._checked: set[Path] = set()

    def check(self) -> None:
        """Check the new manifests, and take a snapshot of the simulator's rows."""
        now = time.time()
        snapshot = {
            stream: {key: _hash(row) for key, row in self.current_rows(stream).items()}
            for stream in self._streams
        }
        for file in sorted(self._lake.rglob("_manifest.json")):
            if file not in self._checked:
                self._checked.add(file)
                self._check_run(read_run(file), snapshot)
        self._snapshots.append((now, snapshot))

    def current_rows(self, stream: str) -> dict[Key, bytes]:
        """Return the simulator's rows by key."""
        return {key_of(stream, row): row for row in self._alvys.truth_rows(stream=stream)}

    def _check_run(self, run: LandedRun, now: dict[str, dict[Key, bytes]]) -> None:
        self.runs.append(run)
        self.problems += run.problems
        stream = run.stream
        earlier = [snapshot for when, snapshot in self._snapshots if when < run.read_from]
        if not earlier:
            self.problems.append(f"{run.file}: read before the first snapshot")
            return
        before = earlier[-1][stream]
        # Rows that are the same before and after the read must be in it.
        unchanged = {key for key, digest in now[stream].items() if before.get(key) == digest}
        landed = {key: _hash(row) for key, row in run.by_key.items()}
        missed = [key for key in self._searched(run) & unchanged if landed.get(key) != now[stream][key]]
        if missed and run.is_whole:
            self.lost[stream] += len(missed)
            self.problems.append(
                f"{run.file}: proof whole, unchanged rows missing: {len(missed)}, first {missed[0]}"
            )
        elif missed:
            self.missed_in_open_runs += len(missed)

    def _searched(self, run: LandedRun) -> set[Key]:
        """Return the keys that a manifest's searches find now."""
        found: set[Key] = set()
        for search in run.manifest["searches"]:
            window = search["window"] or {}
            bounds: dict[str, Any] = {name: window[key] for name, key in _BOUNDS.items() if window.get(key)}
            filters = {name: value for name, value in search["asked"].items() if value != []}
            rows = self._alvys.truth_rows(stream=run.stream, filters=json.dumps(filters), **bounds)
            found |= {key_of(run.stream, row) for row in rows}
        return found

    def finish(self) -> dict[str, Comparison]:
        """Compare everything landed with the simulator's rows, stream by stream."""
        self.check()
        comparisons = {}
        for stream in self._streams:
            runs = [run for run in self.runs if run.stream == stream]
            expected = self.current_rows(stream)
            if runs:
                expected = self._expected(expected, _last(runs))
            # Loads and trips get a tombstone instead.
            is_removed = stream not in ("loads", "trips")
            comparisons[stream] = found = compare(runs, expected, rows_are_removed=is_removed)
            if get_stream(stream).default_window is None and (
                not runs or not _last(runs).is_exactly(expected)
            ):
                self.problems.append(f"{stream}: the last sweep differs from the simulator's rows")
            if found.wrong:
                self.problems.append(
                    f"{stream}: at the end {len(found.lost)} rows lost, {len(found.stale)} stale, "
                    f"{len(found.invented)} invented"
                )
        return comparisons

    def _expected(self, current: dict[Key, bytes], last: LandedRun) -> dict[Key, bytes]:
        """
        Return the rows that must have been landed by the end of the last run.

        For windows by business date: the rows of the beginning, and those in the last run's window. A row
        that appears while the first run reads, dated before the lookback of later runs, is not expected.
        """
        window = get_stream(last.stream).window(None)
        if window is None or window.tracks_changes:
            return current
        expected = set(self._snapshots[0][1][last.stream]) | self._searched(last)
        self.before_lookback += len(current.keys() - expected)
        return {key: row for key, row in current.items() if key in expected}


def _last(runs: list[LandedRun]) -> LandedRun:
    return max(runs, key=lambda run: run.read_from)


def _hash(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=12).digest()
