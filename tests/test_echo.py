"""A server that sends back the Authorization header, and other secrets, in every part of its responses."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_alvys._compat import AirflowFailException, AirflowSensorTimeout
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysPermissionError,
    AlvysResponseError,
    AlvysServerError,
)
from airflow_provider_alvys.api.poll.conditions import DocumentExists, RowsFound, StatusReached, poll_once
from airflow_provider_alvys.api.read.statuses import StatusWatch
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor
from tests.conftest import CONNECTION, QuickHook, SkippingClock, StoppedClock
from tests.triggers.test_alvys import Triggerer
from tests.writes import request_of

TOKEN = "opaque/Zk81+token=Qw7Lm0vR4xTn2bYc9sHd"
SECRET = "client/Gj35+secret=Pf6Ue1aKo8iWz4rNt7Xq"

# Status, headers and body of a response, given the text that it sends back.
Echo = Callable[[str], tuple[int, dict[str, str], Any]]


def problem(**members: Any) -> tuple[int, dict[str, str], Any]:
    return 500, {}, {"Title": "Failed", "Status": 500, **members}


ECHOES: dict[str, Echo] = {
    "title": lambda text: problem(Title=text),
    "detail": lambda text: problem(Detail=f"You sent {text}"),
    "cut off": lambda text: problem(Detail=f"You sent {text[: len(text) // 2]}"),
    "with a line break": lambda text: problem(Detail=f"You sent {text[:20]}\r\n {text[20:]}"),
    "URL-encoded": lambda text: problem(Detail=quote(text, safe="")),
    "escaped": lambda text: problem(Detail=json.dumps({"Authorization": text}).replace("/", "\\/")),
    "in base64": lambda text: problem(Detail=b64encode(f"x:{text}".encode()).decode()),
    "type": lambda text: problem(Type=f"https://example.com/{text}"),
    "trace id": lambda text: problem(traceId=text),
    "request id": lambda text: (500, {"X-Request-Id": text}, b""),
    "message of a field": lambda text: (400, {}, {"Status": [text]}),
    "name of a field": lambda text: (400, {}, {"Title": "Bad", "Status": 400, "Errors": {text: ["bad"]}}),
    "reason of a 403": lambda text: (403, {}, {"Title": text, "Status": 403}),
    "reason of a 404": lambda text: (404, {}, {"Title": text, "Status": 404}),
    "reason of a 412": lambda text: (412, {}, {"Title": text, "Status": 412}),
    "page": lambda text: (403, {"Content-Type": "text/html"}, f"<html>{text}</html>".encode()),
    "JSON of a gateway": lambda text: (403, {}, {"message": text}),
    "Server": lambda text: (403, {"Content-Type": "text/html", "Server": text}, b"<html>"),
    "Via": lambda text: (403, {"Content-Type": "text/html", "Via": text}, b"<html>"),
    "Content-Type": lambda text: (200, {"Content-Type": text}, b"x"),
    "Content-Type of an error": lambda text: (502, {"Content-Type": text}, b"x"),
    "Location": lambda text: (302, {"Location": f"https://{quote(text, safe='')}/"}, b""),
    "Location with a bad port": lambda text: (302, {"Location": f"https://a:{text}/"}, b""),
    "Retry-After": lambda text: (503, {"Retry-After": text}, b""),
    "not JSON": lambda text: (200, {}, text.encode()),
    "JSON that is cut off": lambda text: (200, {}, b'{"Total": "' + text.encode()),
    "wrong type": lambda text: (200, {}, {"Total": text, "Items": text, "Page": text}),
    "wrong name": lambda text: (200, {}, {text: text}),
    "id of a row": lambda text: (
        200,
        {},
        b'{"Total":1,"Page":0,"PageSize":200,"Items":[{"Id":"%b","Rate":1e99999}]}' % text.encode(),
    ),
    "a list": lambda text: (200, {}, [text]),
    "chunk": lambda text: (200, {"Transfer-Encoding": "chunked"}, text.encode()),
    "Content-Length": lambda text: (200, {"Content-Length": text}, b""),
    "status line": lambda text: (0, {}, text.encode()),
}


class EchoServer:
    """Issue a token, and answer any other request by the current echo."""

    def __init__(self) -> None:
        self.echo: Echo = ECHOES["title"]
        self.echoes_token_request = False
        self.scope = "load:read"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                is_token = self.path == "/oauth/token"
                if is_token and not server.echoes_token_request:
                    token = {"access_token": TOKEN, "scope": server.scope, "token_type": "bearer"}
                    return self.reply(200, {}, token)
                return self.reply(*server.echo(body if is_token else self.headers["Authorization"]))

            def reply(self, status: int, headers: dict[str, str], body: Any) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                lines = {"Content-Type": "application/json", "Connection": "close"}
                lines |= {"Content-Length": str(len(content)), **headers}
                if "Transfer-Encoding" in headers:
                    del lines["Content-Length"]
                head = f"HTTP/1.1 {status} X\r\n".encode() if status else b"NOT HTTP " + content + b"\r\n"
                head += b"".join(f"{name}: {value}\r\n".encode() for name, value in lines.items())
                self.wfile.write(head + b"\r\n" + content)
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def server(running: EchoServer, monkeypatch: pytest.MonkeyPatch) -> EchoServer:
    running.echoes_token_request = False
    running.scope = "load:read"
    connection = {
        "conn_type": "alvys",
        "host": running.url,
        "login": "client-id",
        "password": SECRET,
        "extra": {"auth_url": f"{running.url}/oauth/token", "requests_per_minute": 0},
    }
    monkeypatch.setenv(CONNECTION, json.dumps(connection))
    return running


def assert_clean(text: str) -> None:
    """Check that a text has no part of a secret, in any of the spellings that the server uses."""
    for secret in (TOKEN, SECRET):
        for spelled in (secret, quote(secret, safe=""), b64encode(f"x:Bearer {secret}".encode()).decode()):
            parts = [spelled[at : at + 10].lower() for at in range(len(spelled) // 2, len(spelled) - 12)]
            parts += [secret[at : at + 12].lower() for at in range(len(secret) - 11)]
            assert not any(part in text.lower() for part in parts), text


CALLS: dict[str, Callable[[QuickHook], Any]] = {
    "request": lambda hook: hook.request("GET", "/v1/me").json()["nothing"],
    "search": lambda hook: list(hook.search("loads")),
    # A parent that Alvys does not know is no error.
    "children": lambda hook: next(hook.search("load_documents", parents=["1"])),
    "lookup": lambda hook: hook.get("loads", loadNumber="1")["nothing"],
    "unsafe write": lambda hook: hook.write("trips.dispatch", **request_of("trips.dispatch"))["nothing"],
    "safe write": lambda hook: hook.write("carriers.set_status", **request_of("carriers.set_status"))["x"],
    "guarded write": lambda hook: hook.write(
        "customers.update", **{**request_of("customers.update"), "if_match": '"v1"'}
    )["nothing"],
    "plan": lambda hook: _raise(hook.plan(["loads"])[0].note),
}


def _raise(note: str) -> None:
    raise AlvysResponseError(note)


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("call", CALLS)
def test_an_error_does_not_contain_the_token(
    call: str, echo: str, server: EchoServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.echo = ECHOES[echo]
    with pytest.raises((AlvysError, ValueError, LookupError, TypeError, StopIteration)) as caught:
        CALLS[call](QuickHook(SkippingClock()))
    if isinstance(caught.value, AlvysError):
        assert_clean(f"{caught.value} {caught.value!r} {vars(caught.value)}")
        assert_clean("".join(traceback.format_exception(caught.value)))
        assert len(str(caught.value)) < 3000
        assert str(caught.value).isprintable()
    assert_clean(caplog.text)


@pytest.mark.parametrize("echo", ECHOES)
def test_an_error_of_the_token_endpoint_does_not_contain_the_secret(echo: str, server: EchoServer) -> None:
    server.echoes_token_request = True
    server.echo = ECHOES[echo]
    with pytest.raises(AlvysError) as caught:
        QuickHook(SkippingClock()).get("loads", loadNumber="1")
    assert_clean(f"{caught.value} {caught.value!r} {vars(caught.value)}")
    assert_clean(AlvysHook().test_connection()[1])


@pytest.mark.parametrize("echo", ECHOES)
def test_the_event_of_a_trigger_does_not_contain_the_token(echo: str, server: EchoServer) -> None:
    server.echo = ECHOES[echo]
    triggerer = Triggerer(StoppedClock(time.time()))
    triggers = [
        triggerer.make(condition, timeout=60.0, poke_interval=60.0)
        for condition in (
            StatusReached(stream="loads", number="1", statuses=["Invoiced"]),
            DocumentExists(parent="load", id="1", types=["POD"], wait_if_missing=False),
            RowsFound(stream="loads"),
        )
    ]
    for event in triggerer.run(*triggers):
        assert_clean(json.dumps(event))
        if event["status"] == "success":
            # The row can be counted, though not decoded.
            assert echo == "id of a row"
            continue
        sensor = AlvysLoadStatusSensor(task_id="wait", load_number="1", statuses="Invoiced")
        with pytest.raises((AlvysError, AirflowFailException, AirflowSensorTimeout)) as caught:
            sensor.execute_complete({}, event)
        assert_clean(str(caught.value))


def test_the_value_of_an_event_does_not_contain_the_token(server: EchoServer) -> None:
    def row(text: str) -> tuple[int, dict[str, str], Any]:
        item = {"Id": text, "LoadNumber": "1", "Status": "Invoiced", "UpdatedAt": text}
        return 200, {}, {"Page": 0, "PageSize": 200, "Total": 1, "Items": [item]}

    server.echo = row
    triggerer = Triggerer(StoppedClock(time.time()))
    condition = StatusReached(stream="loads", number="1", statuses=["Invoiced"])
    (event,) = triggerer.run(triggerer.make(condition))
    assert (event["status"], event["value"]["status"]) == ("success", "Invoiced")
    assert_clean(json.dumps(event))


def test_the_message_of_a_poll_and_a_warning_do_not_contain_the_token(
    server: EchoServer, caplog: pytest.LogCaptureFixture
) -> None:
    def row(text: str) -> tuple[int, dict[str, str], Any]:
        item = {"Id": "1", "LoadNumber": "1", "Status": f"{text}\nforged", "UpdatedAt": "2026-11-01"}
        return 200, {}, {"Page": 0, "PageSize": 200, "Total": 1, "Items": [item]}

    server.echo = row
    hook = QuickHook(SkippingClock())
    message = poll_once(hook.get_conn(), StatusReached(stream="loads", number="1", statuses=["Open"])).message
    StatusWatch(get_stream("loads")).observe([json.dumps({"Status": f"{TOKEN}\nforged"}).encode()])
    for text in (message, caplog.messages[-1]):
        assert "*** forged" in text
        assert_clean(text)


def test_scopes_in_an_error_do_not_contain_a_secret(server: EchoServer) -> None:
    server.scope = f"bill:read {TOKEN} {SECRET} {'x' * 9000}"
    server.echo = lambda _: (403, {}, b"")
    with pytest.raises(AlvysPermissionError) as caught:
        QuickHook(SkippingClock()).get("loads", loadNumber="1")
    message = AlvysHook().test_connection()[1]
    for text in (str(caught.value), message):
        assert "***" in text
        assert_clean(text)
        assert len(text) < 3000


def test_a_webhooks_secret_is_scrubbed_from_what_a_server_says(server: EchoServer) -> None:
    from airflow_provider_alvys.api.webhooks import verify_signature

    with pytest.raises(AlvysError) as refused:
        verify_signature({}, b"{}", [SECRET, b"older/" + SECRET.encode()])
    assert_clean(str(refused.value))
    server.echo = lambda _: problem(Detail=SECRET)
    with pytest.raises(AlvysServerError) as caught:
        QuickHook(SkippingClock()).get("loads", loadNumber="1")
    assert_clean(str(caught.value))
