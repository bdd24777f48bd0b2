"""The rows that a search should find, without requests, pages and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Branch, Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.search_request import FOREVER, Period, SearchRequest
from airflow_provider_alvys.simulator.data.times import parse_micros


def check_filters(stream: Stream, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return validated filters. A search may have one that Alvys ignores, though no user can give it."""
    ignored = {filter.name for filter in stream.filters if filter.ignored} & filters.keys()
    checked = stream.validate_filters({name: filters[name] for name in filters.keys() - ignored})
    return checked | {name: filters[name] for name in ignored}


def expected_rows(
    rows: RowSet,
    stream: Stream,
    *,
    window_by: str | None = None,
    since: str | None = None,
    until: str | None = None,
    filters: Mapping[str, Any],
    parents: Sequence[str] | None = None,
) -> list[int]:
    """
    Return the rows that a search should find now, in the order of the row set.

    Without ``since`` and ``until``: rows of any time, by the window or the searches that find every row.

    :param filters: from :func:`check_filters`.
    """
    period = FOREVER
    if since or until:
        period = (parse_micros(since) if since else FOREVER[0], parse_micros(until) if until else FOREVER[1])
    branches: Sequence[Branch] = stream.full_read
    if since or until or window_by not in (None, WHOLE):
        window = stream.window(window_by)
        if window is None and window_by != WHOLE:
            raise AlvysValueError(
                f"{stream.name} has no default window: pass window_by, or leave out since and until"
            )
        branches = (window.branches or (Branch(window=window.name),)) if window else stream.full_read
    found: list[list[int]] = []
    for branch in branches:
        request = _branch_request(stream, branch, filters, period, parents)
        if request:
            found.append(rows.find(stream, request))
    if len(found) == 1:
        return found[0]
    combined = {number for numbers in found for number in numbers}
    return [
        number
        for number in rows.find(stream, SearchRequest(_show_all(stream), parents=parents))
        if number in combined
    ]


def _branch_request(
    stream: Stream, branch: Branch, filters: Mapping[str, Any], period: Period, parents: Sequence[str] | None
) -> SearchRequest | None:
    """Return the search of a branch, narrowed by the filters; None if they exclude each other."""
    combined = dict(filters)
    defaults = {filter.name: filter.default for filter in stream.filters}
    for name, value in branch.filters.items():
        given = filters.get(name)
        if isinstance(value, (list, tuple)) and isinstance(given, (list, tuple)):
            combined[name] = [item for item in value if item in given]
            if not combined[name]:
                return None
        elif given in (None, value, defaults[name]):
            combined[name] = value
        else:
            return None
    window = stream.window(branch.window) if branch.window else None
    sent = stream.search_fields(combined, window)
    fields = {name: value for name, value in sent.items() if value not in (None, "", [])}
    names = {filter.name for filter in stream.filters}
    periods = {branch.window: FOREVER if branch.unbounded else period} if branch.window else {}
    return SearchRequest({name: value for name, value in fields.items() if name in names}, periods, parents)


def _show_all(stream: Stream) -> dict[str, Any]:
    return {filter.name: True for filter in stream.filters if filter.unhides}


def shows_tombstones(stream: Stream, filters: Mapping[str, Any]) -> bool:
    """Return whether rows of a search with these filters have the field ``IsDeleted``."""
    return any(
        stream.search_fields(filters).get(filter.name) is True for filter in stream.filters if filter.unhides
    )
