"""A real Airflow in a throw-away home: its own PostgreSQL, and each daemon a process that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
import requests

from tests.chaos.airflow.processes import (
    Daemon,
    adopt_orphans,
    bury,
    end_all,
    free_port,
    kill,
    own_descendants,
)
from tests.chaos.airflow.rest_api import AirflowApi
from tests.chaos.airflow.services import WORKER, Postgres, redis_server

_TITLE = "airflow worker -- "
_STARTS_WITHIN = 180.0

# A killed task, triggerer or scheduler is noticed within some ten seconds; the defaults are minutes.
_IMPATIENT = {
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # A busy machine answers late, and that is not what is tried here.
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
    "WORKERS__SOCKET_CLEANUP_TIMEOUT": "5",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}


@dataclass(frozen=True)
class TaskProcesses:
    """
    The processes of one task that runs now.

    :param id: of the task instance.
    :param worker: the Celery worker that it belongs to, or the scheduler; empty for one whose scheduler was killed.
    """

    id: str
    task: psutil.Process
    supervisor: psutil.Process
    worker: str


class Daemons:
    """
    Start an Airflow, and end it with the ``with`` block.

    :param home: an empty directory.
    :param dags: the folder of the DAGs.
    :param settings: more environment variables, such as connections.
    :param celery_workers: 0 for the LocalExecutor; else CeleryExecutor with so many workers, each for one task at a time.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        settings: Mapping[str, str],
        *,
        celery_workers: int = 0,
        parallelism: int = 6,
    ) -> None:
        adopt_orphans()
        self.logs = home / "daemons"
        self.logs.mkdir(parents=True)
        self.home = home
        self._spared = {child.pid for child in psutil.Process().children()}
        self._postgres = Postgres(home)
        self._spared.add(self._postgres.pid)
        port = free_port()
        self.api = AirflowApi(f"http://127.0.0.1:{port}")
        self.database = self._postgres.url()
        self._environment = _environment(home, dags, settings, self.database, self.api.url, parallelism)
        self._daemons: dict[str, Daemon] = {}
        if celery_workers:
            self._add_broker()
        self._add("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        self._add("dag-processor", "dag-processor")
        self._add("scheduler", "scheduler", "--skip-serve-logs")
        self._add("triggerer", "triggerer", "--skip-serve-logs")
        self.workers = [f"worker-{number}" for number in range(1, celery_workers + 1)]
        for name in self.workers:
            command = (
                "celery",
                "worker",
                "--concurrency",
                "1",
                "--celery-hostname",
                f"{name}@chaos",
                "--skip-serve-logs",
            )
            # As if each were a machine: Airflow notes which of them a try ran on.
            machine = {
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.chaos.airflow.services.worker_name",
                WORKER: name,
            }
            self._add(name, *command, "--pid", str(home / f"{name}.pid"), **machine)

    def _add(self, name: str, *command: str, **more: str) -> None:
        airflow = [sys.executable, "-m", "airflow"]
        self._daemons[name] = Daemon(
            name, [*airflow, *command], environment={**self._environment, **more}, logs=self.logs
        )

    def _add_broker(self) -> None:
        port = free_port()
        self._daemons["redis"] = redis_server(port, self._environment, self.logs)
        self._environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self._postgres.url()}",
        }

    def __enter__(self) -> Daemons:
        """Start everything, and wait until it is well."""
        try:
            with (self.logs / "migrate.log").open("w") as log:
                command = [sys.executable, "-m", "airflow", "db", "migrate"]
                subprocess.run(
                    command,
                    env=self._environment,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    check=True,
                )
            for daemon in self._daemons.values():
                daemon.start()
            self._wait_until(self._is_well, "Airflow is not well")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.stop()

    def stop(self) -> None:
        """End every process that was started, whoever started it, and PostgreSQL last."""
        try:
            end_all(self._daemons.values(), self._spared)
        finally:
            self._postgres.stop()

    def _is_well(self) -> bool:
        for daemon in self._daemons.values():
            if not daemon.pid:
                raise RuntimeError(f"The {daemon.name} has ended:\n{daemon.last_words()}")
        try:
            health = self.api.health()
            self.api.log_in()
        except requests.RequestException:
            return False
        return all(
            health.get(name) == "healthy"
            for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    def _wait_until(self, is_so: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while not is_so():
            if time.monotonic() > deadline:
                words = "\n".join(
                    f"{daemon.name}:\n{daemon.last_words()}" for daemon in self._daemons.values()
                )
                raise RuntimeError(f"{problem} after {_STARTS_WITHIN:g} s\n{words}")
            time.sleep(0.5)

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG has been parsed."""
        self._wait_until(lambda: self.api.has_dag(dag_id), f"The DAG {dag_id} is not there")

    def run_module(self, module: str, *arguments: str) -> None:
        """Run a Python module to its end, with the same settings."""
        with (self.logs / f"{module}.log").open("a") as log:
            command = [sys.executable, "-m", module, *arguments]
            subprocess.run(
                command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True
            )

    def running_tasks(self) -> list[TaskProcesses]:
        """Return the tasks whose processes run now, those of dead schedulers too."""
        owners = {process.pid: daemon.name for daemon in self._daemons.values() for process in daemon.tree()}
        found = []
        for process in own_descendants(self._spared):
            try:
                title, parent = process.cmdline(), process.parent()
            except psutil.Error:
                continue
            id = (title[0] if title else "").removeprefix(_TITLE)
            # A task's process is named after the task instance's id, a UUID; its parent supervises it.
            if parent is not None and len(id) == 36 and id.count("-") == 4:
                found.append(TaskProcesses(id, process, parent, owners.get(parent.pid, "")))
        return sorted(found, key=lambda task: task.id)

    def kill_task(self, task: TaskProcesses) -> int:
        """SIGKILL a task and its supervisor, the supervisor first: nobody is left to tell Airflow. Return how many died."""
        return kill([task.supervisor, task.task])

    def kill(self, name: str, *, whole: bool = False) -> int:
        """SIGKILL a daemon, its descendants too if ``whole``, and return how many processes died."""
        return self._daemons[name].kill(whole=whole)

    def start(self, name: str) -> None:
        """Start a daemon that was killed."""
        self._daemons[name].start()

    def end_orphans(self) -> None:
        """
        End what killed daemons have left behind, as the end of a container does.

        The workers of a scheduler that was killed alone hold its connection to the database open, and with it its locks.
        """
        theirs = {process.pid for daemon in self._daemons.values() for process in daemon.tree()}
        orphans = [process for process in own_descendants(self._spared) if process.pid not in theirs]
        kill(orphans)
        bury(orphans)

    def pid(self, name: str) -> int:
        """Return a daemon's pid, or 0."""
        return self._daemons[name].pid


def _environment(
    home: Path, dags: Path, settings: Mapping[str, str], database: str, api: str, parallelism: int
) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALVYS"))}
    root = str(Path(__file__).resolve().parents[3])
    airflow = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": str(parallelism),
        "CORE__MAX_ACTIVE_TASKS_PER_DAG": str(parallelism),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "API__BASE_URL": api,
        "API__SECRET_KEY": "of-a-throw-away-airflow",
        "API_AUTH__JWT_SECRET": "of-a-throw-away-airflow-that-is-gone-in-some-minutes",
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **_IMPATIENT,
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": root,
        "NO_PROXY": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        **settings,
    }
