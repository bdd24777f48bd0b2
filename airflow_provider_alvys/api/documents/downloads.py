"""Downloads from pre-signed URLs: third-party storage, which must never see the token."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import urljoin, urlsplit

import requests

from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysDownloadError,
    AlvysResponseError,
    AlvysValueError,
    error_from_response,
)
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.transport import (
    DEFAULT_TIMEOUT,
    NO_AUTH,
    USER_AGENT,
    is_loopback,
    origin,
    root_cause,
)

# The call's name in errors; not a call of the API.
ENDPOINT = "GET document"
CHUNK = 256 * 1024
_MAX_REDIRECTS = 3
# Limited digits: Python refuses to parse thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
# urllib3 logs URLs at DEBUG.
_URL_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class UrlRefusedError(AlvysDownloadError):
    """The storage refuses a URL: it has expired, or the file was deleted."""


class Downloader:
    """
    Download files from pre-signed URLs, with retries until a file is complete.

    The query of a URL opens the file to anyone, so it appears in no error and no log.

    :param timeout: seconds to connect, and seconds to wait for bytes.
    :param allow_http: allow plain http to other machines.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        allow_http: bool = False,
        retry_rules: RetryRules | None = None,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._allow_http = allow_http
        self._rules = retry_rules or RetryRules()
        self._session = requests.Session()
        # Without compression: it would change the length.
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def download(self, url: str, file: IO[bytes], *, what: str, size: int | None) -> int:
        """
        Download a file and return its length in bytes.

        :param file: is overwritten.
        :param what: the file's name in errors.
        :param size: expected length; None if it is not known.
        :raises UrlRefusedError: the storage answers 4xx, except 408 and 429.
        :raises AlvysValueError: the URL is not valid, or must not be used.
        :raises AlvysError: no attempt gave a complete file.
        """
        retry = retrying(self._rules, endpoint=ENDPOINT, clock=self._clock, repeatable=True)
        return retry(self._attempt, url, file, what, size)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _attempt(self, url: str, file: IO[bytes], what: str, size: int | None) -> int:
        file.seek(0)
        file.truncate()
        with _redacted_queries(), self._open(url, what) as response:
            header = response.headers.get("content-length", "")
            # The length of compressed content is not the file's.
            is_length = _LENGTH.fullmatch(header) and "content-encoding" not in response.headers
            length = int(header) if is_length else None
            if length is not None and size is not None and length != size:
                raise _bad_response(response, f"{what}: {origin(url)} has {length} bytes, not {size}.")
            received = 0
            for chunk in self._chunks(response, url, what):
                received += len(chunk)
                file.write(chunk)
                if size is not None and received > size:
                    break
            expected = size if length is None else length
            if expected is not None and received != expected:
                raise _bad_response(response, f"{what}: {origin(url)} sent {received} bytes of {expected}.")
        return received

    def _open(self, url: str, what: str) -> requests.Response:
        """Return the response with the file, its body not read yet."""
        for _ in range(_MAX_REDIRECTS + 1):
            self._check(url, what)
            response = self._send(url, what)
            if not response.is_redirect:
                break
            response.close()
            target = urljoin(url, response.headers["location"])
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
        if parts.scheme == "http" and not self._allow_http and not is_loopback(parts):
            raise AlvysValueError(
                f"{what}: {origin(url)} would send it in clear text: set allow_http on the connection for a "
                "simulator on a private network",
                endpoint=ENDPOINT,
            )

    def _send(self, url: str, what: str) -> requests.Response:
        try:
            # Without an auth object, requests would send credentials of ~/.netrc.
            request = self._session.prepare_request(requests.Request("GET", url, auth=NO_AUTH))
            settings = self._session.merge_environment_settings(request.url, {}, True, None, None)
            if is_loopback(urlsplit(url)):
                settings["proxies"] = {}
            return self._session.send(request, timeout=self._timeout, allow_redirects=False, **settings)
        except requests.exceptions.RequestException as error:
            failure = _safe_reason(error, url)
        except ValueError:
            # A host name that urllib3 refuses, here or in a redirect: requests parses those too.
            failure = ""
        if not failure:
            raise _invalid_url(what)
        # Raised outside of except: a traceback would show the cause, which contains the URL.
        raise AlvysConnectionError(f"{what}: no answer from {origin(url)}: {failure}.", endpoint=ENDPOINT)

    def _chunks(self, response: requests.Response, url: str, what: str) -> Iterator[bytes]:
        chunks = response.iter_content(CHUNK)
        while True:
            failure = ""
            try:
                chunk = next(chunks, b"")
            except requests.exceptions.RequestException as error:
                failure = _safe_reason(error, url)
            if failure:
                raise AlvysConnectionError(
                    f"{what}: {origin(url)} stopped during the download: {failure}.", endpoint=ENDPOINT
                )
            if not chunk:
                return
            yield chunk


def _invalid_url(what: str) -> AlvysValueError:
    return AlvysValueError(f"{what}: the URL from Alvys is missing or not valid", endpoint=ENDPOINT)


def _bad_response(response: requests.Response, message: str) -> AlvysResponseError:
    return AlvysResponseError(message, status_code=response.status_code, endpoint=ENDPOINT)


def _safe_reason(error: BaseException, url: str) -> str:
    """Return an error's root cause, or only its type if that contains the URL."""
    reason, query = root_cause(error), urlsplit(url).query
    return type(error).__name__ if "?" in reason or (query and query in reason) else reason


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
