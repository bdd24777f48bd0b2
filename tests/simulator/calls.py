"""Plain HTTP calls to a simulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import requests

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Branch, Stream, TimeWindow
from airflow_provider_alvys.simulator.process import Simulator

# 24 November 2026, midnight.
NOW = 1_795_478_400
SINCE, UNTIL = "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
# The week before, for windows with a maximum length.
WEEK = ("2026-11-17T00:00:00Z", "2026-11-24T00:00:00Z")


def get_token(alvys: Simulator) -> str:
    fields = {
        "client_id": "simulator",
        "client_secret": "simulator-secret",
        "grant_type": "client_credentials",
        "audience": "https://api.alvys.com/public/",
    }
    return str(requests.post(f"{alvys.url}/oauth/token", json=fields, timeout=10).json()["access_token"])


class Caller:
    """A client with a base path and a token."""

    def __init__(self, alvys: Simulator) -> None:
        self._url = alvys.url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {get_token(alvys)}"

    def get(self, path: str, **query: Any) -> requests.Response:
        return self._session.get(f"{self._url}/api/p/v1.0/{path}", params=query, timeout=10)

    def post(self, path: str, body: Any) -> requests.Response:
        return self._session.post(f"{self._url}/api/p/v1.0/{path}", json=body, timeout=10)

    def send(self, method: str, path: str, body: Any = None, **how: Any) -> requests.Response:
        """Send a write; ``how`` is ``headers``, ``files`` or ``data``."""
        return self._session.request(method, f"{self._url}/api/p/v1.0/{path}", json=body, timeout=10, **how)

    def search(
        self, stream: Stream, fields: dict[str, Any], parents: list[str] | None = None
    ) -> requests.Response:
        """Send a search with only these fields, and a page where one is required; None omits a field."""
        body = {name: value for name, value in fields.items() if value is not None}
        if stream.response_type == "page":
            body = {"Page": 0, "PageSize": stream.max_page_size or 1000, **body}
        if stream.parent and stream.parent.param and parents is not None:
            body[stream.parent.param] = parents
        path = stream.path
        if stream.is_child and stream.parent:
            path = path.replace(f"{{{stream.parent.column}}}", (parents or [""])[0])
        return self.get(path, **body) if stream.method == "GET" else self.post(path, nest(body))

    def rows(
        self, stream: Stream, fields: dict[str, Any], parents: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return all rows that a search finds."""
        found: list[dict[str, Any]] = []
        while True:
            page = {"Page": fields.get("Page", 0) + (len(found) // (stream.max_page_size or 1000))}
            answer = self.search(
                stream, {**fields, **page} if stream.response_type == "page" else fields, parents
            )
            if answer.status_code == 404 and found:
                return found
            assert answer.status_code == 200, answer.text
            value = answer.json()
            if stream.response_type != "page":
                return list(value) if stream.response_type == "list" else [value]
            found += value["Items"]
            if len(found) >= value["Total"]:
                return found


def nest(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with an object for each dotted name."""
    nested: dict[str, Any] = {}
    for name, value in body.items():
        *heads, last = name.split(".")
        place = nested
        for head in heads:
            place = place.setdefault(head, {})
        place[last] = value
    return nested


def period(window: TimeWindow, since: str | None, until: str | None) -> dict[str, Any]:
    """Return the search fields of a window."""
    if len(window.params) == 2:
        return {name: value for name, value in zip(window.params, (since, until), strict=True) if value}
    return {window.params[0]: {name: value for name, value in (("Start", since), ("End", until)) if value}}


def searches(stream: Stream) -> Iterable[dict[str, Any]]:
    """Yield the fields of the searches that find every row, or else every row of the last week."""
    for branch in stream.full_read or (Branch(window=stream.default_window),):
        fields = stream.search_fields(branch.filters)
        window = stream.window(branch.window) if branch.window else None
        yield fields | (period(window, *(WEEK if window.max_length else (SINCE, UNTIL))) if window else {})


def parents_of(alvys: Simulator, stream: Stream) -> list[str] | None:
    """Return the names of a stream's first parents."""
    if stream.parent is None:
        return None
    names = [row[stream.parent.column] for row in rows_of(alvys, stream=stream.parent.stream)]
    return names[:5] if stream.is_child else names


def rows_of(alvys: Simulator, **query: Any) -> list[dict[str, Any]]:
    return [json.loads(row) for row in alvys.truth_rows(**query)]


def start(alvys: Simulator) -> Caller:
    """Reset to a few rows, at a known time."""
    alvys.reset(loads=60, fleet=20, now=NOW)
    alvys.set_clock(NOW)
    return Caller(alvys)


def one(alvys: Simulator, stream: str, number: int = 3, **columns: Any) -> dict[str, Any]:
    """Return a row, after setting these columns."""
    key = alvys.truth_keys(stream=stream)[number]
    alvys.change(stream=stream, keys=[key], columns=columns)
    return rows_of(alvys, stream=stream)[number]


def read(caller: Caller, stream: str, key: str) -> dict[str, Any]:
    lookup = STREAMS[stream].lookup
    assert lookup
    answer = caller.get(stream, id=key) if lookup.one_of else caller.get(f"{stream}/{key}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
