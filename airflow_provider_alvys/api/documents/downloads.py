"""Files fetched from pre-signed URLs: from somebody else's storage, which must never see the token."""

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

# How errors name the call. (It is none of the API's.)
ENDPOINT = "GET document"
CHUNK = 256 * 1024
_MOST_REDIRECTS = 3
# More digits are no number of bytes, and Python refuses to read some thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
# urllib3 tells what it asks for at DEBUG.
_TALKERS = ("urllib3.connectionpool", "urllib3.util.retry")


class UrlRefusedError(AlvysDownloadError):
    """The storage refuses a URL: it has expired, or the file is gone."""


class Downloader:
    """
    Fetch files from pre-signed URLs, each over again until it is whole.

    What stands behind the ``?`` of a URL opens the file to anyone: it is put into no error and no log.

    :param timeout: seconds to connect and seconds to wait for bytes.
    :param allow_http: allow plain http beyond loopback.
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
        # As the file lies there: compressed on the way it would have another length.
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def download(self, url: str, file: IO[bytes], *, what: str, size: int | None) -> int:
        """
        Fetch a file, and return its length in bytes.

        :param url: where it is.
        :param file: is overwritten.
        :param what: how errors name the file.
        :param size: that it should have; None where nothing says.
        :raises UrlRefusedError: the storage answers that it may not be fetched: 403, 404 and all other 4xx but 408 and 429.
        :raises AlvysValueError: the URL is one that nothing is fetched from.
        :raises AlvysError: it could not be fetched whole, often as it was tried.
        """
        repeat = retrying(self._rules, endpoint=ENDPOINT, clock=self._clock, repeatable=True)
        return repeat(self._once, url, file, what, size)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _once(self, url: str, file: IO[bytes], what: str, size: int | None) -> int:
        file.seek(0)
        file.truncate()
        with _hidden_queries(), self._open(url, what) as response:
            told = response.headers.get("content-length", "")
            # Decoded, it has another length than was sent.
            length = (
                int(told) if _LENGTH.fullmatch(told) and "content-encoding" not in response.headers else None
            )
            if length is not None and size is not None and length != size:
                raise _unlike(response, f"{what}: {origin(url)} has {length} bytes, and Alvys says {size}.")
            received = 0
            for chunk in self._chunks(response, url, what):
                received += len(chunk)
                file.write(chunk)
                if size is not None and received > size:
                    break
            expected = size if length is None else length
            if expected is not None and received != expected:
                raise _unlike(response, f"{what}: {origin(url)} sent {received} bytes of {expected}.")
        return received

    def _open(self, url: str, what: str) -> requests.Response:
        """Return an answer that is the file, its body still to be read."""
        for _ in range(_MOST_REDIRECTS + 1):
            self._check(url, what)
            response = self._send(url, what)
            if not response.is_redirect:
                break
            response.close()
            target = urljoin(url, response.headers["location"])
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise _unlike(
                    response, f"{what}: {origin(url)} leads from https to {origin(target) or 'nowhere'}."
                )
            url = target
        status = response.status_code
        if status in (200, 203):
            return response
        response.close()
        if status < 400:
            raise _unlike(response, f"{what}: {origin(url)} answered {status}, not the file.")
        if status >= 500 or status in (408, 429):
            advice = f"Try {what} again later"
            raise error_from_response(
                response, endpoint=ENDPOINT, now=self._clock.time(), advice=advice, quote_body=False
            )
        raise UrlRefusedError(
            f"{what}: {origin(url)} answered {status}: the URL has expired, or the file is gone.",
            status_code=status,
            endpoint=ENDPOINT,
        )

    def _check(self, url: str, what: str) -> None:
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in ("https", "http") and bool(origin(url)) and parts.username is None
        except ValueError:
            is_usable = False
        if not is_usable:
            raise _unusable(what)
        if parts.scheme == "http" and not self._allow_http and not is_loopback(parts):
            raise AlvysValueError(
                f"{what}: {origin(url)} would send it in clear text: set allow_http on the connection for a simulator on a "
                "private network",
                endpoint=ENDPOINT,
            )

    def _send(self, url: str, what: str) -> requests.Response:
        try:
            # Without the auth object, requests would send what ~/.netrc has for the host.
            request = self._session.prepare_request(requests.Request("GET", url, auth=NO_AUTH))
            settings = self._session.merge_environment_settings(request.url, {}, True, None, None)
            if is_loopback(urlsplit(url)):
                settings["proxies"] = {}
            return self._session.send(request, timeout=self._timeout, allow_redirects=False, **settings)
        except requests.exceptions.RequestException as error:
            failure = _told(error, url)
        except ValueError:
            # A host's name that urllib3 refuses as it connects, or a redirect to one: requests reads it though it follows none.
            failure = ""
        if not failure:
            raise _unusable(what)
        # Not where it was caught: the errors behind it, which a traceback would show, tell the whole URL.
        raise AlvysConnectionError(f"{what}: no answer from {origin(url)}: {failure}.", endpoint=ENDPOINT)

    def _chunks(self, response: requests.Response, url: str, what: str) -> Iterator[bytes]:
        chunks = response.iter_content(CHUNK)
        while True:
            failure = ""
            try:
                chunk = next(chunks, b"")
            except requests.exceptions.RequestException as error:
                failure = _told(error, url)
            if failure:
                raise AlvysConnectionError(f"{what}: {origin(url)} broke off: {failure}.", endpoint=ENDPOINT)
            if not chunk:
                return
            yield chunk


def _unusable(what: str) -> AlvysValueError:
    return AlvysValueError(
        f"{what}: Alvys gives no address to fetch it from that can be used", endpoint=ENDPOINT
    )


def _unlike(response: requests.Response, message: str) -> AlvysResponseError:
    return AlvysResponseError(message, status_code=response.status_code, endpoint=ENDPOINT)


def _told(error: BaseException, url: str) -> str:
    """Return what is behind an error, if it does not tell the URL."""
    reason, query = root_cause(error), urlsplit(url).query
    return type(error).__name__ if "?" in reason or (query and query in reason) else reason


class _HideQueries(logging.Filter):
    """Cut off what stands behind a ``?`` in what one thread logs."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() == self._thread and isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True


@contextmanager
def _hidden_queries() -> Iterator[None]:
    hide = _HideQueries()
    for name in _TALKERS:
        logging.getLogger(name).addFilter(hide)
    try:
        yield
    finally:
        for name in _TALKERS:
            logging.getLogger(name).removeFilter(hide)
