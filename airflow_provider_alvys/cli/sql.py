"""``sql``: the statements that load a stream into a warehouse."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.tables.warehouses.statements import write_sql


def sql(options: argparse.Namespace) -> None:
    """Print the SQL template of a stream and warehouse."""
    schema = build_schema(get_stream(options.stream), table=options.table)
    text = write_sql(
        options.warehouse, schema, schema=options.schema, url=options.url, task_id=options.task_id
    )
    sys.stdout.write(text)
