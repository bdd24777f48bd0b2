"""The formats of part files: what they are called, and what puts rows into one."""

from __future__ import annotations

import gzip
import importlib.util
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import Row

JSONL = "jsonl"
PARQUET = "parquet"
_GZIP = 16 + zlib.MAX_WBITS
# JSON lines: half of the default level's time for a tenth more bytes; Parquet: a quarter for a thirtieth more.
_GZIP_LEVEL = 1
# What files of a format and a compression end with. Parquet's is inside the file; None is snappy there.
_SUFFIXES = {
    (JSONL, None): "jsonl",
    (JSONL, "gzip"): "jsonl.gz",
    (PARQUET, None): "parquet",
    (PARQUET, "gzip"): "parquet",
    (PARQUET, "zstd"): "parquet",
}


class Encoder(Protocol):
    """Takes the rows of one file."""

    def add(self, rows: Sequence[Row]) -> None:
        """Take a page's rows."""

    def reopen(self, content: bytes) -> None:
        """Take the rows of a file of the same stream, format and compression."""

    def finish(self) -> bytes:
        """Return the file with all rows in the order in which they were taken: the same rows make the same bytes."""


class _JsonLines:
    """A row a line, as Alvys sent it."""

    def __init__(self, compression: str | None) -> None:
        self._content = io.BytesIO()
        # No time stamp in the header.
        self._zip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP) if compression == "gzip" else None

    def add(self, rows: Sequence[Row]) -> None:
        self._write(b"".join(piece for row in rows for piece in (row, b"\n")))

    def reopen(self, content: bytes) -> None:
        self._write(gzip.decompress(content) if self._zip else content)

    def finish(self) -> bytes:
        if self._zip:
            self._content.write(self._zip.flush())
        return self._content.getvalue()

    def _write(self, lines: bytes) -> None:
        self._content.write(self._zip.compress(lines) if self._zip else lines)


def check_format(file_format: str, compression: str | None) -> None:
    """
    Refuse a format that cannot be written.

    :raises AlvysValueError: says which can, or what to install.
    """
    if (file_format, compression) not in _SUFFIXES:
        known = " or ".join(f"file_format={name!r}, compression={packed!r}" for name, packed in _SUFFIXES)
        raise AlvysValueError(
            f"file_format={file_format!r}, compression={compression!r} is not known: use {known}"
        )
    if file_format == PARQUET:
        _check_pyarrow()


def _check_pyarrow() -> None:
    # Found, and not imported: that is for those who write or read Parquet.
    if importlib.util.find_spec("pyarrow") is None:
        raise AlvysValueError(
            "file_format='parquet' needs pyarrow, which is not installed: pip install "
            "'airflow-provider-alvys[parquet]'"
        )


def suffix_of(file_format: str, compression: str | None) -> str:
    """Return what the names of a checked format's files end with, without a point."""
    return _SUFFIXES[file_format, compression]


def make_encoder(stream: Stream, file_format: str, compression: str | None) -> Encoder:
    """Return what puts the rows of a stream into a file of a checked format."""
    if file_format != PARQUET:
        return _JsonLines(compression)
    from airflow_provider_alvys.landing.formats.parquet import ParquetEncoder

    return ParquetEncoder(stream, compression, level=_GZIP_LEVEL if compression == "gzip" else None)


def read_rows(content: bytes, stream: Stream, file_format: str, compression: str | None) -> Iterator[bytes]:
    """
    Yield the rows of a file as JSON: from JSON lines as Alvys sent them, from Parquet rebuilt.

    :raises AlvysStorageError: they cannot be rebuilt: the file is of another catalogue.
    :raises AlvysValueError: pyarrow is needed and is not installed.
    """
    if file_format == PARQUET:
        _check_pyarrow()
        from airflow_provider_alvys.landing.formats.parquet import rebuild_rows

        yield from rebuild_rows(content, stream)
    else:
        yield from (gzip.decompress(content) if compression == "gzip" else content).split(b"\n")[:-1]
