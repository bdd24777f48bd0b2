"""One HTTP exchange: where a request may go, and what became of it."""

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

# Auth0's edge refuses the user agent that Python sends by default.
USER_AGENT = f"airflow-provider-alvys/{__version__}"
DEFAULT_TIMEOUT = (10.0, 60.0)
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.ASCII)


class BearerAuth(AuthBase):
    """Send a token. As an auth object it also keeps ~/.netrc from replacing the header."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


NO_AUTH = BearerAuth(None)


class Transport:
    """
    Send single requests over one session, without retries.

    :param timeout: seconds to connect and seconds to wait for bytes.
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
        Send one request and read its whole answer, whatever its status. Redirects are never followed.

        :param endpoint: how errors name the call.
        :param body: ``json``, ``data``, ``params`` and ``headers``, as requests takes them.
        :raises AlvysValueError: the request cannot be put into bytes; nothing was sent.
        :raises AlvysConnectionError: there was no whole answer.
        :raises AlvysResponseError: the answer is a redirect.
        """
        try:
            request = self._session.prepare_request(requests.Request(method, url, auth=auth, **body))
        except (ValueError, TypeError, requests.exceptions.RequestException) as error:
            raise AlvysValueError(f"{endpoint}: this cannot be sent: {error}", endpoint=endpoint) from error
        settings = self._session.merge_environment_settings(request.url, {}, None, None, None)
        if is_loopback(urlsplit(url)):
            # It is never behind a proxy, which would see the credentials in clear text.
            settings["proxies"] = {}
        try:
            response = self._session.send(request, timeout=self._timeout, allow_redirects=False, **settings)
        except requests.exceptions.RequestException as error:
            raise AlvysConnectionError(
                f"{endpoint}: no answer from {origin(url)}: {root_cause(error)}. Check the host and the network.",
                arrived=not _never_arrived(error),
                endpoint=endpoint,
            ) from error
        if 300 <= response.status_code < 400:
            target = origin(response.headers.get("location", "")) or "another path"
            raise AlvysResponseError(
                f"{endpoint} is redirected to {target}, which is not followed with credentials. "
                "Correct the address in the connection.",
                status_code=response.status_code,
                endpoint=endpoint,
            )
        return response

    def server_offset(self, response: requests.Response) -> float | None:
        """
        Return the server's time less ours, in seconds, for an answer that came just now; None if it does not tell.

        ``Date`` is cut to whole seconds: the server is at that time or up to a second later.
        """
        date = parse_http_date(response.headers.get("date", ""))
        return None if date is None else date - self.clock.time()

    def with_clock(self, clock: Clock) -> Transport:
        """Return a transport over the same session that goes by another clock."""
        other = copy.copy(self)
        other.clock = clock
        return other

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()


def check_address(url: str, *, what: str, allow_http: bool) -> str:
    """
    Return ``url`` without a trailing slash if credentials may be sent to it.

    :param what: how the error names the address, such as ``host``.
    :param allow_http: whether plain http is allowed beyond loopback.
    :raises AlvysValueError: it is no http address, or plain http to another machine.
    """
    if "://" not in url:
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("https", "http")
            and _HOST.fullmatch(parts.hostname or "")
            and (parts.port or 1) > 0
        )
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise AlvysValueError(f"{what} {url!r} is no address: give it like https://integrations.alvys.com")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts):
        raise AlvysValueError(
            f"{what} {url!r} would send credentials in clear text: use https, or set allow_http on the connection "
            "for a simulator on a private network"
        )
    return url.rstrip("/")


def origin(url: str) -> str:
    """Return ``scheme://host:port`` of a URL with the default port spelled out, or "" for one that has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def is_loopback(parts: SplitResult) -> bool:
    """Return whether an address is this machine's own."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what it wraps, outermost first: requests keeps urllib3's reason in args or in .reason."""
    chain: list[BaseException] = []
    step: Any = error
    while isinstance(step, BaseException) and step not in chain:
        chain.append(step)
        step = getattr(step, "reason", None) or next(
            (arg for arg in step.args if isinstance(arg, BaseException)), step.__cause__
        )
    return chain


def _never_arrived(error: BaseException) -> bool:
    # Any other error of TLS may come when the request is long on its way: of a record that was garbled, say, or cut.
    return any(
        isinstance(cause, (NewConnectionError, ConnectTimeoutError, SSLCertVerificationError))
        for cause in _causes(error)
    )


def root_cause(error: BaseException) -> str:
    """Return what is behind an error of requests, in its own words."""
    innermost = _causes(error)[-1]
    return f"{type(innermost).__name__}: {innermost}" if str(innermost) else type(innermost).__name__
