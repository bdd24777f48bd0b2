"""The table and the file of results."""

from __future__ import annotations

from airflow_provider_alvys.checks.results import Report
from airflow_provider_alvys.landing.dataset.layout import checks_file
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.ledger import format_timestamp
from airflow_provider_alvys.tables.schema import Column

CHECKS = "_alvys_checks"
# A run is named by its hash, because the ids together may be too long for a key.
_COLUMNS = (
    Column("run", "key"),
    Column("number", "integer"),
    Column("tenant", "text"),
    Column("stream", "text"),
    Column("check_name", "text"),
    Column("scope", "text"),
    Column("expected", "text"),
    Column("actual", "text"),
    Column("difference", "decimal"),
    Column("verdict", "text"),
    Column("as_of", "timestamp"),
    Column("checked_at", "timestamp"),
    Column("dag_id", "text"),
    Column("task_id", "text"),
    Column("run_id", "text"),
)


def create_checks(database: Database) -> None:
    """Create the table if it does not exist."""
    if not database.columns(CHECKS):
        types = [(column.name, database.dialect.types[column.kind]) for column in _COLUMNS]
        sql = database.dialect.create_table(database.table(CHECKS), types, ("run", "number"))
        database.execute(sql)


def write_checks(database: Database, report: Report) -> None:
    """Write the results into the table, in place of those of an earlier attempt."""
    dialect, name = database.dialect, database.table(CHECKS)
    with database.transaction(CHECKS):
        create_checks(database)
        database.execute(f"DELETE FROM {name} WHERE {dialect.quote('run')} = ?", (report.run,))
        names = ", ".join(dialect.quote(column.name) for column in _COLUMNS)
        sql = f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(_COLUMNS))})"
        for number, check in enumerate(report.checks):
            values = {
                "run": report.run,
                "number": number,
                "tenant": report.tenant,
                "stream": report.stream,
                "check_name": check.check,
                "scope": check.scope,
                "expected": check.expected,
                "actual": check.actual,
                "difference": check.difference,
                "verdict": check.verdict,
                "as_of": None if report.as_of is None else format_timestamp(report.as_of),
                "checked_at": format_timestamp(report.checked_at),
                "dag_id": report.dag_id,
                "task_id": report.task_id,
                "run_id": report.run_id,
            }
            database.execute(sql, [database.render(c.kind, values[c.name]) for c in _COLUMNS])


def write_file(store: Store, report: Report) -> str:
    """Write the results into a file of the data set, and return its path."""
    name = checks_file(report.stream, report.run)
    store.put_json(name, report)
    return store.url(name)
