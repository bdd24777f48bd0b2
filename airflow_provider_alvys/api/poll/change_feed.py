"""Which rows of a stream are new or have changed since they were last looked at."""

from __future__ import annotations

import base64
import difflib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.stream_spec import Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.batch_queries import time_sort_key
from airflow_provider_alvys.api.read.page_decoder import Row, decode_row
from airflow_provider_alvys.api.read.queries import Query, RequestedWindow, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.api.read.windows import ALL_TIME, format_time
from airflow_provider_alvys.api.schema.fields import Array, Record, Scalar

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

# A row may show a change some time after the moment that it names. So much of what was read is read again.
OVERLAP = timedelta(minutes=5)
# What a state store takes is 64 KiB: so many hashes of 8 bytes stand in less, in base 64. With more of them the oldest are
# forgotten, and told again after a restart.
_MAX_SEEN = 5000
_MICROSECOND = timedelta(microseconds=1)
# What a field is compared with, and how errors call it. Numbers with a fraction are not compared.
_COMPARABLE: Mapping[Scalar, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a text"),
    "time": ((str,), "a text"),
    "date": ((str,), "a text"),
    "integer": ((int,), "a whole number"),
    "boolean": ((bool,), "true or false"),
}


def get_watch_window(stream: Stream, name: str | None) -> TimeWindow:
    """
    Return the time window by which a stream's changes are watched.

    :param name: None for the regular one.
    :raises AlvysValueError: there is no such window, or none that is one search.
    """
    window = stream.window(name)
    if window is None or stream.parent is not None:
        names = ", ".join(repr(window.name) for window in stream.windows)
        advice = (
            f"Give window_by={names}"
            if names and stream.parent is None
            else "Land it and compare, or search for it"
        )
        raise AlvysValueError(
            f"{stream.name} cannot be watched: Alvys gives it without a window on its changes. {advice}"
        )
    return window


def check_interval(window: TimeWindow, seconds: float | None) -> float:
    """
    Return the seconds between two looks.

    :param seconds: None for a minute, or a quarter of an hour where each look reads again all that the window looks back to.
    :raises AlvysValueError: it is no length of time.
    """
    if seconds is None:
        return 60.0 if window.tracks_changes else 900.0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise AlvysValueError(f"poll_interval={seconds!r} must be seconds, more than 0")
    return float(seconds)


def check_where(stream: Stream, where: Mapping[str, Any] | None) -> dict[str, tuple[Any, ...]]:
    """
    Return the values that each field may have.

    :param where: fields of the row, ``Customer.Id`` for one inside an object (or inside any of a list of them), with a value or a
        list of values.
    :raises AlvysValueError: the rows have no such field, or Alvys gives it no such value.
    """
    if where is not None and not isinstance(where, Mapping):
        raise AlvysValueError(
            f"where={where!r} is no dict: give fields and their values, such as {{'Status': ['Delivered']}}"
        )
    known = dict(_field_paths(stream.fields))
    checked = {}
    for name, value in (where or {}).items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise AlvysValueError(f"A row of {stream.name} has no field {name!r}.{hint}")
        values = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
        wanted, what = _COMPARABLE.get(known[name], (None, ""))
        if wanted is None:
            raise AlvysValueError(
                f"{name} of {stream.name} cannot be watched: watch a text, a whole number, or true or false"
            )
        if not values or not all(type(item) in wanted for item in values):
            raise AlvysValueError(f"where[{name!r}]={value!r} must be {what}, or a list of such")
        allowed = next((filter.values for filter in stream.filters if filter.column == name), None)
        strangers = [item for item in values if allowed and item not in allowed]
        if strangers:
            raise AlvysValueError(
                f"{name} of {stream.name} is never {strangers[0]!r}. Allowed: {', '.join(map(str, allowed or ()))}"
            )
        # In one order, whatever order a set has in this process: it is part of the watcher's name.
        checked[name] = tuple(sorted(set(values), key=str))
    return checked


def _field_paths(record: Record, above: str = "") -> Iterator[tuple[str, Scalar]]:
    for name, kind in record.fields.items():
        inner = kind.of if isinstance(kind, Array) else kind
        if isinstance(inner, Record):
            yield from _field_paths(inner, f"{above}{name}.")
        elif not isinstance(inner, Array):
            yield f"{above}{name}", inner


class RowChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A row that is new or has changed.

    :param id: what identifies it; several parts with ``/`` between.
    :param key: of this change: the same whenever it is told again.
    :param number: by which people know it, such as the load number.
    :param updated_at: Alvys's text of the time that the window filters by.
    :param fields: the values of the watched fields.
    """

    id: str
    key: str
    number: str | None = None
    status: str | None = None
    updated_at: str | None = None
    fields: dict[str, Any] = {}


@dataclass(frozen=True)
class ChangeReader:
    """
    Make changes from rows.

    :param columns: the fields that each change tells beside id, number, status and time.
    """

    stream: Stream
    window: TimeWindow
    columns: frozenset[str]

    def queries(self, since: datetime, until: datetime) -> list[Query]:
        """Return what to ask for, so that no change after ``since`` is missed."""
        return make_queries(
            self.stream, {}, window=RequestedWindow(since, until, overlap=OVERLAP), by=self.window
        )

    def read(self, row: Row) -> RowChange:
        """Return a row's change."""
        record = decode_row(row)
        id = "/".join(
            "" if part is None else str(part) for part in (record.get(name) for name in self.stream.key)
        )
        stamp = self.window.column and record.get(self.window.column)
        # A change moves the time, where the window tracks changes. Elsewhere only the content tells.
        version = (
            stamp if stamp and self.window.tracks_changes else blake2b(bytes(row), digest_size=8).hexdigest()
        )
        return RowChange(
            id=id,
            key=f"{id}@{version}",
            number=record.get(self.stream.number_field),
            status=record.get("Status"),
            updated_at=stamp or None,
            fields={
                name: value
                for name in sorted(self.columns)
                if (value := _values_at(record, name.split("."))) is not None
            },
        )


def _values_at(value: Any, names: list[str]) -> Any:
    """Return what stands at a path in a record, one list of it where lists are on the way, as plain JSON values."""
    for number, name in enumerate(names):
        if isinstance(value, list):
            found = [_values_at(item, names[number:]) for item in value]
            return [one for each in found for one in (each if isinstance(each, list) else [each])]
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, (str, int, bool, list)) or value is None else str(value)


def matches(change: RowChange, where: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether the watched fields have one of their values each; in a list, any of its items."""
    for name, wanted in where.items():
        value = change.fields.get(name)
        if not any(item in wanted for item in (value if isinstance(value, list) else [value])):
            return False
    return True


@dataclass(frozen=True)
class ChangeRequest:
    """
    What one watcher wants to know.

    :param since: up to when it knows all changes.
    :param columns: the fields that each change should tell beside id, number, status and time.
    :param is_new: whether it knows ``since`` by its own clock only.
    """

    since: datetime
    columns: frozenset[str] = frozenset()
    is_new: bool = False


@dataclass(frozen=True)
class ChangeResult:
    """
    All rows that are new or have changed since the earliest time that was asked for, less :data:`OVERLAP`.

    :param since: that time.
    :param until: up to when.
    :param is_complete: whether they are surely all; where rows moved while they were read, those not shown come next time.
    :param clock_skew: by how much our own clock was ahead when ``until`` was.
    """

    changes: tuple[RowChange, ...]
    since: datetime
    until: datetime
    is_complete: bool
    clock_skew: timedelta = timedelta(0)


@dataclass(frozen=True)
class ChangesQuery:
    """
    The question for the changes of a stream: however many watchers ask, one reading answers them all.

    :param window: one of the stream's, as :func:`get_watch_window` gives it.
    :param day: from which it is asked for, where that makes another set: see :attr:`ChangeTracker.day`.
    """

    stream: Stream
    window: TimeWindow
    day: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """The call that answers it."""
        return self.stream.endpoint

    @property
    def max_items(self) -> int:
        """How many watchers one reading serves."""
        return 10_000

    def make_job(self, items: Sequence[ChangeRequest]) -> ChangesJob:
        """Return what reads for these watchers."""
        return ChangesJob(self, items)


class ChangesJob:
    """Read what all of some watchers want to know, a request at a time."""

    def __init__(self, query: ChangesQuery, items: Sequence[ChangeRequest]) -> None:
        columns = frozenset().union(*(item.columns for item in items))
        self._reader = ChangeReader(query.stream, query.window, columns)
        self._items = items
        self._since = ALL_TIME.since
        self._until: datetime | None = None
        self._clock_skew = timedelta(0)
        self._state: bytes | None = None
        self._changes: dict[str, RowChange] = {}

    def step(self, client: AlvysClient) -> Sequence[ChangeResult] | None:
        """Read one more page."""
        if self._until is None:
            self._until = datetime.fromtimestamp(client.now(), timezone.utc)
            self._clock_skew = max(
                timedelta(0), datetime.fromtimestamp(client.clock.time(), timezone.utc) - self._until
            )
            starts = [item.since - self._clock_skew if item.is_new else item.since for item in self._items]
            self._since = min(*starts, self._until - _MICROSECOND)
        stream = self._reader.stream
        queries = self._reader.queries(self._since, self._until)
        # As it was after the last whole page: what has failed since may have left it in disorder.
        state = None if self._state is None else msgspec.json.decode(self._state, type=SearchState)
        search = Search(client, stream, queries, state=state)
        for page in search:
            for row in page:
                change = self._reader.read(row)
                self._changes[change.key] = change
            self._state = msgspec.json.encode(search.save())
            return None
        # By what the answers said of the time: our own clock may have been set since it was last held against the server's.
        until = min(self._until, datetime.fromtimestamp(client.now(), timezone.utc))
        found = ChangeResult(
            tuple(self._changes.values()), self._since, until, search.proof == "whole", self._clock_skew
        )
        return [found] * len(self._items)


class TrackerState(msgspec.Struct, kw_only=True):
    """
    How far a watcher has come: what a state store keeps.

    :param watermark: up to when all changes have been told.
    :param seen: hashes of the changes that lie in what is read again, 8 bytes each, in base 64.
    :param is_new: whether nothing has been looked at yet. What is there at the first look is not told, but for what a tracked
        time shows to have come after ``mark``.
    """

    watermark: datetime = msgspec.field(name="mark")
    seen: str = ""
    is_new: bool = False


class ChangeTracker:
    """
    Tell apart what was told from what is new.

    :param state: where to go on.
    """

    def __init__(self, window: TimeWindow, state: TrackerState) -> None:
        self.watermark = state.watermark
        self.is_new = state.is_new
        self._window = window
        self._seen = dict.fromkeys(array("Q", base64.b64decode(state.seen)))

    @property
    def day(self) -> str:
        """
        The day of the mark, for a window on business dates.

        Those who ask from another day are not told together: no time in a row tells which of them it is for.
        """
        is_dates = self._window.whole_days or bool(self._window.branches)
        return f"{self.watermark:%Y-%m-%d}" if is_dates and not self.is_new else ""

    def advance(self, found: ChangeResult) -> list[RowChange]:
        """Return the changes that have not been told yet, the oldest first."""
        hashes = {
            _hash_key(change.key): change
            for change in sorted(found.changes, key=_sort_key)
            if self._is_in_window(change, found)
        }
        new = [change for hash, change in hashes.items() if hash not in self._seen]
        if self.is_new:
            began = _time_key(self.watermark - found.clock_skew)
            new = [change for change in new if self._window.tracks_changes and _sort_key(change) >= began]
        # What a moving set did not show this time may come again, and so may all where a clock was set back.
        is_replaced = found.is_complete and (self.is_new or found.until >= self.watermark)
        kept = {} if is_replaced else {hash: None for hash in self._seen if hash not in hashes}
        self._seen = {**kept, **dict.fromkeys(hashes)}
        self.watermark = found.until if self.is_new else max(self.watermark, found.until)
        self.is_new = False
        return new

    def _is_in_window(self, change: RowChange, found: ChangeResult) -> bool:
        """Tell whether a change lies in what this watcher asks for, not only in what another does that knows less."""
        if self.is_new or self.day or found.since >= self.watermark:
            return True
        moment = _sort_key(change)
        return not moment or moment >= _time_key(self.watermark - max(OVERLAP, self._window.look_back))

    def save(self) -> TrackerState:
        """Return how far it has come."""
        kept = list(self._seen)[-_MAX_SEEN:]
        return TrackerState(
            watermark=self.watermark,
            seen=base64.b64encode(array("Q", kept).tobytes()).decode(),
            is_new=self.is_new,
        )


def _sort_key(change: RowChange) -> str:
    """Return a text by which changes are put in order; empty where nothing tells."""
    stamp = change.updated_at or ""
    # Some windows are by a bare date.
    return time_sort_key(stamp) or time_sort_key(f"{stamp}T00:00:00Z")


def _time_key(time: datetime) -> str:
    return time_sort_key(format_time(time))


def _hash_key(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
