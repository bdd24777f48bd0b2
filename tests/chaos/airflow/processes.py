"""Start processes, kill them, and leave none behind."""

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
    """Become the parent of every descendant that loses its own parent (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def process_tree(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def kill(processes: Iterable[psutil.Process]) -> int:
    """Send SIGKILL, and return how many processes were alive. psutil never kills a reused pid."""
    killed = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                killed.append(process)
    psutil.wait_procs(killed, timeout=_GRACE)
    return len(killed)


def reap(processes: Iterable[psutil.Process]) -> None:
    """Wait for ended children, so that no zombies remain."""
    for process in processes:
        with suppress(psutil.Error):
            process.wait(timeout=1)


def own_descendants(excluded: set[int]) -> list[psutil.Process]:
    """Return all descendants of this process, except the children with these pids and their descendants."""
    children = [child for child in psutil.Process().children() if child.pid not in excluded]
    return [process for child in children for process in process_tree(child)]


class Daemon:
    """
    A long-running command.

    :param name: also the name of its log file.
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
        """Start the command in a session of its own: Ctrl-C at the terminal does not reach it."""
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
        """The pid, or 0 if the command does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def tree(self) -> list[psutil.Process]:
        """Return the daemon's process and its descendants."""
        return process_tree(psutil.Process(self.pid)) if self.pid else []

    def kill(self, *, with_descendants: bool) -> int:
        """
        Send SIGKILL, and return how many processes died.

        :param with_descendants: kill the descendants too, as when a machine loses power.
        """
        if not self.pid:
            return 0
        killed = kill(self.tree() if with_descendants else [psutil.Process(self.pid)])
        assert self._process is not None
        self._process.wait()
        return killed

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.pid:
            assert self._process is not None
            self._process.terminate()

    def log_tail(self) -> str:
        """Return the end of the log."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


def stop_all(daemons: Iterable[Daemon], excluded: set[int]) -> None:
    """Stop daemons with SIGTERM, then kill what remains of them and of their descendants."""
    daemons = list(daemons)
    for daemon in daemons:
        daemon.terminate()
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(daemon.pid for daemon in daemons):
        time.sleep(0.1)
    # A kill may create orphans, which this process adopts.
    while kill(own_descendants(excluded)):
        pass
    reap(own_descendants(excluded))
