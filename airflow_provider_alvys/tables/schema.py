"""
The tables of a stream: objects become columns, lists become tables of their own.

A row of ``loads`` has a row in the table ``loads``, and one in ``load_stops`` for each stop.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Mark, Record
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, leaves_of, snake_case

DEFAULT_DEPTH = 2
TENANT = "_tenant"
PARENT = "_parent"
KEY = "_key"
POSITION = "_position"
HASH = "_hash"
READ_AT = "_read_at"
LOADED_AT = "_loaded_at"
CHANGED_AT = "_changed_at"
MISSED_AT = "_missed_at"
MISSING_SINCE = "_missing_since"
MANIFEST = "_manifest"
# The column of a list's values, where they are no objects.
VALUE = "value"


@dataclass(frozen=True)
class Column:
    """
    A column.

    :param field: of Alvys's that it comes from, such as ``BillingAddress.City``; empty for one of ours.
    """

    name: str
    kind: Kind
    field: str = ""


@dataclass(frozen=True)
class Table:
    """
    A table.

    :param columns: those that rows are made of, in their order; the table of the stream has :data:`METADATA_COLUMNS` behind them.
    :param key: what identifies a row, beside the tenant. A list's row has the key of the row that holds the list, and its
        positions, counted from 1.
    :param path: of the list that it holds, such as ``Stops.References``; empty for the table of the stream.
    :param parent: the table whose rows hold the list, or None.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    path: str = ""
    parent: str | None = None

    @property
    def primary_key(self) -> tuple[str, ...]:
        """What identifies a row among those of all tenants."""
        return (TENANT, *self.key)

    @property
    def stored(self) -> tuple[Column, ...]:
        """All of its columns."""
        return (Column(TENANT, "key"), *self.columns, *(() if self.parent else METADATA_COLUMNS))


# What is kept about each row of a stream, beside what Alvys says.
METADATA_COLUMNS = (
    Column(READ_AT, "timestamp"),
    Column(LOADED_AT, "timestamp"),
    Column(CHANGED_AT, "timestamp"),
    Column(MISSED_AT, "timestamp"),
    Column(MISSING_SINCE, "timestamp"),
    Column(MANIFEST, "text"),
)


@dataclass(frozen=True)
class StreamSchema:
    """
    The tables of a stream.

    :param tables: the stream's own one first, each before those of the lists that its rows hold.
    :param version: the column by which one state of a row is known to be newer than another one, or None.
    :param excluded: fields that are kept out.
    """

    stream: Stream
    tables: tuple[Table, ...]
    version: str | None
    excluded: frozenset[str] = frozenset()

    @property
    def main(self) -> Table:
        """The stream's own table."""
        return self.tables[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row of the stream, beside the tenant."""
        return self.main.key


def column_name(prefix: str, name: str) -> str:
    """Return the name of a field's column behind that of the object it stands in; what that ends with is not said twice."""
    own = snake_case(name)
    return prefix[:-1] if f"_{prefix}".endswith(f"_{own}_") else prefix + own


def default_table_name(stream: Stream) -> str:
    """Return the name of a stream's table."""
    return stream.table or stream.name


def build_schema(
    stream: Stream, *, table: str | None = None, depth: int = DEFAULT_DEPTH, exclude: Collection[str] = ()
) -> StreamSchema:
    """
    Return the tables of a stream.

    :param table: name of the stream's own one; None means the stream's.
    :param depth: how deep lists in lists become tables: 1 for the lists of a row only, 0 for none. The others are JSON.
    :param exclude: fields to keep out, such as ``["BillingAddress", "Notes", "Stops.CompanyName"]``; ``_extra`` for all that the
        catalogue does not know.
    :raises AlvysValueError: a field that there is not, or one that identifies the rows.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise AlvysValueError(f"depth={depth!r} must be a whole number, 0 or more")
    excluded = frozenset(_validate_exclude(stream, exclude)) | frozenset(_secret_paths(stream.fields))
    main = table or default_table_name(stream)
    if main != default_table_name(stream) and main in _reserved_table_names():
        raise AlvysValueError(f"table={main!r} is the name of another stream's table: give another one")
    maker = _SchemaBuilder(main, key_columns(stream), excluded, depth)
    maker.make(stream)
    changes = next((snake_case(window.column) for window in stream.windows if window.tracks_changes), None)
    version = changes if changes in {column.name for column in maker.tables[0].columns} else None
    return StreamSchema(stream, tuple(maker.tables), version, excluded)


@functools.cache
def _reserved_table_names() -> frozenset[str]:
    """Return the names of all tables of the streams, where no other ones are given."""
    return frozenset(table.name for stream in STREAMS.values() for table in build_schema(stream).tables)


def key_columns(stream: Stream) -> tuple[str, ...]:
    """Return the columns that identify a row of a stream among its tenant's."""
    # A key of several fields has gaps, which databases take for keys that differ.
    own = snake_case(stream.key[0]) if len(stream.key) == 1 else KEY
    return (PARENT, own) if stream.is_child else (own,)


def field_paths(kind: FieldType, path: str = "") -> Iterator[str]:
    """Yield the path of every field below a type: ``Stops``, ``Stops.Id``."""
    if isinstance(kind, Array):
        yield from field_paths(kind.of, path)
    elif isinstance(kind, Record):
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            yield below
            yield from field_paths(inner, below)


def _validate_exclude(stream: Stream, exclude: Collection[str]) -> Collection[str]:
    if isinstance(exclude, (str, bytes)) or not isinstance(exclude, Collection):
        raise AlvysValueError(
            f"exclude={exclude!r} must be a list of fields, such as ['Notes', 'Stops.CompanyName']"
        )
    known = [EXTRA, *field_paths(stream.fields)]
    for path in exclude:
        if path not in known:
            close = difflib.get_close_matches(str(path), known, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise AlvysValueError(
                f"exclude names {path!r}, which is no field of {stream.name}.{hint} Name fields as Alvys does, with points "
                "between: docs/schema.md lists them. What the catalogue does not know is kept out by '_extra'"
            )
        for key in stream.key:
            if key == path or key.startswith(f"{path}."):
                raise AlvysValueError(
                    f"exclude names {path}, which identifies the rows of {stream.name}: it cannot be kept out"
                )
    return exclude


def _secret_paths(kind: FieldType, path: str = "") -> Iterator[str]:
    if isinstance(kind, Array):
        yield from _secret_paths(kind.of, path)
    elif isinstance(kind, Record):
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            if "secret" in kind.marks.get(name, ()):
                yield below
            yield from _secret_paths(inner, below)


@dataclass
class _SchemaBuilder:
    """Makes the tables of one stream."""

    main: str
    keys: tuple[str, ...]
    excluded: frozenset[str]
    depth: int
    tables: list[Table] = field(default_factory=list)

    def make(self, stream: Stream) -> None:
        """Make them all."""
        made = [] if len(stream.key) == 1 else [Column(KEY, "key")]
        above = [Column(PARENT, "key")] if stream.is_child else []
        columns, lists = self._columns(stream.fields, "", "", 0)
        if len(stream.key) == 1:
            own = snake_case(stream.key[0])
            columns = [
                Column(own, _key_kind(column.kind), column.field) if column.name == own else column
                for column in columns
            ]
        keys = {column.name: column for column in (*above, *made, *columns)}
        name = self.main
        ends = [*self._extra(), Column(HASH, "text")]
        self.tables.append(Table(name, (*above, *made, *columns, *ends), self.keys))
        singular = name.removesuffix("s") or name
        # Those of a table that a user has named are named after all of it: two such tables share none.
        stem_of_lists = singular if name == default_table_name(stream) else name
        owner = default_table_name(stream).removesuffix("s")
        parent_key = [
            Column(f"{owner}_{key}" if not key.startswith("_") else key, keys[key].kind) for key in self.keys
        ]
        if any(key == KEY for key in self.keys):
            parent_key = [
                Column(f"{owner}_key", "key") if column.name == KEY else column for column in parent_key
            ]
        for path, kind, stem in lists:
            self._list(path, kind, f"{stem_of_lists}_{stem}", stem, name, parent_key, [])

    def _list(
        self,
        path: str,
        kind: Array,
        name: str,
        stem: str,
        parent: str,
        parent_key: Sequence[Column],
        above: Sequence[Column],
    ) -> None:
        level = len(above) + 1
        if isinstance(kind.of, Record):
            columns, lists = self._columns(kind.of, path, "", level)
        else:
            columns, lists = (
                [Column(VALUE, leaves_of(kind.of)[0].kind if isinstance(kind.of, str) else "json", path)],
                [],
            )
        flags = [Column("_is_first", "boolean"), Column("_is_last", "boolean")]
        key = (*(column.name for column in (*parent_key, *above)), POSITION)
        table = Table(
            name,
            (*parent_key, *above, Column(POSITION, "integer"), *flags, *columns, *self._extra()),
            key,
            path,
            parent,
        )
        self.tables.append(table)
        for below, inner, inner_stem in lists:
            positions = [*above, Column(f"_{stem}_position", "integer")]
            self._list(below, inner, f"{name}_{inner_stem}", inner_stem, name, parent_key, positions)

    def _columns(
        self, record: Record, path: str, prefix: str, level: int
    ) -> tuple[list[Column], list[tuple[str, Array, str]]]:
        """Return the columns of an object, and its lists that become tables: path, type and name."""
        columns: list[Column] = []
        lists: list[tuple[str, Array, str]] = []
        for name, kind in record.fields.items():
            below = f"{path}.{name}" if path else name
            if below in self.excluded:
                continue
            stem = column_name(prefix, name)
            if isinstance(kind, Record):
                inner, inner_lists = self._columns(kind, below, f"{stem}_", level)
                columns += inner
                lists += inner_lists
            elif isinstance(kind, Array):
                if level < self.depth:
                    lists.append((below, kind, stem))
                else:
                    columns.append(Column(stem, "json", below))
            else:
                marks: frozenset[Mark] = record.marks.get(name, frozenset())
                columns += [Column(stem + leaf.suffix, leaf.kind, below) for leaf in leaves_of(kind, marks)]
        return columns, lists

    def _extra(self) -> list[Column]:
        return [] if EXTRA in self.excluded else [Column(EXTRA, "json")]


def _key_kind(kind: Kind) -> Kind:
    return "key" if kind == "text" else kind
