"""Several queries of one search: how many different rows they find, and whether one repeats another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import Page
from airflow_provider_alvys.api.read.queries import Query

if TYPE_CHECKING:
    from airflow_provider_alvys.api.read.keyset import KeySet
    from airflow_provider_alvys.api.read.state import ResultState


def check_countable(queries: Sequence[Query]) -> None:
    """Raise AlvysValueError if queries have different windows, which find some rows twice."""
    if len({(query.by, query.window) for query in queries}) > 1:
        is_split = any(query.by and query.by.max_length for query in queries)
        raise AlvysValueError(
            f"{queries[0].stream.name} takes several searches that find some rows twice, so they cannot be "
            f"counted. {'Give a shorter window' if is_split else 'Name one window with window_by'}"
        )


def combined_total(queries: Sequence[Query], pages: Sequence[Page]) -> int | None:
    """
    Return the number of different rows, given the first page of each query; None if that takes all rows.

    Queries that differ in their filters find different rows, unless Alvys ignores a filter: then they have
    rows in common, and equal totals.
    """
    is_child = queries[0].stream.is_child
    if all(page.total <= len(page.rows) for page in pages):
        # Two parents may have the same document: each counts. Elsewhere a row counts once.
        return len({(is_child and number, key) for number, page in enumerate(pages) for key in page.keys})
    if any(_differ_in_list(queries[0], query) for query in queries):
        return None
    branches: dict[tuple[str, ...], list[Page]] = {}
    for query, page in zip(queries, pages, strict=True):
        if (query.by, query.window) != (queries[0].by, queries[0].window):
            return None
        branches.setdefault(query.parents, []).append(page)
    totals = [_total_of_branches(found) for found in branches.values()]
    return None if None in totals else sum(filter(None, totals))


def _total_of_branches(pages: Sequence[Page]) -> int | None:
    keys = [key for page in pages for key in set(page.keys)]
    have_common_rows = len(set(keys)) < len(keys)
    have_equal_totals = len({page.total for page in pages}) == 1
    if len(pages) > 1 and have_common_rows != have_equal_totals:
        return None
    return pages[0].total if have_common_rows else sum(page.total for page in pages)


def _differ_in_list(one: Query, other: Query) -> bool:
    """Return whether two queries have parts of a list. Both may find an invoice of two loads."""
    return any(
        isinstance(value, list) and other.fields.get(name) != value for name, value in one.fields.items()
    )


def is_repeat(
    query: Query, first_page: Page, results: Iterable[tuple[Query, ResultState]], seen: KeySet
) -> bool:
    """
    Return whether Alvys ignores the filters in which a query differs from one that was read before.

    :param results: of the queries that were read.
    :param seen: keys of their rows.
    """
    totals = [
        result.total
        for earlier, result in results
        if result.proof == "whole"
        and earlier.fields != query.fields
        and not _differ_in_list(earlier, query)
        and replace(earlier, fields=query.fields) == query
    ]
    return first_page.total in totals and first_page.total > 0 and all(key in seen for key in first_page.keys)
