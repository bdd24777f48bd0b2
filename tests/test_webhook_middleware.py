from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from airflow_provider_alvys.webhook_middleware import AlvysWebhookMiddleware
from tests.api.test_webhooks import sign

SECRET = "whsec"
CONNECTION = "AIRFLOW_CONN_WEBHOOK_ALVYS"
BODY = b'{"id": "in-the-body", "type": "load.changed"}'
HANDSHAKE = {"X-Alvys-Event": "webhook.verification", "X-Alvys-Challenge": "a"}


class Package:
    """The receiver behind the middleware: it records requests and responds with ``status``."""

    def __init__(self) -> None:
        self.status = 202
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] != "lifespan" or not scope.get("path")
        if scope["type"] == "http":
            headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
            assert len(dict(headers)) == len(headers)
            self.requests.append((dict(headers), (await receive())["body"]))
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def package() -> Package:
    return Package()


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "inbound_webhook", "password": SECRET}))


def post(
    app: AlvysWebhookMiddleware,
    body: bytes | list[bytes],
    headers: dict[str, str] | list[tuple[str, str]],
    path: str = "/webhooks/alvys",
    **scope: Any,
) -> tuple[int, Any]:
    chunks = [body] if isinstance(body, bytes) else list(body)
    sent: list[Any] = []

    async def receive() -> Any:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = headers.items() if isinstance(headers, dict) else headers
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": raw, **scope}, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


# Made when a test runs: a signature is valid for five minutes.
Headers = Callable[[], dict[str, str]]


def signed(body: bytes = BODY, *, secret: str = SECRET, **options: Any) -> dict[str, str]:
    return sign(body, t=int(time.time()), secret=secret, **options)


def test_a_signed_delivery_is_passed_on_with_a_signature_for_the_package(package: Package) -> None:
    headers = {**signed(), "X-Alvys-Checked": "forged", "Content-Type": "text/plain", "X-Other": "kept"}
    assert post(AlvysWebhookMiddleware(package), [BODY[:5], BODY[5:]], headers) == (202, {})
    ((passed_on, body),) = package.requests
    assert body == BODY
    assert passed_on["x-alvys-checked"] == hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    assert passed_on["x-alvys-event-id"] == headers["X-Alvys-Event-Id"]
    assert (passed_on["content-type"], passed_on["x-other"]) == ("application/json", "kept")


@pytest.mark.parametrize("path", ["/webhooks/alvys", "/webhooks/alvys/", "/airflow/webhooks/alvys"])
def test_an_unsigned_delivery_is_not_passed_on(package: Package, path: str) -> None:
    app = AlvysWebhookMiddleware(package)
    assert post(app, BODY, signed(secret="another"), path, root_path="/airflow")[0] == 401
    assert post(app, BODY, {}, path, root_path="/airflow")[0] == 401
    assert post(app, b"[]", signed(b"[]"), path, root_path="/airflow")[0] == 400
    assert package.requests == []


def test_a_path_that_starts_with_the_text_of_the_root_path_is_kept(package: Package) -> None:
    assert post(AlvysWebhookMiddleware(package), BODY, {}, root_path="/web")[0] == 401
    assert package.requests == []


def test_thousands_of_headers_do_not_block_the_event_loop(package: Package) -> None:
    headers = [(f"x-{number}", "") for number in range(20_000)]
    began = time.process_time()
    assert post(AlvysWebhookMiddleware(package), BODY, headers)[0] == 401
    assert time.process_time() - began < 2


def test_a_duplicate_signature_is_refused(package: Package) -> None:
    headers = [("X-Alvys-Signature", "t=1,v1=0"), *signed().items()]
    assert post(AlvysWebhookMiddleware(package), BODY, headers)[0] == 401


@pytest.mark.parametrize("type", ["type", "event"])
def test_the_handshake_needs_no_signature_and_no_connection(
    package: Package, monkeypatch: pytest.MonkeyPatch, type: str
) -> None:
    monkeypatch.delenv(CONNECTION)
    # Alvys's documents differ about the name of the type in the body.
    body = json.dumps({type: "webhook.verification", "challenge": "a"}).encode()
    assert post(AlvysWebhookMiddleware(package), body, HANDSHAKE) == (200, {"challenge": "a"})
    assert package.requests == []


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/webhooks/alvys", {"method": "GET"}),
        ("/webhooks/github", {}),
        ("/webhooks/alvys/more", {}),
        ("/api/v2/version", {}),
        ("/webhooks/alvys", {"type": "lifespan", "path": None}),
    ],
)
def test_other_requests_are_passed_on_unchanged(package: Package, path: str, scope: dict[str, Any]) -> None:
    if scope.get("type") == "lifespan":
        asyncio.run(AlvysWebhookMiddleware(package)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
        return
    assert post(AlvysWebhookMiddleware(package), b"anything", {"X-A": "b"}, path, **scope) == (202, {})
    assert package.requests == [({"x-a": "b"}, b"anything")]


def test_a_large_body_is_not_read_completely(package: Package) -> None:
    chunks = [b"a" * 60, b"a" * 60, b"never read"]
    assert post(AlvysWebhookMiddleware(package, largest=100), chunks, signed())[0] == 413


STALE = sign(BODY, t=1_780_000_000, secret=SECRET)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(lambda: {}, 401, id="no signature"),
        pytest.param(lambda: {**signed(), "X-Alvys-Signature": "v1=0"}, 401, id="malformed signature"),
        pytest.param(lambda: {**signed(), "X-Alvys-Timestamp": "1"}, 401, id="another time"),
        pytest.param(lambda: {**signed(), "X-Alvys-Event-Id": ""}, 401, id="no event id"),
        pytest.param(lambda: STALE, 401, id="stale"),
        pytest.param(lambda: {**signed(), "Content-Length": "101"}, 413, id="too large"),
        pytest.param(lambda: {**signed(), "Content-Length": "9" * 5000}, 413, id="much too large"),
        pytest.param(signed, 503, id="no connection"),
        pytest.param(lambda: {**HANDSHAKE, "Content-Length": "101"}, 413, id="large handshake"),
    ],
)
def test_headers_are_checked_before_the_body_is_read(
    package: Package, monkeypatch: pytest.MonkeyPatch, headers: Headers, status: int
) -> None:
    monkeypatch.delenv(CONNECTION)
    sent, receive = [], AsyncMock()

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers().items()]
    scope = {"type": "http", "method": "POST", "path": "/webhooks/alvys", "headers": raw}
    asyncio.run(AlvysWebhookMiddleware(package, largest=100)(scope, receive, send))
    assert sent[0]["status"] == status
    receive.assert_not_awaited()


class Senders:
    """Many deliveries at once, each of a chunk, and of the rest when ``finish`` is called."""

    def __init__(self, app: AlvysWebhookMiddleware, headers: dict[str, str]) -> None:
        self._app = app
        self._raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._rest = asyncio.Event()
        self._pending: list[asyncio.Task[Any]] = []
        self._waiting = 0
        self.statuses: list[int] = []

    async def start(self, chunk: bytes, count: int = 1) -> None:
        self._pending += [asyncio.create_task(self._post(chunk)) for _ in range(count)]
        while self._waiting + len(self.statuses) < len(self._pending):
            await asyncio.sleep(0.001)

    async def finish(self) -> None:
        self._rest.set()
        await self.responses()

    async def responses(self) -> None:
        await asyncio.gather(*self._pending)

    async def _post(self, chunk: bytes) -> None:
        messages = [{"type": "http.request", "body": chunk, "more_body": True}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            self._waiting += 1
            await self._rest.wait()
            return {"type": "http.disconnect"} if chunk == b"gone" else {"type": "http.request"}

        async def send(message: Any) -> None:
            if "status" in message:
                self.statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/webhooks/alvys", "headers": self._raw}
        await self._app(scope, receive, send)


@pytest.mark.parametrize(
    "headers", [lambda: signed(secret="a guess"), lambda: HANDSHAKE], ids=["deliveries", "handshakes"]
)
def test_the_memory_for_unsigned_bodies_is_limited(package: Package, headers: Headers) -> None:
    app = AlvysWebhookMiddleware(package, largest=100)

    async def scenario() -> None:
        for _ in range(2):
            # The middleware holds 16 bodies of the maximum size, without what the last one leaves free. The
            # second time shows that it forgets them.
            senders = Senders(app, headers())
            await senders.start(b"a" * 100)
            await senders.start(b"a" * 50, 40)
            assert senders.statuses == [503] * 11
            await senders.finish()
            assert senders.statuses[11:] == [401 if "X-Alvys-Signature" in headers() else 400] * 30

    asyncio.run(scenario())


def test_a_delivery_gets_through_a_flood_of_large_bodies_that_do_not_end(package: Package) -> None:
    app = AlvysWebhookMiddleware(package, largest=1000)

    async def scenario() -> None:
        flood = Senders(app, signed(secret="a guess"))
        for length in (1000, 500, 100):
            await flood.start(b"a" * length, 40)
        delivery = Senders(app, signed())
        await delivery.start(BODY)
        await delivery.finish()
        assert package.requests
        await flood.finish()

    asyncio.run(scenario())


def test_a_sender_that_disconnects_gets_no_response(package: Package) -> None:
    app = AlvysWebhookMiddleware(package, largest=4)

    async def scenario() -> None:
        for _ in range(20):
            senders = Senders(app, signed())
            await senders.start(b"gone", 10)
            await senders.finish()
            assert senders.statuses == []

    asyncio.run(scenario())


@pytest.mark.parametrize("headers", [signed, lambda: HANDSHAKE], ids=["delivery", "handshake"])
def test_a_body_that_does_not_arrive_is_given_up(package: Package, headers: Headers) -> None:
    async def scenario() -> list[int]:
        senders = Senders(AlvysWebhookMiddleware(package, read_timeout=0.01), headers())
        await senders.start(b"{")
        await asyncio.wait(senders._pending, timeout=10)
        return senders.statuses

    assert asyncio.run(scenario()) == [408]


def test_refusals_are_logged_once_a_minute_for_each_reason(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    app = AlvysWebhookMiddleware(package, clock=lambda: now[0])
    for _ in range(2):
        for headers in (signed(secret="a guess"), {}, STALE):
            for _ in range(20):
                assert post(app, BODY, headers)[0] == 401
        now[0] += 61
    lines = [record.getMessage() for record in caplog.records if "webhook_middleware" in record.name]
    assert [line.rpartition("=")[2] for line in lines] == ["0"] * 3 + ["19"] * 3
    assert len(set(lines)) == 6


def test_a_failed_lookup_does_not_discard_the_secret(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    app = AlvysWebhookMiddleware(package, clock=lambda: now[0])
    assert post(app, BODY, signed())[0] == 202
    monkeypatch.delenv(CONNECTION)
    now[0] += 2
    # Perhaps there is a new secret: Alvys is to try again.
    assert post(app, BODY, signed(secret="another"))[0] == 503
    assert post(app, BODY, signed())[0] == 202
    now[0] += 30
    assert post(app, BODY, signed())[0] == 503


def test_a_secret_may_have_been_copied_with_a_line_break(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = {"conn_type": "inbound_webhook", "password": f" {SECRET}\n"}
    monkeypatch.setenv(CONNECTION, json.dumps(copied))
    assert post(AlvysWebhookMiddleware(package), BODY, signed())[0] == 202
    # The package checks with the password as it is.
    expected = hmac.new(copied["password"].encode(), BODY, hashlib.sha256).hexdigest()
    assert package.requests[0][0]["x-alvys-checked"] == expected


def test_without_a_secret_alvys_retries(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "inbound_webhook"}))
    assert post(AlvysWebhookMiddleware(package), BODY, signed())[0] == 503
    monkeypatch.delenv(CONNECTION)
    assert post(AlvysWebhookMiddleware(package), BODY, signed())[0] == 503
    assert package.requests == []


def test_a_new_secret_is_used_within_seconds(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    app = AlvysWebhookMiddleware(package, clock=lambda: now[0])
    assert post(app, BODY, signed())[0] == 202
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "inbound_webhook", "password": "new"}))
    # Refused deliveries read the connection once a second at most: anyone can send them.
    assert post(app, BODY, signed(secret="new"))[0] == 401
    now[0] += 2
    assert post(app, BODY, signed(secret="new"))[0] == 202


def test_alvys_retries_if_the_package_has_another_secret(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = AlvysWebhookMiddleware(package)
    t = int(time.time())
    old, new = (
        signed()["X-Alvys-Signature"].split("v1=")[1],
        signed(secret="new")["X-Alvys-Signature"].split("v1=")[1],
    )
    rotating = {**signed(), "X-Alvys-Signature": f"t={t},v1={new},v0={old}", "X-Alvys-Timestamp": str(t)}
    assert post(app, BODY, rotating)[0] == 202
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "inbound_webhook", "password": "new"}))
    package.status = 401
    assert post(app, BODY, rotating)[0] == 503
    package.status = 202
    assert post(app, BODY, rotating)[0] == 202
    keys = [hmac.new(secret, BODY, hashlib.sha256).hexdigest() for secret in (b"whsec", b"whsec", b"new")]
    assert [headers["x-alvys-checked"] for headers, _ in package.requests] == keys


def test_with_the_other_base_the_delivery_has_the_id_of_the_body(package: Package) -> None:
    app = AlvysWebhookMiddleware(package, base="t.body")
    headers = {**signed(base="t.body"), "X-Alvys-Event-Id": "not-signed"}
    assert post(app, BODY, headers)[0] == 202
    for id in ("é" * 3, "a" * 256, "a\\n"):
        body = json.dumps({"id": id, "type": "load.changed"}).encode()
        assert post(app, body, signed(body, base="t.body"))[0] == 202
    ids = [passed_on["x-alvys-event-id"] for passed_on, _ in package.requests]
    assert ids[0] == "in-the-body"
    assert [len(id) for id in ids[1:]] == [64, 64, 3]
