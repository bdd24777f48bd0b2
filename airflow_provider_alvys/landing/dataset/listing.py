"""What a data set contains: streams, cursors and run folders, from listings of single folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.landing.dataset.cursor import Cursor, read_cursor
from airflow_provider_alvys.landing.dataset.store import Store

_CURSOR = re.compile(r"_cursor-[0-9a-f]+\.json")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUN = re.compile(r"(?:(?P<until>[0-9TZ]+|open)-|all-)(?P<hash>[0-9a-f]{16})-\d+$")


@dataclass(frozen=True)
class FoundCursor:
    """
    A cursor's file.

    :param name: name of the file, relative to the data set.
    :param content: its content.
    :param cursor: the same, decoded; None if it is damaged.
    :param problem: why it cannot be read; empty if it can.
    """

    name: str
    content: bytes
    cursor: Cursor | None
    problem: str = ""


@dataclass(frozen=True)
class RunFolder:
    """
    The folder of one attempt.

    :param name: name of the folder, relative to the data set.
    :param run_hash: identifies the task instance in file names.
    :param until: end of the window, such as ``20261001T000000Z``; None for a window without an end, and for a
        stream that is read in full.
    """

    name: str
    run_hash: str
    until: str | None


def list_streams(store: Store) -> list[Stream]:
    """Return the streams that have a folder, in the catalogue's order."""
    names = set(store.list_folder(""))
    return [stream for name, stream in STREAMS.items() if name in names]


def list_cursors(store: Store, stream: Stream) -> list[FoundCursor]:
    """Return the cursors of a stream, damaged ones as well."""
    found = []
    for name in store.list_folder(stream.name):
        if not _CURSOR.fullmatch(name):
            continue
        name = f"{stream.name}/{name}"
        # First, so that a change in between is noticed when the cursor is replaced.
        content = store.get(name)
        try:
            cursor, problem = read_cursor(store, name), ""
        except AlvysStorageError as error:
            cursor, problem = None, str(error)
        if content is not None and (cursor or problem):
            found.append(FoundCursor(name, content, cursor, problem))
    return found


def list_runs(store: Store, stream: Stream) -> Iterator[tuple[str, list[RunFolder]]]:
    """Yield each landing date with its run folders, the newest date first. Each takes one listing."""
    for date in sorted(filter(_DATE.fullmatch, store.list_folder(stream.name)), reverse=True):
        runs = []
        for name in store.list_folder(f"{stream.name}/{date}"):
            if match := _RUN.search(name):
                until = match["until"] if match["until"] != "open" else None
                runs.append(RunFolder(f"{stream.name}/{date}/{name}", match["hash"], until))
        yield date, runs
