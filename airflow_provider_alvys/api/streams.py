"""The catalogue of what can be read: one row a stream, from Alvys's API documents."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_alvys.api.catalogue import fleet, freight, money, partners, webhooks
from airflow_provider_alvys.api.catalogue.model import Branch, Filter, Lookup, Parent, Stream, Tier, TimeWindow
from airflow_provider_alvys.api.endpoints import Endpoint
from airflow_provider_alvys.api.errors import AlvysValueError

__all__ = [
    "STREAMS",
    "Branch",
    "Filter",
    "Lookup",
    "Parent",
    "Stream",
    "Tier",
    "TimeWindow",
    "get_stream",
    "scope_of",
]

STREAMS: Mapping[str, Stream] = {
    stream.name: stream for stream in (*freight.STREAMS, *fleet.STREAMS, *partners.STREAMS, *money.STREAMS, *webhooks.STREAMS)
}


def get_stream(name: str) -> Stream:
    """
    Return the catalogue's row for a stream.

    :raises AlvysValueError: there is none of that name.
    """
    if not isinstance(name, str) or name not in STREAMS:
        raise AlvysValueError(f"There is no stream {name!r}. Streams: {', '.join(STREAMS)}")
    return STREAMS[name]


def scope_of(endpoint: Endpoint) -> str | None:
    """Return the scope that guards an endpoint, or None where the catalogue does not know."""
    return next((stream.scope for stream in STREAMS.values() if stream.endpoint == endpoint), None)
