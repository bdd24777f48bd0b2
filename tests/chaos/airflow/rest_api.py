"""The parts of Airflow's public REST API that the chaos tests use."""

from __future__ import annotations

import time
from typing import Any

import requests

END_STATES = ("success", "failed")


class AirflowApi:
    """
    A client of an API server.

    :param url: its address.
    :param login: name and password; None if everyone is an admin.
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self._login = login
        self._session = requests.Session()
        # No proxy for loopback.
        self._session.trust_env = False

    def log_in(self) -> None:
        """Get a token."""
        url = f"{self.url}/auth/token"
        if self._login is None:
            answer = self._session.get(url, timeout=10)
        else:
            name, password = self._login
            answer = self._session.post(url, json={"username": name, "password": password}, timeout=10)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Make a call; repeat it if the server is too busy to answer in time."""
        for attempt in range(5):
            try:
                answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **body)
            except requests.RequestException:
                if attempt == 4:
                    raise
            else:
                if answer.status_code < 500 or attempt == 4:
                    break
            time.sleep(1)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: HTTP {answer.status_code}: {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def health(self) -> dict[str, str]:
        """Return the state of each component: ``healthy`` or another word."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10)
        answer.raise_for_status()
        return {name: str((state or {}).get("status")) for name, state in answer.json().items()}

    def has_dag(self, dag_id: str) -> bool:
        """
        Return whether a DAG has been parsed.

        :raises RuntimeError: a DAG file does not import.
        """
        errors = self.call("GET", "importErrors")["import_errors"]
        if errors:
            raise RuntimeError(errors[0]["stack_trace"])
        return dag_id in {dag["dag_id"] for dag in self.call("GET", "dags")["dags"]}

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a run."""
        self.call("POST", f"dags/{dag_id}/dagRuns", json={"dag_run_id": run_id, "logical_date": None})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state."""
        return str(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return a run's task instances."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=200"
        return list(self.call("GET", path)["task_instances"])

    def tries(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """Return all tries of a task instance."""
        path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        path += f"/{task['map_index']}/tries" if task["map_index"] >= 0 else "/tries"
        return list(self.call("GET", path)["task_instances"])

    def clear_failed(self, dag_id: str, run_id: str) -> None:
        """Clear the failed tasks of a run and their downstream tasks."""
        body = {"dag_run_id": run_id, "dry_run": False, "only_failed": True, "reset_dag_runs": True}
        self.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
