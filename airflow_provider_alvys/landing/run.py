"""The run file: what one task instance reads, settled at its first try and kept over its retries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from airflow_provider_alvys.api.windows import Window
from airflow_provider_alvys.landing.layout import fingerprint, run_file, run_folder
from airflow_provider_alvys.landing.manifest import ManifestWindow
from airflow_provider_alvys.landing.store import Store


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which task instance this is, whatever its try. It names the run file."""

    dag_id: str
    task_id: str
    map_index: int
    run_id: str


class Run(msgspec.Struct, kw_only=True):
    """
    What a run file holds.

    :param asked: hash of what the task was told to read; another one means that the task was changed, and starts over.
    :param started: when the first try began.
    :param folder: of this attempt, relative to the data set.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    asked: str
    started: datetime
    window: ManifestWindow
    folder: str
    attempt: int


def open_run(
    store: Store,
    stream: str,
    identity: RunIdentity,
    *,
    asked: str,
    now: datetime,
    settle: Callable[[], ManifestWindow],
) -> Run:
    """
    Return this try's run, and keep it in its file.

    A retry, and a cleared task that had finished, read the window of the first try again, into a folder of their own.

    :param settle: called to settle the window, at the first try only.
    """
    run_hash = fingerprint(msgspec.to_builtins(identity))
    name = run_file(stream, run_hash)
    known = store.get_json(name, Run)
    attempt = known.attempt + 1 if known else 1
    if known is not None and known.asked == asked:
        started, window = known.started, known.window
    else:
        started, window = now, settle()
    span = Window(window.since, window.until)
    # A folder is never written into twice, whoever wrote into it: the run file may have been deleted.
    while store.has_folder(folder := run_folder(stream, started, span, run_hash, attempt)):
        attempt += 1
    run = Run(identity=identity, asked=asked, started=started, window=window, folder=folder, attempt=attempt)
    store.put_json(name, run)
    return run
