"""Single HTTP requests, without retries."""

from __future__ import annotations

import copy
import ipaddress
import re
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_provider_alvys import __version__
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysResponseError,
    AlvysValueError,
    parse_http_date,
)
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.scrubbing import scrub

# Auth0's edge refuses Python's default user agent.
USER_AGENT = f"airflow-provider-alvys/{__version__}"
DEFAULT_TIMEOUT = (10.0, 60.0)
# Other TLS errors may occur after the request was sent, such as for a corrupt record in the response.
_NEVER_SENT = (NewConnectionError, ConnectTimeoutError, SSLCertVerificationError)
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
    Send single requests over one session, without retries and redirects.

    :param timeout: seconds to connect, and seconds to wait for bytes.
    """

    def __init__(
        self, *, timeout: tuple[float, float] = DEFAULT_TIMEOUT, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.clock = clock
        self._timeout = timeout
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT

    def send(
        self, method: str, url: str, *, endpoint: str, auth: BearerAuth, **body: Any
    ) -> requests.Response:
        """
        Send one request and return the complete response, of any status below 300 or above 399.

        :param endpoint: the call's name in errors.
        :param body: ``json``, ``data``, ``params`` and ``headers``, as in requests.
        :raises AlvysValueError: the request cannot be encoded; nothing was sent.
        :raises AlvysConnectionError: no complete response.
        :raises AlvysResponseError: the response is a redirect.
        """
        try:
            request = self._session.prepare_request(requests.Request(method, url, auth=auth, **body))
        except (ValueError, TypeError, requests.exceptions.RequestException) as error:
            raise AlvysValueError(
                f"{endpoint}: cannot encode the request: {error}", endpoint=endpoint
            ) from error
        settings = self._session.merge_environment_settings(request.url, {}, None, None, None)
        if is_loopback(urlsplit(url)):
            # A proxy would see the credentials in clear text.
            settings["proxies"] = {}
        try:
            response = self._session.send(request, timeout=self._timeout, allow_redirects=False, **settings)
        except requests.exceptions.RequestException as error:
            raise AlvysConnectionError(
                f"{endpoint}: no answer from {origin(url)}: {root_cause(error)}. Check host and network.",
                arrived=not any(isinstance(cause, _NEVER_SENT) for cause in _causes(error)),
                endpoint=endpoint,
            ) from error
        if 300 <= response.status_code < 400:
            target = scrub(origin(response.headers.get("location", ""))) or "another path"
            raise AlvysResponseError(
                f"{endpoint} was redirected to {target}; redirects are not followed with credentials. "
                "Correct the host or auth_url of the connection.",
                status_code=response.status_code,
                endpoint=endpoint,
            )
        return response

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
    if "://" not in url:
        url = f"https://{_bracketed(url.lstrip('/'))}"
    try:
        parts = urlsplit(url)
        has_host = _HOST.fullmatch(parts.hostname or "") and (parts.port or 1) > 0
        usable = parts.scheme in ("https", "http") and has_host
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise AlvysValueError(
            f"{what}={url!r} is not a valid address: give one such as https://integrations.alvys.com"
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(parts):
        raise AlvysValueError(
            f"{what}={url!r} would send credentials in clear text: use https, or set allow_http for a "
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


def _causes(error: BaseException) -> list[BaseException]:
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
    innermost = _causes(error)[-1]
    text = scrub(str(innermost))
    return f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__
