"""JSON requests and responses, and Alvys's error bodies."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import responses
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

# Raised by a body that is not JSON: bad syntax, bad UTF-8, or nested too deep.
JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Phrases by status, as in RFC 9110. Before Python 3.13 some are older.
REASONS: Mapping[int, str] = responses | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

_JSON = "application/json; charset=utf-8"
_EDGE_PAGE = (
    "<!DOCTYPE html><html><head><title>Access denied | Cloudflare</title></head><body>Error {}</body></html>"
)


async def read_json(request: Request) -> Any:
    """Return a request's body from JSON, {} for an empty one. Raises one of ``JSON_ERRORS``."""
    body = await request.body()
    return msgspec.json.decode(body) if body else {}


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as a JSON response; bytes are sent as they are."""
    content = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(content, status, headers, _JSON)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """Return Alvys's ProblemDetails; ``more`` adds or replaces fields."""
    body = {
        "Type": f"https://httpstatuses.io/{status}",
        "Title": REASONS.get(status, "Unknown"),
        "Status": status,
        "Detail": detail,
        **more,
    }
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


def edge_page(status: int, content_type: str = "text/html; charset=UTF-8") -> Response:
    """Return an HTML page as Alvys's network sends it."""
    return Response(_EDGE_PAGE.format(status), status, {"content-type": content_type})
