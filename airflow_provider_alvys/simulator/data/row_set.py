"""Row sets: search, order and changes. A row is a number; its values are generated when they are read."""

from __future__ import annotations

import hashlib
import random
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol
from zlib import crc32

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Filter, Stream
from airflow_provider_alvys.simulator.data.columns import ColumnGenerator, value_at
from airflow_provider_alvys.simulator.data.facts import Facts
from airflow_provider_alvys.simulator.data.records import RecordGenerator
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE, RowSetSpec, column_of
from airflow_provider_alvys.simulator.data.sample_values import DEFAULT_STAGE, STAGES
from airflow_provider_alvys.simulator.data.search_request import SearchRequest, searched_period
from airflow_provider_alvys.simulator.data.times import DAY, Lifecycle, parse_micros, rule_of
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.unchanged import Unchanged

# The maximum time that rows are dated in the future.
_MAX_LOOKAHEAD = timedelta(days=30)
_MAX_CACHED_BYTES = 256 * 1024 * 1024
# The version of records that have it as a field, not only as a header.
ETAG = "Etag"
# The fields that determine a row's stage.
_STAGE_FIELDS = ("Status", "IsPaid")


class ColumnValues(dict[int, Any]):
    """A column's values by row number, each generated when it is first read."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> Any:
        value = self[number] = self._make(number)
        return value


class ChangeListener(Protocol):
    """Receives the changes of rows."""

    def snapshot(self, rows: RowSet, numbers: Iterable[int]) -> Mapping[int, dict[str, Any] | None] | None:
        """Return the records of rows before a change, or None if no subscriber needs them."""

    def notify(
        self, rows: RowSet, before: Mapping[int, dict[str, Any] | None], *, are_removed: bool = False
    ) -> None:
        """Report changed rows, with their records before the change."""


# What each listener needs of rows before a change.
Snapshots = Sequence[tuple[ChangeListener, Mapping[int, dict[str, Any] | None]]]


class RowSet:
    """
    All rows of one or more streams.

    :param row_set_of: returns the row set of another stream.
    :param data_end: time of the newest rows, in microseconds since 1970.
    """

    # What the company decides about the rows.
    facts: Facts | None = None
    # The company from whose loads the rows follow.
    company: object | None = None

    def __init__(
        self, spec: RowSetSpec, row_set_of: Callable[[str], RowSet], options: Options, data_end: int
    ) -> None:
        self.spec = spec
        self.row_set_of = row_set_of
        self.options = options
        self.data_end = data_end
        self.salt = hash((options.seed, crc32(spec.name.encode())))
        self.count = self._initial_count()
        self._start = data_end - int(options.days * DAY)
        self._interval = (data_end + self._lookahead() - self._start) / max(1, self.count)
        self._numbers = list(range(self.count))
        self._next = self.count
        # When added rows started, and when they were added.
        self._added_times: dict[int, tuple[int, int]] = {}
        self._changes: dict[int, dict[str, Any]] = {}
        self._revisions: dict[int, int] = {}
        # Rows without generated children.
        self.childless: set[int] = set()
        self.listeners: Sequence[ChangeListener] = ()
        self.unchanged = Unchanged()
        self._columns: dict[str, ColumnValues] = {}
        self._generator = ColumnGenerator(self)
        # Of the last row: a record needs it often.
        self._last_lifecycle: Lifecycle | None = None
        self._json: dict[int, bytes] = {}
        self._cached_bytes = 0
        self._random = random.Random(options.seed)
        self._change_count = 0
        self._last_search: tuple[Any, list[int]] | None = None

    @cached_property
    def _record_generator(self) -> RecordGenerator:
        return RecordGenerator(self, self._generator)

    @cached_property
    def _stage_columns(self) -> list[str]:
        return [name for name in _STAGE_FIELDS if self.spec.type_of(name) or name in self.spec.hidden_columns]

    def _initial_count(self) -> int:
        given = [
            self.options.rows[stream.name] for stream in self.spec.streams if stream.name in self.options.rows
        ]
        return given[0] if given else self.options.loads if self.spec.is_regular else self.options.fleet

    def _lookahead(self) -> int:
        """Return how long after the data's end the last row starts: some streams have future rows."""
        main = self.spec.start_window
        if main is None or (main.look_ahead is not None and main.look_ahead <= timedelta(days=1)):
            return 0
        return int(min(_MAX_LOOKAHEAD, main.look_ahead or _MAX_LOOKAHEAD).total_seconds() * 1_000_000)

    @property
    def change_count(self) -> int:
        """The number of changes."""
        return self._change_count

    def started_at(self, number: int) -> int:
        """Return when a row started."""
        if number in self._added_times:
            return self._added_times[number][0]
        return self._start + int(
            (number + (hash((self.salt, number, 1)) & 0xFFFFFF) / 0x1000000) * self._interval
        )

    def parent_of(self, number: int) -> int:
        """Return the number of a row's parent; only children have one."""
        raise LookupError(f"{self.spec.name} have no parents")

    def is_first(self, number: int) -> bool:
        """Return whether a row is its parent's first child."""
        raise LookupError(f"{self.spec.name} have no parents")

    def has(self, number: int) -> bool:
        """Return whether a row exists."""
        return number in self._numbers

    def lifecycle(self, number: int) -> Lifecycle:
        """Return the lifecycle of a row."""
        if self._last_lifecycle is not None and self._last_lifecycle.number == number:
            return self._last_lifecycle
        stage = DEFAULT_STAGE
        for name in self._stage_columns:
            value = self.column(name)[number]
            stage = min(stage, 4) if value is False else STAGES.get(str(value).lower(), stage)
        until = (
            max(self.data_end, self._added_times[number][1]) if number in self._added_times else self.data_end
        )
        self._last_lifecycle = Lifecycle(number, self.started_at(number), until, stage)
        return self._last_lifecycle

    def column(self, path: str) -> ColumnValues:
        """Return a column."""
        column = self._columns.get(path)
        if column is None:
            generated = self._generator.column(path)
            head, _, rest = path.partition(".")

            def make(number: int) -> Any:
                changes = self._changes.get(number)
                if changes is None or (path not in changes and head not in changes):
                    equal = self.unchanged.rows(self.spec.stream.name)
                    value = equal.column(path)[number] if equal else None
                    # Two companies share nothing that can be changed in place.
                    return generated(number) if equal is None or isinstance(value, (list, dict)) else value
                return changes[path] if path in changes else value_at(changes[head], rest.split("."))

            column = self._columns[path] = ColumnValues(make)
        return column

    def key(self, number: int) -> str:
        """Return a row's key; without key fields, its number."""
        values = [self.column(name)[number] for name in self.spec.stream.key]
        return "/".join("" if value is None else str(value) for value in values) if values else str(number)

    def record_json(self, number: int, *, with_tombstone: bool) -> bytes:
        """Return a row's record as JSON."""
        text = self._json.get(number)
        if text is None:
            if self._cached_bytes > _MAX_CACHED_BYTES:
                self._json.clear()
                self._cached_bytes = 0
            equal = self.unchanged.rows(self.spec.stream.name)
            text = self._json[number] = (
                equal.record_json(number, with_tombstone=False)
                if equal
                else msgspec.json.encode(self.record(number))
            )
            self._cached_bytes += len(text)
        if not with_tombstone or self.spec.type_of(TOMBSTONE) is None:
            return text
        return text[:-1] + (
            b',"IsDeleted":true}' if self.column(TOMBSTONE)[number] else b',"IsDeleted":false}'
        )

    def record(self, number: int) -> dict[str, Any]:
        """Return a row's record without its tombstone; the caller must not change it."""
        return self._record_generator.record(number, self._changes.get(number, {}))

    def etag(self, number: int) -> str:
        """Return a row's version, without quotes. Each change gives it another one."""
        if self.spec.type_of(ETAG):
            return str(self.column(ETAG)[number])
        text = b"%d %b" % (self._revisions.get(number, 0), self.record_json(number, with_tombstone=False))
        return hashlib.sha256(text).hexdigest()[:16]

    def numbers(self) -> list[int]:
        """Return the numbers of all rows, oldest first."""
        return self._numbers

    def children_of(self, names: Sequence[str]) -> list[int]:
        """Return the rows with one of these parents."""
        column, wanted = self.column(self.spec.parent_column), frozenset(names)
        return [number for number in self._numbers if column[number] in wanted]

    def find(self, stream: Stream, request: SearchRequest) -> list[int]:
        """Return the rows that a search of one of the set's streams finds, in the configured order."""
        cache_key = (
            self.change_count,
            stream.name,
            msgspec.json.encode((request.filters, request.periods, request.parents)),
        )
        if self._last_search is None or self._last_search[0] != cache_key:
            found = self._match(stream, request)
            self._last_search = (cache_key, found[::-1] if self.options.order == "newest" else found)
        found = self._last_search[1]
        return self._random.sample(found, len(found)) if self.options.order == "unstable" else found

    def _match(self, stream: Stream, request: SearchRequest) -> list[int]:
        found = list(self.numbers()) if request.parents is None else self.children_of(request.parents)
        for filter in stream.filters:
            found = self._filtered(found, stream, filter, request.filters.get(filter.name))
        for window in stream.windows:
            if window.name in request.periods:
                start, end = searched_period(window, request.periods[window.name])
                name = self.options.window_columns.get(f"{stream.name}.{window.name}", window.column)
                column = self.column(name)
                found = [
                    number
                    for number in found
                    if (value := column[number]) is not None and start <= value < end
                ]
        return found

    def _filtered(self, found: list[int], stream: Stream, filter: Filter, wanted: Any) -> list[int]:
        path = column_of(stream, filter)
        is_ignored = f"{stream.name}.{filter.name}" in self.options.ignored_filters.split()
        if path is None or is_ignored or (wanted is None and not filter.unhides):
            return found
        column = self.column(path)
        if filter.unhides:
            return found if wanted is True else [number for number in found if not column[number]]
        values = frozenset(wanted if isinstance(wanted, list) else [wanted])
        if self.spec.array_of(path):
            return [number for number in found if not values.isdisjoint(column[number])]
        return [number for number in found if column[number] in values]

    def number_of(self, column: str, text: str) -> int | None:
        """Return the row with a value, given as text, or None."""
        values = self.column(column)
        return next((number for number in self.numbers() if str(values[number]) == text), None)

    def with_keys(self, names: Iterable[str]) -> list[int]:
        """Return the rows with these keys or other lookup values."""
        wanted = frozenset(names)
        selectors = [
            column
            for stream in self.spec.streams
            if stream.lookup
            for column in stream.lookup.one_of.values()
        ]
        columns = [self.column(name) for name in selectors]
        return [
            number
            for number in self.numbers()
            if self.key(number) in wanted or any(str(column[number]) in wanted for column in columns)
        ]

    def matching(self, columns: Mapping[str, Any]) -> list[int]:
        """Return the rows with these values; a list matches any of its items."""
        found = list(self.numbers())
        for name, value in columns.items():
            values, column = (
                value if isinstance(value, list) else [self._parse_value(name, value)],
                self.column(name),
            )
            found = [number for number in found if column[number] in values]
        return found

    def update(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows at a time."""
        values = {name: self._parse_value(name, value) for name, value in columns.items()}
        if self.spec.updated_column and self.spec.updated_column not in values:
            values[self.spec.updated_column] = now
        numbers = list(numbers)
        snapshots = self._snapshot(numbers)
        late = self._times_of_status(values)
        for number in numbers:
            late_now = [name for name in late if name not in values and self.column(name)[number] is None]
            self._change(number, values)
            # Stages reached by the new status were reached now.
            stage = self.lifecycle(number).stage
            reached = {name: now for name in late_now if rule_of(name).is_reached(stage)}
            self._change(number, {name: now - now % self._generator.resolution(name) for name in reached})
        self._change_count += 1
        self._notify(snapshots)

    def _snapshot(self, numbers: Iterable[int]) -> Snapshots:
        """Return what each listener needs of rows before a change."""
        found = [(listener, listener.snapshot(self, numbers)) for listener in self.listeners]
        return [(listener, before) for listener, before in found if before is not None]

    def _notify(self, snapshots: Snapshots, *, are_removed: bool = False) -> None:
        for listener, before in snapshots:
            listener.notify(self, before, are_removed=are_removed)

    def _times_of_status(self, values: Mapping[str, Any]) -> list[str]:
        """Return the times that a change of these columns may set."""
        return self._generator.stage_times() if any(name in values for name in self._stage_columns) else []

    def _change(self, number: int, values: Mapping[str, Any]) -> None:
        self.unchanged.end()
        revision = self._revisions[number] = self._revisions.get(number, 0) + 1
        if self.spec.type_of(ETAG):
            values = {ETAG: f"{self.salt & 0xFFFFFFFF:08x}-{number}-{revision}", **values}
        self._changes.setdefault(number, {}).update(values)
        self._json.pop(number, None)
        self._last_lifecycle = None
        for column in self._columns.values():
            column.pop(number, None)

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """
        Add a row in order of its start, and return its number.

        :param at: when it starts, unless the columns contain the time.
        :param parent: name of its parent; None means the one in the columns.
        """
        number = self._next
        self._next += 1
        values = {name: self._parse_value(name, value) for name, value in columns.items()}
        begins = values.get(self.spec.start_window.column) if self.spec.start_window else None
        self._added_times[number] = (at if begins is None else int(begins), at)
        if parent is not None:
            values.setdefault(self.spec.parent_column, parent)
        self._change(number, values)
        self._insert(number)
        self._change_count += 1
        self._notify([(listener, {number: None}) for listener, _ in self._snapshot(())])
        return number

    def _insert(self, number: int) -> None:
        insort(self._numbers, number, key=self.started_at)

    def remove(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows without a trace."""
        removed = frozenset(numbers)
        snapshots = self._snapshot(removed)
        self._drop(removed)
        self._change_count += 1
        self._notify(snapshots, are_removed=True)

    def _drop(self, removed: frozenset[int]) -> None:
        self.unchanged.end()
        self._numbers = [number for number in self._numbers if number not in removed]

    def sample(self, numbers: list[int], count: int) -> list[int]:
        """Return ``count`` random rows, or all if there are fewer."""
        return self._random.sample(numbers, min(count, len(numbers)))

    def random_time(self, start: int, end: int) -> int:
        """Return a random time."""
        return self._random.randint(start, max(start, end))

    def random_choice(self, values: Sequence[Any]) -> Any:
        """Return one of some values at random."""
        return self._random.choice(values)

    def _parse_value(self, name: str, value: Any) -> Any:
        return parse_micros(value) if isinstance(value, str) and self._generator.is_time(name) else value
