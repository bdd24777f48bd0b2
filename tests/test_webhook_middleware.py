from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from airflow_provider_alvys.webhook_middleware import AlvysWebhookMiddleware
from tests.api.test_webhooks import sign

SECRET = "whsec"
CONNECTION = "AIRFLOW_CONN_WEBHOOK_ALVYS"
BODY = b'{"id": "in-the-body", "type": "load.changed"}'


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


def test_the_handshake_needs_no_signature_and_no_connection(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONNECTION)
    headers = {"X-Alvys-Event": "webhook.verification", "X-Alvys-Challenge": "a"}
    assert post(AlvysWebhookMiddleware(package), b'{"challenge": "a"}', headers) == (200, {"challenge": "a"})
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
