"""The variables HTTPS_PROXY, HTTP_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_alvys.api.errors import AlvysConnectionError, AlvysUnknownOutcomeError
from airflow_provider_alvys.api.http.auth import make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from tests.certificates import make_certificate
from tests.conftest import SkippingClock
from tests.raw_server import TOKEN, make_response
from tests.writes import request_of, write

HOST = "alvys.test"


class Proxy:
    """
    A proxy that is Alvys, too: it responds to requests for any host, in clear and in a tunnel.

    :param lines: the first line of each request to the proxy, without what is in a tunnel.
    :param refusal: respond so to CONNECT.
    :param gap: seconds between two bytes of it.
    """

    def __init__(self, certificate: Path) -> None:
        self.lines: list[str] = []
        self.tunnelled: list[str] = []
        self.refusal = b""
        self.gap = 0.0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            line = self._receive(connection)
            self.lines.append(line)
            if not line.startswith("CONNECT"):
                return self._respond(connection, line)
            for place in range(len(self.refusal)):
                connection.sendall(self.refusal[place : place + 1])
                time.sleep(self.gap)
            if self.refusal:
                return None
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self.tunnelled.append(self._receive(secure))
                self._respond(secure, self.tunnelled[-1])

    def _respond(self, connection: socket.socket, line: str) -> None:
        connection.sendall(make_response(TOKEN if "/oauth/token" in line else b'{"Id":"1"}'))

    def _receive(self, connection: socket.socket) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536) or b"\r\n\r\n"
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].split(b":")[1]):
            body += connection.recv(65536)
        return head.split(b"\r\n")[0].decode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "alvys.pem", HOST)


@pytest.fixture
def proxy(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    proxy = Proxy(certificate)
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    yield proxy
    proxy.close()


def connect(scheme: str, *, timeout: float = 5.0) -> AlvysClient:
    credentials = make_credentials("id", "secret", auth_url=f"{scheme}://{HOST}/oauth/token", allow_http=True)
    return AlvysClient(
        credentials,
        host=f"{scheme}://{HOST}",
        allow_http=True,
        clock=SkippingClock(),
        pacer=Pacer(0),
        timeout=(timeout, 5.0),
        retry_rules=ONE_ATTEMPT,
    )


def test_https_goes_through_the_proxy_in_a_tunnel(proxy: Proxy) -> None:
    assert connect("https").request("GET", "/v1/me").json() == {"Id": "1"}
    assert [line.rpartition(" ")[0] for line in proxy.lines] == [f"CONNECT {HOST}:443"] * 2
    assert proxy.tunnelled == ["POST /oauth/token HTTP/1.1", "GET /v1/me HTTP/1.1"]


def test_a_write_goes_through_the_proxy_too(proxy: Proxy) -> None:
    write(connect("https"), "deductions.create", **request_of("deductions.create"))
    assert [line.split()[0] for line in proxy.tunnelled] == ["POST", "POST"]


def test_plain_http_goes_through_the_proxy(proxy: Proxy) -> None:
    assert connect("http").request("GET", "/v1/me").json() == {"Id": "1"}
    assert proxy.lines == [f"POST http://{HOST}/oauth/token HTTP/1.1", f"GET http://{HOST}/v1/me HTTP/1.1"]


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("no_proxy", [HOST, ".test", "*"])
def test_no_proxy_names_hosts_that_are_reached_directly(
    no_proxy: str, scheme: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with pytest.raises(AlvysConnectionError) as caught:
        connect(scheme).request("GET", "/v1/me")
    # There is no such host.
    assert not caught.value.arrived
    assert proxy.lines == []


def test_a_certificate_must_be_in_the_bundle(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path / "other.pem", "other.test")))
    with pytest.raises(AlvysConnectionError) as caught:
        connect("https").request("GET", "/v1/me")
    assert (caught.value.is_permanent, caught.value.arrived) == (True, False)
    assert proxy.tunnelled == []


@pytest.mark.parametrize(
    "settings",
    [
        {"REQUESTS_CA_BUNDLE": "/nowhere/bundle.pem"},
        {"HTTPS_PROXY": "http://127.0.0.1:1"},
        {"HTTPS_PROXY": "http://[bad"},
        {"HTTPS_PROXY": "nonsense://proxy.test"},
        {"HTTPS_PROXY": "http://"},
    ],
    ids=str,
)
def test_a_wrong_setting_is_a_typed_error_and_nothing_was_sent(
    settings: dict[str, str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AlvysConnectionError) as caught:
        write(connect("https"), "deductions.create", **request_of("deductions.create"))
    assert not caught.value.arrived
    assert caught.value.is_permanent == (settings != {"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert proxy.tunnelled == []


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_write_that_the_proxy_refuses_to_tunnel_never_arrives(status: str, proxy: Proxy) -> None:
    client = connect("https")
    # Gets the token.
    assert client.scopes is None
    proxy.refusal = f"HTTP/1.1 {status}\r\n\r\n".encode()
    with pytest.raises(AlvysConnectionError, match=status[:3]) as caught:
        write(client, "deductions.create", **request_of("deductions.create"))
    assert not isinstance(caught.value, AlvysUnknownOutcomeError)
    assert not caught.value.arrived


@pytest.mark.parametrize("status", ["200 Connected", "403 Forbidden"])
def test_a_proxy_that_drips_ends_at_a_deadline(status: str, proxy: Proxy) -> None:
    proxy.refusal, proxy.gap = f"HTTP/1.1 {status}\r\n".encode() + b"X: y\r\n" * 99, 0.02
    began = time.monotonic()
    with pytest.raises(AlvysConnectionError) as caught:
        write(connect("https", timeout=0.2), "deductions.create", **request_of("deductions.create"))
    assert not caught.value.arrived
    assert time.monotonic() - began < 5
