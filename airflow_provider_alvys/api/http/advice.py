"""What to do about a response that is an error, by what the request shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.problems import read_object
from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, scrub

_IS_ID = re.compile(r"[iI]d|.*[a-z]Ids?|ids|(?i:load|trip|tender|invoice|truck|trailer)Numbers?")
# A shorter value occurs in a text by chance.
_MIN_QUOTED_CHARS = 3
_MAX_NAMES = 5


def advise_on_scope(scope: str | None, held: frozenset[str] | None) -> str:
    """
    Return what to do about a 403.

    :param scope: that the endpoint needs; None if it is not documented.
    :param held: the token's scopes; None if Alvys does not list them.
    """
    if scope and held and scope in held:
        return f"The token has {scope}, so something else denies access, such as an allowlist. Ask Alvys"
    wanted = f"the scope {scope}" if scope else "a scope"
    # The token's response names them.
    names = scrub(", ".join(sorted(held or ())), MAX_MESSAGE_CHARS)
    has = f"; it has {names or 'none'}" if held is not None else ""
    return f"The token lacks {wanted}{has}. Grant it to this API client in Alvys"


def advise_on_missing(endpoint: Endpoint, url: str, body: Mapping[str, Any], text: str) -> str:
    """
    Return what to check after a 404: the id that the response names, or else all ids of the request.

    :param body: ``json``, ``data`` and ``params`` of the request.
    :param text: what the response says.
    """
    data = body.get("data")
    content = body.get("json") or (
        read_object(data) if isinstance(data, bytes) else getattr(data, "fields", None)
    )
    segments = unquote(urlsplit(url).path).split("/")[-len(endpoint.template.split("/")) :]
    in_path = [
        segment
        for segment, word in zip(segments, endpoint.template.split("/"), strict=False)
        if word == "{id}"
    ]
    places = {
        "path": [("the id", value) for value in in_path],
        "query": list(_ids_of(body.get("params"))),
        "body": list(_ids_of(content)),
    }
    named = {place: [item for item in ids if _is_named(*item, text)] for place, ids in places.items()}
    checks = [
        f"{', '.join(dict.fromkeys(name for name, _ in ids[:_MAX_NAMES]))} in the {place}"
        for place, ids in (named if any(named.values()) else places).items()
        if ids
    ]
    return f"Check {' and '.join(checks) or 'the path'}"


def _ids_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each field that is named as an id or a number."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _ids_of(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _ids_of(inner, path)
    elif value is not None and _IS_ID.fullmatch(path.rpartition(".")[2]):
        yield path, value


def _is_named(name: str, value: Any, text: str) -> bool:
    """Return whether a text contains a field's name or value, as a word."""
    words = [name.rpartition(".")[2], str(value)]
    return any(
        len(word) >= _MIN_QUOTED_CHARS and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
        for word in words
    )
