"""
Write ``docs/warehouses.md`` from what :mod:`airflow_provider_alvys.tables.warehouses.statements` says. ``make docs`` calls this.

    python -m scripts.write_warehouses_page docs/warehouses.md
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES, write_sql

_HEAD = """\
# Into a warehouse

<!-- Written by `make docs` from airflow_provider_alvys/tables/warehouses.py. Do not edit. -->

**PostgreSQL, SQLite, DuckDB and MariaDB** are loaded by the operator `AlvysObjectStorageToSqlOperator`, which keeps a ledger, adds
columns and marks what has gone; MySQL takes the same statements as MariaDB, and is not tested. Nothing of this page is needed for them.

**Snowflake, BigQuery, Redshift and SQL Server** read files themselves, and much faster than rows could be sent to them. For these a
command writes the statements, as a template that Airflow fills in for each run:

```bash
python -m airflow_provider_alvys sql --warehouse snowflake --stream loads --url s3://my-bucket/alvys
```

The statements are generated from the catalogue, so that the tables are those of [schema.md](schema.md). They are parsed by
[sqlglot](https://github.com/tobymao/sqlglot) in the tests of this package, in the dialect of each warehouse; for SQL Server without
`BULK INSERT` and `THROW`, which it does not know. **They have not been run: there is none of these warehouses to run them in.** Try them
on a schema of your own first, and tell what does not work.

What they do, for one run that was landed:

1. They make the tables that are missing.
2. They copy the files that the manifest lists, and no others, into a table of the session, a row each.
3. They count them. If they are not as many as the manifest says, nothing goes on.
4. In one transaction they merge the rows by (`_tenant`, key), the newest by (version, `_read_at`), and put the rows of the
   lists in place of those that were there. A run that is loaded again, or after a newer one, changes nothing that it should not.

## The DAG

Put what the command prints into `loads.sql`, and keep it: it changes with the package's version only.

```python
import json
from datetime import datetime, timezone

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator


@task(task_id="run")
def read_manifest(landed: dict) -> dict:
    manifest = json.loads(ObjectStoragePath(landed["manifest"]).read_text())
    return {
        "manifest": landed["manifest"],
        "folder": landed["manifest"].removeprefix(landed["path"]).removesuffix("/_manifest.json").strip("/"),
        "files": [part["name"] for part in manifest["parts"]],
        "rows": manifest["rows"],
        "tenant": manifest["tenant"],
        "read_from": manifest["read_from"],
    }


with DAG(
    "alvys_to_snowflake",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    template_searchpath="/opt/airflow/sql",
):
    landed = AlvysToObjectStorageOperator(
        task_id="loads",
        stream="loads",
        path="s3://aws_default@my-bucket/alvys",
        initial_since="2026-01-01T00:00:00Z",
        file_format="parquet",
    )
    read_manifest(landed.output) >> SQLExecuteQueryOperator(
        task_id="load",
        conn_id="snowflake_default",
        sql="loads.sql",
        split_statements=True,
        autocommit=True,
    )
```

The statements look for the task `run`; `--task-id` names another one. `autocommit=True` leaves transactions to the statements. Two loads
of one table must not meet: `max_active_runs=1`, or a pool with one slot.

## Types

| kind | {titles} |
|---|{rules}|
{types}

## What they do not do

- They do not mark what has gone, nor tell when a row's content changed: the columns `_hash`, `_changed_at`, `_missed_at` and
  `_missing_since` are not made. With `IncludeDeleted`, which loads and trips are read with by default, `is_deleted` tells.
- There is no ledger: a run whose load failed is loaded by clearing its task. In which order runs are loaded makes no difference.
- A column that a later version of this package adds is not added to a table that is there. The statements fail until it is:
  `ALTER TABLE … ADD`.
- **Children of parents** ({children}) cannot be loaded so: their rows do not name their parent. The manifest does, by the order of the rows,
  which no warehouse keeps. Load them into a database with the operator.
- Parquet keeps six of the seven digits of a second; the seventh is lost. JSON lines keep it, and so does SQL Server.
- A list of plain values with one that is of another type is in the row's `_extra` as a whole. (In SQL Server such a value is NULL.)
- The row identifier of `webhook_event_types`, which have no key, is a hash of another text than the operator's.
"""

_HOW = {
    "snowflake": """\
An external stage `ALVYS` is made once. `COPY INTO` takes each row as a VARIANT; lists are taken apart by `FLATTEN`. A run of more than
1,000 parts needs `part_rows` to be greater: `COPY` takes no more names. All statements must run in one session: `SQLExecuteQueryOperator` with
`split_statements=True`, as above; `SnowflakeSqlApiOperator` does not keep one. Names are upper case, as unquoted ones are read.

`CopyFromExternalStageToSnowflakeOperator` does a `COPY INTO` alone, in a session of its own, and knows neither the check nor the
merge (`S3ToSnowflakeOperator` is no more). With it, the stage is to be a table that stays.
""",
    "bigquery": """\
`LOAD DATA` takes the files with their structs and arrays; lists are taken apart by `UNNEST`. All of it is one script, which one job runs:

```py
BigQueryInsertJobOperator(
    task_id="load",
    configuration={
        "query": {
            "query": "{% include 'loads.sql' %}",
            "useLegacySql": False,
            "defaultDataset": {"projectId": "my-project", "datasetId": "alvys"},
        }
    },
    location="US",
)
```

`GCSToBigQueryOperator(source_format="PARQUET", …)` loads files alone, and has no merge. With it, set `enableListInference`, and
`BIGNUMERIC` for decimals, and let the rows go to a table that stays. `BIGNUMERIC` keeps all digits of the files.
""",
    "redshift": """\
`COPY … FORMAT AS PARQUET SERIALIZETOJSON` takes objects and lists as SUPER, and columns by their order; lists are taken apart by
navigating into them. `MERGE` knows no conditions in Redshift, so rows that are older than those of the table are left out, and the
others deleted and inserted, in one transaction. A key of more than 256 bytes, or a text of more than 65,535, fails the load.

`SQLExecuteQueryOperator(conn_id="redshift_default", …)` as above. `S3ToRedshiftOperator(copy_options=["FORMAT AS PARQUET", "SERIALIZETOJSON"], …)`
does a `COPY` alone, into a table that stays; its `UPSERT` replaces newer rows by older ones.
""",
    "sqlserver": """\
SQL Server 2017 or later, and Azure SQL. It reads no nested Parquet into tables everywhere, but JSON well: land with `file_format="jsonl"` and without
compression. `BULK INSERT` takes each line as a text, `OPENJSON` takes it apart; currencies get their letters from a table of the session.
`--url` is the folder as the server sees it (`\\\\files\\alvys`, `/mnt/alvys`), or the address of a container
(`https://…`), for an external data source `alvys`.

T-SQL cannot tell what is left over, so `_extra` of `loads` holds the whole row as Alvys sent it, and that of the lists nothing. A value
that does not fit its column is NULL there. A decimal has ten digits behind the point: more are rounded in the column, and one that is written
with an exponent is NULL. So is a time that its offset takes behind the year 9999; `…_is_open` tells of it.

`SQLExecuteQueryOperator(conn_id="mssql_default", …)` as above.
""",
}


def page() -> str:
    """Return the page's text."""
    kinds: list[Kind] = ["key", "text", "integer", "decimal", "boolean", "timestamp", "wall", "date", "json"]
    types = [
        "| " + " | ".join([kind, *(f"`{found.types[kind]}`" for found in WAREHOUSES.values())]) + " |"
        for kind in kinds
    ]
    children = ", ".join(f"`{stream.name}`" for stream in STREAMS.values() if stream.is_child)
    text = _HEAD
    for name, value in {
        "titles": " | ".join(found.title for found in WAREHOUSES.values()),
        "rules": "|".join(["---"] * len(WAREHOUSES)),
        "types": "\n".join(types),
        "children": children,
    }.items():
        text = text.replace(f"{{{name}}}", value)
    schema = build_schema(STREAMS["loads"])
    shown = replace(
        schema, tables=tuple(table for table in schema.tables if table.name in ("loads", "load_stops"))
    )
    lines = [text]
    for name, found in WAREHOUSES.items():
        lines += [f"## {found.title}", "", _HOW[name]]
        lines += [
            "<details>",
            "<summary>The statements for <code>loads</code> and its list <code>load_stops</code></summary>",
            "",
        ]
        lines += ["```sql", write_sql(name, shown).rstrip(), "```", "", "</details>", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
