"""Microsoft SQL Server and Azure SQL."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import Array
from airflow_provider_alvys.api.schema.values import EXTRA, Kind
from airflow_provider_alvys.tables.schema import StreamSchema, fields_of
from airflow_provider_alvys.tables.warehouses.base import Staging, Warehouse
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable

_STAGE = "[#alvys_stage]"
_CURRENCIES = "[#alvys_currencies]"
_BINARY = "COLLATE Latin1_General_100_BIN2"


class SqlServer(Warehouse):
    """
    SQL Server: rows are staged as lines of JSON, which OPENJSON parses.

    Not every version reads nested Parquet, and JSON keeps the seventh digit of a second. T-SQL cannot find
    unmapped fields: ``_extra`` of the main table contains the complete row.
    """

    name = "sqlserver"
    title = "SQL Server"
    sqlglot_dialect = "tsql"
    example = "/mnt/alvys"
    file_format = "jsonl"
    types: ClassVar[Mapping[Kind, str]] = {
        "key": f"NVARCHAR(255) {_BINARY}",
        "text": "NVARCHAR(MAX)",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,10)",
        "boolean": "BIT",
        "timestamp": "DATETIMEOFFSET(7)",
        "wall": "DATETIME2(7)",
        "date": "DATE",
        "json": "NVARCHAR(MAX)",
    }
    now = "SYSDATETIMEOFFSET()"
    setup = ("SET XACT_ABORT ON",)
    commit = "COMMIT TRANSACTION"
    merge_hint = " WITH (HOLDLOCK)"

    def notes(self, url: str) -> Sequence[str]:
        lines = ['Land files with file_format="jsonl", uncompressed: BULK INSERT does not read gzip.']
        if "://" in url:
            lines += [
                "An admin runs this once:",
                f"CREATE EXTERNAL DATA SOURCE [alvys] WITH (TYPE = BLOB_STORAGE, LOCATION = '{url}', "
                "CREDENTIAL = [mine]);",
            ]
        return lines

    def quote(self, name: str) -> str:
        return f"[{name}]"

    def literal(self, expression: str) -> str:
        return f"N{super().literal(expression)}"

    def create_table(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        # Two keys can be longer than a clustered index allows.
        lines = ",\n".join([*columns, f"    PRIMARY KEY NONCLUSTERED ({', '.join(key)})"])
        return f"IF OBJECT_ID(N'{table}', N'U') IS NULL\nCREATE TABLE {table} (\n{lines}\n)"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        source, root = ("DATA_SOURCE = 'alvys', ", "") if "://" in url else ("", f"{url}/")
        currencies = ", ".join(f'"{number}": "{letters}"' for number, letters in CURRENCIES.items())
        pairs = textwrap.fill(currencies, 120)
        return Staging(
            "Copies the files of the run into a table with one row for each landed row. A row of JSON lines "
            "contains\nno line feed and no vertical tab.",
            [
                f"DROP TABLE IF EXISTS {_STAGE}",
                f"CREATE TABLE {_STAGE} ([line] NVARCHAR(MAX))",
                "{% for file in run.files %}",
                f"BULK INSERT {_STAGE}\nFROM '{root}{{{{ run.folder }}}}/{{{{ file }}}}'\n"
                f"WITH ({source}DATAFILETYPE = 'char', CODEPAGE = '65001', "
                "FIELDTERMINATOR = '0x0b', ROWTERMINATOR = '0x0a', MAXERRORS = 0)",
                "{% endfor %}",
                f"DROP TABLE IF EXISTS {_CURRENCIES}",
                f"CREATE TABLE {_CURRENCIES} ([number] NVARCHAR(4), [letters] NVARCHAR(4))",
                f"INSERT INTO {_CURRENCIES} ([number], [letters])\n"
                f"SELECT [key], [value] FROM OPENJSON(N'{{\n{pairs}\n}}')",
            ],
            f"IF (SELECT COUNT_BIG(*) FROM {_STAGE} WHERE ISJSON([line]) = 1) <> {{{{ run.rows }}}}\n"
            "THROW 50000, N'Rows of the manifest are missing', 1",
            [f"DROP TABLE {_STAGE}", f"DROP TABLE {_CURRENCIES}"],
        )

    def from_clause(self, staged: StagedTable) -> str:
        lines = [f"FROM {_STAGE} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            lines.append(f"    CROSS APPLY OPENJSON({_item(level - 1)}, {_path(steps)}) AS i{level}")
        fields: dict[str, str] = {}
        for column, source in staged.columns:
            if source is not None and source.steps:
                as_json, name = " AS JSON" if column.kind == "json" else "", _field(source)
                fields[name] = f"        {name} NVARCHAR(MAX) {_path(source.steps)}{as_json}"
        if fields:
            inner = ",\n".join(fields.values())
            lines.append(f"    CROSS APPLY OPENJSON({_item(staged.level)}) WITH (\n{inner}\n    ) AS j")
        return "\n".join(lines)

    def key(self, source: SourceField, kind: Kind) -> str:
        text = f"JSON_VALUE(s.[line], {_path(source.steps)})"
        return f"TRY_CONVERT(BIGINT, {text})" if kind == "integer" else f"{text} {_BINARY}"

    def value(self, level: int, source: SourceField, kind: Kind) -> str:
        text = f"CASE WHEN i{level}.[type] = 1 THEN i{level}.[value] END"
        if source.steps:
            text = f"j.{_field(source)}"
        if "currency" in source.flags:
            shown = f"UPPER(LTRIM(RTRIM({text}))) {_BINARY}"
            match = f"{shown} IN (c.[number], RIGHT(N'00' + c.[number], 3), c.[letters])"
            return f"(SELECT c.[letters] FROM {_CURRENCIES} AS c WHERE {match})"
        if source.kind == "time":
            return self._time(text, source.suffix)
        if kind == "date":
            return f"TRY_CONVERT(DATE, LEFT({text}, 10), 23)"
        return text if kind in ("key", "text", "json") else f"TRY_CONVERT({self.types[kind]}, {text})"

    def composite_key(self, stream: Stream) -> str:
        if not stream.key:
            return f"LOWER(CONVERT(NVARCHAR(64), HASHBYTES('SHA2_256', s.[line]), 2)) {_BINARY}"
        values = (f"JSON_VALUE(s.[line], {_path([name])})" for name in stream.key)
        parts = [f"COALESCE(N'\"' + {value} + N'\"', N'null')" for value in values]
        inner = " + N',' + ".join(parts)
        return f"(N'[' + {inner} + N']') {_BINARY}"

    def extra_value(self, staged: StagedTable, schema: StreamSchema) -> str:
        if staged.level:
            return "CAST(NULL AS NVARCHAR(MAX))"
        row = "s.[line]"
        lists = [name for name, kind, _ in fields_of(schema.stream.fields) if isinstance(kind, Array)]
        for path in sorted(schema.excluded - {EXTRA}):
            if any(path.startswith(f"{name}.") for name in lists):
                raise AlvysValueError(
                    f"exclude contains {path}, which is inside a list: for SQL Server, _extra keeps the "
                    "complete row and T-SQL cannot remove it there. Exclude the list"
                )
            row = f"JSON_MODIFY({row}, {_path(path.split('.'))}, NULL)"
        return row

    def position(self, level: int) -> str:
        return f"CONVERT(BIGINT, i{level}.[key]) + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"(SELECT COUNT_BIG(*) FROM OPENJSON({_item(level - 1)}, {_path(steps)}))"

    def boolean(self, condition: str) -> str:
        return f"CONVERT(BIT, IIF({condition}, 1, 0))"

    @staticmethod
    def _time(text: str, suffix: str) -> str:
        moment = f"TRY_CONVERT(DATETIMEOFFSET(7), {text})"
        has_offset = f"{text} LIKE N'%[+-][0-9][0-9]:[0-9][0-9]'"
        days = {"_is_open": "9999-12-31", "_is_unknown": "1970-01-01"}
        if suffix in days:
            is_day = f"WHEN {text} LIKE N'{days[suffix]}%' THEN 1"
            return f"CONVERT(BIT, CASE {is_day} WHEN {moment} IS NOT NULL THEN 0 END)"
        if suffix == "_local":
            return f"CONVERT(DATETIME2(7), {moment})"
        if suffix == "_offset":
            return f"CASE WHEN {text} LIKE N'%Z' THEN N'+00:00' WHEN {has_offset} THEN RIGHT({text}, 6) END"
        return f"CASE WHEN {text} LIKE N'%Z' OR {has_offset} THEN SWITCHOFFSET({moment}, '+00:00') END"


def _item(level: int) -> str:
    # Items that are not objects become empty objects.
    return f"CASE WHEN i{level}.[type] = 5 THEN i{level}.[value] ELSE N'{{}}' END" if level else "s.[line]"


def _field(source: SourceField) -> str:
    return f"[{'.'.join(source.steps)}]"


def _path(steps: Sequence[str]) -> str:
    return "'$" + "".join(f'."{step}"' for step in steps) + "'"
