"""
Write ``docs/reference/schema.md`` from the schemas of the streams. ``make docs`` calls this; a test checks that the page is current.

    python -m scripts.write_schema_page docs/reference/schema.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.dialects import DUCKDB, MYSQL, POSTGRESQL, SQLITE
from airflow_provider_alvys.tables.schema import StreamSchema, Table, build_schema
from scripts.draw_schema import SUBJECTS, Reference, is_cross_check, references_of

# Keywords of SQL or of a database. Not every database refuses them without quotes.
_RESERVED = frozenset(
    "access begin date end group index key number order role rows source state time timestamp type user value year".split()
)

# What the name of a type does not say.
_REMARKS: dict[tuple[str, Kind], str] = {
    ("SQLite", "boolean"): ": 0 or 1",
    ("MariaDB", "boolean"): ": 0 or 1",
    ("SQLite", "timestamp"): ", in UTC",
    ("MariaDB", "timestamp"): ", in UTC",
}
_MEANING: dict[Kind, str] = {
    "key": "a string that identifies a row",
    "text": "",
    "integer": "64 bits",
    "decimal": "an amount, a weight or a rate, with all digits from Alvys",
    "boolean": "",
    "timestamp": "a point in time",
    "wall": "local time, without a zone",
    "date": "",
    "json": "a JSON value as a string",
}

_HEAD = """\
# Tables and columns

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

This page says which tables and columns you can query after a load into a database. Each stream has a table. Objects in a row become
columns, and lists become child tables: a load is a row of `loads`, and each of its stops is a row of `load_stops`. There are {tables}
tables for {streams} streams.

![The tables by subject, with their child tables and references](schema.svg)

- [Query the tables](#query-the-tables)
- [How columns and tables are named](#how-columns-and-tables-are-named)
- [Metadata columns](#metadata-columns)
- [Types and their limits](#types-and-their-limits)
- [Column names to quote](#column-names-to-quote)
{index}

[tables.md](../tables.md) explains how to load the tables. In a warehouse the tables are the same: see [warehouses.md](warehouses.md).

## Query the tables

Always join by `_tenant` as well if there are several tenants, and leave out missing rows with `_missing_since IS NULL`.

The delivery of each load, which is its last Delivery stop (a load may end at another stop, such as a yard), and whether it was in time:

```sql
SELECT l.load_number, s.address_city, s.address_state, s.arrived_at,
    s.arrived_at <= COALESCE(s.appointment_date, s.stop_window_end) AS is_on_time
FROM loads AS l
    JOIN load_stops AS s ON s._tenant = l._tenant AND s.load_id = l.id
WHERE s._position = (
        SELECT MAX(o._position) FROM load_stops AS o
        WHERE o._tenant = s._tenant AND o.load_id = s.load_id AND o.stop_type = 'Delivery'
    )
    AND l._missing_since IS NULL AND l.is_deleted IS NOT TRUE
```

Compare points in time, such as `arrived_at`, and not local times: a stop may have its times in several zones. The end of an open window
is in the year 9999, so that arrival is always in time. `is_on_time` is NULL where nothing is due, or nobody has arrived.

Revenue by currency. Never sum across currencies, and leave out what brings in nothing:

```sql
SELECT customer_rate_currency, SUM(customer_rate_amount) AS revenue
FROM loads
WHERE status NOT IN ('Quoted', 'Reserved', 'Admin', 'Cancelled') AND COALESCE(load_type, '') <> 'Non-Revenue'
    AND _missing_since IS NULL AND is_deleted IS NOT TRUE
GROUP BY customer_rate_currency
```

The references of each stop. A list inside a list has the positions of both:

```sql
SELECT s.load_id, s._position, s.company_name, r.name, r."value"
FROM load_stops AS s
    JOIN load_stops_references AS r
        ON r._tenant = s._tenant AND r.load_id = s.load_id AND r._stops_position = s._position
```

From one stream to another, by the references in the tables below:

```sql
SELECT l.load_number, c.name AS customer, t.trip_number, t.carrier_linehaul_amount, t.carrier_linehaul_currency
FROM loads AS l
    LEFT JOIN customers AS c ON c._tenant = l._tenant AND c.id = l.customer_id
    LEFT JOIN trips AS t ON t._tenant = l._tenant AND t.load_number = l.load_number
```

Count and sum before you join a child table: a load with three stops becomes three rows. A load may also have several trips, and an invoice
several loads: a plain join of both inflates totals.

## How columns and tables are named

- A column has the name of its Alvys field in snake_case: `PONumber` is `po_number`, and `$type` is `type`. A field of an object begins
  with the object's name: `Fleet.Name` is `fleet_name`. Repeated words are dropped: `InvoicedAmount.Amount` is `invoiced_amount`.
- A local time has three columns: `arrived_at` is the point in time, `arrived_at_local` the local time, and `arrived_at_offset` its offset
  from UTC (`-05:00`). If Alvys sends no offset, only the second one has a value.
- `…_is_open` is true if Alvys sends the year 9999 for "no end". `…_is_unknown` is true if it sends 1970 for "unknown".
- Money has two columns: `linehaul_amount`, and `linehaul_currency` with the ISO 4217 code. Alvys sends the number or the code of the
  currency: 840 becomes `USD`.
- A child table has the stream's table in the singular and the list in its name: `load_stops`. A list inside a list has both:
  `load_stops_references`. Deeper lists, and values without a fixed shape, are JSON.
- Two streams also exist as a list of another stream. Their tables have other names: {renamed}.

## Metadata columns

All of them begin with `_`, which no Alvys field does.

| column | in | value |
|---|---|---|
| `_tenant` | all tables | the tenant: the connection id, or the name that you gave. The first column of every key |
| `_parent` | child streams | the key of the parent: a load's number, or a trip's Id |
| `_key` | streams with several keys or none | the values of the key as a JSON list; without a key, the `_hash` |
| `_position` | child tables | position in the list, from 1; `_stops_position` is the position of the stop that contains the list |
| `_is_first`, `_is_last` | child tables | whether it is the first or last item of its list. A load begins at its first Pickup and ends at its last Delivery, which need not be the first and last stop |
| `_extra` | all tables | JSON of the unmapped fields, and of values that do not fit their column. Usually empty |
| `_hash` | streams | SHA-256 of the row's content, without fields that differ at each read (`DownloadUrl`) |
| `_read_at` | streams | start of the read of the newest manifest with the row |
| `_loaded_at` | streams | when the row was written to this table |
| `_changed_at` | streams | when the content changed last. Loading an unchanged row again does not update it |
| `_missed_at` | streams | time of the first sweep that did not find the row |
| `_missing_since` | streams | the same time, once two sweeps in a row did not find the row: it is missing. Empty again if the row returns |
| `_manifest` | streams | the newest manifest with the row |

A row is the newest version by `updated_at` (or the column named at the table), and then by `_read_at`. Duplicates and late files are
safe. The rows of child tables are replaced together with it. Missing rows stay in the table.

The ledger `_alvys_loads` has one row for each loaded manifest: `table_name`, `tenant`, `stream`, `manifest`, `window_by`,
`window_since`, `window_until`, `rows`, `total`, `proof`, `read_at`, `loaded_at`. Four more columns say what the tables had after the load,
so that a later run notices when they lack something:

| column | meaning |
|---|---|
| `current_rows` | how many rows of the table have this manifest in `_manifest`. NULL: to be counted at the next run |
| `schema_hash` | hash of the tables and columns that were filled. Empty: the manifest must be loaded again |
| `excluded` | JSON: the fields that were left out |
| `table_rows` | JSON, in the row of the tenant's last load: the number of rows of each table, and the key of a row that this load wrote |

## Types and their limits

| kind | meaning | PostgreSQL | SQLite | DuckDB | MariaDB |
|---|---|---|---|---|---|
{kinds}

No value is changed silently: a value that does not fit its column is stored unchanged in `_extra`, and counted.

| limit | PostgreSQL | SQLite | DuckDB | MariaDB |
|---|---|---|---|---|
| fractions of a second: Alvys sends 7 digits | 6, truncated | all 7, as a string of fixed length, which sorts correctly | 6, truncated | 6, truncated |
| decimals | all digits | the exact string. `SUM` returns a float; to compare or sort, use `CAST(… AS REAL)` | 28 digits before and 10 after the point; other values are in `_extra` | as DuckDB |
| time zones | stored in UTC, shown in the session's zone | UTC, with `+00:00` | stored in UTC, shown in the session's zone | UTC; `DATETIME` has no zone |
| NUL, and half an emoji (a truncated string) | in `_extra`, as a JSON escape | as PostgreSQL | as PostgreSQL | as PostgreSQL |
| length of a key | 600 characters; a longer one is an error | unlimited | unlimited | 255 characters; a longer one is an error |

In every database:

- An empty list and a missing list are the same: neither has rows. So are an empty object, a missing one, and one with only nulls.
- A currency is the same whether Alvys sends its number (840), its code (USD, in upper or lower case) or either as a text. An unknown one
  is in `_extra`. A string key that Alvys sends as a number is the same, too.
- Versions of a row are compared by the digits of `updated_at` that the database stores, and by 6 digits from Parquet.
- A time whose offset moves it from the year 9999 into the year 10000 becomes the latest possible time. The local time is unchanged.

Data sets in JSON lines contain the exact bytes from Alvys.

## Column names to quote

Some column names are keywords of SQL or of one database: {reserved}. Quote them (`"user"`; in MariaDB and BigQuery `` `user` ``, in
SQL Server `[user]`). In PostgreSQL an unquoted `user` is not an error: it returns the name of the database user.
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
        lines[-1] += f" Not in a table: {', '.join(f'`{path}`' for path in sorted(schema.excluded))}."
    twin = STREAMS.get(stream.name.removesuffix("_list")) if is_cross_check(stream) else None
    if twin is not None and twin.fields == stream.fields:
        names = ", ".join(f"`{table.name}`" for table in schema.tables[1:])
        lines[-1] += (
            f" The columns, also those of its child tables, are those of [`{twin.name}`](#{twin.name}): {names}."
        )
        lines[-1] += f" Their column for the parent is `{schema.tables[1].key[0]}`."
        return [*lines, ""]
    references = {(found.table, found.column): found for found in references_of(stream)}
    for table in schema.tables:
        lines += ["", *_table(schema, table, references)]
    return [*lines, ""]


def _source(stream: Stream, schema: StreamSchema) -> str:
    own = f" (stream `{stream.name}`)" if stream.name != schema.main.name else ""
    child = f", read for each row of `{stream.parent.stream}`" if stream.is_child and stream.parent else ""
    version = f". The newest version has the greatest `{schema.version}`" if schema.version else ""
    return own + child + version


def _table(schema: StreamSchema, table: Table, references: dict[tuple[str, str], Reference]) -> list[str]:
    lines = []
    if table.parent:
        lines += [
            f"#### `{table.name}`",
            "",
            f"The items of `{table.path}` in `{table.parent}`. Join by {_join(schema, table)}.",
            "",
        ]
    lines += ["| column | kind | Alvys field | notes |", "|---|---|---|---|"]
    key = ("_tenant", *table.key)
    metadata = []
    for column in table.all_columns:
        if not column.field and column.name not in key:
            metadata.append(f"`{column.name}`")
            continue
        notes = ["key"] if column.name in key else []
        found = references.get((table.name, column.name))
        if found:
            notes.append(f"references [`{found.target}`](#{found.target}) by `{found.target_column}`")
        field = f"`{column.field}`" if column.field else ""
        lines.append(f"| `{column.name}` | {column.kind} | {field} | {', '.join(notes)} |")
    lines.append(f"| {', '.join(metadata)} | | | [metadata](#metadata-columns) |")
    return lines


def _join(schema: StreamSchema, table: Table) -> str:
    """Return the columns that join a child table to the table above it."""
    above = next(other for other in schema.tables if other.name == table.parent)
    pairs = zip(table.key[: len(above.key)], above.key, strict=True)
    return ", ".join(
        ["`_tenant`", *(f"`{own}` = `{other}`" if own != other else f"`{own}`" for own, other in pairs)]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
