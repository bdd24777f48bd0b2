"""Processes that are started here, killed here, and never outlive this one."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_SET_CHILD_SUBREAPER = 36
_GRACE = 5.0


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none is lost sight of: on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def tree_of(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def kill(processes: Iterable[psutil.Process]) -> int:
    """SIGKILL these, and return how many of them were alive. psutil knows a process by its start, too: never a stranger."""
    hit = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                hit.append(process)
    psutil.wait_procs(hit, timeout=_GRACE)
    return len(hit)


def bury(processes: Iterable[psutil.Process]) -> None:
    """Take note of the end of children, so that they are no zombies."""
    for process in processes:
        with suppress(psutil.Error):
            process.wait(timeout=1)


def own_descendants(spared: set[int]) -> list[psutil.Process]:
    """Return all processes that come from this one, but for those with the given pids and their descendants."""
    found = []
    for child in psutil.Process().children():
        if child.pid not in spared:
            found += tree_of(child)
    return found


class Daemon:
    """
    A long-running command.

    :param name: of its log file, too.
    :param command: program and arguments.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._log = logs / f"{name}.log"
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it. It is not hit by a Ctrl-C at the terminal: who started it ends it."""
        with self._log.open("a") as log:
            self._process = psutil.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its pid, or 0 where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def tree(self) -> list[psutil.Process]:
        """Return it and its descendants."""
        return tree_of(psutil.Process(self.pid)) if self.pid else []

    def kill(self, *, whole: bool) -> int:
        """
        SIGKILL it, and return how many processes that were.

        :param whole: its descendants as well, as when a machine loses power.
        """
        if not self.pid:
            return 0
        killed = kill(self.tree() if whole else [psutil.Process(self.pid)])
        assert self._process is not None
        self._process.wait()
        return killed

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self.pid:
            assert self._process is not None
            self._process.terminate()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


def end_all(daemons: Iterable[Daemon], spared: set[int]) -> None:
    """End daemons: by SIGTERM, then what is left of them and of what they started by SIGKILL."""
    daemons = list(daemons)
    for daemon in daemons:
        daemon.ask_to_end()
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(daemon.pid for daemon in daemons):
        time.sleep(0.1)
    # Those that are killed may leave orphans, which come to us.
    while kill(own_descendants(spared)):
        pass
    bury(own_descendants(spared))
