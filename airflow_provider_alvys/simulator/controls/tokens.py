"""Both token flows."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_alvys.simulator.options import READ_SCOPES, Options

AUDIENCE = "https://api.alvys.com/public/"


@dataclass(frozen=True)
class Grant:
    """The client, scopes and expiry of a token."""

    client_id: str
    scopes: frozenset[str]
    expires: float


class TokenIssuer:
    """Issues tokens and checks them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._grants: dict[str, Grant] = {}
        self.issued: list[str] = []

    def refusal(self, fields: Mapping[str, str], tenant: str | None) -> tuple[int, str] | None:
        """Return the status and OAuth error for a bad request, or None for a good one."""
        options = self._options
        if fields.get("grant_type") != "client_credentials":
            return 400, "unsupported_grant_type"
        if tenant is not None and tenant != options.tenant:
            return 404, "unknown_tenant"
        if tenant is None and fields.get("audience") != AUDIENCE:
            return 403, "access_denied"
        known = fields.get("client_id") == options.client_id
        if not (
            known
            and hmac.compare_digest(str(fields.get("client_secret")).encode(), options.client_secret.encode())
        ):
            return 401, "access_denied"
        return None

    def grant(self, tenant: str | None, now: float) -> dict[str, object]:
        """Return the token endpoint's response. In the tenant flow it lists no scopes; the token can read."""
        options = self._options
        token = secrets.token_urlsafe(48)
        self.issued.append(token)
        scopes = options.scopes if tenant is None else READ_SCOPES
        self._grants[token] = Grant(
            options.client_id, frozenset(scopes.split()), now + options.token_lifetime
        )
        response: dict[str, object] = {
            "access_token": token,
            "expires_in": int(options.token_lifetime),
            "token_type": "Bearer",
        }
        return response if tenant is not None else {**response, "scope": scopes}

    def check(self, authorization: str, now: float) -> Grant | None:
        """Return the grant of an ``Authorization`` header, or None if it is invalid or expired."""
        kind, _, token = authorization.partition(" ")
        grant = self._grants.get(token) if kind.lower() == "bearer" else None
        return grant if grant and now < grant.expires else None

    def revoke_all(self) -> None:
        """Revoke every token."""
        self._grants.clear()
