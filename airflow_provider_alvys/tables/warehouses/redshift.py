"""Amazon Redshift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, snake_case
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import NEW, STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable, parquet_columns


class Redshift(ParquetWarehouse):
    """
    A row is staged with a column for each of its Parquet file, objects and lists as SUPER.

    Redshift's MERGE knows no conditions: rows are deleted and inserted, in one transaction.
    """

    name = "redshift"
    title = "Redshift"
    parser = "redshift"
    example = "s3://my-bucket/alvys"
    types: ClassVar[Mapping[Kind, str]] = {
        "key": "VARCHAR(256)",
        "text": "VARCHAR(65535)",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,10)",
        "boolean": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "wall": "TIMESTAMP",
        "date": "DATE",
        "json": "SUPER",
    }
    now = "GETDATE() AT TIME ZONE 'UTC'"
    has_merge = False

    escape = r""" | replace("\\", "\\\\") | replace("'", "''")"""

    def notes(self, url: str) -> Sequence[str]:
        return ["IAM_ROLE DEFAULT is the cluster's default role: it must be one that reads the bucket."]

    def create(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        lines = ",\n".join([*columns, f"    PRIMARY KEY ({', '.join(key)})"])
        return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        # Columns are told apart by their order alone.
        columns = [*((column.name, column.kind) for column in parquet_columns(stream)), (EXTRA, "text")]
        lines = ",\n".join(
            f"    {self.quote(name)} {_staged_type(self.types, kind)}" for name, kind in columns
        )
        objects = " OR ".join(f"IS_OBJECT({self._path(0, steps)})" for steps in lists)
        count = f"SUM(CASE WHEN {objects} THEN 0 ELSE 1 END)" if objects else "COUNT(*)"
        return Staging(
            "The files of the run, a row each. Their columns are taken by their order.",
            [
                f"DROP TABLE IF EXISTS {stage}",
                f"CREATE TEMP TABLE {stage} (\n{lines}\n)",
                "{% for file in run.files %}",
                f"COPY {stage}\nFROM '{url}/{{{{ run.folder }}}}/{{{{ file }}}}'\n"
                "IAM_ROLE DEFAULT\nFORMAT AS PARQUET SERIALIZETOJSON",
                "{% endfor %}",
            ],
            f"SELECT 1 / CASE WHEN {count} = {{{{ run.rows }}}} THEN 1 ELSE 0 END AS all_rows_are_there\nFROM {stage} AS s",
            [f"DROP TABLE {stage}", f"DROP TABLE {self.quote(NEW)}"],
        )

    def source(self, staged: StagedTable) -> str:
        froms = [f"{self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            froms.append(f"{self._path(level - 1, steps)} AS i{level} AT n{level}")
        return "FROM " + ",\n    ".join(froms)

    def value(self, level: int, place: Place, kind: Kind) -> str:
        path = ".".join([_item(level), *map(self.quote, place.parquet)])
        if level == 0 and len(place.steps) == 1:
            # A column of its own type.
            if kind == "timestamp":
                return f"{path} AT TIME ZONE 'UTC'"
            return self._json(path) if kind == "json" else path
        text = f"CAST({path} AS VARCHAR(65535))"
        if kind == "timestamp":
            return f"CAST({text} AS TIMESTAMP) AT TIME ZONE 'UTC'"
        if kind in ("wall", "date"):
            return f"CAST({text} AS {self.types[kind]})"
        if kind == "json":
            return self._json(text)
        return text if kind in ("key", "text") else f"CAST({path} AS {self.types[kind]})"

    def left_over(self, staged: StagedTable, schema: StreamSchema) -> str:
        if not staged.has_objects:
            return "CAST(NULL AS SUPER)"
        path = f"{_item(staged.level)}.{self.quote(EXTRA)}"
        return self._json(f"CAST({path} AS VARCHAR(65535))" if staged.level else path)

    def position(self, level: int) -> str:
        return f"n{level} + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"GET_ARRAY_LENGTH({self._path(level - 1, steps)})"

    def digest(self, text: str) -> str:
        return f"SHA2({text}, 256)"

    def _path(self, level: int, steps: Sequence[str]) -> str:
        return ".".join([_item(level), *(self.quote(snake_case(step)) for step in steps)])

    @staticmethod
    def _json(text: str) -> str:
        # What Redshift does not take for JSON stays as text.
        return f"CASE WHEN CAN_JSON_PARSE({text}) THEN JSON_PARSE({text}) ELSE CAST({text} AS SUPER) END"


def _staged_type(types: Mapping[Kind, str], kind: Kind) -> str:
    return "TIMESTAMP" if kind == "timestamp" else types[kind]


def _item(level: int) -> str:
    return f"i{level}" if level else "s"
