"""The manifest: what one run has read, written last. A folder without one is unfinished."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.read.paginator import Proof


class Part(msgspec.Struct, kw_only=True):
    """One file of rows. ``bytes`` and ``sha256`` are of the file as it stands, compressed or not."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ManifestWindow(msgspec.Struct, kw_only=True):
    """The window that was read, and which of the stream's windows it is."""

    by: str
    since: datetime
    until: datetime | None


class ManifestSearch(msgspec.Struct, kw_only=True):
    """
    One of the searches whose rows were united.

    :param window: None for one without.
    :param asked: the request's fields, without the window and the page.
    :param rows: those that none of the searches before had found.
    :param total: rows that Alvys said there are: when it was asked last, or for a window that was cut in halves, first.
    """

    window: ManifestWindow | None
    asked: dict[str, Any]
    rows: int
    total: int
    proof: Proof


class ManifestParents(msgspec.Struct, kw_only=True):
    """
    Parents that were asked for in one request, and how many of the rows are theirs: the next so many in the parts.

    :param window: of that request; None for one without, and in manifests of before it was told.
    """

    ids: list[str]
    rows: int
    window: ManifestWindow | None = None


class Manifest(msgspec.Struct, kw_only=True):
    """
    What a manifest file holds.

    :param window: the outermost bounds of all windows that were read; None for a stream that was read whole.
    :param as_of: the moment for which the rows are the stream's state, by the rules of its window; None where there is none.
    :param rows: different rows in the parts.
    :param total: rows that Alvys said there are, added up over the searches: one that several of them find counts in each.
    :param proof: ``whole`` if the rows were proved to be all there are, ``open`` if a set kept moving.
    :param searches: what was searched for; for the children of parents see ``parents``.
    :param parents: whose children the rows are, in their order.
    :param missing_parents: those that Alvys does not know (any more).
    :param passes: how often the set was read.
    :param repeats: rows that came again on a further page of one pass, and were left out.
    :param requests: pages asked for and answered.
    :param attempt: of the task instance, from 1.
    :param read_from: when the reading began.
    :param read_until: when it ended.
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
    searches: list[ManifestSearch] = []
    parents: list[ManifestParents] = []
    missing_parents: list[str] = []
    parts: list[Part]
