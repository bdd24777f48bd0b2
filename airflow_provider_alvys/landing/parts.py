"""Rows into part files: the formats, and when a part is full."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterable

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.rows import Row
from airflow_provider_alvys.landing.manifest import Part

_GZIP = 16 + zlib.MAX_WBITS
# Level 1 costs half of the default level's time for a tenth more bytes.
_GZIP_LEVEL = 1


class _JsonLines:
    """The bytes of one file: a row a line, as Alvys sent it."""

    def __init__(self, compression: str | None) -> None:
        self._content = io.BytesIO()
        # No time stamp in the header: the same rows make the same bytes.
        self._zip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP) if compression == "gzip" else None

    def add(self, rows: Iterable[Row]) -> None:
        lines = b"".join(piece for row in rows for piece in (row, b"\n"))
        self._content.write(self._zip.compress(lines) if self._zip else lines)

    def finish(self) -> bytes:
        if self._zip:
            self._content.write(self._zip.flush())
        return self._content.getvalue()


_SUFFIXES = {("jsonl", None): "jsonl", ("jsonl", "gzip"): "jsonl.gz"}


def check_format(file_format: str, compression: str | None) -> None:
    """
    Refuse a format that cannot be written.

    :raises AlvysValueError: says which can.
    """
    if (file_format, compression) not in _SUFFIXES:
        known = " or ".join(f"file_format={name!r}, compression={packed!r}" for name, packed in _SUFFIXES)
        raise AlvysValueError(f"file_format={file_format!r}, compression={compression!r} is not known: use {known}")


class PartWriter:
    """
    Write rows into numbered part files.

    :param put: writes a file of the run's folder.
    :param parts: those that stand already.
    :param stretch: of the run; each has names of its own.
    :param part_rows: a part is closed with the page that brings it to this many rows.
    """

    def __init__(
        self,
        put: Callable[[str, bytes], None],
        parts: Iterable[Part] = (),
        *,
        stretch: int = 0,
        file_format: str,
        compression: str | None,
        part_rows: int,
    ) -> None:
        self.parts = list(parts)
        self._put = put
        self._compression = compression
        self._suffix = (f"-{stretch}" if stretch else "") + f".{_SUFFIXES[file_format, compression]}"
        self._part_rows = part_rows
        self._encoder: _JsonLines | None = None
        self._rows = 0

    def add(self, rows: list[Row]) -> bool:
        """Take a page's rows, and return whether that finished a part."""
        if not rows:
            return False
        if self._encoder is None:
            self._encoder = _JsonLines(self._compression)
        self._encoder.add(rows)
        self._rows += len(rows)
        return self._rows >= self._part_rows and self.finish()

    def finish(self) -> bool:
        """Write what is left, and return whether there was anything."""
        if self._encoder is None:
            return False
        content = self._encoder.finish()
        name = f"part-{len(self.parts):05d}{self._suffix}"
        self._put(name, content)
        self.parts.append(Part(name=name, rows=self._rows, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
        self._encoder, self._rows = None, 0
        return True
