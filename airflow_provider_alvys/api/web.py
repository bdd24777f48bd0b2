"""Links to records in Alvys's web app, by a URL template of the user: the addresses are not documented."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from string import Formatter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError

if TYPE_CHECKING:
    from airflow_provider_alvys.api.catalogue.operations import Operation

# Names of fields that identify a record: loadNumber, TripId, or id alone.
_RECORD_FIELD = re.compile(r"([A-Za-z]*?)_?(Id|id|Number|number)")
_HOST = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", re.ASCII)


@dataclass(frozen=True)
class WebRecord:
    """
    A record with a page in Alvys.

    :param stream: name in the catalogue, such as ``loads``.
    :param id: Alvys's id, or None if it is not known.
    :param number: number that people use, such as a load's; None if it is not known.
    """

    stream: str
    id: str | None = None
    number: str | None = None


def parent_record(children: Stream, name: str) -> WebRecord | None:
    """Return the parent of a stream's rows by its id or number; None if the stream has no parents."""
    parent = children.parent
    if parent is None:
        return None
    is_number = parent.column == get_stream(parent.stream).number_field
    return WebRecord(parent.stream, number=name) if is_number else WebRecord(parent.stream, id=name)


def record_from_write(operation: Operation, *given: Mapping[str, Any] | None) -> WebRecord | None:
    """
    Return the record that a write changes, by the first field that identifies one, such as ``tripId``.

    :param given: the path parameters, then the body's fields.
    """
    for fields_of in given:
        for name, value in fields_of.items() if isinstance(fields_of, Mapping) else ():
            parts = _RECORD_FIELD.fullmatch(name)
            stream = f"{parts[1].lower()}s" if parts and parts[1] else operation.name.partition(".")[0]
            if parts and stream in STREAMS and isinstance(value, (str, int)):
                return WebRecord(stream, **{parts[2].lower(): str(value)})
    return None


_PLACEHOLDERS = tuple(field.name for field in fields(WebRecord))


def check_url_template(template: str) -> str:
    """
    Return a record's URL template if it is valid.

    :param template: an http address with any of ``{stream}``, ``{id}`` and ``{number}``, but not in its host.
    :raises AlvysValueError: the template is not valid.
    """
    try:
        parts = list(Formatter().parse(template))
        address = urlsplit(template)
        # User info is refused: it does not belong in a link.
        has_host = _HOST.fullmatch(re.sub(r":\d*\Z", "", address.netloc))
        is_address = address.scheme in ("https", "http") and has_host and (address.port or 1) > 0
    except ValueError:
        parts, is_address = [], False
    # Placeholders take no format and no conversion.
    plain = all(
        name is None or (name in _PLACEHOLDERS and not spec and not conversion)
        for _, name, spec, conversion in parts
    )
    if not is_address or not plain or any(character.isspace() for character in template):
        # Not quoted: it may contain a password.
        raise AlvysValueError(
            f"web_url=*** is not valid: it must be an http address with no other placeholders than "
            f"{{{'}, {'.join(_PLACEHOLDERS)}}}. Give one such as https://alvys.example.com/{{stream}}/{{id}}"
        )
    return template


def record_url(template: str | None, record: WebRecord | None) -> str:
    """
    Return the URL of a record's page, or "" without a template, a record or a value for a placeholder.

    :param template: as returned by :func:`check_url_template`, or None.
    """
    if not template or record is None:
        return ""
    values = {name: getattr(record, name) for _, name, _, _ in Formatter().parse(template) if name}
    if not all(values.values()):
        return ""
    return template.format(**{name: quote(str(value), safe="") for name, value in values.items()})
