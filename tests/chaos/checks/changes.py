"""Changes that watchers must not miss: those that were made, those that were told, and the difference."""

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
class Told:
    """
    What the events of an asset say.

    :param keys: of each change, those that it was told with: one for each time.
    """

    keys: dict[Change, list[str]] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """How many times a change was told again."""
        return sum(len(keys) - 1 for keys in self.keys.values())


def read_told(payloads: Iterable[Any]) -> Told:
    """Return what the payloads of events say."""
    told = Told()
    for payload in payloads:
        for change in payload["changes"]:
            told.keys.setdefault((change["id"], parse_micros(change["updated_at"])), []).append(change["key"])
    return told


class Truth:
    """
    What is changed in a simulated stream, and when.

    :param where: of rows to note; None for all.
    """

    def __init__(self, alvys: Simulator, stream: str) -> None:
        self._alvys = alvys
        self._stream = stream
        self.ever = set(self._stamps())
        self.made: list[Change] = []

    def change(self, keys: list[str], **columns: Any) -> None:
        """Change rows now."""
        ids = set(self._alvys.change(stream=self._stream, keys=keys, columns=columns))
        made = [change for change in self._stamps() if change[0] in ids]
        self.made += made
        self.ever |= set(made)

    def _stamps(self) -> list[Change]:
        rows = [json.loads(row) for row in self._alvys.truth_rows(stream=self._stream)]
        return [(row["Id"], parse_micros(row["UpdatedAt"])) for row in rows]


def missed(made: Iterable[Change], told: Told) -> list[Change]:
    """Return the changes that no event tells of: neither of the change, nor of a later one to the same row."""
    latest: dict[str, int] = {}
    for id, stamp in told.keys:
        latest[id] = max(stamp, latest.get(id, 0))
    return [(id, stamp) for id, stamp in made if latest.get(id, 0) < stamp]


def judge_told(name: str, truth: Truth, told: Told) -> list[str]:
    """Return what is wrong with an asset's events."""
    problems = []
    lost = missed(truth.made, told)
    if lost:
        problems.append(f"{name}: {len(lost)} of {len(truth.made)} changes were missed, such as {lost[0]}")
    invented = [change for change in told.keys if change not in truth.ever]
    if invented:
        problems.append(f"{name}: {len(invented)} changes were told that never were, such as {invented[0]}")
    unkeyed = [change for change, keys in told.keys.items() if len(set(keys)) > 1]
    if unkeyed:
        problems.append(
            f"{name}: {len(unkeyed)} changes were told again with another key, such as {unkeyed[0]}"
        )
    different = {key for keys in told.keys.values() for key in keys}
    if len(different) < len(told.keys):
        problems.append(f"{name}: {len(told.keys)} changes have {len(different)} keys between them")
    return problems
