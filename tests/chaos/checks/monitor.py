"""A witness: it notes what is true while syncs run, and holds each manifest against that as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.checks.dataset import Account, Key, Landed, compare, key_of, read_landed

_BOUNDS = {"window_by": "by", "since": "since", "until": "until"}


class Witness:
    """
    Watch a simulator and a data set.

    :param streams: that are watched.
    """

    def __init__(self, alvys: Simulator, lake: Path, streams: tuple[str, ...]) -> None:
        self.landed: list[Landed] = []
        # Rows that a manifest misses although it says that it is whole, and although they never moved: by stream.
        self.lost: dict[str, int] = dict.fromkeys(streams, 0)
        self.problems: list[str] = []
        # Of rows missed by manifests that say "open".
        self.missed_openly = 0
        # Rows that appeared while a run read, dated before what any later run looks back to: a sweep's business.
        self.out_of_reach = 0
        self._alvys = alvys
        self._lake = lake
        self._streams = streams
        # What was true, and when: the hash of each row by its key.
        self._notes: list[tuple[float, dict[str, dict[Key, bytes]]]] = []
        self._seen: set[Path] = set()

    def look(self) -> None:
        """Judge the manifests that are new, and note what is true now."""
        now = time.time()
        notes = {
            stream: {key: _hash(row) for key, row in self.truth(stream).items()} for stream in self._streams
        }
        for file in sorted(self._lake.rglob("_manifest.json")):
            if file not in self._seen:
                self._seen.add(file)
                self._judge(read_landed(file), notes)
        self._notes.append((now, notes))

    def truth(self, stream: str) -> dict[Key, bytes]:
        """Return the rows that there are now, by their keys."""
        return {key_of(stream, row): row for row in self._alvys.truth_rows(stream=stream)}

    def _judge(self, landed: Landed, now: dict[str, dict[Key, bytes]]) -> None:
        self.landed.append(landed)
        self.problems += landed.problems
        stream = landed.stream
        earlier = [notes for when, notes in self._notes if when < landed.read_from]
        if not earlier:
            self.problems.append(f"{landed.file}: read before anything was noted")
            return
        before = earlier[-1][stream]
        # Rows that were the same before it was read as they are afterwards: they stayed where they were.
        stayed = {key for key, digest in now[stream].items() if before.get(key) == digest}
        found = {key: _hash(row) for key, row in landed.by_key.items()}
        missed = [key for key in self._asked_for(landed) & stayed if found.get(key) != now[stream][key]]
        if missed and landed.is_whole:
            self.lost[stream] += len(missed)
            self.problems.append(
                f"{landed.file}: says whole, and misses {len(missed)} rows that stayed, such as {missed[0]}"
            )
        elif missed:
            self.missed_openly += len(missed)

    def _asked_for(self, landed: Landed) -> set[Key]:
        """Return the keys of the rows that a manifest's searches find now."""
        found: set[Key] = set()
        for search in landed.manifest["searches"]:
            window = search["window"] or {}
            query: dict[str, Any] = {name: window[key] for name, key in _BOUNDS.items() if window.get(key)}
            asked = {name: value for name, value in search["asked"].items() if value != []}
            rows = self._alvys.truth_rows(stream=landed.stream, filters=json.dumps(asked), **query)
            found |= {key_of(landed.stream, row) for row in rows}
        return found

    def conclude(self) -> dict[str, Account]:
        """Hold all that was landed against what is true now, stream by stream."""
        self.look()
        accounts = {}
        for stream in self._streams:
            landed = [one for one in self.landed if one.stream == stream]
            truth = self.truth(stream)
            if landed:
                truth = self._owed(truth, _newest(landed))
            # Those of the other streams change their UpdatedAt instead.
            accounts[stream] = account = compare(
                landed, truth, rows_are_removed=stream not in ("loads", "trips")
            )
            if get_stream(stream).default_window is None and (
                not landed or not _newest(landed).is_exactly(truth)
            ):
                self.problems.append(f"{stream}: the last sweep is not what is true")
            if account.wrong:
                self.problems.append(
                    f"{stream}: of what is true at the end, {len(account.lost)} rows are missing and {len(account.stale)} are "
                    f"stale; {len(account.invented)} rows never were true"
                )
        return accounts

    def _owed(self, truth: dict[Key, bytes], last: Landed) -> dict[Key, bytes]:
        """
        Return the rows that must have been landed by the end of the last run.

        By business dates that is what was there from the beginning, and what the last run asked for: a row that appears while the
        first run reads, dated further back than later ones look, is owed by none.
        """
        window = get_stream(last.stream).window(None)
        if window is None or window.tracks_changes:
            return truth
        owed = set(self._notes[0][1][last.stream]) | self._asked_for(last)
        self.out_of_reach += len(truth.keys() - owed)
        return {key: row for key, row in truth.items() if key in owed}


def _newest(landed: list[Landed]) -> Landed:
    return max(landed, key=lambda one: one.read_from)


def _hash(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=12).digest()
