"""The identities in SQL and in plain Python, on a few records made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import msgspec
import pytest

from airflow_provider_alvys.tables.dialects import DIALECTS
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from tests.breaks import breaking
from tests.identities import STREAMS, Records, Row, broken, decode, key_of, names
from tests.identity_queries import broken_in_tables
from tests.tables.databases import Db
from tests.tables.runs import load, write_run

_encoder = msgspec.json.Encoder(decimal_format="number")
_RECORDS = Path(__file__).with_name("identities.json")


@pytest.fixture
def records() -> dict[str, list[Row]]:
    return dict(decode(_RECORDS.read_bytes()))


def test_each_identity_has_a_sentence_and_is_checked_by_both() -> None:
    assert names() == IDENTITIES.keys()
    assert len({identity.sentence for identity in IDENTITIES.values()}) == len(IDENTITIES)
    assert all(identity.sentence.endswith(".") for identity in IDENTITIES.values())


def test_nothing_is_broken_in_records_that_add_up(db: Db, records: Records, lake: Path) -> None:
    write_records(lake, {"acme": records})
    assert broken(records) == []
    assert broken_in_tables(db) == []


def test_a_broken_record_is_named(sqlite: Db, records: Records, lake: Path) -> None:
    tenants: dict[str, Records] = {}
    expected = set()
    for name in IDENTITIES:
        tenants[name] = deepcopy(records)
        stream, key, columns = breaking(name, records)
        (row,) = [row for row in tenants[name][stream] if key_of(stream, row) == key]
        row |= columns
        found = {(one.identity, one.key) for one in broken(tenants[name])}
        assert (name, key) in found
        expected |= {(name, *one) for one in found}
    write_records(lake, tenants)
    assert {
        (tenant, identity.name, str(key))
        for identity in IDENTITIES.values()
        for tenant, key, *_ in sqlite.query(identity.sql(DIALECTS["sqlite"]))
    } == expected


def write_records(lake: Path, tenants: Mapping[str, Records]) -> None:
    """Load records of tenants."""
    for stream in STREAMS:
        for number, (tenant, records) in enumerate(tenants.items()):
            rows = list(map(_encoder.encode, records[stream]))
            write_run(lake, rows, stream=stream, tenant=tenant, at=number)
        load(lake, stream)
