"""Warnings in the log."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import suppress
from typing import Any
from unittest import mock

import msgspec

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysLoadStatusSensor,
    AlvysSweepToObjectStorageOperator,
)
from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.errors import AlvysDownloadError, AlvysServerError
from airflow_provider_alvys.api.http import shared_pace
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.triggers.alvys import AlvysSensorTrigger
from scripts.troubles.bench import A_TUESDAY, Bench

_SEARCH = "POST loads/search"
_CREATED: Any = {"window_by": "created", "initial_since": "2020-01-01T00:00:00Z"}


def open_proof(bench: Bench) -> Any:
    """
    A sync is `open`: rows moved while they were read, so that some may be missing.

    Nothing: the cursor stays, and the next run reads the period again. If every run is open, sync at a
    quieter time, or raise `settling`. `fail_on_open=True` makes the task fail instead, so that its retries
    read the window again.
    """
    bench.alvys.reset(loads=700, now=A_TUESDAY)
    bench.alvys.order_mutations({"kind": "join", "rows": 1, "stream": "loads"})
    bench.sync(**_CREATED)
    return bench.warned("Some loads may be missing")


def open_search(bench: Bench) -> Any:
    """
    A search of `hook.search` may lack rows.

    Search again, or give `until`: a window that has ended is complete or an error.
    """
    bench.alvys.reset(loads=700, now=A_TUESDAY)
    bench.alvys.order_mutations({"kind": "join", "rows": 1, "stream": "loads"})
    list(bench.connect().search("loads"))
    return bench.warned("Some loads may be missing")


def gap_before_window(bench: Bench) -> Any:
    """
    The cursor stays: between it and the start of the window is a period that has not landed.

    Sync that period with `since` and `until`. [cursor show](first-load.md#look-at-cursors-and-correct-them)
    prints the position.
    """
    bench.sync(initial_since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z")
    (cursor,) = [bench.file("loads/_cursor-*.json")]
    content = json.loads(cursor.read_text())
    cursor.write_text(json.dumps(content | {"until": "2025-01-01T00:00:00Z"}))
    bench.sync(full_refresh=True, initial_since="2026-02-01T00:00:00Z")
    return bench.warned("Cursor not advanced")


def lost_cursor(bench: Bench) -> Any:
    """
    There is no cursor, although earlier runs have landed. The task reads everything again.

    Nothing, if you have deleted the file on purpose. Otherwise [rebuild it](runbook.md#a-lost-cursor).
    """
    bench.sync()
    bench.file("loads/_cursor-*.json").unlink()
    bench.sync()
    return bench.warned("No cursor")


def cursor_of_another_dag(bench: Bench) -> Any:
    """
    The cursor was moved by another DAG: both have one path, tenant, stream, filters and window kind.

    Nothing, if they share the data set on purpose: the warning comes once. Otherwise give this DAG a path of
    its own, and run it again.
    """
    bench.sync()
    cursor = bench.file("loads/_cursor-*.json")
    content = json.loads(cursor.read_text())
    cursor.write_text(json.dumps(content | {"moved_by": [{"dag_id": "alvys_hourly", "run_id": "manual"}]}))
    bench.sync()
    return bench.warned("Cursor last moved by another DAG")


def no_requests(bench: Bench) -> Any:
    """
    Nothing was read: none of the parents exists.

    Check `parents`.
    """
    bench.sync("driver_events", parents=[])
    return bench.warned("Cursor")


def retrying(bench: Bench) -> Any:
    """
    A request failed and is sent again.

    Nothing, unless it appears often: then see the reason in the line.
    """
    bench.fail(kind="status", status=503, times=1, endpoint=_SEARCH)
    bench.sync()
    return bench.warned("Retrying in")


def others_use_the_budget(bench: Bench) -> Any:
    """
    Something else uses the same credentials, so that Alvys refuses requests within the limit.

    Put the tasks of the connection into one pool. Give other programs an API client of their own; if they
    share the limit, lower *Requests per minute*.
    """
    bench.fail(kind="status", status=429, body="html", retry_after="1", times=1, endpoint=_SEARCH)
    bench.sync(hook=bench.connect(extra={"requests_per_minute": None}))
    return bench.warned("Rate-limited")


def pace_not_shared(bench: Bench) -> Any:
    """
    Tasks on one machine do not share their pace.

    Give the user who runs the tasks a temporary folder of its own, by the environment variable `TMPDIR`:
    [how tasks share a pace](limits.md#how-tasks-on-one-machine-share-a-pace).
    """
    folder = bench.folder / "alvys-pace-0"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    with mock.patch.object(shared_pace, "pace_folder", return_value=str(folder)):
        pacer = Pacer(shared_as="client@alvys", clock=bench.clock)
        with pacer.slot(endpoint_of("POST", "loads/search")):
            return bench.warned("Pace not shared")


def unknown_connection_field(bench: Bench) -> Any:
    """
    The extra of the connection has a field that does not exist, such as a misspelled one.

    Correct its name; [Connection fields](reference/connection.md) lists them.
    """
    bench.connect(extra={"page_sise": 100}).get_conn()
    return bench.warned("Connection")


def stream_not_landed(bench: Bench) -> Any:
    """
    One stream of a sweep has failed; the others land.

    See the reason in the line. A retry reads only the streams that have not landed.
    """
    bench.alvys.reset(scopes="driver:read")
    task = AlvysSweepToObjectStorageOperator(
        task_id="a", streams=["drivers", "trucks"], path=bench.path, on_missing_scope="skip"
    )
    bench.run(task)
    return bench.warned("trucks failed")


def stream_failed(bench: Bench) -> Any:
    """
    One stream of a sweep has failed, for another reason.

    See the reason in the line. A retry reads only the streams that have not landed.
    """
    bench.fail(kind="status", status=500, endpoint="POST trucks/search")
    task = AlvysSweepToObjectStorageOperator(task_id="a", streams=["drivers", "trucks"], path=bench.path)
    with suppress(AlvysServerError):
        bench.run(task)
    return bench.warned("trucks failed")


def streams_failed(bench: Bench) -> Any:
    """
    Streams of a sweep have failed.

    The lines above name them, with the reasons. A retry reads only these.
    """
    bench.fail(kind="status", status=500, endpoint="POST trucks/search")
    task = AlvysSweepToObjectStorageOperator(task_id="a", streams=["drivers", "trucks"], path=bench.path)
    with suppress(AlvysServerError):
        bench.run(task)
    return bench.warned("1 of 2")


def damaged_pace_file(bench: Bench) -> Any:
    """
    The file with the times of the last requests is damaged.

    Delete the file. Until then a task does not know what others have sent in the last minute.
    """
    hook = bench.connect(extra={"requests_per_minute": None})
    bench.sync(hook=hook)
    bench.file("_pace.json").write_text("{")
    bench.sync(hook=hook)
    return bench.warned("Pace file not read")


def unknown_status(bench: Bench) -> Any:
    """
    Alvys has a status that this version does not know.

    Upgrade the package. Until then a read of all rows lacks rows with this status, and is `open`.
    """
    bench.alvys.change(stream="trips", rows=3, columns={"Status": "Teleported"})
    bench.sync("trips", since="2020-01-01T00:00:00Z", until="2200-01-01T00:00:00Z")
    return bench.warned("Unknown status of trips")


def unread_statuses(bench: Bench) -> Any:
    """
    Rows were not read, since this version does not know their status.

    Upgrade the package, or read them by a window: `window_by="updated"`.
    """
    bench.alvys.change(stream="trips", rows=3, columns={"Status": "Teleported"})
    bench.sync("trips", window_by="whole")
    return bench.warned("trips: 3")


def not_compared(bench: Bench) -> Any:
    """
    The comparison with a search for rows of any status has failed, so that the run is `open`.

    Nothing: the next run compares again.
    """
    bench.fail(kind="status", status=500, endpoint="POST trailers/search", skip=1)
    bench.sync("trailers", window_by="whole")
    return bench.warned("trailers: not compared")


def unknown_parent(bench: Bench) -> Any:
    """
    A parent does not exist in Alvys, or no longer.

    Nothing, if it was deleted. It is listed in the manifest as `missing_parents`.
    """
    bench.sync("load_documents", window_by="whole", parents=["1", bench.load_number()])
    return bench.warned("Alvys does not know")


def documents_gone(bench: Bench) -> Any:
    """
    A document was not downloaded; the others are.

    See the reason in the line. A retry downloads the rest.
    """
    bench.run(bench.upload(b"%PDF-1.4 a proof of delivery\n"))
    bench.fail(kind="status", status=500, endpoint="GET storage")
    task = AlvysDocumentsToObjectStorageOperator(
        task_id="a", parent_type="load", parents=[bench.load_number()], path=bench.path
    )
    with suppress(AlvysDownloadError):
        bench.run(task)
    return bench.records[-1:]


def loading_again(bench: Bench) -> Any:
    """
    Manifests are loaded again, because the tables lack their rows or columns.

    Nothing. It happens after an upgrade, or after `exclude` or `depth` have changed.
    """
    bench.sync()
    bench.load(exclude=["Notes"])
    bench.load()
    return bench.warned("Loading 1 manifest")


def shared_number(bench: Bench) -> Any:
    """
    Two records have the same number: a number is unique within a subsidiary only.

    Join tables by `id`, not by number.
    """
    bench.sync()
    _edit(bench, lambda row: row | {"LoadNumber": row["LoadNumber"][:-1]})
    bench.load()
    return bench.warned("4 values")


def unknown_fields(bench: Bench) -> Any:
    """
    Alvys has sent fields that this version does not know.

    Nothing is lost: the column `_extra` has them. Upgrade the package to get columns.
    """
    bench.sync()
    _edit(bench, lambda row: row | {"Surcharge": 5})
    bench.load()
    return bench.warned("Unknown fields")


def wrong_type(bench: Bench) -> Any:
    """
    Alvys has sent a value of another type than before.

    Nothing is lost: the column `_extra` has the value, and its own column is empty. Report it.
    """
    bench.sync()
    _edit(bench, lambda row: row | {"CustomerRate": "much"})
    bench.load()
    return bench.warned("Type mismatch")


def too_many_missing(bench: Bench) -> Any:
    """
    A complete read lacks more rows than is plausible, so that none is marked as missing.

    Check whether the token lost a scope or access to a subsidiary. If the rows were deleted, raise
    `max_missing_share` for one run.
    """
    bench.sync("drivers")
    bench.load("drivers")
    bench.alvys.remove(stream="drivers", rows=3)
    for _ in range(2):
        bench.sync("drivers")
        bench.load("drivers")
    return bench.warned("Missing rows not marked")


def no_freshness_view(bench: Bench) -> Any:
    """
    The database refused the view `alvys_freshness`. Rows load without it.

    Grant the right to create views, or rename the table that has this name.
    """
    bench.sync()
    bench.sql("CREATE TABLE alvys_freshness (mine INTEGER)")
    bench.load()
    return bench.warned("The view alvys_freshness")


def polling_again(bench: Bench) -> Any:
    """
    A poll of a deferred sensor failed, and the sensor polls again.

    Nothing, unless it appears often.
    """
    bench.connect()
    sensor = AlvysLoadStatusSensor(task_id="a", load_number=bench.load_number(), statuses="Open")
    now = time.time()
    trigger = AlvysSensorTrigger(
        alvys_conn_id="alvys_default",
        condition=msgspec.to_builtins(sensor.condition()),
        deadline=now + 120,
        poke_interval=60,
    )

    async def sleep(seconds: float) -> None:
        bench.clock.sleep(seconds)

    trigger.clock, trigger.sleep = bench.clock, sleep
    bench.fail(kind="status", status=500, times=6, endpoint=_SEARCH)

    async def wait() -> None:
        await trigger.run().__anext__()

    asyncio.run(wait())
    return bench.warned("Poll failed")


def _edit(bench: Bench, change: Any) -> None:
    """Change the landed rows, with the size and hash in the manifest."""
    manifest_file = bench.file("loads/*/*/_manifest.json")
    manifest = json.loads(manifest_file.read_text())
    (part,) = manifest["parts"]
    file = manifest_file.parent / part["name"]
    rows = [json.dumps(change(json.loads(line))) for line in file.read_text().splitlines()]
    content = "".join(f"{row}\n" for row in rows).encode()
    file.write_bytes(content)
    part |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest_file.write_text(json.dumps(manifest))
