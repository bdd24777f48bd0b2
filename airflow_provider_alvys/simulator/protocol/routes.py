"""Routes as in Alvys: case-insensitive, with any version, and with quoted record names."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

Handler = Callable[[Request], Awaitable[Response]]

API_PREFIX = "/api/p/v{version:float}/"


class AnyCaseRoute(Route):
    """
    A route with a case-insensitive path.

    :param method: None means any.
    """

    def __init__(self, method: str | None, path: str, endpoint: Handler) -> None:
        super().__init__(path, endpoint, methods=[method] if method else None)
        self.methods = {method} if method else None
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


class AnyPathMount(Mount):
    """A mount whose paths may contain newlines, as file names do."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


def path_names(request: Request) -> list[str]:
    """Return the record names in the path of a request to the API."""
    return [unquote(name) for key, name in request.path_params.items() if key != "version"]
