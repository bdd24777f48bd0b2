"""The queries that sensors poll with, and how each response becomes one result per item."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysNotFoundError
from airflow_provider_alvys.api.read.branches import combined_total
from airflow_provider_alvys.api.read.page_decoder import Page, PageDecoder, decode_record
from airflow_provider_alvys.api.read.queries import Query, make_queries, make_search_queries
from airflow_provider_alvys.api.schema.fields import without_fields
from airflow_provider_alvys.api.schema.values import make_converter

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.api.read.state import SearchState

log = logging.getLogger(__name__)

# Used if the catalogue has no limit.
_DEFAULT_MAX_NUMBERS = 50

_as_utc = make_converter("time")


class RecordStatus(msgspec.Struct, frozen=True):
    """
    The status of a load or a trip.

    :param number: its number in Alvys, if that differs from the requested one in upper and lower case.
    """

    id: str
    status: str | None
    updated_at: str | None
    number: str | None = None


class SearchResult(msgspec.Struct, frozen=True):
    """
    The number of rows of a search, and their keys.

    :param total: number of rows, or a lower bound of at least the wanted number.
    :param keys: of the rows read so far: one value per row, or a list if several fields identify a row.
    :param has_all_keys: whether ``keys`` are those of all rows.
    """

    total: int
    keys: list[Any]
    has_all_keys: bool


class SearchCriteria(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a search, and the number of rows to wait for."""

    stream: str
    filters: dict[str, Any] = {}
    window_by: str | None = None
    since: str | None = None
    until: str | None = None
    parents: list[str] | None = None
    at_least: int = 1

    def queries(self, stream: Stream) -> list[Query]:
        """Return the queries of the search."""
        return make_search_queries(
            stream,
            self.filters,
            since=self.since,
            until=self.until,
            window_by=self.window_by,
            parents=self.parents,
        )

    def read_keys(self, client: AlvysClient) -> list[Any]:
        """Read all rows and return their keys: one value per row, or a list if several fields identify it."""
        stream = get_stream(self.stream)
        return [key for rows in _search(client, stream, self.queries(stream)) for key in _keys(stream, rows)]


@dataclass(frozen=True)
class StreamQuery:
    """A query of a stream's endpoint."""

    stream: Stream

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that it calls."""
        return self.stream.endpoint


@dataclass(frozen=True)
class StatusQuery(StreamQuery):
    """Loads or trips by their numbers, many per request."""

    @property
    def max_items(self) -> int:
        """How many numbers Alvys accepts per request."""
        return self.stream.number_filter.max_items or _DEFAULT_MAX_NUMBERS

    def make_job(self, items: Sequence[str]) -> _StatusJob:
        """Return a job for these numbers."""
        return _StatusJob(self.stream, list(items))


@dataclass
class _StatusJob:
    stream: Stream
    numbers: list[str]

    def step(self, client: AlvysClient) -> list[RecordStatus | None]:
        filters = {self.stream.number_filter.name: self.numbers, "IncludeDeleted": False}
        page = _search(client, self.stream, make_queries(self.stream, filters)).first_page()
        if page.total > len(page.rows) and len(self.numbers) > 1:
            from airflow_provider_alvys.api.poll.batching import TooManyRowsError

            raise TooManyRowsError(
                f"{page.total} {self.stream.name} have {len(self.numbers)} numbers, more than fit on a page."
            )
        newest: dict[str, RecordStatus] = {}
        for row in (decode_record(raw, self.stream) for raw in page.rows):
            record = RecordStatus(row["Id"], row.get("Status"), row.get("UpdatedAt"))
            number = row.get(self.stream.number_field)
            known = newest.get(number)
            if known is not None and known.id != record.id:
                two = (self.stream.number_field, number, known.id, record.id)
                log.warning("%s %s is the number of two records, %s and %s", *two)
                log.warning("It is unique within a subsidiary only: the one that changed last counts")
            if known is None or time_sort_key(known.updated_at) <= time_sort_key(record.updated_at):
                newest[number] = record
        return [newest.get(number) or _in_other_case(number, newest) for number in self.numbers]


def _in_other_case(number: str, records: Mapping[str, RecordStatus]) -> RecordStatus | None:
    from airflow_provider_alvys.api.read.lookup import differs_in_case

    found = next((other for other in records if differs_in_case(number, other)), None)
    return None if found is None else msgspec.structs.replace(records[found], number=found)


@dataclass(frozen=True)
class DocumentsQuery(StreamQuery):
    """The documents of a parent. Alvys lists those of one parent per request."""

    max_items: int = 1

    def make_job(self, items: Sequence[str]) -> _DocumentsJob:
        """Return a job for this parent."""
        return _DocumentsJob(self.stream, items[0])


@dataclass
class _DocumentsJob:
    stream: Stream
    parent: str

    def step(self, client: AlvysClient) -> list[list[dict[str, Any]] | None]:
        queries = make_queries(self.stream, {}, parents=[self.parent])
        try:
            page = _search(client, self.stream, queries).first_page()
        except AlvysNotFoundError:
            return [None]
        # Anyone with the download URL can open the file: it must not reach an XCom.
        flags = self.stream.fields.flags
        temporary = {name.casefold() for name in flags if "volatile" in flags[name]}
        documents = [msgspec.to_builtins(decode_record(row, self.stream)) for row in page.rows]
        return [without_fields(documents, temporary)]


@dataclass(frozen=True)
class RowsQuery(StreamQuery):
    """Searches in a stream, one per job."""

    max_items: int = 1

    def make_job(self, items: Sequence[bytes]) -> _RowsJob:
        """Return a job for this search, given as JSON of :class:`SearchCriteria`."""
        return _RowsJob(self.stream, items[0])


class _RowsJob:
    """Read the first page of each query; if that does not give the number of rows, read all pages."""

    def __init__(self, stream: Stream, item: bytes) -> None:
        self._criteria = msgspec.json.decode(item, type=SearchCriteria)
        self._stream = stream
        self._queries: list[Query] | None = None
        self._first_pages: list[Page] = []
        # Which lists were requested once and are requested again.
        self._first_state: SearchState | None = None
        self._state: bytes | None = None
        self._keys: list[Any] = []

    def step(self, client: AlvysClient) -> list[SearchResult] | None:
        if self._queries is None:
            self._queries = self._criteria.queries(self._stream)
        search = _search(client, self._stream, self._queries, state=self._first_state)
        self._first_state = search.state
        if len(self._first_pages) < len(self._queries):
            self._first_pages.append(self._read_first_page(search, len(self._first_pages)))
            if len(self._first_pages) < len(self._queries):
                return None
        result = self._combine_first_pages(search)
        return [result] if result else self._read_next_page(client, self._queries)

    def _read_first_page(self, search: Search, index: int) -> Page:
        try:
            return search.first_page(index)
        except AlvysNotFoundError:
            if not self._stream.is_child:
                raise
            return Page()

    def _combine_first_pages(self, search: Search) -> SearchResult | None:
        """Return the result if the first pages suffice for it."""
        keys = [key for page in self._first_pages for key in page.keys]
        # Two parents may have the same document: each counts. Elsewhere a row counts once.
        keys = keys if self._stream.is_child else list(dict.fromkeys(keys))
        is_all = all(page.total <= len(page.rows) for page in self._first_pages)
        total = combined_total(search.queries, self._first_pages)
        if total is None and len(keys) < self._criteria.at_least:
            return None
        return SearchResult(len(keys) if total is None else total, [_plain_key(key) for key in keys], is_all)

    def _read_next_page(self, client: AlvysClient, queries: list[Query]) -> list[SearchResult] | None:
        from airflow_provider_alvys.api.read.state import SearchState

        state = None if self._state is None else msgspec.json.decode(self._state, type=SearchState)
        search = _search(client, self._stream, queries, state=state)
        for rows in search:
            self._keys += _keys(self._stream, rows)
            self._state = msgspec.json.encode(search.save())
            return None
        return [SearchResult(len(self._keys), self._keys, True)]


def _search(
    client: AlvysClient, stream: Stream, queries: list[Query], *, state: SearchState | None = None
) -> Search:
    # Sensors import this module while a DAG is parsed, which needs no Search.
    from airflow_provider_alvys.api.read.search import Search

    return Search(client, stream, queries, state=state)


def time_sort_key(time: Any) -> str:
    """Return a string to sort times by. What is not a time comes first."""
    utc = _as_utc(time)
    return utc[0] if utc else ""


def _keys(stream: Stream, rows: Sequence[Any]) -> list[Any]:
    decode_key = PageDecoder(stream.key, stream.response_type).decode_key
    return [_plain_key(decode_key(row)) for row in rows]


def _plain_key(key: tuple[Any, ...]) -> Any:
    return key[0] if len(key) == 1 else list(key)
