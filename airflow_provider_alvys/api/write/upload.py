"""A file on its way to Alvys: where it is read, and the multipart body that holds it."""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airflow_provider_alvys.api.errors import AlvysValueError

_CHUNK = 256 * 1024
_PDF = "application/pdf"
# What files of a kind begin with.
_MARKS: Mapping[str, tuple[bytes, ...]] = {
    _PDF: (b"%PDF-",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
_MARK_WITHIN = 1024


@dataclass(frozen=True)
class FileSource:
    """
    A file to upload. It is opened anew for each attempt, and never read whole.

    :param name: as Alvys shall know it; its ending tells the media type where that is not given.
    :param size: bytes.
    :param open: returns the file, from its beginning, for reading bytes.
    :param media_type: such as ``application/pdf``; empty for what the name's ending tells.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    media_type: str = ""

    @property
    def type(self) -> str:
        """Its media type; empty where nothing tells."""
        return self.media_type or mimetypes.guess_type(self.name)[0] or ""


def file_source(path: str | os.PathLike[str], *, name: str | None = None, media_type: str = "") -> FileSource:
    """
    Return a file of this machine as one to upload.

    :param name: as Alvys shall know it; None for its own.
    :raises AlvysValueError: it cannot be found.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise AlvysValueError(f"The file {file} cannot be read: {error.strerror}") from error
    return FileSource(name or file.name, size, lambda: file.open("rb"), media_type)


def check_beginning(file: FileSource) -> None:
    """
    Refuse a file that does not begin as one of its kind: a page with an error that was saved as a PDF, say. An empty one passes.

    :raises AlvysValueError: it begins otherwise, or cannot be read.
    """
    marks = _MARKS.get(file.type)
    if marks is None or not file.size:
        return
    try:
        with file.open() as opened:
            head = opened.read(_MARK_WITHIN)
    except OSError as error:
        raise AlvysValueError(f"{file.name} cannot be read: {error}. Nothing was uploaded") from error
    # What is no PDF by its first byte may be one all the same, by its readers' rules.
    is_right = any(mark in head for mark in marks) if file.type == _PDF else head.startswith(marks)
    if not is_right:
        raise AlvysValueError(
            f"{file.name} is no {file.type}, though it is called so: it begins with {head[:8]!r}"
        )


class Multipart:
    """
    A body of ``multipart/form-data`` whose length is known and whose file is read while it is sent.

    Each iteration opens the file anew.

    :param fields: the texts beside the file.
    :param file: sent as the field ``File``.
    """

    def __init__(self, fields: Mapping[str, str], file: FileSource) -> None:
        self._file = file
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="File"; filename="{_quote(file.name)}"\r\n'
            f"Content-Type: {file.type}\r\n\r\n"
        )
        try:
            self._before = "".join(parts).encode()
        except UnicodeEncodeError as error:
            raise AlvysValueError(f"{file.name!r} cannot be sent, or a text beside it: {error}") from error
        self._after = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._before) + self._file.size + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        yield from self._content()
        yield self._after

    def _content(self) -> Iterator[bytes]:
        left = self._file.size
        try:
            with self._file.open() as file:
                while chunk := file.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except OSError as error:
            raise AlvysValueError(
                f"{self._file.name} cannot be read: {error}. Nothing was uploaded"
            ) from error
        if left:
            # Short of what Content-Length says, so that the server takes none of it.
            raise AlvysValueError(
                f"{self._file.name} is not of {self._file.size} bytes any more. Nothing was uploaded"
            )


def _quote(text: str) -> str:
    """Return a name as HTML's forms write it between quotation marks."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
