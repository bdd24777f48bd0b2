"""A load that is killed at one of its statements, in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.tables.database import Database
from tests.tables.runs import load

# One process imports Airflow, and is forked for each load: this one has threads, of which a fork would know nothing.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def load_and_die(lake: str, statement: int, connection: str) -> bool:
    """
    Load, and be killed at a statement.

    :return: whether there were so many statements.
    """
    process = _context.Process(target=_run, args=(lake, statement, connection))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _run(lake: str, statement: int, connection: str) -> None:
    os.environ["AIRFLOW_CONN_SQL"] = connection
    count = 0
    execute = Database.execute

    def counted(self: Database, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        nonlocal count
        # The lock of MariaDB is released when all has been done.
        if count >= statement and "RELEASE_LOCK" not in sql:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return execute(self, sql, values)

    Database.execute = counted  # type: ignore[method-assign]
    load(lake)
