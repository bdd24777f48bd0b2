"""Runs a load in its own process and kills it at a statement."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.tables.database import Database
from tests.tables.runs import load

CONNECTION = "AIRFLOW_CONN_SQL"
# The fork server imports Airflow once. This process has threads, which a fork would not copy.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.tables.warm"])


def load_and_kill(lake: str, statement: int, connection: str) -> bool:
    """
    Load, and kill the process before the statement with this number.

    :return: whether the load had that many statements.
    """
    process = _context.Process(target=_run, args=(lake, statement, connection))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _run(lake: str, statement: int, connection: str) -> None:
    os.environ[CONNECTION] = connection
    count = 0
    execute = Database.execute

    def count_and_execute(self: Database, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        nonlocal count
        # MariaDB's lock is released after the commit.
        if count >= statement and "RELEASE_LOCK" not in sql:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return execute(self, sql, values)

    Database.execute = count_and_execute  # type: ignore[method-assign]
    load(lake)
