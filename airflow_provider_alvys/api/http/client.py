"""AlvysClient: a request, an answer, an error."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.catalogue.streams import scope_of
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysRateLimitError,
    AlvysValueError,
    error_from_response,
)
from airflow_provider_alvys.api.http.auth import (
    DEFAULT_HOST,
    Credentials,
    Token,
    TokenSource,
    shared_token_source,
)
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.http.pacing import Pacer, shared_pacer
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.transport import (
    DEFAULT_TIMEOUT,
    BearerAuth,
    Transport,
    check_address,
    origin,
)

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

# Seconds for which the server's time, as it was once told, counts. A triggerer's client lives for weeks, and clocks are set.
_OFFSET_COUNTS_FOR = 60.0


@dataclass(frozen=True)
class _Call:
    endpoint: Endpoint
    url: str
    body: dict[str, Any]


class AlvysClient:
    """
    Call the Alvys API for one set of credentials.

    Within a process, clients with equal credentials share one token and one pace.

    :param credentials: see :func:`airflow_provider_alvys.api.http.auth.make_credentials`.
    :param host: base URL of the API.
    :param api_version: the version in every path, such as ``1.0``. None means what Alvys's OpenAPI file gives for each path.
    :param requests_per_minute: the pace per endpoint; 0 for none, None for the documented limits.
    :param timeout: seconds to connect, and seconds to wait for bytes.
    :param allow_http: allow plain http beyond loopback.
    :param retry_rules: how often and how long a failed call is tried again.
    :param on_token: called with each token before its first use, so that the caller can mask it.
    :param clock: the time; a test gives another.
    :param pacer: None means the one that all clients of the budget share.
    :param token_source: None means the one that all clients with these credentials share.
    :raises AlvysValueError: the host is no address that credentials may be sent to.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        host: str = DEFAULT_HOST,
        api_version: str | None = None,
        requests_per_minute: float | None = None,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        allow_http: bool = False,
        retry_rules: RetryRules | None = None,
        on_token: Callable[[str], None] = lambda token: None,
        clock: Clock = SYSTEM_CLOCK,
        pacer: Pacer | None = None,
        token_source: TokenSource | None = None,
    ) -> None:
        self.host = check_address(host, what="host", allow_http=allow_http)
        self.pacer = pacer or shared_pacer(budget_of(credentials, self.host), requests_per_minute)
        self._api_version = api_version.lower().removeprefix("v") if api_version else None
        self._rules = retry_rules or RetryRules()
        self._tokens = token_source or shared_token_source(credentials)
        self._on_token = on_token
        self._announced: str | None = None
        # Tokens that were refused just now, by endpoint.
        self._refused: dict[str, Token] = {}
        self._server_offset: float | None = None
        self._offset_of = 0.0
        self._transport = Transport(timeout=timeout, clock=clock)

    @property
    def clock(self) -> Clock:
        """The clock by which it waits."""
        return self._transport.clock

    def with_clock(self, clock: Clock) -> AlvysClient:
        """Return a client that waits by another clock, and shares this one's connections, token and pace."""
        other = copy.copy(self)
        other._transport = self._transport.with_clock(clock)
        return other

    @property
    def budget(self) -> str:
        """Whose requests count together: a name without secrets for this client id on this host."""
        return budget_of(self._tokens.credentials, self.host)

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that the token holds, or None where Alvys does not say. Fetches a token if there is none."""
        return self._tokens.get(self._transport, self._rules).scopes

    def now(self, *, upper_bound: bool = False, fetch_token: bool = True) -> float:
        """
        Return the time in seconds since 1970, by the earlier of our clock and the server's.

        Fetches a token if the API has not been heard yet: the token server's answer says what time it is, too.

        :param fetch_token: False leaves it at what has been heard so far.
        :param upper_bound: the server tells whole seconds: it may be up to one later than what is returned otherwise.
        """
        offset = self._server_offset
        if offset is None:
            if fetch_token:
                self._tokens.get(self._transport, self._rules)
            offset = self._tokens.server_offset
        return self.clock.time() + min(0.0, (offset or 0.0) + upper_bound)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """
        Call any endpoint and return its answer, whose status is below 300.

        :param method: HTTP method.
        :param path: below the API base (``loads/search``), or on the host when it begins with ``/`` (``/v1/me``).
        :param json: body, sent as JSON.
        :param params: query parameters.
        :param headers: further headers, such as ``If-Match``.
        :raises AlvysValueError: the path leads to another host; nothing was sent.
        :raises AlvysError: a subclass says what went wrong.
        """
        return self.call(
            method, path, read=lambda response: response, json=json, params=params, headers=headers
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        read: Callable[[requests.Response], T],
        json: Any = None,
        data: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        on_failure: Callable[[AlvysError], None] = lambda error: None,
    ) -> T:
        """
        Call an endpoint as :meth:`request` does, and return what ``read`` makes of the answer.

        An answer that ``read`` refuses with :class:`AlvysResponseError` is asked for again like any other failure.

        :param data: a body in bytes, or an iterable of them that knows its length and begins anew for each attempt.
        :param repeatable: whether the call may be made again after it may have arrived; None for reads only.
        :param on_failure: called with the error of each attempt.
        """
        call = self._prepare(method, path, json=json, data=data, params=params, headers=headers)
        repeat = retrying(
            self._rules,
            clock=self.clock,
            endpoint=str(call.endpoint),
            repeatable=call.endpoint.is_read if repeatable is None else repeatable,
            consecutive_429s=self.pacer.consecutive_429s(call.endpoint),
            block_seconds=lambda: self.pacer.block_seconds(call.endpoint),
        )

        def once() -> T:
            try:
                return read(answer())
            except AlvysError as error:
                on_failure(error)
                raise

        def answer() -> requests.Response:
            try:
                response = self._exchange(call)
            except AlvysError as error:
                if error.endpoint == str(call.endpoint) and error.status_code is not None:
                    took_note = (
                        self.pacer.record_429
                        if isinstance(error, AlvysRateLimitError)
                        else self.pacer.reset_429s
                    )
                    took_note(call.endpoint)
                raise
            self.pacer.reset_429s(call.endpoint)
            return response

        return repeat(once)

    def close(self) -> None:
        """Close the connections to Alvys."""
        self._transport.close()

    def _prepare(self, method: str, path: str, **body: Any) -> _Call:
        if not path.strip():
            raise AlvysValueError("The path is empty: give one such as loads/search or /v1/me")
        if "://" in path.split("?", 1)[0]:
            if origin(path) != origin(self.host):
                raise AlvysValueError(
                    f"{origin(path) or path} is not the connection's host {self.host}: the token is sent to no other. "
                    "Give the path alone, or use another connection."
                )
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        endpoint = endpoint_of(method, path)
        if not path.startswith("/"):
            path = f"/api/p/v{self._api_version or endpoint.version}/{path}"
        return _Call(
            endpoint, self.host + path, {key: value for key, value in body.items() if value is not None}
        )

    def _exchange(self, call: _Call) -> requests.Response:
        """Send one call; when its token is refused, once more with a new one."""
        token, response = self._send(call)
        name = str(call.endpoint)
        # The wait for its turn may have ended the call before: then the new one is the token's successor.
        if response.status_code == 401:
            self._tokens.drop(token)
            if self._refused.setdefault(name, token) is token:
                _, response = self._send(call)
        self._refused.pop(name, None)
        if response.status_code >= 400:
            raise self._error(call, response)
        return response

    def _send(self, call: _Call) -> tuple[Token, requests.Response]:
        with self.pacer.slot(call.endpoint, self.clock):
            # Asked for when it is our turn: the wait may have outlasted the last one.
            token = self._tokens.get(self._transport, self._rules)
            if token.value != self._announced:
                self._on_token(token.value)
                self._announced = token.value
            response = self._transport.send(
                call.endpoint.method,
                call.url,
                endpoint=str(call.endpoint),
                auth=BearerAuth(token.value),
                **call.body,
            )
        offset = self._transport.server_offset(response)
        if offset is not None:
            known, now = self._server_offset, self.clock.time()
            # Each is too low, by the part of a second that Date leaves out: the highest is the nearest.
            if known is None or offset > known or not 0 <= now - self._offset_of < _OFFSET_COUNTS_FOR:
                self._server_offset, self._offset_of = offset, now
        return token, response

    def _error(self, call: _Call, response: requests.Response) -> AlvysError:
        advice = scope = held = None
        is_search = call.endpoint.template.endswith("/search")
        if response.status_code == 403:
            scope, held = scope_of(call.endpoint), self.scopes
            advice = _advise_on_scope(scope, held)
        elif response.status_code == 404 and is_search:
            advice = "Alvys has no such page. Try again later"
        error = error_from_response(
            response, endpoint=str(call.endpoint), now=self.clock.time(), advice=advice
        )
        if isinstance(error, AlvysPermissionError) and (
            held is None or (scope is not None and scope not in held)
        ):
            error.missing_scope = scope or "undocumented"
        elif isinstance(error, AlvysNotFoundError):
            error.is_stray = is_search
        return error


def _advise_on_scope(scope: str | None, held: frozenset[str] | None) -> str:
    if scope and held and scope in held:
        return f"The token holds {scope}: something else refuses it, such as a list of allowed addresses. Ask Alvys"
    wanted = f"the scope {scope}" if scope else "a scope"
    holds = f"; it holds {', '.join(sorted(held)) or 'none'}" if held is not None else ""
    return f"The token lacks {wanted}{holds}. Grant it to this API client in Alvys"


def budget_of(credentials: Credentials, host: str) -> str:
    """Return the name of the budget that these credentials spend at this host. It holds no secret."""
    return f"{credentials.client_id}@{origin(host)}"
