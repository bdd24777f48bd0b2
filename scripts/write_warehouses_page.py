"""
Write ``docs/reference/warehouses.md`` with the statements of :mod:`airflow_provider_alvys.tables.warehouses`. ``make docs`` calls this.

    python -m scripts.write_warehouses_page docs/reference/warehouses.md
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
# Load into a warehouse

<!-- Written by `make docs` from airflow_provider_alvys/tables/warehouses. Do not edit. -->

Load landed files into Snowflake, BigQuery, Redshift or SQL Server. One command writes the SQL for a stream, as a template that Airflow
renders for each run:

```bash
python -m airflow_provider_alvys sql --warehouse snowflake --stream loads --url s3://my-bucket/alvys
```

For **PostgreSQL, SQLite, DuckDB and MariaDB** you do not need this page: use `AlvysObjectStorageToSqlOperator`, see [tables.md](../tables.md).
MySQL takes the statements for MariaDB, but is not tested.

> **The statements have not been run in these warehouses.** The tests parse them with [sqlglot](https://github.com/tobymao/sqlglot)
> in each dialect (for SQL Server without `BULK INSERT` and `THROW`, which sqlglot does not support). Try them in a schema of your own
> first, and report what fails.

For one run, the statements

1. create missing tables, the same as in [schema.md](schema.md);
2. copy the files of the manifest, and no others, into a temporary table with one row per line or record;
3. count the rows, and stop if the number differs from the manifest;
4. merge the rows by (`_tenant`, key) in one transaction. The newest row by (version, `_read_at`) stays, and the rows of child tables are
   replaced. Duplicates and late runs are safe.

## Run the statements in a DAG

Save the output of the command as `loads.sql`. It changes only with the version of this package.

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

The statements use the result of the task `run`; change that with `--task-id`. `autocommit=True` is required because the statements have
their own transactions. Do not load one table twice at the same time: set `max_active_runs=1`, or use a pool with one slot.

## Types

| kind | {titles} |
|---|{rules}|
{types}

## Limits

- Deletes and changes are not tracked: the columns `_hash`, `_changed_at`, `_missed_at` and `_missing_since` do not exist. `is_deleted` is
  available for loads and trips, which are read with `IncludeDeleted` by default.
- There is no ledger. If a load fails, clear its task. Runs may be loaded in any order.
- New columns in a later version of this package are not added to existing tables. The statements fail until you run
  `ALTER TABLE … ADD`.
- **Child streams** ({children}) cannot be loaded, because their rows do not contain the parent's key: the manifest has it, by the order of
  the rows, which no warehouse keeps. Load them into a database with the operator.
- Parquet stores six of the seven digits of a second. JSON lines, and therefore SQL Server, have all seven.
- If a list of plain values has an item of another type, the complete list is in the row's `_extra`. (In SQL Server that item is NULL.)
- `webhook_event_types` has no key. Its `_key` is a hash that differs from the operator's.
"""

_HOW = {
    "snowflake": """\
Create an external stage `ALVYS` once. `COPY INTO` reads each row as a VARIANT, and `FLATTEN` splits lists. `COPY` accepts at most 1,000
file names: for a run with more parts, increase `part_rows`. All statements must run in one session: use `SQLExecuteQueryOperator` with
`split_statements=True`, as above, and not `SnowflakeSqlApiOperator`. Names are in upper case, like all unquoted names.

`CopyFromExternalStageToSnowflakeOperator` runs only `COPY INTO`, in a session of its own, without the row count and the merge. With it,
use a permanent table as the stage. (`S3ToSnowflakeOperator` no longer exists.)
""",
    "bigquery": """\
`LOAD DATA` reads the files with their structs and arrays, and `UNNEST` splits lists. Run all statements as one script in one job:

<!-- checked by: tests/test_docs.py::test_code_of_packages_that_are_not_installed_compiles -->
```python
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

`GCSToBigQueryOperator(source_format="PARQUET", …)` only loads files and does not merge. With it, set `enableListInference`, use
`BIGNUMERIC` for decimals, and load into a permanent table. `BIGNUMERIC` stores all digits of the files.
""",
    "redshift": """\
`COPY … FORMAT AS PARQUET SERIALIZETOJSON` reads objects and lists as SUPER, and columns by position. PartiQL navigation splits lists.
`MERGE` has no conditions in Redshift, so the statements skip rows that are older than the table's, and delete and insert the others in
one transaction. A key of more than 256 bytes, or a string of more than 65,535, fails the load.

Use `SQLExecuteQueryOperator(conn_id="redshift_default", …)` as above. `S3ToRedshiftOperator(copy_options=["FORMAT AS PARQUET",
"SERIALIZETOJSON"], …)` runs only `COPY`, into a permanent table; its `UPSERT` replaces newer rows by older ones.
""",
    "sqlserver": """\
For SQL Server 2017 or later, and Azure SQL. Land with `file_format="jsonl"` and without compression, because not every version reads
nested Parquet. `BULK INSERT` reads each line as text, `OPENJSON` parses it, and a temporary table maps the currency numbers to codes.
`--url` is the folder as the server sees it (`\\\\files\\alvys`, `/mnt/alvys`), or the address of a container (`https://…`) for an
external data source `alvys`.

T-SQL cannot find the unmapped fields, so `_extra` of `loads` contains the complete row, and `_extra` of child tables is empty. A value
that does not fit its column is NULL. A decimal is rounded to ten digits after the point, and is NULL if it is written with an exponent.
A time that its offset moves beyond the year 9999 is NULL as well; `…_is_open` is true then.

Use `SQLExecuteQueryOperator(conn_id="mssql_default", …)` as above.
""",
}


_CHECK = "tests/tables/test_warehouses.py::test_the_statements_of_every_stream_are_parsed_completely"


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
            "<summary>The statements for <code>loads</code> and its child table <code>load_stops</code></summary>",
            "",
        ]
        lines += [
            f"<!-- checked by: {_CHECK} -->",
            "```sql",
            write_sql(name, shown).rstrip(),
            "```",
            "",
            "</details>",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
