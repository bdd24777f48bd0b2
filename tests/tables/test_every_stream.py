"""Lands and loads every stream, rebuilds its records from the tables, and compares them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.schema import build_schema
from tests.conftest import Land
from tests.lake import read_lines, read_manifest
from tests.tables.databases import Db
from tests.tables.rebuild import normalized, rebuild
from tests.tables.runs import load
from tests.test_every_stream import EVERY, default_window, parents_of

ROWS = 60


@pytest.fixture
def alvys(alvys: Simulator) -> Simulator:
    alvys.reset(loads=ROWS, fleet=40)
    return alvys


@EVERY
def test_the_tables_of_a_landed_stream_equal_the_simulators_data(
    alvys: Simulator, land: Land, lake: Path, db: Db, stream: Stream
) -> None:
    parents = parents_of(alvys, stream)
    result = land(stream=stream.name, parents=parents, **default_window(stream))
    assert load(lake, stream.name)["merged"] == result["rows"]
    assert load(lake, stream.name)["manifests"] == 0
    lines = read_lines(result["manifest"])
    owners = [
        id
        for entry in read_manifest(result["manifest"])["parents"]
        for id in entry["ids"]
        for _ in range(entry["rows"])
    ]
    found = rebuild(db, stream)
    assert len(found) == len(lines) > 0
    for number, line in enumerate(lines):
        record = decode_row(line)
        key = _key(stream, record, owners[number] if stream.is_child else None, line, found)
        wanted = normalized(
            stream.fields, {name: item for name, item in record.items() if name != "Secret"}, db.second_digits
        )
        assert found[key] == wanted
    (line,) = db.rows("_alvys_loads")
    assert (line["manifest"], line["rows"], line["proof"]) == (result["manifest"], len(lines), "whole")


def _key(stream: Stream, record: dict, parent: str | None, line: bytes, found: dict) -> tuple:
    if not stream.key:
        return next(key for key, value in found.items() if value == json.loads(line))
    if len(stream.key) == 1:
        own = record[stream.key[0]]
    else:
        own = json.dumps([record.get(name) for name in stream.key], separators=(",", ":"))
    return (own,) if parent is None else (parent, own)


def test_names_of_tables_and_of_the_columns_of_a_table_are_unique() -> None:
    tables = [table for stream in STREAMS.values() for table in build_schema(stream).tables]
    names = [table.name for table in tables]
    assert len(set(names)) == len(names)
    for table in tables:
        columns = [column.name for column in table.all_columns]
        assert len(set(columns)) == len(columns), table.name
        assert {"_tenant", *table.key} <= set(columns)
    assert "load_stops" in names
    assert "load_stops_references" in names
    assert "trip_stops" in names
    assert "invoice_line_items" in names
