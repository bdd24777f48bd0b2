"""The kinds of questions that sensors ask: what goes into one request, and what is taken from its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysNotFoundError
from airflow_provider_alvys.api.read.page_decoder import Page, PageDecoder, decode_row
from airflow_provider_alvys.api.read.queries import Query, make_queries, make_search_queries
from airflow_provider_alvys.api.schema.values import make_converter

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.api.read.state import SearchState

# Where the catalogue knows no maximum. More than so many load numbers were refused to clients where none is documented, too.
_MOST_NUMBERS = 50

_as_utc = make_converter("time")


class RecordStatus(msgspec.Struct, frozen=True):
    """What is looked at in a load or a trip."""

    id: str
    status: str | None
    updated_at: str | None


class SearchResult(msgspec.Struct, frozen=True):
    """
    What a search found.

    :param total: how many rows there are, at least.
    :param keys: of those that came with the answer; one value for each where one field identifies a row, else a list.
    :param is_all: whether these are all.
    """

    total: int
    keys: list[Any]
    is_all: bool


class SearchCriteria(msgspec.Struct, frozen=True, kw_only=True):
    """A search that has at least so many rows, or not."""

    stream: str
    filters: dict[str, Any] = {}
    window_by: str | None = None
    since: str | None = None
    until: str | None = None
    parents: list[str] | None = None
    at_least: int = 1

    def queries(self, stream: Stream) -> list[Query]:
        """Return the sets that are asked for."""
        return make_search_queries(
            stream,
            self.filters,
            since=self.since,
            until=self.until,
            window_by=self.window_by,
            parents=self.parents,
        )

    def read_keys(self, client: AlvysClient) -> list[Any]:
        """Read all rows, and return their keys: one value for each where one field identifies a row, else a list."""
        stream = get_stream(self.stream)
        decode_key = PageDecoder(stream.key, stream.response_type).decode_key
        return [
            _plain(decode_key(row)) for rows in _search(client, stream, self.queries(stream)) for row in rows
        ]


@dataclass(frozen=True)
class StatusQuery:
    """Loads or trips, by their numbers: as many as a request takes."""

    stream: Stream

    @property
    def endpoint(self) -> Endpoint:
        """The search."""
        return self.stream.endpoint

    @property
    def max_items(self) -> int:
        """As many as Alvys takes."""
        return self.stream.number_filter.max_items or _MOST_NUMBERS

    def make_job(self, items: Sequence[str]) -> _StatusJob:
        """Return what asks for them."""
        return _StatusJob(self.stream, list(items))


@dataclass
class _StatusJob:
    stream: Stream
    numbers: list[str]

    def step(self, client: AlvysClient) -> list[RecordStatus | None]:
        column = self.stream.number_field
        queries = make_queries(
            self.stream, {self.stream.number_filter.name: self.numbers, "IncludeDeleted": False}
        )
        page = _search(client, self.stream, queries).first_page()
        if page.total > len(page.rows) and len(self.numbers) > 1:
            from airflow_provider_alvys.api.poll.batching import TooManyRowsError

            raise TooManyRowsError(
                f"{page.total} {self.stream.name} have {len(self.numbers)} numbers, more than a page holds."
            )
        readings: dict[str, RecordStatus] = {}
        for row in map(decode_row, page.rows):
            reading = RecordStatus(row["Id"], row.get("Status"), row.get("UpdatedAt"))
            number = row.get(column)
            before = readings.get(number)
            if before is None or time_sort_key(before.updated_at) <= time_sort_key(reading.updated_at):
                readings[number] = reading
        return [readings.get(number) for number in self.numbers]


@dataclass(frozen=True)
class DocumentsQuery:
    """The documents of one parent: Alvys tells those of one at a time."""

    stream: Stream
    max_items: int = 1

    @property
    def endpoint(self) -> Endpoint:
        """The call for those of one."""
        return self.stream.endpoint

    def make_job(self, items: Sequence[str]) -> _DocumentsJob:
        """Return what asks for them."""
        return _DocumentsJob(self.stream, items[0])


@dataclass
class _DocumentsJob:
    stream: Stream
    parent: str

    def step(self, client: AlvysClient) -> list[list[dict[str, Any]] | None]:
        try:
            page = _search(
                client, self.stream, make_queries(self.stream, {}, parents=[self.parent])
            ).first_page()
        except AlvysNotFoundError:
            return [None]
        # A link that opens the file is as good as a password.
        secret = {name for name, flags in self.stream.fields.flags.items() if "volatile" in flags}
        documents = [msgspec.to_builtins(decode_row(row)) for row in page.rows]
        return [[{name: value for name, value in one.items() if name not in secret} for one in documents]]


@dataclass(frozen=True)
class RowsQuery:
    """Searches in a stream."""

    stream: Stream
    max_items: int = 1

    @property
    def endpoint(self) -> Endpoint:
        """The search."""
        return self.stream.endpoint

    def make_job(self, items: Sequence[bytes]) -> _RowsJob:
        """Return what asks for one."""
        return _RowsJob(self.stream, items[0])


class _RowsJob:
    """Ask for the first page of each set; where these cannot tell how many rows there are, read all."""

    def __init__(self, stream: Stream, item: bytes) -> None:
        self._condition = msgspec.json.decode(item, type=SearchCriteria)
        self._stream = stream
        self._queries: list[Query] | None = None
        self._first: list[Page] = []
        self._state: bytes | None = None
        self._keys: list[Any] = []

    def step(self, client: AlvysClient) -> list[SearchResult] | None:
        if self._queries is None:
            self._queries = self._condition.queries(self._stream)
        search = _search(client, self._stream, self._queries)
        if len(self._first) < len(self._queries):
            self._first.append(self._ask(search, len(self._first)))
            if len(self._first) < len(self._queries):
                return None
        found = self._add_up(search)
        return [found] if found else self._walk(client, self._queries)

    def _ask(self, search: Search, place: int) -> Page:
        try:
            return search.first_page(place)
        except AlvysNotFoundError:
            if not self._stream.is_child:
                raise
            return Page(0, None, None, [], [])

    def _add_up(self, search: Search) -> SearchResult | None:
        """Return what the first pages tell, or None where they do not tell enough."""
        keys = [key for page in self._first for key in page.keys]
        # The same document may hang on two parents.
        keys = keys if self._stream.is_child else list(dict.fromkeys(keys))
        is_all = all(page.total <= len(page.rows) for page in self._first)
        total = len(keys) if is_all or not search.is_countable else sum(page.total for page in self._first)
        is_enough = is_all or search.is_countable or total >= self._condition.at_least
        return SearchResult(total, [_plain(key) for key in keys], is_all) if is_enough else None

    def _walk(self, client: AlvysClient, queries: list[Query]) -> list[SearchResult] | None:
        """Read one more page of all rows."""
        from airflow_provider_alvys.api.read.state import SearchState

        state = None if self._state is None else msgspec.json.decode(self._state, type=SearchState)
        search = _search(client, self._stream, queries, state=state)
        for rows in search:
            decode_key = PageDecoder(self._stream.key, self._stream.response_type).decode_key
            self._keys += [_plain(decode_key(row)) for row in rows]
            self._state = msgspec.json.encode(search.save())
            return None
        return [SearchResult(len(self._keys), self._keys, True)]


def _search(
    client: AlvysClient, stream: Stream, queries: list[Query], *, state: SearchState | None = None
) -> Search:
    # Sensors import this module while a DAG is parsed, when nothing is searched.
    from airflow_provider_alvys.api.read.search import Search

    return Search(client, stream, queries, state=state)


def time_sort_key(time: Any) -> str:
    """Return what times are put in order by; those that are none come first."""
    utc = _as_utc(time)
    return utc[0] if utc else ""


def _plain(key: tuple[Any, ...]) -> Any:
    return key[0] if len(key) == 1 else list(key)
