"""The specification of a row set, derived from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Filter, Stream, TimeWindow
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record, record
from airflow_provider_alvys.simulator.data.times import rule_of

# Only in the responses to requests for deleted rows.
TOMBSTONE = "IsDeleted"
# The record of streams without fields in the catalogue.
_UNKNOWN_RECORD = record("Id")


@dataclass(frozen=True)
class ForeignKey:
    """
    A field with a value of another stream's record.

    :param stream: the other stream.
    :param column: its field.
    :param role: distinguishes several references to that stream, such as ``1`` in ``Driver1Id``.
    """

    stream: str
    column: str
    role: str = ""


@dataclass(frozen=True)
class RowSetSpec:
    """
    The specification of a row set.

    :param streams: its streams; several share a set if they have the same record, key and scope.
    """

    streams: tuple[Stream, ...]

    @property
    def stream(self) -> Stream:
        """The first stream."""
        return self.streams[0]

    @property
    def name(self) -> str:
        """The name of the first stream."""
        return self.stream.name

    @cached_property
    def fields(self) -> Record:
        """The record type of a row."""
        return self.stream.fields if self.stream.fields.fields else _UNKNOWN_RECORD

    @cached_property
    def filters(self) -> tuple[Filter, ...]:
        """The filters of all streams."""
        return tuple(filter for stream in self.streams for filter in stream.filters)

    @cached_property
    def windows(self) -> tuple[TimeWindow, ...]:
        """The windows of all streams, except those that combine others."""
        return tuple(window for stream in self.streams for window in stream.windows if window.column)

    @cached_property
    def windows_by_column(self) -> Mapping[str, TimeWindow]:
        """The windows by the column that they filter."""
        return {window.column: window for window in reversed(self.windows)}

    @cached_property
    def updated_column(self) -> str | None:
        """The column with the time of the last change."""
        return next((window.column for window in self.windows if window.tracks_changes), None)

    @cached_property
    def start_window(self) -> TimeWindow | None:
        """The window on the start of rows: the first on a time that neither changes nor is planned."""
        windows = (window for window in self.windows if not window.tracks_changes)
        return next((window for window in windows if rule_of(window.column).hours is None), None)

    @cached_property
    def has_file(self) -> bool:
        """Whether each row has a file, with a new URL at each request."""
        return "volatile" in self.fields.flags.get("DownloadUrl", ())

    @cached_property
    def generated_fields(self) -> tuple[str, ...]:
        """The fields that are generated with the record, not with the response."""
        return tuple(name for name in self.fields.fields if "volatile" not in self.fields.flags.get(name, ()))

    @cached_property
    def is_regular(self) -> bool:
        """Whether the set grows with time, not with the fleet."""
        return any(stream.default_window and stream.parent is None for stream in self.streams)

    @cached_property
    def known_values(self) -> Mapping[str, tuple[Any, ...]]:
        """The values of columns whose values the catalogue lists."""
        known: dict[str, tuple[Any, ...]] = {}
        for stream in self.streams:
            for filter in stream.filters:
                column = column_of(stream, filter)
                values = filter.values or filter.guessed
                if column and values:
                    known.setdefault(column, values)
        return known

    @cached_property
    def hidden_columns(self) -> frozenset[str]:
        """The columns that are not in the record."""
        columns = {column_of(stream, filter) for stream in self.streams for filter in stream.filters}
        return frozenset(column for column in columns if column and self.type_of(column) is None)

    @cached_property
    def foreign_keys(self) -> Mapping[str, ForeignKey]:
        """The fields with values of other records, by path, such as an id and the name next to it."""
        foreign_keys = {}
        for stream in self.streams:
            for path, target in stream.references.items():
                name, _, column = target.partition(".")
                foreign_keys[path] = ForeignKey(name, column, self._role(path, name, column))
                # A name next to an id is of the same record.
                named = f"{path.removesuffix('Id')}Name"
                if path.endswith("Id") and self.type_of(named) and "Name" in STREAMS[name].fields.fields:
                    foreign_keys[named] = ForeignKey(name, "Name", foreign_keys[path].role)
        for path, foreign_key in list(foreign_keys.items()):
            container = path.rpartition(".")[0]
            siblings = self.type_of(container) if container else self.fields
            siblings = siblings.of if isinstance(siblings, Array) else siblings
            for name in siblings.fields if isinstance(siblings, Record) and not foreign_key.role else ():
                other = f"{container}.{name}" if container else name
                is_number = (
                    name.endswith(("Number", "Num")) and name in STREAMS[foreign_key.stream].fields.fields
                )
                if is_number and other not in foreign_keys and other not in self.unique_columns:
                    foreign_keys[other] = ForeignKey(foreign_key.stream, name)
        parent = self.stream.parent
        if parent:
            foreign_keys[self.parent_column] = ForeignKey(parent.stream, parent.column)
        return foreign_keys

    @cached_property
    def parent_column(self) -> str:
        """The column with the parent's name; a hidden column if no field has it."""
        parent = self.stream.parent
        if parent is None:
            return ""
        target = f"{parent.stream}.{parent.column}"
        return next((path for path, known in self.stream.references.items() if known == target), "ParentId")

    @cached_property
    def unique_columns(self) -> frozenset[str]:
        """The columns that identify a row: keys, lookup values, targets of references."""
        columns = {*self.stream.key} if len(self.stream.key) == 1 else set()
        columns |= set(_UNKNOWN_RECORD.fields) if self.fields is _UNKNOWN_RECORD else set()
        names = {stream.name for stream in self.streams}
        for stream in self.streams:
            columns |= set(stream.lookup.one_of.values()) if stream.lookup else set()
        for stream in STREAMS.values():
            targets = [target.partition(".") for target in stream.references.values()]
            columns |= {column for name, _, column in targets if name in names}
            if stream.parent and stream.parent.stream in names:
                columns.add(stream.parent.column)
        return frozenset(columns)

    @cached_property
    def nested_columns(self) -> frozenset[str]:
        """The paths below the top level that filters and foreign keys use."""
        columns = {column_of(stream, filter) for stream in self.streams for filter in stream.filters}
        return frozenset(path for path in {*columns, *self.foreign_keys} if path and "." in path)

    def array_of(self, path: str) -> str | None:
        """Return the first list in a path, or None."""
        return next((head for head in _prefixes(path) if isinstance(self.type_of(head), Array)), None)

    def type_of(self, path: str) -> FieldType | None:
        """Return a field's type, or None for an unknown field."""
        kind: FieldType | None = self.fields
        for name in path.split("."):
            kind = kind.of if isinstance(kind, Array) else kind
            kind = kind.fields.get(name) if isinstance(kind, Record) else None
        return kind

    def _role(self, path: str, stream: str, column: str) -> str:
        """Return the part of a path that its target does not have: ``1`` of ``Driver1Id``."""
        array = self.array_of(path)
        role = path.removeprefix(f"{array}.").lower().removesuffix(column.lower())
        return role.replace(stream, "").replace(stream.removesuffix("s"), "").replace(".", "")


def spec_of(stream: Stream) -> RowSetSpec:
    """Return the specification of a stream's row set."""
    if stream.is_child:
        return RowSetSpec((stream,))
    own = _sharing_key(stream)
    return RowSetSpec(
        tuple(other for other in STREAMS.values() if not other.is_child and _sharing_key(other) == own)
    )


def _sharing_key(stream: Stream) -> tuple[Any, ...]:
    # Streams with unknown records share no set.
    return (
        id(stream.fields) if stream.fields.fields else stream.name,
        stream.key,
        stream.scope,
        stream.parent,
    )


def column_of(stream: Stream, filter: Filter) -> str | None:
    """
    Return the column that a filter compares, or None.

    A filter without a field has a hidden column if the searches that find all rows use it.
    """
    if filter.column or filter.unhides:
        return filter.column or filter.unhides
    return filter.name if any(filter.name in branch.filters for branch in stream.full_read) else None


def _prefixes(path: str) -> Iterator[str]:
    names = path.split(".")
    return (".".join(names[:length]) for length in range(1, len(names)))
