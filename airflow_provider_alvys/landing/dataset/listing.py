"""What a data set contains: streams, cursors and run folders, from listings of single folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.landing.dataset.cursor import Cursor
from airflow_provider_alvys.landing.dataset.store import Store

T = TypeVar("T", bound=msgspec.Struct)
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
    :param run_hash: identifies the task instance in file names; None if a person has renamed the folder.
    :param until: end of the window, such as ``20261001T000000Z``; None for a window without an end, and for a
        stream that is read in full.
    """

    name: str
    run_hash: str | None
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
        content = b""
        try:
            # Once, so that a change in between is noticed when the cursor is replaced.
            if (known := store.get(name)) is None:
                continue
            content = known
            found.append(FoundCursor(name, content, store.decode_json(name, content, Cursor)))
        except AlvysStorageError as error:
            found.append(FoundCursor(name, content, None, str(error)))
    return found


def list_dates(store: Store, stream: Stream) -> list[str]:
    """Return the landing dates of a stream, the newest first."""
    return sorted(filter(_DATE.fullmatch, store.list_folder(stream.name)), reverse=True)


def list_runs(store: Store, stream: Stream, date: str) -> list[RunFolder]:
    """Return the run folders of a landing date."""
    runs = []
    for name in store.list_folder(f"{stream.name}/{date}"):
        match = _RUN.search(name)
        until = match["until"] if match and match["until"] != "open" else None
        runs.append(RunFolder(f"{stream.name}/{date}/{name}", match["hash"] if match else None, until))
    return runs


def read_json(store: Store, name: str, type: type[T]) -> tuple[T | None, str]:
    """Return a struct, or None and why it cannot be read; empty if there is no file."""
    try:
        return store.get_json(name, type), ""
    except AlvysStorageError as error:
        return None, str(error)
