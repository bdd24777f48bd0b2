"""Syncs and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_provider_alvys import (
    AlvysRequestOperator,
    AlvysSearchOperator,
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
    RecentParents,
)
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from scripts.troubles.bench import A_TUESDAY, Bench

_SEARCH = "POST loads/search"


def missing_scope(bench: Bench) -> Any:
    """
    The token lacks the scope of a stream.

    Grant the scope to the API client in Alvys; the next attempt has it. With `on_missing_scope="skip"` the
    task is skipped instead.
    """
    bench.alvys.reset(scopes="trip:read")
    return bench.sync()


def rate_limited(bench: Bench) -> Any:
    """
    Alvys refuses requests: something else uses the same credentials, or the tasks of one connection together
    are too fast.

    Put all tasks of the connection into one pool, or lower *Requests per minute*. A retry resumes where the
    attempt ended.
    """
    bench.fail(kind="status", status=429, body="html", retry_after="180", endpoint=_SEARCH)
    return bench.sync(hook=bench.connect(extra={"requests_per_minute": None}))


def server_error(bench: Bench) -> Any:
    """
    Alvys fails, again and again.

    Wait. The task has tried six times; its `retries` try again and resume where the attempt ended.
    """
    bench.fail(kind="status", status=500, endpoint=_SEARCH)
    return bench.sync()


def timed_out(bench: Bench) -> Any:
    """
    Alvys does not respond in time.

    If it happens often, raise *Timeout* on the connection, or lower *Page size*.
    """
    bench.fail(kind="status", status=408, endpoint=_SEARCH)
    return bench.sync()


def lost_connection(bench: Bench) -> Any:
    """
    The connection broke off, again and again.

    Check the network, a proxy, or a firewall that ends long connections. A retry resumes.
    """
    bench.fail(kind="reset", endpoint=_SEARCH)
    return bench.sync()


def token_rejected(bench: Bench) -> Any:
    """
    Alvys issues tokens, and refuses them.

    Check the audience of the connection, and whether the API client was disabled in Alvys.
    """
    bench.fail(kind="status", status=401, endpoint=_SEARCH)
    return bench.sync()


def proxy_credentials(bench: Bench) -> Any:
    """
    The proxy wants credentials.

    Set `HTTPS_PROXY=http://user:password@proxy:3128` for scheduler, workers, triggerer and API server.
    """
    bench.fail(kind="status", status=407, endpoint=_SEARCH)
    return bench.sync()


def not_json(bench: Bench) -> Any:
    """
    A response is a web page.

    Check host and port of the connection: this is not the address of the API.
    """
    bench.fail(kind="html", endpoint=_SEARCH)
    return bench.sync()


def damaged(bench: Bench) -> Any:
    """
    A response breaks off or is damaged, again and again.

    A proxy may cut responses. Lower *Page size* on the connection if it happens with long ones only.
    """
    bench.fail(kind="truncate", endpoint=_SEARCH)
    return bench.sync()


def too_large(bench: Bench) -> Any:
    """
    A response is larger than the connection allows.

    Lower *Page size*, or raise *Largest response*.
    """
    return bench.sync(hook=bench.connect(extra={"max_response_mb": 0.01}))


def bad_request(bench: Bench) -> Any:
    """
    Alvys rejects a request.

    Correct the fields that the message names. If a sync of this package sends such a request, report it.
    """
    task = AlvysRequestOperator(task_id="a", method="POST", path="loads/search", json={"Page": 0})
    return bench.run(task)


def unknown_path(bench: Bench) -> Any:
    """
    There is no such path, or no record with this id.

    Compare the path with Alvys's documentation, and the id with the record in Alvys.
    """
    return bench.run(AlvysRequestOperator(task_id="a", path="load/1001"))


def not_allowed(bench: Bench) -> Any:
    """
    The endpoint exists, but not for this method, or a rule of Alvys forbids the call.

    Read the reason in the message, and correct the call.
    """
    bench.fail(kind="status", status=405, endpoint=_SEARCH)
    return bench.connect().count("loads")


def other_host(bench: Bench) -> Any:
    """
    A path leads to another host, which would receive the token.

    Give a path below the host of the connection.
    """
    return bench.connect().request("GET", "https://example.com/loads")


def too_many_rows(bench: Bench) -> Any:
    """
    A search finds more rows than belong into an XCom.

    Narrow the search, raise `limit`, or land the rows as files.
    """
    return bench.run(AlvysSearchOperator(task_id="a", stream="loads", limit=5))


def rendered_to_none(bench: Bench) -> Any:
    """
    A template has no value, such as the output of a task that was skipped.

    Give the template a default, or leave the argument out.
    """
    task = AlvysSearchOperator(task_id="a", stream="loads", filters="{{ ti.xcom_pull(task_ids='b') }}")
    task.filters = None
    return bench.run(task)


def no_start(bench: Bench) -> Any:
    """
    It is the first run, and nothing says from when to read.

    Give `initial_since`, for all data the time before your first load. Or load the past with
    `alvys_first_load`.
    """
    task = AlvysToObjectStorageOperator(task_id="a", stream="loads", path=bench.path)
    return bench.run(task)


def nothing_due(bench: Bench) -> Any:
    """
    The window has landed already, by another run: the task is skipped.

    Nothing. The next run reads what is new.
    """
    window: Any = {"initial_since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    bench.sync(**window)
    return bench.sync(**window)


def starts_in_the_future(bench: Bench) -> Any:
    """
    The window would start after its end.

    Correct `initial_since`, or the time in the file of the cursor, or run the task later.
    """
    return bench.sync(initial_since="2200-01-01T00:00:00Z")


def incomplete(bench: Bench) -> Any:
    """
    Rows kept moving while a window was read, so that some may be missing. Nothing counts as landed.

    Let the task retry. If it happens often, raise `settling`, or run the sync at a quieter time.
    """
    bench.alvys.reset(loads=700, now=A_TUESDAY)
    bench.alvys.order_mutations({"kind": "join", "rows": 1, "skip": 1})
    return bench.sync()


def no_parents(bench: Bench) -> Any:
    """
    A child stream is read for recent parents, and no parent has ever landed in this data set.

    Sync the parents first, into the same `path`: `loads` for `load_documents`.
    """
    return bench.sync("load_documents", window_by="whole", parents=RecentParents(days=14))


def all_scopes_missing(bench: Bench) -> Any:
    """
    The token lacks the scopes of all streams of a task, which is skipped.

    Grant the scopes, or leave the streams out.
    """
    bench.alvys.reset(scopes="load:read")
    return bench.run(
        AlvysSweepToObjectStorageOperator(
            task_id="a", streams=["drivers", "trucks"], path=bench.path, on_missing_scope="skip"
        )
    )


def storage_not_installed(bench: Bench) -> Any:
    """
    The path is on a storage whose provider is not installed.

    Install the extra that the message names, on scheduler, workers and triggerer, and restart them.
    """
    task = AlvysToObjectStorageOperator(
        task_id="a", stream="loads", path="gs://bucket/alvys", initial_since="2020-01-01T00:00:00Z"
    )
    return bench.run(task)


def damaged_cursor(bench: Bench) -> Any:
    """
    A file of the data set is damaged, for example the cursor.

    Rebuild a cursor with [cursor recover](first-load.md#look-at-cursors-and-correct-them). Or restore the
    file, or delete it: without a cursor the next run starts at `initial_since`.
    """
    bench.sync()
    (cursor,) = Path(bench.path).glob("loads/_cursor-*.json")
    cursor.write_text("{")
    return bench.sync()


def missing_manifest(bench: Bench) -> Any:
    """
    A manifest that a task refers to does not exist.

    Check the path. A manifest that was deleted cannot be loaded any more: sync its period again.
    """
    return bench.sync("load_documents", window_by="whole", parents=f"{bench.path}/loads/a/{MANIFEST}")


def open_read(bench: Bench) -> Any:
    """
    A task with `fail_on_open=True` has landed rows, and some may be missing.

    Retry, or clear the task: it reads the same window again, and succeeds if that read is complete. If it
    fails each time, run it at a quieter time.
    """
    bench.alvys.reset(loads=700, now=A_TUESDAY)
    bench.alvys.order_mutations({"kind": "join", "rows": 1, "stream": "loads"})
    return bench.sync(window_by="created", since="2020-01-01T00:00:00Z", fail_on_open=True)
