"""No URL from a response leads into a private network."""

from __future__ import annotations

import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_alvys.api.documents.addresses import (
    AddressRefusedError,
    AddressRules,
    kind_of,
    literal_address,
)
from airflow_provider_alvys.api.documents.downloads import ENDPOINT, Downloader
from airflow_provider_alvys.api.errors import AlvysConnectionError, AlvysValueError
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT, RetryRules
from airflow_provider_alvys.hooks.settings import read_settings
from tests.conftest import SkippingClock

LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.0.1.",
    "127.255.255.254",
    "0x7f.1",
    "0X7F000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "①②⑦.⓪.⓪.①",
    "\uff11\uff12\uff17.0.0.1",
    "127。0。0。1",
]
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "[fc00::1]", "[fec0::1]"]
PRIVATE += ["167772161", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::1]", "[2001:db8::1]"]
FORBIDDEN = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "169.254.1.1",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[fd00:a9fe:a9fe::1]",
    "[fd00:42::42]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "[ff02::1]",
    "0.0.0.0",
    "0",
    "0.0.0.1",
    "[::]",
    "240.0.0.1",
    "255.255.255.255",
]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
NAMES = ["localhost", "LocalHost.", "app.localhost", "metadata.google.internal", "metadata", "nas.local"]


class Trap:
    """A server on this machine, and a proxy, that nothing may reach."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(f"{self.headers.get('host')}{self.path}")
                self.send_response(200)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"file")

            def do_CONNECT(self) -> None:
                outer.requests.append(self.path)
                self.send_error(502)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self.server.server_port
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@contextmanager
def running_trap() -> Iterator[Trap]:
    trap = Trap()
    try:
        yield trap
    finally:
        trap.server.shutdown()
        trap.server.server_close()


@pytest.fixture(scope="module")
def shared_trap() -> Iterator[Trap]:
    with running_trap() as trap:
        yield trap


@pytest.fixture
def trap(shared_trap: Trap) -> Trap:
    shared_trap.requests.clear()
    return shared_trap


def make_downloader(clock: SkippingClock, **options: Any) -> Downloader:
    return Downloader(clock=clock, timeout=(2.0, 2.0), **{"retry_rules": ONE_ATTEMPT, **options})


def check_refused(downloader: Downloader, url: str, trap: Trap, requests: int = 0) -> None:
    with pytest.raises(AlvysValueError) as caught:
        downloader.download(url, io.BytesIO(), what="document D1", size=None)
    assert caught.value.endpoint == ENDPOINT
    assert "secret" not in str(caught.value)
    assert len(trap.requests) == requests


@pytest.mark.parametrize("how", ["https", "http", "allow_http", "userinfo", "redirect", "proxy"])
@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE, *FORBIDDEN])
def test_no_spelling_of_an_inner_address_is_requested(
    clock: SkippingClock, trap: Trap, monkeypatch: pytest.MonkeyPatch, host: str, how: str
) -> None:
    scheme = "https" if how in ("https", "proxy") else "http"
    at = "storage.example@" if how == "userinfo" else ""
    url = f"{scheme}://{at}{host}:{trap.port}/f?sig=secret"
    if how == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{trap.port}")
        monkeypatch.setenv("NO_PROXY", "")
    downloader = make_downloader(clock, allow_http=how != "http", resolve=system_only_for_literals)
    if how == "redirect":
        # The first hop is allowed, and its target is judged anew.
        answer = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
        with OneAnswer(answer) as port:
            resolve = {"storage.example": ["127.0.0.1"]}
            downloader = make_downloader(
                clock, allow_http=True, rules=OnlyPort(port), resolve=lambda host: resolve[host]
            )
            check_refused(downloader, f"http://storage.example:{port}/f", trap)
        return
    check_refused(downloader, url, trap)


def system_only_for_literals(host: str) -> list[str]:
    raise AssertionError(f"{host} is looked up")


class OnlyPort(AddressRules):
    """Allow the address of the first hop only, whose server is on this machine."""

    def __init__(self, port: int) -> None:
        super().__init__()

    def check_address(self, host: str, address: str) -> None:
        if host != "storage.example":
            super().check_address(host, address)


class OneAnswer:
    """A server that gives one connection one answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        Thread(target=self._serve, daemon=True).start()
        port: int = self._socket.getsockname()[1]
        return port

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._answer)

    def __exit__(self, *arguments: Any) -> None:
        self._socket.close()


@pytest.mark.parametrize("address", [*PRIVATE, *FORBIDDEN, *LOOPBACK])
def test_a_name_is_refused_if_one_of_its_addresses_is_inner(
    clock: SkippingClock, trap: Trap, address: str
) -> None:
    try:
        literal = socket.getaddrinfo(address.strip("[]").replace("%25", "%"), None)[0][4][0]
    except OSError:
        pytest.skip("not an address of a resolver")
    found = ["93.184.216.34", str(literal)]
    downloader = make_downloader(clock, allow_http=True, resolve=lambda host: found)
    for scheme in ("http", "https"):
        check_refused(downloader, f"{scheme}://files.example:{trap.port}/f", trap)


@pytest.mark.parametrize("host", NAMES)
def test_a_proxy_is_not_asked_for_a_local_name(
    clock: SkippingClock, trap: Trap, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{trap.port}")
    monkeypatch.setenv("NO_PROXY", "")
    downloader = make_downloader(clock, resolve=lambda _: ["127.0.0.1"])
    check_refused(downloader, f"https://{host}/f", trap)
    # It is asked for others, which only it may be able to resolve.
    with pytest.raises(AlvysConnectionError):
        downloader.download("https://files.example/f", io.BytesIO(), what="document D1", size=None)
    assert trap.requests == ["files.example:443"]


def test_a_host_is_resolved_once_and_the_judged_address_is_connected_to(
    clock: SkippingClock, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, original = [], socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        looked_up.append(host)
        return original(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    rules = AddressRules(allow_private=True)
    downloader = make_downloader(clock, allow_http=True, rules=rules, resolve=lambda host: next(answers))
    file = io.BytesIO()
    downloader.download(f"http://files.example:{trap.port}/f", file, what="document D1", size=4)
    assert (file.getvalue(), set(looked_up)) == (b"file", {"127.0.0.1"})
    assert trap.requests == [f"files.example:{trap.port}/f"]
    # The server has closed the connection, and the next one is judged anew.
    check_refused(downloader, f"http://files.example:{trap.port}/f", trap, requests=1)


def test_the_next_address_is_tried_if_one_cannot_be_reached(clock: SkippingClock, trap: Trap) -> None:
    rules = AddressRules(allow_private=True)
    downloader = make_downloader(
        clock, allow_http=True, rules=rules, resolve=lambda host: ["127.0.0.2", "127.0.0.1"]
    )
    # Nothing listens at the first one.
    downloader.download(f"http://files.example:{trap.port}/f", io.BytesIO(), what="document D1", size=4)
    assert len(trap.requests) == 1


@pytest.mark.parametrize(("name", "is_right"), [("files.example", True), ("other.example", False)])
def test_the_certificate_must_be_for_the_name(
    clock: SkippingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_right: bool
) -> None:
    pem = make_certificate(tmp_path, "files.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    names: list[Any] = []
    context.sni_callback = lambda _, sent, __: names.append(sent)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    rules = AddressRules(allow_loopback=True)
    downloader = make_downloader(
        clock, rules=rules, resolve=lambda host: ["127.0.0.1"], retry_rules=RetryRules()
    )
    with running_trap() as trap:
        trap.server.socket = context.wrap_socket(trap.server.socket, server_side=True)
        url = f"https://{name}:{trap.port}/f"
        if is_right:
            downloader.download(url, io.BytesIO(), what="document D1", size=4)
        else:
            with pytest.raises(AlvysConnectionError):
                downloader.download(url, io.BytesIO(), what="document D1", size=4)
    # A wrong certificate stays wrong, so that there is no further attempt.
    assert (names, len(trap.requests)) == ([name], int(is_right))


def make_certificate(folder: Path, name: str) -> Path:
    """Return a file with a key and a certificate that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem)
    )
    return file


@pytest.mark.parametrize(
    ("address", "kind"),
    [(address, "forbidden") for address in FORBIDDEN] + [(address, "private") for address in PRIVATE],
)
def test_private_networks_include_no_forbidden_address(address: str, kind: str) -> None:
    assert kind_of(literal_address(address.replace("%25", "%")) or "") == kind


@pytest.mark.parametrize(
    "name",
    ["metadata", "Metadata.Google.Internal.", "metadata.goog", "instance-data", "instance-data.ec2.internal"],
)
def test_a_proxy_is_never_asked_for_a_metadata_service(name: str) -> None:
    with pytest.raises(AddressRefusedError):
        AddressRules(allow_private=True).check_name(name)
    AddressRules(allow_private=True).check_name("nas.local")


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_that_embeds_a_public_one_is_public(address: str) -> None:
    assert kind_of(address) == "public"


@pytest.mark.parametrize("extra", [{}, {"allow_http": True}, {"allow_private_downloads": True}])
@pytest.mark.parametrize(
    "host", ["https://integrations.alvys.com", "http://127.0.0.1:8080", "http://localhost"]
)
def test_a_connection_says_which_networks_are_allowed(host: str, extra: dict[str, Any]) -> None:
    connection = Connection(
        conn_id="c", conn_type="alvys", host=host, login="i", password="s", extra=json.dumps(extra)
    )
    rules = read_settings(connection).address_rules
    assert rules == AddressRules(allow_loopback=host.startswith("http:"), allow_private=bool(extra))


@pytest.mark.parametrize(
    ("rules", "address", "is_allowed"),
    [
        (AddressRules(**dict.fromkeys(names, True)), address, kind == "public" or kind in kinds)
        for names, kinds in (
            ((), ()),
            (("allow_loopback",), ("loopback",)),
            (("allow_private",), ("loopback", "private")),
            (("allow_loopback", "allow_private"), ("loopback", "private")),
        )
        for address, kind in (
            ("8.8.8.8", "public"),
            ("127.0.0.1", "loopback"),
            ("10.0.0.1", "private"),
            ("169.254.169.254", "forbidden"),
        )
    ],
)
def test_rules_allow_networks_and_never_metadata(rules: AddressRules, address: str, is_allowed: bool) -> None:
    try:
        rules.check_address("files.example", address)
    except ValueError:
        assert not is_allowed
    else:
        assert is_allowed
