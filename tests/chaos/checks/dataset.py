"""The check of what was landed, from the files alone."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.data.times import parse_micros

Key = tuple[Any, ...]


def key_of(stream: str, row: bytes) -> Key:
    """Return what identifies a row."""
    values = json.loads(row)
    return tuple(values.get(name) for name in get_stream(stream).key)


def updated_at(row: bytes) -> int:
    """Return when a row says that it was changed, in microseconds since 1970; 0 where it does not say."""
    stamp = json.loads(row).get("UpdatedAt")
    return parse_micros(stamp) if stamp else 0


@dataclass
class Landed:
    """
    A manifest and the rows of its parts.

    :param problems: what in it is false.
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
        """Whether it claims to be all."""
        return self.manifest["proof"] == "whole"

    @property
    def read_from(self) -> float:
        """When the reading began, in seconds since 1970."""
        return parse_micros(self.manifest["read_from"]) / 1e6

    @cached_property
    def by_key(self) -> dict[Key, bytes]:
        """The rows by their keys."""
        return {key_of(self.stream, row): row for row in self.rows}

    @property
    def repeated(self) -> int:
        """How many rows came more than once."""
        return len(self.rows) - len(self.by_key)

    def is_exactly(self, truth: dict[Key, bytes]) -> bool:
        """Return whether it claims to be all, and is."""
        return bool(self.is_whole and self.by_key == truth)

    def least_requests(self, page_size: int) -> int:
        """Return with how few requests these rows could be had."""
        return sum(self._least(search, page_size) for search in self.manifest["searches"])

    def _least(self, search: dict[str, Any], page_size: int) -> int:
        pages = max(1, -(-search["total"] // page_size))
        by = (search["window"] or {}).get("by")
        is_closed = by is not None and get_stream(self.stream).window(by).tracks_changes  # type: ignore[union-attr]
        return pages if is_closed or pages == 1 else pages + 1


def read_landed(file: Path) -> Landed:
    """Read a manifest's rows, and hold its parts against what it says of them."""
    manifest = json.loads(file.read_bytes())
    rows: list[bytes] = []
    problems: list[str] = []
    for part in manifest["parts"]:
        path = file.parent / part["name"]
        content = path.read_bytes() if path.exists() else None
        if (
            content is None
            or len(content) != part["bytes"]
            or hashlib.sha256(content).hexdigest() != part["sha256"]
        ):
            problems.append(
                f"{path}: {'missing' if content is None else 'not the bytes that the manifest tells of'}"
            )
            continue
        lines = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")[:-1]
        if len(lines) != part["rows"]:
            problems.append(f"{path}: {len(lines)} rows, not {part['rows']}")
        rows += lines
    if len(rows) != manifest["rows"]:
        problems.append(f"{file}: {len(rows)} rows, not {manifest['rows']}")
    strangers = {path.name for path in file.parent.iterdir()} - {
        file.name,
        *(part["name"] for part in manifest["parts"]),
    }
    if strangers:
        problems.append(f"{file}: beside it {', '.join(sorted(strangers))}, which it does not list")
    landed = Landed(file, manifest, rows, problems)
    if landed.repeated:
        problems.append(f"{file}: {landed.repeated} rows came more than once")
    return landed


@dataclass
class Account:
    """
    How the union of what was landed compares with the truth, for one stream.

    :param lost: keys that are true and were not landed.
    :param stale: keys of which the newest row is not the true one.
    :param invented: keys that were landed and never were true.
    """

    lost: list[Key] = field(default_factory=list)
    stale: list[Key] = field(default_factory=list)
    invented: list[Key] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many rows are not right."""
        return len(self.lost) + len(self.stale) + len(self.invented)


def unite(landed: list[Landed]) -> dict[Key, bytes]:
    """Return the newest row of each key: by UpdatedAt, then by when it was read."""
    best: dict[Key, tuple[int, float, bytes]] = {}
    for one in landed:
        for key, row in one.by_key.items():
            rank = (updated_at(row), one.read_from, row)
            if key not in best or rank[:2] >= best[key][:2]:
                best[key] = rank
    return {key: rank[2] for key, rank in best.items()}


def compare(landed: list[Landed], truth: dict[Key, bytes], *, rows_are_removed: bool) -> Account:
    """
    Hold the union of a stream's manifests against the truth.

    :param rows_are_removed: whether rows of the union may be gone for good, and unheard of.
    """
    union = unite(landed)
    return Account(
        lost=[key for key in truth if key not in union],
        stale=[key for key in truth if key in union and union[key] != truth[key]],
        invented=[key for key in union if key not in truth and not rows_are_removed],
    )


def count_in_logs(logs: Path, run_id: str, text: str) -> Counter[str]:
    """Count a text in the logs of a run's tasks, by task."""
    found: Counter[str] = Counter()
    for file in logs.glob(f"dag_id=*/run_id={run_id}/task_id=*/**/*.log"):
        task = next(part for part in file.parts if part.startswith("task_id="))
        found[task.removeprefix("task_id=")] += file.read_text(errors="replace").count(text)
    return found


def at(seconds: float) -> str:
    """Return a time of day for messages."""
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
