"""The cursor that a command changes: found by stream, tenant and file, or by manifests if it is lost."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.cli.connections import open_store
from airflow_provider_alvys.landing.dataset.coverage import Coverage, read_coverage
from airflow_provider_alvys.landing.dataset.cursor import Cursor
from airflow_provider_alvys.landing.dataset.listing import list_cursors
from airflow_provider_alvys.landing.dataset.store import Store

Positions = dict[str | None, datetime]


def positions_of(cursor: Cursor | None, stream: Stream) -> Positions:
    """Return the positions of a cursor by parent; the key is None for a stream without parents."""
    if cursor is None:
        return {}
    if stream.parent is None:
        return {None: cursor.until}
    return dict(cursor.parents.items())


@dataclass
class CursorTarget:
    """
    The cursor that a command changes, whether its file exists or not.

    :param content: of its file; None if there is no file.
    :param cursor: None if it does not exist or is damaged.
    :param proved: what complete runs prove; None if that has not been read yet.
    """

    store: Store
    stream: Stream
    name: str
    tenant: str
    filters: Mapping[str, Any]
    window_by: str | None
    content: bytes | None
    cursor: Cursor | None
    proved: Coverage | None = None

    @property
    def positions(self) -> Positions:
        """Its positions by parent; the key is None for a stream without parents."""
        return positions_of(self.cursor, self.stream)

    def coverage(self) -> Coverage:
        """Return what complete runs prove."""
        if self.proved is None:
            empty = Coverage(self.name, self.tenant, self.filters, self.window_by or "")
            self.proved = read_coverage(self.store, self.stream).get(self.name, empty)
        return self.proved


def find_target(options: argparse.Namespace, *, with_lost: bool = False) -> CursorTarget:
    """Return the one cursor that the options name. Raise AlvysValueError unless there is one."""
    stream = get_stream(options.stream)
    store = open_store(options.path)
    found = {each.name: each for each in list_cursors(store, stream)}
    damaged = {name: each.problem for name, each in found.items() if each.problem}
    targets = {
        name: CursorTarget(
            store, stream, name, cursor.tenant, cursor.filters, cursor.window_by, each.content, cursor
        )
        for name, each in found.items()
        if (cursor := each.cursor)
    }
    if not targets or with_lost:
        for name, proved in read_coverage(store, stream).items():
            what = (proved.tenant, proved.filters, proved.window_by)
            content = found[name].content if name in found else None
            targets.setdefault(name, CursorTarget(store, stream, name, *what, content, None))
            targets[name].proved = proved
    chosen = _choose(stream, targets, options)
    if len(chosen) > 1:
        listed = "; ".join(f"{one.name} (tenant {one.tenant}, by {one.window_by})" for one in chosen)
        raise AlvysValueError(f"{stream.name} have several cursors. Give --tenant or --cursor: {listed}")
    if not chosen and damaged and not with_lost:
        raise AlvysStorageError(next(iter(damaged.values())))
    if not chosen:
        names = {one.tenant for one in targets.values()} if options.tenant else set(targets)
        hint = suggest(options.tenant or options.cursor, sorted(names), "Known") if names else ""
        raise AlvysValueError(
            f"There is no such cursor or complete run of {stream.name} in {store.path}.{hint}"
        )
    (target,) = chosen
    if target.name in damaged and not with_lost:
        raise AlvysStorageError(f"{damaged[target.name]}. Or rebuild it with cursor recover")
    return target


def _choose(
    stream: Stream, targets: Mapping[str, CursorTarget], options: argparse.Namespace
) -> list[CursorTarget]:
    chosen = [
        target
        for target in targets.values()
        if options.tenant in (None, target.tenant) and options.cursor in (None, target.name)
    ]
    # First loads and backfills have windows of other kinds, and no cursors.
    regular = [each for each in chosen if each.cursor or each.window_by == stream.default_window]
    return regular or chosen


def select_parents(stream: Stream, known: Collection[str | None], parent: str | None) -> list[str | None]:
    """Return the parents that a command is about: one or all; None for a stream without parents."""
    if stream.parent is None and parent is not None:
        raise AlvysValueError(f"{stream.name} are not read per parent: leave out --parent")
    if stream.parent is None:
        return [None]
    if parent is None:
        return list(known)
    if parent not in known:
        hint = suggest(parent, known, "Parents")
        raise AlvysValueError(f"{stream.name} have no position of the parent {parent!r}.{hint}")
    return [parent]
