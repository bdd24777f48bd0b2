"""The first load of a stream: read it window by window, compare with Alvys's totals, set the cursor."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import PageDecoder
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.windows import ALL_TIME, format_time, in_seconds
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.spec import SETTLING, SyncSpec

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.keyset import KeySet
    from airflow_provider_alvys.landing.jobs.batch import SyncBatch
    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity

log = logging.getLogger(__name__)

# Calendar units, in UTC.
_UNITS = ("day", "week", "month", "year")


def backfill_window(stream: Stream, window_by: str | None) -> TimeWindow:
    """Return the window kind for a backfill: the one named, or the first that an update does not move."""
    if stream.parent is not None:
        times = ", since=…, until=…" if stream.windows else ""
        raise AlvysValueError(
            f"{stream.name} are read per row of {stream.parent.stream}. Read those first, then use "
            f"AlvysToObjectStorageOperator(stream={stream.name!r}, parents=…{times})"
        )
    if window_by is not None:
        window = stream.window(window_by)
    else:
        window = stream.row_window
    if window is not None:
        return window
    if stream.windows and window_by is not None:
        names = ", ".join(repr(window.name) for window in stream.windows)
        raise AlvysValueError(
            f"window_by={window_by!r} cannot be split. Leave it out, or name one of {names}. To read "
            f"{stream.name} in full, use AlvysToObjectStorageOperator(window_by={window_by!r})"
        )
    raise AlvysValueError(
        f"{stream.name} have no windows: each sync reads them in full. Use AlvysToObjectStorageOperator"
    )


def check_first_load(stream: Stream) -> None:
    """Raise AlvysValueError if a stream needs no first load, or has no total to compare it with."""
    if stream.parent is not None:
        raise AlvysValueError(f"{stream.name} are read per parent: load the parents first")
    if stream.default_window is None:
        raise AlvysValueError(f"{stream.name} need no first load: each sync reads them in full")
    if not stream.full_read:
        raise AlvysValueError(
            f"{stream.name} cannot be read in full, so a first load cannot be checked: use alvys_backfill"
        )


def cut_windows(
    start: datetime, end: datetime, every: timedelta | str, *, whole_days: bool = False
) -> list[dict[str, str]]:
    """
    Split a period into windows, ``{"since", "until"}`` in ISO 8601, oldest first.

    :param whole_days: whether the windows are on business dates, so that none is shorter than a day.
    """
    if end <= start:
        raise AlvysValueError(f"start {format_time(start)} is not before end {format_time(end)}")
    shortest = timedelta(days=1) if whole_days else timedelta(minutes=1)
    if every not in _UNITS and not (isinstance(every, timedelta) and every >= shortest):
        hint = suggest(every, _UNITS, "Units")
        raise AlvysValueError(f"every={every!r} must be a unit, or a timedelta of {shortest} or more.{hint}")
    windows = []
    while start < end:
        try:
            until = min(_next(start, every), end)
        except (ValueError, OverflowError):
            # After the year 9999.
            until = end
        windows.append({"since": format_time(start), "until": format_time(until)})
        start = until
    return windows


def _next(time: datetime, every: timedelta | str) -> datetime:
    if not isinstance(every, str):
        return time + every
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        return midnight + timedelta(days=1)
    if every == "week":
        return midnight + timedelta(days=7 - time.weekday())
    if every == "year":
        return midnight.replace(year=time.year + 1, month=1, day=1)
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


def begin_first_load(
    client: AlvysClient,
    store: Store,
    stream: Stream,
    by: TimeWindow,
    start: datetime,
    every: timedelta | str,
    *,
    filters: Mapping[str, Any],
) -> tuple[datetime, int, list[dict[str, str]]]:
    """Return the start of a first load by the API's clock, the number of rows then, and the windows."""
    total = _count(client, store, stream, filters)
    begun = datetime.fromtimestamp(client.now(), timezone.utc) - SETTLING
    windows = cut_windows(start, begun, every, whole_days=by.whole_days)
    # The last window extends as far into the future as the stream's dates do.
    last = ALL_TIME.until if by.look_ahead is None else begun + by.look_ahead
    windows[-1]["until"] = format_time(last or begun)
    return begun, total, windows


def reconcile_and_set_cursor(
    client: AlvysClient,
    store: Store,
    spec: SyncSpec,
    batch: SyncBatch,
    *,
    begun: datetime,
    total_then: int,
    landed: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """
    Compare a first load with Alvys's totals, read missing rows, and set the cursor to the load's start.

    Rows are missing if fewer have landed than existed at the start, or exist now. The regular window since
    the start finds rows without the time of the window kind, or dated during the load. If rows are still
    missing, the stream is read in full. Counts hide a missing row if a landed one was removed.

    :param spec: the stream's regular sync.
    :param total_then: number of rows at the start.
    :param landed: the results of all windows.
    :return: see AlvysHandOverOperator.
    :raises AlvysIncompleteError: rows are missing even after a read in full. No cursor was set.
    """
    from airflow_provider_alvys.api.figures import counted
    from airflow_provider_alvys.api.http.progress import ProgressLog
    from airflow_provider_alvys.api.read.keyset import KeySet
    from airflow_provider_alvys.api.read.statuses import listed_statuses

    stream = spec.stream
    total = batch.total(lambda: _count(client, store, stream, spec.filters))
    further = [replace(spec, since=begun), replace(spec, window_by=WHOLE)] if stream.default_window else []
    # What an earlier attempt has begun lands before the comparison.
    known = [more for more in further if batch.has_begun(more)]
    results = [*(dict(result) for result in landed), *map(batch.land, known)]
    keys = KeySet()
    # A window may find rows with other statuses. The total is without them.
    statuses = listed_statuses(stream, spec.filters)
    progress = ProgressLog("Compared", "manifests", clock=client.clock)
    for number, result in enumerate(results):
        progress.update(number, len(results))
        _add_keys(keys, spec, str(result["manifest"]), statuses)
    known_rows, totals = counted(len(keys), stream.name), f"{total:,}, at the start {total_then:,}"
    log.info("Compared: %s have landed; Alvys has %s", known_rows, totals)
    for more in further[len(known) :]:
        missing = max(total, total_then) - len(keys)
        if missing <= 0:
            break
        how = f"by {more.by.name} since {format_time(begun)}" if more.by else "in full"
        log.info("Missing %s: reading %s", counted(missing, stream.name), how)
        result = batch.land(more)
        _add_keys(keys, spec, str(result["manifest"]), statuses)
        results.append(result)
    # After a read in full, rows that existed at the start but not now were deleted.
    if len(keys) < total:
        batch.void()
        raise AlvysIncompleteError(
            f"{stream.name}: Alvys has {total} rows, and only {len(keys)} different ones have landed. No "
            "cursor was set. Clear this task to compare and read again"
        )
    cadence = None if spec.filters else stream.cadence_of(stream.default_window)
    return {
        "stream": stream.name,
        "tenant": spec.tenant,
        "path": store.path,
        "total": total,
        "rows": len(keys),
        "manifests": [result["manifest"] for result in results],
        "cursor": _set_cursor(store, spec, begun, str(results[-1]["manifest"]), batch.identity),
        "as_of": format_time(begun),
        "proof": "whole",
        "cadence": in_seconds(cadence),
        **{
            name: round(sum(result.get(name) or 0 for result in results), 3)
            for name in ("requests", "waited", "bytes")
        },
    }


def _count(client: AlvysClient, store: Store, stream: Stream, filters: Mapping[str, Any]) -> int:
    """Return the number of rows without a window, at the pace of the data set."""
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace

    load_pace(store, client)
    try:
        return Search(client, stream, make_queries(stream, filters)).count()
    finally:
        save_pace(store, client)


def _add_keys(keys: KeySet, spec: SyncSpec, manifest_path: str, statuses: Collection[str]) -> None:
    """Add the keys of a manifest's rows; with ``statuses``, of the rows with one of them."""
    from airflow_provider_alvys.api.read.statuses import status_of
    from airflow_provider_alvys.landing.formats.reader import open_manifest, read_parts

    decode_key = PageDecoder(spec.stream.key).decode_key
    run, manifest = open_manifest(manifest_path)
    if manifest.tenant != spec.tenant:
        raise AlvysValueError(f"{manifest_path} is of the tenant {manifest.tenant}, not {spec.tenant}")
    for line in read_parts(run, "", manifest, spec.stream):
        if not statuses or (status_of(line) or "").casefold() in statuses:
            keys.add(decode_key(line))


def _set_cursor(
    store: Store, spec: SyncSpec, begun: datetime, manifest: str, identity: RunIdentity
) -> str | None:
    """Move the cursor to the start of the first load, unless it is later already, and return its position."""
    if spec.by is None:
        return None
    from airflow_provider_alvys.landing.dataset.cursor import CursorMove, advance_cursor, read_cursor

    move = CursorMove(identity.dag_id, identity.run_id, is_first_load=True)
    cursor = spec.cursor_at(begun, manifest.removeprefix(f"{store.path.rstrip('/')}/"), move)
    since: dict[str | None, datetime] = {None: ALL_TIME.since}
    why_not = advance_cursor(store, spec.cursor_name, cursor, since=since, initial_since=begun)
    if why_not:
        log.info("Cursor not advanced: %s", why_not[None])
    known = read_cursor(store, spec.cursor_name)
    return format_time(known.until) if known else None
