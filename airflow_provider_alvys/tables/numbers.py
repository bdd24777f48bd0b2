"""Numbers that two rows of a table carry: a load number is unique within a subsidiary only."""

from __future__ import annotations

import logging

from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import TENANT, StreamSchema

log = logging.getLogger(__name__)


def warn_of_shared_numbers(database: Database, schema: StreamSchema) -> None:
    """Log a warning if rows of one tenant have the same number, so that a join by it would mix them."""
    stream, main = schema.stream, schema.main
    column = next((column.name for column in main.columns if column.field == stream.number_field), None)
    if stream.number_is_unique or column is None:
        return
    tenant, number = database.dialect.quote(TENANT), database.dialect.quote(column)
    ((shared, example),) = database.execute(
        f"SELECT COUNT(*) AS n, MIN({number}) AS example FROM "
        f"(SELECT {tenant}, {number} FROM {database.table(main.name)} WHERE {number} IS NOT NULL "
        f"GROUP BY {tenant}, {number} HAVING COUNT(*) > 1) AS d"
    )
    if shared:
        values, name = counted(shared, "values"), f"{main.name}.{column}"
        log.warning("%s of %s belong to several rows, such as %s", values, name, scrub(str(example)))
        log.warning("It is unique within a subsidiary only. Join by the key (%s)", ", ".join(main.key))
