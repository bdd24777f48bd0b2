"""Endpoints: a method and a path without ids, the key for limits, API versions and counters."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The fixed segments of the API's paths. Any other segment is an id.
_WORDS = frozenset(
    """
    accept accept-cancel accept-updates appointment arrival assign cancel carrier-invoice carrier-payments
    carrier-settlement-statements carriers check-calls customer-payments customers deductions delivery-logs
    departure disable dispatch dispatchpreferences document documents driver-settlement-statements drivers
    enable errors event-types events export financing fuel health history inbound invoices list loads
    location locations maintenance notes once outbound reject reveal-secret rotate-secret search status stops
    telemetry tenders test tolls tracking trailers trips trucks type update users verify visibility webhooks
    """.split()
)
_API_PATH = re.compile(r"/api/p/v[\d.]+/(.*)", re.IGNORECASE)

# The OpenAPI file has version 2.0 for these and 1.0 for all others.
_VERSION_2_ROOTS = ("loads",)
_VERSION_2_PATHS = ("trips/{id}/check-calls",)

# The ends of paths that are read with POST.
_SEARCHES = ("/search", "visibility/outbound/errors")


# The ends of paths whose response is a secret.
_SECRETS = ("/reveal-secret", "/rotate-secret")


@dataclass(frozen=True)
class Endpoint:
    """
    One call of the API.

    :param method: upper case.
    :param template: the path below the API base with ``{id}`` for every id, such as ``drivers/{id}``; a path
        outside the API base begins with ``/``.
    """

    method: str
    template: str

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def is_read(self) -> bool:
        """Whether the call only reads and may be repeated: a GET or a search."""
        return self.method in ("GET", "HEAD") or self.template.endswith(_SEARCHES)

    @property
    def returns_secret(self) -> bool:
        """Whether the response is a secret, or contains one in an undocumented shape."""
        return self.template.endswith(_SECRETS)

    @property
    def version(self) -> str:
        """The API version of this path in Alvys's OpenAPI file."""
        root = self.template.split("/", 1)[0]
        return "2.0" if root in _VERSION_2_ROOTS or self.template in _VERSION_2_PATHS else "1.0"


def endpoint_of(method: str, path: str) -> Endpoint:
    """Return the endpoint of a path below the API base (``loads/search``) or on the host (``/v1/me``)."""
    path = path.partition("?")[0]
    in_api = _API_PATH.fullmatch(path)
    if in_api:
        path = in_api[1]
    elif path.startswith("/"):
        return Endpoint(method.upper(), path)
    segments = (
        segment.lower() if not segment or segment.lower() in _WORDS else "{id}" for segment in path.split("/")
    )
    return Endpoint(method.upper(), "/".join(segments).rstrip("/"))
