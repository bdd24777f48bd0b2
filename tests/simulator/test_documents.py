from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, Caller, rows_of

WITH_FILES = [stream for stream in STREAMS.values() if "DownloadUrl" in stream.fields.fields]


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=120, fleet=30, now=NOW)
    alvys.set_clock(NOW)
    return Caller(alvys)


def add(alvys: Simulator, caller: Caller, **columns: Any) -> str:
    """Add a document, and return the path of the list that ends with it."""
    number = rows_of(alvys)[3]["LoadNumber"]
    alvys.add(stream="load_documents", parent=number, columns=columns)
    return f"loads/{number}/documents"


def fetch(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=10)


@pytest.mark.parametrize("stream", WITH_FILES, ids=lambda stream: stream.name)
def test_every_document_can_be_downloaded_without_a_token(
    alvys: Simulator, caller: Caller, stream: Any
) -> None:
    parents = [row[stream.parent.column] for row in rows_of(alvys, stream=stream.parent.stream)][:8]
    kinds = set()
    for parent in parents:
        for row in caller.rows(stream, {}, [parent]):
            assert row["DownloadUrl"].startswith(f"{alvys.url}/storage/")
            answer = fetch(row["DownloadUrl"])
            assert (answer.status_code, len(answer.content)) == (200, row["AttachmentSize"])
            kind = row["AttachmentPath"].rpartition(".")[2]
            assert answer.content.startswith(
                {"pdf": b"%PDF-", "jpg": b"\xff\xd8\xff", "png": b"\x89PNG"}[kind]
            )
            assert (
                answer.headers["content-type"]
                == {"pdf": "application/pdf", "jpg": "image/jpeg", "png": "image/png"}[kind]
            )
            kinds.add(kind)
    assert len(kinds) > 1
    assert alvys.stats()["requests"]["GET storage"] > 3


def test_each_request_returns_a_new_url_of_the_same_file(alvys: Simulator, caller: Caller) -> None:
    path = add(alvys, caller, AttachmentSize=100_000)
    first, second = caller.get(path).json()[-1], caller.get(path).json()[-1]
    assert first["DownloadUrl"] != second["DownloadUrl"]
    assert first["ExpiresAt"][:16] == "2026-11-24T00:10"
    assert fetch(first["DownloadUrl"]).content == fetch(second["DownloadUrl"]).content
    volatile = ("DownloadUrl", "ExpiresAt")
    assert {**first, **{name: second[name] for name in volatile}} == second


def test_the_truth_contains_the_latest_url_or_the_next_one(alvys: Simulator, caller: Caller) -> None:
    path = add(alvys, caller)
    number = path.split("/")[1]
    expected = json.loads(alvys.truth_rows(stream="load_documents", parents=[number])[-1])
    shown = caller.get(path).json()[-1]
    assert expected == shown
    assert caller.get(path).json()[-1] != shown
    last = json.loads(alvys.truth_rows(stream="load_documents", parents=[number])[-1])
    alvys.set_clock(NOW + 700)
    fresh = json.loads(alvys.truth_rows(stream="load_documents", parents=[number])[-1])
    assert fresh["DownloadUrl"] != last["DownloadUrl"]
    assert fetch(fresh["DownloadUrl"]).status_code == 200


def test_a_url_expires(alvys: Simulator, caller: Caller) -> None:
    path = add(alvys, caller)
    url = caller.get(path).json()[-1]["DownloadUrl"]
    alvys.set_clock(NOW + 590)
    assert fetch(url).status_code == 200
    alvys.set_clock(NOW + 601)
    refused = fetch(url)
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/xml")
    assert "<Code>AccessDenied</Code>" in refused.text
    assert fetch(caller.get(path).json()[-1]["DownloadUrl"]).status_code == 200
    alvys.reset(loads=5, now=NOW, clock_offset=0, url_lifetime=0)
    caller = Caller(alvys)
    assert fetch(caller.get(add(alvys, caller)).json()[-1]["DownloadUrl"]).status_code == 403


def test_the_storage_refuses_and_counts_bearer_tokens(alvys: Simulator, caller: Caller) -> None:
    url = caller.get(add(alvys, caller)).json()[-1]["DownloadUrl"]
    assert alvys.stats()["bearer_at_storage"] == 0
    assert fetch(url, Authorization="Bearer x").status_code == 400
    assert alvys.stats()["bearer_at_storage"] == 1


def test_a_forged_url_and_one_of_a_removed_file_are_refused(alvys: Simulator, caller: Caller) -> None:
    path = add(alvys, caller, id="D1")
    url = caller.get(path).json()[-1]["DownloadUrl"]
    for forged in (
        url[:-1] + "é",
        url.replace("X-Expires=1", "X-Expires=2"),
        url.partition("?")[0],
        url.replace("load_", "trip_"),
    ):
        assert fetch(forged).status_code == 403
    assert requests.put(url, data=b"x", timeout=10).status_code == 405
    alvys.remove(stream="load_documents", keys=["D1"])
    removed = fetch(url)
    assert (removed.status_code, "NoSuchKey" in removed.text) == (404, True)


def test_a_range_of_a_file_can_be_downloaded(alvys: Simulator, caller: Caller) -> None:
    url = caller.get(add(alvys, caller, AttachmentSize=1000)).json()[-1]["DownloadUrl"]
    whole = fetch(url).content
    part = fetch(url, Range="bytes=900-")
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        whole[900:],
        "bytes 900-999/1000",
    )
    assert fetch(url, Range="bytes=10-19").content == whole[10:20]


@pytest.mark.parametrize("name", ["a\nb.pdf", "a\n", "a\r\nb.pdf", "a\x00b.pdf", "a/b?c#d.pdf", "100%.pdf"])
def test_a_file_of_any_name_is_served(alvys: Simulator, caller: Caller, name: str) -> None:
    row = caller.get(add(alvys, caller, AttachmentPath=f"x/{name}", AttachmentSize=1000)).json()[-1]
    answer = fetch(row["DownloadUrl"])
    assert (answer.status_code, len(answer.content)) == (200, 1000)


def test_a_fault_truncates_a_file(alvys: Simulator, caller: Caller) -> None:
    url = caller.get(add(alvys, caller, AttachmentSize=1000)).json()[-1]["DownloadUrl"]
    alvys.order_faults(
        {"kind": "status", "status": 503, "endpoint": "GET storage"},
        {"kind": "truncate", "endpoint": "GET storage"},
    )
    assert fetch(url).status_code == 503
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch(url)
    assert len(fetch(url).content) == 1000


def test_only_delivered_loads_have_a_proof_of_delivery(alvys: Simulator, caller: Caller) -> None:
    loads = rows_of(alvys)
    proven = {
        document["ParentId"]
        for document in rows_of(alvys, stream="load_documents")
        if document["AttachmentType"] == "Proof of Delivery"
    }
    delivered = {load["LoadNumber"] for load in loads if "DeliveredAt" in load}
    assert proven <= delivered
    assert len(proven) > len(delivered) / 2
