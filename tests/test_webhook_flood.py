"""Senders without a valid signature do not slow down the API server that the middleware runs in."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import uvicorn
from airflow.sdk import BaseHook
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from airflow_provider_alvys._compat import AirflowNotFoundException
from airflow_provider_alvys.webhook_middleware import AlvysWebhookMiddleware
from tests.api.test_webhooks import sign

pytestmark = pytest.mark.every_airflow

SENDERS = 60
BODY = b'{"id": "1", "type": "load.changed"}'


class Lookups:
    """Stand in for a secrets backend: each lookup waits for ``gate``, and then fails or returns a secret."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = threading.Event()
        self.outcome: str | Exception | None = None

    def __call__(self, conn_id: str) -> SimpleNamespace:
        self.count += 1
        self.gate.wait(60)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return SimpleNamespace(password=self.outcome)


class Server:
    """The middleware in uvicorn, before an app whose health is answered in a thread, as Airflow's is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.arrived = threading.Semaphore(0)
        self._senders = ThreadPoolExecutor(2 * SENDERS)
        app = Starlette(routes=[Route("/health", lambda request: PlainTextResponse("healthy"))])
        middleware = AlvysWebhookMiddleware(app, clock=lambda: self.now)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["method"] == "POST":
                self.arrived.release()
            await middleware(scope, receive, send)

        self._listener = socket.create_server(("127.0.0.1", 0), backlog=SENDERS)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(counted, lifespan="off", log_config=None))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._senders.shutdown()
        self._listener.close()

    def flood(self, secret: str = "a guess") -> list[Future[int]]:
        """Send deliveries that look right, all at once, and return when the server has all of them."""
        headers = sign(BODY, t=int(time.time()), secret=secret)

        def post() -> int:
            return requests.post(f"{self.url}/webhooks/alvys", BODY, headers=headers, timeout=60).status_code

        sent = [self._senders.submit(post) for _ in range(SENDERS)]
        assert all(self.arrived.acquire(timeout=60) for _ in sent)
        return sent

    def is_healthy(self) -> bool:
        return requests.get(f"{self.url}/health", timeout=20).text == "healthy"


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    lookups = Lookups()
    monkeypatch.setattr(BaseHook, "get_connection", lookups)
    return lookups


@pytest.fixture
def server(lookups: Lookups) -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        lookups.gate.set()
        server.stop()


def refusals(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "webhook_middleware" in record.name]


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(AirflowNotFoundException("The conn_id `webhook_alvys` isn't defined"), id="missing"),
        pytest.param(None, id="no password"),
        pytest.param(" \n", id="blank password"),
        pytest.param(RuntimeError("the backend is down"), id="backend down"),
    ],
)
def test_a_flood_causes_one_lookup_in_a_thread_of_its_own(
    server: Server, lookups: Lookups, caplog: pytest.LogCaptureFixture, outcome: Any
) -> None:
    lookups.outcome = outcome
    sent = server.flood()
    # The lookup of all of them is under way, and the threads of the server are free.
    assert server.is_healthy()
    assert not any(one.done() for one in sent)
    lookups.gate.set()
    assert {one.result() for one in sent} == {503}
    assert lookups.count == 1
    # The failure is cached for some seconds.
    assert {one.result() for one in server.flood()} == {503}
    assert lookups.count == 1
    server.now += 6
    assert {one.result() for one in server.flood()} == {503}
    assert lookups.count == 2
    assert server.is_healthy()
    assert len(refusals(caplog)) == 1


def test_a_delivery_does_not_wait_long_for_a_lookup(server: Server, lookups: Lookups) -> None:
    waiting = server.flood()
    # The lookup began too long ago. Those that wait already do so for ten seconds by the real clock.
    server.now += 11
    assert {one.result() for one in server.flood()} == {503}
    assert not any(one.done() for one in waiting)
    assert lookups.count == 1
    # A backend that hangs is asked again after a minute.
    server.now += 60
    server.flood()
    assert lookups.count == 2


def test_a_flood_of_wrong_signatures_causes_a_lookup_a_second_at_most(
    server: Server, lookups: Lookups, caplog: pytest.LogCaptureFixture
) -> None:
    lookups.outcome = "the secret"
    lookups.gate.set()
    for count in (1, 2, 3):
        assert {one.result() for one in server.flood()} == {401}
        assert lookups.count == count
        server.now += 2
    assert len(refusals(caplog)) == 1
    # While a lookup takes long, the known secret is used.
    lookups.gate.clear()
    forged = server.flood()
    assert {one.result() for one in server.flood("the secret")} == {404}
    assert server.is_healthy()
    lookups.gate.set()
    assert {one.result() for one in forged} == {401}
    assert lookups.count == 4
