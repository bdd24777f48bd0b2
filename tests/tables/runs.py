"""Writes landed runs without a sync, and loads them with the operator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_alvys.landing.dataset.manifest import (
    Manifest,
    ManifestParents,
    ManifestSearch,
    ManifestWindow,
    Part,
)
from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator

FIRST = datetime(2026, 3, 1, tzinfo=timezone.utc)


def hour(number: float) -> datetime:
    return FIRST + timedelta(hours=number)


def to_line(row: Any) -> bytes:
    return row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()


def write_run(
    lake: Path,
    rows: Sequence[Any] = (),
    *,
    stream: str = "loads",
    at: float = 0,
    tenant: str = "acme",
    window: tuple[str, datetime, datetime | None] | None = None,
    searches: Sequence[ManifestSearch] = (),
    parents: Mapping[str, Sequence[Any]] | None = None,
    missing_parents: Sequence[str] = (),
    windows: Mapping[str, ManifestWindow] | None = None,
    name: str | None = None,
    **changes: Any,
) -> str:
    """
    Write the folder of a run, and return the path of its manifest.

    :param at: start of the read, in hours after :data:`FIRST`.
    :param parents: the rows of each parent, instead of ``rows``.
    :param windows: the windows of some parents; the others have ``window``.
    """
    run_window = ManifestWindow(by=window[0], since=window[1], until=window[2]) if window else None
    if parents is not None:
        rows = [row for children in parents.values() for row in children]
    read = hour(at)
    folder = lake / stream / f"{read:%Y-%m-%d}" / (name or f"all-{int(at * 3600):016x}-1")
    folder.mkdir(parents=True)
    content = b"".join(to_line(row) + b"\n" for row in rows)
    parts = []
    if rows:
        (folder / "part-00000.jsonl").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        parts = [Part(name="part-00000.jsonl", rows=len(rows), bytes=len(content), sha256=digest)]
    manifest = Manifest(
        stream=stream,
        tenant=tenant,
        window=run_window,
        filters={},
        file_format="jsonl",
        compression=None,
        rows=len(rows),
        total=len(rows),
        proof="whole",
        passes=1,
        repeats=0,
        requests=1,
        attempt=1,
        read_from=read,
        read_until=read + timedelta(minutes=1),
        searches=list(searches),
        parents=[
            ManifestParents(ids=[id], rows=len(children), window=(windows or {}).get(id, run_window))
            for id, children in (parents or {}).items()
        ],
        missing_parents=list(missing_parents),
        parts=parts,
    )
    manifest = msgspec.structs.replace(manifest, **changes)
    (folder / "_manifest.json").write_bytes(msgspec.json.encode(manifest))
    return str(folder / "_manifest.json")


def load(lake: Path | str, stream: str = "loads", **arguments: Any) -> dict[str, Any]:
    """Execute an AlvysObjectStorageToSqlOperator."""
    operator = AlvysObjectStorageToSqlOperator(
        task_id="load", sql_conn_id="sql", path=str(lake), stream=stream, **arguments
    )
    return operator.execute({})
