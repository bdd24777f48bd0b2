"""Snowflake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, snake_case
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable


class Snowflake(ParquetWarehouse):
    """
    Names are in upper case, as unquoted ones are read. A row is staged as one VARIANT.

    The session is in UTC, so that a time of a Parquet file is the same one whether Snowflake takes it to have a zone or not.
    """

    name = "snowflake"
    title = "Snowflake"
    parser = "snowflake"
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
    before = ("ALTER SESSION SET TIMEZONE = 'UTC'",)

    escape = r""" | replace("\\", "\\\\") | replace("'", "''")"""

    def notes(self, url: str) -> Sequence[str]:
        return [
            "Once, by an admin, for an integration that reads the bucket:",
            f"CREATE STAGE ALVYS URL = '{url}/' STORAGE_INTEGRATION = MY_INTEGRATION;",
        ]

    def quote(self, name: str) -> str:
        return f'"{name.upper()}"'

    def create(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        lines = ",\n".join([*columns, f"    PRIMARY KEY ({', '.join(key)})"])
        return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        row = 's."RECORD"'
        whole = " AND ".join(f"NVL(TYPEOF({_path(row, _names(steps))}), '') <> 'OBJECT'" for steps in lists)
        count = f"COUNT_IF({whole})" if whole else "COUNT(*)"
        return Staging(
            "The files of the run, a row each. The vectorized scanner gives lists as arrays: the check fails if it does not.",
            [
                f'CREATE OR REPLACE TEMPORARY TABLE {stage} ("RECORD" VARIANT)',
                f"COPY INTO {stage}\nFROM '@ALVYS/{{{{ run.folder }}}}/'\n"
                "FILES = ({% for file in run.files %}'{{ file }}'{{ \", \" if not loop.last }}{% endfor %})\n"
                "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE USE_VECTORIZED_SCANNER = TRUE)\n"
                "ON_ERROR = ABORT_STATEMENT",
            ],
            f'SELECT 1 / IFF({count} = {{{{ run.rows }}}}, 1, 0) AS "ALL_ROWS_ARE_THERE"\nFROM {stage} AS s',
            [f"DROP TABLE {stage}"],
        )

    def source(self, staged: StagedTable) -> str:
        lines = [f"FROM {self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            lines.append(
                f"    INNER JOIN LATERAL FLATTEN(INPUT => {_path(_item(level - 1), _names(steps))}) AS i{level}"
            )
        return "\n".join(lines)

    def value(self, level: int, place: Place, kind: Kind) -> str:
        path = _path(_item(level), place.parquet)
        return self._json(path) if kind == "json" else f"{path}::{self.types[kind]}"

    def left_over(self, staged: StagedTable, schema: StreamSchema) -> str:
        return self._json(_path(_item(staged.level), [EXTRA])) if staged.has_objects else "NULL::VARIANT"

    def position(self, level: int) -> str:
        return f"i{level}.INDEX + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"ARRAY_SIZE({_path(_item(level - 1), _names(steps))})"

    def digest(self, text: str) -> str:
        return f"SHA2({text}, 256)"

    @staticmethod
    def _json(path: str) -> str:
        # What Snowflake does not take for JSON, such as half an emoji, stays as text.
        return f"COALESCE(TRY_PARSE_JSON({path}::VARCHAR), TO_VARIANT({path}::VARCHAR))"


def _item(level: int) -> str:
    return f"i{level}.VALUE" if level else 's."RECORD"'


def _names(steps: Sequence[str]) -> list[str]:
    return [snake_case(step) for step in steps]


def _path(item: str, names: Sequence[str]) -> str:
    return f"{item}:" + ".".join(f'"{name}"' for name in names) if names else item
