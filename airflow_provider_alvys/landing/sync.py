"""One sync: a stream's window from Alvys into the parts and the manifest of a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.search import Query, Search
from airflow_provider_alvys.api.streams import Stream, TimeWindow
from airflow_provider_alvys.api.windows import Window, as_utc, format_time
from airflow_provider_alvys.landing.cursor import Cursor, advance_cursor, read_cursor
from airflow_provider_alvys.landing.layout import MANIFEST, cursor_file, fingerprint
from airflow_provider_alvys.landing.manifest import Manifest, ManifestWindow
from airflow_provider_alvys.landing.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.parts import PartWriter
from airflow_provider_alvys.landing.run import Run, RunIdentity, open_run
from airflow_provider_alvys.landing.store import Store

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)
SETTLING = timedelta(minutes=1)
# Pages to a part: some 20 MB of loads. It is what lakes like, and the most that a crash costs.
_PART_PAGES = 20


@dataclass(frozen=True)
class LandingOrder:
    """
    What to land, and how. The fields are those of AlvysToObjectStorageOperator.

    ``since`` alone ends at now, less ``settling``; neither ``since`` nor ``until`` means the cursor.
    """

    stream: Stream
    tenant: str
    filters: Mapping[str, Any]
    window_by: str | None
    since: datetime | str | None
    until: datetime | str | None
    initial_since: datetime | str | None
    full_refresh: bool
    overlap: timedelta
    settling: timedelta
    file_format: str
    compression: str | None
    part_rows: int | None
    page_size: int | None
    max_window_rows: int

    @property
    def by(self) -> TimeWindow:
        """Which of the stream's windows this is."""
        return self.stream.window(self.window_by)

    @property
    def uses_cursor(self) -> bool:
        """Whether the window begins where the last whole run ended."""
        return self.since is None

    @property
    def cursor_name(self) -> str:
        """Where that is kept."""
        return cursor_file(self.stream, self.tenant, self.filters, self.by.name)

    def fingerprint(self, path: str) -> str:
        """Return a hash that another try must share to read the same window."""
        bounds = [None if value is None else str(value) for value in (self.since, self.until, self.initial_since)]
        filters = self.stream.plain_filters(self.filters)
        what = (path, self.stream.name, self.tenant, filters, self.by.name, bounds, self.full_refresh)
        return fingerprint(*what, self.file_format, self.compression, self.page_size)


def land(client: AlvysClient, store: Store, order: LandingOrder, identity: RunIdentity) -> dict[str, Any]:
    """
    Read the order's window, write parts and manifest, and move the cursor if there is one.

    :return: ``{"manifest", "path", "stream", "tenant", "since", "until", "rows", "proof"}``.
    :raises AlvysError: nothing was settled: no manifest, no cursor moved.
    """
    started = _now(client)
    # Checked before anything is sent, and before anything is written.
    Query(order.stream, order.filters)
    load_pace(store, client)
    try:
        run = open_run(
            store,
            order.stream.name,
            identity,
            asked=order.fingerprint(store.path),
            now=started,
            settle=lambda: _settle_window(client, store, order),
        )
        log.info("Reading %s of %s, %s", order.stream.name, order.tenant, _tell(run))
        search, writer = _read(client, store, order, run)
    finally:
        save_pace(store, client)
    manifest = Manifest(
        stream=order.stream.name,
        tenant=order.tenant,
        window=run.window,
        filters=dict(order.filters),
        file_format=order.file_format,
        compression=order.compression,
        rows=writer.rows,
        total=search.total or 0,
        proof=search.proof,
        passes=search.passes,
        requests=search.requests,
        attempt=run.attempt,
        read_from=started,
        read_until=_now(client),
        parts=writer.parts,
    )
    name = f"{run.folder}/{MANIFEST}"
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
        _move_cursor(store, order, manifest, name, search.began_at)
    return {
        "manifest": store.url(name),
        "path": store.path,
        "stream": manifest.stream,
        "tenant": manifest.tenant,
        "since": format_time(run.window.since),
        "until": format_time(run.window.until) if run.window.until else None,
        "rows": manifest.rows,
        "proof": manifest.proof,
    }


def _settle_window(client: AlvysClient, store: Store, order: LandingOrder) -> ManifestWindow:
    if order.since is not None:
        since = as_utc(order.since, "since")
    else:
        since = _since_cursor(store, order)
    if order.until is not None:
        until = as_utc(order.until, "until")
    else:
        until = datetime.fromtimestamp(client.now(), timezone.utc) - order.settling
    if order.until is None and until <= since:
        raise AlvysValueError(
            f"Nothing is due yet: the window would begin at {format_time(since)}, and now, less settling, is {format_time(until)}"
        )
    window = Window(since, until)
    return ManifestWindow(by=order.by.name, since=window.since, until=window.until)


def _now(client: AlvysClient) -> datetime:
    return datetime.fromtimestamp(client.clock.time(), timezone.utc)


def _since_cursor(store: Store, order: LandingOrder) -> datetime:
    cursor = None if order.full_refresh else read_cursor(store, order.cursor_name)
    if cursor is not None:
        return cursor.until - order.overlap
    if order.initial_since is None:
        why = "full_refresh starts over" if order.full_refresh else f"there is no cursor {store.url(order.cursor_name)} yet"
        raise AlvysValueError(
            f"{why}: give initial_since, the time from which {order.stream.name} are wanted, or since and until"
        )
    return as_utc(order.initial_since, "initial_since")


def _read(client: AlvysClient, store: Store, order: LandingOrder, run: Run) -> tuple[Search, PartWriter]:
    window = Window(run.window.since, run.window.until)
    search = Search(
        client,
        Query(order.stream, order.filters, window, order.by),
        page_size=order.page_size,
        max_window_rows=order.max_window_rows,
    )
    writer = PartWriter(
        store,
        run.folder,
        file_format=order.file_format,
        compression=order.compression,
        part_rows=order.part_rows or _PART_PAGES * search.page_size,
    )
    for rows in search:
        if writer.add(rows):
            save_pace(store, client)
    writer.finish()
    return search, writer


def _move_cursor(store: Store, order: LandingOrder, manifest: Manifest, name: str, began_at: float | None) -> None:
    window = manifest.window
    if manifest.proof != "whole" or window is None or window.until is None or began_at is None:
        log.warning("The cursor stays: the rows moved while they were read, and are not proved to be all")
        return
    until = window.until
    # The window was settled by the clock that gave the token. The API's own may be behind it: rows of times that it has not seen
    # yet cannot have been read.
    settled = datetime.fromtimestamp(began_at, timezone.utc) - order.settling
    if until > settled:
        log.warning("The API's clock is behind: the cursor moves to %s only", format_time(settled))
        until = settled
    cursor = Cursor(
        stream=order.stream.name,
        tenant=order.tenant,
        filters=dict(order.filters),
        window_by=order.by.name,
        until=until,
        manifest=name,
    )
    initial_since = None if order.initial_since is None else as_utc(order.initial_since, "initial_since")
    why_not = advance_cursor(store, order.cursor_name, cursor, since=window.since, initial_since=initial_since)
    if why_not:
        log.warning("The cursor stays: %s", why_not)


def _tell(run: Run) -> str:
    until = format_time(run.window.until) if run.window.until else "now"
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    return f"{run.window.by} from {format_time(run.window.since)} until {until}{again}"
