"""Airflow's command line in forks of one process that has imported it, since importing takes longest."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "dags_examples"
LONGEST = 120.0


class ForkedAirflow:
    """
    Run Airflow commands, each in a process of its own, with an environment of its own.

    :param environment: that of the process which imports Airflow. What differs in a command's own environment
        is heeded, except for ``AIRFLOW_HOME``: see :func:`home_settings`.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> ForkedAirflow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With a command that has not ended.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, arguments: tuple[str, ...], environment: dict[str, str], output: Path) -> int:
        """
        Run a command, have what it prints written to a file, and return its exit code.

        :param arguments: those of ``airflow``; or the path of a Python file, to run that instead.
        """
        assert self._process.stdin
        assert self._process.stdout
        order = {"arguments": arguments, "environment": environment, "output": str(output)}
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            has_ended = selector.select(LONGEST)
        assert has_ended, f"{arguments} has not ended: {output.read_text()[-8000:]}"
        return int(self._process.stdout.readline())


def home_settings(home: Path) -> dict[str, str]:
    """Return what sets all the places that are below a home: Airflow reads ``AIRFLOW_HOME`` but once."""
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


def main() -> None:
    """Import, then fork for each line of the standard input."""
    # Not the pipe on which the exit codes go: what is imported may print.
    codes = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import_all()
    # No fork looks for garbage in what all of them share.
    gc.freeze()
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _run(**json.loads(line))
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), file=codes, flush=True)


def _import_all() -> None:
    """Import and prepare what each command needs, except what starts threads, which a fork would lose."""
    import airflow.__main__
    import airflow.cli.commands.dag_command
    import airflow.dag_processing.collection
    import airflow.models
    import airflow.providers.standard.operators.trigger_dagrun
    import airflow.providers.standard.sensors.external_task
    import airflow.serialization.serialized_objects
    import airflow.timetables.trigger
    import alembic.autogenerate
    import alembic.command  # noqa: F401
    from airflow.cli import cli_parser
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.execution_time import supervisor
    from sqlalchemy.orm import configure_mappers

    cli_parser.get_parser()
    airflow.models.import_all_models()
    configure_mappers()
    assert ObjectStoragePath("/").exists()
    for example in EXAMPLES.glob("*.py"):
        runpy.run_path(str(example))

    # As later versions do: Airflow 3.1 builds another one for each task.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)

    transport = supervisor.in_process_api_server().atransport
    # That of httpx, from Airflow 3.4 of httpx2.
    httpx: Any = importlib.import_module(type(transport).__module__.partition(".")[0])

    async def ask() -> None:
        # With its first request the API builds what it needs for each of its versions.
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            await client.get("/no-such-path")

    asyncio.run(ask())
    assert threading.active_count() == 1, threading.enumerate()


def _run(arguments: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with Path(output).open("wb") as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    from airflow import settings
    from airflow.__main__ import main

    # What is read from the environment when it is imported.
    sys.modules.pop("airflow.config_templates.airflow_local_settings", None)
    settings.initialize()
    if arguments[0].endswith(".py"):
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.argv = ["airflow", *arguments]
        main()
    sys.exit()


if __name__ == "__main__":
    main()
