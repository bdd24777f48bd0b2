"""Parquet parts: typed columns, and rows rebuilt from them."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record, record, without_fields
from airflow_provider_alvys.api.schema.values import dump_json, snake_case
from airflow_provider_alvys.landing.formats.registry import make_encoder, read_rows
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from airflow_provider_alvys.transfers.first_load import AlvysHandOverOperator
from tests.conftest import Land, QuickHook
from tests.lake import read_lines, read_manifest

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")

LOADS = STREAMS["loads"]


def write(
    rows: Sequence[bytes], stream: Stream = LOADS, *, page: int = 1000, compression: str | None = None
) -> bytes:
    """Return a file of rows that were added in pages."""
    encoder = make_encoder(stream, "parquet", compression)
    for at in range(0, len(rows), page):
        encoder.add(rows[at : at + page])
    return encoder.finish()


def open_file(content: bytes) -> Any:
    return pq.ParquetFile(io.BytesIO(content))


def cells(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a file as pyarrow reads them."""
    return open_file(content).read().to_pylist()


def rebuilt(content: bytes, stream: str = "loads") -> list[Any]:
    return list(map(decode_row, read_rows(content, STREAMS[stream], "parquet", None)))


def back(*rows: Any) -> list[Any]:
    """Return loads after writing and reading them."""
    return rebuilt(write([row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]))


def moment(text: str) -> datetime:
    """Return a time to the microsecond, without rounding."""
    found = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", text)
    assert found
    zone = "+00:00" if found[3] == "Z" else found[3] or ""
    return datetime.fromisoformat(f"{found[1]}.{(found[2] or '')[:6]:0<6}{zone}")


def plain(kind: FieldType, value: Any, flags: frozenset[str] = frozenset()) -> Any:
    """Return the JSON value that Parquet keeps: no nulls, times to the microsecond, days without time."""
    if value is None:
        return None
    if isinstance(kind, Record):
        inner = {n: plain(kind.fields[n], v, kind.flags.get(n, frozenset())) for n, v in value.items()}
        return {name: item for name, item in inner.items() if item is not None}
    if isinstance(kind, Array):
        return [plain(kind.of, item) for item in value]
    if "currency" in flags:
        return CURRENCIES.get(value, value)
    if kind == "time":
        time = moment(value)
        return time if "local" in flags else time.astimezone(timezone.utc)
    return value[:10] if kind == "date" else value


def columns(kind: FieldType, name: str, value: Any, flags: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the columns of a field as pyarrow returns them."""
    stem = snake_case(name)
    if isinstance(kind, Record):
        return {stem: None if value is None else struct(kind, value)}
    if isinstance(kind, Array):
        items = value and [
            {**struct(kind.of, item), "_extra": None} if isinstance(kind.of, Record) else item
            for item in value
        ]
        return {stem: items}
    if kind == "json":
        return {stem: None if value is None else dump_json(value)}
    if kind == "date":
        return {stem: value and date.fromisoformat(value[:10])}
    if "currency" in flags:
        return {stem: CURRENCIES.get(value, value)}
    if kind != "time":
        return {stem: value}
    time = value and moment(value)
    found = {stem: time}
    if "local" in flags:
        found |= {f"{stem}_local": time and time.replace(tzinfo=None)}
        found |= {f"{stem}_offset": value and ("+00:00" if value.endswith("Z") else value[-6:])}
    for mark, year in (("open", 9999), ("unknown", 1970)):
        if mark in flags:
            found |= {f"{stem}_is_{mark}": value and time.year == year}
    return found


def struct(kind: Record, value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in kind.fields.items():
        found |= columns(inner, name, value.get(name), kind.flags.get(name, frozenset()))
    return found


def in_order(rows: Sequence[Any]) -> list[Any]:
    """Return rows in an order that does not depend on how their numbers are written."""
    return sorted(rows, key=_text)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(sorted((str(name), _text(inner)) for name, inner in value.items()))
    if isinstance(value, list):
        return str(list(map(_text, value)))
    return str(Decimal(value).normalize()) if isinstance(value, (int, Decimal)) else str(value)


def window_of(stream: Stream) -> dict[str, str]:
    """Return a window for streams that cannot be read in full."""
    return (
        {}
        if stream.default_window is None
        else {"since": "2026-08-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    )


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda stream: stream.name)
def test_every_stream_lands_the_true_rows_in_one_schema(alvys: Simulator, land: Land, stream: Stream) -> None:
    alvys.reset(loads=60, fleet=60)
    parents, query = None, {"stream": stream.name, **window_of(stream)}
    if stream.parent:
        rows = [json.loads(row) for row in alvys.truth_rows(stream=stream.parent.stream)[:8]]
        parents = [row[stream.parent.column] for row in rows if stream.parent.column in row]
        query["parents"] = json.dumps(parents)
    result = land(stream=stream.name, parents=parents, file_format="parquet", **window_of(stream))
    truth = [without_fields(decode_row(row), stream.secret_fields) for row in alvys.truth_rows(**query)]
    assert truth, "nothing was tried"
    # With our own reader.
    found = list(map(decode_row, read_lines(result["manifest"])))
    known = stream.fields.fields
    if known:
        assert in_order([plain(stream.fields, row) for row in found]) == in_order(
            [plain(stream.fields, row) for row in truth]
        )
    else:
        assert in_order(found) == in_order(truth)
    # With pyarrow.
    (part,) = read_manifest(result["manifest"])["parts"]
    assert part["name"] == "part-00000.parquet"
    file = pq.ParquetFile(Path(result["manifest"]).parent / part["name"])
    seen = file.read().to_pylist()
    assert [row.pop("_extra") for row in seen if known] == [None] * len(truth if known else ())
    if known:
        assert in_order(seen) == in_order([struct(stream.fields, row) for row in truth])
    # Whatever the rows contain.
    assert file.schema_arrow.equals(open_file(write([b"{}"], stream)).schema_arrow)
    names = file.schema_arrow.names
    assert len(set(names)) == len(names)
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"


def test_rows_are_in_the_order_of_json_lines(alvys: Simulator, land: Land) -> None:
    numbers = [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()][:40]
    lines, rows = (
        read_lines(
            land(stream="load_documents", parents=numbers, file_format=file_format, part_rows=7)["manifest"]
        )
        for file_format in ("jsonl", "parquet")
    )
    assert [json.loads(row)["id"] for row in rows] == [json.loads(line)["id"] for line in lines]


def test_the_types_are_those_of_the_tables() -> None:
    schema = open_file(write([b"{}"])).schema_arrow
    assert schema.field("id").type == pa.string()
    assert schema.field("linehaul").type == pa.struct(
        {"amount": pa.decimal128(38, 10), "currency": pa.string()}
    )
    assert schema.field("scheduled_pickup_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("scheduled_pickup_at_local").type == pa.timestamp("us")
    assert schema.field("scheduled_pickup_at_offset").type == pa.string()
    assert schema.field("is_deleted").type == pa.bool_()
    assert schema.field("customer_type").type == pa.list_(pa.field("element", pa.string()))
    assert schema.field("_extra").type == pa.string()
    stop = schema.field("stops").type.value_type
    assert stop.field("stop_window").type.field("end_is_open").type == pa.bool_()
    assert "_extra" in {field.name for field in stop}
    truck = open_file(write([b"{}"], STREAMS["trucks"])).schema_arrow
    assert truck.field("year").type == pa.int64()
    assert truck.field("plate_expiration_date").type == pa.date32()
    trip = open_file(write([b"{}"], STREAMS["trips"])).schema_arrow
    assert trip.field("driver1").type.field("rates").type == pa.string()


@pytest.mark.parametrize("name", STREAMS)
def test_no_two_columns_of_an_object_have_one_name(name: str) -> None:
    def check(type_: Any) -> None:
        if pa.types.is_list(type_):
            check(type_.value_type)
        elif pa.types.is_struct(type_):
            names = [type_.field(number).name for number in range(type_.num_fields)]
            assert len(set(names)) == len(names) > 0
            for number in range(type_.num_fields):
                check(type_.field(number).type)

    schema = open_file(write([b"{}"], STREAMS[name])).schema_arrow
    check(pa.struct(list(schema)))


def test_two_thousand_amounts_keep_their_exact_value() -> None:
    chance = random.Random(7)
    texts = [
        "0.1",
        "-0.01",
        "1e2",
        "1E-10",
        "9999999999999999999999999999.9999999999",
        "100",
        "-0.0",
        "0.30000000000000004"[:12],
    ]
    while len(texts) < 2000:
        digits = chance.randrange(10 ** chance.randint(1, 18))
        texts.append(f"{chance.choice(['', '-'])}{digits}.{chance.randrange(10**6):0{chance.randint(1, 6)}d}")
    rows = [
        b'{"Id":"%d","Linehaul":{"Amount":%b,"Currency":840}}' % (n, text.encode())
        for n, text in enumerate(texts)
    ]
    content = write(rows, page=200)
    amounts = list(map(Decimal, texts))
    assert [row["linehaul"]["amount"] for row in cells(content)] == amounts
    assert [row["Linehaul"]["Amount"] for row in rebuilt(content)] == amounts
    assert {row["_extra"] for row in cells(content)} == {None}
    # Also next to a value that does not fit.
    beside = cells(write([*rows, b'{"Linehaul":{"Amount":"x"}}'], page=3000))
    assert [row["linehaul"]["amount"] for row in beside] == [*amounts, None]
    assert {row["linehaul"]["currency"] for row in cells(content)} == {"USD"}


HOSTILE: dict[str, Any] = {
    "unknown": {"Id": "1", "Brand": {"New": [1, {"x": None}]}, "Nothing": None},
    "unknown in an object": {"Id": "1", "Fleet": {"Id": "F", "Color": "red", "Deep": {"er": [1.50]}}},
    "only unknown in an object": {"Id": "1", "Fleet": {"Color": "red"}},
    "unknown in an item": {
        "Id": "1",
        "Stops": [{"Id": "S", "Dock": 7, "Address": {"City": "X", "Planet": "Earth"}}, {"Id": "T"}],
    },
    "a text for a number": {"Id": "1", "Linehaul": {"Amount": "12.50", "Currency": 840}},
    "a number for a text": {"Id": 17, "LoadNumber": 1.5},
    "a truth for a number": {"Id": "1", "Linehaul": {"Amount": True}},
    "a number for a truth": {"Id": "1", "IsDeleted": 1},
    "a text for an object": {"Id": "1", "Fleet": "West"},
    "a list for an object": {"Id": "1", "Fleet": [{"Id": "F"}], "CustomerMileage": {"Distance": []}},
    "an object for a list": {"Id": "1", "Stops": {"Id": "S"}, "Notes": "none"},
    "items that are no objects": {"Id": "1", "Stops": [None, 7, "x", ["y"], {"Id": "S"}, {}]},
    "items that are no texts": {
        "Id": "1",
        "CustomerType": ["a", 7, {"b": 1}],
        "RequiredEquipment": [None, "Van", None],
    },
    "an object for a scalar": {"Id": "1", "Status": {"Id": "S"}},
    "an unknown currency": {
        "Id": "1",
        "Linehaul": {"Amount": 1, "Currency": 7},
        "TotalPaid": {"Currency": "dollar"},
    },
    "no time": {
        "Id": "1",
        "CreatedAt": "yesterday",
        "PickedUpAt": "2026-02-30T00:00:00Z",
        "PaidAt": "2026-01-01T00:00:00",
    },
    "no such offset": {
        "Id": "1",
        "CreatedAt": "9999-12-31T23:59:59-06:00",
        "PaidAt": "0001-01-01T00:00:00+06:00",
    },
    "NUL": {"Id": "1\0", "Status": "a\0b", "Brand\0": "\0", "CustomerType": ["\0"]},
    "half an emoji": {
        "Id": "1",
        "Status": "\ud83d",
        "Fleet": {"Name": "\ude9a"},
        "Brand\ud83d": "x",
        "Notes": [{"id": "\ud83d"}],
    },
    "huge numbers": {
        "Id": "1",
        "Linehaul": {"Amount": 10**40},
        "Brand": 10**300,
        "TotalPaid": {"Amount": 10**28},
    },
    "empty": {},
    "empty objects and lists": {
        "Id": "1",
        "Fleet": {},
        "Stops": [],
        "Notes": [{}],
        "CustomerMileage": {"Distance": {}},
    },
}


@pytest.mark.parametrize("row", HOSTILE.values(), ids=HOSTILE)
def test_values_that_do_not_fit_are_kept(row: dict[str, Any]) -> None:
    good = {
        "Id": "good",
        "Status": "Open",
        "Linehaul": {"Amount": 3},
        "Fleet": {"Id": "F"},
        "CustomerType": ["Customer"],
    }
    # Next to rows that fit, and alone.
    assert back(good, row, good) == [good, row, good]
    assert back(row) == [row]
    for found in cells(write([json.dumps(good).encode(), json.dumps(row).encode()]))[:1]:
        assert (found["status"], found["linehaul"]["amount"], found["_extra"]) == ("Open", 3, None)


def test_unmapped_fields_keep_their_place() -> None:
    row = {
        "Id": "1",
        "Brand": "new",
        "Status": 5,
        "Fleet": {"Id": "F", "Color": "red"},
        "Stops": [{"Id": "S", "Dock": 7, "Address": {"City": "X", "Planet": "Earth"}}, {"Id": "T"}],
    }
    (found,) = cells(write([json.dumps(row).encode()]))
    assert json.loads(found["_extra"]) == {"Brand": "new", "Status": 5, "Fleet": {"Color": "red"}}
    assert (found["status"], found["fleet"]["id"], found["fleet"]["name"]) == (None, "F", None)
    first, second = found["stops"]
    assert json.loads(first["_extra"]) == {"Dock": 7, "Address": {"Planet": "Earth"}}
    assert (first["id"], first["address"]["city"], second["id"], second["_extra"]) == ("S", "X", "T", None)


def test_half_an_emoji_is_kept_in_its_escaped_form() -> None:
    (found,) = cells(write([rb'{"Id":"1","Status":"\ud83d"}']))
    assert (found["status"], found["_extra"]) == (None, r'{"Status":"\ud83d"}')


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(b'"load.created"', id="a text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[1,2]", id="a list"),
        pytest.param(b'{"Id":"1","Brand":' + b"9" * 5000 + b"}", id="a number of 5,000 digits"),
        pytest.param(b'{"Id":"1","Linehaul":{"Amount":1e99999999999999999999}}', id="an exponent beyond all"),
        pytest.param(b'{"Id":"1","Brand":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="100,000 deep"),
    ],
)
def test_a_row_that_cannot_be_decoded_is_kept_as_json(row: bytes) -> None:
    good = b'{"Id":"good","Status":"Open"}'
    content = write([good, row, good])
    assert list(read_rows(content, LOADS, "parquet", None)) == [good, row, good]
    assert [found["_extra"] for found in cells(content)] == [None, row.decode(), None]
    assert [found["id"] for found in cells(content)] == ["good", None, "good"]


@pytest.mark.parametrize("depth", [10, 190, 250, 900, 990])
@pytest.mark.parametrize(
    "end", [b"1", rb'"\ud83d"', rb'"[\"[[{"'], ids=["a number", "half an emoji", "brackets"]
)
def test_deep_json_is_kept_however_deep_it_is(depth: int, end: bytes) -> None:
    deep = b'{"Id":"1","Brand":' + b'{"a":' * depth + end + b"}" * depth + b"}"
    in_item = b'{"Id":"2","Stops":[{"Id":"S","Brand":' + b"[" * depth + end + b"]" * depth + b"}]}"
    content = write([deep, in_item, b'{"Id":"3"}'])
    assert list(read_rows(content, LOADS, "parquet", None)) == [deep, in_item, b'{"Id":"3"}']
    # The bound does not depend on the caller.
    assert [found["id"] for found in cells(content)] == (
        ["1", "2", "3"] if depth < 200 else [None, None, "3"]
    )


def test_a_row_with_many_objects_is_not_deep() -> None:
    row = {"Id": "1", "Stops": [{"Id": str(number), "Status": "[" * 300} for number in range(300)]}
    (found,) = cells(write([json.dumps(row).encode()]))
    assert (len(found["stops"]), found["_extra"]) == (300, None)


TIMES = {
    # as sent: (in UTC, at the place, offset, as rebuilt)
    "2026-03-01T08:30:00Z": (
        "2026-03-01 08:30:00",
        "2026-03-01 08:30:00",
        "+00:00",
        "2026-03-01T08:30:00+00:00",
    ),
    "2026-03-01T08:30:00.1234567-06:00": (
        "2026-03-01 14:30:00.123456",
        "2026-03-01 08:30:00.123456",
        "-06:00",
        "2026-03-01T08:30:00.123456-06:00",
    ),
    "2026-03-01T08:30:00": (None, "2026-03-01 08:30:00", None, "2026-03-01T08:30:00"),
    "9999-12-31T23:59:59.9999999+00:00": (
        "9999-12-31 23:59:59.999999",
        "9999-12-31 23:59:59.999999",
        "+00:00",
        "9999-12-31T23:59:59.999999+00:00",
    ),
    "9999-12-31T23:59:59.9999999-06:00": (
        "9999-12-31 23:59:59.999999",
        "9999-12-31 23:59:59.999999",
        "-06:00",
        "9999-12-31T23:59:59.999999-06:00",
    ),
    "9999-12-31T00:00:00+05:30": (
        "9999-12-30 18:30:00",
        "9999-12-31 00:00:00",
        "+05:30",
        "9999-12-31T00:00:00+05:30",
    ),
    "0001-01-01T00:00:00Z": (
        "0001-01-01 00:00:00",
        "0001-01-01 00:00:00",
        "+00:00",
        "0001-01-01T00:00:00+00:00",
    ),
    "1969-12-31T23:59:59.9999999Z": (
        "1969-12-31 23:59:59.999999",
        "1969-12-31 23:59:59.999999",
        "+00:00",
        "1969-12-31T23:59:59.999999+00:00",
    ),
    "2026-03-01 08:30:00.5z": (
        "2026-03-01 08:30:00.500000",
        "2026-03-01 08:30:00.500000",
        "+00:00",
        "2026-03-01T08:30:00.500000+00:00",
    ),
}


@pytest.mark.parametrize("sent", TIMES)
def test_a_time_at_a_place_is_three_columns_and_one_text_again(sent: str) -> None:
    utc, local, offset, again = TIMES[sent]
    (stop,) = cells(write([json.dumps({"Id": "1", "Stops": [{"StopWindow": {"End": sent}}]}).encode()]))[0][
        "stops"
    ]
    end = stop["stop_window"]
    assert str(end["end_local"]) == local
    assert (end["end"] and str(end["end"].replace(tzinfo=None))) == utc
    assert (end["end_offset"], end["end_is_open"]) == (offset, sent.startswith("9999-12-31"))
    assert back({"Id": "1", "Stops": [{"StopWindow": {"End": sent}}]}) == [
        {"Id": "1", "Stops": [{"StopWindow": {"End": again}}]}
    ]


CURRENCY_SPELLINGS = (840, "USD", "usd", "840", " usd ", "dollar", 8, 0, True, 840.5, None)
SPELLINGS: dict[str, list[Any]] = {
    "PickedUpAt": [
        *TIMES,
        *(
            "2026-03-01T08:30Z",
            "2026-03-01",
            "2026-03-01T24:00:00Z",
            "2026-03-01T08:30:60Z",
            "2026-03-01T08:30:00+0600",
            "",
            " ",
        ),
        *(
            "2026-03-01T08:30:00+06",
            "0000-01-01T00:00:00Z",
            "2026-03-01T08:30:00+24:00",
            "2026-03-01T08:30:00+05:75",
        ),
        *(
            "2026-03-01T08:30:00.123456789Z",
            "2026-03-01T08:30:00.1234567890Z",
            "2026-03-01t08:30:00Z",
            "2026-03-01T08:30:00-00:00",
        ),
    ],
    "ScheduledPickupAt": [
        *TIMES,
        "2026-03-01T08:30:00-00:00",
        "2026-03-01T08:30:00+99:99",
        "٢026-03-01T08:30:00Z",
    ],
    "Status": ["", "a", "\0", "\ud83d", "🚚", 1, 1.5, True, [], {}],
    "IsDeleted": [True, False, 0, 1, "true", []],
    "CustomerType": [[], ["a"], ["a", None], [1], "a", {}, [["a"]], ["\0"]],
    "Weight": [{"Value": value} for value in (0, -1, 2**63, 10**27, 10**28, True, "1", None)],
    "Linehaul": [{"Currency": value} for value in CURRENCY_SPELLINGS],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_row_is_written_the_same_whatever_the_other_rows_are(name: str) -> None:
    rows = [json.dumps({"Id": "1", name: value}).encode() for value in SPELLINGS[name]]
    together = write(rows)
    alone = [write([row]) for row in rows]
    assert cells(together) == [found for content in alone for found in cells(content)]
    assert rebuilt(together) == [found for content in alone for found in rebuilt(content)]
    beside_good = [cells(write([rows[0], row]))[1] for row in rows]
    assert beside_good == cells(together)


@pytest.mark.parametrize(
    "text", ["0e400", "0E+28", "0.000000000000000", "1.50000000000000000000", "1E+27", "1." + "0" * 60]
)
def test_trailing_zeros_are_not_kept(text: str) -> None:
    row = b'{"Id":"1","Linehaul":{"Amount":%b}}' % text.encode()
    for rows in ([row], [row, b'{"Linehaul":{"Amount":"x"}}']):
        found = cells(write(rows))[0]
        assert (found["linehaul"]["amount"], found["_extra"]) == (Decimal(text), None)


@pytest.mark.parametrize("text", ["0.00000000001", "1e28", "12345678901234567890123456789.5", "1e400"])
def test_a_number_with_more_digits_than_a_column_is_kept_with_all_of_them(text: str) -> None:
    row = b'{"Id":"1","Linehaul":{"Amount":%b}}' % text.encode()
    content = write([row, b'{"Linehaul":{"Amount":1.5}}'])
    assert cells(content)[0]["linehaul"] == {"amount": None, "currency": None}
    assert decode_row(next(read_rows(content, LOADS, "parquet", None))) == decode_row(row)
    assert decode_row(cells(content)[0]["_extra"].encode())["Linehaul"]["Amount"] == Decimal(text)


def test_new_fields_of_alvys_land_as_json(alvys: Simulator, land: Land) -> None:
    (key,) = alvys.truth_keys()[:1]
    alvys.change(
        keys=[key],
        columns={"Brand": {"New": [1.10, None]}, "PONumber": 7, "Fleet": {"Id": "F", "Color": "red"}},
    )
    result = land(file_format="parquet", window_by="whole")
    (row,) = [row for row in map(decode_row, read_lines(result["manifest"])) if row["Id"] == key]
    truth = next(row for row in map(decode_row, alvys.truth_rows()) if row["Id"] == key)
    for name in ("Brand", "PONumber", "Fleet"):
        assert row[name] == truth[name]


@pytest.mark.slow
def test_the_same_rows_make_the_same_bytes_whatever_the_page_sizes(alvys: Simulator) -> None:
    rows = alvys.truth_rows()
    for compression in (None, "gzip", "zstd"):
        content = write(rows, compression=compression)
        assert write(rows, page=17, compression=compression) == content
        encoder = make_encoder(LOADS, "parquet", compression)
        encoder.add(rows[:100])
        second = make_encoder(LOADS, "parquet", compression)
        second.reopen(encoder.finish())
        second.add(rows[100:])
        assert second.finish() == content
        expected = {None: "SNAPPY", "gzip": "GZIP", "zstd": "ZSTD"}[compression]
        assert open_file(content).metadata.row_group(0).column(0).compression == expected


def test_a_sweep_lands_parquet(alvys: Simulator, hook: QuickHook, lake: Path) -> None:
    operator = AlvysSweepToObjectStorageOperator(
        task_id="sweep",
        streams=["drivers", "users"],
        path=str(lake),
        file_format="parquet",
        compression="zstd",
    )
    operator.hook = hook
    for result in operator.execute({}):
        manifest = read_manifest(result["manifest"])
        assert (manifest["file_format"], manifest["compression"]) == ("parquet", "zstd")
        assert {json.loads(row)["Id"] for row in read_lines(result["manifest"])} == set(
            alvys.truth_keys(stream=result["stream"])
        )


def stream_of(fields: Record) -> Stream:
    return Stream(name="loads", description="", path="x", scope=None, key=("Id",), fields=fields)


def test_a_file_older_than_a_field_of_the_catalogue_is_read() -> None:
    before = stream_of(record("Id Fleet:fleet Stops:[stop]", fleet=record("Id"), stop=record("Id")))
    row = {
        "Id": "1",
        "Status": "Open",
        "Fleet": {"Id": "F", "Name": "West"},
        "Stops": [{"Id": "S", "Status": "x"}],
    }
    assert rebuilt(write([json.dumps(row).encode()], before)) == [row]


def test_a_file_with_an_older_type_of_a_field_is_read_as_written() -> None:
    fields = record("Id Status:integer OrderNumber:decimal ContractId:boolean")
    row = {"Id": "1", "Status": 5, "OrderNumber": 1.25, "ContractId": True}
    (found,) = rebuilt(write([json.dumps(row).encode()], stream_of(fields)))
    assert found == row


@pytest.mark.parametrize(
    ("fields", "row", "says"),
    [
        pytest.param(record("Id Gone"), {"Gone": "x"}, "does not know: gone", id="a column"),
        pytest.param(
            record("Id Fleet:f", f=record("Id Gone")),
            {"Fleet": {"Gone": "x"}},
            "know: gone",
            id="in an object",
        ),
        pytest.param(
            record("Id Status:date"),
            {"Status": "2026-03-01"},
            "status is date32.*, where string",
            id="another type",
        ),
        pytest.param(record("Id Fleet"), {"Fleet": "x"}, "fleet is string, where an object", id="no object"),
        pytest.param(record("Id Stops"), {"Stops": "x"}, "stops is string, where a list", id="no list"),
    ],
)
def test_a_file_with_an_unknown_column_is_refused(fields: Record, row: Any, says: str) -> None:
    content = write([json.dumps(row).encode()], stream_of(fields))
    with pytest.raises(AlvysStorageError, match=rf"part of loads cannot be read.*{says}"):
        rebuilt(content)


def test_objects_without_known_fields_are_kept_as_json() -> None:
    fields = record(
        "Id Empty:empty Inner:inner List:[empty]",
        empty=Record({}),
        inner=record("Empty:empty", empty=Record({})),
    )
    row = {"Id": "1", "Empty": {"a": 1}, "Inner": {"Empty": {"b": 2}}, "List": [{"c": 3}, None, {}]}
    content = write([json.dumps(row).encode(), b"{}"], stream_of(fields))
    first, second = cells(content)
    assert json.loads(first["_extra"]) == {"Empty": {"a": 1}, "Inner": {"Empty": {"b": 2}}}
    assert [item and item["_extra"] for item in first["list"]] == ['{"c":3}', None, None]
    assert second == {"id": None, "list": None, "_extra": None}


def test_lists_in_lists_are_lists_in_lists() -> None:
    fields = Record({"Id": "string", "Grid": Array(Array("integer"))})
    rows = [{"Id": "1", "Grid": [[1, 2], [], None]}, {"Id": "2", "Grid": [[1], ["x"]]}, {"Id": "3"}]
    content = write([json.dumps(row).encode() for row in rows], stream_of(fields))
    assert [row["grid"] for row in cells(content)] == [[[1, 2], [], None], None, None]
    assert json.loads(cells(content)[1]["_extra"]) == {"Grid": [[1], ["x"]]}


def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)


def test_without_pyarrow_the_dag_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pyarrow(monkeypatch)
    given = {"path": "/lake", "file_format": "parquet"}
    says = r"pip install 'airflow-provider-alvys\[parquet\]'"
    with pytest.raises(AlvysValueError, match=says):
        AlvysToObjectStorageOperator(task_id="t", stream="loads", **given)
    with pytest.raises(AlvysValueError, match=says):
        AlvysSweepToObjectStorageOperator(task_id="t", streams=["drivers"], **given)
    with pytest.raises(AlvysValueError, match=says):
        AlvysHandOverOperator(task_id="t", stream="loads", begun="x", total=1, landed=[], **given)
    AlvysToObjectStorageOperator(task_id="t", stream="loads", path="/lake")


def test_without_pyarrow_a_reader_says_what_to_install(
    alvys: Simulator, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = land(file_format="parquet")
    without_pyarrow(monkeypatch)
    with pytest.raises(AlvysValueError, match=r"\[parquet\]"):
        land(stream="load_documents", parents=loads)


def test_pyarrow_is_imported_only_when_it_is_used() -> None:
    code = (
        "import sys\n"
        "import airflow_provider_alvys.landing.jobs.sync, airflow_provider_alvys.landing.jobs.initial_load\n"
        "from airflow_provider_alvys.landing.formats.registry import check_format\n"
        "check_format('parquet', 'zstd')\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'pyarrow'])\n"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize(
    ("file_format", "compression"),
    [("parquet", "none"), ("parquet", "snappy"), ("parquet", "zip"), ("jsonl", "zstd"), ("Parquet", None)],
)
def test_an_unknown_compression_is_refused_with_the_known_ones(
    file_format: str, compression: str | None
) -> None:
    with pytest.raises(AlvysValueError, match=r"(?i)Did you mean (none|gzip|parquet)|None, gzip"):
        AlvysToObjectStorageOperator(
            task_id="t", stream="loads", path="/x", file_format=file_format, compression=compression
        )
