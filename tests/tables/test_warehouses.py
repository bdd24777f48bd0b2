"""Parse the scripts of docs/reference/warehouses.md with sqlglot, in each dialect: none of them runs here."""

from __future__ import annotations

import functools
import re
from typing import Any

import jinja2
import pytest
import sqlglot
import sqlparse
from sqlglot import exp

from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.tables.schema import CHANGED_AT, HASH, MISSED_AT, MISSING_SINCE, build_schema
from airflow_provider_alvys.tables.warehouses.staged import parquet_columns
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES, write_sql

LOADABLE = [stream for stream in STREAMS.values() if not stream.is_child]
RUN = {
    "tenant": "o'neil\\north",
    "manifest": "s3://bucket/alvys/loads/2026-11-24/w-h-1/_manifest.json",
    "folder": "loads/2026-11-24/w-h-1",
    "read_from": "2026-11-24T05:00:00Z",
    "rows": 4001,
    "files": ["part-00000.parquet", "part-00001.parquet"],
}
OMITTED = {HASH, CHANGED_AT, MISSED_AT, MISSING_SINCE}


class TaskInstance:
    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run

    def xcom_pull(self, task_ids: str) -> dict[str, Any]:
        assert task_ids == "run"
        return self.run


def render(text: str, **changes: Any) -> str:
    return jinja2.Environment().from_string(text).render(ti=TaskInstance(RUN | changes))


def parse(warehouse: str, sql: str) -> list[exp.Expression]:
    found = []
    for statement in sqlparse.split(sql):
        if warehouse == "sqlserver":
            # sqlglot does not parse these.
            if re.match(r"(-- .*\n)*(BULK INSERT|IF \(SELECT)", statement):
                continue
            statement = statement.replace("PRIMARY KEY NONCLUSTERED", "PRIMARY KEY")
        found += sqlglot.parse(
            statement, dialect=WAREHOUSES[warehouse].sqlglot_dialect, error_level=sqlglot.ErrorLevel.RAISE
        )
    return [statement for statement in found if statement is not None]


@functools.cache
def script(warehouse: str, stream: str) -> list[exp.Expression]:
    return parse(warehouse, render(write_sql(warehouse, build_schema(STREAMS[stream]))))


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_statements_of_every_stream_are_parsed_completely(warehouse: str) -> None:
    for stream in LOADABLE:
        assert not [found.sql() for found in script(warehouse, stream.name) if isinstance(found, exp.Command)]
    assert parse(warehouse, render(write_sql(warehouse, build_schema(STREAMS["loads"]), schema="db.alvys")))


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_tables_have_the_columns_and_types_of_the_schema(warehouse: str) -> None:
    quote = WAREHOUSES[warehouse].quote
    for stream in LOADABLE:
        schema = build_schema(stream)
        text = write_sql(warehouse, schema)
        for table in schema.tables:
            create = rf"CREATE TABLE (?:IF NOT EXISTS )?{re.escape(quote(table.name))} \(\n(.*?)\n\)"
            (inner,) = re.findall(create, text, re.DOTALL)
            lines = [line.strip().rstrip(",") for line in inner.splitlines()]
            assert lines[:-1] == [
                f"{quote(column.name)} {WAREHOUSES[warehouse].types[column.kind]}"
                + (" NOT NULL" if column.name in ("_tenant", *table.key) else "")
                for column in table.all_columns
                if column.name not in OMITTED
            ]
            assert lines[-1].startswith("PRIMARY KEY")


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_every_insert_has_its_values_in_the_order_of_its_columns(warehouse: str) -> None:
    for stream in LOADABLE:
        for statement in script(warehouse, stream.name):
            if isinstance(statement, exp.Insert) and isinstance(statement.this, exp.Schema):
                columns = [column.name for column in statement.this.expressions]
                if "letters" not in columns:
                    assert columns == statement.expression.named_selects
            if isinstance(statement, exp.Merge):
                insert = statement.args["whens"].expressions[-1].args["then"]
                columns = [column.name for column in insert.this.expressions]
                assert columns == statement.args["using"].this.named_selects
                assert columns == [value.name for value in insert.expression.expressions]


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_airflow_splits_the_script_at_the_end_of_each_statement(warehouse: str) -> None:
    for stream in LOADABLE:
        sql = render(write_sql(warehouse, build_schema(stream)))
        statements = [part for part in sqlparse.split(sql) if part.strip()]
        assert len(statements) == sum(
            line.endswith(";") and not line.startswith("--") for line in sql.splitlines()
        )


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_all_changes_are_in_one_transaction_after_the_check(warehouse: str) -> None:
    sql = render(write_sql(warehouse, build_schema(STREAMS["loads"])))
    begin, commit = sql.index("\nBEGIN TRANSACTION;"), sql.index(f"\n{WAREHOUSES[warehouse].commit};")
    check = sql.index("4001")
    assert check < begin < commit
    inside = sql[begin:commit]
    quote = WAREHOUSES[warehouse].quote
    for table in build_schema(STREAMS["loads"]).tables:
        for found in re.finditer(rf"(MERGE|INSERT) INTO {re.escape(quote(table.name))}\b", sql):
            assert begin < found.start() < commit
    assert not re.search(r"^(CREATE|DROP|ALTER|COPY|LOAD|BULK) ", inside, re.MULTILINE)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_a_run_without_rows_only_creates_the_tables(warehouse: str) -> None:
    statements = parse(
        warehouse, render(write_sql(warehouse, build_schema(STREAMS["loads"])), rows=0, files=[])
    )
    tables = len(build_schema(STREAMS["loads"]).tables)
    assert len(statements) == tables
    assert all(isinstance(found, (exp.Create, exp.IfBlock)) for found in statements)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_values_of_a_run_are_escaped_as_texts(warehouse: str) -> None:
    names = {
        found.this
        for statement in script(warehouse, "users")
        for found in statement.find_all(exp.Literal, exp.National)
        if "neil" in str(found.this)
    }
    assert names == {RUN["tenant"]}


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_every_part_is_read_below_the_url(warehouse: str) -> None:
    url = "abc://bucket/alvys/"
    sql = render(write_sql(warehouse, build_schema(STREAMS["loads"]), url=url))
    for name in RUN["files"]:
        if warehouse in ("redshift", "bigquery"):
            assert f"'abc://bucket/alvys/{RUN['folder']}/{name}'" in sql
        else:
            assert "abc://bucket/alvys" in sql
            assert f"{RUN['folder']}/" in sql
            assert name in sql


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_secret_of_a_webhook_is_stored_in_no_table(warehouse: str) -> None:
    sql = render(write_sql(warehouse, build_schema(STREAMS["webhooks"])))
    if warehouse == "sqlserver":
        assert sql.count("Secret") == 1
        assert "JSON_MODIFY(s.[line], '$.\"Secret\"', NULL) AS [_extra]" in sql
    elif warehouse == "redshift":
        # COPY matches the columns of the stage by order.
        assert len(re.findall("secret", sql, re.IGNORECASE)) == 1
    else:
        assert "secret" not in sql.lower()


def test_excluding_a_field_inside_a_list_is_rejected_where_extra_keeps_the_row() -> None:
    schema = build_schema(STREAMS["loads"], exclude=["Stops.CompanyName"])
    with pytest.raises(AlvysValueError, match=r"exclude .*Stops\.CompanyName"):
        write_sql("sqlserver", schema)
    assert (
        "company_name"
        not in write_sql("bigquery", schema).split("load_stops`", 1)[1].split("load_stops_references", 1)[0]
    )


def test_redshift_stages_every_column_of_the_parquet_files() -> None:
    sql = write_sql("redshift", build_schema(STREAMS["loads"], exclude=["Notes", "Linehaul"]))
    inner = sql.split('CREATE TEMP TABLE "alvys_stage" (')[1].split("\n);")[0]
    names = re.findall(r'^    "(\w+)"', inner, re.MULTILINE)
    assert names == [*(column.name for column in parquet_columns(STREAMS["loads"])), "_extra"]
    assert {"notes", "linehaul", "scheduled_pickup_at_local"} <= set(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"schema": "a.b.c"}, "schema=", id="three names"),
        pytest.param({"schema": 'a"; DROP'}, "schema=", id="quote"),
        pytest.param({"schema": ""}, "schema=", id="empty"),
        pytest.param({"url": "s3://a'b"}, "url=", id="quote in the url"),
        pytest.param({"url": "s3://{{ x }}"}, "url=", id="template in the url"),
        pytest.param({"task_id": 'a")'}, "task_id=", id="task"),
    ],
)
def test_an_argument_with_invalid_characters_is_rejected(options: dict[str, str], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        write_sql("snowflake", build_schema(STREAMS["loads"]), **options)


def test_a_schema_that_no_script_can_load_is_rejected() -> None:
    with pytest.raises(AlvysValueError, match="'oracle'"):
        write_sql("oracle", build_schema(STREAMS["loads"]))
    with pytest.raises(AlvysValueError, match="load_documents"):
        write_sql("snowflake", build_schema(STREAMS["load_documents"]))
    with pytest.raises(AlvysValueError, match="depth"):
        write_sql("snowflake", build_schema(STREAMS["loads"], depth=1))


def test_the_command_prints_the_statements(capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "sql",
            "--warehouse",
            "snowflake",
            "--stream",
            "loads",
            "--table",
            "freight",
            "--schema",
            "lake",
            "--task-id",
            "facts",
        ]
    )
    text = capsys.readouterr().out
    assert 'CREATE TABLE IF NOT EXISTS "LAKE"."FREIGHT" (' in text
    assert 'CREATE TABLE IF NOT EXISTS "LAKE"."FREIGHT_STOPS" (' in text
    assert 'ti.xcom_pull(task_ids="facts")' in text
    for arguments, says in (
        (["--stream", "loads", "--table", 'x" ('], "table="),
        (["--stream", "lods"], "'lods'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["sql", "--warehouse", "snowflake", *arguments])
        assert says in capsys.readouterr().err
