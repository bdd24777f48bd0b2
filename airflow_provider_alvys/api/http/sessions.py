"""Sessions of requests that bound a response in time and size, and know whether a request was sent."""

from __future__ import annotations

import functools
import io
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from airflow_provider_alvys import __version__

# Auth0's edge refuses Python's default user agent.
USER_AGENT = f"airflow-provider-alvys/{__version__}"
# A response may take this many read timeouts from its first byte to its last.
RESPONSE_TIMEOUTS = 3
_DEFAULT_READ_TIMEOUT = 60.0
_CHUNK_BYTES = 64 * 1024
# zlib detects the header of gzip or zlib.
_ANY_HEADER = zlib.MAX_WBITS | 32
DEFLATED = ("gzip", "x-gzip", "deflate")


class _LastRequest(threading.local):
    """Whether the last request of this thread may have arrived."""

    may_have_arrived = False


_last_request = _LastRequest()


class Session(requests.Session):
    """
    A session whose responses end at a deadline. It follows no redirect, and reads no body by itself.

    The deadline is :data:`RESPONSE_TIMEOUTS` read timeouts after the request was sent. It holds in every
    phase: ``timeout`` alone starts again with each byte.
    """

    def __init__(self) -> None:
        super().__init__()
        # Other encodings have no bound on what a few bytes become.
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        self.stream = True
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would parse the address and read all of the redirect's body."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, and return its response without the body."""
        _last_request.may_have_arrived = False
        return super().send(request, **kwargs)


def may_have_arrived() -> bool:
    """Return whether the server may have received the last request that this thread sent."""
    return _last_request.may_have_arrived


def content_encoding(response: requests.Response) -> str:
    """Return the encoding of a response's body; "" if the body is as it was sent."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def read_body(response: requests.Response, limit: int) -> bytes:
    """
    Return a response's decoded body; of a larger one, a part that is longer than ``limit``.

    :param limit: bytes.
    :raises Exception: of any kind; the body is cut off, or cannot be decoded.
    """
    encoding = content_encoding(response)
    if encoding and encoding not in DEFLATED:
        raise ValueError(f"its encoding is {encoding[:40]!r}, which was not requested")
    chunks = iter(lambda: response.raw.read(_CHUNK_BYTES, decode_content=False), b"")
    pieces, length = [], 0
    for piece in inflate(chunks) if encoding else chunks:
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            break
    return b"".join(pieces)


def inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress chunks into pieces of a bounded size. Raise zlib.error if that is not possible."""
    stream = None
    for chunk in chunks:
        while chunk:
            if stream is None or stream.eof:
                stream = zlib.decompressobj(_ANY_HEADER)
            # Nothing, compressed any number of times, must not become a long list.
            if piece := stream.decompress(chunk, _CHUNK_BYTES):
                yield piece
            chunk = stream.unconsumed_tail or stream.unused_data
    if stream is not None:
        yield stream.flush()
        if not stream.eof:
            raise zlib.error("the compressed body is cut off")


class Deadline:
    """The time at which what is read next must be complete."""

    def __init__(self, seconds: float) -> None:
        self.extend(seconds)

    def extend(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now."""
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds from now, negative after the deadline."""
        return self._ends - time.monotonic()


def read_until(deadline: Deadline, fp: Any, sock: socket.socket) -> io.BufferedReader:
    """Return the file of a response, with ``deadline`` for what is read from it."""
    return _BoundedStream(_Reader(fp.detach(), sock, deadline))


class _Reader(io.RawIOBase):
    """Read from a socket up to a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._socket = sock
        self._timeout = sock.gettimeout() or _DEFAULT_READ_TIMEOUT
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.left
        if left <= 0:
            raise TimeoutError(f"the response is not complete after {self._deadline.seconds:g} s")
        self._socket.settimeout(min(left, self._timeout))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedStream(io.BufferedReader):
    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            # The length of a chunk, as sent by the server.
            raise ValueError("the response has a part of negative length")
        return super().read(size)


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = Deadline(RESPONSE_TIMEOUTS * (sock.gettimeout() or _DEFAULT_READ_TIMEOUT))
        self.fp: Any = read_until(deadline, self.fp, sock)


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        _last_request.may_have_arrived = True
        super().endheaders(*args, **kwargs)


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _use_timed_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        return _use_timed_connections(super().proxy_manager_for(proxy, **kwargs))


def _use_timed_connections(manager: Any) -> Any:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _timed(pool) for scheme, pool in pools.items()}
    return manager


@functools.cache
def _timed(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Return a class of connection pools, for https or a kind of proxy, with timed connections."""
    if issubclass(pool.ConnectionCls, _TimedConnection):
        return pool
    connection = type("TimedConnection", (_TimedConnection, pool.ConnectionCls), {})
    return type("TimedPool", (pool,), {"ConnectionCls": connection})
