"""The control table: totals that the user took from Alvys's own pages or the general ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.checks.money import amounts_of
from airflow_provider_alvys.checks.results import Check, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import TableSide, as_datetime, plain
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import StreamSchema

CONTROL = "_alvys_control"
# The columns that the user's table needs; an empty status, currency or month means all.
CONTROL_COLUMNS = ("tenant", "stream", "measure", "month", "status", "currency", "amount", "source", "as_of")
_ROWS = "rows"
_DELETED = "is_deleted"


def check_control(database: Database, tables: TableSide, schema: StreamSchema) -> Iterator[Check]:
    """Yield a check for each row of the control table, if there is one."""
    existing = database.columns(CONTROL)
    if not existing:
        return
    lacking = [name for name in CONTROL_COLUMNS if name not in existing]
    if lacking:
        scope = f"{CONTROL} has no column {', '.join(lacking)}"
        yield make_check("control", scope, None, None, "unknown")
        return
    quote = database.dialect.quote
    names = ", ".join(map(quote, CONTROL_COLUMNS[2:]))
    rows = database.execute(
        f"SELECT {names} FROM {database.table(CONTROL)} "
        f"WHERE {quote('tenant')} = ? AND {quote('stream')} = ? ORDER BY {names}",
        (tables.tenant, schema.stream.name),
    )
    for measure, month, status, currency, amount, source, as_of in rows:
        parts = [str(part) for part in (measure, month, status, currency) if part]
        scope = f"{', '.join(parts)} ({source})" if source else ", ".join(parts)
        expected = None if amount is None else plain("decimal", amount)
        actual = _measure(database, tables, schema, str(measure), month, status, currency)
        verdict: Verdict = "unknown"
        if expected is not None and actual is not None:
            taken_at = as_datetime(as_of)
            is_later = taken_at is not None and tables.as_of is not None and taken_at > tables.as_of
            verdict = "same" if expected == actual else "moving" if is_later else "differs"
        yield make_check("control", scope, expected, actual, verdict)


def _measure(
    database: Database, tables: TableSide, schema: StreamSchema, measure: str, *scope: Any
) -> Decimal | None:
    """Return the number of rows, or the sum of an amount, in a scope; None for an unknown one."""
    month, status, currency = scope
    quote, columns = database.dialect.quote, schema.main.columns
    amount = next((one for one in amounts_of(schema) if one.name == measure), None)
    if amount is None and measure != _ROWS:
        return None
    where, values = tables.where, [tables.tenant]
    if any(column.name == _DELETED for column in columns):
        where += f" AND r.{quote(_DELETED)} IS NOT TRUE"
    if month:
        first = _first_day(str(month))
        if first is None or tables.time is None:
            return None
        time = f"r.{quote(tables.time.name)}"
        where += f" AND {time} >= ? AND {time} < ?"
        values += [tables.bound(first), tables.bound((first + timedelta(days=32)).replace(day=1))]
    if status:
        if tables.status is None:
            return None
        where += f" AND r.{quote(tables.status.name)} = ?"
        values.append(str(status))
    if amount is None:
        ((count,),) = database.execute(f"SELECT COUNT(*) AS n FROM {tables.main} AS r WHERE {where}", values)
        return Decimal(int(count))
    if currency:
        where += f" AND r.{quote(columns[amount.currency].name)} = ?"
        values.append(str(currency))
    name = f"r.{quote(amount.name)}"
    found = database.execute(
        # Not summed by the database: SQLite would add floats.
        f"SELECT {name} AS amount, COUNT(*) AS n FROM {tables.main} AS r "
        f"WHERE {where} AND {name} IS NOT NULL GROUP BY 1",
        values,
    )
    return sum((plain("decimal", value) * int(count) for value, count in found), Decimal(0))


def _first_day(month: str) -> datetime | None:
    try:
        return datetime.strptime(month[:7], "%Y-%m").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
