"""A real Airflow in a temporary directory: a database, and daemons that can be killed."""

from __future__ import annotations

import json
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
    free_port,
    kill,
    own_descendants,
    reap,
    stop_all,
)
from tests.chaos.airflow.rest_api import AirflowApi
from tests.chaos.airflow.services import WORKER, Postgres, redis_server

_TITLE = "airflow worker -- "
_STARTS_WITHIN = 300.0

# Airflow detects a killed task, triggerer or scheduler within ten seconds; by default it takes minutes.
_SHORT_TIMEOUTS = {
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
    # A busy machine responds late.
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
    "WORKERS__SOCKET_CLEANUP_TIMEOUT": "5",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}


@dataclass(frozen=True)
class TaskProcesses:
    """
    The processes of a running task.

    :param id: id of the task instance.
    :param worker: name of its Celery worker or scheduler; empty after the scheduler was killed.
    """

    id: str
    task: psutil.Process
    supervisor: psutil.Process
    worker: str


class Daemons:
    """
    An Airflow that runs inside a ``with`` block.

    :param home: an empty directory.
    :param dags: folder of the DAGs.
    :param settings: environment variables, for example connections.
    :param celery_workers: number of Celery workers, each with one slot; 0 for the LocalExecutor.
    :param python: interpreter of the environment whose Airflow runs.
    :param with_postgres: keep Airflow's database in PostgreSQL, else in a file of SQLite.
    :param login: name and password of the only user; None makes everyone an admin without a login.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        settings: Mapping[str, str],
        *,
        celery_workers: int = 0,
        parallelism: int = 6,
        python: Path = Path(sys.executable),
        with_postgres: bool = True,
        login: tuple[str, str] | None = None,
    ) -> None:
        adopt_orphans()
        self.logs = home / "daemons"
        self.logs.mkdir(parents=True)
        self.home = home
        self._excluded = {child.pid for child in psutil.Process().children()}
        self._python = python
        self._postgres = Postgres(home) if with_postgres else None
        self.database = f"sqlite:///{home}/airflow.db"
        if self._postgres is not None:
            self._excluded.add(self._postgres.pid)
            self.database = self._postgres.url()
        port = free_port()
        self.api = AirflowApi(f"http://127.0.0.1:{port}", login)
        self._environment = {
            **_environment(home, dags, self.database, self.api.url, parallelism),
            "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **_users(home, login),
            **settings,
        }
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
            # Airflow records the hostname of each try.
            hostname = {
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.chaos.airflow.services.worker_name",
                WORKER: name,
            }
            self._add(name, *command, "--pid", str(home / f"{name}.pid"), **hostname)

    def _add(self, name: str, *command: str, **more: str) -> None:
        airflow = [str(self._python), "-m", "airflow"]
        self._daemons[name] = Daemon(
            name, [*airflow, *command], environment={**self._environment, **more}, logs=self.logs
        )

    def _add_broker(self) -> None:
        port = free_port()
        self._daemons["redis"] = redis_server(port, self._environment, self.logs)
        self._environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.database}",
        }

    def __enter__(self) -> Daemons:
        """Start all daemons, and wait until they are healthy."""
        try:
            with (self.logs / "migrate.log").open("w") as log:
                command = [str(self._python), "-m", "airflow", "db", "migrate"]
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
            self._wait_until(self._is_healthy, "Airflow is not healthy")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all daemons."""
        self.stop()

    def stop(self) -> None:
        """Stop every process that was started here, PostgreSQL last."""
        try:
            stop_all(self._daemons.values(), self._excluded)
        finally:
            if self._postgres is not None:
                self._postgres.stop()

    def _is_healthy(self) -> bool:
        for daemon in self._daemons.values():
            if not daemon.pid:
                raise RuntimeError(f"{daemon.name} has exited:\n{daemon.log_tail()}")
        try:
            health = self.api.health()
            self.api.log_in()
        except requests.RequestException:
            return False
        return all(
            health.get(name) == "healthy"
            for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    def _wait_until(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{daemon.name}:\n{daemon.log_tail()}" for daemon in self._daemons.values())
                raise RuntimeError(f"{problem} after {_STARTS_WITHIN:g} s\n{logs}")
            time.sleep(0.5)

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG has been parsed."""
        self._wait_until(lambda: self.api.has_dag(dag_id), f"DAG {dag_id} is not parsed")

    def run_module(self, module: str, *arguments: str) -> None:
        """Run a Python module with the daemons' environment, and wait for its end."""
        with (self.logs / f"{module}.log").open("a") as log:
            command = [str(self._python), "-m", module, *arguments]
            subprocess.run(
                command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True
            )

    def running_tasks(self) -> list[TaskProcesses]:
        """Return the running tasks, including those of killed schedulers."""
        owners = {process.pid: daemon.name for daemon in self._daemons.values() for process in daemon.tree()}
        found = []
        for process in own_descendants(self._excluded):
            try:
                title, parent = process.cmdline(), process.parent()
            except psutil.Error:
                continue
            id = (title[0] if title else "").removeprefix(_TITLE)
            # The title of a task's process ends with its UUID; its parent is the supervisor.
            if parent is not None and len(id) == 36 and id.count("-") == 4:
                found.append(TaskProcesses(id, process, parent, owners.get(parent.pid, "")))
        return sorted(found, key=lambda task: task.id)

    def kill_task(self, task: TaskProcesses) -> int:
        """Kill a supervisor, then its task: neither reports to Airflow. Return how many processes died."""
        return kill([task.supervisor, task.task])

    def kill(self, name: str, *, with_descendants: bool = False) -> int:
        """Kill a daemon, and return how many processes died."""
        return self._daemons[name].kill(with_descendants=with_descendants)

    def start(self, name: str) -> None:
        """Start a daemon that was killed."""
        self._daemons[name].start()

    def kill_orphans(self) -> None:
        """
        Kill the processes that killed daemons have left behind, as the end of a container does.

        The workers of a killed scheduler keep its database connection open, and with it its locks.
        """
        owned = {process.pid for daemon in self._daemons.values() for process in daemon.tree()}
        orphans = [process for process in own_descendants(self._excluded) if process.pid not in owned]
        kill(orphans)
        reap(orphans)

    def pid(self, name: str) -> int:
        """Return the pid of a daemon, or 0 if it does not run."""
        return self._daemons[name].pid


def _users(home: Path, login: tuple[str, str] | None) -> dict[str, str]:
    if login is None:
        return {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    name, password = login
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: password}))
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{name}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


def _environment(home: Path, dags: Path, database: str, api: str, parallelism: int) -> dict[str, str]:
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
        "API__BASE_URL": api,
        "API__SECRET_KEY": "temporary-airflow",
        "API_AUTH__JWT_SECRET": "the-secret-of-a-temporary-airflow-for-chaos-tests",
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **_SHORT_TIMEOUTS,
    }
    return {
        **kept,
        "PYTHONPATH": root,
        "NO_PROXY": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
    }
