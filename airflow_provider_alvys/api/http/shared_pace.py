"""The files through which the processes of a user on one machine share a pace."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from airflow_provider_alvys.api.http.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds after which a process looks again whether another one has released a file, and until it gives up.
_POLL = 0.02
_PATIENCE = 120.0
# Seconds for which a file that cannot be used is left alone.
_UNUSED_FOR = 3600.0
_MAX_BYTES = 1 << 16


class EndpointPace(msgspec.Struct, kw_only=True):
    """
    The pacing state of one endpoint, as it is stored.

    :param timestamps: when the last requests were answered, in seconds since 1970.
    :param limit: requests per period: less than documented after a 429.
    :param consecutive_429s: 429s since the last other response.
    :param reduced_at: when the limit was reduced, in seconds since 1970; 0 if it is not.
    """

    timestamps: list[float] = msgspec.field(name="stamps")
    limit: int = msgspec.field(name="count")
    consecutive_429s: int = msgspec.field(name="refusals")
    reduced_at: float = msgspec.field(name="lowered_at", default=0.0)


def pace_folder() -> str:
    """Return the folder of this user's pace files, a temporary one: after an hour they are of no use."""
    return os.path.join(tempfile.gettempdir(), f"alvys-pace-{os.getuid()}")


@dataclass
class PaceFolder:
    """
    The folder of the pace files, for one pacer.

    A failure is no error: the process keeps its own pace for an hour, after one warning.

    :param clock: to wait by for another process.
    :param unused_until: seconds since 1970.
    """

    clock: Clock
    unused_until: float = 0.0

    def attempt(self, function: Callable[[], T]) -> T | None:
        """Call a function, unless one has failed within the last hour; return None if it fails."""
        if self.clock.time() < self.unused_until:
            return None
        try:
            return function()
        except OSError as error:
            self.unused_until = self.clock.time() + _UNUSED_FOR
            log.warning("Pace not shared with other processes for an hour: %s", error)
            log.warning(
                "Tasks that run at the same time may meet a 429. Make TMPDIR writable to prevent that"
            )
            return None

    def open(self, name: str) -> int:
        """Open a file and lock it; raise OSError if that is not possible or not safe."""
        folder = pace_folder()
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is not a folder that only this user can open")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(os.path.join(folder, name), flags, 0o600)
        try:
            began = self.clock.time()
            while not _lock(descriptor):
                if self.clock.time() - began > _PATIENCE:
                    raise TimeoutError(f"another process has kept {folder}/{name} for {_PATIENCE:g} s")
                self.clock.sleep(_POLL)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


class PaceFile:
    """
    A file in which processes share the pace of one endpoint. A process that dies releases its lock.

    :param name: what the pace is of; processes that give the same name share it.
    """

    def __init__(self, folder: PaceFolder, name: str) -> None:
        self._folder = folder
        self._name = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self._descriptor: int | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out during the block."""
        self._descriptor = self._folder.attempt(lambda: self._folder.open(self._name))
        try:
            yield
        finally:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                # A forked process may have the descriptor, too.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)

    def read(self) -> EndpointPace | None:
        """Return the content of the locked file, or None."""
        descriptor = self._descriptor
        if descriptor is None:
            return None
        content = self._folder.attempt(lambda: os.pread(descriptor, _MAX_BYTES, 0))
        try:
            return msgspec.json.decode(content, type=EndpointPace) if content else None
        except msgspec.DecodeError:
            # A process was killed while it wrote.
            return None

    def write(self, pace: EndpointPace) -> None:
        """Replace the content of the locked file."""
        descriptor = self._descriptor
        if descriptor is not None:
            content = msgspec.json.encode(pace)
            self._folder.attempt(lambda: os.ftruncate(descriptor, os.pwrite(descriptor, content, 0)))


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
