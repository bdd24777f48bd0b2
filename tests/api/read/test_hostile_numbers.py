"""Rows with numbers that no type holds: every way to read them ends in an error that names the row."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.documents.listing import list_documents
from airflow_provider_alvys.api.errors import AlvysError
from airflow_provider_alvys.api.poll.change_feed import ChangeReader
from airflow_provider_alvys.api.poll.conditions import DocumentExists, StatusReached, poll_once
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.alvys import AlvysSearchOperator
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator
from tests.conftest import CONNECTION, SkippingClock
from tests.lake import read_lines
from tests.recorder import CannedResponse, Recorder

NUMBERS = {
    "an exponent beyond all": b"1e99999999999999999999",
    "a small exponent beyond all": b"-1e-99999999999999999999",
    "an exponent that fills the memory": b"1e999999999",
    "5,001 digits": b"0." + b"1" * 5001,
    "an integer of 6,000 digits": b"9" * 6000,
    "deep": b"[" * 200_000 + b"]" * 200_000,
}
LOADS = STREAMS["loads"]


def row_of(key: str, number: bytes) -> bytes:
    return b'{"%b":"ROW-77","LoadNumber":"77","Status":"Open","Weight":{"Value":%b}}' % (key.encode(), number)


class Source:
    """Responds to every request with one row."""

    def __init__(self, recorder: Recorder, number: bytes) -> None:
        self.recorder = recorder
        self.row = row_of("Id", number)
        self.document = row_of("id", number)
        self.client = recorder.client(SkippingClock())

    def respond(self, body: bytes) -> None:
        self.recorder.default = CannedResponse(200, body)

    def respond_with_page(self) -> None:
        self.respond(b'{"Page":0,"PageSize":200,"Total":1,"Items":[%b]}' % self.row)


def search(source: Source) -> Any:
    source.respond_with_page()
    return list(AlvysHook().search("loads", {"LoadNumbers": ["77"]}))


def search_operator(source: Source) -> Any:
    source.respond_with_page()
    filters = {"LoadNumbers": ["77"]}
    return AlvysSearchOperator(task_id="x", stream="loads", filters=filters).execute({})


def lookup(source: Source) -> Any:
    source.respond(source.row)
    return AlvysHook().get("loads", loadNumber="77")


def sensor_of_a_status(source: Source) -> Any:
    source.respond_with_page()
    return poll_once(source.client, StatusReached(stream="loads", number="77", statuses=["Delivered"]))


def sensor_of_a_document(source: Source) -> Any:
    source.respond(b"[%b]" % source.document)
    return poll_once(source.client, DocumentExists(parent="load", id="77", types=["Invoice"]))


def listing_of_documents(source: Source) -> Any:
    source.respond(b"[%b]" % source.document)
    return list_documents(source.client, STREAMS["load_documents"], "77")


def watcher(source: Source) -> Any:
    window = LOADS.window("updated")
    assert window is not None
    return ChangeReader(LOADS, window, frozenset()).read(source.row)


def load_into_a_table(source: Source) -> Any:
    return RowFlattener(build_schema(LOADS)).flatten(source.row, "row 77 of part-0")


def connect(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"auth_url": f"{recorder.url}/oauth/token", "requests_per_minute": 0}
    connection = {"conn_type": "alvys", "host": recorder.url, "login": "id", "password": "s", "extra": extra}
    monkeypatch.setenv(CONNECTION, json.dumps(connection))
    monkeypatch.setattr("time.sleep", lambda seconds: None)


READERS = (
    search,
    search_operator,
    lookup,
    sensor_of_a_status,
    sensor_of_a_document,
    listing_of_documents,
    watcher,
    load_into_a_table,
)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_hostile_number_is_an_error_that_names_its_row(
    read: Callable[[Source], Any], number: bytes, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if read is search_operator and number in (
        NUMBERS["a small exponent beyond all"],
        NUMBERS["5,001 digits"],
    ):
        pytest.skip("XCom holds floats, which round it")
    connect(recorder, monkeypatch)
    with pytest.raises(AlvysError) as caught:
        read(Source(recorder, number))
    assert "77" in str(caught.value) or number == NUMBERS["deep"]


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "deep"])
def test_json_lines_land_a_hostile_number_as_it_is(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connect(recorder, monkeypatch)
    source = Source(recorder, NUMBERS[name])
    source.respond_with_page()
    times = {"since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    task = AlvysToObjectStorageOperator(task_id="x", stream="loads", path=str(tmp_path), **times)
    assert read_lines(task.execute({})["manifest"]) == [source.row]


def test_a_number_within_the_bounds_keeps_its_digits() -> None:
    text = "1." + "0" * 3000 + "E+400"
    assert decode_row(row_of("Id", text.encode()))["Weight"]["Value"] == Decimal(text)
