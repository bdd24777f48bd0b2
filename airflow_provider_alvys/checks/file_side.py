"""What has landed: the newest state of each row in the files of a data set, by the rules of the tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_alvys.api.read.page_decoder import PageDecoder
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.api.schema.values import dump_json, make_converter
from airflow_provider_alvys.checks.alvys_side import Columns, FlatRow
from airflow_provider_alvys.checks.stored_side import (
    StoredPlace,
    StoredRow,
    StoredSide,
    Tally,
    newest_state,
    period_of,
    plain,
    time_text,
)
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.reader import read_parts
from airflow_provider_alvys.tables.deletes import find_delete_scope
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.schema import HASH, StreamSchema


@dataclass(slots=True)
class _Newest:
    """
    The newest state of a row.

    :param manifest: position of the manifest that has it.
    :param read: position of the last manifest with the row, in an older state or not.
    :param misses: number of complete reads in a row that lacked it.
    """

    version: str
    manifest: int
    read: int
    time: str | None
    status: str | None
    number: str | None
    misses: int = 0


class FileSide(StoredSide):
    """
    The newest state of each row in a data set. Memory: the keys, and where each row counts.

    :param is_wanted: whether to read a manifest, by its full path.
    :ivar paths: the full paths of the manifests.
    :ivar is_filtered: whether all reads were of some rows only.
    :ivar tenants: all tenants of the stream in the data set.
    """

    def __init__(
        self,
        store: Store,
        schema: StreamSchema,
        tenant: str,
        is_wanted: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self._store = store
        self._schema = schema
        stream = schema.stream
        named = [(name, store.get_json(name, Manifest)) for name in store.find(stream.name, MANIFEST)]
        known = [
            (name, manifest)
            for name, manifest in named
            if manifest is not None and manifest.tenant == tenant and is_wanted(store.url(name))
        ]
        self._manifests = sorted(known, key=lambda item: (item[1].read_from, item[0]))
        self.paths = {store.url(name) for name, _ in known}
        self.is_filtered = bool(known) and all(manifest.filters for _, manifest in known)
        self.tenants = {manifest.tenant for _, manifest in named if manifest is not None}
        regular = stream.window(None)
        self.as_of = newest_state(
            regular.name if regular else None,
            [
                (
                    by,
                    manifest.as_of or (manifest.window.until if manifest.window else None),
                    manifest.read_from,
                )
                for _, manifest in self._manifests
                if manifest.proof == "whole" and not manifest.filters
                for by in [manifest.window.by if manifest.window else None]
            ],
        )
        self._newest = self._read_all()

    def _read_all(self) -> dict[str, _Newest]:
        newest: dict[str, _Newest] = {}
        glance = _Glance(self._schema)
        for number, (name, manifest) in enumerate(self._manifests):
            for row in self._rows(name, manifest):
                key, version, place, row_number = glance(row)
                known = newest.get(key)
                if known is None or version >= known.version:
                    # Later manifests were read later.
                    newest[key] = _Newest(version, number, number, place.time, place.status, row_number)
                else:
                    known.read, known.misses = number, 0
            _count_misses(newest, self._schema, manifest, number)
        return {key: row for key, row in newest.items() if row.misses < 2}

    def _rows(self, name: str, manifest: Manifest) -> Iterator[bytes]:
        return read_parts(self._store, name.rpartition("/")[0], manifest, self._schema.stream)

    def newest_rows(self, keys: Mapping[str, Any] | None = None) -> Iterator[tuple[str, FlatRow]]:
        """Yield the newest state of each row, flattened; with ``keys`` of these only."""
        flattener, glance = RowFlattener(self._schema), _Glance(self._schema)
        wanted = (
            self._newest if keys is None else {key: self._newest[key] for key in keys if key in self._newest}
        )
        with_rows = {row.manifest for row in wanted.values()}
        for number, (name, manifest) in enumerate(self._manifests):
            if number not in with_rows:
                continue
            for row in self._rows(name, manifest):
                key = glance.key(row)
                if key in wanted and wanted[key].manifest == number:
                    yield key, flattener.flatten(row, f"A row of {self._store.url(name)}")

    def bounds(self) -> tuple[str, str] | None:
        times = [row.time for row in self._newest.values() if row.time and "2000" <= row.time < "2100"]
        return (min(times), max(times)) if times else None

    def tally(self, edges: Sequence[datetime]) -> list[Tally]:
        texts = [time_text(edge) for edge in edges]
        found = [Tally() for _ in range(len(edges) + 2)]
        for row in self._newest.values():
            tally = found[period_of(row.time, texts)]
            tally.rows += 1
            tally.missed += row.misses
        return found

    def statuses(self, window: Window) -> Counter[str]:
        return Counter(str(row.status) for row in self._newest.values() if _is_within(row.time, window))

    def keys(self, window: Window | None) -> dict[str, str | None]:
        return {key: row.number for key, row in self._newest.items() if _is_within(row.time, window)}

    def find(self, keys: Sequence[str]) -> dict[str, StoredPlace]:
        known = {key: self._newest[key] for key in keys if key in self._newest}
        return {key: StoredPlace(row.time, row.status) for key, row in known.items()}

    def read(self, keys: Sequence[str]) -> dict[str, StoredRow]:
        wanted = dict.fromkeys(keys)
        return {key: as_stored(row, self._schema) for key, row in self.newest_rows(wanted)}


def as_stored(row: FlatRow, schema: StreamSchema) -> StoredRow:
    """Return a flattened row in the form of :meth:`StoredSide.read`."""
    return {
        table.name: [
            {
                column.name: plain(column.kind, cell)
                for column, cell in zip(table.columns, cells, strict=True)
                if column.name != HASH
            }
            for cells in rows
        ]
        for table, rows in zip(schema.tables, row, strict=True)
    }


def _is_within(time: str | None, window: Window | None) -> bool:
    if window is None:
        return True
    since, until = time_text(window.since), time_text(window.until) if window.until else "9999"
    return time is not None and since <= time < until


class _Glance:
    """Returns what counting needs of a row, without decoding the rest."""

    def __init__(self, schema: StreamSchema) -> None:
        stream, at = schema.stream, Columns.of(schema)
        columns = schema.main.columns
        self._decode_key = PageDecoder(stream.key, stream.response_type).decode_key
        self._is_single = len(stream.key) == 1
        places = {"version": at.version, "time": at.time, "status": at.status, "number": at.number}
        # No field of a row is named like those that the stream lacks.
        names = {
            name: f"({name})" if place is None else columns[place].field for name, place in places.items()
        }
        fields = [(name, Any, msgspec.field(default=None, name=field)) for name, field in names.items()]
        self._type = msgspec.defstruct("Glance", fields)
        self._decoder = msgspec.json.Decoder(self._type)
        self._time_kind = None if at.time is None else columns[at.time].kind
        self._to_time = make_converter("time")
        self._to_date = make_converter("date")

    def key(self, row: bytes) -> str:
        """Return the key of a row as the tables have it."""
        key = self._decode_key(row)
        return str(key[0]) if self._is_single else dump_json(list(key))

    def __call__(self, row: bytes) -> tuple[str, str, StoredPlace, str | None]:
        """Return key, version (empty without one), place and number."""
        seen: Any
        try:
            seen = self._decoder.decode(row)
        except msgspec.DecodeError:
            # Half a surrogate pair: only the standard library takes it.
            seen = msgspec.convert(json.loads(row), self._type)
        convert = self._to_date if self._time_kind == "date" else self._to_time
        time = convert(seen.time) if seen.time is not None else None
        version = self._to_time(seen.version) if seen.version is not None else None
        status = seen.status if isinstance(seen.status, str) else None
        number = None if seen.number is None else str(seen.number)
        place = StoredPlace(plain(self._time_kind or "text", time[0]) if time else None, status)
        return self.key(row), str(version[0]) if version and version[0] else "", place, number


def _count_misses(newest: dict[str, _Newest], schema: StreamSchema, manifest: Manifest, number: int) -> None:
    """Count a miss of each row that a complete read lacks."""
    scope = find_delete_scope(schema, manifest)
    if scope is None or scope.parents is not None:
        return
    windows = [(time_text(w.since), time_text(w.until) if w.until else "9999") for _, w in scope.windows]
    columns = {bound.name for bound, _ in scope.windows}
    at = Columns.of(schema).time
    if windows and (at is None or columns != {schema.main.columns[at].name}):
        return
    for row in newest.values():
        in_scope = not windows or any(row.time and since < row.time < until for since, until in windows)
        if row.read != number and row.misses < 2 and in_scope:
            row.misses += 1
