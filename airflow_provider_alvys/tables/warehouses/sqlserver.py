"""Microsoft SQL Server, and Azure SQL."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.values import EXTRA, Kind
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import Staging, Warehouse
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable, is_in_list

_STAGE = "[#alvys_stage]"
_CURRENCIES = "[#alvys_currencies]"
_BINARY = "COLLATE Latin1_General_100_BIN2"


class SqlServer(Warehouse):
    """
    Reads JSON lines: each into a row of text, which OPENJSON takes apart.

    No version reads nested Parquet into tables everywhere, and JSON keeps the seventh digit of a second. What is left over
    cannot be told in T-SQL: ``_extra`` of the stream's own table holds the whole row.
    """

    name = "sqlserver"
    title = "SQL Server"
    parser = "tsql"
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
    before = ("SET XACT_ABORT ON",)
    commit = "COMMIT TRANSACTION"
    merge_hint = " WITH (HOLDLOCK)"

    def notes(self, url: str) -> Sequence[str]:
        lines = ['For files landed with file_format="jsonl" and no compression: BULK INSERT reads no gzip.']
        if "://" in url:
            lines += [
                "Once, by an admin:",
                f"CREATE EXTERNAL DATA SOURCE [alvys] WITH (TYPE = BLOB_STORAGE, LOCATION = '{url}', CREDENTIAL = [mine]);",
            ]
        return lines

    def quote(self, name: str) -> str:
        return f"[{name}]"

    def literal(self, expression: str) -> str:
        return f"N{super().literal(expression)}"

    def create(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        # Two keys are longer than a clustered index may be.
        lines = ",\n".join([*columns, f"    PRIMARY KEY NONCLUSTERED ({', '.join(key)})"])
        return f"IF OBJECT_ID(N'{table}', N'U') IS NULL\nCREATE TABLE {table} (\n{lines}\n)"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        source, root = (" DATA_SOURCE = 'alvys',", "") if "://" in url else ("", f"{url}/")
        pairs = textwrap.fill(
            ", ".join(f'"{number}": "{letters}"' for number, letters in CURRENCIES.items()), 120
        )
        return Staging(
            "The files of the run, a row each. JSON has no line feed and no vertical tab inside a row.",
            [
                f"DROP TABLE IF EXISTS {_STAGE}",
                f"CREATE TABLE {_STAGE} ([line] NVARCHAR(MAX))",
                "{% for file in run.files %}",
                f"BULK INSERT {_STAGE}\nFROM '{root}{{{{ run.folder }}}}/{{{{ file }}}}'\n"
                f"WITH ({source.strip()}{' ' if source else ''}DATAFILETYPE = 'char', CODEPAGE = '65001', "
                "FIELDTERMINATOR = '0x0b', ROWTERMINATOR = '0x0a', MAXERRORS = 0)",
                "{% endfor %}",
                f"DROP TABLE IF EXISTS {_CURRENCIES}",
                f"CREATE TABLE {_CURRENCIES} ([number] NVARCHAR(4), [letters] NVARCHAR(4))",
                f"INSERT INTO {_CURRENCIES} ([number], [letters])\nSELECT [key], [value] FROM OPENJSON(N'{{\n{pairs}\n}}')",
            ],
            f"IF (SELECT COUNT_BIG(*) FROM {_STAGE} WHERE ISJSON([line]) = 1) <> {{{{ run.rows }}}}\n"
            "THROW 50000, N'Rows of the manifest are missing', 1",
            [f"DROP TABLE {_STAGE}", f"DROP TABLE {_CURRENCIES}"],
        )

    def source(self, staged: StagedTable) -> str:
        lines = [f"FROM {_STAGE} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            lines.append(f"    CROSS APPLY OPENJSON({_item(level - 1)}, {_path(steps)}) AS i{level}")
        fields: dict[str, str] = {}
        for column, place in staged.columns:
            if place is not None and place.steps:
                as_json = " AS JSON" if column.kind == "json" else ""
                fields[_field(place)] = f"        {_field(place)} NVARCHAR(MAX) {_path(place.steps)}{as_json}"
        if fields:
            inner = ",\n".join(fields.values())
            lines.append(f"    CROSS APPLY OPENJSON({_item(staged.level)}) WITH (\n{inner}\n    ) AS j")
        return "\n".join(lines)

    def key(self, place: Place, kind: Kind) -> str:
        text = f"JSON_VALUE(s.[line], {_path(place.steps)})"
        return f"TRY_CONVERT(BIGINT, {text})" if kind == "integer" else f"{text} {_BINARY}"

    def value(self, level: int, place: Place, kind: Kind) -> str:
        text = (
            f"j.{_field(place)}"
            if place.steps
            else f"CASE WHEN i{level}.[type] = 1 THEN i{level}.[value] END"
        )
        if "currency" in place.flags:
            return f"(SELECT c.[letters] FROM {_CURRENCIES} AS c WHERE {text} {_BINARY} IN (c.[number], c.[letters]))"
        if place.kind == "time":
            return self._time(text, place.suffix)
        if kind == "date":
            return f"TRY_CONVERT(DATE, LEFT({text}, 10), 23)"
        return text if kind in ("key", "text", "json") else f"TRY_CONVERT({self.types[kind]}, {text})"

    def joined_key(self, stream: Stream) -> str:
        if not stream.key:
            return f"LOWER(CONVERT(NVARCHAR(64), HASHBYTES('SHA2_256', s.[line]), 2)) {_BINARY}"
        parts = [
            f"COALESCE(N'\"' + JSON_VALUE(s.[line], {_path([name])}) + N'\"', N'null')" for name in stream.key
        ]
        inner = " + N',' + ".join(parts)
        return f"(N'[' + {inner} + N']') {_BINARY}"

    def left_over(self, staged: StagedTable, schema: StreamSchema) -> str:
        if staged.level:
            return "CAST(NULL AS NVARCHAR(MAX))"
        row = "s.[line]"
        for path in sorted(schema.excluded - {EXTRA}):
            if is_in_list(schema.stream, path):
                raise AlvysValueError(f"{path} cannot be kept out of the rows that SQL Server keeps whole")
            row = f"JSON_MODIFY({row}, {_path(path.split('.'))}, NULL)"
        return row

    def position(self, level: int) -> str:
        return f"CONVERT(BIGINT, i{level}.[key]) + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"(SELECT COUNT_BIG(*) FROM OPENJSON({_item(level - 1)}, {_path(steps)}))"

    def truth(self, condition: str) -> str:
        return f"CONVERT(BIT, IIF({condition}, 1, 0))"

    @staticmethod
    def _time(text: str, suffix: str) -> str:
        moment = f"TRY_CONVERT(DATETIMEOFFSET(7), {text})"
        zone = f"{text} LIKE N'%[+-][0-9][0-9]:[0-9][0-9]'"
        days = {"_is_open": "9999-12-31", "_is_unknown": "1970-01-01"}
        if suffix in days:
            return f"CONVERT(BIT, CASE WHEN {text} LIKE N'{days[suffix]}%' THEN 1 WHEN {moment} IS NOT NULL THEN 0 END)"
        if suffix == "_local":
            return f"CONVERT(DATETIME2(7), {moment})"
        if suffix == "_offset":
            return f"CASE WHEN {text} LIKE N'%Z' THEN N'+00:00' WHEN {zone} THEN RIGHT({text}, 6) END"
        return f"CASE WHEN {text} LIKE N'%Z' OR {zone} THEN SWITCHOFFSET({moment}, '+00:00') END"


def _item(level: int) -> str:
    # An item that is no object has no fields.
    return f"CASE WHEN i{level}.[type] = 5 THEN i{level}.[value] ELSE N'{{}}' END" if level else "s.[line]"


def _field(place: Place) -> str:
    return f"[{'.'.join(place.steps)}]"


def _path(steps: Sequence[str]) -> str:
    return "'$" + "".join(f'."{step}"' for step in steps) + "'"
