"""TLS errors of writes: nothing was sent before the handshake, perhaps everything after it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.errors import AlvysConnectionError, AlvysUnknownOutcomeError
from airflow_provider_alvys.api.http.auth import TOKEN_ENDPOINT, make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.api.http.retries import RetryRules
from tests.certificates import make_certificate
from tests.conftest import SkippingClock
from tests.recorder import Recorder
from tests.writes import request_of, write

# Sent instead of a response: a record that does not decrypt, plain HTTP, an unencrypted alert.
CORRUPT = {
    "record": b"\x17\x03\x03\x00\x40" + b"x" * 64,
    "plain": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "alert": b"\x15\x03\x03\x00\x02\x02\x50",
}


class TlsServer:
    """Receive complete requests over TLS, and respond to each with bytes outside of TLS."""

    def __init__(self, certificate: Path) -> None:
        self.answer = b""
        self.requests = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept() would wait on after close() alone.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            try:
                secure = self._context.wrap_socket(raw, server_side=True)
            except (ssl.SSLError, ConnectionError):
                # The client does not trust the certificate.
                raw.close()
                continue
            seen = b""
            while not seen.endswith(b"}"):
                seen += secure.recv(65536)
            self.requests += 1
            with socket.socket(fileno=secure.detach()) as plain:
                plain.sendall(self.answer)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem", "localhost")


@pytest.fixture
def server(certificate: Path) -> Iterator[TlsServer]:
    server = TlsServer(certificate)
    yield server
    server.close()


@pytest.fixture
def wire(recorder: Recorder, server: TlsServer, clock: SkippingClock) -> AlvysClient:
    return recorder.client(clock, host=server.url)


@pytest.mark.parametrize("answer", CORRUPT.values(), ids=CORRUPT)
def test_a_write_with_a_corrupt_response_is_sent_once_with_unknown_outcome(
    answer: bytes, server: TlsServer, wire: AlvysClient, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server.answer = answer
    with pytest.raises(AlvysUnknownOutcomeError, match="SSLError"):
        write(wire, "deductions.create", **request_of("deductions.create"))
    assert server.requests == 1


def test_a_write_to_an_untrusted_server_never_arrives(server: TlsServer, wire: AlvysClient) -> None:
    with pytest.raises(AlvysConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        write(wire, "deductions.create", **request_of("deductions.create"))
    assert not caught.value.arrived
    assert server.requests == 0


# --- the handshake

GREETING = {
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "plain http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}


class Greeter:
    """Respond to the beginning of a handshake with ``greeting``, or with a whole handshake, and close."""

    def __init__(self, greeting: bytes = b"", certificate: Path | None = None, gap: float = 0.0) -> None:
        self.connections = 0
        self._gap = gap
        self._greeting = greeting
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate = certificate
        if certificate:
            self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.connections += 1
            with connection:
                try:
                    if self._certificate:
                        self._context.wrap_socket(connection, server_side=True).close()
                    else:
                        connection.recv(65536)
                        for place in range(len(self._greeting)):
                            connection.sendall(self._greeting[place : place + 1])
                            time.sleep(self._gap)
                except (ssl.SSLError, ConnectionError):
                    # The client refuses the certificate.
                    pass


@pytest.fixture(params=["untrusted", "another name", "an alert", "plain http"])
def refusal(
    request: pytest.FixtureRequest, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Greeter:
    """A server with which a handshake can only fail."""
    if request.param == "untrusted":
        return Greeter(certificate=certificate)
    if request.param == "another name":
        other = make_certificate(tmp_path / "other.pem", "other.example")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        return Greeter(certificate=other)
    return Greeter(GREETING[request.param])


def call_api(client: AlvysClient) -> Any:
    return client.request("GET", "loads")


def call_write(client: AlvysClient) -> Any:
    return write(client, "deductions.create", **request_of("deductions.create"))


@pytest.mark.parametrize("call", [call_api, call_write])
@pytest.mark.parametrize("is_token", [False, True], ids=["api", "token"])
def test_a_handshake_that_cannot_succeed_is_not_retried(
    call: Any, is_token: bool, refusal: Greeter, recorder: Recorder, clock: SkippingClock
) -> None:
    client = recorder.client(clock, host=refusal.url)
    if is_token:
        credentials = make_credentials("id", "secret", auth_url=refusal.url)
        client = AlvysClient(credentials, host=recorder.url, clock=clock, pacer=Pacer(0))
    with pytest.raises(AlvysConnectionError) as caught:
        call(client)
    assert (caught.value.arrived, caught.value.is_permanent) == (False, True)
    assert (caught.value.endpoint == TOKEN_ENDPOINT) == is_token
    assert refusal.connections == 1
    assert clock.sleeps == []


@pytest.mark.parametrize("call", [call_api, call_write])
def test_a_connection_that_ends_during_the_handshake_is_retried(
    call: Any, recorder: Recorder, clock: SkippingClock
) -> None:
    greeter = Greeter(GREETING["nothing"])
    with pytest.raises(AlvysConnectionError) as caught:
        call(recorder.client(clock, host=greeter.url))
    assert (caught.value.arrived, caught.value.is_permanent) == (False, False)
    assert greeter.connections == RetryRules().attempts


def test_a_handshake_that_drips_ends_at_a_deadline(recorder: Recorder, clock: SkippingClock) -> None:
    greeter = Greeter(b"\x16\x03\x03\x40\x00" + bytes(1000), gap=0.02)
    credentials = make_credentials("id", "secret", auth_url=f"{recorder.url}/oauth/token")
    client = AlvysClient(
        credentials, host=greeter.url, clock=clock, timeout=(0.3, 5.0), retry_rules=RetryRules(attempts=1)
    )
    began = time.monotonic()
    with pytest.raises(AlvysConnectionError) as caught:
        call_api(client)
    assert not caught.value.arrived
    assert time.monotonic() - began < 5
