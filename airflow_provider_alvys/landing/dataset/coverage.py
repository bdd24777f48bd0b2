"""Coverage: what the manifests of complete runs prove to have landed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.windows import ALL_TIME
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, cursor_file
from airflow_provider_alvys.landing.dataset.listing import list_dates, list_runs, read_json
from airflow_provider_alvys.landing.dataset.manifest import Manifest, ManifestWindow
from airflow_provider_alvys.landing.dataset.store import Store

log = logging.getLogger(__name__)

# A sync reads until this long before now; what was written later may not be in a response yet.
_SETTLING = timedelta(minutes=1)
# That are opened to find one of a cursor.
_NEWEST_RUNS = 20


@dataclass(frozen=True, order=True)
class ProvedWindow:
    """A period that a complete run has read; ``manifest`` is relative to the data set."""

    since: datetime
    until: datetime
    manifest: str


@dataclass(frozen=True)
class Joined:
    """
    Windows that join without a hole.

    :param since: start of the first.
    :param until: end of the last.
    :param manifest: manifest of the last; None if no window reaches beyond the start.
    :param hole_until: start of the next window, after a hole; None if no window is left.
    """

    since: datetime
    until: datetime
    manifest: str | None
    hole_until: datetime | None


@dataclass
class Coverage:
    """
    What the complete runs of one cursor prove.

    :param name: name of the cursor's file, whether it exists or not.
    :param windows: the proved windows by parent; the key is None for a stream without parents.
    """

    name: str
    tenant: str
    filters: Mapping[str, Any]
    window_by: str
    windows: dict[str | None, list[ProvedWindow]] = field(default_factory=dict)

    def join(self, parent: str | None, start: datetime | None = None) -> Joined | None:
        """
        Return the windows that join, from the earliest or from ``start``; None without any.

        :param start: a position until which everything has landed.
        """
        windows = sorted(self.windows.get(parent, ()))
        if start is None:
            if not windows:
                return None
            start = windows[0].since
        until, manifest = start, None
        for window in windows:
            if window.since > until:
                return Joined(start, until, manifest, window.since)
            if window.until > until:
                until, manifest = window.until, window.manifest
        return Joined(start, until, manifest, None)


def read_coverage(store: Store, stream: Stream) -> dict[str, Coverage]:
    """Return what the complete runs of a stream prove, by name of the cursor. Reads all of its manifests."""
    found: dict[str, Coverage] = {}
    full: list[tuple[str, Manifest]] = []
    for name in store.find(stream.name, MANIFEST):
        try:
            manifest = store.get_json(name, Manifest)
        except AlvysStorageError as error:
            log.warning("Not counted: %s", error)
            continue
        if manifest is None or manifest.proof != "whole":
            continue
        if manifest.window is None:
            full.append((name, manifest))
            continue
        by = manifest.window.by
        cursor = cursor_file(stream, manifest.tenant, manifest.filters, by)
        coverage = found.setdefault(cursor, Coverage(cursor, manifest.tenant, manifest.filters, by))
        for parent, window in _windows(name, manifest):
            coverage.windows.setdefault(parent, []).append(window)
    for coverage in found.values():
        for name, manifest in full:
            own = cursor_file(stream, manifest.tenant, manifest.filters, coverage.window_by)
            if own == coverage.name and not manifest.parents:
                until = manifest.read_from - _SETTLING
                coverage.windows.setdefault(None, []).append(ProvedWindow(ALL_TIME.since, until, name))
    return {name: coverage for name, coverage in found.items() if coverage.windows}


def find_landed(store: Store, stream: Stream, cursor_name: str) -> ProvedWindow | None:
    """
    Return what a complete run of a cursor has read, one of the newest; None if they are of others.

    A damaged manifest shows nothing.
    """
    dates = list_dates(store, stream)
    runs = (run for date in dates for run in reversed(list_runs(store, stream, date)))
    for run in islice(runs, _NEWEST_RUNS):
        name = f"{run.name}/{MANIFEST}"
        manifest, _ = read_json(store, name, Manifest)
        if manifest is None or manifest.proof != "whole" or manifest.window is None:
            continue
        if cursor_file(stream, manifest.tenant, manifest.filters, manifest.window.by) == cursor_name:
            return next((window for _, window in _windows(name, manifest)), None)
    return None


def _windows(name: str, manifest: Manifest) -> Iterable[tuple[str | None, ProvedWindow]]:
    """Yield the proved windows of a manifest, by parent."""
    assert manifest.window is not None  # noqa: S101
    end = manifest.as_of or manifest.window.until
    if end is None:
        return
    # Nothing is proved about what was still to come.
    until = min(end, manifest.read_from - _SETTLING)
    if manifest.parents:
        by_parent: dict[str, list[ManifestWindow]] = {}
        for request in manifest.parents:
            for parent in request.ids if request.window else ():
                if request.window and parent not in manifest.missing_parents:
                    by_parent.setdefault(parent, []).append(request.window)
        starts: dict[str | None, datetime] = {parent: _start(each) for parent, each in by_parent.items()}
    else:
        windows = [search.window for search in manifest.searches if search.window]
        starts = {None: _start(windows or [manifest.window])}
    for one, since in starts.items():
        if since < until:
            yield one, ProvedWindow(since, until, name)


def _start(windows: Iterable[ManifestWindow]) -> datetime:
    """Return the time from which the searches of all window kinds have read."""
    starts: dict[str, datetime] = {}
    for window in windows:
        starts[window.by] = min(window.since, starts.get(window.by, window.since))
    return max(starts.values())
