"""Where a record has its page in Alvys's web app: as far as its user tells, since nothing documents its addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from string import Formatter
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider_alvys.api.catalogue.operations import Operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError

# As fields name a record: loadNumber, TripId, or id alone.
_NAMED = re.compile(r"([A-Za-z]*?)_?(Id|id|Number|number)")
_HOST = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", re.ASCII)


@dataclass(frozen=True)
class WebRecord:
    """
    A record that has a page.

    :param stream: name in the catalogue, such as ``loads``.
    :param id: Alvys's id, or None where it is not known.
    :param number: what people call it by, such as a load's number; None where it is not known.
    """

    stream: str
    id: str | None = None
    number: str | None = None


def record_named(children: Stream, name: str) -> WebRecord | None:
    """Return the parent of a stream's rows, by the name that the request gives; None where they have none."""
    parent = children.parent
    if parent is None:
        return None
    is_number = parent.column == get_stream(parent.stream).number_field
    return WebRecord(parent.stream, number=name) if is_number else WebRecord(parent.stream, id=name)


def record_of_write(operation: Operation, *given: Mapping[str, Any] | None) -> WebRecord | None:
    """
    Return the record that a write is about, by the first name that tells one, such as ``tripId`` or ``LoadNumber``.

    :param given: its path parameters, then its body's fields.
    """
    for fields_of in given:
        for name, value in fields_of.items() if isinstance(fields_of, Mapping) else ():
            parts = _NAMED.fullmatch(name)
            stream = f"{parts[1].lower()}s" if parts and parts[1] else operation.name.partition(".")[0]
            if parts and stream in STREAMS and isinstance(value, (str, int)):
                return WebRecord(stream, **{parts[2].lower(): str(value)})
    return None


_PLACEHOLDERS = tuple(field.name for field in fields(WebRecord))


def check_web_url(pattern: str) -> str:
    """
    Return the pattern of a record's page if it is one: an http address, with ``{stream}``, ``{id}`` and ``{number}`` or without.

    :raises AlvysValueError: it is no address, has another placeholder, or one in its host.
    """
    try:
        parts = list(Formatter().parse(pattern))
        address = urlsplit(pattern)
        is_address = (
            address.scheme in ("https", "http")
            and _HOST.fullmatch(_host(address.netloc))
            and (address.port or 1) > 0
        )
    except ValueError:
        parts, is_address = [], False
    # A placeholder with a format or a conversion is none of ours.
    plain = all(
        name is None or (name in _PLACEHOLDERS and not spec and not conversion)
        for _, name, spec, conversion in parts
    )
    if not is_address or not plain or any(character.isspace() for character in pattern):
        raise AlvysValueError(
            f"web_url of the connection is {pattern!r}: give the address of a record's page, such as "
            f"https://alvys.example.com/{{stream}}/{{id}}, with no placeholders but {{{'}, {'.join(_PLACEHOLDERS)}}}"
        )
    return pattern


def page_of(pattern: str | None, record: WebRecord | None) -> str:
    """
    Return the address of a record's page, or "" where there is none: no pattern, no record, or one whose id is not known yet.

    :param pattern: what :func:`check_web_url` has returned; None for none.
    """
    if not pattern or record is None:
        return ""
    values = {name: getattr(record, name) for name in _PLACEHOLDERS}
    needed = [name for _, name, _, _ in Formatter().parse(pattern) if name]
    if not all(values[name] for name in needed):
        return ""
    return pattern.format(**{name: quote(str(values[name]), safe="") for name in needed})


def _host(netloc: str) -> str:
    """Return the host of an address, without its port. Who has an account there does not belong into a link."""
    return re.sub(r":\d*\Z", "", netloc)
