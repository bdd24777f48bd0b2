"""Statuses that the catalogue does not know: in the rows that were read, and in rows that were not found."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysRefusedError,
    AlvysValidationError,
)
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.read.page_decoder import Row
from airflow_provider_alvys.api.read.queries import Query
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import ALL_TIME
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# Another attempt would end in the same way.
_REFUSALS = (AlvysNotFoundError, AlvysPermissionError, AlvysRefusedError, AlvysValidationError)
# Bounds of the log: different statuses, and characters of each.
_MAX_WARNINGS = 20
_MAX_CHARS = 80


class _StatusOfRow(msgspec.Struct):
    status: object = msgspec.field(default=None, name="Status")


# It skips other fields: a number in one that no type holds must not end a sync, which lands rows as they are.
_decoder = msgspec.json.Decoder(_StatusOfRow)


class StatusWatch:
    """Log each status that the catalogue does not know once."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        known = (filter.values or filter.guessed for filter in stream.filters if filter.column == "Status")
        self._known = frozenset(next(known, ()))
        self._unknown: set[str] = set()

    def observe(self, rows: Sequence[Row]) -> None:
        """Take rows into account."""
        if not self._known:
            return
        found = {status[:_MAX_CHARS] for status in map(status_of, rows) if status}
        for status in found - self._known - self._unknown:
            if len(self._unknown) == _MAX_WARNINGS:
                return
            self._unknown.add(status)
            log.warning(
                "Unknown status of %s: %r. Searches by a list of all statuses miss it: upgrade, or report it",
                self._stream.name,
                scrub(status),
            )


def listed_statuses(stream: Stream, filters: Mapping[str, Any]) -> frozenset[str]:
    """Return, in lower case, the statuses that a search without a window lists by itself; empty for none."""
    given = stream.validate_filters(filters)
    fields = stream.search_fields(given)
    return frozenset(
        status.casefold()
        for filter in stream.filters
        if filter.column == "Status" and filter.name in fields.keys() - given.keys()
        for status in fields[filter.name]
    )


def status_of(row: Row) -> str | None:
    """Return the status of a row, or None, whatever its other fields hold."""
    try:
        status = _decoder.decode(row).status
    except msgspec.DecodeError:
        # Half a surrogate pair: only the standard library takes it.
        status = json.loads(bytes(row), parse_int=str, parse_float=str).get("Status")
    return status if isinstance(status, str) else None


def count_unlisted(client: AlvysClient, stream: Stream) -> int | None:
    """
    Return how many rows no read of all rows finds, because the catalogue does not know their status.

    Makes two requests for streams with a ``control`` in the catalogue, and none for others. Logs a warning
    with the figures. A request that Alvys refuses means 0; one that failed otherwise means None.

    :raises DeferRequested: the first request has to wait.
    """
    control = stream.control
    if control is None:
        return 0
    other = get_stream(control.stream) if control.stream else stream
    by = stream.window(control.window) if control.window else None
    window = ALL_TIME if by else None
    everything = Query(other, other.search_fields(control.filters, by), window, by)
    listed = Query(stream, stream.search_fields({}), window, by)
    try:
        # In this order, a row that joins between the requests makes no difference.
        page = Search(client, other, [everything], page_size=1).first_page()
        StatusWatch(stream).observe(page.rows)
        try:
            unlisted = page.total - Search(client, stream, [listed], page_size=1).first_page().total
        except DeferRequested as wait:
            client.usage.waited -= wait.counted
            # Both requests would be made again, and at a slow pace each time.
            log.warning("%s: not compared with a search for rows of any status: no time", stream.name)
            return None
    except AlvysError as error:
        is_refused = isinstance(error, _REFUSALS)
        level = logging.INFO if is_refused else logging.WARNING
        log.log(level, "%s: not compared with a search for rows of any status: %s", stream.name, error)
        return 0 if is_refused else None
    if unlisted > 0:
        figures = (stream.name, f"{unlisted:,}", counted(page.total, "rows"))
        log.warning("%s: %s of %s have a status that is not read: upgrade, or report it", *figures)
    return max(0, unlisted)
