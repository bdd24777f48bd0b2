"""Record the changes made in the simulator, and compare them with the asset events that watchers emit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_alvys.simulator.data.times import parse_micros
from airflow_provider_alvys.simulator.process import Simulator

# A row's id, and when it was changed, in microseconds since 1970.
Change = tuple[str, int]


@dataclass(frozen=True)
class EmittedChanges:
    """
    The changes in the events of an asset.

    :param keys: the keys of each change: one for each time it was emitted.
    """

    keys: dict[Change, list[str]] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """How many times a change was emitted again."""
        return sum(len(keys) - 1 for keys in self.keys.values())


def read_emitted(payloads: Iterable[Any]) -> EmittedChanges:
    """Return the changes in the payloads of events."""
    emitted = EmittedChanges()
    for payload in payloads:
        for change in payload["changes"]:
            stamp = parse_micros(change["updated_at"])
            emitted.keys.setdefault((change["id"], stamp), []).append(change["key"])
    return emitted


class MadeChanges:
    """
    A recorder of the changes it makes in a simulated stream.

    ``made`` has these changes; ``versions`` has every version of a row that ever existed.
    """

    def __init__(self, alvys: Simulator, stream: str) -> None:
        self._alvys = alvys
        self._stream = stream
        self.versions = set(self._current_versions())
        self.made: list[Change] = []

    def change(self, keys: list[str], **columns: Any) -> None:
        """Change rows now."""
        ids = set(self._alvys.change(stream=self._stream, keys=keys, columns=columns))
        made = [change for change in self._current_versions() if change[0] in ids]
        self.made += made
        self.versions |= set(made)

    def _current_versions(self) -> list[Change]:
        rows = [json.loads(row) for row in self._alvys.truth_rows(stream=self._stream)]
        return [(row["Id"], parse_micros(row["UpdatedAt"])) for row in rows]


def find_missed(made: Iterable[Change], emitted: EmittedChanges) -> list[Change]:
    """Return the changes without an event for them or for a later change of the same row."""
    latest: dict[str, int] = {}
    for id, stamp in emitted.keys:
        latest[id] = max(stamp, latest.get(id, 0))
    return [(id, stamp) for id, stamp in made if latest.get(id, 0) < stamp]


def check_emitted(name: str, changes: MadeChanges, emitted: EmittedChanges) -> list[str]:
    """Return the problems with an asset's events."""
    problems = []
    if missed := find_missed(changes.made, emitted):
        problems.append(f"{name}: changes missed: {len(missed)} of {len(changes.made)}, first {missed[0]}")
    if invented := [change for change in emitted.keys if change not in changes.versions]:
        problems.append(f"{name}: changes invented: {len(invented)}, first {invented[0]}")
    if unstable := [change for change, keys in emitted.keys.items() if len(set(keys)) > 1]:
        problems.append(f"{name}: changes repeated with another key: {len(unstable)}, first {unstable[0]}")
    keys = {key for keys in emitted.keys.values() for key in keys}
    if len(keys) < len(emitted.keys):
        problems.append(f"{name}: keys not unique: {len(keys)} for {len(emitted.keys)} changes")
    return problems
