from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, Caller, rows_of

SECRET = "s3cret"
NO_WAITS = {"webhook_backoff": 0}


class Receiver:
    """A webhook's address: records requests, and responds as configured."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.answers_challenge = True
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                time.sleep(receiver.delay)
                status, answer = (receiver.statuses.pop(0) if receiver.statuses else 200), b"ok"
                if "X-Alvys-Challenge" in self.headers and receiver.answers_challenge:
                    answer = json.dumps({"challenge": self.headers["X-Alvys-Challenge"]}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                # The client may have closed the connection.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alvys"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def types(self) -> list[str]:
        return sorted(event["type"] for event in self.events())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


Start = Callable[..., Caller]


@pytest.fixture
def start(alvys: Simulator) -> Start:
    def start(**options: Any) -> Caller:
        alvys.reset(loads=30, fleet=10, now=NOW, **{**NO_WAITS, **options})
        alvys.set_clock(NOW)
        return Caller(alvys)

    return start


def digest(secret: str, *parts: bytes) -> str:
    return hmac.new(secret.encode(), b".".join(parts), hashlib.sha256).hexdigest()


def signature(headers: dict[str, str]) -> dict[str, str]:
    return dict(part.split("=") for part in headers["X-Alvys-Signature"].split(","))


def test_an_event_of_a_load_contains_its_record_and_the_changes(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    start()
    alvys.subscribe(receiver.url, secret=SECRET)
    key = alvys.change(where={"Status": "Covered"}, rows=1, columns={"Status": "In Transit"})[0]
    assert len(alvys.deliveries()) == 2
    assert receiver.types() == ["load.changed", "load.status.changed"]
    changed, status = sorted(receiver.events(), key=lambda event: str(event["type"]))
    load = next(row for row in rows_of(alvys) if row["Id"] == key)
    assert set(changed) == {"id", "type", "timestamp", "version", "data"}
    assert (changed["version"], changed["timestamp"][:19], len(changed["timestamp"])) == (
        "v1",
        "2026-11-24T00:00:00",
        33,
    )
    assert changed["data"]["load"]["loadNumber"] == load["LoadNumber"]
    assert changed["data"]["load"]["poNumber"] == load["PONumber"]
    assert changed["data"]["load"]["stops"][0]["$type"] == load["Stops"][0]["$type"]
    assert {"kind": "StatusChanged"} in changed["data"]["diff"]["changes"]
    assert "previousAttributes" not in changed["data"]["diff"]
    assert "diff" not in status["data"]
    assert status["data"]["load"]["status"] == "In Transit"
    assert (changed["id"][-2:], status["id"][-2:], changed["id"][:-2] == status["id"][:-2]) == (
        "-0",
        "-1",
        True,
    )
    for headers, body in receiver.got:
        stamp, event = headers["X-Alvys-Timestamp"], json.loads(body)
        assert (headers["X-Alvys-Event"], headers["X-Alvys-Event-Id"]) == (event["type"], event["id"])
        assert (headers["User-Agent"], headers["X-Alvys-Attempt"]) == ("Alvys-Webhook/1.0", "1")
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
        assert abs(int(stamp) - NOW) < 10
        assert signature(headers) == {
            "t": stamp,
            "v1": digest(SECRET, stamp.encode(), event["id"].encode(), body),
        }


def test_previous_values_are_sent_on_request(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    start()
    alvys.subscribe(receiver.url, include_previous_attributes=True, events=["load.changed"])
    (key,) = alvys.change(rows=1)
    before = next(row for row in rows_of(alvys) if row["Id"] == key)
    alvys.change(keys=[key], columns={"OrderNumber": "new", "Fleet": None})
    alvys.deliveries()
    empty, changed = (event["data"]["diff"] for event in receiver.events())
    assert empty == {"changes": [], "previousAttributes": {}}
    assert changed["previousAttributes"]["orderNumber"] == before["OrderNumber"]
    assert changed["previousAttributes"]["fleet"]["id"] == before["Fleet"]["Id"]
    # Alvys has no kind of change for the fleet.
    assert changed["changes"] == [{"kind": "FieldChanged", "target": {"type": "Field", "id": "OrderNumber"}}]


def test_an_event_goes_to_the_subscribers_of_its_type(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    caller = start()
    alvys.subscribe(
        receiver.url, events=["trip.status.changed", "load.document.uploaded", "load.document.deleted"]
    )
    alvys.change(rows=3, columns={"Status": "Delivered"})
    alvys.change(stream="trips", rows=1, columns={"Status": "TONU"})
    number = rows_of(alvys)[2]["LoadNumber"]
    file = ("a.pdf", b"%PDF", "application/pdf")
    data = {"DocumentType": "Proof of Delivery"}
    document = caller.send("POST", f"loads/{number}/document", data=data, files={"File": file}).json()
    alvys.deliveries()
    uploaded = next(event for event in receiver.events() if event["type"] == "load.document.uploaded")
    assert requests.get(uploaded["data"]["document"]["downloadUrl"], timeout=10).content == b"%PDF"
    alvys.remove(stream="load_documents", keys=[document["id"]])
    alvys.deliveries()
    assert receiver.types() == ["load.document.deleted", "load.document.uploaded", "trip.status.changed"]
    deleted = next(event for event in receiver.events() if event["type"] == "load.document.deleted")
    assert uploaded["id"] == f"{document['id']}-{uploaded['etag']}"
    assert uploaded["data"]["loadNumber"] == number
    assert uploaded["data"]["document"]["attachmentType"] == "Proof of Delivery"
    assert "downloadUrl" not in deleted["data"]["document"]


def test_a_write_to_a_stop_emits_events_of_its_trip_and_load(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    caller = start()
    trip = rows_of(alvys, stream="trips")[2]
    alvys.change(stream="trips", keys=[trip["Id"]], columns={"Status": "Covered", "IsDeleted": False})
    alvys.subscribe(receiver.url)
    stop = trip["Stops"][0]["Id"]
    body = {"ArrivedAt": "2026-11-24T08:00:00Z"}
    assert caller.send("PUT", f"trips/{trip['Id']}/stops/{stop}/arrival", body).status_code == 200
    alvys.deliveries()
    changes = {event["type"]: event["data"]["diff"]["changes"] for event in receiver.events()}
    assert changes == {
        "trip.changed": [
            {"kind": kind, "target": {"type": "Stop", "id": stop}}
            for kind in ("ArrivalRecorded", "StopStatusChanged")
        ],
        "load.changed": [],
    }


def test_decisions_on_tenders_emit_events(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    start()
    alvys.subscribe(receiver.url)
    (key,) = alvys.change(stream="tenders", rows=1, columns={"Status": "Awaiting Update Approval"})
    for status in ("Accepted", "Accepted", "Cancelled"):
        alvys.change(stream="tenders", keys=[key], columns={"Status": status})
    alvys.deliveries()
    assert receiver.types() == ["tender.cancelled", "tender.change.accepted"]


@pytest.mark.parametrize(
    ("statuses", "attempts", "last"),
    [
        pytest.param([500, 429, 408, 202], 4, 202, id="retried until accepted"),
        pytest.param([503] * 9, 4, 503, id="four times at most"),
        pytest.param([401, 200], 1, 401, id="not retried"),
    ],
)
def test_a_failed_delivery_is_retried(
    alvys: Simulator, start: Start, receiver: Receiver, statuses: list[int], attempts: int, last: int
) -> None:
    caller = start()
    receiver.statuses = statuses
    webhook = alvys.subscribe(receiver.url, events=["load.changed"])["id"]
    alvys.change(rows=1)
    tried = alvys.deliveries()
    assert [attempt["attempt"] for attempt in tried] == list(range(1, attempts + 1))
    assert tried[-1]["status"] == last
    assert len({attempt["event_id"] for attempt in tried}) == 1
    assert [headers["X-Alvys-Attempt"] for headers, _ in receiver.got] == [
        str(attempt["attempt"]) for attempt in tried
    ]
    logs = caller.get(f"webhooks/{webhook}/delivery-logs", Page=0, PageSize=50).json()["Items"]
    assert [log["HttpStatusCode"] for log in logs] == [attempt["status"] for attempt in tried]
    assert logs[-1]["Status"] == ("Success" if last == 202 else "Failed")
    assert (logs[0]["EventType"], logs[0]["ConsumerUrl"]) == ("load.changed", receiver.url)
    shown = caller.get(f"webhooks/{webhook}").json()
    assert (shown["ConsecutiveFailures"], shown["Status"]) == (0 if last == 202 else 1, "Active")


def test_a_delivery_without_a_response_is_retried(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    caller = start(webhook_timeout=0.2)
    receiver.delay = 0.5
    slow = alvys.subscribe(receiver.url, events=["load.changed"])["id"]
    alvys.subscribe("http://127.0.0.1:1/nobody", events=["load.changed"])
    alvys.change(rows=1)
    # Other requests are served in the meantime.
    assert caller.get("loads", loadNumber=rows_of(alvys)[0]["LoadNumber"]).elapsed.total_seconds() < 0.2
    tried = alvys.deliveries()
    assert [attempt["status"] for attempt in tried] == [None] * 8
    logs = caller.get(f"webhooks/{slow}/delivery-logs", Page=0, PageSize=50).json()["Items"]
    assert {log["Status"] for log in logs} == {"Timeout"}


def test_a_webhook_is_disabled_when_ten_events_fail_in_a_row(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    caller = start()
    webhook = alvys.subscribe(receiver.url, events=["load.changed"])["id"]
    receiver.statuses = [400] * 9
    for _ in range(10):
        alvys.change(rows=1)
        alvys.deliveries()
    assert caller.get(f"webhooks/{webhook}").json()["ConsecutiveFailures"] == 0
    receiver.statuses = [400] * 99
    for _ in range(12):
        alvys.change(rows=1)
        alvys.deliveries()
    shown = caller.get(f"webhooks/{webhook}").json()
    assert (shown["Status"], shown["ConsecutiveFailures"], "DisabledAt" in shown) == ("Disabled", 10, True)
    assert len(receiver.got) == 20
    receiver.statuses = []
    assert caller.send("POST", f"webhooks/{webhook}/enable").json()["Status"] == "Active"
    alvys.change(rows=1)
    assert alvys.deliveries()[-1]["status"] == 200


def test_a_webhook_of_the_api_is_verified_before_it_gets_events(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    caller = start()
    body = {"Name": "w", "SubsidiaryId": "s", "Url": receiver.url, "Events": ["load.changed"]}
    made = caller.send("POST", "webhooks", {**body, "IncludePreviousAttributes": True})
    assert (made.status_code, made.json()["Status"]) == (201, "Pending")
    key, secret = made.json()["Id"], made.json()["Secret"]
    assert "Secret" not in caller.get(f"webhooks/{key}").json()
    alvys.change(rows=1)
    assert alvys.deliveries() == []
    receiver.answers_challenge = False
    assert caller.send("POST", f"webhooks/{key}/enable").json()["Status"] == "Failed to verify"
    receiver.answers_challenge = True
    assert caller.send("POST", f"webhooks/{key}/verify").json()["Status"] == "Active"
    headers, challenge = receiver.got[-1]
    assert json.loads(challenge) == {
        "type": "webhook.verification",
        "challenge": headers["X-Alvys-Challenge"],
    }
    assert (headers["X-Alvys-Event"], headers["User-Agent"]) == ("webhook.verification", "Alvys-Webhook/1.0")
    assert "X-Alvys-Signature" not in headers
    assert headers["traceparent"]
    alvys.change(rows=1)
    alvys.deliveries()
    headers, event = receiver.got[-1]
    assert signature(headers)["v1"] == digest(
        secret, signature(headers)["t"].encode(), json.loads(event)["id"].encode(), event
    )
    assert json.loads(event)["data"]["diff"] == {"changes": [], "previousAttributes": {}}
    # A new address has to be verified, too.
    receiver.answers_challenge = False
    moved = caller.send("PUT", f"webhooks/{key}", {"Url": receiver.url + "/new"})
    assert (moved.json()["Url"], moved.json()["Status"]) == (receiver.url + "/new", "Failed to verify")
    assert (
        caller.send("PUT", f"webhooks/{key}", {"Name": "x"}, headers={"If-Match": '"old"'}).status_code == 412
    )
    assert caller.send("POST", f"webhooks/{key}/disable").json()["Status"] == "Disabled"
    assert caller.send("DELETE", f"webhooks/{key}").status_code == 204
    assert caller.get(f"webhooks/{key}").status_code == 404
    alvys.change(rows=1)
    assert len(alvys.deliveries()) == 1


def test_a_test_event_is_signed_with_both_secrets_during_a_rotation(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    caller = start()
    webhook = alvys.subscribe(receiver.url, secret=SECRET)["id"]
    new = caller.send("POST", f"webhooks/{webhook}/rotate-secret").json()["Secret"]
    assert new != SECRET
    event = caller.send("POST", f"webhooks/{webhook}/test").json()["EventId"]
    alvys.deliveries()
    ((headers, body),) = receiver.got
    assert headers["X-Alvys-Event-Id"] == event
    parts = (headers["X-Alvys-Timestamp"].encode(), event.encode(), body)
    assert signature(headers) == {
        "t": parts[0].decode(),
        "v1": digest(new, *parts),
        "v0": digest(SECRET, *parts),
    }


def test_webhook_copies_sends_duplicates(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    start(webhook_copies=2)
    alvys.subscribe(receiver.url, events=["load.changed"])
    alvys.change(rows=3)
    alvys.deliveries()
    ids = [event["id"] for event in receiver.events()]
    assert (len(ids), len(set(ids))) == (6, 3)


def test_a_signature_can_cover_the_body_without_the_event_id(
    alvys: Simulator, start: Start, receiver: Receiver
) -> None:
    start(webhook_base="t.body")
    alvys.subscribe(receiver.url, secret=SECRET, events=["load.changed"])
    alvys.change(rows=1)
    alvys.deliveries()
    ((headers, body),) = receiver.got
    assert signature(headers)["v1"] == digest(SECRET, headers["X-Alvys-Timestamp"].encode(), body)


def test_a_delivery_can_be_repeated_and_forged(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    start()
    alvys.subscribe(receiver.url, secret=SECRET, events=["load.changed"])
    alvys.change(rows=1)
    alvys.deliveries()
    again = alvys.deliver()
    assert again["status"] == 200
    assert receiver.got[0][1] == receiver.got[1][1]

    def is_right(headers: dict[str, str], body: bytes) -> bool:
        stamp, event = headers["X-Alvys-Timestamp"].encode(), headers["X-Alvys-Event-Id"].encode()
        return signature(headers)["v1"] == digest(SECRET, stamp, event, body)

    assert is_right(*receiver.got[-1])
    alvys.deliver(age=400)
    assert is_right(*receiver.got[-1])
    assert int(receiver.got[-1][0]["X-Alvys-Timestamp"]) <= NOW - 390
    forgeries: list[dict[str, Any]] = [
        {"secret": "other"},
        {"body": "{}"},
        {"headers": {"X-Alvys-Event-Id": "other"}},
        {"base": "t.body"},
    ]
    for forgery in forgeries:
        alvys.deliver(**forgery)
        assert not is_right(*receiver.got[-1]), forgery
    made = alvys.deliver(type="tender.bid.submitted", data={"tender": {"id": "T1"}}, attempt=3)
    assert (receiver.events()[-1]["id"], receiver.got[-1][0]["X-Alvys-Attempt"]) == (made["event_id"], "3")
    receiver.statuses = [401]
    assert alvys.deliver()["status"] == 401
    with pytest.raises(RuntimeError, match="'x'"):
        alvys.deliver(event_id="x")


def test_generated_webhooks_receive_nothing(alvys: Simulator, start: Start, receiver: Receiver) -> None:
    caller = start()
    webhook = alvys.truth_keys(stream="webhooks")[0]
    alvys.change(stream="webhooks", keys=[webhook], columns={"Url": receiver.url})
    assert caller.send("POST", f"webhooks/{webhook}/enable").json()["Status"] == "Failed to verify"
    assert "EventId" in caller.send("POST", f"webhooks/{webhook}/test").json()
    alvys.change(rows=1)
    assert alvys.deliveries() == receiver.got == []
    with pytest.raises(RuntimeError, match="'load.eaten'"):
        alvys.subscribe("http://127.0.0.1:1", events=["load.eaten"])
