"""Nothing of the simulated company fails to add up: in its answers, and in the tables loaded from them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS as CATALOGUE
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.identities.catalogue import IDENTITIES
from airflow_provider_alvys.tables.schema import build_schema
from tests.breaks import breaking
from tests.conftest import Land
from tests.identities import STREAMS, Break, Records, broken, decode, decode_known
from tests.identity_queries import broken_in_tables
from tests.random_writes import write_at_random
from tests.simulator.calls import Caller, searches
from tests.tables.databases import Db, MakeDb
from tests.tables.runs import load

pytestmark = pytest.mark.slow

SMALL, LARGE = 400, 10_000
DAYS, WRITES, MUTATIONS = 90, 500, 500


class Reader:
    """Reads the company through the API into files and tables."""

    def __init__(self, land: Land, folder: Path, make_db: MakeDb) -> None:
        self._land, self._folder, self._make_db = land, folder, make_db
        self._numbers = itertools.count()

    def read(self, kind: str = "sqlite") -> tuple[Records, Db]:
        """Return all records of the company, and a database with their tables."""
        folder, db, records = self._folder / str(next(self._numbers)), self._make_db(kind), {}
        for stream in STREAMS:
            window = {"window_by": "whole"} if get_stream(stream).full_read else {}
            self._land(stream=stream, path=str(folder), **window)
            load(folder, stream)
            parts = sorted((folder / stream).rglob("part-*.jsonl"))
            records[stream] = [
                decode_known(line) for part in parts for line in part.read_bytes().splitlines()
            ]
        return records, db

    def broken(self, kind: str = "sqlite") -> tuple[list[Break], list[Break]]:
        """Return what does not add up in the records, and in the tables."""
        records, db = self.read(kind)
        assert all(records[stream] for stream in STREAMS)
        return broken(records), broken_in_tables(db)


@pytest.fixture
def reader(land: Land, tmp_path: Path, make_db: MakeDb) -> Reader:
    return Reader(land, tmp_path / "company", make_db)


def live_on(alvys: Simulator) -> None:
    """Let three months pass, in steps that each answer within the time of a call."""
    for _ in range(DAYS // 6):
        alvys.advance(days=6)


def mutate(alvys: Simulator, count: int) -> None:
    """Let rows leave and join all searches until there were so many changes."""
    alvys.order_mutations(
        *({"kind": kind, "rows": 2, "stream": stream} for stream in STREAMS for kind in ("leave", "join"))
    )
    caller = Caller(alvys)
    while sum(alvys.stats()["mutations"].values()) < count:
        for stream in map(get_stream, STREAMS):
            for fields in searches(stream):
                caller.search(
                    stream, {**fields, **({"PageSize": 5} if stream.response_type == "page" else {})}
                )
    alvys.order_mutations()


def turn_the_controls(alvys: Simulator) -> None:
    """Change, add and remove rows of all streams."""
    for status in ("Delivered", "Invoiced", "Cancelled", "Open", "TONU", "Completed"):
        for stream in ("loads", "trips"):
            alvys.change(stream=stream, rows=5, columns={"Status": status})
    for status in ("Draft", "AwaitingPayment", "Paid"):
        alvys.change(stream="invoices", rows=5, columns={"Status": status})
    alvys.change(stream="deductions", rows=5, columns={"IsPaid": True})
    alvys.change(stream="loads", rows=5, columns={"IsDeleted": True})
    for stream in STREAMS:
        alvys.add(stream=stream, rows=5)
        alvys.remove(stream=stream, rows=5)


def test_everything_adds_up_after_each_step(alvys: Simulator, client: AlvysClient, reader: Reader) -> None:
    alvys.reset(loads=SMALL)
    assert reader.broken() == ([], [])
    live_on(alvys)
    assert reader.broken() == ([], [])
    assert len(write_at_random(alvys, client, WRITES)) > 25
    assert reader.broken() == ([], [])
    mutate(alvys, MUTATIONS)
    assert reader.broken() == ([], [])
    turn_the_controls(alvys)
    assert reader.broken() == ([], [])


@pytest.mark.large
def test_ten_thousand_loads_add_up(alvys: Simulator, client: AlvysClient, reader: Reader) -> None:
    """Read at the start and at the end only: each time takes half a minute."""
    alvys.reset(loads=LARGE)
    assert reader.broken() == ([], [])
    live_on(alvys)
    write_at_random(alvys, client, WRITES)
    mutate(alvys, MUTATIONS)
    turn_the_controls(alvys)
    assert reader.broken() == ([], [])


def test_the_parts_of_a_deduction_sum_to_the_whole(alvys: Simulator) -> None:
    alvys.reset(loads=3000)
    groups, split = _deductions_by_group(alvys), 0
    for _ in range(15):
        alvys.advance(days=2)
        later = _deductions_by_group(alvys)
        assert all(sum(later[group]) == sum(amounts) for group, amounts in groups.items())
        split += sum(len(later[group]) > len(amounts) for group, amounts in groups.items())
        groups = later
    assert split > 3


def _deductions_by_group(alvys: Simulator) -> dict[str, list[Decimal]]:
    """Return the amounts of deductions by what they are parts of."""
    groups: defaultdict[str, list[Decimal]] = defaultdict(list)
    for deduction in map(decode, alvys.truth_rows(stream="deductions")):
        groups[deduction["GroupId"]].append(Decimal(deduction["Amount"]["Amount"]))
    return groups


def test_everything_adds_up_in_postgresql(alvys: Simulator, reader: Reader) -> None:
    alvys.reset(loads=SMALL)
    assert reader.broken("postgres") == ([], [])


def test_a_record_that_is_broken_on_purpose_is_named(alvys: Simulator, reader: Reader) -> None:
    alvys.reset(loads=SMALL)
    records, _ = reader.read()
    expected: set[tuple[str, str]] = set()
    used: set[tuple[str, str]] = set()
    for name in IDENTITIES:
        stream, key, columns = breaking(name, records, used)
        used.add((stream, key))
        alvys.change(stream=stream, keys=[key], columns=_plain(columns))
        expected.add((name, key))
    in_records, in_tables = ({(one.identity, one.key) for one in found} for found in reader.broken())
    assert expected <= in_records
    assert in_tables == in_records


def test_amounts_sum_to_the_same_totals_in_files_tables_and_answers(alvys: Simulator, reader: Reader) -> None:
    alvys.reset(loads=SMALL)
    records, db = reader.read()
    answers = {
        (row["stream"], row["field"], row["currency"]): Decimal(row["total"])
        for row in alvys.answers()["totals"]
        if row["stream"] in STREAMS
    }
    assert _sums_of_files(records) == answers
    assert _sums_of_tables(db) == answers


def _sums_of_files(records: Records) -> dict[tuple[str, str, str], Decimal]:
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)

    def add(stream: str, path: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                add(stream, path, item)
        elif isinstance(value, dict) and value.keys() <= {"Amount", "Currency"}:
            sums[stream, path, _code(value.get("Currency"))] += Decimal(value["Amount"])
        elif isinstance(value, dict):
            for name, inner in value.items():
                add(stream, f"{path}.{name}" if path else name, inner)

    for stream, rows in records.items():
        add(stream, "", rows)
    return dict(sums)


def _sums_of_tables(db: Db) -> dict[tuple[str, str, str], Decimal]:
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for stream in STREAMS:
        for table in build_schema(CATALOGUE[stream]).tables:
            columns = {column.field: column.name for column in table.columns}
            for field, currency in columns.items():
                path, _, last = field.rpartition(".")
                if last == "Currency":
                    amount = columns[f"{path}.Amount"]
                    for code, value in db.query(f"SELECT {currency}, {amount} FROM {table.name}"):
                        if value is not None:
                            sums[stream, path, code] += Decimal(value)
    return dict(sums)


def _code(currency: Any) -> str:
    return {840: "USD", 124: "CAD"}.get(currency, currency)


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    """Return columns with their decimals as JSON numbers."""
    encode = msgspec.json.Encoder(decimal_format="number").encode
    return dict(msgspec.json.decode(encode(columns)))
