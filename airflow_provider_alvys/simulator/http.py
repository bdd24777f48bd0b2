"""Requests and answers, and Alvys's error bodies."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from airflow_provider_alvys.simulator.faults import Fault

EDGE_PAGE = b"<!DOCTYPE html><html><head><title>Access denied | Cloudflare</title></head><body>Error %d</body></html>"

# What a body that is no JSON raises: bad syntax, bad UTF-8, or nested too deep.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass
class Request:
    """A request, read to its end; ``raw_path`` is still quoted, ``pairs`` are the query's parameters."""

    method: str
    path: str
    raw_path: str
    pairs: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, the last of each name."""
        return dict(self.pairs)

    @property
    def base(self) -> str:
        """What an address on the server that it was sent to begins with."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"

    def json(self) -> Any:
        """Return the body as JSON, {} for an empty one. Raises one of ``UNREADABLE``."""
        return msgspec.json.decode(self.body) if self.body else {}


class Refusal(Exception):
    """What Alvys refuses: the status, and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass
class Answer:
    """An answer, and what becomes of it on its way."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return a value as a JSON answer."""
    return Answer(status, msgspec.json.encode(value))


def problem(status: int, detail: str) -> Answer:
    """Return Alvys's ProblemDetails."""
    title = HTTPStatus(status).phrase
    body = {"Type": f"https://httpstatuses.io/{status}", "Title": title, "Status": status, "Detail": detail}
    return Answer(status, msgspec.json.encode(body), "application/problem+json")
