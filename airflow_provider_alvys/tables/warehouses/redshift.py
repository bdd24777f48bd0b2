"""Amazon Redshift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.base import NEW_ROWS, STAGE, ParquetWarehouse, Staging
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable, parquet_columns


class Redshift(ParquetWarehouse):
    """
    Amazon Redshift: rows are staged with the columns of their Parquet files, objects and lists as SUPER.

    Its MERGE has no conditions: the script deletes and inserts rows in one transaction.
    """

    name = "redshift"
    title = "Redshift"
    sqlglot_dialect = "redshift"
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

    def notes(self, url: str) -> Sequence[str]:
        return ["IAM_ROLE DEFAULT is the cluster's default role: it needs read access to the bucket."]

    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        stage = self.quote(STAGE)
        # COPY matches columns by their order.
        columns = [*((column.name, column.kind) for column in parquet_columns(stream)), (EXTRA, "text")]
        types = {**self.types, "timestamp": "TIMESTAMP"}
        lines = ",\n".join(f"    {self.quote(name)} {types[kind]}" for name, kind in columns)
        objects = " OR ".join(f"IS_OBJECT({self.path(0, steps)})" for steps in lists)
        count = f"SUM(CASE WHEN {objects} THEN 0 ELSE 1 END)" if objects else "COUNT(*)"
        return Staging(
            "Copies the files of the run into a table with one row for each landed row. COPY matches columns "
            "by order.",
            [
                f"DROP TABLE IF EXISTS {stage}",
                f"CREATE TEMP TABLE {stage} (\n{lines}\n)",
                "{% for file in run.files %}",
                f"COPY {stage}\nFROM '{url}/{{{{ run.folder }}}}/{{{{ file }}}}'\n"
                "IAM_ROLE DEFAULT\nFORMAT AS PARQUET SERIALIZETOJSON",
                "{% endfor %}",
            ],
            f"SELECT 1 / CASE WHEN {count} = {{{{ run.rows }}}} THEN 1 ELSE 0 END AS all_rows_staged\n"
            f"FROM {stage} AS s",
            [f"DROP TABLE {stage}", f"DROP TABLE {self.quote(NEW_ROWS)}"],
        )

    def from_clause(self, staged: StagedTable) -> str:
        froms = [f"{self.quote(STAGE)} AS s"]
        for level, steps in enumerate(staged.lists, 1):
            froms.append(f"{self.path(level - 1, steps)} AS i{level} AT n{level}")
        return "FROM " + ",\n    ".join(froms)

    def value(self, level: int, source: SourceField, kind: Kind) -> str:
        path = ".".join([self.item(level), *map(self.quote, source.parquet)])
        if level == 0 and len(source.steps) == 1:
            # The stage has a column of this type.
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

    def extra_value(self, staged: StagedTable, schema: StreamSchema) -> str:
        if not staged.contains_objects:
            return "CAST(NULL AS SUPER)"
        path = f"{self.item(staged.level)}.{self.quote(EXTRA)}"
        return self._json(f"CAST({path} AS VARCHAR(65535))" if staged.level else path)

    def length(self, level: int, steps: Sequence[str]) -> str:
        return f"GET_ARRAY_LENGTH({self.path(level - 1, steps)})"

    @staticmethod
    def _json(text: str) -> str:
        # JSON that Redshift rejects stays text.
        return f"CASE WHEN CAN_JSON_PARSE({text}) THEN JSON_PARSE({text}) ELSE CAST({text} AS SUPER) END"
