"""The formats of part files, with the encoder and reader of each."""

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
from airflow_provider_alvys.api.suggestions import suggest

JSONL = "jsonl"
PARQUET = "parquet"
_GZIP = 16 + zlib.MAX_WBITS
# JSON lines: half the time of the default level for 10 % more bytes. Parquet: a quarter for 3 % more.
_GZIP_LEVEL = 1
# Suffixes of file names. Parquet compresses inside the file; None is snappy there.
_SUFFIXES = {
    (JSONL, None): "jsonl",
    (JSONL, "gzip"): "jsonl.gz",
    (PARQUET, None): "parquet",
    (PARQUET, "gzip"): "parquet",
    (PARQUET, "zstd"): "parquet",
}


class Encoder(Protocol):
    """Encodes the rows of one file."""

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of a page."""

    def reopen(self, content: bytes) -> None:
        """Add the rows of a file of the same stream, format and compression."""

    def finish(self) -> bytes:
        """Return the file, with the rows in the order of adding. The same rows make the same bytes."""


class _JsonLines:
    """One row per line, as Alvys sent it."""

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
    """Raise AlvysValueError if a format is unknown, or needs a package that is not installed."""
    if (file_format, compression) not in _SUFFIXES:
        formats = dict.fromkeys(name for name, _ in _SUFFIXES)
        if file_format not in formats:
            hint = suggest(file_format, formats, "Formats")
            raise AlvysValueError(f"file_format={file_format!r} is not known.{hint}")
        packings = [packed for name, packed in _SUFFIXES if name == file_format]
        hint = suggest(compression, packings, "Give one of")
        raise AlvysValueError(
            f"file_format={file_format!r}, compression={compression!r} is not possible.{hint}"
        )
    if file_format == PARQUET:
        _check_pyarrow()


def _check_pyarrow() -> None:
    # Not imported: that would slow down the parsing of DAGs.
    if importlib.util.find_spec("pyarrow") is None:
        raise AlvysValueError(
            "file_format='parquet' needs pyarrow: pip install 'airflow-provider-alvys[parquet]'"
        )


def suffix_of(file_format: str, compression: str | None) -> str:
    """Return the suffix of a format's files, without a dot."""
    return _SUFFIXES[file_format, compression]


def make_encoder(stream: Stream, file_format: str, compression: str | None) -> Encoder:
    """Return the encoder for a file of a stream's rows."""
    if file_format != PARQUET:
        return _JsonLines(compression)
    from airflow_provider_alvys.landing.formats.parquet import ParquetEncoder

    return ParquetEncoder(stream, compression, level=_GZIP_LEVEL if compression == "gzip" else None)


def read_rows(content: bytes, stream: Stream, file_format: str, compression: str | None) -> Iterator[bytes]:
    """Yield the rows of a file as JSON. Raise AlvysError if Parquet cannot be read or rebuilt."""
    if file_format == PARQUET:
        _check_pyarrow()
        from airflow_provider_alvys.landing.formats.parquet import rebuild_rows

        yield from rebuild_rows(content, stream)
    else:
        yield from (gzip.decompress(content) if compression == "gzip" else content).split(b"\n")[:-1]
