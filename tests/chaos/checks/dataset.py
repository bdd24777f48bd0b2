"""Read manifests and parts, and compare their rows with the simulator's data."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.data.times import parse_micros

Key = tuple[Any, ...]


def key_of(stream: str, row: bytes) -> Key:
    """Return the key of a row."""
    values = json.loads(row)
    return tuple(values.get(name) for name in get_stream(stream).key)


def updated_at(row: bytes) -> int:
    """Return a row's ``UpdatedAt`` in microseconds since 1970, or 0 if it has none."""
    stamp = json.loads(row).get("UpdatedAt")
    return parse_micros(stamp) if stamp else 0


@dataclass
class LandedRun:
    """
    A manifest and the rows of its parts.

    :param problems: false statements of the manifest.
    """

    file: Path
    manifest: dict[str, Any]
    rows: list[bytes]
    problems: list[str] = field(default_factory=list)

    @property
    def stream(self) -> str:
        """The stream's name."""
        return str(self.manifest["stream"])

    @property
    def is_whole(self) -> bool:
        """Whether the manifest claims to be complete."""
        return self.manifest["proof"] == "whole"

    @property
    def read_from(self) -> float:
        """When the reading began, in seconds since 1970."""
        return parse_micros(self.manifest["read_from"]) / 1e6

    @cached_property
    def by_key(self) -> dict[Key, bytes]:
        """The rows by key."""
        return {key_of(self.stream, row): row for row in self.rows}

    @property
    def repeated(self) -> int:
        """How many rows are repeats of a key."""
        return len(self.rows) - len(self.by_key)

    def is_exactly(self, expected: dict[Key, bytes]) -> bool:
        """Return whether the run claims to be complete and has exactly these rows."""
        return bool(self.is_whole and self.by_key == expected)

    def min_requests(self, page_size: int) -> int:
        """Return the smallest number of requests that reads these rows."""
        repeats = self.repeated_searches
        read = [search for search in self.manifest["searches"] if search not in repeats]
        return sum(self._min_requests(search, page_size) for search in read) + len(repeats)

    @property
    def repeated_searches(self) -> list[dict[str, Any]]:
        """The searches that end after a page, because Alvys ignores the filter in which they differ."""
        first, *others = self.manifest["searches"] or [{}]
        shared = ("window", "total")
        return [
            search
            for search in others
            if search["total"] > search["rows"] == 0 and all(search[name] == first[name] for name in shared)
        ]

    def _min_requests(self, search: dict[str, Any], page_size: int) -> int:
        pages = max(1, -(-search["total"] // page_size))
        by = (search["window"] or {}).get("by")
        is_closed = by is not None and get_stream(self.stream).window(by).tracks_changes  # type: ignore[union-attr]
        return pages if is_closed or pages == 1 else pages + 1


def read_run(file: Path) -> LandedRun:
    """Read a manifest's rows, and check sizes, hashes, numbers of rows, unlisted files and repeats."""
    manifest = json.loads(file.read_bytes())
    rows: list[bytes] = []
    problems: list[str] = []
    for part in manifest["parts"]:
        path = file.parent / part["name"]
        if not path.exists():
            problems.append(f"{path}: missing")
            continue
        content = path.read_bytes()
        if len(content) != part["bytes"] or hashlib.sha256(content).hexdigest() != part["sha256"]:
            problems.append(f"{path}: size or sha256 differs from the manifest")
            continue
        lines = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")[:-1]
        if len(lines) != part["rows"]:
            problems.append(f"{path}: {len(lines)} rows, expected {part['rows']}")
        rows += lines
    if len(rows) != manifest["rows"]:
        problems.append(f"{file}: {len(rows)} rows, expected {manifest['rows']}")
    listed = {file.name, *(part["name"] for part in manifest["parts"])}
    if unlisted := {path.name for path in file.parent.iterdir()} - listed:
        problems.append(f"{file}: unlisted files {', '.join(sorted(unlisted))}")
    run = LandedRun(file, manifest, rows, problems)
    if run.repeated:
        problems.append(f"{file}: repeated rows: {run.repeated}")
    return run


@dataclass
class Comparison:
    """
    The landed rows of a stream compared with the simulator's.

    :param lost: keys of rows that were not landed.
    :param stale: keys with an outdated newest row.
    :param invented: keys that the simulator never had.
    """

    lost: list[Key] = field(default_factory=list)
    stale: list[Key] = field(default_factory=list)
    invented: list[Key] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many rows are wrong."""
        return len(self.lost) + len(self.stale) + len(self.invented)


def newest_rows(runs: list[LandedRun]) -> dict[Key, bytes]:
    """Return the newest row of each key: by UpdatedAt, then by the time of reading."""
    newest: dict[Key, tuple[int, float, bytes]] = {}
    for run in runs:
        for key, row in run.by_key.items():
            rank = (updated_at(row), run.read_from, row)
            if key not in newest or rank[:2] >= newest[key][:2]:
                newest[key] = rank
    return {key: rank[2] for key, rank in newest.items()}


def compare(runs: list[LandedRun], expected: dict[Key, bytes], *, rows_are_removed: bool) -> Comparison:
    """
    Compare all runs of a stream with the expected rows.

    :param rows_are_removed: whether the simulator may have removed landed rows without a tombstone.
    """
    landed = newest_rows(runs)
    return Comparison(
        lost=[key for key in expected if key not in landed],
        stale=[key for key in expected if key in landed and landed[key] != expected[key]],
        invented=[key for key in landed if key not in expected and not rows_are_removed],
    )


def count_in_logs(logs: Path, run_id: str, text: str) -> Counter[str]:
    """Count a text in the logs of a run, by task id."""
    found: Counter[str] = Counter()
    for file in logs.glob(f"dag_id=*/run_id={run_id}/task_id=*/**/*.log"):
        task = next(part for part in file.parts if part.startswith("task_id="))
        found[task.removeprefix("task_id=")] += file.read_text(errors="replace").count(text)
    return found
