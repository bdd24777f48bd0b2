"""A file to upload, and the multipart body that streams it."""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airflow_provider_alvys.api.errors import AlvysValueError

_CHUNK_BYTES = 256 * 1024
_PDF = "application/pdf"
_SIGNATURES: Mapping[str, tuple[bytes, ...]] = {
    _PDF: (b"%PDF-",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
_HEAD_BYTES = 1024


@dataclass(frozen=True)
class FileSource:
    """
    A file to upload. Each attempt opens it anew and streams it.

    :param name: file name in Alvys. Its extension gives the media type if ``media_type`` is empty.
    :param size: in bytes.
    :param open: returns the file, opened at its beginning in binary mode.
    :param media_type: such as ``application/pdf``; empty to derive it from the name.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    media_type: str = ""

    @property
    def type(self) -> str:
        """The media type; empty if it is unknown."""
        return self.media_type or mimetypes.guess_type(self.name)[0] or ""


def file_source(path: str | os.PathLike[str], *, name: str | None = None, media_type: str = "") -> FileSource:
    """
    Return a local file as one to upload.

    :param name: file name in Alvys; None for the file's own.
    :raises AlvysValueError: the file cannot be read.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise AlvysValueError(f"The file {file} cannot be read: {error.strerror}") from error
    return FileSource(name or file.name, size, lambda: file.open("rb"), media_type)


def check_signature(file: FileSource) -> None:
    """
    Refuse a file whose first bytes do not match its media type, such as an HTML error page saved as a PDF.

    An empty file passes, and so does a type without a known signature.

    :raises AlvysValueError: the bytes do not match, or the file cannot be read.
    """
    signatures = _SIGNATURES.get(file.type)
    if signatures is None or not file.size:
        return
    try:
        with file.open() as opened:
            head = opened.read(_HEAD_BYTES)
    except OSError as error:
        raise AlvysValueError(f"{file.name} cannot be read: {error}. Nothing was uploaded") from error
    # PDF readers accept other bytes before the signature.
    matches = any(found in head for found in signatures) if file.type == _PDF else head.startswith(signatures)
    if not matches:
        # Without its bytes: the path may lead to a file that the reader of the log must not see.
        kinds = (kind for kind, starts in _SIGNATURES.items() if head.startswith(starts))
        raise AlvysValueError(f"{file.name} contains {next(kinds, 'another type')}, not {file.type}")


class Multipart:
    """
    A ``multipart/form-data`` body of known length, which reads its file while it is sent.

    Each iteration opens the file anew.

    :param fields: form fields in addition to the file.
    :param file: sent as the field ``File``.
    """

    def __init__(self, fields: Mapping[str, str], file: FileSource) -> None:
        self._file = file
        self.fields = fields
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        start = f"--{boundary}\r\nContent-Disposition: form-data; name="
        parts = [f'{start}"{_quote(name)}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        parts.append(f'{start}"File"; filename="{_quote(file.name)}"\r\nContent-Type: {file.type}\r\n\r\n')
        try:
            self._before = "".join(parts).encode()
        except UnicodeEncodeError as error:
            raise AlvysValueError(f"{file.name!r} or a form field cannot be encoded: {error}") from error
        self._after = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._before) + self._file.size + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        yield from self._content()
        yield self._after

    def _content(self) -> Iterator[bytes]:
        name, left = self._file.name, self._file.size
        try:
            with self._file.open() as file:
                while chunk := file.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except OSError as error:
            raise AlvysValueError(f"{name} cannot be read: {error}. Nothing was uploaded") from error
        if left:
            # The body is shorter than its Content-Length, so the server discards it.
            raise AlvysValueError(f"{name} no longer has {self._file.size} bytes. Nothing was uploaded")


def _quote(text: str) -> str:
    """Escape a name as HTML forms do between double quotes."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
