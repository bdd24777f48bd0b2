"""The run file: what one task instance reads, settled at its first try, and how far it has come, kept over its retries."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from airflow_provider_alvys import __version__
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.http.pacing import EndpointPace
from airflow_provider_alvys.api.read.queries import RequestedWindow
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.landing.dataset.layout import fingerprint, run_file, run_folder
from airflow_provider_alvys.landing.dataset.manifest import Part
from airflow_provider_alvys.landing.dataset.store import Store

log = logging.getLogger(__name__)


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which task instance this is, whatever its try. It names the run file."""

    dag_id: str
    task_id: str
    map_index: int
    run_id: str

    @property
    def run_hash(self) -> str:
        """What the names of its files have in them."""
        return fingerprint(msgspec.to_builtins(self))


class Writer(msgspec.Struct):
    """Which version of this package wrote a run file: what all versions of it have."""

    package: str


class Progress(msgspec.Struct, kw_only=True):
    """How far a run has come: written after each part, whole at once, so that search and parts agree."""

    search: SearchState
    parts: list[Part]
    pace: dict[str, EndpointPace]


class Group(msgspec.Struct, kw_only=True):
    """
    What is read of some parents, or of a stream without any.

    :param span: None for all there is.
    :param parents: their ids; None where the stream has none.
    """

    span: RequestedWindow | None
    parents: list[str] | None = None


class Run(msgspec.Struct, kw_only=True):
    """
    What a run file holds.

    :param package: version of this package; another one may read in another order, and starts over.
    :param asked: hash of what the task was told to read; another one means that the task was changed, and starts over.
    :param started: when the first try began.
    :param groups: what is read, one after the other. All spans end together.
    :param read_from: when the reading into this folder began.
    :param folder: of this attempt, relative to the data set.
    :param state: ``reading``; ``landed`` when the manifest and the cursor stand; ``void`` when the set could not be proved whole.
    :param claim: of the process that reads: the next one that goes on with the run replaces it.
    :param stretch: how many processes have gone on with this attempt; part of the names of the parts that each writes, so that
        none can overwrite another one's.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    package: str = __version__
    asked: str
    started: datetime
    groups: list[Group]
    folder: str
    attempt: int
    read_from: datetime
    state: Literal["reading", "landed", "void"] = "reading"
    claim: str
    stretch: int = 0
    progress: Progress | None = None

    @property
    def parts(self) -> list[Part]:
        """Those that count: written before its file was."""
        return self.progress.parts if self.progress else []

    @property
    def until(self) -> datetime | None:
        """Where the spans end."""
        span = self.groups[0].span
        return span.until if span else None


class RunFile:
    """A run and its file, of which this process is the only writer until another one takes over."""

    def __init__(self, store: Store, name: str, run: Run) -> None:
        self.run = run
        self._store = store
        self._name = name

    def take(self) -> None:
        """Write the file, whoever wrote it before."""
        self._store.put_json(self._name, self.run)

    def drop_part(self, part: Part) -> None:
        """Remove a part that is no longer listed."""
        self._store.remove(f"{self.run.folder}/{part.name}")

    def put_part(self, name: str, content: bytes) -> None:
        """
        Write a part into the run's folder.

        :raises AlvysStorageError: another process has taken over.
        """
        self._check_claim()
        self._store.put(f"{self.run.folder}/{name}", content)

    def save(self, progress: Progress) -> None:
        """
        Keep how far it has come.

        :raises AlvysStorageError: another process has taken over.
        """
        self._check_claim()
        self.run.progress = progress
        self.take()

    def check_parts(self, parts: list[Part]) -> None:
        """
        Refuse to go on where the parts are not what was written.

        :raises AlvysStorageError: one is missing or of another size, or another process has taken over.
        """
        self._check_claim()
        _agree(self._store, self.run.folder, parts, thoroughly=False)

    def end(self, state: Literal["landed", "void"]) -> None:
        """
        Keep that it has ended. What only helps to go on is dropped.

        :raises AlvysStorageError: another process has taken over.
        """
        self._check_claim()
        self.run.state = state
        self.run.progress = None
        self.take()

    def _check_claim(self) -> None:
        known = self._store.get_json(self._name, _Claim)
        if known is None or known.claim != self.run.claim:
            raise AlvysStorageError(
                f"{self._store.url(self._name)} is no longer this process's: another try of the same task has taken over, or the "
                "file was deleted. Nothing more is written here"
            )


class _Claim(msgspec.Struct):
    claim: str = ""


def open_run(
    store: Store,
    stream: str,
    identity: RunIdentity,
    *,
    asked: str,
    now: datetime,
    settle: Callable[[], list[Group]],
    window_of: Callable[[list[Group]], Window | None],
    is_resumed: bool = False,
) -> RunFile:
    """
    Return this try's run, and take over its file.

    A retry goes on after the last part that was kept. A cleared task that had finished, and one whose set could not be proved
    whole, read the window of the first try again, into a folder of their own.

    :param settle: called to settle what is read, at the first try only.
    :param window_of: the window that the folder is named after.
    :param is_resumed: whether this is the same try after a deferral: then its parts were not left behind by a crash.
    """
    name = run_file(stream, identity.run_hash)
    known = _read_run(store, name)
    is_same = known is not None and known.asked == asked
    may_go_on = known is not None and is_same and known.state == "reading" and known.package == __version__
    if known is not None and may_go_on and _can_go_on(store, known, thoroughly=not is_resumed):
        run = msgspec.structs.replace(known, claim=secrets.token_hex(8), stretch=known.stretch + 1)
        file = RunFile(store, name, run)
        file.take()
        _remove_strangers(store, run)
        return file
    if known is not None and is_same:
        started, groups = known.started, known.groups
    else:
        started, groups = now, settle()
    window = window_of(groups)
    attempt = known.attempt + 1 if known else 1
    # A folder is never written into by two runs, whoever wrote into it: the run file may have been deleted.
    while store.sizes(folder := run_folder(stream, started, window, identity.run_hash, attempt)):
        attempt += 1
    run = Run(
        identity=identity,
        asked=asked,
        started=started,
        groups=groups,
        folder=folder,
        attempt=attempt,
        read_from=now,
        claim=secrets.token_hex(8),
    )
    file = RunFile(store, name, run)
    file.take()
    return file


def _read_run(store: Store, name: str) -> Run | None:
    try:
        return store.get_json(name, Run)
    except AlvysStorageError:
        package = store.get_json(name, Writer)
        if package is None or package.package == __version__:
            raise
        log.warning(
            "%s was written by version %s of this package. Starting over", store.url(name), package.package
        )
        return None


def _can_go_on(store: Store, run: Run, *, thoroughly: bool) -> bool:
    try:
        _agree(store, run.folder, run.parts, thoroughly=thoroughly)
    except AlvysStorageError as error:
        log.warning("%s. Starting over, in another folder", error)
        return False
    log.info("Going on after %d parts with %d rows", len(run.parts), sum(part.rows for part in run.parts))
    return True


def _agree(store: Store, folder: str, parts: list[Part], *, thoroughly: bool) -> None:
    """Refuse parts that are not of the size, and on request of the hash, that they were written with."""
    sizes = store.sizes(folder) if parts else {}
    for part in parts:
        name = f"{folder}/{part.name}"
        if sizes.get(name) != part.bytes or (thoroughly and store.sha256(name) != part.sha256):
            raise AlvysStorageError(
                f"{store.url(name)} is not what was written: {sizes.get(name, 'no')} bytes of {part.bytes}"
            )


def _remove_strangers(store: Store, run: Run) -> None:
    """Remove what was written after the last part that was kept."""
    kept = {f"{run.folder}/{part.name}" for part in run.parts}
    for name in store.sizes(run.folder).keys() - kept:
        log.info("Removing %s, which the last try did not finish with", store.url(name))
        store.remove(name)
