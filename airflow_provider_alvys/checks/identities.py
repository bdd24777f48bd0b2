"""Identities: what must hold for each row of the tables, in SQL, without a request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.checks.alvys_side import Columns
from airflow_provider_alvys.checks.results import Check, Value, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import TableSide, as_datetime
from airflow_provider_alvys.landing.jobs.spec import OVERLAP
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from airflow_provider_alvys.tables.identities.identity import Identity
from airflow_provider_alvys.tables.schema import StreamSchema, build_schema

log = logging.getLogger(__name__)

# Rows that are named in the results of one identity.
_MAX_NAMED = 100


class IdentityCheck:
    """Checks the identities of a stream's rows."""

    def __init__(self, database: Database, tables: TableSide, schema: StreamSchema) -> None:
        self._database = database
        self._tables = tables
        self._schema = schema

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
        sql = identity.sql(self._database.dialect, self._database.schema)
        rows = self._database.execute(
            "SELECT row_key, unit, expected, actual, COUNT(*) OVER () AS n "
            f"FROM (\n{sql}\n) AS broken WHERE tenant = ? ORDER BY row_key LIMIT {_MAX_NAMED}",
            (self._tables.tenant,),
        )
        changed = self._changed(names, [str(row[0]) for row in rows]) if rows else set()
        verdicts: list[Verdict] = ["moving" if str(row[0]) in changed else "differs" for row in rows]
        count = int(rows[0][4]) if rows else 0
        verdict: Verdict = "differs" if "differs" in verdicts else "moving" if rows else "same"
        yield make_check(identity.name, identity.sentence, 0, count, verdict)
        for (key, unit, expected, actual, _), verdict in zip(rows, verdicts, strict=True):
            scope = f"row {key}" + (f", {unit}" if unit else "")
            yield make_check(identity.name, scope, _value(expected), _value(actual), verdict)

    def _changed(self, tables: Iterable[str], keys: Sequence[str]) -> set[str]:
        """Return the rows that changed after one of the tables was complete, which the others may have."""
        streams = {self._streams[name] for name in tables}
        times = [self._tables.as_of_stream(build_schema(stream)) for stream in streams]
        known = [time for time in times if time is not None]
        if len(set(known)) < 2:
            return set()
        at = Columns.of(self._schema).version
        if at is None:
            return set(keys)
        quote = self._database.dialect.quote
        version, key = quote(self._schema.main.columns[at].name), quote(self._schema.keys[0])
        rows = self._database.execute(
            f"SELECT r.{key}, r.{version} FROM {self._tables.main} AS r WHERE {self._tables.where} "
            f"AND r.{key} IN ({', '.join('?' * len(keys))})",
            (self._tables.tenant, *keys),
        )
        begin = min(known) - OVERLAP
        times_of = {str(name): as_datetime(time) for name, time in rows}
        return {name for name, time in times_of.items() if time is not None and time >= begin}


def _value(value: Any) -> Value:
    if isinstance(value, float):
        # SQLite adds texts of decimals as floats.
        value = Decimal(f"{value:.6f}").normalize()
    return value if value is None or isinstance(value, (str, int, Decimal)) else str(value)
