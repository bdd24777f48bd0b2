"""Snowflake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, snake_case
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable


class Snowflake(ParquetWarehouse):
    """
    Snowflake: names are in upper case, like unquoted names; rows are staged as one VARIANT.

    The session is in UTC, so that the times in Parquet files are read as UTC with and without a time zone.
    """

    name = "snowflake"
    title = "Snowflake"
    sqlglot_dialect = "snowflake"
    example = "s3://my-bucket/alvys"
    types: ClassVar[Mapping[Kind, str]] = {
        "key": "VARCHAR",
        "text": "VARCHAR",
        "integer": "NUMBER(38,0)",
        "decimal": "NUMBER(38,10)",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMP_TZ(9)",
        "wall": "TIMESTAMP_NTZ(9)",
        "date": "DATE",
        "json": "VARIANT",
    }
    now = "CURRENT_TIMESTAMP()"
    setup = ("ALTER SESSION SET TIMEZONE = 'UTC'",)

    def notes(self, url: str) -> Sequence[str]:
        return [
            "An admin runs this once, with an integration that can read the bucket:",
            f"CREATE STAGE ALVYS URL = '{url}/' STORAGE_INTEGRATION = MY_INTEGRATION;",
        ]

    def quote(self, name: str) -> str:
        return f'"{name.upper()}"'

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        row = 's."RECORD"'
        types = [f"NVL(TYPEOF({_path(row, _names(steps))}), '')" for steps in lists]
        lists_are_arrays = " AND ".join(f"{type_name} <> 'OBJECT'" for type_name in types)
        count = f"COUNT_IF({lists_are_arrays})" if lists_are_arrays else "COUNT(*)"
        return Staging(
            "Copies the files of the run into a table with one row for each landed row. The vectorized "
            "scanner\nreturns lists as arrays; the check fails if it does not.",
            [
                f'CREATE OR REPLACE TEMPORARY TABLE {stage} ("RECORD" VARIANT)',
                f"COPY INTO {stage}\nFROM '@ALVYS/{{{{ run.folder }}}}/'\n"
                "FILES = ({% for file in run.files %}'{{ file }}'{{ \", \" if not loop.last }}{% endfor %})\n"
                "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE USE_VECTORIZED_SCANNER = TRUE)\n"
                "ON_ERROR = ABORT_STATEMENT",
            ],
            f'SELECT 1 / IFF({count} = {{{{ run.rows }}}}, 1, 0) AS "ALL_ROWS_STAGED"\nFROM {stage} AS s',
            [f"DROP TABLE {stage}"],
        )

    def from_clause(self, staged: StagedTable) -> str:
        lines = [f"FROM {self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            items = _path(_item(level - 1), _names(steps))
            lines.append(f"    INNER JOIN LATERAL FLATTEN(INPUT => {items}) AS i{level}")
        return "\n".join(lines)

    def value(self, level: int, source: SourceField, kind: Kind) -> str:
        path = _path(_item(level), source.parquet)
        return self._json(path) if kind == "json" else f"{path}::{self.types[kind]}"

    def extra_value(self, staged: StagedTable, schema: StreamSchema) -> str:
        return self._json(_path(_item(staged.level), [EXTRA])) if staged.contains_objects else "NULL::VARIANT"

    def position(self, level: int) -> str:
        return f"i{level}.INDEX + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"ARRAY_SIZE({_path(_item(level - 1), _names(steps))})"

    @staticmethod
    def _json(path: str) -> str:
        # JSON that Snowflake rejects, such as an unpaired surrogate, stays text.
        return f"COALESCE(TRY_PARSE_JSON({path}::VARCHAR), TO_VARIANT({path}::VARCHAR))"


def _item(level: int) -> str:
    return f"i{level}.VALUE" if level else 's."RECORD"'


def _names(steps: Sequence[str]) -> list[str]:
    return [snake_case(step) for step in steps]


def _path(item: str, names: Sequence[str]) -> str:
    return f"{item}:" + ".".join(f'"{name}"' for name in names) if names else item
