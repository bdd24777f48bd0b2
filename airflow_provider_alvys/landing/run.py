"""The run file: what one task instance reads, settled at its first try and kept over its retries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from airflow_provider_alvys.api.queries import Span
from airflow_provider_alvys.api.windows import Window
from airflow_provider_alvys.landing.layout import fingerprint, run_file, run_folder
from airflow_provider_alvys.landing.store import Store


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which task instance this is, whatever its try. It names the run file."""

    dag_id: str
    task_id: str
    map_index: int
    run_id: str


class Group(msgspec.Struct, kw_only=True):
    """
    What is read of some parents, or of a stream without any.

    :param span: None for all there is.
    :param parents: their ids; None where the stream has none.
    """

    span: Span | None
    parents: list[str] | None = None


class Run(msgspec.Struct, kw_only=True):
    """
    What a run file holds.

    :param asked: hash of what the task was told to read; another one means that the task was changed, and starts over.
    :param started: when the first try began.
    :param groups: what is read, one after the other. All spans end together.
    :param folder: of this attempt, relative to the data set.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    asked: str
    started: datetime
    groups: list[Group]
    folder: str
    attempt: int

    @property
    def until(self) -> datetime | None:
        """Where the spans end."""
        span = self.groups[0].span
        return span.until if span else None


def open_run(
    store: Store,
    stream: str,
    identity: RunIdentity,
    *,
    asked: str,
    now: datetime,
    settle: Callable[[], list[Group]],
    window_of: Callable[[list[Group]], Window | None],
) -> Run:
    """
    Return this try's run, and keep it in its file.

    A retry, and a cleared task that had finished, read the window of the first try again, into a folder of their own.

    :param settle: called to settle what is read, at the first try only.
    :param window_of: the window that the folder is named after.
    """
    run_hash = fingerprint(msgspec.to_builtins(identity))
    name = run_file(stream, run_hash)
    known = store.get_json(name, Run)
    attempt = known.attempt + 1 if known else 1
    if known is not None and known.asked == asked:
        started, groups = known.started, known.groups
    else:
        started, groups = now, settle()
    window = window_of(groups)
    # A folder is never written into twice, whoever wrote into it: the run file may have been deleted.
    while store.has_folder(folder := run_folder(stream, started, window, run_hash, attempt)):
        attempt += 1
    run = Run(identity=identity, asked=asked, started=started, groups=groups, folder=folder, attempt=attempt)
    store.put_json(name, run)
    return run
