"""Syncs, loads, reconciles and repairs one stream of a simulated Alvys."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.operators.alvys import AlvysReconcileOperator
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator
from tests.tables.databases import Db
from tests.tables.runs import load

SINCE = "2024-01-01T00:00:00Z"


def sync(lake: Path, stream: str = "loads", **arguments: Any) -> dict[str, Any]:
    """Land what has changed, and load it."""
    windows = {"initial_since": SINCE} if not {"since", "window_by"} & arguments.keys() else {}
    if get_stream(stream).default_window is None:
        windows = {}
    operator = AlvysToObjectStorageOperator(
        task_id="sync", stream=stream, path=str(lake), **{"tenant": "acme", **windows, **arguments}
    )
    return operator.execute({})


def sync_and_load(lake: Path, stream: str = "loads", **arguments: Any) -> None:
    sync(lake, stream, **arguments)
    load(lake, stream)


def reconcile(stream: str = "loads", *, run_id: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Return the summary of a reconciliation."""
    operator = AlvysReconcileOperator(
        task_id="check", stream=stream, tenant="acme", **{"on_difference": "warn", **arguments}
    )
    return dict(operator.execute({"run_id": run_id or uuid4().hex}))


def repair(lake: Path, result: dict[str, Any]) -> None:
    """Run the repairs of a result, as ``expand_kwargs`` does, and load."""
    for arguments in result["repairs"]:
        AlvysToObjectStorageOperator(task_id="repair", path=str(lake), tenant="acme", **arguments).execute({})
    load(lake, result["stream"])


def checks(db: Db, verdict: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of ``_alvys_checks``, in order."""
    rows = sorted(db.rows("_alvys_checks"), key=lambda row: (row["checked_at"], row["run"], row["number"]))
    return [row for row in rows if verdict in (None, row["verdict"])]
