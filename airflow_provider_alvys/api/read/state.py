"""Checkpoints of a search, as files keep them."""

from __future__ import annotations

import msgspec

from airflow_provider_alvys.api.read.paginator import PaginatorState, Proof
from airflow_provider_alvys.api.read.windows import Window


class ResultState(msgspec.Struct, kw_only=True):
    """
    The result of one query.

    :param query: index of the query in the search.
    :param rows: rows that no earlier query had.
    :param total: rows that Alvys counts.
    :param is_repeat: whether an earlier query had returned the same rows, so that no more pages were read.
    """

    query: int
    rows: int
    total: int
    proof: Proof
    is_repeat: bool = False


class QueryProgress(msgspec.Struct, kw_only=True):
    """
    The query that is being read.

    :param windows: still to be read, the current one last; large ones are split in half.
    :param keys_before: number of keys seen before this query.
    :param total: rows of the complete query, if its window was split or it has been read.
    :param is_open: whether an earlier window could not be proved complete.
    :param window_began: time of the first request for the current window, in seconds since 1970.
    :param paginator: None until the current window is requested.
    :param is_repeat: whether an earlier query had returned the same rows.
    """

    windows: list[Window | None]
    keys_before: int = msgspec.field(name="known")
    total: int | None = None
    is_open: bool = False
    window_began: float = msgspec.field(default=0, name="began")
    paginator: PaginatorState | None = msgspec.field(default=None, name="walk")
    is_repeat: bool = False


class SearchState(msgspec.Struct, kw_only=True):
    """
    The checkpoint of a search, from which another process resumes after the last page that was yielded.

    Queries are named by their index in the search.

    :param page_size: rows per page, as Alvys returns them.
    :param next_query: the current or next query; from the number of queries on, an index into
        ``maybe_missing``.
    :param maybe_missing: queries for whose parent the first request got a 404.
    :param missing: queries for whose parent the second request got a 404 as well.
    :param results: of the queries that were read, in the order of their rows.
    :param seen: keys delivered, as :class:`KeySet` dumps them.
    :param passes: the highest number of passes over one set.
    :param requests: pages requested.
    :param repeats: rows that came again on another page of the same pass and were dropped.
    :param began_at: time of the first response, by our clock or the API's, whichever is earlier, in seconds
        since 1970.
    :param read_order: queries that may exchange rows, in the order in which they were last read.
    :param to_reread: those of them to read again.
    :param new_totals: the totals of ``read_order`` that were requested since all were read, in that order.
    :param rereads: how often some were read again.
    :param kept_moving: whether rows still moved between queries after the last time.
    :param is_done: whether no request is left.
    """

    page_size: int
    next_query: int = 0
    maybe_missing: list[int] = msgspec.field(default_factory=list, name="doubtful")
    missing: list[int] = []
    results: list[ResultState] = msgspec.field(default_factory=list, name="sets")
    progress: QueryProgress | None = msgspec.field(default=None, name="under_way")
    seen: bytes = b""
    passes: int = 0
    requests: int = 0
    repeats: int = 0
    began_at: float | None = None
    read_order: list[int] = msgspec.field(default_factory=list, name="order")
    to_reread: list[int] = msgspec.field(default_factory=list, name="again")
    new_totals: list[int | None] = []
    rereads: int = msgspec.field(default=0, name="rounds")
    kept_moving: bool = False
    is_done: bool = False
