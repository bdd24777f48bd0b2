"""Bearer tokens: two flows to get one, and its renewal."""

from __future__ import annotations

import logging
import math
import re
import threading
from codecs import BOM_UTF8
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysError,
    AlvysRateLimitError,
    AlvysResponseError,
    AlvysServerError,
    AlvysValueError,
    error_from_response,
    gateway_error,
)
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.transport import NO_AUTH, Transport, check_address, strip_edges
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.problems import parse_problem, read_object
from airflow_provider_alvys.api.scrubbing import remember_secret

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

DEFAULT_HOST = "https://integrations.alvys.com"
DEFAULT_AUTH_URL = "https://auth.alvys.com/oauth/token"
# The trailing slash is part of the identifier.
DEFAULT_AUDIENCE = "https://api.alvys.com/public/"

# The token request's name in errors.
TOKEN_ENDPOINT = "POST token"  # noqa: S105
_TENANT_FLOW_PATH = re.compile(r"/authentication/[^/]+/token/?$", re.IGNORECASE)
# What a header can carry.
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_RENEW_MARGIN = 60.0
# For a response without expires_in, as in Alvys's own integration.
_DEFAULT_LIFETIME = 900.0
# Auth0's maximum.
_MAX_LIFETIME = 30 * 86_400.0
_MAX_RESPONSE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Credentials:
    """
    An API client's credentials.

    :param auth_url: address of the token endpoint.
    :param audience: of the token; None in the tenant flow.
    """

    client_id: str
    client_secret: str = field(repr=False)
    auth_url: str = DEFAULT_AUTH_URL
    audience: str | None = DEFAULT_AUDIENCE

    @property
    def is_tenant_flow(self) -> bool:
        """Whether this is the older flow: form-encoded, without audience and list of scopes."""
        return self.audience is None


def make_credentials(
    client_id: str | None,
    client_secret: str | None,
    *,
    host: str = DEFAULT_HOST,
    tenant_id: str | None = None,
    auth_url: str | None = None,
    audience: str | None = None,
    allow_http: bool = False,
) -> Credentials:
    """
    Return the credentials of one of Alvys's two flows.

    :param tenant_id: company code for ``{host}/api/authentication/{tenant_id}/token``; None: current flow.
    :param auth_url: another address; ``…/authentication/<tenant>/token`` means the tenant flow.
    :raises AlvysValueError: a value is missing or not valid, or the secret would be sent in clear text.
    """
    # Copied values bring line breaks and byte order marks along.
    client_id, client_secret = (strip_edges(text or "") for text in (client_id, client_secret))
    if not client_id or not client_secret:
        raise AlvysValueError(
            "The connection has no client id or no client secret: set them as login and password. "
            "An admin creates them in Alvys under API access."
        )
    if tenant_id and not re.fullmatch(r"[\w.-]+", tenant_id):
        raise AlvysValueError(
            f"tenant_id={tenant_id!r} is not a company code: use letters, digits, dots, dashes"
        )
    if auth_url:
        if "{tenant_id}" in auth_url and not tenant_id:
            raise AlvysValueError("auth_url contains {tenant_id}, but no tenant_id is set: set it")
        url = auth_url.replace("{tenant_id}", tenant_id or "")
    elif tenant_id:
        url = f"{host}/api/authentication/{tenant_id}/token"
    else:
        url = DEFAULT_AUTH_URL
    tenant_flow = bool(tenant_id) or _TENANT_FLOW_PATH.search(url) is not None
    return Credentials(
        client_id=client_id,
        client_secret=client_secret,
        auth_url=check_address(url, what="auth_url", allow_http=allow_http),
        audience=None if tenant_flow else audience or DEFAULT_AUDIENCE,
    )


class _TokenResponse(msgspec.Struct):
    """A response with a token. Its optional fields may have any form."""

    access_token: str
    expires_in: msgspec.Raw = msgspec.Raw(b"null")
    scope: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def lifetime(self) -> float:
        """Seconds until the token expires; the default unless the response has a positive number."""
        value = _decode_optional(self.expires_in)
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        return min(seconds, _MAX_LIFETIME) if 0 < seconds < math.inf else _DEFAULT_LIFETIME

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes, from a text or a list of texts; None without any."""
        value = _decode_optional(self.scope)
        texts = value if isinstance(value, list) else [value]
        return frozenset(scope for text in texts if isinstance(text, str) for scope in text.split()) or None


def _decode_optional(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


@dataclass(frozen=True)
class Token:
    """
    A bearer token.

    :param renew_at: seconds since 1970 from which to renew it.
    :param scopes: None if Alvys does not list them (tenant flow: every read).
    """

    value: str = field(repr=False)
    renew_at: float
    scopes: frozenset[str] | None


class TokenSource:
    """Cache one token for one set of credentials, and renew it a minute before it expires."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.server_offset: float | None = None
        self._token: Token | None = None
        self._lock = threading.Lock()

    def get(self, transport: Transport, rules: RetryRules, usage: LimitUsage | None = None) -> Token:
        """
        Return a valid token; fetch one if needed.

        :param usage: counts the waits after a 429.
        :raises AlvysAuthError: the credentials are rejected.
        """
        with self._lock:
            if self._token is None or transport.clock.time() >= self._token.renew_at:
                retry = retrying(
                    rules, endpoint=TOKEN_ENDPOINT, clock=transport.clock, repeatable=True, usage=usage
                )
                self._token = retry(self._fetch, transport)
            return self._token

    def invalidate(self, token: Token) -> None:
        """Forget ``token``, unless it has been replaced already."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _fetch(self, transport: Transport) -> Token:
        credentials = self.credentials
        fields = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        if credentials.is_tenant_flow:
            body: dict[str, Any] = {"data": fields}
        else:
            body = {"json": {**fields, "audience": credentials.audience}}
        remember_secret(credentials.client_secret)
        requested_at = transport.clock.time()
        response = transport.send(
            "POST",
            credentials.auth_url,
            endpoint=TOKEN_ENDPOINT,
            auth=NO_AUTH,
            max_bytes=_MAX_RESPONSE_BYTES,
            **body,
        )
        if response.status_code >= 400:
            raise self._error(response, now=transport.clock.time())
        token = self._decode(response.content, response.status_code)
        remember_secret(token.access_token)
        self.server_offset = transport.server_offset(response)
        lifetime = token.lifetime
        margin = _RENEW_MARGIN if lifetime > _RENEW_MARGIN else lifetime / 2
        log.debug("Token received: lifetime=%d s", lifetime)
        return Token(value=token.access_token, renew_at=requested_at + lifetime - margin, scopes=token.scopes)

    def _error(self, response: requests.Response, *, now: float) -> AlvysError:
        """Return the error for a refusal. It does not quote the body, which may contain the secret."""
        body, status = response.content, response.status_code
        is_oauth = isinstance((read_object(body) or {}).get("error"), str)
        if status != 429 and not is_oauth and parse_problem(body, status=status) is None:
            return gateway_error(response, endpoint=TOKEN_ENDPOINT, now=now)
        error = error_from_response(response, endpoint=TOKEN_ENDPOINT, now=now, quote_body=False)
        if isinstance(error, (AlvysServerError, AlvysRateLimitError)):
            return error
        return AlvysAuthError(
            f"Token endpoint {self.credentials.auth_url} answered {status}. {self._advice()}",
            status_code=status,
            endpoint=TOKEN_ENDPOINT,
        )

    def _advice(self) -> str:
        if self.credentials.is_tenant_flow:
            return "Check the tenant id, the client id and the client secret of the connection."
        return "Check the client id and the client secret of the connection, and its audience if you set one."

    def _decode(self, body: bytes, status: int) -> _TokenResponse:
        try:
            token = msgspec.json.decode(body.removeprefix(BOM_UTF8), type=_TokenResponse)
            token.access_token = token.access_token.strip()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            token = None
        if token is None or not _VISIBLE_ASCII.fullmatch(token.access_token):
            # The decoder's message may quote the body: from None leaves it out.
            raise AlvysResponseError(
                f"Token endpoint {self.credentials.auth_url} answered {status} without a usable token. "
                "Check auth_url.",
                status_code=status,
                endpoint=TOKEN_ENDPOINT,
            ) from None
        return token


_sources: dict[Credentials, TokenSource] = {}
_sources_lock = threading.Lock()


def shared_token_source(credentials: Credentials) -> TokenSource:
    """Return this process's only token source for these credentials."""
    with _sources_lock:
        return _sources.setdefault(credentials, TokenSource(credentials))
