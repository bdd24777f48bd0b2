"""The settings of an Alvys connection, and a client for them. Not imported while a DAG is parsed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk.log import mask_secret

from airflow_provider_alvys.api.documents.addresses import AddressRules
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.http.auth import DEFAULT_HOST, Credentials, make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.transport import (
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_TIMEOUT,
    check_host,
    is_loopback,
    strip_edges,
)
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.api.web import check_url_template
from airflow_provider_alvys.connection_form import FIELDS, RELABELING

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionSettings:
    """
    The validated fields of an Alvys connection.

    :param warnings: sentences about what in the connection is ignored.
    """

    host: str
    credentials: Credentials
    api_version: str | None
    requests_per_minute: float | None
    page_size: int | None
    timeout: tuple[float, float]
    allow_http: bool
    web_url: str | None = None
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    allow_private_downloads: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def address_rules(self) -> AddressRules:
        """The addresses that documents may be downloaded from."""
        return AddressRules(
            allow_loopback=is_loopback(urlsplit(self.host)),
            allow_private=self.allow_private_downloads or self.allow_http,
        )


def make_client(settings: ConnectionSettings, **options: Any) -> AlvysClient:
    """Return a client for a connection. ``options`` are arguments of AlvysClient and override settings."""
    defaults = {
        "host": settings.host,
        "api_version": settings.api_version,
        "requests_per_minute": settings.requests_per_minute,
        "timeout": settings.timeout,
        "max_response_bytes": settings.max_response_bytes,
        "allow_http": settings.allow_http,
        "on_token": mask_secret,
    }
    return AlvysClient(settings.credentials, **{**defaults, **options})


def read_settings(connection: Connection) -> ConnectionSettings:
    """
    Return the settings of an Airflow connection. An empty field means its default.

    :raises AlvysValueError: a field is missing or wrong.
    """
    connection.extra = strip_edges(connection.extra or "")
    extra = connection.extra_dejson
    is_empty = connection.extra in ("", "{}", "null")
    if not isinstance(extra, dict) or not (extra or is_empty):
        raise AlvysValueError("extra of the connection is not a JSON object: correct it, or leave it empty")
    # The form stores untouched fields as None or "".
    extra = {name: value for name, value in extra.items() if value not in (None, "")}
    allow_http = _boolean(extra, "allow_http")
    host = check_host(strip_edges(connection.host or "") or DEFAULT_HOST, allow_http=allow_http)
    if connection.port and urlsplit(host).port is None:
        # Including 443: the Test button of Airflow 3.3 requires a port.
        parts = urlsplit(host)
        host = parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()
    read_timeout = _number(extra, "timeout")
    page_size = _number(extra, "page_size")
    max_response_mb = _number(extra, "max_response_mb")
    rate = _number(extra, "requests_per_minute")
    web_url = _text(extra, "web_url")
    if 0 in (read_timeout, page_size, max_response_mb):
        raise AlvysValueError("timeout, page_size and max_response_mb of the connection must be more than 0")
    credentials = make_credentials(
        connection.login,
        connection.password,
        host=host,
        tenant_id=_text(extra, "tenant_id"),
        auth_url=_text(extra, "auth_url"),
        audience=_text(extra, "audience"),
        allow_http=allow_http,
    )
    if credentials.client_secret != connection.password:
        # Airflow masks the password as it is stored.
        mask_secret(credentials.client_secret)
    texts = {"host": connection.host, "login": connection.login, "password": connection.password}
    warnings = tuple(_warnings(texts, extra))
    for warning in warnings:
        log.warning("Connection %s: %s", connection.conn_id, warning)
    return ConnectionSettings(
        host=host,
        credentials=credentials,
        warnings=warnings,
        api_version=_text(extra, "api_version"),
        requests_per_minute=rate,
        page_size=None if page_size is None else int(page_size),
        timeout=(DEFAULT_TIMEOUT[0], read_timeout or DEFAULT_TIMEOUT[1]),
        allow_http=allow_http,
        web_url=None if web_url is None else check_url_template(web_url),
        allow_private_downloads=_boolean(extra, "allow_private_downloads"),
        max_response_bytes=(
            DEFAULT_MAX_RESPONSE_BYTES if max_response_mb is None else int(max_response_mb * 1024 * 1024) or 1
        ),
    )


def _warnings(texts: Mapping[str, str | None], extra: Mapping[str, Any]) -> Iterator[str]:
    for name, text in texts.items():
        if text and text != strip_edges(text):
            yield f"White space at an end of {RELABELING[name]} is ignored: remove it."
    fields = [field.name for field in FIELDS]
    for name in extra:
        if name not in fields:
            yield f"extra has {scrub(repr(name))}, which is ignored.{suggest(name, fields, 'Its fields')}"


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    return strip_edges(str(extra[name])) or None if name in extra else None


def _number(extra: Mapping[str, Any], name: str) -> float | None:
    if name not in extra:
        return None
    try:
        value = float(extra[name])
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value < float("inf"):
        raise AlvysValueError(
            f"{name} of the connection is {extra[name]!r}: give a number, or leave it empty"
        )
    return value


def _boolean(extra: Mapping[str, Any], name: str) -> bool:
    value = str(extra.get(name, False)).strip().lower()
    if value not in ("true", "false", "1", "0"):
        raise AlvysValueError(f"{name} of the connection is {extra[name]!r}: give true or false")
    return value in ("true", "1")
