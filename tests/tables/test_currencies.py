"""A currency is the same in every format and table, whether Alvys sends its number or its code."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.change_feed import ChangeReader, check_where, matches
from airflow_provider_alvys.api.schema.currencies import CURRENCIES, currency_number
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record
from airflow_provider_alvys.landing.formats.registry import make_encoder, read_rows
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.tables.warehouses.statements import write_sql
from tests.tables.databases import Db
from tests.tables.runs import load, write_run

SPELLINGS: tuple[Any, ...] = (840, "USD", "usd", "840", " Usd ")
VALUES = {
    "string": "x",
    "integer": 1,
    "decimal": 1.5,
    "boolean": True,
    "json": {"a": 1},
    "date": "2026-03-01",
}


def currencies_in(kind: FieldType, path: str = "") -> Iterator[str]:
    if isinstance(kind, Array):
        yield from currencies_in(kind.of, path)
    elif isinstance(kind, Record):
        for name, inner in kind.fields.items():
            below = f"{path}.{name}" if path else name
            if "currency" in kind.flags.get(name, ()):
                yield below
            yield from currencies_in(inner, below)


MONEY = [stream for stream in STREAMS.values() if any(currencies_in(stream.fields))]
each_stream = pytest.mark.parametrize("stream", MONEY, ids=lambda stream: stream.name)


def sample(kind: FieldType, currency: Any) -> Any:
    """Return a value with every field; each currency has this spelling."""
    if isinstance(kind, Array):
        return [sample(kind.of, currency)]
    if isinstance(kind, Record):
        return {
            name: currency if "currency" in kind.flags.get(name, ()) else sample(inner, currency)
            for name, inner in kind.fields.items()
        }
    return VALUES.get(kind, "2026-03-01T08:30:00Z")


def row_of(stream: Stream, currency: Any) -> bytes:
    return json.dumps(sample(stream.fields, currency)).encode()


def parquet(stream: Stream, row: bytes) -> bytes:
    encoder = make_encoder(stream, "parquet", None)
    encoder.add([row])
    return encoder.finish()


def test_the_streams_with_money_are_found() -> None:
    assert {"loads", "trips", "fuel", "tolls", "invoices", "deductions", "maintenance"} < {
        stream.name for stream in MONEY
    }


@each_stream
@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_every_spelling_gives_the_same_cells(stream: Stream, file_format: str) -> None:
    flattener = RowFlattener(build_schema(stream))
    found = []
    for spelling in SPELLINGS:
        row = row_of(stream, spelling)
        if file_format == "parquet":
            (row,) = read_rows(parquet(stream, row), stream, "parquet", None)
        found.append(flattener.flatten(row, "here"))
    assert found == [found[0]] * len(SPELLINGS)
    assert "USD" in str(found[0])
    assert not flattener.unmapped.mismatches


@each_stream
def test_every_spelling_gives_the_same_parquet(stream: Stream) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    found = [
        pq.read_table(io.BytesIO(parquet(stream, row_of(stream, spelling)))).to_pylist()
        for spelling in SPELLINGS
    ]
    assert found == [found[0]] * len(SPELLINGS)
    assert (found[0][0]["_extra"], "USD" in str(found[0])) == (None, True)


@pytest.mark.parametrize("value", ["dollar", "US", "", 12345, 840.5, True, ["USD"], {"Code": "USD"}])
def test_an_unknown_currency_is_kept_in_extra_of_every_format(value: Any) -> None:
    stream = get_stream("loads")
    row = json.dumps({"Id": "1", "Linehaul": {"Amount": 1, "Currency": value}}).encode()
    (rebuilt,) = read_rows(parquet(stream, row), stream, "parquet", None)
    rows = [RowFlattener(build_schema(stream)).flatten(line, "here") for line in (row, rebuilt)]
    assert rows[0] == rows[1]
    columns = [column.name for column in build_schema(stream).main.columns]
    cells = dict(zip(columns, rows[0][0][0], strict=False))
    assert cells["linehaul_currency"] is None
    assert json.loads(cells["_extra"]) == {"Linehaul": {"Currency": value}}


def test_another_spelling_is_no_change_of_a_row(db: Db, lake: Path) -> None:
    money = [
        {"Id": "L1", "LoadNumber": "1", "Linehaul": {"Amount": 1, "Currency": spelling}}
        for spelling in SPELLINGS
    ]
    changed = set()
    for at, row in enumerate(money):
        write_run(lake, [row], at=at)
        load(lake)
        (found,) = db.rows("loads")
        assert (found["linehaul_currency"], found["_extra"]) == ("USD", None)
        changed.add((found["_changed_at"], found["_hash"]))
    assert len(changed) == 1
    write_run(lake, [{**money[0], "Linehaul": {"Amount": 1, "Currency": "CAD"}}], at=9)
    load(lake)
    (found,) = db.rows("loads")
    assert found["linehaul_currency"] == "CAD"
    assert (found["_changed_at"], found["_hash"]) not in changed


def test_every_currency_has_a_number_and_a_code() -> None:
    for number, code in CURRENCIES.items():
        assert {
            currency_number(value) for value in (number, code, code.lower(), str(number), f"{number:03}")
        } == {number}


@pytest.mark.parametrize(
    "stream", [stream for stream in MONEY if not stream.is_child], ids=lambda stream: stream.name
)
def test_sql_server_knows_every_spelling(stream: Stream) -> None:
    text = write_sql("sqlserver", build_schema(stream))
    assert text.count("UPPER(LTRIM(RTRIM(") >= len(set(currencies_in(stream.fields)))
    assert text.count("UPPER(LTRIM(RTRIM(") == text.count(
        "IN (c.[number], RIGHT(N'00' + c.[number], 3), c.[letters])"
    )


WATCHED = [
    (stream, window)
    for stream in MONEY
    for window in stream.windows
    if stream.parent is None and not window.tracks_changes
]


@pytest.mark.parametrize(("stream", "window"), WATCHED, ids=lambda value: value.name)
def test_another_spelling_is_no_change_for_a_watcher(stream: Stream, window: Any) -> None:
    paths = frozenset(currencies_in(stream.fields))
    reader = ChangeReader(stream, window, paths)
    rows = [row_of(stream, spelling) for spelling in SPELLINGS]
    rows += [json.dumps(json.loads(row), separators=(",", ":")).encode() for row in rows[:2]]
    changes = [reader.read(row) for row in rows]
    assert changes[: len(SPELLINGS)] == [changes[0]] * len(SPELLINGS)
    assert changes[-2] == changes[-1]
    # A watcher that earlier versions began reports nothing again.
    assert changes[0].key.partition("@")[2] == blake2b(rows[0], digest_size=8).hexdigest()
    for path in paths:
        for wanted in SPELLINGS:
            where = check_where(stream, {path: wanted})
            assert where == {path: (840,)}
            assert all(matches(change, where) for change in changes)
            assert not matches(reader.read(row_of(stream, "CAD")), where)


def test_a_watcher_refuses_an_unknown_currency() -> None:
    for value in ("dollar", True, 1.5, None):
        with pytest.raises(AlvysValueError, match="Total.Currency"):
            check_where(get_stream("invoices"), {"Total.Currency": value})


def test_the_simulator_sends_numbers_and_codes(alvys: Simulator) -> None:
    for stream, name, found in (("loads", "Linehaul", {840, 124}), ("invoices", "Total", {"USD", "CAD"})):
        assert {json.loads(row)[name]["Currency"] for row in alvys.truth_rows(stream=stream)} == found
