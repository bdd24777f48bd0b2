"""One sync: what is due of a stream from Alvys into the parts and the manifest of a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import TimeWindow
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysIncompleteError,
    AlvysStorageError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.read.queries import RequestedWindow, enclosing_window, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import Window, format_time
from airflow_provider_alvys.landing.dataset.cursor import advance_cursor, read_cursor
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
from airflow_provider_alvys.landing.jobs.parent_lookup import find_parents
from airflow_provider_alvys.landing.jobs.spec import SyncSpec

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.landing.jobs.checkpoint import Run, RunFile, RunIdentity

log = logging.getLogger(__name__)

# Pages to a part: some 20 MB of loads. It is what lakes like, and the most that a crash costs.
_PART_PAGES = 20
# Parents that one line of the log names.
_MOST_NAMED = 10


class NothingDueError(AlvysValueError):
    """The cursor is at the end of the window already: what was asked for has been landed."""


def land(
    client: AlvysClient,
    store: Store,
    order: SyncSpec,
    identity: RunIdentity,
    *,
    asked: str | None = None,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """
    Read what is due, write parts and manifest, and move the cursor if there is one.

    Another try goes on after the last part that stands.

    :param asked: hash that another try must share to go on with this one's parts; None means that of the order.
    :param is_resumed: whether this is the same try after a :class:`DeferRequested`.
    :return: ``{"manifest", "path", "stream", "tenant", "since", "until", "rows", "proof"}``.
    :raises NothingDueError: all until the given end has been landed before.
    :raises DeferRequested: the client's clock does not sit through a wait. What has been read is kept.
    :raises AlvysError: nothing was settled: no manifest, no cursor moved.
    """
    order.check()
    load_pace(store, client)
    try:
        file = open_run(
            store,
            order.stream.name,
            identity,
            asked=asked or order.fingerprint(store.path),
            now=_now(client),
            settle=lambda: _settle(client, store, order),
            window_of=lambda groups: _outer_window(order, groups),
            is_resumed=is_resumed,
        )
        search, parts = _read(client, store, order, file)
    finally:
        save_pace(store, client)
    run = file.run
    window = _outer_window(order, run.groups)
    manifest = Manifest(
        stream=order.stream.name,
        tenant=order.tenant,
        window=_manifest_window(order.by, window),
        as_of=run.until,
        filters=dict(order.filters),
        file_format=order.file_format,
        compression=order.compression,
        rows=sum(part.rows for part in parts),
        total=search.total,
        proof=search.proof,
        passes=search.passes,
        repeats=search.state.repeats,
        requests=search.requests,
        attempt=run.attempt,
        read_from=run.read_from,
        read_until=_now(client),
        searches=[] if order.stream.parent else _tell_searches(search),
        parents=_tell_parents(search),
        missing_parents=search.missing_parents,
        parts=parts,
    )
    name = f"{run.folder}/{MANIFEST}"
    file.check_parts(parts)
    store.put_json(name, manifest)
    log.info(
        "Landed %d %s in %d parts by %d requests, proof %s: %s",
        manifest.rows,
        manifest.stream,
        len(manifest.parts),
        manifest.requests,
        manifest.proof,
        store.url(name),
    )
    if order.uses_cursor:
        _move_cursor(store, order, run, manifest, name, search.state.began_at)
    file.end("landed")
    return {
        "manifest": store.url(name),
        "path": store.path,
        "stream": manifest.stream,
        "tenant": manifest.tenant,
        "since": format_time(window.since) if window else None,
        "until": format_time(window.until) if window and window.until else None,
        "rows": manifest.rows,
        "proof": manifest.proof,
    }


def _settle(client: AlvysClient, store: Store, order: SyncSpec) -> list[Group]:
    """Return what is due, by the clock and the cursor: parents that have been landed until the same time are one group."""
    parents = None
    if order.stream.parent is not None:
        parents = find_parents(store, order.stream, order.parents, tenant=order.tenant, now=_now(client))
    if order.by is None:
        return [Group(span=None, parents=parents)]
    until = order.until or datetime.fromtimestamp(client.now(), timezone.utc) - order.settling
    if order.since is not None:
        if order.until is None and until <= order.since:
            raise AlvysValueError(_too_early(order.since, until))
        Window(order.since, until)
        return [Group(span=RequestedWindow(order.since, until), parents=parents)]
    cursor = None if order.full_refresh else read_cursor(store, order.cursor_name)
    groups: dict[datetime | None, list[str]] = {}
    for parent in parents or ():
        groups.setdefault(cursor.landed_until(parent) if cursor else None, []).append(parent)
    due: list[tuple[datetime | None, list[str] | None]] = [*groups.items()] or [
        (cursor.until if cursor else None, parents)
    ]
    before = [landed for landed, _ in due if landed and until <= landed]
    if order.until is not None and order.by.tracks_changes and len(before) == len(due):
        raise NothingDueError(
            f"Nothing is due: {order.stream.name} have been landed until {format_time(min(before))}, and what is asked for ends "
            f"at {format_time(until)}"
        )
    return [Group(span=_settle_span(store, order, landed, until, ids), parents=ids) for landed, ids in due]


def _settle_span(
    store: Store, order: SyncSpec, landed: datetime | None, until: datetime, parents: list[str] | None
) -> RequestedWindow:
    """
    Return what is due of what has been landed until a time.

    :param landed: None for what never was.
    """
    assert order.by is not None  # noqa: S101
    if landed is None:
        since = _initial_since(store, order, parents)
        span = RequestedWindow(since, until, timedelta(0), timedelta(0), order.look_ahead)
    else:
        # A window that looks back reads what it is for, though another DAG has moved the cursor meanwhile.
        span = RequestedWindow(min(landed, until), until, order.overlap, order.look_back, order.look_ahead)
    begins = span.since - (span.overlap or timedelta(0))
    if order.until is None and until <= begins and (landed is None or order.by.tracks_changes):
        raise AlvysValueError(_too_early(begins, until))
    # Refuses a window that is empty.
    enclosing_window(order.stream, order.by, [span])
    return span


def _outer_window(order: SyncSpec, groups: list[Group]) -> Window | None:
    return enclosing_window(order.stream, order.by, [group.span for group in groups if group.span])


def _too_early(since: datetime, until: datetime) -> str:
    return f"Nothing is due yet: the window would begin at {format_time(since)}, and now, less settling, is {format_time(until)}"


def _initial_since(store: Store, order: SyncSpec, parents: list[str] | None) -> datetime:
    if order.initial_since is None:
        of = (
            f" for {parents[0]}" + (f" and {len(parents) - 1} more" if parents[1:] else "") if parents else ""
        )
        why = (
            "full_refresh starts over"
            if order.full_refresh
            else f"there is no cursor {store.url(order.cursor_name)}{of} yet"
        )
        raise AlvysValueError(
            f"{why}: give initial_since, the time from which {order.stream.name} are wanted, or since and until"
        )
    return order.initial_since


def _now(client: AlvysClient) -> datetime:
    return datetime.fromtimestamp(client.clock.time(), timezone.utc)


def _read(client: AlvysClient, store: Store, order: SyncSpec, file: RunFile) -> tuple[Search, list[Part]]:
    """Read what is left to be read, and return the search at its end and all parts."""
    run, known = file.run, file.run.progress
    search = Search(
        client,
        order.stream,
        [
            query
            for group in run.groups
            for query in make_queries(
                order.stream, order.filters, window=group.span, by=order.by, parents=group.parents
            )
        ],
        page_size=order.page_size,
        max_window_rows=order.max_window_rows,
        state=known.search if known else None,
    )
    _tell(order, run, _outer_window(order, run.groups))
    if known:
        client.pacer.restore(known.pace)
    part_rows = order.part_rows or _PART_PAGES * search.requested_page_size
    parts = list(run.parts)
    # A wait has ended it early.
    short = [parts.pop()] if parts and parts[-1].rows < part_rows else []
    writer = PartWriter(
        file.put_part,
        parts,
        stream=order.stream,
        stretch=run.stretch,
        file_format=order.file_format,
        compression=order.compression,
        part_rows=part_rows,
    )
    for part in short:
        writer.reopen(part, read_part(store, run.folder, part))

    def save() -> None:
        file.save(Progress(search=search.save(), parts=list(writer.parts), pace=client.pacer.save()))
        while short:
            file.drop_part(short.pop())
        save_pace(store, client)

    try:
        for rows in search:
            client.clock.mark_progress()
            if writer.add(rows):
                save()
    except AlvysIncompleteError:
        file.end("void")
        raise
    except AlvysStorageError:
        raise
    except (DeferRequested, AlvysError):
        # What has been read is not read again.
        writer.finish()
        save()
        raise
    writer.finish()
    save()
    return search, writer.parts


def _move_cursor(
    store: Store, order: SyncSpec, run: Run, manifest: Manifest, name: str, began_at: float | None
) -> None:
    until = run.until
    if until is None:
        return
    if began_at is None:
        log.warning("Cursor not advanced: no requests were made")
        return
    if manifest.proof != "whole":
        log.warning("Cursor not advanced: rows moved while they were read, so that some may be missing")
        return
    # The window was settled by the clock that gave the token. The API's own may be behind it: rows of times that it has not seen
    # yet cannot have been read.
    settled = datetime.fromtimestamp(began_at, timezone.utc) - order.settling
    if until > settled:
        log.warning("The API's clock is behind: rows count as read only until %s", format_time(settled))
        until = settled
    cursor = order.cursor_at(until, name)
    since = {
        parent: group.span.since
        for group in run.groups
        if group.span
        for parent in ([None] if group.parents is None else group.parents)
    }
    # A parent that Alvys does not know may come back with rows from before.
    why_not: dict[str | None, str] = dict.fromkeys(manifest.missing_parents, "Alvys does not know it")
    known = {parent: begins for parent, begins in since.items() if parent not in why_not}
    why_not |= advance_cursor(
        store, order.cursor_name, cursor, since=known, initial_since=order.initial_since
    )
    if None in why_not:
        log.warning("Cursor not advanced: %s", why_not[None])
    elif why_not:
        log.warning(
            "Cursor advanced for %d of %d parents; not advanced for %s",
            len(since) - len(why_not),
            len(since),
            "; ".join(f"{_names(why_not, reason)}: {reason}" for reason in dict.fromkeys(why_not.values())),
        )


def _names(why_not: Mapping[str | None, str], reason: str) -> str:
    """Return the parents with a reason."""
    parents = [str(parent) for parent, theirs in why_not.items() if theirs == reason]
    more = f" and {len(parents) - _MOST_NAMED} more" if len(parents) > _MOST_NAMED else ""
    return ", ".join(parents[:_MOST_NAMED]) + more


def _manifest_window(by: TimeWindow | None, window: Window | None) -> ManifestWindow | None:
    return ManifestWindow(by=by.name, since=window.since, until=window.until) if by and window else None


def _tell_parents(search: Search) -> list[ManifestParents]:
    return [
        ManifestParents(
            ids=list(read.query.parents),
            rows=read.rows,
            window=_manifest_window(read.query.by, read.query.window),
        )
        for read in search.results
        if read.query.parents
    ]


def _tell_searches(search: Search) -> list[ManifestSearch]:
    return [
        ManifestSearch(
            window=_manifest_window(read.query.by, read.query.window),
            asked=dict(read.query.fields),
            rows=read.rows,
            total=read.total,
            proof=read.proof,
        )
        for read in search.results
    ]


def _tell(order: SyncSpec, run: Run, window: Window | None) -> None:
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    parent = order.stream.parent
    of = f" for {sum(len(group.parents or ()) for group in run.groups)} {parent.stream}" if parent else ""
    if window is not None:
        by = order.by.name if order.by else ""
        log.info("Reading %s of %s%s by %s %s%s", order.stream.name, order.tenant, of, by, window, again)
        return
    if order.initial_since is not None:
        log.info("%s are read whole each time: initial_since has no effect", order.stream.name)
    log.info("Reading %s of %s%s%s", order.stream.name, order.tenant, of or " whole, without a window", again)
