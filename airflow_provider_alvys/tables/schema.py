"""
The tables and columns of a stream: objects become columns, lists become child tables.

A load is one row in the table ``loads`` and one row for each stop in ``load_stops``.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Array, FieldFlag, FieldType, Record
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, column_specs, snake_case
from airflow_provider_alvys.api.suggestions import suggest

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
# The column of a list's items that are plain values.
VALUE = "value"


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    :param field: the Alvys field it comes from, such as ``BillingAddress.City``; empty for a column of this
        package.
    """

    name: str
    kind: Kind
    field: str = ""


# What the loader records about each row of a stream.
METADATA_COLUMNS = (
    *(Column(name, "timestamp") for name in (READ_AT, LOADED_AT, CHANGED_AT, MISSED_AT, MISSING_SINCE)),
    Column(MANIFEST, "text"),
)


@dataclass(frozen=True)
class Table:
    """
    A table of a stream: the main table, or the child table of a list.

    :param columns: the flattened columns, in order; the main table has :data:`METADATA_COLUMNS` after them.
    :param key: the columns that identify a row of one tenant. A child table has the key of the row that
        contains the list, and positions, counted from 1.
    :param path: the list it comes from, such as ``Stops.References``; empty for the main table.
    :param parent: name of the table whose rows contain the list; None for the main table.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    path: str = ""
    parent: str | None = None

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns that identify a row among all tenants."""
        return (TENANT, *self.key)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The tenant, the flattened columns and, in the main table, the metadata."""
        return (Column(TENANT, "key"), *self.columns, *(() if self.parent else METADATA_COLUMNS))


@dataclass(frozen=True)
class StreamSchema:
    """
    The tables of a stream.

    :param tables: the main table first; each table before its child tables.
    :param version: the column that orders the states of a row, or None.
    :param excluded: paths of the fields that are left out.
    :param depth: levels of lists that become child tables.
    """

    stream: Stream
    tables: tuple[Table, ...]
    version: str | None
    excluded: frozenset[str] = frozenset()
    depth: int = DEFAULT_DEPTH

    @property
    def main(self) -> Table:
        """The table with one row for each row of the stream."""
        return self.tables[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row of the stream within its tenant."""
        return self.main.key


def column_name(prefix: str, name: str) -> str:
    """Return a field's column name: that of its object, then its own, without repeating a common ending."""
    own = snake_case(name)
    return prefix[:-1] if f"_{prefix}".endswith(f"_{own}_") else prefix + own


def default_table_name(stream: Stream) -> str:
    """Return the default name of a stream's main table."""
    return stream.table or stream.name


def build_schema(
    stream: Stream, *, table: str | None = None, depth: int = DEFAULT_DEPTH, exclude: Collection[str] = ()
) -> StreamSchema:
    """
    Return the tables of a stream.

    :param table: name of the main table; None means the stream's default.
    :param depth: levels of lists that become child tables: 1 for the lists of a row, 0 for none. Deeper lists
        are JSON columns.
    :param exclude: fields to leave out, such as ``["BillingAddress", "Notes", "Stops.CompanyName"]``;
        ``_extra`` leaves out all fields that the catalogue does not know.
    :raises AlvysValueError: the depth is not a whole number, the table name belongs to another stream, or a
        field is unknown or part of the key.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise AlvysValueError(f"depth={depth!r} must be a whole number, 0 or more")
    _validate_exclude(stream, exclude)
    secrets = (path for path, _, flags in fields_of(stream.fields) if "secret" in flags)
    excluded = frozenset((*exclude, *secrets))
    main = table or default_table_name(stream)
    if main != default_table_name(stream) and main in _reserved_table_names():
        raise AlvysValueError(f"table={main!r} is the name of another stream's table: choose another name")
    builder = _SchemaBuilder(main, key_columns(stream), excluded, depth)
    builder.build(stream)
    changed = next((snake_case(window.column) for window in stream.windows if window.tracks_changes), None)
    version = changed if changed in {column.name for column in builder.tables[0].columns} else None
    return StreamSchema(stream, tuple(builder.tables), version, excluded, depth)


@functools.cache
def _reserved_table_names() -> frozenset[str]:
    """Return the default table names of all streams."""
    return frozenset(table.name for stream in STREAMS.values() for table in build_schema(stream).tables)


def key_columns(stream: Stream) -> tuple[str, ...]:
    """Return the columns that identify a row of a stream within its tenant."""
    # Databases treat NULLs in a key of several columns as different: such a key becomes one column.
    own = snake_case(stream.key[0]) if len(stream.key) == 1 else KEY
    return (PARENT, own) if stream.is_child else (own,)


def fields_of(kind: FieldType, path: str = "") -> Iterator[tuple[str, FieldType, frozenset[FieldFlag]]]:
    """Yield the path (such as ``Stops.Id``), type and flags of every field of a type."""
    if isinstance(kind, Array):
        yield from fields_of(kind.of, path)
    elif isinstance(kind, Record):
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            yield below, inner, kind.flags.get(name, frozenset())
            yield from fields_of(inner, below)


def _validate_exclude(stream: Stream, exclude: Collection[str]) -> None:
    if isinstance(exclude, (str, bytes)) or not isinstance(exclude, Collection):
        raise AlvysValueError(f"exclude={exclude!r} must be a list of fields, such as ['Notes']")
    known = [EXTRA, *(path for path, *_ in fields_of(stream.fields))] if exclude else []
    for path in exclude:
        if path not in known:
            hint = suggest(path, known, f"Fields of {stream.name}")
            raise AlvysValueError(
                f"exclude contains {path!r}, which is not a field of {stream.name}.{hint} Use Alvys's names "
                "with dots between them (docs/reference/schema.md), or '_extra' for fields that the "
                "catalogue does not know"
            )
        if any(key == path or key.startswith(f"{path}.") for key in stream.key):
            raise AlvysValueError(f"exclude contains {path}, which is the key of {stream.name}: remove it")


# The path, type and column name of each list that becomes a child table.
_Lists = list[tuple[str, Array, str]]


@dataclass
class _SchemaBuilder:
    main: str
    keys: tuple[str, ...]
    excluded: frozenset[str]
    depth: int
    tables: list[Table] = field(default_factory=list)
    parent_key: list[Column] = field(default_factory=list)

    def build(self, stream: Stream) -> None:
        """Add all tables of a stream to ``tables``."""
        columns, lists = self._columns(stream.fields, "", "", 0)
        columns = [
            replace(column, kind="key") if column.name in self.keys and column.kind == "text" else column
            for column in columns
        ]
        added = [Column(PARENT, "key")] if stream.is_child else []
        if KEY in self.keys:
            added.append(Column(KEY, "key"))
        columns = [*added, *columns]
        kinds = {column.name: column.kind for column in columns}
        self.tables.append(Table(self.main, (*columns, *self._extra(), Column(HASH, "text")), self.keys))
        owner = default_table_name(stream).removesuffix("s")
        names = {PARENT: PARENT, KEY: f"{owner}_key"}
        self.parent_key = [Column(names.get(key, f"{owner}_{key}"), kinds[key]) for key in self.keys]
        # A table name given by the user is kept in full, so that two such tables share no child table.
        prefix = self.main
        if prefix == default_table_name(stream):
            prefix = prefix.removesuffix("s")
        for path, kind, stem in lists:
            self._add_child(path, kind, f"{prefix}_{stem}", stem, self.main, [])

    def _add_child(
        self, path: str, kind: Array, name: str, stem: str, parent: str, positions: Sequence[Column]
    ) -> None:
        lists: _Lists = []
        if isinstance(kind.of, Record):
            columns, lists = self._columns(kind.of, path, "", len(positions) + 1)
        else:
            spec = column_specs(kind.of)[0].kind if isinstance(kind.of, str) else "json"
            columns = [Column(VALUE, spec, path)]
        above = (*self.parent_key, *positions)
        place = (Column(POSITION, "integer"), Column("_is_first", "boolean"), Column("_is_last", "boolean"))
        key = (*(column.name for column in above), POSITION)
        self.tables.append(Table(name, (*above, *place, *columns, *self._extra()), key, path, parent))
        for below, inner, inner_stem in lists:
            outer = [*positions, Column(f"_{stem}_position", "integer")]
            self._add_child(below, inner, f"{name}_{inner_stem}", inner_stem, name, outer)

    def _columns(self, record: Record, path: str, prefix: str, level: int) -> tuple[list[Column], _Lists]:
        """Return an object's columns, and its lists."""
        columns: list[Column] = []
        lists: _Lists = []
        for name, kind in record.fields.items():
            below = f"{path}.{name}" if path else name
            if below in self.excluded:
                continue
            stem = column_name(prefix, name)
            if isinstance(kind, Record):
                inner, inner_lists = self._columns(kind, below, f"{stem}_", level)
                columns += inner
                lists += inner_lists
            elif not isinstance(kind, Array):
                specs = column_specs(kind, record.flags.get(name, frozenset()))
                columns += [Column(stem + spec.suffix, spec.kind, below) for spec in specs]
            elif level < self.depth:
                lists.append((below, kind, stem))
            else:
                columns.append(Column(stem, "json", below))
        return columns, lists

    def _extra(self) -> list[Column]:
        return [] if EXTRA in self.excluded else [Column(EXTRA, "json")]
