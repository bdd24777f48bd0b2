"""Runs the queries of all identities on a test's database."""

from __future__ import annotations

from airflow_provider_alvys.tables.dialects import DIALECTS
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from tests.identities import Break
from tests.tables.databases import Db


def broken_in_tables(db: Db) -> list[Break]:
    """Return what does not add up in the tables."""
    return [
        Break(identity.name, identity.record.name, str(key), expected, actual)
        for identity in IDENTITIES.values()
        for _, key, _, expected, actual in db.query(identity.sql(DIALECTS[db.kind]))
    ]
