"""The checkpoint of a task instance (its run file): the window of the first attempt, and the progress."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from airflow_provider_alvys import __version__
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.progress import ProgressLog
from airflow_provider_alvys.api.http.shared_pace import EndpointPace
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.read.queries import RequestedWindow
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.landing.dataset.layout import fingerprint, run_file, run_folder
from airflow_provider_alvys.landing.dataset.manifest import Part
from airflow_provider_alvys.landing.dataset.store import Store

log = logging.getLogger(__name__)

# Versions that read in the same order as this one: it resumes what they have begun.
RESUMABLE_VERSIONS = frozenset({"0.1.0", __version__})


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The identity of a task instance, shared by its attempts.

    :param tenant: two Airflows may run a task of one name for two tenants. None in files of version 0.2.0
        and earlier, whose names do not contain it.
    """

    dag_id: str
    task_id: str
    map_index: int
    run_id: str
    tenant: str | None = None

    @property
    def run_hash(self) -> str:
        """The part of its file names that identifies it."""
        return fingerprint(msgspec.to_builtins(self))

    def of_tenant(self, tenant: str | None) -> RunIdentity:
        """Return the identity with another tenant."""
        return msgspec.structs.replace(self, tenant=tenant)


class Writer(msgspec.Struct):
    """The version of this package that wrote a run file: the one field that all versions of the file have."""

    package: str

    @property
    def is_resumable(self) -> bool:
        """Whether this version can resume the run."""
        return self.package in RESUMABLE_VERSIONS


class Progress(msgspec.Struct, kw_only=True):
    """The progress of a run. Written after each part in one put, so that search and parts agree."""

    search: SearchState
    parts: list[Part]
    pace: dict[str, EndpointPace]


class Group(msgspec.Struct, kw_only=True):
    """Ids of parents that are read for the same window. ``parents`` is None for a stream without parents."""

    window: RequestedWindow | None = msgspec.field(name="span")
    parents: list[str] | None = None


class Run(msgspec.Struct, kw_only=True):
    """
    The content of a run file.

    :param package: version that wrote it; see :data:`RESUMABLE_VERSIONS`.
    :param config_hash: hash of the sync spec. If it differs, the task was changed, and the run starts over.
    :param started: start of the first attempt.
    :param groups: read one after the other. All windows end at the same time.
    :param folder: folder of this attempt, relative to the data set.
    :param read_from: start of the reading into this folder.
    :param state: ``landed`` after manifest and cursor; ``void`` if completeness could not be proved.
    :param fencing_token: identifies the process that reads. A process that takes over replaces it.
    :param resume_count: part names contain it, so that no process overwrites the parts of another.
    :param usage: of all attempts since the last manifest.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    package: str = __version__
    config_hash: str = msgspec.field(name="asked")
    started: datetime
    groups: list[Group]
    folder: str
    attempt: int
    read_from: datetime
    state: Literal["reading", "landed", "void"] = "reading"
    fencing_token: str = msgspec.field(name="claim")
    resume_count: int = msgspec.field(name="stretch", default=0)
    progress: Progress | None = None
    usage: LimitUsage = msgspec.field(default_factory=LimitUsage)

    @property
    def parts(self) -> list[Part]:
        """Parts that the progress lists."""
        return self.progress.parts if self.progress else []

    @property
    def until(self) -> datetime | None:
        """End of the windows."""
        window = self.groups[0].window
        return window.until if window else None


class RunFile:
    """A run and its file. Writing raises AlvysStorageError once another process has taken over."""

    def __init__(self, store: Store, name: str, run: Run) -> None:
        self.run = run
        self._store = store
        self._name = name

    def take(self) -> None:
        """Write the file, and so take the run over."""
        self._store.put_json(self._name, self.run)

    def drop_part(self, part: Part) -> None:
        """Remove a part that is no longer listed."""
        self._store.remove(f"{self.run.folder}/{part.name}")

    def put_part(self, name: str, content: bytes) -> None:
        """Write a part into the run's folder."""
        self._check_fencing_token()
        self._store.put(f"{self.run.folder}/{name}", content)

    def save(self, progress: Progress | None) -> None:
        """Save the progress."""
        self._check_fencing_token()
        self.run.progress = progress
        self.take()

    def check_parts(self, parts: list[Part]) -> None:
        """Raise AlvysStorageError if a part is missing or has another size."""
        self._check_fencing_token()
        _verify_parts(self._store, self.run.folder, parts, with_hashes=False)

    def end(self, state: Literal["landed", "void"]) -> None:
        """Save that the run has ended, without its progress."""
        self._check_fencing_token()
        self.run.state = state
        self.run.progress = None
        self.take()

    def _check_fencing_token(self) -> None:
        known = self._store.get_json(self._name, _FencingToken)
        if known is None or known.value != self.run.fencing_token:
            raise AlvysStorageError(
                f"{self._store.url(self._name)} belongs to another process: another attempt of the task has "
                "taken over, or the file was deleted. This process writes nothing more"
            )


class _FencingToken(msgspec.Struct):
    value: str = msgspec.field(name="claim", default="")


def open_run(
    store: Store,
    stream: str,
    identity: RunIdentity,
    *,
    config_hash: str,
    now: datetime,
    resolve_groups: Callable[[], list[Group]],
    window_of: Callable[[list[Group]], Window | None],
    usage: LimitUsage,
    is_resumed: bool = False,
) -> RunFile:
    """
    Return the run of this attempt, and take over its file.

    A retry resumes after the last complete part. A cleared task, and one that could not prove completeness,
    read the window of the first attempt again, into a new folder.

    :param resolve_groups: resolves what to read; called by the first attempt only.
    :param window_of: returns the window that the folder is named after.
    :param usage: of this process; that of earlier attempts is added.
    :param is_resumed: whether this follows a deferral, so that no crash can have damaged the parts.
    """
    name, known = _find_run(store, stream, identity, config_hash)
    same = known if known and known.config_hash == config_hash else None
    token = secrets.token_hex(8)
    if known and known.state != "landed":
        usage.add(known.usage)
    if same and _can_resume(store, same, with_hashes=not is_resumed):
        count = same.resume_count + 1
        run = msgspec.structs.replace(
            same, package=__version__, fencing_token=token, resume_count=count, usage=usage
        )
        file = RunFile(store, name, run)
        file.take()
        _remove_unlisted_files(store, run)
        return file
    started, groups = (same.started, same.groups) if same else (now, resolve_groups())
    attempt = known.attempt + 1 if known else 1
    # Two runs never share a folder, even if the run file was deleted.
    while store.sizes(folder := run_folder(stream, started, window_of(groups), identity.run_hash, attempt)):
        attempt += 1
    run = Run(
        identity=identity,
        config_hash=config_hash,
        started=started,
        groups=groups,
        folder=folder,
        attempt=attempt,
        read_from=now,
        fencing_token=token,
        usage=usage,
    )
    file = RunFile(store, name, run)
    file.take()
    return file


def _find_run(store: Store, stream: str, identity: RunIdentity, config_hash: str) -> tuple[str, Run | None]:
    """Return the name of the run file, and the run that it has."""
    name = run_file(stream, identity.run_hash)
    known = _read_run(store, name)
    if known is None:
        # The hash of the sync spec contains the tenant.
        earlier_name = run_file(stream, identity.of_tenant(None).run_hash)
        earlier = _read_run(store, earlier_name)
        if earlier is not None and earlier.config_hash == config_hash:
            return earlier_name, earlier
    return name, known


def _read_run(store: Store, name: str) -> Run | None:
    try:
        return store.get_json(name, Run)
    except AlvysStorageError:
        writer = store.get_json(name, Writer)
        if writer is None or writer.is_resumable:
            raise
        log.warning("Starting over: the checkpoint is from version %s of this package", writer.package)
        log.warning("Checkpoint: %s", store.url(name))
        return None


def _can_resume(store: Store, run: Run, *, with_hashes: bool) -> bool:
    if run.state != "reading" or run.package not in RESUMABLE_VERSIONS:
        return False
    try:
        _verify_parts(store, run.folder, run.parts, with_hashes=with_hashes)
    except AlvysStorageError as error:
        log.warning("Starting over in another folder: %s", error)
        return False
    rows = sum(part.rows for part in run.parts)
    log.info("Resuming after %s in %s", counted(rows, "rows"), counted(len(run.parts), "parts"))
    return True


def _verify_parts(store: Store, folder: str, parts: list[Part], *, with_hashes: bool) -> None:
    """Raise AlvysStorageError if the size or hash of a part has changed."""
    sizes = store.sizes(folder) if parts else {}
    progress = ProgressLog("Checked", "parts")
    for number, part in enumerate(parts):
        progress.update(number, len(parts))
        name = f"{folder}/{part.name}"
        if sizes.get(name) != part.bytes or (with_hashes and store.sha256(name) != part.sha256):
            size = sizes.get(name, "no")
            raise AlvysStorageError(f"{store.url(name)} has changed: {size} bytes of {part.bytes}")


def _remove_unlisted_files(store: Store, run: Run) -> None:
    listed = {f"{run.folder}/{part.name}" for part in run.parts}
    for name in store.sizes(run.folder).keys() - listed:
        log.info("Removing a file that the last attempt did not complete: %s", store.url(name))
        store.remove(name)
