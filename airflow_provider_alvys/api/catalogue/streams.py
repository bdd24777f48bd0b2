"""The catalogue of streams, from Alvys's API documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.stream_rows import (
    fleet,
    freight,
    freight_details,
    money,
    partners,
    webhooks,
)
from airflow_provider_alvys.api.catalogue.stream_spec import (
    Branch,
    Control,
    Filter,
    Lookup,
    Parent,
    Stream,
    Tier,
    TimeWindow,
)
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest

__all__ = [
    "SECRET_FIELDS",
    "STREAMS",
    "Branch",
    "Control",
    "Filter",
    "Lookup",
    "Parent",
    "Stream",
    "Tier",
    "TimeWindow",
    "get_stream",
    "get_streams",
    "scope_of",
]

STREAMS: Mapping[str, Stream] = {
    stream.name: stream
    for rows in (freight, freight_details, fleet, partners, money, webhooks)
    for stream in rows.STREAMS
}

SECRET_FIELDS = frozenset().union(*(stream.secret_fields for stream in STREAMS.values()))
"""The names of all secret fields, in lower case."""


def get_stream(name: str) -> Stream:
    """
    Return a stream's catalogue row.

    :raises AlvysValueError: the stream does not exist.
    """
    if not isinstance(name, str) or name not in STREAMS:
        raise AlvysValueError(f"There is no stream {name!r}.{suggest(name, STREAMS, 'Streams')}")
    return STREAMS[name]


def get_streams(names: Collection[str]) -> list[Stream]:
    """
    Return the catalogue rows of several streams.

    :raises AlvysValueError: not a list, empty, an unknown stream, or one given twice.
    """
    if isinstance(names, (str, bytes, Mapping)) or not isinstance(names, Collection):
        raise AlvysValueError(f"streams={names!r} must be a list of names, such as ['loads', 'trips']")
    if not names:
        raise AlvysValueError("streams is empty: give one or more of docs/reference/streams.md")
    rows = [get_stream(name) for name in names]
    twice = sorted({row.name for row in rows if rows.count(row) > 1})
    if twice:
        raise AlvysValueError(f"streams names {', '.join(twice)} more than once")
    return rows


def scope_of(endpoint: Endpoint) -> str | None:
    """Return the scope that an endpoint requires; None if it is unknown."""
    from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation

    rows: tuple[Stream | Operation, ...] = (*STREAMS.values(), *OPERATIONS.values())
    return next((row.scope for row in rows if row.endpoint == endpoint), None)
