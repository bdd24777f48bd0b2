"""The manifest: the list of a run's parts, written last. A folder without one is unfinished."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.read.paginator import Proof

# A stream is late if its newest complete state is older than as many cadences. The state is a minute older
# than the sync, and a sync may take some time, but not half a cadence.
LATE_AFTER = 1.5


class Part(msgspec.Struct, kw_only=True):
    """
    One file of rows.

    :param name: name of the file, in the folder of the manifest.
    :param rows: number of rows.
    :param bytes: size of the stored file, compressed or not.
    :param sha256: hash of the stored file.
    """

    name: str
    rows: int
    bytes: int
    sha256: str


class ManifestWindow(msgspec.Struct, kw_only=True):
    """
    The window that was read.

    :param by: window kind, such as ``updated``.
    :param since: start of the window.
    :param until: end of the window; None means no end.
    """

    by: str
    since: datetime
    until: datetime | None


class ManifestSearch(msgspec.Struct, kw_only=True):
    """
    One of the searches of a stream.

    :param window: the window of this search; None if it had none.
    :param asked: the fields of the request, without window and page.
    :param rows: rows that no earlier search had found.
    :param total: Alvys's last total; for a window that was halved, the first.
    :param proof: ``whole`` if this search is proved complete, ``open`` if rows may be missing.
    """

    window: ManifestWindow | None
    asked: dict[str, Any]
    rows: int
    total: int
    proof: Proof


class ManifestParents(msgspec.Struct, kw_only=True):
    """
    Parents of one request. The parts have the rows in this order.

    :param ids: the parents.
    :param rows: number of their rows.
    :param window: the window of this request; None if it had none.
    """

    ids: list[str]
    rows: int
    window: ManifestWindow | None = None


class Manifest(msgspec.Struct, kw_only=True):
    """
    The content of a manifest file.

    :param version: version of the layout.
    :param stream: name of the stream.
    :param tenant: name of the tenant.
    :param window: the bounds of all windows; None for a stream that was read in full.
    :param as_of: the time at which the rows are the stream's state; None without a window.
    :param filters: Alvys's search fields that were given.
    :param file_format: ``jsonl`` or ``parquet``.
    :param compression: compression of the parts; None means none, for Parquet snappy.
    :param rows: number of different rows in the parts.
    :param total: sum of the totals of all searches. A row that several searches find counts in each.
    :param proof: ``whole`` if the run is proved complete, ``open`` if rows may be missing.
    :param passes: how often all pages were read.
    :param repeats: duplicates in one pass, which were dropped.
    :param requests: number of pages.
    :param attempt: number of the attempt that wrote the manifest, from 1.
    :param read_from: start of the reading.
    :param read_until: end of the reading.
    :param seconds: from ``read_from`` to ``read_until``, so that deferrals, and pauses between attempts that
        resume, count.
    :param waited: seconds of waiting for the pace and after a 429, of all attempts since the last manifest,
        deferrals included. Waits after the last part of a process that was killed are not known.
    :param bytes: size of the stored parts.
    :param searches: the searches; empty for streams that are read per parent.
    :param parents: the requests of a stream that is read per parent; empty for others.
    :param missing_parents: parents that Alvys does not know (any more).
    :param parts: the files of rows.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    window: ManifestWindow | None
    as_of: datetime | None = None
    filters: dict[str, Any]
    file_format: str
    compression: str | None
    rows: int
    total: int
    proof: Proof
    passes: int
    repeats: int
    requests: int
    attempt: int
    read_from: datetime
    read_until: datetime
    # None in manifests of version 0.2.0 and earlier.
    seconds: float | None = None
    waited: float | None = None
    bytes: int | None = None
    searches: list[ManifestSearch] = []
    parents: list[ManifestParents] = []
    missing_parents: list[str] = []
    parts: list[Part]

    @property
    def state_at(self) -> datetime | None:
        """``as_of``; for a stream that was read in full, the start of the reading. None if not known."""
        return self.read_from if self.window is None else self.as_of

    @property
    def cadence(self) -> timedelta | None:
        """The time between two syncs like this; None if it does not show the state of all rows at a time."""
        if self.filters or self.state_at is None:
            return None
        return get_stream(self.stream).cadence_of(self.window.by if self.window else None)
