"""Sets of rows: what a search finds, in which order, and how rows change. A row is a number until it is read."""

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
from airflow_provider_alvys.simulator.data.columns import ColumnMaker
from airflow_provider_alvys.simulator.data.records import RecordMaker
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE, Plan, column_of
from airflow_provider_alvys.simulator.data.sample_values import ORDINARY_STAGE, STAGES
from airflow_provider_alvys.simulator.data.search_request import Question, whole_days
from airflow_provider_alvys.simulator.data.times import DAY, Facts, parse_micros
from airflow_provider_alvys.simulator.options import Options

# How far ahead rows are dated, at most.
_AHEAD = timedelta(days=30)
# Bytes of records that a set keeps to answer sooner.
_KEPT = 256 * 1024 * 1024
# The field with the version of a record, where it is in no header.
ETAG = "Etag"
# What a row's stage is read from.
_STAGE_COLUMNS = ("Status", "IsPaid")


class ColumnValues(dict[int, Any]):
    """A column's values by the rows' numbers, each made when it is first read."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> Any:
        value = self[number] = self._make(number)
        return value


class Watcher(Protocol):
    """Who wants to know of changes."""

    def look(self, rows: RowSet, numbers: Iterable[int]) -> Mapping[int, dict[str, Any] | None] | None:
        """Return the records of rows that are about to change, or None where nobody wants to know."""

    def tell(
        self, rows: RowSet, before: Mapping[int, dict[str, Any] | None], *, are_gone: bool = False
    ) -> None:
        """Take notice of rows that have changed."""


class RowSet:
    """
    All rows that one or more streams show.

    :param sets: gives the row set of another stream.
    :param born: the moment at which the data ends, in microseconds since 1970.
    """

    def __init__(self, plan: Plan, sets: Callable[[str], RowSet], options: Options, born: int) -> None:
        self.plan = plan
        self.sets = sets
        self.options = options
        self.born = born
        self.salt = hash((options.seed, crc32(plan.name.encode())))
        self.count = self._first_count()
        self._start = born - int(options.days * DAY)
        self._slot = (born + self._ahead() - self._start) / max(1, self.count)
        self._numbers = list(range(self.count))
        self._next = self.count
        # When added rows begin, and when they were added.
        self._at: dict[int, tuple[int, int]] = {}
        self._changes: dict[int, dict[str, Any]] = {}
        self._revisions: dict[int, int] = {}
        # Rows whose children are not made up.
        self.barren: set[int] = set()
        self.watcher: Watcher | None = None
        self._columns: dict[str, ColumnValues] = {}
        self._maker = ColumnMaker(self)
        # Of the row that was last asked for: a record asks often.
        self._facts: Facts | None = None
        self._texts: dict[int, bytes] = {}
        self._size = 0
        self._random = random.Random(options.seed)
        self._version = 0
        self._found: tuple[Any, list[int]] | None = None

    @cached_property
    def _records(self) -> RecordMaker:
        return RecordMaker(self, self._maker)

    @cached_property
    def _stages(self) -> list[str]:
        return [name for name in _STAGE_COLUMNS if self.plan.type_of(name) or name in self.plan.hides]

    def _first_count(self) -> int:
        given = [
            self.options.rows[stream.name] for stream in self.plan.streams if stream.name in self.options.rows
        ]
        return given[0] if given else self.options.loads if self.plan.is_regular else self.options.fleet

    def _ahead(self) -> int:
        """Return how far ahead the last row begins: some windows end after now, since rows are dated ahead."""
        main = self.plan.main
        if main is None or (main.look_ahead is not None and main.look_ahead <= timedelta(days=1)):
            return 0
        return int(min(_AHEAD, main.look_ahead or _AHEAD).total_seconds() * 1_000_000)

    @property
    def version(self) -> int:
        """Another number after each change."""
        return self._version

    # What a row is.

    def at(self, number: int) -> int:
        """Return when a row began."""
        if number in self._at:
            return self._at[number][0]
        return self._start + int(
            (number + (hash((self.salt, number, 1)) & 0xFFFFFF) / 0x1000000) * self._slot
        )

    def parent_of(self, number: int) -> int:
        """Return whose child a row is."""
        raise LookupError(f"{self.plan.name} are nobody's children")

    def is_first(self, number: int) -> bool:
        """Return whether a row is the first of its parent's."""
        raise LookupError(f"{self.plan.name} are nobody's children")

    def has(self, number: int) -> bool:
        """Return whether a row is there."""
        return number in self._numbers

    def facts(self, number: int) -> Facts:
        """Return what a row's times depend on."""
        if self._facts is not None and self._facts.number == number:
            return self._facts
        stage = ORDINARY_STAGE
        for name in self._stages:
            value = self.column(name)[number]
            stage = min(stage, 4) if value is False else STAGES.get(str(value).lower(), stage)
        until = max(self.born, self._at[number][1]) if number in self._at else self.born
        self._facts = Facts(number, self.at(number), until, stage)
        return self._facts

    def column(self, path: str) -> ColumnValues:
        """Return a column."""
        column = self._columns.get(path)
        if column is None:
            made = self._maker.column(path)
            head, _, rest = path.partition(".")

            def make(number: int) -> Any:
                changes = self._changes.get(number)
                if changes is None or (path not in changes and head not in changes):
                    return made(number)
                return changes[path] if path in changes else dig(changes[head], rest.split("."))

            column = self._columns[path] = ColumnValues(make)
        return column

    def key(self, number: int) -> str:
        """Return what identifies a row; its number where nothing does."""
        values = [self.column(name)[number] for name in self.plan.first.key]
        return "/".join("" if value is None else str(value) for value in values) if values else str(number)

    def text(self, number: int, *, with_tombstone: bool) -> bytes:
        """Return a row's record as JSON."""
        text = self._texts.get(number)
        if text is None:
            if self._size > _KEPT:
                self._texts.clear()
                self._size = 0
            text = self._texts[number] = msgspec.json.encode(self.record(number))
            self._size += len(text)
        if not with_tombstone or self.plan.type_of(TOMBSTONE) is None:
            return text
        return text[:-1] + (
            b',"IsDeleted":true}' if self.column(TOMBSTONE)[number] else b',"IsDeleted":false}'
        )

    def record(self, number: int) -> dict[str, Any]:
        """Return a row's record as it is made, without its tombstone. What is in it must not be changed."""
        return self._records.make(number, self._changes.get(number, {}))

    def etag(self, number: int) -> str:
        """Return the version of a row, without quotes: another one after each change."""
        if self.plan.type_of(ETAG):
            return str(self.column(ETAG)[number])
        text = b"%d %b" % (self._revisions.get(number, 0), self.text(number, with_tombstone=False))
        return hashlib.sha256(text).hexdigest()[:16]

    # What a search finds.

    def numbers(self) -> list[int]:
        """Return all rows, the oldest first."""
        return self._numbers

    def of(self, names: Sequence[str]) -> list[int]:
        """Return the rows whose parents have these names, as the parents' column says."""
        column, wanted = self.column(self.plan.parent_column), frozenset(names)
        return [number for number in self._numbers if column[number] in wanted]

    def find(self, stream: Stream, question: Question) -> list[int]:
        """Return what a search by one of the set's streams finds, in the set's order."""
        asked = (
            self.version,
            stream.name,
            msgspec.json.encode((question.filters, question.periods, question.parents)),
        )
        if self._found is None or self._found[0] != asked:
            found = self._match(stream, question)
            self._found = (asked, found[::-1] if self.options.order == "newest" else found)
        found = self._found[1]
        return self._random.sample(found, len(found)) if self.options.order == "unstable" else found

    def _match(self, stream: Stream, question: Question) -> list[int]:
        found = list(self.numbers()) if question.parents is None else self.of(question.parents)
        for filter in stream.filters:
            found = self._filtered(found, stream, filter, question.filters.get(filter.name))
        for window in stream.windows:
            if window.name in question.periods:
                start, end = whole_days(window, question.periods[window.name])
                column = self.column(window.column)
                # Nothing documents whether the ends belong to a period: here they do.
                found = [
                    number
                    for number in found
                    if (value := column[number]) is not None and start <= value <= end
                ]
        return found

    def _filtered(self, found: list[int], stream: Stream, filter: Filter, wanted: Any) -> list[int]:
        path = column_of(stream, filter)
        if path is None or (wanted is None and not filter.unhides):
            return found
        column = self.column(path)
        if filter.unhides:
            return found if wanted is True else [number for number in found if not column[number]]
        values = frozenset(wanted if isinstance(wanted, list) else [wanted])
        if self.plan.array_of(path):
            return [number for number in found if not values.isdisjoint(column[number])]
        return [number for number in found if column[number] in values]

    def number_of(self, column: str, text: str) -> int | None:
        """Return the row that has a value, as a path or a query writes it."""
        values = self.column(column)
        return next((number for number in self.numbers() if str(values[number]) == text), None)

    def named(self, names: Iterable[str]) -> list[int]:
        """Return the rows with these keys, or values that a look-up takes."""
        wanted = frozenset(names)
        selectors = [
            column
            for stream in self.plan.streams
            if stream.lookup
            for column in stream.lookup.one_of.values()
        ]
        columns = [self.column(name) for name in selectors]
        return [
            number
            for number in self.numbers()
            if self.key(number) in wanted or any(str(column[number]) in wanted for column in columns)
        ]

    def having(self, columns: Mapping[str, Any]) -> list[int]:
        """Return the rows with these values, or one of those in a list."""
        found = list(self.numbers())
        for name, value in columns.items():
            values, column = (
                value if isinstance(value, list) else [self._inside(name, value)],
                self.column(name),
            )
            found = [number for number in found if column[number] in values]
        return found

    # How rows change.

    def touch(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows, at ``now``."""
        values = {name: self._inside(name, value) for name, value in columns.items()}
        if self.plan.stamp and self.plan.stamp not in values:
            values[self.plan.stamp] = now
        numbers = list(numbers)
        before = self.watcher.look(self, numbers) if self.watcher else None
        late = self._maker.late_times() if any(name in values for name in self._stages) else []
        for number in numbers:
            late_now = [name for name in late if name not in values and self.column(name)[number] is None]
            self._change(number, values)
            # What has happened by the new status happened now.
            reached = {name: now for name in late_now if self.column(name)[number] is not None}
            self._change(number, {name: now - now % self._maker.grain(name) for name in reached})
        self._version += 1
        if self.watcher and before is not None:
            self.watcher.tell(self, before)

    def _change(self, number: int, values: Mapping[str, Any]) -> None:
        revision = self._revisions[number] = self._revisions.get(number, 0) + 1
        if self.plan.type_of(ETAG):
            values = {ETAG: f"{self.salt & 0xFFFFFFFF:08x}-{number}-{revision}", **values}
        self._changes.setdefault(number, {}).update(values)
        self._texts.pop(number, None)
        self._facts = None
        for column in self._columns.values():
            column.pop(number, None)

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """
        Add a row in its place by time, and return its number.

        :param at: when it begins, unless the columns say it.
        :param parent: whose child it is, by the name that the request gives; None leaves it to the columns.
        """
        number = self._next
        self._next += 1
        values = {name: self._inside(name, value) for name, value in columns.items()}
        begins = values.get(self.plan.main.column) if self.plan.main else None
        self._at[number] = (at if begins is None else int(begins), at)
        if parent is not None:
            values.setdefault(self.plan.parent_column, parent)
        self._change(number, values)
        self._insert(number)
        self._version += 1
        if self.watcher and self.watcher.look(self, ()) is not None:
            self.watcher.tell(self, {number: None})
        return number

    def _insert(self, number: int) -> None:
        insort(self._numbers, number, key=self.at)

    def remove(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows for good, at ``now``."""
        gone = frozenset(numbers)
        before = self.watcher.look(self, gone) if self.watcher else None
        self._forget(gone)
        self._version += 1
        if self.watcher and before is not None:
            self.watcher.tell(self, before, are_gone=True)

    def _forget(self, gone: frozenset[int]) -> None:
        self._numbers = [number for number in self._numbers if number not in gone]

    def pick(self, numbers: list[int], count: int) -> list[int]:
        """Return ``count`` of the rows at random, or all where there are fewer."""
        return self._random.sample(numbers, min(count, len(numbers)))

    def moment_in(self, start: int, end: int) -> int:
        """Return a random time."""
        return self._random.randint(start, max(start, end))

    def one_of(self, values: Sequence[Any]) -> Any:
        """Return one of some values at random."""
        return self._random.choice(values)

    def _inside(self, name: str, value: Any) -> Any:
        return parse_micros(value) if isinstance(value, str) and self._maker.is_time(name) else value


def dig(value: Any, names: Sequence[str]) -> Any:
    """Return what stands at a path in a record's field, a tuple of it where a list is on the way."""
    for number, name in enumerate(names):
        if isinstance(value, list):
            return tuple(dig(item, names[number:]) for item in value)
        value = value.get(name) if isinstance(value, dict) else None
    return value
