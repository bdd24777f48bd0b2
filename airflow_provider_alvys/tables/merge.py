"""From temporary tables into the tables: by tenant and key, the newest state of each row wins, in whatever order they come."""

from __future__ import annotations

from airflow_provider_alvys.api.errors import AlvysTableError
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.migrate import ObsoleteSchema
from airflow_provider_alvys.tables.schema import (
    CHANGED_AT,
    HASH,
    MANIFEST,
    MISSED_AT,
    MISSING_SINCE,
    READ_AT,
    TENANT,
    StreamSchema,
    Table,
)


def stage_name(table: Table) -> str:
    """Return the name of the temporary table whose rows are to go into a table."""
    return f"alvys_new_{table.name}"


class Merge:
    """
    The rows of one manifest, on their way from the temporary tables into those of a schema.

    :param obsolete: what stands of an earlier schema: it is emptied of the rows that are merged.
    """

    def __init__(self, database: Database, schema: StreamSchema, obsolete: ObsoleteSchema) -> None:
        self._database = database
        self._schema = schema
        self._obsolete = obsolete
        self._dialect = database.dialect
        self._main = database.table(schema.main.name)
        self._main_stage = self.stage(schema.main)
        self._pairs = [(name, name) for name in schema.main.primary_key]

    def stage(self, table: Table) -> str:
        """Return the name of a table's temporary one as it stands in a statement."""
        return self._dialect.quote(self._dialect.fit(stage_name(table)))

    def open_stages(self) -> None:
        """Make the temporary tables, empty."""
        for table in self._schema.tables:
            stage = self._dialect.fit(stage_name(table))
            self._database.execute(self._dialect.drop(stage))
            columns = [column.name for column in table.stored]
            if not table.parent:
                columns += self._obsolete.columns
            for statement in self._dialect.stage(
                stage, self._database.table(table.name), columns, table.primary_key
            ):
                self._database.execute(statement)

    def close_stages(self) -> None:
        """Drop the temporary tables."""
        for table in self._schema.tables:
            self._database.execute(self._dialect.drop(self._dialect.fit(stage_name(table))))

    def analyze(self) -> None:
        """Let the database know what is in the temporary tables."""
        for table in self._schema.tables:
            # By these they are joined.
            self._database.analyze(self._dialect.fit(stage_name(table)), table.primary_key)

    def run(self) -> int:
        """Merge, and return how many rows were new or newer."""
        self._refuse_doubles()
        quote = self._dialect.quote
        # Seen again, in whatever state: the columns of the stage are empty.
        seen = f"s.{quote(READ_AT)} > t.{quote(MISSED_AT)}"
        gone = [MISSED_AT, MISSING_SINCE]
        self._database.execute(self._dialect.update(self._main, self._main_stage, gone, self._pairs, seen))
        self._drop_stale()
        unchanged = f"t.{quote(HASH)} = s.{quote(HASH)}"
        self._database.execute(
            self._dialect.update(self._main_stage, self._main, [CHANGED_AT], self._pairs, unchanged)
        )
        main = self._schema.main
        others = [column.name for column in main.stored if column.name not in (*main.primary_key, *gone)]
        others += self._obsolete.columns
        self._database.execute(self._dialect.update(self._main, self._main_stage, others, self._pairs))
        names = ", ".join(quote(column.name) for column in main.stored)
        staged = ", ".join(f"s.{quote(column.name)}" for column in main.stored)
        self._database.execute(
            f"INSERT INTO {self._main} ({names}) SELECT {staged} FROM {self._main_stage} AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._main} AS t WHERE {self._dialect.on('t', 's', self._pairs)})"
        )
        for table in self._obsolete.tables:
            self._delete_items(table)
        for table in self._schema.tables[1:]:
            self._delete_items(table)
            self._insert_items(table)
        ((count,),) = self._database.execute(f"SELECT COUNT(*) AS rows_merged FROM {self._main_stage}")
        return int(count)

    def _refuse_doubles(self) -> None:
        keys = ", ".join(map(self._dialect.quote, self._schema.keys))
        doubles = self._database.execute(
            f"SELECT {keys} FROM {self._main_stage} GROUP BY {keys} HAVING COUNT(*) > 1 LIMIT 1"
        )
        if doubles:
            raise AlvysTableError(
                f"Two rows of one manifest have the same {', '.join(self._schema.keys)}: {', '.join(map(repr, doubles[0]))}. Land "
                "it again, or delete its folder: landing keeps keys apart, unless one is a number and the other its text"
            )

    def _drop_stale(self) -> None:
        """Drop the rows ``t`` of which the table has a newer state ``s`` already."""
        quote = self._dialect.quote

        def is_newer(column: str) -> str:
            return f"s.{quote(column)} > t.{quote(column)}"

        def is_same(column: str) -> str:
            return f"s.{quote(column)} = t.{quote(column)}"

        newer = f"{is_newer(READ_AT)} OR ({is_same(READ_AT)} AND {is_newer(MANIFEST)})"
        version = self._schema.version
        if version:
            # A row without a version is older than one with it.
            only = f"s.{quote(version)} IS NOT NULL AND t.{quote(version)} IS NULL"
            neither = f"t.{quote(version)} IS NULL AND s.{quote(version)} IS NULL"
            newer = f"{is_newer(version)} OR ({only}) OR (({is_same(version)} OR ({neither})) AND ({newer}))"
        self._database.execute(self._dialect.delete(self._main_stage, self._main, self._pairs, newer))

    def _parents(self, table: Table) -> list[tuple[str, str]]:
        """Return the columns of a list's table that name the row which holds the list, with those of that row."""
        return [(TENANT, TENANT), *zip(table.key, self._schema.keys, strict=False)]

    def _delete_items(self, table: Table) -> None:
        """Delete the rows of a list's table that belong to rows which were merged."""
        self._database.execute(
            self._dialect.delete(self._database.table(table.name), self._main_stage, self._parents(table))
        )

    def _insert_items(self, table: Table) -> None:
        """Put the new rows of a list's table that belong to rows which were merged into it."""
        target, stage, pairs = self._database.table(table.name), self.stage(table), self._parents(table)
        quote = self._dialect.quote
        names = ", ".join(quote(column.name) for column in table.stored)
        staged = ", ".join(f"c.{quote(column.name)}" for column in table.stored)
        self._database.execute(
            f"INSERT INTO {target} ({names}) SELECT {staged} FROM {stage} AS c "
            f"WHERE EXISTS (SELECT 1 FROM {self._main_stage} AS s WHERE {self._dialect.on('c', 's', pairs)})"
        )
