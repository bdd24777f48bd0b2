"""The new and changed rows of a stream, for watchers."""

from __future__ import annotations

import base64
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.stream_spec import Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.batch_queries import StreamQuery, time_sort_key
from airflow_provider_alvys.api.read.page_decoder import Row, decode_record
from airflow_provider_alvys.api.read.queries import Query, RequestedWindow, make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.api.read.windows import ALL_TIME, format_time
from airflow_provider_alvys.api.schema.currencies import currency_number
from airflow_provider_alvys.api.schema.fields import Array, FieldFlag, Record, Scalar
from airflow_provider_alvys.api.suggestions import suggest

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

# A search may show a change some time after its date. Each poll reads this much again.
OVERLAP = timedelta(minutes=5)
# A state store takes 64 KiB: this many hashes of 8 bytes fit, in base 64. With more, the oldest are dropped,
# and their changes may be reported again.
_MAX_SEEN = 5000
# A change of a currency's form, from the number to the code, is no change of the row.
_CURRENCY_CODE = re.compile(rb'("Currency":\s*)"([^"\\]+)"')
# The Python types that a field is compared with, and their name in errors. Decimal numbers are not compared.
_COMPARABLE: Mapping[Scalar, tuple[type, str]] = {
    "string": (str, "a string"),
    "time": (str, "a string"),
    "date": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
}


def get_watch_window(stream: Stream, name: str | None) -> TimeWindow:
    """Return the window to watch, by default the stream's default; AlvysValueError if it has none."""
    window = stream.window(name)
    if window is None or stream.parent is not None:
        names = ", ".join(repr(window.name) for window in stream.windows)
        advice = "Sync it and compare the rows, or search for them"
        if names and stream.parent is None:
            advice = f"Give window_by={names}"
        raise AlvysValueError(f"{stream.name} cannot be watched: it has no window on its changes. {advice}")
    return window


def check_interval(window: TimeWindow, seconds: float | None) -> float:
    """Return the seconds between two polls. The default is longer if each poll reads all of the lookback."""
    if seconds is None:
        return 60.0 if window.tracks_changes else 900.0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise AlvysValueError(f"poll_interval={seconds!r} is not a number of seconds: give more than 0")
    return float(seconds)


def check_where(stream: Stream, where: Mapping[str, Any] | None) -> dict[str, tuple[Any, ...]]:
    """
    Return the allowed values of each field.

    :param where: a value or a list of values by field. ``Customer.Id`` is in an object, or in a list of them.
    :raises AlvysValueError: the rows have no such field, or the field never has such a value.
    """
    if where is not None and not isinstance(where, Mapping):
        raise AlvysValueError(
            f"where={where!r} is not a dict: give fields and values, such as {{'Status': ['Delivered']}}"
        )
    known = {name: kind for name, kind, _ in _field_paths(stream.fields)}
    currencies = _currency_paths(stream)
    checked = {}
    for name, value in (where or {}).items():
        if name not in known:
            hint = suggest(name, known, f"Fields of {stream.name}")
            raise AlvysValueError(f"{stream.name} has no field {name!r} (in where).{hint}")
        values = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
        if name in currencies:
            values = tuple(map(currency_number, values))
        type_, type_name = _COMPARABLE.get(known[name], (None, ""))
        if type_ is None:
            raise AlvysValueError(
                f"{name} of {stream.name} cannot be used in where: use a string, an integer or a boolean"
            )
        if not values or not all(type(item) is type_ for item in values):
            raise AlvysValueError(f"where[{name!r}]={value!r} is not {type_name}, or a list of them")
        allowed = next((filter.values for filter in stream.filters if filter.column == name), None) or values
        if unknown := [item for item in values if item not in allowed]:
            hint = suggest(unknown[0], allowed, "Allowed")
            raise AlvysValueError(f"{name} of {stream.name} is never {unknown[0]!r}.{hint}")
        # Sorted, since a set has another order in each process, and the name of the stored state depends on
        # it.
        checked[name] = tuple(sorted(set(values), key=str))
    return checked


def _currency_paths(stream: Stream) -> frozenset[str]:
    return frozenset(name for name, _, flags in _field_paths(stream.fields) if "currency" in flags)


def _field_paths(record: Record, prefix: str = "") -> Iterator[tuple[str, Scalar, frozenset[FieldFlag]]]:
    for name, kind in record.fields.items():
        inner = kind.of if isinstance(kind, Array) else kind
        if isinstance(inner, Record):
            yield from _field_paths(inner, f"{prefix}{name}.")
        elif not isinstance(inner, Array):
            yield f"{prefix}{name}", inner, record.flags.get(name, frozenset())


class RowChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A new or changed row.

    :param id: key of the row; several parts are joined with ``/``.
    :param key: key of the change. A change that is reported again has the same one.
    :param number: number in Alvys, such as the load number.
    :param updated_at: time that the window filters by, in Alvys's spelling.
    :param fields: values of the watched fields.
    """

    id: str
    key: str
    number: str | None = None
    status: str | None = None
    updated_at: str | None = None
    fields: dict[str, Any] = {}


@dataclass(frozen=True)
class ChangeReader:
    """Turn rows into changes. ``columns`` are the watched fields."""

    stream: Stream
    window: TimeWindow
    columns: frozenset[str]

    def queries(self, since: datetime, until: datetime) -> list[Query]:
        """Return the queries that find each change of this window."""
        window = RequestedWindow(since, until, overlap=OVERLAP)
        return make_queries(self.stream, {}, window=window, by=self.window)

    def read(self, row: Row) -> RowChange:
        """Return the change of a row."""
        record = decode_record(row, self.stream)
        parts = (record.get(name) for name in self.stream.key)
        id = "/".join("" if part is None else str(part) for part in parts)
        time = self.window.column and record.get(self.window.column)
        # Only a window that tracks changes has a time that moves with each change. Elsewhere the content is
        # compared.
        version = time if time and self.window.tracks_changes else _hash_content(row)
        fields = {name: _values_at(record, name.split(".")) for name in sorted(self.columns)}
        for name in _currency_paths(self.stream) & fields.keys():
            value = fields[name]
            fields[name] = (
                list(map(currency_number, value)) if isinstance(value, list) else currency_number(value)
            )
        return RowChange(
            id=id,
            key=f"{id}@{version}",
            number=record.get(self.stream.number_field),
            status=record.get("Status"),
            updated_at=time or None,
            fields={name: value for name, value in fields.items() if value is not None},
        )


def _hash_content(row: Row) -> str:
    text = _CURRENCY_CODE.sub(lambda found: b"%b%b" % (found[1], _as_number(found[2])), bytes(row))
    return blake2b(text, digest_size=8).hexdigest()


def _as_number(code: bytes) -> bytes:
    return str(currency_number(code.decode())).encode()


def _values_at(value: Any, names: list[str]) -> Any:
    """Return the value at a path as plain JSON values; a flat list if there are lists on the path."""
    for number, name in enumerate(names):
        if isinstance(value, list):
            found = [_values_at(item, names[number:]) for item in value]
            return [one for each in found for one in (each if isinstance(each, list) else [each])]
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, (str, int, bool, list)) or value is None else str(value)


def matches(change: RowChange, where: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether each watched field has an allowed value. Of a list, one item suffices."""
    for name, wanted in where.items():
        value = change.fields.get(name)
        if not any(item in wanted for item in (value if isinstance(value, list) else [value])):
            return False
    return True


@dataclass(frozen=True)
class ChangeRequest:
    """The request of one watcher, from its watermark. If it is new, the watermark is by our own clock."""

    since: datetime
    columns: frozenset[str] = frozenset()
    is_new: bool = False


@dataclass(frozen=True)
class ChangeResult:
    """
    All changes since the earliest watermark of a batch, less :data:`OVERLAP`.

    :param since: that watermark.
    :param until: end of the window that was read.
    :param is_complete: whether no row can be missing. Rows that moved during the read follow at a later poll.
    :param clock_skew: how far our clock was ahead of Alvys's.
    """

    changes: tuple[RowChange, ...]
    since: datetime
    until: datetime
    is_complete: bool
    clock_skew: timedelta = timedelta(0)


@dataclass(frozen=True)
class ChangesQuery(StreamQuery):
    """The changes of a stream. One read serves all watchers with the same :attr:`ChangeTracker.day`."""

    window: TimeWindow
    day: str = ""
    max_items: int = 10_000

    def make_job(self, items: Sequence[ChangeRequest]) -> ChangesJob:
        """Return a job for these watchers."""
        return ChangesJob(self, items)


class ChangesJob:
    """One read of changes, page by page."""

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
            ours = datetime.fromtimestamp(client.clock.time(), timezone.utc)
            self._clock_skew = max(timedelta(0), ours - self._until)
            starts = [item.since - self._clock_skew if item.is_new else item.since for item in self._items]
            self._since = min(*starts, self._until - timedelta(microseconds=1))
        queries = self._reader.queries(self._since, self._until)
        # Resume from the last complete page: a failed request may have left the search inconsistent.
        state = None if self._state is None else msgspec.json.decode(self._state, type=SearchState)
        search = Search(client, self._reader.stream, queries, state=state)
        for page in search:
            for change in map(self._reader.read, page):
                self._changes[change.key] = change
            self._state = msgspec.json.encode(search.save())
            return None
        # The responses may have corrected Alvys's time: our clock may have been set since the first request.
        until = min(self._until, datetime.fromtimestamp(client.now(), timezone.utc))
        changes, is_complete = tuple(self._changes.values()), search.proof == "whole"
        return [ChangeResult(changes, self._since, until, is_complete, self._clock_skew)] * len(self._items)


class TrackerState(msgspec.Struct, kw_only=True):
    """
    The progress of a watcher, as its state store keeps it.

    :param watermark: all changes before it have been reported.
    :param seen: hashes of the changes that the next poll reads again, 8 bytes each, in base 64.
    :param is_new: whether the watcher has never polled. It reports only what is dated after the watermark.
    """

    watermark: datetime = msgspec.field(name="mark")
    seen: str = ""
    is_new: bool = False


class ChangeTracker:
    """Select the changes that have not been reported yet, from where a stored state ended."""

    def __init__(self, window: TimeWindow, state: TrackerState) -> None:
        self.watermark = state.watermark
        self.is_new = state.is_new
        self._window = window
        self._seen = dict.fromkeys(array("Q", base64.b64decode(state.seen)))

    @property
    def day(self) -> str:
        """The day of the watermark if the window is on business dates, else ""."""
        # Watchers with different days share no read: rows do not say which watcher a change is for.
        is_dates = self._window.whole_days or bool(self._window.branches)
        return f"{self.watermark:%Y-%m-%d}" if is_dates and not self.is_new else ""

    def advance(self, result: ChangeResult) -> list[RowChange]:
        """Advance the watermark, and return the changes that have not been reported yet, oldest first."""
        hashes = {
            _hash_key(change.key): change
            for change in sorted(result.changes, key=_sort_key)
            if self._is_in_window(change, result)
        }
        new = [change for hash, change in hashes.items() if hash not in self._seen]
        if self.is_new:
            began = _time_key(self.watermark - result.clock_skew)
            new = [change for change in new if self._window.tracks_changes and _sort_key(change) >= began]
        # Rows that an incomplete read missed may come again, as may all rows if a clock was set back.
        is_replaced = result.is_complete and (self.is_new or result.until >= self.watermark)
        kept = {} if is_replaced else {hash: None for hash in self._seen if hash not in hashes}
        self._seen = {**kept, **dict.fromkeys(hashes)}
        self.watermark = result.until if self.is_new else max(self.watermark, result.until)
        self.is_new = False
        return new

    def _is_in_window(self, change: RowChange, result: ChangeResult) -> bool:
        """Return whether a change is in this watcher's window. Another watcher's may begin earlier."""
        if self.is_new or self.day or result.since >= self.watermark:
            return True
        time = _sort_key(change)
        return not time or time >= _time_key(self.watermark - max(OVERLAP, self._window.look_back))

    def save(self) -> TrackerState:
        """Return the progress."""
        seen = base64.b64encode(array("Q", list(self._seen)[-_MAX_SEEN:]).tobytes()).decode()
        return TrackerState(watermark=self.watermark, seen=seen, is_new=self.is_new)


def _sort_key(change: RowChange) -> str:
    time = change.updated_at or ""
    # Some windows filter by a date without a time.
    return time_sort_key(time) or time_sort_key(f"{time}T00:00:00Z")


def _time_key(time: datetime) -> str:
    return time_sort_key(format_time(time))


def _hash_key(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
