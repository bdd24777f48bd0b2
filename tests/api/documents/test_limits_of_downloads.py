"""A storage that stalls or sends without end costs bounded time, memory and disk."""

from __future__ import annotations

import gzip
import io
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_alvys.api.documents import downloads
from airflow_provider_alvys.api.documents.addresses import AddressRules
from airflow_provider_alvys.api.documents.downloads import (
    ENDPOINT,
    Downloader,
    SlowStorageError,
    UrlRefusedError,
)
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysDownloadError,
    AlvysError,
    AlvysResponseError,
    AlvysServerError,
    AlvysStorageError,
)
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from tests.conftest import SkippingClock

MIB = 1024**2
# Bytes that fit into the buffers of both sockets.
BUFFERS = 16 * MIB
END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked" + END

Script = Callable[[socket.socket, Event], None]


class RawServer:
    """A server that answers each connection by the next script, and counts what it could send."""

    def __init__(self, *scripts: Script) -> None:
        self.sent = 0
        self.connections = 0
        self._scripts = scripts
        self._stop = Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            Thread(target=self._answer, args=(connection, script), daemon=True).start()

    def _answer(self, connection: socket.socket, script: Script) -> None:
        with connection:
            connection.recv(65536)
            with suppress(OSError):
                script(connection, self._stop)

    def endless(self, head: bytes, block: bytes) -> Script:
        def script(connection: socket.socket, stop: Event) -> None:
            connection.sendall(head)
            while not stop.is_set():
                connection.sendall(block)
                self.sent += len(block)

        return script

    def stop(self) -> None:
        self._stop.set()
        self._socket.close()


def send(content: bytes) -> Script:
    return lambda connection, _: connection.sendall(content)


def drip(head: bytes, drop: bytes) -> Script:
    def script(connection: socket.socket, stop: Event) -> None:
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(drop)

    return script


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def serve(*scripts: Any) -> RawServer:
        servers.append(RawServer())
        servers[-1]._scripts = tuple(
            servers[-1].endless(*script) if isinstance(script, tuple) else script for script in scripts
        )
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


def make_downloader(clock: Clock, *, timeout: float = 0.3, **options: Any) -> Downloader:
    options = {"retry_rules": ONE_ATTEMPT, **options}
    return Downloader(clock=clock, timeout=(0.3, timeout), rules=AddressRules(allow_loopback=True), **options)


def download(downloader: Downloader, server: RawServer, file: Any = None, size: int | None = None) -> int:
    return downloader.download(f"{server.url}/f?sig=x", file or io.BytesIO(), what="document D1", size=size)


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(b"", b"H", id="status line"),
        pytest.param(OK, b"a: b\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim responses"),
        pytest.param(OK + b"Content-Length: 1000000" + END, b"x", id="body with a length"),
        pytest.param(OK + b"Connection: close" + END, b"x", id="body without a length"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks"),
        pytest.param(CHUNKED, b"0", id="length of a chunk"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n", b"a: b\r\n", id="trailers"),
        pytest.param(OK + b"Content-Encoding: gzip" + END + gzip.compress(b"")[:10], b"\0", id="gzip"),
    ],
)
def test_a_storage_that_drips_is_given_up(clock: SkippingClock, serve: Any, head: bytes, drop: bytes) -> None:
    server = serve(drip(head, drop))
    began = time.monotonic()
    with pytest.raises(AlvysConnectionError) as caught:
        download(make_downloader(clock), server)
    assert time.monotonic() - began < 10
    assert (caught.value.endpoint, caught.value.arrived) == (ENDPOINT, True)


def test_a_drip_is_retried_like_any_broken_download(clock: SkippingClock, serve: Any) -> None:
    whole = OK + b"Content-Length: 4" + END + b"file"
    server = serve(drip(OK + b"Content-Length: 4" + END, b""), send(whole))
    file = io.BytesIO()
    options: dict[str, Any] = {"retry_rules": downloads.RetryRules()}
    assert download(make_downloader(clock, **options), server, file) == 4
    assert (file.getvalue(), server.connections) == (b"file", 2)


def test_slow_progress_above_the_floor_is_no_error(clock: SkippingClock, serve: Any) -> None:
    def script(connection: socket.socket, stop: Event) -> None:
        connection.sendall(OK + b"Content-Length: %d" % (8 * downloads.CHUNK) + END)
        for _ in range(8):
            stop.wait(0.1)
            connection.sendall(b"x" * downloads.CHUNK)

    # It takes longer than one timeout.
    assert download(make_downloader(clock, timeout=0.6), serve(script)) == 8 * downloads.CHUNK


class RushingClock(Clock):
    """A clock on which each look costs a number of seconds."""

    def __init__(self, step: float) -> None:
        self._now, self._step = 1_700_000_000.0, step

    def time(self) -> float:
        self._now += self._step
        return self._now


def test_all_attempts_together_have_a_deadline(serve: Any) -> None:
    server = serve((OK + b"Connection: close" + END, b"x" * MIB))
    file = io.BytesIO()
    options: dict[str, Any] = {"retry_rules": downloads.RetryRules(), "timeout": 5.0}
    with pytest.raises(SlowStorageError) as caught:
        download(make_downloader(RushingClock(7.0), **options), server, file)
    assert caught.value.endpoint == ENDPOINT
    # 60 timeouts are over after 43 looks, one for each chunk. There is no further attempt.
    assert len(file.getvalue()) < 45 * downloads.CHUNK
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("302 Found", None),
        ("307 Temporary Redirect", None),
        ("404 Not Found", UrlRefusedError),
        ("503 Service Unavailable", AlvysServerError),
        ("206 Partial Content", AlvysResponseError),
        ("304 Not Modified", AlvysResponseError),
    ],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_only_the_body_of_a_file_is_read(
    clock: SkippingClock, serve: Any, status: str, error: type[AlvysError] | None, encoding: str
) -> None:
    head = f"HTTP/1.1 {status}\r\nLocation: /g\r\nContent-Encoding: {encoding}\r\n\r\n".encode()
    block = gzip.compress(bytes(100 * MIB)) if encoding == "gzip" else bytes(MIB)
    server = serve((head, block), send(OK + b"Content-Length: 4" + END + b"file"))
    if error is None:
        assert download(make_downloader(clock, timeout=5.0), server) == 4
        assert server.connections == 2
    else:
        with pytest.raises(error):
            download(make_downloader(clock, timeout=5.0), server)
    assert server.sent < BUFFERS


@pytest.mark.parametrize(
    ("size", "head", "block", "connections"),
    [
        pytest.param(MIB + 1, b"", b"x", 0, id="Alvys says so"),
        pytest.param(None, b"Content-Length: 1048577", b"x" * MIB, 1, id="the storage says so"),
        pytest.param(None, b"Connection: close", b"x" * MIB, 1, id="without end"),
        pytest.param(None, b"Content-Length: 1", b"", 1, id="within the maximum"),
        pytest.param(None, b"Content-Encoding: gzip", gzip.compress(bytes(64 * MIB)), 1, id="decompressed"),
    ],
)
def test_a_file_has_a_maximum_length(
    clock: SkippingClock, serve: Any, size: int | None, head: bytes, block: bytes, connections: int
) -> None:
    server = serve((OK + head + END, block)) if block else serve(send(OK + head + END + b"x"))
    file = Counting()
    options: dict[str, Any] = {"max_bytes": MIB, "timeout": 5.0, "retry_rules": downloads.RetryRules()}
    if not block:
        assert download(make_downloader(clock, **options), server, file) == 1
        return
    with pytest.raises(AlvysDownloadError) as caught:
        download(make_downloader(clock, **options), server, file, size=size)
    assert caught.value.endpoint == ENDPOINT
    # It is not retried, and stays within the maximum.
    assert (server.connections, clock.sleeps) == (connections, [])
    assert file.written <= MIB
    assert server.sent < BUFFERS


class Counting(io.BytesIO):
    written = 0

    def write(self, data: Any) -> int:
        self.written += len(data)
        return super().write(data)


@pytest.mark.parametrize(
    ("head", "size", "free", "most"),
    [
        pytest.param(b"Content-Length: 1", 1, 250 * MIB, 0, id="full before"),
        pytest.param(b"Content-Length: 104857600", 100 * MIB, 300 * MIB, 0, id="Alvys gives the size"),
        pytest.param(b"Content-Length: 104857600", None, 300 * MIB, 0, id="the storage gives the size"),
        pytest.param(b"Connection: close", None, 260 * MIB, 9 * MIB, id="without a size"),
    ],
)
def test_a_disk_is_not_filled(
    clock: SkippingClock,
    serve: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    head: bytes,
    size: int | None,
    free: int,
    most: int,
) -> None:
    server = serve((OK + head + END, b"x" * MIB))
    with (tmp_path / "file").open("w+b") as file:

        def disk_usage(of: Any) -> Any:
            assert of == file.fileno()
            return SimpleNamespace(total=10_000 * MIB, free=free - file.seek(0, 1))

        monkeypatch.setattr(shutil, "disk_usage", disk_usage)
        is_full = free < 256 * MIB
        with pytest.raises(AlvysStorageError if is_full else AlvysDownloadError) as caught:
            download(make_downloader(clock, timeout=5.0), server, file, size=size)
        assert file.seek(0, 1) <= most
    # A full disk is no error of this document: the run stops.
    assert caught.value.endpoint == (None if is_full else ENDPOINT)
    assert str(tmp_path) in str(caught.value)


def test_a_chunk_of_negative_length_is_not_read_at_once(clock: SkippingClock, serve: Any) -> None:
    server = serve((CHUNKED + b"-5\r\n", b"x" * MIB))
    with pytest.raises(AlvysConnectionError):
        download(make_downloader(clock, timeout=5.0), server)
    assert server.sent < BUFFERS


def test_an_encoding_that_was_not_asked_for_is_an_error(clock: SkippingClock, serve: Any) -> None:
    for encoding in (b"br", b"gzip, gzip"):
        with pytest.raises(AlvysResponseError):
            download(
                make_downloader(clock), serve(send(OK + b"Content-Encoding: " + encoding + END + b"file"))
            )


def test_a_host_with_many_silent_addresses_is_given_up() -> None:
    with socket.socket() as server, ExitStack() as queued:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        # A full queue: the system responds to no further connection.
        for _ in range(3):
            waiting = queued.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        downloader = make_downloader(Clock(), allow_http=True, resolve=lambda host: ["127.0.0.1"] * 40)
        url = f"http://files.example:{server.getsockname()[1]}/f"
        began = time.monotonic()
        with pytest.raises(AlvysConnectionError):
            downloader.download(url, io.BytesIO(), what="document D1", size=None)
    # Each address may take 0.3 s, and all together 1.2 s.
    assert 0.3 < time.monotonic() - began < 6
