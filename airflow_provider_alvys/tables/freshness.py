"""The view of how fresh the tables are."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow_provider_alvys.landing.dataset.manifest import LATE_AFTER
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.dialects import FRESHNESS
from airflow_provider_alvys.tables.ledger import LEDGER

log = logging.getLogger(__name__)


def create_freshness_view(database: Database) -> None:
    """
    Create the view if it does not exist, or has the columns of another version.

    It is not needed for a load, and a database may want a right of its own for views: a failure is logged.
    """
    columns = _columns(database)
    try:
        with database.transaction(LEDGER):
            existing = database.columns(FRESHNESS)
            if list(existing) == list(columns):
                return
            name = database.table(FRESHNESS)
            if existing:
                database.execute(f"DROP VIEW {name}")
            database.execute(f"CREATE VIEW {name} AS {_select(database, columns)}")
    except Exception as error:
        log.warning("The view %s cannot be created: %s", FRESHNESS, error)
        log.warning("Grant the right to create views, or rename what has this name. The load continues")


def _columns(database: Database) -> Mapping[str, str]:
    """Return the expression of each column, for the entry ``e`` of the ledger that counts."""
    quote = database.dialect.quote
    as_of = f"CASE WHEN e.{quote('proof')} = 'whole' THEN e.{quote('as_of')} END"
    age = database.dialect.age_seconds(f"e.{quote('as_of')}")
    late = f"{age} > {LATE_AFTER} * e.{quote('cadence')}"
    return {
        "tenant": f"e.{quote('tenant')}",
        "stream": f"e.{quote('stream')}",
        "table_name": f"e.{quote('table_name')}",
        "as_of": as_of,
        "age_seconds": f"CASE WHEN e.{quote('proof')} = 'whole' THEN {age} END",
        "cadence_seconds": f"e.{quote('cadence')}",
        "freshness": (
            f"CASE WHEN e.{quote('proof')} <> 'whole' THEN 'never' WHEN e.{quote('cadence')} IS NULL "
            f"THEN 'unknown' WHEN {late} THEN 'late' ELSE 'fresh' END"
        ),
    }


def _select(database: Database, columns: Mapping[str, str]) -> str:
    quote = database.dialect.quote
    names = ("tenant", "stream", "table_name", "proof", "as_of", "cadence")
    tenant, stream, table, proof, as_of, cadence = map(quote, names)
    # As landing/freshness.py orders the runs of a data set.
    order = (
        f"CASE WHEN {cadence} IS NOT NULL AND {proof} = 'whole' THEN 1 "
        f"WHEN {as_of} IS NULL AND {proof} = 'whole' THEN 2 "
        f"WHEN {cadence} IS NOT NULL THEN 3 WHEN {proof} = 'whole' THEN 4 ELSE 5 END, {as_of} DESC"
    )
    number = f"ROW_NUMBER() OVER (PARTITION BY {table}, {tenant}, {stream} ORDER BY {order})"
    entries = (
        f"SELECT {', '.join(map(quote, names))}, {number} AS {quote('entry')} FROM {database.table(LEDGER)}"
    )
    shown = ", ".join(f"{expression} AS {quote(name)}" for name, expression in columns.items())
    return f"SELECT {shown} FROM ({entries}) AS e WHERE e.{quote('entry')} = 1"
