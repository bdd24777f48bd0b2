"""Downloads from pre-signed URLs: third-party storage, which must never see the token."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLCertVerificationError
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_alvys.api.documents.addresses import AddressRefusedError, AddressRules, resolve
from airflow_provider_alvys.api.documents.connections import StorageAdapter
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysDownloadError,
    AlvysResponseError,
    AlvysStorageError,
    AlvysValueError,
    error_from_response,
)
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.sessions import DEFLATED, USER_AGENT, content_encoding, inflate
from airflow_provider_alvys.api.http.transport import (
    DEFAULT_TIMEOUT,
    NO_AUTH,
    causes,
    is_loopback,
    origin,
    root_cause,
)

# The call's name in errors; not a call of the API.
ENDPOINT = "GET document"
# A chunk must arrive within the read timeout: with the default, about 1 KB/s.
CHUNK = 64 * 1024
DEFAULT_MAX_BYTES = 2 * 1024**3
# All attempts at a file together may take this many read timeouts: with the default, an hour.
_MAX_TIMEOUTS = 60
# A response may begin after this many timeouts.
_TIMEOUTS_TO_BEGIN = 2
_MAX_REDIRECTS = 3
# The free space of a disk is looked up after this many bytes. So much of it is left free, or a 20th.
_SPACE_CHECK_BYTES = 4 * 1024**2
_MIN_FREE_BYTES = 256 * 1024**2
# Limited digits: Python refuses to parse thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
# urllib3 logs URLs at DEBUG.
_URL_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class UrlRefusedError(AlvysDownloadError):
    """The storage refuses a URL: it has expired, or the file was deleted."""


class SlowStorageError(AlvysDownloadError):
    """A file was not complete in the time allowed for all attempts."""


class Downloader:
    """
    Download files from pre-signed URLs, with retries until a file is complete.

    The query of a URL opens the file to anyone, so it appears in no error and no log.

    :param timeout: seconds to connect, and seconds for the next 64 KB to arrive.
    :param allow_http: allow plain http to other machines.
    :param rules: which addresses URLs may lead to; None means public ones.
    :param max_bytes: longest file.
    :param resolve: returns the addresses of a host; tests replace it.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        allow_http: bool = False,
        rules: AddressRules | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        retry_rules: RetryRules | None = None,
        resolve: Callable[[str], list[str]] = resolve,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._allow_http = allow_http
        self._address_rules = rules or AddressRules()
        self._max_bytes = max_bytes
        self._retry_rules = retry_rules or RetryRules()
        self._adapter = StorageAdapter(self._address_rules, resolve)
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._adapter)
        # Without compression: it would change the length.
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def download(self, url: str, file: IO[bytes], *, what: str, size: int | None) -> int:
        """
        Download a file and return its length in bytes.

        :param file: is overwritten.
        :param what: the file's name in errors.
        :param size: expected length; None if it is not known.
        :raises UrlRefusedError: the storage answers 4xx, except 408 and 429.
        :raises AlvysDownloadError: the file is too long, for ``max_bytes`` or its disk, or takes too long.
        :raises AlvysStorageError: the disk of ``file`` is full.
        :raises AlvysValueError: the URL is not valid, or must not be used.
        :raises AlvysError: no attempt gave a complete file.
        """
        ends = self._clock.time() + _MAX_TIMEOUTS * self._timeout[1]
        retry = retrying(self._retry_rules, endpoint=ENDPOINT, clock=self._clock, repeatable=True)
        return retry(self._attempt, url, file, what, size, ends)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _attempt(self, url: str, file: IO[bytes], what: str, size: int | None, ends: float) -> int:
        file.seek(0)
        file.truncate()
        self._check_length(size or 0, what)
        _check_space(file, what)
        _check_space(file, what, size or 0)
        with _redacted_queries(), self._open(url, what) as response:
            header = response.headers.get("content-length", "")
            # The length of compressed content is not the file's.
            is_length = _LENGTH.fullmatch(header) and not content_encoding(response)
            length = int(header) if is_length else None
            if length is not None and size is not None and length != size:
                raise _bad_response(response, f"{what}: {origin(url)} has {length} bytes, not {size}.")
            self._check_length(length or 0, what)
            _check_space(file, what, length or 0)
            received, checked = 0, 0
            for chunk in self._chunks(response, url, what):
                received += len(chunk)
                self._check_length(received, what)
                if received >= checked + _SPACE_CHECK_BYTES:
                    _check_space(file, what, len(chunk))
                    checked = received
                file.write(chunk)
                if size is not None and received > size:
                    break
                if self._clock.time() > ends:
                    seconds = _MAX_TIMEOUTS * self._timeout[1]
                    raise SlowStorageError(
                        f"{what}: {origin(url)} did not send all of it within {seconds:g} s. If the file is "
                        "very large, raise timeout on the connection",
                        endpoint=ENDPOINT,
                    )
            expected = size if length is None else length
            if expected is not None and received != expected:
                raise _bad_response(response, f"{what}: {origin(url)} sent {received} bytes of {expected}.")
        return received

    def _check_length(self, length: int, what: str) -> None:
        if length > self._max_bytes:
            raise AlvysDownloadError(
                f"{what} has more than {self._max_bytes} bytes. Raise max_bytes if you want such files",
                endpoint=ENDPOINT,
            )

    def _open(self, url: str, what: str) -> requests.Response:
        """Return the response with the file, its body not read yet."""
        for _ in range(_MAX_REDIRECTS + 1):
            self._check(url, what)
            response = self._send(url, what)
            if not response.is_redirect:
                break
            response.close()
            try:
                target = urljoin(url, response.headers["location"])
            except ValueError:
                target = ""
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                where = origin(target) or "an invalid address"
                raise _bad_response(response, f"{what}: {origin(url)} redirects from https to {where}.")
            url = target
        status = response.status_code
        if status in (200, 203):
            return response
        response.close()
        if status < 400:
            raise _bad_response(response, f"{what}: {origin(url)} answered {status} instead of the file.")
        if status >= 500 or status in (408, 429):
            now, advice = self._clock.time(), f"Try {what} again later"
            raise error_from_response(response, endpoint=ENDPOINT, now=now, advice=advice, quote_body=False)
        message = f"{what}: {origin(url)} answered {status}: the URL has expired, or the file was deleted."
        raise UrlRefusedError(message, status_code=status, endpoint=ENDPOINT)

    def _check(self, url: str, what: str) -> None:
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in ("https", "http") and bool(origin(url)) and parts.username is None
        except ValueError:
            is_usable = False
        if not is_usable:
            raise _invalid_url(what)
        is_local = self._address_rules.allow_loopback and is_loopback(parts)
        if parts.scheme == "http" and not self._allow_http and not is_local:
            raise AlvysValueError(
                f"{what}: {origin(url)} would send it in clear text: set allow_http on the connection for a "
                "simulator on a private network",
                endpoint=ENDPOINT,
            )

    def _send(self, url: str, what: str) -> requests.Response:
        self._adapter.deadline.extend(_TIMEOUTS_TO_BEGIN * sum(self._timeout))
        refusal, is_permanent = "", False
        try:
            # Without an auth object, requests would send credentials of ~/.netrc.
            request = self._session.prepare_request(requests.Request("GET", url, auth=NO_AUTH))
            settings: dict[str, Any] = {}
            settings |= self._session.merge_environment_settings(request.url, {}, True, None, None)
            if is_loopback(urlsplit(url)):
                settings["proxies"] = {}
            # Session.send would read all of the body of a redirect.
            adapter = self._session.get_adapter(str(request.url))
            return adapter.send(request, timeout=self._timeout, **settings)
        except AddressRefusedError as error:
            failure = refusal = str(error)
        except (requests.exceptions.InvalidURL, UnicodeError, urllib3.exceptions.LocationValueError):
            failure = ""
        except Exception as error:
            # A server can cause errors of any type.
            failure = self._reason(error, url)
            is_permanent = any(isinstance(cause, SSLCertVerificationError) for cause in causes(error))
        # Raised outside of except: a traceback would show the cause, which contains the URL.
        if refusal:
            raise AlvysValueError(f"{what} was not downloaded: {refusal}", endpoint=ENDPOINT)
        if not failure:
            raise _invalid_url(what)
        raise AlvysConnectionError(
            f"{what}: no answer from {origin(url)}: {failure}.", is_permanent=is_permanent, endpoint=ENDPOINT
        )

    def _chunks(self, response: requests.Response, url: str, what: str) -> Iterator[bytes]:
        """Yield the content of a file, in pieces of up to a chunk."""
        encoding = content_encoding(response)
        if encoding and encoding not in DEFLATED:
            raise _bad_response(
                response, f"{what}: {origin(url)} sent it in an encoding that was not requested."
            )
        pieces = iter(lambda: self._read(response), b"")
        chunks = inflate(pieces) if encoding else pieces
        while True:
            failure = ""
            try:
                chunk = next(chunks, None)
            except Exception as error:
                failure = self._reason(error, url)
            if failure:
                raise AlvysConnectionError(
                    f"{what}: {origin(url)} stopped during the download: {failure}.", endpoint=ENDPOINT
                )
            if chunk is None:
                return
            yield chunk

    def _read(self, response: requests.Response) -> bytes:
        """Return the next piece as it was sent: a chunk, or what is left."""
        self._adapter.deadline.extend(self._timeout[1])
        piece: bytes = response.raw.read(CHUNK, decode_content=False)
        return piece

    def _reason(self, error: BaseException, url: str) -> str:
        """Return why a request failed, without the URL: the root cause of an error, or only its type."""
        if self._adapter.deadline.left <= 0:
            return f"too little arrived in {self._adapter.deadline.seconds:g} s"
        reason, query = root_cause(error), urlsplit(url).query
        return type(error).__name__ if "?" in reason or (query and query in reason) else reason


def _check_space(file: IO[bytes], what: str, more: int | None = None) -> None:
    """
    Raise an error if a file would fill its disk, or before its first byte if the disk is full already.

    :param more: bytes that the file will have in addition; None before the download.
    :raises AlvysDownloadError: this file is too long for the disk.
    :raises AlvysStorageError: no file can be downloaded.
    """
    try:
        disk = shutil.disk_usage(file.fileno())
    except OSError:
        # A file in memory, or a file system that does not say.
        return
    # Some network file systems answer zeros.
    if not disk.total or disk.free - (more or 0) >= min(_MIN_FREE_BYTES, disk.total // 20):
        return
    message = (
        f"{what} does not fit: the disk of {os.path.dirname(str(file.name))} has {disk.free} bytes free. "
        "Free some. For downloads to object storage, TMPDIR may name a folder on another disk"
    )
    if more is None:
        raise AlvysStorageError(message)
    raise AlvysDownloadError(message, endpoint=ENDPOINT)


def _invalid_url(what: str) -> AlvysValueError:
    return AlvysValueError(f"{what}: the URL from Alvys is missing or not valid", endpoint=ENDPOINT)


def _bad_response(response: requests.Response, message: str) -> AlvysResponseError:
    return AlvysResponseError(message, status_code=response.status_code, endpoint=ENDPOINT)


@contextmanager
def _redacted_queries() -> Iterator[None]:
    """Remove the queries of URLs from what this thread logs."""
    thread = threading.get_ident()

    def redact(record: logging.LogRecord) -> bool:
        if threading.get_ident() == thread and isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True

    for name in _URL_LOGGERS:
        logging.getLogger(name).addFilter(redact)
    try:
        yield
    finally:
        for name in _URL_LOGGERS:
            logging.getLogger(name).removeFilter(redact)
