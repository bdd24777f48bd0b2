"""Error bodies: those of Alvys itself, and all others, which come from a gateway in front of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_alvys.api.scrubbing import scrub

_MEMBERS: dict[str, type] = {
    "type": str,
    "title": str,
    "status": int,
    "detail": str,
    "instance": str,
    "traceid": str,
    "errors": dict,
}
# Names in the errors of other software, which are no fields of a request.
_NOT_FIELDS = frozenset(("error", "errors", "fault", "message", "messages"))
_MAX_ID_CHARS = 100
# A server can send any number of messages.
_MAX_MESSAGES = 50
_MAX_MESSAGE_CHARS = 1000


@dataclass(frozen=True)
class Problem:
    """The content of an error body of Alvys, without secrets."""

    title: str = ""
    fields: dict[str, list[str]] = field(default_factory=dict)
    trace_id: str | None = None
    type: str | None = None

    @property
    def text(self) -> str:
        """The messages in one line, truncated if long."""
        parts = [self.title] if self.title else []
        parts += [f"{name}: {' '.join(messages)}" for name, messages in self.fields.items()]
        return scrub("; ".join(parts))


def parse_problem(body: bytes, *, status: int) -> Problem | None:
    """
    Parse an error body of Alvys: ProblemDetails with keys in any case, a map of field messages, or nothing.

    :param status: of the response. Only a validation error is a map of field messages.
    :return: None for any other body, such as an HTML page: it is not from Alvys.
    """
    if not body.strip():
        return Problem()
    content = read_object(body)
    if content is None:
        return None
    lower = {str(key).lower(): value for key, value in content.items()}
    if _is_problem_details(lower):
        title = ": ".join(filter(None, map(_text, (lower.get("title"), lower.get("detail")))))
        fields = _fields(lower.get("errors") or {})
        return Problem(title, fields, _id(lower.get("traceid")), _id(lower.get("type")))
    is_field_map = status == 400 and not lower.keys() & _NOT_FIELDS
    if is_field_map and all(map(_is_messages, content.values())):
        return Problem(fields=_fields(content))
    return None


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, or None."""
    try:
        # As bytes: a byte order mark is skipped.
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _is_problem_details(lower: Mapping[str, Any]) -> bool:
    if any("_" in name or not isinstance(lower[name], _MEMBERS.get(name, object) | None) for name in lower):
        # Alvys's names have no underscores. Cloudflare's problems do.
        return False
    known = lower.keys() & _MEMBERS.keys()
    return not lower or bool(lower.get("title")) or (len(known) > 1 and known == lower.keys())


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(message, str) for message in value)


def _fields(errors: Mapping[str, Any]) -> dict[str, list[str]]:
    listed = ((name, value if isinstance(value, list) else [value]) for name, value in errors.items())
    messages = ((name, message) for name, values in listed for message in values)
    fields: dict[str, list[str]] = {}
    for name, message in islice(messages, _MAX_MESSAGES):
        texts = fields.setdefault(scrub(name[:_MAX_MESSAGE_CHARS]), [])
        texts.append(scrub(str(message)[:_MAX_MESSAGE_CHARS]))
    return fields


def _text(value: Any) -> str | None:
    return scrub(value) if isinstance(value, str) else None


def _id(value: Any) -> str | None:
    return scrub(value, _MAX_ID_CHARS) if isinstance(value, str) else None
