"""Lookup of a single record."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.stream_spec import Lookup, Stream
from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.suggestions import suggest

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class VersionedRecord:
    """
    A record with its version.

    :param etag: the response's ETag header, or None.
    """

    record: dict[str, Any]
    etag: str | None


def look_up(client: AlvysClient, stream: Stream, selector: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return one record, decoded by :func:`airflow_provider_alvys.api.read.page_decoder.decode_row`.

    :param selector: such as ``{"loadNumber": "1001"}``; ``load_number`` means the same.
    :raises AlvysValueError: the stream has no lookup, or none by this selector; nothing was sent.
    :raises AlvysNotFoundError: the record does not exist.
    """
    return look_up_with_etag(client, stream, selector).record


def look_up_with_etag(client: AlvysClient, stream: Stream, selector: Mapping[str, Any]) -> VersionedRecord:
    """Return one record as :func:`look_up` does, and its ETag."""
    path, params, (column, requested) = _parse_selector(stream, selector)
    endpoint = str(endpoint_of("GET", path))
    name = ", ".join(f"{key}={value}" for key, value in selector.items())
    found = client.call(
        "GET",
        path,
        read=lambda response: VersionedRecord(
            _decode(response, endpoint, name), response.headers.get("etag") or None
        ),
        params=params or None,
    )
    if differs_in_case(requested, found.record.get(column)):
        log.warning(
            "Requested %s=%s of %s, and Alvys returned %s",
            column,
            requested,
            stream.name,
            found.record[column],
        )
    return found


def differs_in_case(requested: Any, found: Any) -> bool:
    """Return whether two values are texts that differ in upper and lower case only."""
    are_texts = isinstance(requested, str) and isinstance(found, str)
    return are_texts and requested != found and requested.casefold() == found.casefold()


def _parse_selector(
    stream: Stream, selector: Mapping[str, Any]
) -> tuple[str, dict[str, Any], tuple[str, Any]]:
    """Return the path and the query, and the record's field that identifies it with the requested value."""
    lookup = stream.lookup
    if lookup is None:
        raise AlvysValueError(f"Alvys cannot look up a single record of {stream.name}: use hook.search")
    in_path = _PLACEHOLDER.findall(lookup.path)
    known = {_normalize(name): name for name in (*in_path, *lookup.one_of, *lookup.options)}
    unknown = [name for name in selector if _normalize(name) not in known]
    given = {
        known[_normalize(name)]: value
        for name, value in selector.items()
        if name not in unknown and value is not None
    }
    chosen = [name for name in given if name in lookup.one_of]
    is_complete = all(name in given for name in in_path) and (len(chosen) == 1 or not lookup.one_of)
    if unknown or not is_complete:
        raise AlvysValueError(
            f"{', '.join(selector) or 'An empty selector'} cannot identify a record of {stream.name}: "
            f"give {_describe_selectors(lookup)}."
            f"{suggest(unknown[0], known.values(), 'Selectors') if unknown else ''}"
        )
    for name, value in given.items():
        _check(stream, name, value, is_option=name in lookup.options)
    path = _PLACEHOLDER.sub(lambda match: quote(str(given[match[1]]), safe=""), lookup.path)
    query = {
        name: str(value).lower() if name in lookup.options else str(value)
        for name, value in given.items()
        if name not in in_path
    }
    # In a path, the last selector is the record's key, and those before it are its parents'.
    by = (lookup.one_of[chosen[0]], given[chosen[0]]) if chosen else (stream.key[0], given[in_path[-1]])
    return path, query, by


def _check(stream: Stream, name: str, value: Any, *, is_option: bool) -> None:
    if is_option:
        if not isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} of a lookup in {stream.name} must be true or false")
    elif isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip(". "):
        raise AlvysValueError(
            f"{name}={value!r} identifies no record of {stream.name}: give a text or number"
        )


def _describe_selectors(lookup: Lookup) -> str:
    parts = _PLACEHOLDER.findall(lookup.path)
    choice = " or ".join(lookup.one_of)
    if choice:
        parts.append(f"one of {choice}" if len(lookup.one_of) > 1 else choice)
    return " and ".join(parts) + (f" (and {', '.join(lookup.options)})" if lookup.options else "")


def _normalize(name: str) -> str:
    return name.replace("_", "").lower()


def _decode(response: requests.Response, endpoint: str, name: str) -> dict[str, Any]:
    problem = "it is not a JSON object"
    try:
        record = decode_row(response.content)
    except ValueError as error:
        record, problem = None, str(error)
    if not isinstance(record, dict):
        status = response.status_code
        raise AlvysResponseError(
            f"{endpoint} answered {status} for {name}, but the response cannot be read: {problem}",
            status_code=status,
            endpoint=endpoint,
        )
    return record
