"""Single HTTP requests, without retries."""

from __future__ import annotations

import copy
import ipaddress
import re
import ssl
import zlib
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.auth import AuthBase

from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysResponseError,
    AlvysTooLargeError,
    AlvysValueError,
    parse_http_date,
)
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.http.sessions import Session, may_have_arrived, read_body
from airflow_provider_alvys.api.scrubbing import scrub

DEFAULT_TIMEOUT = (10.0, 60.0)
DEFAULT_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
# What is read of an error's body.
_MAX_ERROR_BYTES = 256 * 1024
# A connection that ends during the handshake may succeed at the next attempt; other TLS errors there do not.
_PASSING_TLS_ERRORS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.ASCII)
# The beginning of the API's paths, which the client adds itself.
_API_PATH = re.compile(r"/api(/p(/v[\d.]+)?)?/*\Z", re.IGNORECASE)
# White space, and what is as invisible at the ends of a copied text.
_EDGES = "".join(map(chr, (*range(33), 0x85, 0xA0, 0x200B, 0x2028, 0x2029, 0x2060, 0x3000, 0xFEFF)))


class BearerAuth(AuthBase):
    """Send a bearer token, or nothing. Any auth object keeps requests from using ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the Authorization header."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


NO_AUTH = BearerAuth(None)


class Transport:
    """
    Send single requests, without retries and redirects.

    :param timeout: seconds to connect, and seconds to wait for bytes.
    :param max_response_bytes: longest body of a response, decoded.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.clock = clock
        self._timeout = timeout
        self._max_response_bytes = max_response_bytes
        self._session = Session()

    def send(
        self,
        method: str,
        url: str,
        *,
        endpoint: str,
        auth: BearerAuth,
        max_bytes: int | None = None,
        new_connection: bool = False,
        **body: Any,
    ) -> requests.Response:
        """
        Send one request and return the complete response, with a status of 200 to 299, or of 400 and above.

        The body of an error is cut to 256 KB.

        :param endpoint: the call's name in errors.
        :param max_bytes: longest body of this response; None for the transport's own limit.
        :param new_connection: open a connection, which cannot turn out to be closed as an idle one can.
        :param body: ``json``, ``data``, ``params`` and ``headers``, as in requests.
        :raises AlvysValueError: the request cannot be encoded; nothing was sent.
        :raises AlvysConnectionError: no complete response.
        :raises AlvysTooLargeError: the response is larger than allowed.
        :raises AlvysResponseError: the response is a redirect, or has a status below 200.
        """
        session = Session() if new_connection else self._session
        try:
            request = session.prepare_request(requests.Request(method, url, auth=auth, **body))
            settings = session.merge_environment_settings(request.url, {}, None, None, None)
        except Exception as error:
            raise AlvysValueError(
                f"{endpoint}: cannot encode the request: {error}", endpoint=endpoint
            ) from error
        if is_loopback(urlsplit(url)):
            # A proxy would see the credentials in clear text.
            settings["proxies"] = {}
        try:
            with session.send(request, timeout=self._timeout, allow_redirects=False, **settings) as response:
                self._read(response, endpoint, max_bytes or self._max_response_bytes)
        except AlvysError:
            raise
        except Exception as error:
            # A server can cause errors of any type: by its headers, an encoding, the end of the connection.
            arrived = may_have_arrived()
            raise AlvysConnectionError(
                f"{endpoint}: no {'complete ' if arrived else ''}answer from {origin(url)}: "
                f"{root_cause(error)}. Check host and network.",
                arrived=arrived,
                is_permanent=not arrived and _is_permanent(error),
                endpoint=endpoint,
                # A traceback shows causes as they are, with what the server said.
            ) from (None if arrived else error)
        finally:
            if new_connection:
                session.close()
        return response

    def _read(self, response: requests.Response, endpoint: str, max_bytes: int) -> None:
        """Read the body of a response, if it is one that a caller gets."""
        status = response.status_code
        if 300 <= status < 400:
            target = scrub(origin(response.headers.get("location", ""))) or "another path"
            raise AlvysResponseError(
                f"{endpoint} was redirected to {target}; redirects are not followed with credentials. "
                "Correct the host or auth_url of the connection.",
                status_code=status,
                endpoint=endpoint,
            )
        if status < 200:
            raise AlvysResponseError(
                f"{endpoint} answered {status}, which is no final response. Retry later.",
                status_code=status,
                endpoint=endpoint,
            )
        is_error = status >= 400
        limit = min(max_bytes, _MAX_ERROR_BYTES) if is_error else max_bytes
        try:
            content = read_body(response, limit)
        except (zlib.error, ValueError):
            if not is_error:
                raise
            # Not empty, as errors of Alvys may be.
            content = b"?"
        response.raw.close()
        if len(content) > limit and not is_error:
            raise AlvysTooLargeError(
                f"{endpoint} answered {status} with more than {limit} bytes. Lower page_size, or raise "
                "max_response_mb on the connection. Correct host or auth_url if this is not Alvys.",
                status_code=status,
                endpoint=endpoint,
            )
        response._content = content[:limit]
        response._content_consumed = True  # type: ignore[attr-defined]

    def server_offset(self, response: requests.Response) -> float | None:
        """
        Return the server's time minus ours, in seconds, for a response that just arrived; None without a
        Date.

        ``Date`` is truncated to seconds, so the result may be up to one second too low.
        """
        date = parse_http_date(response.headers.get("date", ""))
        return None if date is None else date - self.clock.time()

    def with_clock(self, clock: Clock) -> Transport:
        """Return a transport with another clock and the same session."""
        other = copy.copy(self)
        other.clock = clock
        return other

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()


def strip_edges(text: str) -> str:
    """Return a text without white space, line breaks and byte order marks at its ends."""
    return text.strip(_EDGES)


def check_host(url: str, *, allow_http: bool) -> str:
    """Return the base URL of the API as :func:`check_address` does, without the beginning of its paths."""
    return _API_PATH.sub("", check_address(url, what="host", allow_http=allow_http))


def check_address(url: str, *, what: str, allow_http: bool) -> str:
    """
    Return ``url`` with a scheme and without a trailing slash, if credentials may be sent to it.

    :param what: the setting's name in errors, such as ``host``.
    :param allow_http: allow plain http to other machines.
    :raises AlvysValueError: not an http address, or plain http to another machine.
    """
    url = strip_edges(url)
    # The value is not quoted: it may contain a password.
    if "@" in url:
        raise AlvysValueError(
            f"{what}=*** contains a user name or a password: give scheme, host, port and path only, such as "
            "https://integrations.alvys.com"
        )
    if "://" not in url:
        url = f"https://{_bracketed(url.lstrip('/'))}"
    try:
        parts = urlsplit(url)
        has_host = _HOST.fullmatch(parts.hostname or "") and (parts.port or 1) > 0
        usable = parts.scheme in ("https", "http") and has_host
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise AlvysValueError(
            f"{what}=*** is not a valid address, or has a query: give one such as "
            "https://integrations.alvys.com"
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(parts):
        raise AlvysValueError(
            f"{what}={origin(url)} would send credentials in clear text: use https, or set allow_http for a "
            "simulator on a private network"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _bracketed(host: str) -> str:
    """Return an IPv6 address in brackets, and anything else unchanged. Airflow removes them from a URI."""
    try:
        return f"[{ipaddress.IPv6Address(host)}]"
    except ValueError:
        return host


def origin(url: str) -> str:
    """Return ``scheme://host:port`` of a URL, with the default port filled in; "" if it has no host."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{_bracketed(parts.hostname)}:{port}" if parts.hostname and port else ""


def is_loopback(parts: SplitResult) -> bool:
    """Return whether an address is on this machine."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_permanent(error: BaseException) -> bool:
    """Return whether an error before the request would come again, such as of a certificate or a setting."""
    if not isinstance(error, (requests.exceptions.ConnectionError, requests.exceptions.Timeout)):
        return True
    chain = causes(error)
    is_tls = any(isinstance(cause, (ssl.SSLError, requests.exceptions.SSLError)) for cause in chain)
    return is_tls and not any(isinstance(cause, _PASSING_TLS_ERRORS) for cause in chain)


def causes(error: BaseException) -> list[BaseException]:
    """Return the error and its causes, outermost first; requests keeps them in args or ``.reason``."""
    chain: list[BaseException] = []
    cause: Any = error
    while isinstance(cause, BaseException) and cause not in chain:
        chain.append(cause)
        wrapped = next((arg for arg in cause.args if isinstance(arg, BaseException)), cause.__cause__)
        cause = getattr(cause, "reason", None) or wrapped
    return chain


def root_cause(error: BaseException) -> str:
    """Return the innermost cause of an error of requests, as text. It may quote the server's response."""
    innermost = causes(error)[-1]
    text = scrub(str(innermost))
    return f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__
