"""The look-up of one record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_alvys.api.catalogue.stream_spec import Lookup, Stream
from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Reading:
    """
    A record as it was read.

    :param etag: its version, where the answer's header tells it.
    """

    record: dict[str, Any]
    etag: str | None


def look_up(client: AlvysClient, stream: Stream, selector: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return one record, with numbers as :func:`airflow_provider_alvys.api.read.page_decoder.decode_row` gives them.

    :param selector: names the record, such as ``{"loadNumber": "1001"}``; ``load_number`` means the same.
    :raises AlvysValueError: the stream has no look-up, or not by this selector; nothing was sent.
    :raises AlvysNotFoundError: there is no such record.
    """
    return read_version(client, stream, selector).record


def read_version(client: AlvysClient, stream: Stream, selector: Mapping[str, Any]) -> Reading:
    """Return one record as :func:`look_up` does, and its ETag."""
    path, params = _address(stream, selector)
    return client.call(
        "GET",
        path,
        read=lambda response: Reading(_read(response), response.headers.get("etag") or None),
        params=params or None,
    )


def _address(stream: Stream, selector: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    lookup = stream.lookup
    if lookup is None:
        raise AlvysValueError(
            f"Alvys has no look-up of one record for {stream.name}: search for it with hook.search"
        )
    in_path = _PLACEHOLDER.findall(lookup.path)
    known = {_plain(name): name for name in (*in_path, *lookup.one_of, *lookup.options)}
    strangers = [name for name in selector if _plain(name) not in known]
    given = {
        known[_plain(name)]: value
        for name, value in selector.items()
        if _plain(name) in known and value is not None
    }
    chosen = [name for name in given if name in lookup.one_of]
    is_complete = all(name in given for name in in_path) and (len(chosen) == 1 or not lookup.one_of)
    if strangers or not is_complete:
        raise AlvysValueError(
            f"A record of {stream.name} is looked up by {_tell(lookup)}, not by {', '.join(selector) or 'nothing'}"
        )
    for name, value in given.items():
        _check(stream, name, value, is_option=name in lookup.options)
    path = _PLACEHOLDER.sub(lambda match: quote(str(given[match[1]]), safe=""), lookup.path)
    return path, {name: _spell(value) for name, value in given.items() if name not in in_path}


def _check(stream: Stream, name: str, value: Any, *, is_option: bool) -> None:
    if is_option:
        if not isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} of the look-up in {stream.name} must be true or false")
    elif isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip(". "):
        raise AlvysValueError(f"{name}={value!r} names no record of {stream.name}: give its text or number")


def _tell(lookup: Lookup) -> str:
    parts = _PLACEHOLDER.findall(lookup.path)
    choice = " or ".join(lookup.one_of)
    needed = " and ".join(
        [*parts, *([f"one of {choice}" if len(lookup.one_of) > 1 else choice] if choice else [])]
    )
    return needed + (f" (and {', '.join(lookup.options)})" if lookup.options else "")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(response: requests.Response) -> dict[str, Any]:
    try:
        record = decode_row(response.content)
    except (ValueError, RecursionError) as error:
        raise AlvysResponseError(
            f"The answer cannot be read: {error}", status_code=response.status_code
        ) from error
    if not isinstance(record, dict):
        raise AlvysResponseError("The answer is no record", status_code=response.status_code)
    return record
