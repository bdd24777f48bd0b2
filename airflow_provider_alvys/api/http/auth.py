"""The bearer token: two flows to get one, and its life."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysResponseError,
    AlvysValueError,
    error_from_response,
)
from airflow_provider_alvys.api.http.retries import RetryRules, retrying
from airflow_provider_alvys.api.http.transport import NO_AUTH, Transport, check_address

log = logging.getLogger(__name__)

DEFAULT_HOST = "https://integrations.alvys.com"
DEFAULT_AUTH_URL = "https://auth.alvys.com/oauth/token"
# The trailing slash is part of the identifier.
DEFAULT_AUDIENCE = "https://api.alvys.com/public/"

# How errors name the request for a token.
TOKEN_ENDPOINT = "POST token"  # noqa: S105
_TENANT_FLOW_PATH = re.compile(r"/authentication/[^/]+/token/?$", re.IGNORECASE)
_RENEW_BEFORE = 60.0
# For an answer without expires_in: what Alvys's own integration assumes.
_DEFAULT_LIFETIME = 900.0


@dataclass(frozen=True)
class Credentials:
    """
    Who asks, and where for a token.

    :param auth_url: the address of the token endpoint.
    :param audience: what the token is for; None in the tenant flow, which has no audience.
    """

    client_id: str
    client_secret: str = field(repr=False)
    auth_url: str = DEFAULT_AUTH_URL
    audience: str | None = DEFAULT_AUDIENCE

    @property
    def is_tenant_flow(self) -> bool:
        """Whether this is the older flow: form-encoded, no audience, a token without a list of scopes."""
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

    :param tenant_id: the company code: asks ``{host}/api/authentication/{tenant_id}/token``. None means today's flow.
    :param auth_url: another address for either flow; one of the form ``…/authentication/<tenant>/token`` is the tenant flow.
    :raises AlvysValueError: something is missing, or the secret would travel in clear text.
    """
    if not client_id or not client_secret:
        raise AlvysValueError(
            "The connection has no client id or no client secret: set them as login and password. "
            "An admin makes them in Alvys under API access."
        )
    if tenant_id and not re.fullmatch(r"[\w.-]+", tenant_id):
        raise AlvysValueError(
            f"tenant_id {tenant_id!r} is no company code: it has letters, digits, dots, dashes only"
        )
    if auth_url:
        if "{tenant_id}" in auth_url and not tenant_id:
            raise AlvysValueError(
                "auth_url has {tenant_id} in it, but the connection has no tenant_id: set it"
            )
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


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    scope: str | None = None


@dataclass(frozen=True)
class Token:
    """
    A bearer token.

    :param renew_at: seconds since 1970 from which it is no longer used.
    :param scopes: what it may do, or None where Alvys does not say (the tenant flow: every read).
    """

    value: str = field(repr=False)
    renew_at: float
    scopes: frozenset[str] | None


class TokenSource:
    """Keep one token for one set of credentials, and renew it a minute before it ends."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.server_offset: float | None = None
        self._token: Token | None = None
        self._lock = threading.Lock()

    def get(self, transport: Transport, rules: RetryRules) -> Token:
        """
        Return a token that is good now, fetching one where there is none.

        :raises AlvysAuthError: the credentials are refused.
        """
        with self._lock:
            if self._token is None or transport.clock.time() >= self._token.renew_at:
                repeat = retrying(rules, endpoint=TOKEN_ENDPOINT, clock=transport.clock, repeatable=True)
                self._token = repeat(self._fetch, transport)
            return self._token

    def drop(self, token: Token) -> None:
        """Forget ``token``, unless it has been replaced meanwhile."""
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
        asked_at = transport.clock.time()
        response = transport.send("POST", credentials.auth_url, endpoint=TOKEN_ENDPOINT, auth=NO_AUTH, **body)
        if response.status_code == 429 or response.status_code >= 500:
            now = transport.clock.time()
            raise error_from_response(response, endpoint=TOKEN_ENDPOINT, now=now, quote_body=False)
        if response.status_code >= 400:
            raise AlvysAuthError(
                f"The token endpoint {credentials.auth_url} answered {response.status_code}. {self._advice()}",
                status_code=response.status_code,
                endpoint=TOKEN_ENDPOINT,
            )
        answer = self._decode(response.content, response.status_code)
        self.server_offset = transport.server_offset(response)
        lifetime = answer.expires_in if answer.expires_in is not None else _DEFAULT_LIFETIME
        margin = _RENEW_BEFORE if lifetime > _RENEW_BEFORE else lifetime / 2
        log.info("Got an Alvys token for %d s", lifetime)
        return Token(
            value=answer.access_token,
            renew_at=asked_at + lifetime - margin,
            scopes=frozenset(answer.scope.split()) if answer.scope else None,
        )

    def _advice(self) -> str:
        if self.credentials.is_tenant_flow:
            return "Check the tenant id, the client id and the client secret of the connection."
        return "Check the client id and the client secret of the connection, and its audience if you set one."

    def _decode(self, body: bytes, status: int) -> _TokenAnswer:
        try:
            # Not strictly: some token servers give expires_in as a text.
            answer = msgspec.json.decode(body, type=_TokenAnswer, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = None
        # A token goes into a header: visible ASCII only.
        if (
            answer is None
            or not re.fullmatch(r"[\x21-\x7e]+", answer.access_token)
            or (answer.expires_in or 1) <= 0
        ):
            # from None: the decoder's message could quote the body.
            raise AlvysResponseError(
                f"{self.credentials.auth_url} answered {status} without a usable token. Check auth_url.",
                status_code=status,
                endpoint=TOKEN_ENDPOINT,
            ) from None
        return answer


_sources: dict[Credentials, TokenSource] = {}
_sources_lock = threading.Lock()


def shared_token_source(credentials: Credentials) -> TokenSource:
    """Return this process's only token source for these credentials."""
    with _sources_lock:
        return _sources.setdefault(credentials, TokenSource(credentials))
