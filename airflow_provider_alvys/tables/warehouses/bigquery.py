"""BigQuery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, snake_case
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable


class BigQuery(ParquetWarehouse):
    """A row is staged with the types that its Parquet file has: structs and arrays. All statements are one script."""

    name = "bigquery"
    title = "BigQuery"
    parser = "bigquery"
    example = "gs://my-bucket/alvys"
    types: ClassVar[Mapping[Kind, str]] = {
        "key": "STRING",
        "text": "STRING",
        "integer": "INT64",
        "decimal": "BIGNUMERIC",
        "boolean": "BOOL",
        "timestamp": "TIMESTAMP",
        "wall": "DATETIME",
        "date": "DATE",
        "json": "JSON",
    }
    now = "CURRENT_TIMESTAMP()"
    commit = "COMMIT TRANSACTION"

    escape = r""" | replace("\\", "\\\\") | replace("'", "\\'")"""

    def notes(self, url: str) -> Sequence[str]:
        return ["Run all of it as one script, with a default dataset, or made with --schema."]

    def quote(self, name: str) -> str:
        return f"`{name}`"

    def create(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        lines = ",\n".join([*columns, f"    PRIMARY KEY ({', '.join(key)}) NOT ENFORCED"])
        return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)\nCLUSTER BY {', '.join(key)}"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        return Staging(
            "The files of the run, a row each.",
            [
                f"LOAD DATA INTO TEMP TABLE {stage}\nFROM FILES (\n    format = 'PARQUET',\n    enable_list_inference = TRUE,\n"
                "    decimal_target_types = ['BIGNUMERIC'],\n"
                f"    uris = [{{% for file in run.files %}}'{url}/{{{{ run.folder }}}}/{{{{ file }}}}'"
                '{{ ", " if not loop.last }}{% endfor %}]\n)',
            ],
            f"ASSERT (SELECT COUNT(*) FROM {stage}) = {{{{ run.rows }}}} AS 'Rows of the manifest are missing'",
            [f"DROP TABLE {stage}"],
        )

    def source(self, staged: StagedTable) -> str:
        lines = [f"FROM {self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            lines.append(
                f"    CROSS JOIN UNNEST({self._path(level - 1, steps)}) AS i{level} WITH OFFSET AS n{level}"
            )
        return "\n".join(lines)

    def value(self, level: int, place: Place, kind: Kind) -> str:
        path = ".".join([_item(level), *map(self.quote, place.parquet)])
        if kind in ("key", "text"):
            return path
        return self._json(path) if kind == "json" else f"CAST({path} AS {self.types[kind]})"

    def left_over(self, staged: StagedTable, schema: StreamSchema) -> str:
        if not staged.has_objects:
            return "CAST(NULL AS JSON)"
        return self._json(f"{_item(staged.level)}.{self.quote(EXTRA)}")

    def position(self, level: int) -> str:
        return f"n{level} + 1"

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"ARRAY_LENGTH({self._path(level - 1, steps)})"

    def digest(self, text: str) -> str:
        return f"TO_HEX(SHA256({text}))"

    def _path(self, level: int, steps: Sequence[str]) -> str:
        return ".".join([_item(level), *(self.quote(snake_case(step)) for step in steps)])

    @staticmethod
    def _json(path: str) -> str:
        # What BigQuery does not take for JSON, such as a number of more digits than it keeps, stays as text.
        return f"IF({path} IS NULL, NULL, COALESCE(SAFE.PARSE_JSON({path}), TO_JSON({path})))"


def _item(level: int) -> str:
    return f"i{level}" if level else "s"
