"""BigQuery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable


class BigQuery(ParquetWarehouse):
    """BigQuery: rows are staged as structs and arrays, as in Parquet; the statements run as one script."""

    name = "bigquery"
    title = "BigQuery"
    sqlglot_dialect = "bigquery"
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
        return ["Run it as one script, with a default dataset or generated with --schema."]

    def quote(self, name: str) -> str:
        return f"`{name}`"

    def create_table(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        keys = ", ".join(key)
        lines = ",\n".join([*columns, f"    PRIMARY KEY ({keys}) NOT ENFORCED"])
        return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)\nCLUSTER BY {keys}"

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        return Staging(
            "Copies the files of the run into a table with one row for each landed row.",
            [
                f"LOAD DATA INTO TEMP TABLE {stage}\nFROM FILES (\n    format = 'PARQUET',\n"
                "    enable_list_inference = TRUE,\n    decimal_target_types = ['BIGNUMERIC'],\n"
                f"    uris = [{{% for file in run.files %}}'{url}/{{{{ run.folder }}}}/{{{{ file }}}}'"
                '{{ ", " if not loop.last }}{% endfor %}]\n)'
            ],
            f"ASSERT (SELECT COUNT(*) FROM {stage}) = {{{{ run.rows }}}} AS 'Rows of the manifest are "
            "missing'",
            [f"DROP TABLE {stage}"],
        )

    def from_clause(self, staged: StagedTable) -> str:
        lines = [f"FROM {self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            items = f"UNNEST({self.path(level - 1, steps)})"
            lines.append(f"    CROSS JOIN {items} AS i{level} WITH OFFSET AS n{level}")
        return "\n".join(lines)

    def value(self, level: int, source: SourceField, kind: Kind) -> str:
        path = ".".join([self.item(level), *map(self.quote, source.parquet)])
        if kind in ("key", "text"):
            return path
        return self._json(path) if kind == "json" else f"CAST({path} AS {self.types[kind]})"

    def extra_value(self, staged: StagedTable, schema: StreamSchema) -> str:
        if not staged.contains_objects:
            return "CAST(NULL AS JSON)"
        return self._json(f"{self.item(staged.level)}.{self.quote(EXTRA)}")

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"ARRAY_LENGTH({self.path(level - 1, steps)})"

    def digest(self, text: str) -> str:
        return f"TO_HEX(SHA256({text}))"

    @staticmethod
    def _json(path: str) -> str:
        # JSON that BigQuery rejects, such as a number with too many digits, stays text.
        return f"IF({path} IS NULL, NULL, COALESCE(SAFE.PARSE_JSON({path}), TO_JSON({path})))"
