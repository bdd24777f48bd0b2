"""What Alvys has: totals and rows, each asked once in a run, deferrals included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_alvys.api.catalogue.stream_spec import TimeWindow
from airflow_provider_alvys.api.errors import AlvysNotFoundError
from airflow_provider_alvys.api.read.queries import RequestedWindow, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.api.schema.values import TypeLimits, dump_json
from airflow_provider_alvys.checks.repairs import RowName, row_filter
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.schema import StreamSchema

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

T = TypeVar("T")
# Rows of each table of the schema, the main table first, with one row.
FlatRow = list[list[list[Any]]]


@dataclass(frozen=True)
class Columns:
    """
    Where a row of the main table has what checks need; None for a column that it lacks.

    :param time: of the window by which rows are counted.
    :param version: that orders the states of a row.
    """

    key: int
    time: int | None
    status: int | None
    number: int | None
    version: int | None

    @classmethod
    def of(cls, schema: StreamSchema) -> Columns:
        """Return the columns of a schema."""
        by = schema.stream.row_window
        names = {column.name: at for at, column in enumerate(schema.main.columns)}
        fields = {
            column.field: at
            for at, column in reversed(list(enumerate(schema.main.columns)))
            if column.kind not in ("wall", "boolean")
        }
        return cls(
            key=names[schema.keys[-1]],
            time=fields.get(by.column) if by else None,
            status=fields.get("Status"),
            number=fields.get(schema.stream.number_field) if schema.stream.number_field else None,
            version=names.get(schema.version) if schema.version else None,
        )


class AlvysSide:
    """
    Totals and rows of a stream in Alvys.

    :param answers: what has been asked before a deferral. It is JSON, and grows.
    :param limits: the largest values that the tables can store.
    :param before: called before each search.
    """

    def __init__(
        self,
        client: AlvysClient,
        schema: StreamSchema,
        answers: dict[str, Any],
        limits: TypeLimits | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self._before = before
        self.stream = schema.stream
        self.columns = Columns.of(schema)
        self._client = client
        self._schema = schema
        self._answers = answers
        self._flattener = RowFlattener(schema, limits)

    @property
    def requests(self) -> int:
        """Number of requests so far."""
        return int(self._answers.get("requests", 0))

    def now(self) -> float:
        """Return the time by the API's clock."""
        return self._client.now()

    def once(self, name: str, ask: Callable[[], T]) -> T:
        """Return the answer to a question, which is not asked again after a deferral."""
        if name not in self._answers:
            self._answers[name] = ask()
        found: T = self._answers[name]
        return found

    def total(
        self,
        window: Window | None,
        by: TimeWindow | None = None,
        *,
        status: str | None = None,
        time: int = 1,
    ) -> int:
        """
        Return the number of rows.

        :param window: None for all rows.
        :param by: the kind of window; None means creation or business date.
        :param time: 2 to ask again.
        """
        filter = self.stream.status_filter
        filters = {} if status is None or filter is None else {filter.name: [status]}
        by = by or self.stream.row_window
        name = f"total {window or 'of all'} {by.name if by else ''} {status or ''} {time}"
        return self.once(name, lambda: self._search(window, by, filters).count())

    def rows(
        self, window: Window | None, by: TimeWindow | None = None, *, at_most: int
    ) -> list[FlatRow] | None:
        """Return the flattened rows of a window, or all; None if there are more than ``at_most``."""
        search = self._search(window, by or self.stream.row_window, {})
        found: list[FlatRow] = []
        try:
            for page in search:
                found += [self.flatten(bytes(row)) for row in self._progress(page)]
                if len(found) > at_most:
                    return None
            return found
        finally:
            self._count(search)

    def rows_by_name(self, names: Sequence[RowName]) -> Iterator[tuple[RowName, FlatRow | None]]:
        """Yield the current rows of some that are known; None for those that Alvys does not have."""
        found = row_filter(self.stream)
        batch = [name for name in names if found and (name.number or not found[1])]
        size = found[0].max_items or 50 if found else 1
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            assert found is not None  # noqa: S101
            values = [str(name.number if found[1] else name.key) for name in part]
            search = self._search(None, None, {found[0].name: values})
            try:
                rows = [self.flatten(bytes(row)) for page in search for row in self._progress(page)]
            finally:
                self._count(search)
            known = {row[0][0][self.columns.key]: row for row in rows}
            yield from ((name, known.get(name.key)) for name in part)
        for name in names:
            if name not in batch:
                yield name, self._look_up(name)

    @property
    def can_name_rows(self) -> bool:
        """Whether Alvys finds a row by its key or number."""
        return row_filter(self.stream) is not None or self._selector is not None

    def name_of(self, row: FlatRow) -> RowName:
        """Return the name of a flattened row."""
        cells = row[0][0]
        number = cells[self.columns.number] if self.columns.number is not None else None
        return RowName(str(cells[self.columns.key]), None if number is None else str(number))

    def flatten(self, row: bytes) -> FlatRow:
        """Return the rows of the tables for one record."""
        return self._flattener.flatten(row, f"A row of {self.stream.name}")

    @property
    def _selector(self) -> str | None:
        """The selector of a look-up by key, in a path or a query."""
        lookup = self.stream.lookup
        if lookup is None or len(self.stream.key) != 1:
            return None
        if not lookup.one_of:
            return lookup.path.partition("{")[2].partition("}")[0] if lookup.path.count("{") == 1 else None
        return next((name for name, field in lookup.one_of.items() if field == self.stream.key[0]), None)

    def _look_up(self, name: RowName) -> FlatRow | None:
        from airflow_provider_alvys.api.read.lookup import look_up

        assert self._selector is not None  # noqa: S101
        self._before()
        self._answers["requests"] = self.requests + 1
        try:
            record = look_up(self._client, self.stream, {self._selector: name.key})
        except AlvysNotFoundError:
            return None
        self._client.clock.mark_progress()
        return self.flatten(dump_json(record).encode())

    def _search(
        self, window: Window | None, by: TimeWindow | None, filters: Mapping[str, Any]
    ) -> _CountedSearch:
        self._before()
        requested = None if window is None else RequestedWindow(window.since, window.until)
        queries = make_queries(self.stream, filters, window=requested, by=by if window else None)
        return _CountedSearch(self, self._client, self.stream, queries)

    def _progress(self, page: list[Any]) -> list[Any]:
        self._client.clock.mark_progress()
        return page

    def _count(self, search: Search) -> None:
        self._answers["requests"] = self.requests + search.state.requests


class _CountedSearch(Search):
    """A search whose requests count, also if one of them is deferred."""

    def __init__(self, side: AlvysSide, *args: Any) -> None:
        super().__init__(*args)
        self._side = side

    def count(self) -> int:
        try:
            return super().count()
        finally:
            self._side._count(self)


def changed_since(stream_windows: Sequence[TimeWindow]) -> TimeWindow | None:
    """Return the window that finds all rows that changed; None if the stream has none."""
    certain = (by for by in stream_windows if by.tracks_changes and by.column_is_certain)
    return next(certain, None)


def newest_time(row: FlatRow, schema: StreamSchema, until: datetime) -> str | None:
    """Return the last time in a row that is not after ``until``."""
    limit = f"{until:%Y-%m-%d %H:%M:%S}"
    cells = zip(schema.main.columns, row[0][0], strict=False)
    times = [cell for column, cell in cells if column.kind == "timestamp" and cell and cell <= limit]
    return max(times, default=None)
