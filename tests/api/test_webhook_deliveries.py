"""The webhook functions in a receiver that the simulator delivers to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_alvys.api.errors import AlvysWebhookError
from airflow_provider_alvys.api.replays import ReplayGuard
from airflow_provider_alvys.api.webhooks import AlvysEvent, Base, Challenge, Change, receive
from airflow_provider_alvys.simulator.process import Simulator

pytestmark = pytest.mark.skipif(not hasattr(Simulator, "deliver"), reason="this simulator sends nothing")

SECRET = "whsec-of-the-test"


class Receiver:
    """A receiver as in docs/webhooks.md, on loopback."""

    def __init__(self) -> None:
        self.secrets = [SECRET]
        self.base: Base = "t.id.body"
        self.guard = ReplayGuard()
        self.events: list[AlvysEvent] = []
        self.refused: list[str] = []
        self.failures = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    status, answer = receiver.answer(dict(self.headers), body)
                except OSError:
                    status, answer = 500, {}
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alvys"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        try:
            got = receive(headers, body, self.secrets, base=self.base)
        except AlvysWebhookError as error:
            self.refused.append(getattr(error, "reason", "unreadable"))
            return error.status_code or 400, {}
        if isinstance(got, Challenge):
            return 200, got.answer
        with self.guard.once(got.key) as state:
            if state == "new":
                if self.failures:
                    self.failures -= 1
                    raise OSError
                self.events.append(got)
        return 503 if state == "later" else 200, {}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def start(alvys: Simulator, receiver: Receiver, *types: str, **options: Any) -> None:
    alvys.reset(loads=60, fleet=10, webhook_backoff=0, **options)
    alvys.subscribe(receiver.url, secret=SECRET, events=list(types) or ["load.status.changed"])


def test_a_delivery_matches_the_change(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver, "load.changed", "load.status.changed")
    (key,) = alvys.change(where={"Status": "Covered"}, rows=1, columns={"Status": "In Transit"})
    assert {attempt["status"] for attempt in alvys.deliveries()} == {200}
    changed, status = sorted(receiver.events, key=lambda event: event.type)
    (load,) = [row for row in map(json.loads, alvys.truth_rows()) if row["Id"] == key]
    for event in (changed, status):
        assert (event.entity_type, event.entity_id, event.entity_number) == ("load", key, load["LoadNumber"])
        assert event.record is not None
        assert event.record["status"] == "In Transit"
        assert event.moment is not None
        assert event.key == event.id
    assert Change("StatusChanged") in changed.changes
    assert status.changes == ()


def test_a_repeated_delivery_is_acknowledged_and_not_processed(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver, webhook_copies=3)
    alvys.change(where={"Status": "Open"}, rows=2, columns={"Status": "Covered"})
    assert [attempt["status"] for attempt in alvys.deliveries()] == [200] * 6
    assert alvys.deliver(attempt=2)["status"] == 200
    assert len(receiver.events) == len({event.key for event in receiver.events}) == 2


def test_a_failed_event_is_delivered_again_and_processed(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver)
    receiver.failures = 2
    alvys.change(where={"Status": "Covered"}, rows=1, columns={"Status": "In Transit"})
    assert [attempt["status"] for attempt in alvys.deliveries()] == [500, 500, 200]
    (event,) = receiver.events
    assert event.attempt == 3


def test_forged_altered_and_stale_deliveries_are_refused(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver)
    new = {"type": "load.status.changed", "data": {"load": {"id": "L1", "status": "Delivered"}}}
    wrong: dict[str, dict[str, Any]] = {
        "forged": {"secret": "other"},
        "altered": {"body": '{"id": "x", "type": "load.status.changed", "data": {}}'},
        "renamed": {"headers": {"X-Alvys-Event-Id": "other"}},
        "of the other base": {"base": "t.body"},
        "stale": {"age": 310},
        "in the future": {"age": -310},
        "unsigned": {"headers": {"X-Alvys-Signature": ""}},
        "at another time": {"headers": {"X-Alvys-Timestamp": "1780000000"}},
    }
    assert {
        name: alvys.deliver(**new, **forgery)["status"] for name, forgery in wrong.items()
    } == dict.fromkeys(wrong, 401)
    assert receiver.refused == [*["signature"] * 4, "stale", "future", "malformed", "malformed"]
    assert receiver.events == []
    assert alvys.deliver(**new)["status"] == 200


def test_the_previous_secret_is_enough_while_it_rotates(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver)
    alvys.subscribe(receiver.url, secret="the-next", previous_secret=SECRET)
    for secrets, status in (([SECRET], 200), (["the-next"], 200), (["another"], 401)):
        receiver.secrets = secrets
        assert alvys.deliver(type="tender.accepted", data={"tender": {"id": "N1"}})["status"] == status


def test_the_signed_base_can_be_changed(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver, webhook_base="t.body")
    assert alvys.deliver(type="load.changed")["status"] == 401
    receiver.base = "t.body"
    assert alvys.deliver(type="load.changed")["status"] == 200


def test_document_events_name_their_parent(alvys: Simulator, receiver: Receiver) -> None:
    start(alvys, receiver, "truck.document.deleted", "load.document.deleted")
    for stream in ("truck_documents", "load_documents"):
        key = alvys.truth_keys(stream=stream)[0]
        document = json.loads(alvys.truth_rows(stream=stream)[0])
        alvys.remove(stream=stream, keys=[key])
        alvys.deliveries()
        event = receiver.events[-1]
        assert event.document is not None
        assert event.key == f"{key}-{event.etag}"
        assert document["ParentId"] in (event.entity_id, event.entity_number)


def test_the_handshake_is_answered(alvys: Simulator, receiver: Receiver) -> None:
    from airflow_provider_alvys.hooks.alvys import AlvysHook

    start(alvys, receiver)
    body = {"Name": "w", "SubsidiaryId": "s", "Url": receiver.url, "Events": ["load.changed"]}
    webhook = AlvysHook().request("POST", "webhooks", json=body).json()
    assert AlvysHook().request("POST", f"webhooks/{webhook['Id']}/enable").json()["Status"] == "Active"
    receiver.secrets = [webhook["Secret"]]
    alvys.change(rows=1)
    alvys.deliveries()
    assert [event.type for event in receiver.events] == ["load.changed"]
