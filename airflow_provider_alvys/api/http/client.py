"""AlvysClient: requests with a token, pacing, retries and typed errors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.catalogue.streams import scope_of
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysResponseError,
    AlvysValueError,
    error_from_response,
    read_problem,
)
from airflow_provider_alvys.api.http.advice import advise_on_missing, advise_on_scope
from airflow_provider_alvys.api.http.auth import DEFAULT_HOST, Credentials, TokenSource, shared_token_source
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock, DeferRequested
from airflow_provider_alvys.api.http.pacing import Pacer, shared_pacer
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.transport import (
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_TIMEOUT,
    BearerAuth,
    Transport,
    check_host,
    origin,
    root_cause,
)
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.problems import parse_problem

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.auth import Token

T = TypeVar("T")

# Seconds that a measured server offset is valid: a client can live for weeks, and clocks are adjusted.
_SERVER_OFFSET_MAX_AGE = 60.0


@dataclass(frozen=True)
class _Call:
    endpoint: Endpoint
    url: str
    body: dict[str, Any]
    repeatable: bool


class AlvysClient:
    """
    A client of the Alvys API for one set of credentials.

    Clients with equal credentials share one token and one pace within a process.

    :param credentials: see :func:`airflow_provider_alvys.api.http.auth.make_credentials`.
    :param host: base URL of the API.
    :param api_version: version in every path, such as ``1.0``; None means the documented ones.
    :param requests_per_minute: pace per endpoint; 0 for no pacing, None for the documented limits.
    :param timeout: seconds to connect, and seconds to wait for bytes.
    :param max_response_bytes: longest body of a response, decoded.
    :param allow_http: allow plain http to other machines.
    :param retry_rules: how often and how long to retry a failed call.
    :param on_token: called with each token before its first use, so that the caller can mask it.
    :param clock: gives the time and waits; tests replace it.
    :param pacer: None means the shared pacer of the budget.
    :param token_source: None means the shared token source of the credentials.
    :raises AlvysValueError: credentials must not be sent to the host.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        host: str = DEFAULT_HOST,
        api_version: str | None = None,
        requests_per_minute: float | None = None,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        allow_http: bool = False,
        retry_rules: RetryRules | None = None,
        on_token: Callable[[str], None] = lambda token: None,
        clock: Clock = SYSTEM_CLOCK,
        pacer: Pacer | None = None,
        token_source: TokenSource | None = None,
    ) -> None:
        self.host = check_host(host, allow_http=allow_http)
        self.pacer = pacer or shared_pacer(budget_of(credentials, self.host), requests_per_minute)
        self._api_version = api_version.lower().removeprefix("v") if api_version else None
        self._rules = retry_rules or RetryRules()
        self._tokens = token_source or shared_token_source(credentials)
        self._on_token = on_token
        self._reported_token: str | None = None
        # Tokens that were rejected just now, by endpoint.
        self._rejected_tokens: dict[str, Token] = {}
        self._server_offset: float | None = None
        self._server_offset_at = 0.0
        # Replace it to count the waits and 429s of a part of the client's work.
        self.usage = LimitUsage()
        self._transport = Transport(timeout=timeout, max_response_bytes=max_response_bytes, clock=clock)

    @property
    def clock(self) -> Clock:
        """The clock that gives the time and waits."""
        return self._transport.clock

    def with_clock(self, clock: Clock) -> AlvysClient:
        """Return a client with another clock that shares connections, token and pace with this one."""
        other = copy.copy(self)
        other._transport = self._transport.with_clock(clock)
        return other

    @property
    def budget(self) -> str:
        """Name of the API client whose requests count together; it contains no secret."""
        return budget_of(self._tokens.credentials, self.host)

    @property
    def scopes(self) -> frozenset[str] | None:
        """The token's scopes; None if Alvys does not list them. It fetches a token if needed."""
        return self._tokens.get(self._transport, self._rules, self.usage).scopes

    def now(self, *, upper_bound: bool = False, fetch_token: bool = True) -> float:
        """
        Return seconds since 1970, by the earlier of our clock and the server's.

        :param upper_bound: return the latest time that the server's clock may show. ``Date`` is truncated to
            seconds.
        :param fetch_token: fetch a token, to learn the server's time, if there was no response yet.
        """
        offset = self._server_offset
        if offset is None:
            if fetch_token:
                self._tokens.get(self._transport, self._rules, self.usage)
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
        Call any endpoint and return the response, with a status below 300.

        :param method: HTTP method.
        :param path: below the API base (``loads/search``), or on the host if it begins with ``/``
            (``/v1/me``).
        :param json: body, sent as JSON.
        :param params: query parameters.
        :param headers: further headers, such as ``If-Match``.
        :raises AlvysValueError: the path is on another host; nothing was sent.
        :raises AlvysError: a subclass gives the reason.
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
        Call an endpoint as :meth:`request` does, and return the result of ``read``.

        If ``read`` raises :class:`AlvysResponseError`, the call is retried like any other failure.

        :param data: body as bytes, or an iterable of bytes with a length that starts again for each attempt.
        :param repeatable: whether a retry is safe even if the call arrived; None means for reads only.
        :param on_failure: called with the error of each attempt.
        """
        call = self._prepare(method, path, repeatable, json=json, data=data, params=params, headers=headers)
        retry = retrying(
            self._rules,
            clock=self.clock,
            endpoint=str(call.endpoint),
            repeatable=call.repeatable,
            usage=self.usage,
            consecutive_429s=self.pacer.consecutive_429s(call.endpoint),
            block_seconds=lambda: self.pacer.block_seconds(call.endpoint),
        )

        def attempt() -> T:
            try:
                return self._read(call, read)
            except AlvysError as error:
                on_failure(error)
                raise

        return retry(attempt)

    def close(self) -> None:
        """Close the connections to Alvys."""
        self._transport.close()

    def _read(self, call: _Call, read: Callable[[requests.Response], T]) -> T:
        """Make one attempt and return its result; raise no other error than AlvysError after the request."""
        try:
            return read(self._exchange(call))
        except (AlvysError, DeferRequested):
            raise
        except Exception as error:
            # A response can cause errors of any type, such as a RecursionError by deep JSON.
            raise AlvysResponseError(
                f"{call.endpoint}: the response cannot be read: {root_cause(error)}",
                endpoint=str(call.endpoint),
            ) from error

    def _prepare(self, method: str, path: str, repeatable: bool | None = None, **body: Any) -> _Call:
        if not path.strip():
            raise AlvysValueError("path is empty: give one such as loads/search or /v1/me")
        if "://" in path.split("?", 1)[0]:
            if origin(path) != origin(self.host):
                raise AlvysValueError(
                    f"{origin(path) or 'The address in path'} is not the connection's host {self.host}, "
                    "which alone gets its token: give the path alone, or use another connection"
                )
            # Below the host's own path, if it has one.
            path = "/" + path.split("://", 1)[1].partition("/")[2]
            path = path.removeprefix(urlsplit(self.host).path)
        endpoint = endpoint_of(method, path)
        if not path.startswith("/"):
            path = f"/api/p/v{self._api_version or endpoint.version}/{path}"
        given = {key: value for key, value in body.items() if value is not None}
        return _Call(
            endpoint, self.host + path, given, endpoint.is_read if repeatable is None else repeatable
        )

    def _exchange(self, call: _Call) -> requests.Response:
        """Make one attempt, with a new token if the current one is rejected."""
        token, response = self._send(call)
        name = str(call.endpoint)
        if response.status_code == 401 and parse_problem(response.content, status=401) is not None:
            self._tokens.invalidate(token)
            # A deferral between two sends ends the attempt: the token may be the new one already.
            if self._rejected_tokens.setdefault(name, token) is token:
                _, response = self._send(call)
        self._rejected_tokens.pop(name, None)
        if response.status_code == 429:
            self.usage.refusals += 1
            self.pacer.record_429(call.endpoint)
        else:
            self.pacer.reset_429s(call.endpoint)
        if response.status_code >= 400:
            raise self._error(call, response)
        return response

    def _send(self, call: _Call) -> tuple[Token, requests.Response]:
        endpoint = call.endpoint
        with self.pacer.slot(endpoint, self.clock, self.usage):
            # Only now: the token may have expired during the wait.
            token = self._tokens.get(self._transport, self._rules, self.usage)
            if token.value != self._reported_token:
                self._on_token(token.value)
                self._reported_token = token.value
            auth = BearerAuth(token.value)
            try:
                response = self._transport.send(
                    endpoint.method,
                    call.url,
                    endpoint=str(endpoint),
                    auth=auth,
                    new_connection=not call.repeatable,
                    **call.body,
                )
            except AlvysError as error:
                if error.status_code is not None:
                    # A redirect that is refused was a response, and not a 429.
                    self.pacer.reset_429s(endpoint)
                raise
        offset = self._transport.server_offset(response)
        if offset is not None:
            known, now = self._server_offset, self.clock.time()
            # Offsets are too low by a fraction of a second: the highest is the most accurate.
            is_old = not 0 <= now - self._server_offset_at < _SERVER_OFFSET_MAX_AGE
            if known is None or offset > known or is_old:
                self._server_offset, self._server_offset_at = offset, now
        return token, response

    def _error(self, call: _Call, response: requests.Response) -> AlvysError:
        endpoint = call.endpoint
        advice = scope = held = None
        is_search = endpoint.template.endswith("/search")
        if response.status_code == 403:
            scope, held = scope_of(endpoint), self.scopes
            advice = advise_on_scope(scope, held)
        elif response.status_code == 429:
            advice = self.pacer.advise_on_429()
        elif response.status_code == 404 and is_search:
            advice = "A search has no such response in Alvys's documents, so it may pass. Retry later"
        elif response.status_code == 404:
            text = read_problem(response).text
            advice = advise_on_missing(endpoint, call.url, call.body, text)
        error = error_from_response(response, endpoint=str(endpoint), now=self.clock.time(), advice=advice)
        if isinstance(error, AlvysPermissionError):
            if held is None or (scope is not None and scope not in held):
                error.missing_scope = scope or "undocumented"
        elif isinstance(error, AlvysNotFoundError):
            error.is_stray = is_search
        return error


def budget_of(credentials: Credentials, host: str) -> str:
    """Return the name of the request budget of these credentials at this host; it contains no secret."""
    return f"{credentials.client_id}@{origin(host)}"
