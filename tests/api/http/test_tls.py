"""TLS errors of writes: nothing was sent before the handshake, perhaps everything after it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_alvys.api.errors import AlvysConnectionError, AlvysUnknownOutcomeError
from airflow_provider_alvys.api.http.client import AlvysClient
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
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


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
