"""The first load: all that there is, by months, and then on to the cursor."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import PageDecoder
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.windows import ALL_TIME, SPLIT_OVERLAP, format_time
from airflow_provider_alvys.landing.dataset.cursor import advance_cursor, read_cursor
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.spec import SETTLING, SyncSpec

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.keyset import KeySet
    from airflow_provider_alvys.landing.jobs.batch import SyncBatch

log = logging.getLogger(__name__)

# Lengths of the calendar, in UTC.
_UNITS = ("day", "week", "month", "year")


def backfill_window(stream: Stream, window_by: str | None) -> TimeWindow:
    """
    Return the window to read the past by: the one named, or the first that an update does not move.

    :raises AlvysValueError: the stream has none, or has parents, or none is named; says what reads it.
    """
    if stream.parent is not None:
        times = ", since=…, until=…" if stream.windows else ""
        raise AlvysValueError(
            f"{stream.name} are read per row of {stream.parent.stream}: use AlvysToObjectStorageOperator(stream={stream.name!r}, "
            f"parents=…{times}), after those"
        )
    if window_by is not None:
        window = stream.window(window_by)
    else:
        window = next(
            (window for window in stream.windows if not window.branches and not window.tracks_changes), None
        )
    if window is None and stream.windows and window_by is not None:
        names = ", ".join(repr(window.name) for window in stream.windows)
        raise AlvysValueError(
            f"window_by={window_by!r} is no window to cut: leave it out, or name one of {names}. To read {stream.name} whole, in "
            f"one go, use AlvysToObjectStorageOperator(window_by={window_by!r})"
        )
    if window is None:
        raise AlvysValueError(
            f"{stream.name} cannot be read by windows of time: each sync reads it whole. AlvysToObjectStorageOperator does so"
        )
    return window


def check_first_load(stream: Stream) -> None:
    """
    Refuse a stream that needs no first load, or whose first load could not be compared with all that there
    is.

    :raises AlvysValueError: says which of them.
    """
    if stream.parent is not None:
        raise AlvysValueError(f"{stream.name} have parents: read those first")
    if stream.default_window is None:
        raise AlvysValueError(f"{stream.name} need no first load: each sync reads them whole")
    if not stream.full_read:
        raise AlvysValueError(
            f"{stream.name} cannot be read whole, so that nothing tells whether a first load has all of them: use alvys_backfill"
        )


def cut_windows(
    start: datetime, end: datetime, every: timedelta | str, *, whole_days: bool = False
) -> list[dict[str, str]]:
    """
    Return windows that cover a time, as ``{"since", "until"}`` in ISO 8601, oldest first.

    :param every: how long each is: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the calendar.
    :param whole_days: whether they are of business dates. Others overlap by a second, since nothing tells
        whether a period's ends belong to it.
    :raises AlvysValueError: an argument is wrong.
    """
    if end <= start:
        raise AlvysValueError(
            f"The windows would begin at {format_time(start)} and end at {format_time(end)}: give a start before the end"
        )
    if isinstance(every, str) and every not in _UNITS:
        raise AlvysValueError(f"every={every!r} must be a timedelta or one of {', '.join(_UNITS)}")
    shortest = timedelta(days=1) if whole_days else timedelta(minutes=1)
    if not isinstance(every, str) and not (isinstance(every, timedelta) and every >= shortest):
        raise AlvysValueError(
            f"every={every!r} must be a timedelta of {shortest} or more, or one of {', '.join(_UNITS)}"
        )
    seam = timedelta(0) if whole_days else SPLIT_OVERLAP
    windows = []
    while start < end:
        try:
            until = min(_next(start, every), end)
        except (ValueError, OverflowError):
            # Beyond the calendar's end.
            until = end
        windows.append(
            {"since": format_time(start), "until": format_time(until if until == end else until + seam)}
        )
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
    """
    Return when a first load begins, by the API's clock, how many rows there are then, and the windows that it
    reads.

    The last one reaches as far ahead as the stream's dates do.
    """
    total = _count(client, store, stream, filters)
    begun = datetime.fromtimestamp(client.now(), timezone.utc) - SETTLING
    windows = cut_windows(start, begun, every, whole_days=by.whole_days)
    last = ALL_TIME.until if by.look_ahead is None else begun + by.look_ahead
    windows[-1]["until"] = format_time(last or begun)
    return begun, total, windows


def hand_over(
    client: AlvysClient,
    store: Store,
    order: SyncSpec,
    landings: SyncBatch,
    *,
    begun: datetime,
    total_then: int,
    landed: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """
    Compare what a first load has landed with what there is, and set the cursor to when it began.

    Rows that no window found (they lack its time, or were dated while it was read) are read by the stream's
    regular window since then, and if some are still missing, by reading the stream whole.

    Some are missing while fewer were landed than there were when it began, or than there are now. What
    numbers cannot tell: if as many rows as no window found were landed and then removed, and as many others
    joined meanwhile and were landed.

    :param order: the stream's regular sync.
    :param landings: of this task instance.
    :param total_then: rows that there were when it began.
    :param landed: what the landing of each window returned.
    :return: ``{"stream", "tenant", "path", "total", "rows", "manifests", "cursor"}``.
    :raises AlvysIncompleteError: fewer rows were landed than there are, and reading it whole did not help. No
        cursor was set.
    """
    from airflow_provider_alvys.api.read.keyset import KeySet

    stream = order.stream
    total = landings.total(lambda: _count(client, store, stream, order.filters))
    further = [replace(order, since=begun), replace(order, window_by=WHOLE)] if stream.default_window else []
    # What an earlier stretch or try has begun is landed before all is compared.
    known = [more for more in further if landings.has_begun(more)]
    results = [*(dict(result) for result in landed), *map(landings.land, known)]
    keys = KeySet()
    for result in results:
        _add_keys(keys, stream, str(result["manifest"]))
    log.info(
        "%d different %s have been landed; Alvys has %d, and had %d",
        len(keys),
        stream.name,
        total,
        total_then,
    )
    for more in further[len(known) :]:
        missing = max(total, total_then) - len(keys)
        if missing <= 0:
            break
        how = f"by {more.by.name} since {format_time(begun)}" if more.by else "whole"
        log.info("%d %s are missing: reading them %s", missing, stream.name, how)
        result = landings.land(more)
        _add_keys(keys, stream, str(result["manifest"]))
        results.append(result)
    # Read whole, they are all that there are: those that there were have gone.
    if len(keys) < total:
        landings.void()
        raise AlvysIncompleteError(
            f"{stream.name}: Alvys has {total} rows, and only {len(keys)} different ones were landed. No cursor was set. Clear "
            "this task to compare and read again"
        )
    return {
        "stream": stream.name,
        "tenant": order.tenant,
        "path": store.path,
        "total": total,
        "rows": len(keys),
        "manifests": [result["manifest"] for result in results],
        "cursor": _set_cursor(store, order, begun, str(results[-1]["manifest"])),
    }


def _count(client: AlvysClient, store: Store, stream: Stream, filters: Mapping[str, Any]) -> int:
    """Return how many rows there are without a window, at the pace that the data set's other tasks keep."""
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace

    load_pace(store, client)
    try:
        return Search(client, stream, make_queries(stream, filters)).count()
    finally:
        save_pace(store, client)


def _add_keys(keys: KeySet, stream: Stream, manifest_path: str) -> None:
    from airflow_provider_alvys.landing.formats.reader import open_manifest, read_parts

    decode_key = PageDecoder(stream.key).decode_key
    run, manifest = open_manifest(manifest_path)
    for line in read_parts(run, "", manifest, stream):
        keys.add(decode_key(line))


def _set_cursor(store: Store, order: SyncSpec, begun: datetime, manifest: str) -> str | None:
    """Set the cursor to when the first load began, unless it is beyond that already, and return where it is."""
    if order.by is None:
        return None
    cursor = order.cursor_at(begun, manifest.removeprefix(f"{store.path.rstrip('/')}/"))
    # All before it was read.
    why_not = advance_cursor(
        store, order.cursor_name, cursor, since={None: ALL_TIME.since}, initial_since=begun
    )
    if why_not:
        log.info("Cursor not advanced: %s", why_not[None])
    known = read_cursor(store, order.cursor_name)
    return format_time(known.until) if known else None
