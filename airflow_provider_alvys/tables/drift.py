"""Fields that Alvys used to send, and that none of the rows of a load has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.landing.dataset.manifest import Manifest
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import HASH, TENANT, StreamSchema

log = logging.getLogger(__name__)

# Rows of the table that are looked at: some of them tell what is usual.
_SAMPLE = 1000
# A field that nearly all rows have. Others come and go with what a row is about.
_USUAL = 0.9
# How unlikely it must be that so many rows lack such a field by chance.
_CHANCE = 0.001


class DriftDetector:
    """Looks for the columns that are empty in all rows of a load."""

    def __init__(self, schema: StreamSchema) -> None:
        self._schema = schema
        keys = {*schema.keys, EXTRA, HASH}
        self._empty = {
            at for at, column in enumerate(schema.main.columns) if column.field and column.name not in keys
        }
        self._rows = 0

    def observe(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take rows of the stream's table into account."""
        for row in rows:
            self._rows += 1
            if self._empty:
                self._empty = {at for at in self._empty if row[at] is None}

    def warn(self, database: Database, manifest: Manifest) -> None:
        """Warn of fields that nearly all rows in the table have, and none of these."""
        if not self._rows or not self._empty:
            return
        quote, main = database.dialect.quote, self._schema.main
        columns = [main.columns[at] for at in sorted(self._empty)]
        counts = ", ".join(
            f"COUNT({quote(column.name)}) AS {quote(f'c{at}')}" for at, column in enumerate(columns)
        )
        names = ", ".join(quote(column.name) for column in columns)
        ((known, *filled),) = database.execute(
            f"SELECT COUNT(*) AS known, {counts} FROM (SELECT {names} FROM {database.table(main.name)} "
            f"WHERE {quote(TENANT)} = ? LIMIT {_SAMPLE}) AS sample",
            (manifest.tenant,),
        )
        gone = []
        for column, count in zip(columns, filled, strict=True):
            share = count / known if known else 0.0
            if share >= _USUAL and (1 - share) ** self._rows < _CHANCE:
                gone.append(column.field)
        if gone:
            log.warning(
                "%s: none of the %d rows has %s, which nearly all rows had until now. See whether Alvys has renamed them (then "
                "they are in _extra) or the token may not see them any more",
                self._schema.stream.name,
                self._rows,
                ", ".join(gone),
            )
