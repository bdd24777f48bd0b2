"""Identities: what must hold for each row of the tables, in SQL, without a request."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.checks.alvys_side import Columns
from airflow_provider_alvys.checks.comparison import Comparison
from airflow_provider_alvys.checks.results import Check, Value, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import TableSide
from airflow_provider_alvys.landing.jobs.spec import OVERLAP
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from airflow_provider_alvys.tables.identities.identity import Identity
from airflow_provider_alvys.tables.ledger import format_timestamp
from airflow_provider_alvys.tables.schema import TENANT, build_schema

log = logging.getLogger(__name__)

# Rows that are named in the results of one identity.
_MAX_NAMED = 100


class IdentityCheck:
    """Checks the identities of a stream's rows."""

    def __init__(self, database: Database, tables: TableSide, comparison: Comparison) -> None:
        self._database = database
        self._tables = tables
        self._schema = comparison.schema
        self._changes = comparison.changes

    @cached_property
    def _streams(self) -> dict[str, Stream]:
        """The stream of each table."""
        return {table.name: stream for stream in STREAMS.values() for table in build_schema(stream).tables}

    def run(self) -> Iterator[Check]:
        """Yield a check for each identity, and one for each row that breaks it."""
        for identity in IDENTITIES.values():
            if identity.record.name == self._schema.main.name == self._schema.stream.name:
                yield from self._check(identity)

    def _check(self, identity: Identity) -> Iterator[Check]:
        names = identity.tables
        absent = sorted(name for name in names if not self._database.columns(name))
        if absent:
            log.info("Not checked: %s needs the tables %s", identity.name, ", ".join(absent))
            return
        times = {self._tables.as_of_stream(build_schema(self._streams[name])) for name in names}
        known = {time for time in times if time is not None}
        rows = self._find_broken(identity, known, with_changes=False)
        own = self._tables.as_of
        if rows and not rows[0][4] and own is not None and known and own < max(known):
            # Of a row that changed since, the other tables may have what it changed to.
            rows = self._find_broken(identity, known, with_changes=True)
        verdicts: list[Verdict] = ["moving" if row[4] else "differs" for row in rows]
        count = int(rows[0][5]) if rows else 0
        yield make_check(identity.name, identity.sentence, 0, count, verdicts[0] if rows else "same")
        for (key, unit, expected, actual, *_), verdict in zip(rows, verdicts, strict=True):
            scope = f"row {key}" + (f", {unit}" if unit else "")
            yield make_check(identity.name, scope, _value(expected), _value(actual), verdict)

    def _find_broken(
        self, identity: Identity, known: Collection[datetime], *, with_changes: bool
    ) -> list[tuple[Any, ...]]:
        """
        Return key, unit, both values, whether the row is moving, and the number of all that are broken.

        :param known: the times whose state the tables have.
        :param with_changes: whether rows that Alvys has changed since the last sync are moving, too.
        """
        quote, main = self._database.dialect.quote, self._schema.main
        key = f"r.{quote(main.key[0])}"
        sql = identity.sql(self._database.dialect, self._database.schema)
        is_moving, values = self._is_moving(known)
        if with_changes and not self._changes.are_listed:
            is_moving, values = "1", []
        elif with_changes and self._changes.rows:
            keys = [*self._changes.rows]
            marks = ", ".join("?" * len(keys))
            is_moving = f"CASE WHEN {key} IN ({marks}) THEN 1 ELSE {is_moving} END"
            values = [*keys, *values]
        # Rows that did not change come first, so that the limit hides none of them behind others.
        return self._database.execute(
            f"SELECT broken.row_key, broken.unit, broken.expected, broken.actual, {is_moving} AS is_moving, "
            f"COUNT(*) OVER () AS n FROM (\n{sql}\n) AS broken JOIN {self._tables.main} AS r "
            f"ON r.{quote(TENANT)} = broken.tenant AND {key} = broken.row_key "
            f"WHERE broken.tenant = ? ORDER BY is_moving, row_key LIMIT {_MAX_NAMED}",
            (*values, self._tables.tenant),
        )

    def _is_moving(self, known: Collection[datetime]) -> tuple[str, list[str]]:
        """
        Return an expression for a row that changed after one of the tables was complete, and its values.

        The other tables may lack what it changed to.
        """
        if len(known) < 2:
            return "0", []
        at = Columns.of(self._schema).version
        if at is None:
            return "1", []
        version = self._database.dialect.quote(self._schema.main.columns[at].name)
        begin = self._database.render("timestamp", format_timestamp(min(known) - OVERLAP))
        return f"CASE WHEN r.{version} >= ? THEN 1 ELSE 0 END", [begin]


def _value(value: Any) -> Value:
    if isinstance(value, float):
        # SQLite adds texts of decimals as floats.
        value = Decimal(f"{value:.6f}").normalize()
    return value if value is None or isinstance(value, (str, int, Decimal)) else str(value)
