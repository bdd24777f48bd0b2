"""
Write ``docs/schema.md`` from the schemas of the streams. ``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.write_schema_page docs/schema.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.dialects import DUCKDB, MYSQL, POSTGRESQL, SQLITE
from airflow_provider_alvys.tables.schema import StreamSchema, Table, build_schema
from scripts.draw_schema import SUBJECTS, Reference, is_cross_check, references_of

# Words that SQL, or a database, uses itself: not each refuses them without quotes.
_RESERVED = frozenset(
    "access begin date end group index key number order role rows source state time timestamp type user value year".split()
)

# What a type does not say itself.
_REMARKS: dict[tuple[str, Kind], str] = {
    ("SQLite", "boolean"): ": 0 or 1",
    ("MariaDB", "boolean"): ": 0 or 1",
    ("SQLite", "timestamp"): ", in UTC",
    ("MariaDB", "timestamp"): ", in UTC",
}
_MEANING: dict[Kind, str] = {
    "key": "a text that identifies a row",
    "text": "",
    "integer": "64 bits",
    "decimal": "an amount, a weight, a rate: with the digits that Alvys sent",
    "boolean": "",
    "timestamp": "a moment",
    "wall": "what the clock at the place said",
    "date": "",
    "json": "the text of a JSON value",
}

_HEAD = """\
# Tables: what the rows become

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

A stream has a table of its own, with a row for each of Alvys's. Objects in a row become columns; lists become tables. A load is a row
of `loads`, and each of its stops one of `load_stops`. There are {tables} tables for {streams} streams.

![The tables by subject, with their lists and what they reference](schema.svg)

- [Names](#names)
- [Our own columns](#our-own-columns)
- [Joins](#joins)
- [Types, and what a database cannot hold](#types-and-what-a-database-cannot-hold)
- [Words to quote](#words-to-quote)
{index}

The same tables are made in a warehouse by other means: [warehouses.md](warehouses.md).

## Names

- Columns are named as Alvys's fields, in snake_case: `PONumber` is `po_number`, `$type` is `type`. A field of an object has the
  object's name before its own: `Fleet.Name` is `fleet_name`. What the object's name ends with is not said twice:
  `InvoicedAmount.Amount` is `invoiced_amount`.
- A time at a place has three columns: `arrived_at` is the moment; `arrived_at_local` what the clock there said, by which a stop is on time;
  `arrived_at_offset` how far it was from UTC (`-05:00`). If Alvys sends no offset, only the second is there.
- `…_is_open`: Alvys says by the year 9999 that there is no end. `…_is_unknown`: it says 1970 where nobody knows.
- Money is two columns: `linehaul_amount`, and `linehaul_currency` with the letters of ISO 4217. Alvys sends their number: 840 is `USD`.
- The table of a list is named by the singular of its stream's table and the list: `load_stops`; of a list in a list, by both:
  `load_stops_references`. Deeper lists, and what has no fixed shape, are JSON.
- Two streams read what is a list in another one's rows too. Their tables have a name of their own: {renamed}.

## Our own columns

All begin with `_`, so that no field of Alvys's can be named so.

| column | in | what it says |
|---|---|---|
| `_tenant` | all | whose row it is: the connection's id, or the name that was given. First in every key |
| `_parent` | children of a stream | the id that they were asked for by: a load's number, a trip's id |
| `_key` | streams with several keys, or none | the key's values as a JSON list; without a key, the `_hash` |
| `_position` | lists | place in the list, from 1; `_stops_position` is that of the stop that holds it |
| `_is_first`, `_is_last` | lists | the first stop is where the load begins, the last where it ends |
| `_extra` | all | JSON of what has no column: fields that the catalogue does not know, and values that do not fit their column's type. Empty as a rule |
| `_hash` | streams | SHA-256 of the row's content, without what differs at each reading (`DownloadUrl`) |
| `_read_at` | streams | when the reading of the newest manifest that held the row began |
| `_loaded_at` | streams | when the row was written to this table |
| `_changed_at` | streams | when its content changed last; loading it again unchanged does not move it |
| `_missed_at` | streams | the sweep that did not find it, for the first time |
| `_missing_since` | streams | the same time, once two sweeps in a row did not find it: it is gone. Empty again when it comes back |
| `_manifest` | streams | the newest manifest that held it |

A row is the newest that was read, by `updated_at` (or what tells changes of that stream) and then by `_read_at`, in whatever order
the runs are loaded. The rows of its lists are put in place of the old ones with it. Rows that are gone stay: leave them out by
`_missing_since IS NULL`. What has been loaded is in `_alvys_loads`, a row for each manifest: `table_name`, `tenant`, `stream`,
`manifest`, `window_by`, `window_since`, `window_until`, `rows`, `total`, `proof`, `read_at`, `loaded_at`.

## Joins

Always by `_tenant` too, where there are several.

The last stop of each load:

```sql
SELECT l.load_number, s.address_city, s.address_state, s.arrived_at_local
FROM loads AS l
    JOIN load_stops AS s ON s._tenant = l._tenant AND s.load_id = l.id
WHERE s._is_last AND l._missing_since IS NULL
```

The references of each stop: a list in a list has the positions of all above it.

```sql
SELECT s.load_id, s._position, s.company_name, r.name, r."value"
FROM load_stops AS s
    JOIN load_stops_references AS r
        ON r._tenant = s._tenant AND r.load_id = s.load_id AND r._stops_position = s._position
```

From one stream to another, by what the tables below say:

```sql
SELECT l.load_number, c.name AS customer, t.trip_number, t.carrier_rate_amount
FROM loads AS l
    LEFT JOIN customers AS c ON c._tenant = l._tenant AND c.id = l.customer_id
    LEFT JOIN trips AS t ON t._tenant = l._tenant AND t.load_number = l.load_number
```

Count and sum before a join with a list, not behind it: a load with three stops is three rows there. A load may have several trips.

## Types, and what a database cannot hold

| kind | | PostgreSQL | SQLite | DuckDB | MariaDB |
|---|---|---|---|---|---|
{kinds}

Nothing is rounded or bent in silence: a value that its column cannot hold is kept as it was sent, in `_extra`, and counted.

| | PostgreSQL | SQLite | DuckDB | MariaDB |
|---|---|---|---|---|
| digits of a second: Alvys sends 7 | 6; the seventh is cut, not rounded | all 7, as text, always of one length, so that they sort | 6, cut | 6, cut |
| decimals | all digits | the exact text. `SUM` is a float, and to compare or sort it takes `CAST(… AS REAL)` | 28 before the point and 10 behind it; what has more is in `_extra` | as DuckDB |
| zones | UTC inside, the session's zone outside | UTC, with `+00:00` behind it | UTC inside, the session's zone outside | UTC, without saying so: `DATETIME` knows none |
| NUL, and half an emoji (where a program cut a note) | in `_extra`, as a JSON escape | as PostgreSQL | as PostgreSQL | as PostgreSQL |
| the length of a key | 600 characters; a longer one is an error | any | any | 255 characters, as PostgreSQL |

Of every database:

- An empty list and a missing one look alike: neither has rows. An empty object, a missing one and one of nothing but nulls do, too.
- A currency looks alike whether Alvys sent its number or its letters. So does a text key that came as a number.
- A state of a row is told from another one by the digits of `updated_at` that the database keeps; by Parquet, 6.
- Of a time with an offset that the year 9999 makes fall into the year 10000, the moment is the last one there is; the local time is as sent.

The files that were landed as JSON lines hold the bytes that Alvys sent.

## Words to quote

Some columns have names that SQL, or one database or another, uses itself: {reserved}. Put them in quotes (`"user"`; in MariaDB and
BigQuery `` `user` ``, in SQL Server `[user]`). Mind that an unquoted `user` is no error in PostgreSQL: it is the name of whoever asks.
"""


def page() -> str:
    """Return the page's text."""
    schemas = {stream.name: build_schema(stream) for stream in STREAMS.values()}
    index = [
        f"- {subject}: "
        + ", ".join(
            f"[`{schemas[stream.name].main.name}`](#{schemas[stream.name].main.name})" for stream in streams
        )
        for subject, streams in SUBJECTS.items()
    ]
    kinds = [f"| {kind} | {meaning} | {' | '.join(_types(kind))} |" for kind, meaning in _MEANING.items()]
    names = {
        column.name for schema in schemas.values() for table in schema.tables for column in table.columns
    }
    renamed = " and ".join(
        f"`{stream.table}` for the stream `{stream.name}`" for stream in STREAMS.values() if stream.table
    )
    text = _HEAD.format(
        tables=sum(len(schema.tables) for schema in schemas.values()),
        streams=len(schemas),
        index="\n".join(index),
        kinds="\n".join(kinds),
        renamed=renamed,
        reserved=", ".join(f"`{name}`" for name in sorted(names & _RESERVED)),
    )
    lines = [text]
    for subject, streams in SUBJECTS.items():
        lines += [f"## {subject}", ""]
        for stream in streams:
            lines += _stream(stream, schemas[stream.name])
    return "\n".join(lines).rstrip() + "\n"


def _types(kind: Kind) -> list[str]:
    dialects = (POSTGRESQL, SQLITE, DUCKDB, MYSQL)
    return [f"`{dialect.types[kind]}`{_REMARKS.get((dialect.name, kind), '')}" for dialect in dialects]


def _stream(stream: Stream, schema: StreamSchema) -> list[str]:
    main = schema.main.name
    lines = [
        f"### `{main}`",
        "",
        f"{stream.description[:1].upper()}{stream.description[1:]}{_source(stream, schema)}.",
    ]
    if schema.excluded:
        lines[-1] += f" Never in a table: {', '.join(f'`{path}`' for path in sorted(schema.excluded))}."
    twin = STREAMS.get(stream.name.removesuffix("_list")) if is_cross_check(stream) else None
    if twin is not None and twin.fields == stream.fields:
        names = ", ".join(f"`{table.name}`" for table in schema.tables[1:])
        lines[-1] += (
            f" The columns are those of [`{twin.name}`](#{twin.name}), and so are those of its lists: {names}."
        )
        lines[-1] += f" Their rows name it by `{schema.tables[1].key[0]}`."
        return [*lines, ""]
    references = {(found.table, found.column): found for found in references_of(stream)}
    for table in schema.tables:
        lines += ["", *_table(schema, table, references)]
    return [*lines, ""]


def _source(stream: Stream, schema: StreamSchema) -> str:
    own = f" (stream `{stream.name}`)" if stream.name != schema.main.name else ""
    child = f", read for each of `{stream.parent.stream}`" if stream.is_child and stream.parent else ""
    version = f". The newest is told by `{schema.version}`" if schema.version else ""
    return own + child + version


def _table(schema: StreamSchema, table: Table, references: dict[tuple[str, str], Reference]) -> list[str]:
    lines = []
    if table.parent:
        lines += [
            f"#### `{table.name}`",
            "",
            f"`{table.path}` of each row of `{table.parent}`, by {_join(schema, table)}.",
            "",
        ]
    lines += ["| column | kind | Alvys's field | |", "|---|---|---|---|"]
    key = ("_tenant", *table.key)
    ours = []
    for column in table.all_columns:
        if not column.field and column.name not in key:
            ours.append(f"`{column.name}`")
            continue
        notes = ["key"] if column.name in key else []
        found = references.get((table.name, column.name))
        if found:
            notes.append(f"names a row of [`{found.target}`](#{found.target}) by its `{found.target_column}`")
        field = f"`{column.field}`" if column.field else ""
        lines.append(f"| `{column.name}` | {column.kind} | {field} | {', '.join(notes)} |")
    lines.append(f"| {', '.join(ours)} | | | [ours](#our-own-columns) |")
    return lines


def _join(schema: StreamSchema, table: Table) -> str:
    """Tell by which columns the rows of a list are joined to those that hold it."""
    above = next(other for other in schema.tables if other.name == table.parent)
    pairs = zip(table.key[: len(above.key)], above.key, strict=True)
    return ", ".join(
        ["`_tenant`", *(f"`{own}` = `{other}`" if own != other else f"`{own}`" for own, other in pairs)]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
