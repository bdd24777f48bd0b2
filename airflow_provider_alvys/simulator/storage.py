"""The object storage of documents: signed URLs that expire, and the files behind them."""

from __future__ import annotations

import hashlib
import hmac
import random
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import SECOND, format_time
from airflow_provider_alvys.simulator.options import Options

STORAGE_PREFIX = "/storage/"
# By extension: first bytes and media type.
_SAMPLE_FILES = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    "jpg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x48\x00\x48\x00\x00", "image/jpeg"),
    "png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
}
_SAMPLE_FILES["jpeg"] = _SAMPLE_FILES["jpg"]
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_ERROR = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


@dataclass
class _SignedUrl:
    """
    The latest URL of a file.

    :param fields: its fields in the record, as JSON without brackets.
    :param expires: in seconds since 1970.
    :param is_shown: whether a response contained it, and not only ``/_sim/truth``.
    """

    fields: bytes
    expires: float
    is_shown: bool


class Storage:
    """
    A tenant's files, behind signed URLs.

    :param row_set_of: returns the row set of a stream.
    :param now: returns the tenant's time.
    """

    def __init__(
        self, options: Options, row_set_of: Callable[[str], RowSet], now: Callable[[], float]
    ) -> None:
        self._options = options
        self._row_set_of = row_set_of
        self._now = now
        self._signing_key = secrets.token_bytes(32)
        self._serial = 0
        self._last_urls: dict[tuple[str, int], _SignedUrl] = {}
        self._uploaded: dict[tuple[str, int], tuple[bytes, str]] = {}
        # The simulator's own address, taken from the last request.
        self.base_url = ""
        # Requests with a bearer token, which must not be sent to a storage.
        self.bearer_count = 0

    def store(self, stream: str, number: int, content: bytes, media_type: str) -> None:
        """Store the uploaded file of a row."""
        self._uploaded[stream, number] = content, media_type

    def with_download_url(self, rows: RowSet, number: int, text: bytes, *, is_shown: bool = True) -> bytes:
        """
        Return a row's record with the URL of its file, if it has one.

        :param is_shown: False for ``/_sim/truth``, which reports the latest URL shown, or the next one.
        """
        if not rows.spec.has_file:
            return text
        last, now = self._last_urls.get((rows.spec.name, number)), self._now()
        if last is None or last.expires <= now or (is_shown and last.is_shown):
            expires = now + self._options.url_lifetime
            fields = b'"DownloadUrl":"%b","ExpiresAt":"%b"' % (
                self._make_url(rows, number, expires).encode(),
                format_time(int(expires * SECOND), 7).encode(),
            )
            last = self._last_urls[rows.spec.name, number] = _SignedUrl(fields, expires, is_shown)
        last.is_shown = last.is_shown or is_shown
        return text[:-1] + (b"," if len(text) > len(b"{}") else b"") + last.fields + b"}"

    def _make_url(self, rows: RowSet, number: int, expires: float) -> str:
        self._serial += 1
        path = f"{STORAGE_PREFIX}{rows.spec.name}/{number}/{quote(_file_name(rows, number))}"
        signed = f"X-Expires={expires:.6f}&X-Serial={self._serial}"
        return f"{self.base_url}{path}?{signed}&X-Signature={self._sign(path, signed)}"

    def _sign(self, path: str, signed: str) -> str:
        return hmac.new(self._signing_key, f"{path}?{signed}".encode(), hashlib.sha256).hexdigest()

    def respond(self, request: Request) -> Response:
        """Return the file of a signed URL to anyone; refuse a bearer token, as S3 does."""
        if "authorization" in request.headers:
            self.bearer_count += 1
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        if request.method != "GET":
            return _error(405, "MethodNotAllowed", "The method is not allowed for this address.")
        query, path = request.query_params, request.scope["raw_path"].decode("latin-1")
        signed = f"X-Expires={query.get('X-Expires')}&X-Serial={query.get('X-Serial')}"
        if not hmac.compare_digest(self._sign(path, signed).encode(), query.get("X-Signature", "").encode()):
            return _error(403, "SignatureDoesNotMatch", "The signature does not match the address.")
        if float(query["X-Expires"]) <= self._now():
            return _error(403, "AccessDenied", "Request has expired")
        stream, number, name = unquote(path.removeprefix(STORAGE_PREFIX)).split("/", 2)
        rows = self._row_set_of(stream)
        if not rows.has(int(number)):
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        content, media_type = self._file(rows, int(number), name)
        headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "accept-ranges": "bytes"}
        part = _RANGE.fullmatch(request.headers.get("range", ""))
        if part and int(part[1]) < len(content):
            begin, end = int(part[1]), min(int(part[2] or len(content)), len(content) - 1)
            headers["content-range"] = f"bytes {begin}-{end}/{len(content)}"
            return Response(content[begin : end + 1], 206, headers, media_type)
        return Response(content, 200, headers, media_type)

    def _file(self, rows: RowSet, number: int, name: str) -> tuple[bytes, str]:
        """Return a file and its media type: the uploaded one, or one generated from the row number."""
        uploaded = self._uploaded.get((rows.spec.name, number))
        if uploaded:
            return uploaded
        head, media_type = _SAMPLE_FILES.get(
            name.rpartition(".")[2].lower(), (b"", "application/octet-stream")
        )
        size = int(rows.column("AttachmentSize")[number] or 0)
        noise = random.Random(hash((rows.salt, number, 7)))
        return (head + noise.randbytes(max(0, size - len(head))))[:size], media_type


def _file_name(rows: RowSet, number: int) -> str:
    path: Any = rows.column("AttachmentPath")[number]
    return str(path or "file").rpartition("/")[2]


def _error(status: int, code: str, message: str) -> Response:
    return Response(_ERROR.format(code, message), status, media_type="application/xml")
