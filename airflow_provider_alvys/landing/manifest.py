"""The manifest: what one run has read, written last. A folder without one is unfinished."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.pages import Proof


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


class Manifest(msgspec.Struct, kw_only=True):
    """
    What a manifest file holds.

    :param window: None for a stream that was read whole.
    :param rows: different rows in the parts.
    :param total: rows that Alvys said there are: when it was asked last, or for a window that was cut in halves, first.
    :param proof: ``whole`` if the rows were proved to be all there are, ``open`` if the set kept moving.
    :param passes: how often the set was read.
    :param requests: searches sent.
    :param attempt: of the task instance, from 1.
    :param read_from: when the reading began.
    :param read_until: when it ended.
    """

    version: Literal[1] = 1
    stream: str
    tenant: str
    window: ManifestWindow | None
    filters: dict[str, Any]
    file_format: str
    compression: str | None
    rows: int
    total: int
    proof: Proof
    passes: int
    requests: int
    attempt: int
    read_from: datetime
    read_until: datetime
    parts: list[Part]
