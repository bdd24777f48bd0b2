"""``cursor``: show cursors, and set, rewind or recover one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.queries import RequestedWindow, enclosing_window
from airflow_provider_alvys.api.read.windows import ALL_TIME, as_utc, format_time
from airflow_provider_alvys.cli.connections import find_streams, open_store
from airflow_provider_alvys.cli.console import print_rows, say
from airflow_provider_alvys.cli.cursor_target import (
    CursorTarget,
    Positions,
    find_target,
    positions_of,
    select_parents,
)
from airflow_provider_alvys.landing.dataset.coverage import Joined
from airflow_provider_alvys.landing.dataset.cursor import Cursor, replace_cursor
from airflow_provider_alvys.landing.dataset.listing import list_cursors
from airflow_provider_alvys.landing.jobs.overview import find_unfinished, read_move
from airflow_provider_alvys.landing.jobs.spec import OVERLAP

_MAX_NOTES = 5
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}


def show(options: argparse.Namespace) -> None:
    """Print the position of each cursor."""
    store = open_store(options.path)
    now = datetime.now(timezone.utc)
    rows = []
    for stream in find_streams(store, options.streams):
        for found in list_cursors(store, stream):
            cursor = found.cursor
            if options.tenant and cursor and cursor.tenant != options.tenant:
                continue
            known = positions_of(cursor, stream)
            parents = select_parents(stream, known, options.parent) if cursor else []
            positions = [known[parent] for parent in parents]
            last = cursor.moved_by[-1] if cursor and cursor.moved_by else None
            earliest, latest = min(positions, default=None), max(positions, default=None)
            rows.append(
                {
                    "stream": stream.name,
                    "tenant": cursor and cursor.tenant,
                    "filters": cursor and cursor.filters,
                    "window_by": cursor and cursor.window_by,
                    "until": latest,
                    "age": latest and now - latest,
                    "parents": len(positions) if stream.parent else None,
                    "earliest": earliest if stream.parent else None,
                    "next_sync_from": earliest
                    and cursor
                    and _begin_of_sync(stream, cursor.window_by, earliest),
                    "moved_by": last and f"{last.dag_id} {last.run_id}",
                    "cursor": found.name,
                    "manifest": cursor and store.url(cursor.manifest),
                    "problem": found.problem or None,
                }
            )
    print_rows(rows, options.output, details=("filters", "moved_by", "manifest"))


def set_position(options: argparse.Namespace) -> None:
    """Set a cursor to a time. Beyond what complete runs prove only with ``--force``."""
    until = as_utc(options.to, "until")
    target = find_target(options)
    known = target.positions or dict.fromkeys(target.coverage().windows)
    after: Positions = dict.fromkeys(select_parents(target.stream, known, options.parent), until)
    skipped = list(filter(None, (_skipped(target, parent, until) for parent in after)))
    if skipped and not options.force:
        raise AlvysValueError(
            f"{_some(skipped)}. Sync that period with since and until first, give an earlier --until, or "
            "--force to skip it"
        )
    manifest = ""
    if target.cursor is None:
        windows = [window for each in target.coverage().windows.values() for window in each]
        manifest = max(windows, key=lambda window: window.until).manifest
    _apply(options, target, after, manifest=manifest, notes=skipped)


def _skipped(target: CursorTarget, parent: str | None, until: datetime) -> str | None:
    """Return what the next sync would skip if a position were set to a time; None if nothing."""
    before = target.positions.get(parent)
    if before is not None and until <= before:
        return None
    joined = target.coverage().join(parent, before)
    if joined is not None and until <= joined.until:
        return None
    of = f" of {parent}" if parent else ""
    begin = f" from {format_time(joined.until)}" if joined else ""
    return (
        f"No complete run has read the {target.stream.name}{of}{begin} until {format_time(until)}: no later "
        "sync would read them"
    )


def rewind(options: argparse.Namespace) -> None:
    """Move a cursor back."""
    if (options.length is None) == (options.to is None):
        raise AlvysValueError("Give either --by or --to")
    length = _parse_length(options.length) if options.length else timedelta(0)
    to = as_utc(options.to, "to") if options.to else None
    target = find_target(options)
    if target.cursor is None:
        raise AlvysValueError(f"There is no cursor {target.name}: cursor recover rebuilds it")
    known = target.positions
    before: Positions = {
        parent: known[parent] for parent in select_parents(target.stream, known, options.parent)
    }
    try:
        after = {parent: min(at, to) if to else at - length for parent, at in before.items()}
    except OverflowError:
        raise AlvysValueError(f"by={options.length!r} is too long") from None
    if to and after == before:
        raise AlvysValueError(f"to={format_time(to)} is not before the cursor: cursor set moves it forward")
    _apply(options, target, after)


def recover(options: argparse.Namespace) -> None:
    """Rebuild a cursor from the manifests of complete runs."""
    target = find_target(options, with_lost=True)
    coverage = target.coverage()
    joined: dict[str | None, Joined] = {}
    for parent in select_parents(target.stream, coverage.windows, options.parent) if coverage.windows else []:
        if found := coverage.join(parent):
            joined[parent] = found
    if not joined:
        raise AlvysError(
            f"No complete run of {target.stream.name} by {target.window_by} has landed in "
            f"{target.store.path}, so there is nothing to recover: the next sync starts at initial_since"
        )
    last = max(joined.values(), key=lambda found: found.until)
    notes = [_explain(parent, found) for parent, found in joined.items()]
    after = {parent: found.until for parent, found in joined.items()}
    _apply(options, target, after, manifest=last.manifest or "", notes=notes)


def _apply(
    options: argparse.Namespace,
    target: CursorTarget,
    after: Positions,
    *,
    manifest: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Print a change, and write it with ``--yes``."""
    store, stream = target.store, target.stream
    for position in after.values():
        if not ALL_TIME.since <= position < ALL_TIME.since.replace(year=2100):
            raise AlvysValueError(f"{format_time(position)} is not a position: Alvys has no such times")
    print_rows(_change_rows(target, after), options.output)
    if notes:
        say(_some(notes))
    before = target.positions
    if all(before.get(parent) == position for parent, position in after.items()):
        say("Nothing to change")
        return
    if unfinished := find_unfinished(store, stream, target.tenant):
        run = unfinished[0]
        sentence = (
            f"A run of {stream.name} has not finished, with {counted(run.rows, 'rows')}: "
            f"{store.url(run.folder)}. Wait until its task has ended"
        )
        if options.yes and not options.force:
            raise AlvysError(f"{sentence}, or give --force. Nothing was written")
        say(sentence)
    if not options.yes:
        say("Nothing was written: add --yes to write the cursor")
        return
    positions = before | after
    parents = {parent: position for parent, position in positions.items() if parent is not None}
    changed = target.cursor or Cursor(
        stream=stream.name,
        tenant=target.tenant,
        filters=dict(target.filters),
        window_by=target.window_by,
        until=ALL_TIME.since,
        manifest=manifest,
        moved_by=read_move(store, stream, manifest),
    )
    cursor = msgspec.structs.replace(
        changed, until=max(positions.values()), parents=parents, manifest=manifest or changed.manifest
    )
    replace_cursor(store, target.name, cursor, expected=target.content)
    say(f"Written: {store.url(target.name)}")


def _change_rows(target: CursorTarget, after: Positions) -> list[dict[str, Any]]:
    """Return rows of positions before and after; parents that move together share one."""
    groups: dict[tuple[datetime | None, datetime], list[str | None]] = {}
    for parent, position in after.items():
        groups.setdefault((target.positions.get(parent), position), []).append(parent)
    return [
        {
            "stream": target.stream.name,
            "tenant": target.tenant,
            "window_by": target.window_by,
            "parents": (parents[0] if len(parents) == 1 else len(parents)) if target.stream.parent else None,
            "before": before,
            "after": position,
            "next_sync_from": _begin_of_sync(target.stream, target.window_by, position),
        }
        for (before, position), parents in groups.items()
    ]


def _some(sentences: Sequence[str]) -> str:
    more = f". And {len(sentences) - _MAX_NOTES:,} more parents" if len(sentences) > _MAX_NOTES else ""
    return ". ".join(sentences[:_MAX_NOTES]) + more


def _explain(parent: str | None, joined: Joined) -> str:
    of = f"{parent}: " if parent else ""
    end = f"{of}Complete runs from {format_time(joined.since)} until {format_time(joined.until)} join"
    if joined.hole_until is None:
        return end
    return f"{end}; nothing proves the period from there until {format_time(joined.hole_until)}"


def _parse_length(text: str) -> timedelta:
    match = re.fullmatch(r"\s*(\d+)\s*([wdhm])\s*", text)
    if not match or not int(match[1]):
        raise AlvysValueError(f"by={text!r} is not a length of time: give 1w, 2d, 36h or 90m")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise AlvysValueError(f"by={text!r} is too long") from None


def _begin_of_sync(stream: Stream, window_by: str | None, position: datetime) -> datetime | None:
    """Return where a sync with the default overlap begins to read from a position."""
    until = max(position, datetime.now(timezone.utc)) + timedelta(days=1)
    window = enclosing_window(stream, stream.window(window_by), [RequestedWindow(position, until, OVERLAP)])
    return window.since if window else None
