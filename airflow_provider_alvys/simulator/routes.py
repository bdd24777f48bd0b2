"""Which path is served by which row of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from airflow_provider_alvys.api.operations import Operation
from airflow_provider_alvys.api.streams import Lookup, Stream

_API_PATH = re.compile(r"/api/p/v\d+(?:\.\d+)?/(.*)", re.IGNORECASE)
_NAME = "{}"


@dataclass(frozen=True)
class Route:
    """
    A call that is served.

    :param parts: of the path, in lower case, ``{}`` for those that are names of records.
    :param serves: what it reads or writes.
    :param lookup: for a call that reads one record, or None for one that reads the stream.
    """

    method: str
    parts: tuple[str, ...]
    serves: Stream | Operation
    lookup: Lookup | None = None

    def names(self, parts: list[str]) -> list[str] | None:
        """Return the names of records in a path, or None where it is another one."""
        if len(parts) != len(self.parts):
            return None
        return self._begin(parts)

    def leads_through(self, parts: list[str]) -> bool:
        """Return whether a record's path is on the way to this one: Alvys knows it, but not by this verb."""
        is_on_the_way = len(parts) < len(self.parts) and self.parts[len(parts) - 1] == _NAME
        return is_on_the_way and self._begin(parts) is not None

    def _begin(self, parts: list[str]) -> list[str] | None:
        names = []
        for part, known in zip(parts, self.parts, strict=False):
            if known == _NAME and part:
                names.append(part)
            elif part.lower() != known:
                return None
        return names


@dataclass(frozen=True)
class Match:
    """A request's route, and the names of records in its path."""

    route: Route
    names: list[str]


class Router:
    """All calls of the catalogue."""

    def __init__(self, streams: Iterable[Stream], operations: Iterable[Operation]) -> None:
        routes = [Route(operation.method, _parts(operation.path), operation) for operation in operations]
        for stream in streams:
            routes.append(Route(stream.method, _parts(stream.path), stream))
            if stream.lookup:
                routes.append(Route("GET", _parts(stream.lookup.path), stream, stream.lookup))
        # Words before names: users/list is no user.
        self._routes = sorted(routes, key=lambda route: route.parts.count(_NAME))

    def find(self, method: str, path: str) -> Match | Literal[404, 405]:
        """Return what serves a request, or the status that refuses it; ``path`` as it was sent, still quoted."""
        in_api = _API_PATH.fullmatch(path)
        if in_api is None:
            return 404
        parts = [unquote(part) for part in in_api[1].rstrip("/").split("/")]
        is_known = False
        for route in self._routes:
            names = route.names(parts)
            if names is not None and route.method == method:
                return Match(route, names)
            is_known = is_known or names is not None or route.leads_through(parts)
        return 405 if is_known else 404


def _parts(path: str) -> tuple[str, ...]:
    return tuple(_NAME if part.startswith("{") else part.lower() for part in path.split("/"))
