"""One sync: read a window of a stream, write its parts and manifest, and move the cursor."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import TimeWindow
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysIncompleteError,
    AlvysStorageError,
    AlvysValueError,
)
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.read.queries import Query, RequestedWindow, enclosing_window, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.search_progress import SearchProgress
from airflow_provider_alvys.api.read.statuses import StatusWatch, count_unlisted
from airflow_provider_alvys.api.read.windows import Window, format_time, in_seconds
from airflow_provider_alvys.landing.dataset.coverage import find_landed
from airflow_provider_alvys.landing.dataset.cursor import CursorMove, advance_cursor, read_cursor
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.manifest import (
    Manifest,
    ManifestParents,
    ManifestSearch,
    ManifestWindow,
    Part,
)
from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.part_writer import PartWriter
from airflow_provider_alvys.landing.formats.reader import read_part
from airflow_provider_alvys.landing.jobs.checkpoint import Group, Progress, open_run
from airflow_provider_alvys.landing.jobs.metrics import emit_metrics
from airflow_provider_alvys.landing.jobs.parent_lookup import find_parents
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync_log import (
    log_advance,
    log_cursor,
    log_landed,
    log_start,
    warn_of_lost_cursor,
    warn_of_open,
)

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.landing.jobs.checkpoint import Run, RunFile, RunIdentity

log = logging.getLogger(__name__)

# About 20 MB of loads: a good file size for lakes, and the most that a crash costs.
_PART_PAGES = 20
# Why a read is not proved complete.
_MOVED = "rows joined or moved while they were read"
_UNLISTED = "Alvys may have rows with a status that this version does not read"


class NothingDueError(AlvysValueError):
    """The cursor is already at the end of the window."""


def land(
    client: AlvysClient,
    store: Store,
    spec: SyncSpec,
    identity: RunIdentity,
    *,
    config_hash: str | None = None,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """
    Read the window, write parts and manifest, and move the cursor. A retry resumes after the last part.

    :param config_hash: hash that a retry must share to resume; None means that of the spec.
    :param is_resumed: whether this is the same attempt after a deferral.
    :return: see AlvysToObjectStorageOperator.
    :raises NothingDueError: everything until the given end has landed before.
    :raises DeferRequested: the client's clock refuses a long wait. The progress is saved.
    :raises AlvysIncompleteError: rows may be missing, and no cursor moved. If ``manifest`` is set, the rows
        that were read have landed, and ``spec.fail_on_open`` wants this error.
    :raises AlvysError: no manifest was written, and no cursor moved.
    """
    spec.check()
    identity = identity.of_tenant(spec.tenant)
    load_pace(store, client)
    client.usage = LimitUsage()
    try:
        file = open_run(
            store,
            spec.stream.name,
            identity,
            config_hash=config_hash or spec.fingerprint(store.path),
            now=_now(client),
            resolve_groups=lambda: _resolve_groups(client, store, spec, identity.dag_id),
            window_of=lambda groups: _outer_window(spec, groups),
            usage=client.usage,
            is_resumed=is_resumed,
        )
        search, parts = _read(client, store, spec, file, is_resumed=is_resumed)
        is_all = spec.by is not None or bool(spec.filters) or _finds_all(client, spec, file)
    finally:
        save_pace(store, client)
    run = file.run
    window = _outer_window(spec, run.groups)
    searches, parents = _manifest_results(search)
    now = _now(client)
    manifest = Manifest(
        stream=spec.stream.name,
        tenant=spec.tenant,
        window=_manifest_window(spec.by, window),
        as_of=_state_at(spec, run, search),
        filters=dict(spec.filters),
        file_format=spec.file_format,
        compression=spec.compression,
        rows=sum(part.rows for part in parts),
        total=search.total,
        proof=search.proof if is_all else "open",
        passes=search.state.passes,
        repeats=search.state.repeats,
        requests=search.state.requests,
        attempt=run.attempt,
        read_from=run.read_from,
        read_until=now,
        seconds=(now - run.read_from).total_seconds(),
        waited=round(run.usage.waited, 3),
        bytes=sum(part.bytes for part in parts),
        searches=searches,
        parents=parents,
        missing_parents=search.missing_parents,
        parts=parts,
    )
    name = f"{run.folder}/{MANIFEST}"
    file.check_parts(parts)
    store.put_json(name, manifest)
    log_landed(manifest, store.url(name))
    emit_metrics(manifest, run.usage, now=now)
    is_open = manifest.proof == "open"
    if is_open and not spec.fail_on_open:
        warn_of_open(spec, _MOVED if is_all else _UNLISTED)
    elif not is_open and spec.uses_cursor:
        _move_cursor(store, spec, run, manifest, name, has_read=search.state.began_at is not None)
    file.end("landed")
    if is_open and spec.fail_on_open:
        raise _open_error(manifest, store.url(name), _MOVED if is_all else _UNLISTED)
    return landing_result(store, name, manifest)


def landing_result(store: Store, name: str, manifest: Manifest) -> dict[str, Any]:
    """
    Return the result of a landing, which is also the extra of its asset event.

    :param name: the manifest's file, relative to the data set.
    """
    window = manifest.window
    return {
        "manifest": store.url(name),
        "path": store.path,
        "stream": manifest.stream,
        "tenant": manifest.tenant,
        "since": format_time(window.since) if window else None,
        "until": format_time(window.until) if window and window.until else None,
        "rows": manifest.rows,
        "proof": manifest.proof,
        "as_of": format_time(manifest.state_at) if manifest.state_at else None,
        "requests": manifest.requests,
        "waited": manifest.waited,
        "seconds": manifest.seconds,
        "attempt": manifest.attempt,
        "bytes": manifest.bytes,
        "cadence": in_seconds(manifest.cadence),
    }


def _finds_all(client: AlvysClient, spec: SyncSpec, file: RunFile) -> bool:
    """Return whether a read in full finds all rows."""
    try:
        return count_unlisted(client, spec.stream) == 0
    except DeferRequested:
        # The deferral counts as a wait.
        file.save(file.run.progress)
        raise


def _resolve_groups(client: AlvysClient, store: Store, spec: SyncSpec, dag_id: str) -> list[Group]:
    """Return what is due, by clock and cursor. Parents with the same position form a group."""
    parents = None
    if spec.stream.parent is not None:
        parents = find_parents(store, spec.stream, spec.parents, tenant=spec.tenant, now=_now(client))
    if spec.by is None:
        return [Group(window=None, parents=parents)]
    until = spec.until or datetime.fromtimestamp(client.now(), timezone.utc) - spec.settling
    if spec.since is not None:
        if spec.until is None and until <= spec.since:
            raise AlvysValueError(_too_early(spec.since, until))
        Window(spec.since, until)
        return [Group(window=RequestedWindow(spec.since, until), parents=parents)]
    cursor = None if spec.full_refresh else read_cursor(store, spec.cursor_name)
    if cursor is not None:
        log_cursor(spec, cursor, parents, dag_id=dag_id)
    # Backfills and repairs read by the row window, without a cursor.
    elif spec.full_refresh or spec.by == spec.stream.row_window:
        pass
    elif landed := find_landed(store, spec.stream, spec.cursor_name):
        warn_of_lost_cursor(spec, landed)
    groups: dict[datetime | None, list[str]] = {}
    for parent in parents or ():
        groups.setdefault(cursor.landed_until(parent) if cursor else None, []).append(parent)
    position = cursor.until if cursor else None
    due: list[tuple[datetime | None, list[str] | None]] = [*groups.items()] or [(position, parents)]
    before = [landed for landed, _ in due if landed and until <= landed]
    if spec.until is not None and spec.by.tracks_changes and len(before) == len(due):
        raise NothingDueError(
            f"Nothing is due: {spec.stream.name} have landed until {format_time(min(before))}, and the "
            f"window ends at {format_time(until)}"
        )
    return [Group(window=_resolve_window(store, spec, at, until, ids), parents=ids) for at, ids in due]


def _resolve_window(
    store: Store, spec: SyncSpec, landed: datetime | None, until: datetime, parents: list[str] | None
) -> RequestedWindow:
    """Return the window from a position to ``until``; ``landed`` is None if there is no position yet."""
    assert spec.by is not None  # noqa: S101
    if landed is None:
        since = _initial_since(store, spec, parents)
        window = RequestedWindow(since, until, timedelta(0), timedelta(0), spec.look_ahead)
    else:
        # Another DAG may have moved the cursor beyond this window: its lookback is read all the same.
        window = RequestedWindow(min(landed, until), until, spec.overlap, spec.look_back, spec.look_ahead)
    begins = window.since - (window.overlap or timedelta(0))
    if spec.until is None and until <= begins and (landed is None or spec.by.tracks_changes):
        raise AlvysValueError(_too_early(begins, until))
    # Raises if the window is empty.
    enclosing_window(spec.stream, spec.by, [window])
    return window


def _outer_window(spec: SyncSpec, groups: list[Group]) -> Window | None:
    return enclosing_window(spec.stream, spec.by, [group.window for group in groups if group.window])


def _too_early(since: datetime, until: datetime) -> str:
    start, end = format_time(since), format_time(until)
    return f"Nothing is due: the window starts at {start}, and now minus settling is {end}"


def _initial_since(store: Store, spec: SyncSpec, parents: list[str] | None) -> datetime:
    if spec.initial_since is None:
        more = f" and {len(parents) - 1} more" if parents and parents[1:] else ""
        of = f" for {parents[0]}{more}" if parents else ""
        missing = f"no cursor exists{of}: {store.url(spec.cursor_name)}"
        why = "full_refresh starts over" if spec.full_refresh else missing
        raise AlvysValueError(
            f"{why}. Give initial_since, the time from which you want {spec.stream.name}, or since and until"
        )
    return spec.initial_since


def _now(client: AlvysClient) -> datetime:
    return datetime.fromtimestamp(client.clock.time(), timezone.utc)


def _read(
    client: AlvysClient, store: Store, spec: SyncSpec, file: RunFile, *, is_resumed: bool
) -> tuple[Search, list[Part]]:
    """Read what is left of a run, and return the ended search and all parts."""
    run, known = file.run, file.run.progress
    queries: list[Query] = []
    for group in run.groups:
        window, ids = group.window, group.parents
        queries += make_queries(spec.stream, spec.filters, window=window, by=spec.by, parents=ids)
    search = Search(
        client,
        spec.stream,
        queries,
        page_size=spec.page_size,
        max_window_rows=spec.max_window_rows,
        state=known.search if known else None,
    )
    if not (known and is_resumed):
        log_start(spec, run, _outer_window(spec, run.groups))
    if known:
        client.pacer.restore(known.pace)
    part_rows = spec.part_rows or _PART_PAGES * search.requested_page_size
    parts = list(run.parts)
    # A deferral or error ended the last part early: it is filled up.
    short = [parts.pop()] if parts and parts[-1].rows < part_rows else []
    writer = PartWriter(
        file.put_part,
        parts,
        stream=spec.stream,
        resume_count=run.resume_count,
        file_format=spec.file_format,
        compression=spec.compression,
        part_rows=part_rows,
    )
    for part in short:
        writer.reopen(part, read_part(store, run.folder, part))

    def save() -> None:
        file.save(Progress(search=search.save(), parts=list(writer.parts), pace=client.pacer.save()))
        while short:
            file.drop_part(short.pop())
        save_pace(store, client)

    watch = StatusWatch(spec.stream)
    done = sum(part.rows for part in run.parts)
    # A crash and a retry may be hours apart, and a deferral is not.
    since = run.read_from.timestamp() if is_resumed else None
    progress = SearchProgress(client, search, rows=done, since=since)
    try:
        for rows in search:
            client.clock.mark_progress()
            done += len(rows)
            progress.update(done)
            watch.observe(rows)
            if writer.add(rows):
                save()
    except AlvysIncompleteError:
        file.end("void")
        raise
    except AlvysStorageError:
        raise
    except (DeferRequested, AlvysError):
        writer.finish()
        save()
        raise
    writer.finish()
    save()
    return search, writer.parts


def _state_at(spec: SyncSpec, run: Run, search: Search) -> datetime | None:
    """Return the time at which the rows are the stream's state; None without a window."""
    if run.until is None or search.state.began_at is None:
        return run.until
    # If the API's clock is behind the token server's, it has not reached the end of the window yet.
    return min(run.until, datetime.fromtimestamp(search.state.began_at, timezone.utc) - spec.settling)


def _move_cursor(
    store: Store, spec: SyncSpec, run: Run, manifest: Manifest, name: str, *, has_read: bool
) -> None:
    until = manifest.as_of
    if until is None:
        return
    if not has_read:
        log.warning("Cursor not advanced: no requests were made")
        return
    if until != run.until:
        log.warning("The API's clock is behind: rows count as read only until %s", format_time(until))
    cursor = spec.cursor_at(until, name, CursorMove(run.identity.dag_id, run.identity.run_id))
    since = {
        parent: group.window.since
        for group in run.groups
        if group.window
        for parent in ([None] if group.parents is None else group.parents)
    }
    # A parent that Alvys does not know may reappear with older rows.
    why_not: dict[str | None, str] = dict.fromkeys(manifest.missing_parents, "Alvys does not know it")
    known = {parent: begins for parent, begins in since.items() if parent not in why_not}
    why_not |= advance_cursor(store, spec.cursor_name, cursor, since=known, initial_since=spec.initial_since)
    log_advance(until, since, why_not)


def _open_error(manifest: Manifest, path: str, reason: str) -> AlvysIncompleteError:
    error = AlvysIncompleteError(
        f"Some {manifest.stream} may be missing: {reason}. No cursor moved. A retry, or clearing the task, "
        "reads the window again into a new folder, and may prove it complete; tables keep each row once. "
        f"If it stays open, run it at a quieter time. {counted(manifest.rows, 'rows')} have landed: {path}"
    )
    error.passes, error.rows, error.total = manifest.passes, manifest.rows, manifest.total
    error.manifest = path
    return error


def _manifest_window(by: TimeWindow | None, window: Window | None) -> ManifestWindow | None:
    return ManifestWindow(by=by.name, since=window.since, until=window.until) if by and window else None


def _manifest_results(search: Search) -> tuple[list[ManifestSearch], list[ManifestParents]]:
    """Return the results of the searches without parents, and of those with parents."""
    searches, parents = [], []
    for query, result in search.results:
        window, rows = _manifest_window(query.by, query.window), result.rows
        if query.parents:
            parents.append(ManifestParents(ids=list(query.parents), rows=rows, window=window))
        else:
            asked, total, proof = dict(query.fields), result.total, result.proof
            searches.append(ManifestSearch(window=window, asked=asked, rows=rows, total=total, proof=proof))
    return searches, parents
