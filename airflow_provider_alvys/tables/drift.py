"""Schema drift: fields that most rows of a table have, and no row of the current load has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import HASH, TENANT, StreamSchema

log = logging.getLogger(__name__)

_SAMPLE_ROWS = 1000
# The share of rows that must have a field before its absence counts: many fields are often empty.
_MIN_SHARE = 0.9
# Warn when the probability that all rows lack the field by chance is below this.
_MAX_PROBABILITY = 0.001


class DriftDetector:
    """Find the columns that are empty in all rows of a load."""

    def __init__(self, schema: StreamSchema) -> None:
        self._schema = schema
        keys = {*schema.keys, EXTRA, HASH}
        columns = enumerate(schema.main.columns)
        self._empty = {at for at, column in columns if column.field and column.name not in keys}
        self._rows = 0

    def observe(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take rows of the main table into account."""
        for row in rows:
            self._rows += 1
            if self._empty:
                self._empty = {at for at in self._empty if row[at] is None}

    def warn(self, database: Database, manifest: Manifest) -> None:
        """Log a warning if the load lacks fields that most rows of the table have."""
        if not self._rows or not self._empty:
            return
        quote, main = database.dialect.quote, self._schema.main
        columns = [main.columns[at] for at in sorted(self._empty)]
        names = [quote(column.name) for column in columns]
        counts = ", ".join(f"COUNT({name}) AS {quote(f'c{at}')}" for at, name in enumerate(names))
        ((known, *filled),) = database.execute(
            f"SELECT COUNT(*) AS known, {counts} FROM "
            f"(SELECT {', '.join(names)} FROM {database.table(main.name)} "
            f"WHERE {quote(TENANT)} = ? LIMIT {_SAMPLE_ROWS}) AS sample",
            (manifest.tenant,),
        )
        missing = []
        for column, count in zip(columns, filled, strict=True):
            share = count / max(known, 1)
            if share >= _MIN_SHARE and (1 - share) ** self._rows < _MAX_PROBABILITY:
                missing.append(column.field)
        if missing:
            rows, stream = f"{self._rows:,} rows", self._schema.stream.name
            log.warning("Fields missing from all %s of %s: %s", rows, stream, ", ".join(missing))
            log.warning("Most earlier rows have them. Check whether Alvys renamed them (see _extra)")
            log.warning("Or check whether the token lost a permission")
