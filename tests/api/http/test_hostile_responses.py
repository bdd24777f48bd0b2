"""Responses that a broken or hostile server sends: each ends soon, in a typed error and bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_alvys._compat import AirflowFailException
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysGatewayError,
    AlvysResponseError,
    AlvysTooLargeError,
    AlvysUnknownOutcomeError,
    is_hopeless,
)
from airflow_provider_alvys.api.http import sessions
from airflow_provider_alvys.api.http.auth import TOKEN_ENDPOINT, make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.alvys import AlvysRequestOperator
from tests.conftest import CONNECTION, SkippingClock
from tests.raw_server import RawServer, make_response
from tests.writes import request_of, write

# Python may collect garbage while it decodes deep JSON: finalizers then meet the limit of the recursion.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MEGABYTE = 1024 * 1024
DEEP = b'{"Title":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
BOMB = gzip.compress(bytes(64 * MEGABYTE))
# Ends without a complete, readable, final response: whether a write took place is unknown.
UNKNOWN = {
    "500, deep JSON": make_response(DEEP, "500 Oops"),
    "500, a huge exponent": make_response(b'{"Title":1e99999999999999999999}', "500 Oops"),
    "500, no text": make_response(b"\xff\xfe", "500 Oops", content_type="application/json; charset=nonsense"),
    "500, broken gzip": make_response(b"\x1f\x8b\x08\x00x", "500 Oops", content_encoding="gzip"),
    "500, a bomb": make_response(BOMB, "500 Oops", content_encoding="gzip"),
    "302, bad address": make_response(b"", "302 Found", location="http://[bad"),
    "302, bad port": make_response(b"", "302 Found", location="http://a:b"),
    "302, bad bytes": make_response(b"", "302 Found", location="\xff\xfe\x80"),
    "302, endless body": make_response(b"x" * 100, "302 Found", content_length="99999999999"),
    "303": make_response(b"", "303 See Other", location="/done"),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a bomb": make_response(BOMB, content_encoding="gzip"),
    "a bomb of zlib": make_response(zlib.compress(bytes(64 * MEGABYTE)), content_encoding="deflate"),
    "broken gzip": make_response(b"\x1f\x8b\x08\x00\xff\xff\xff", content_encoding="gzip"),
    "cut gzip": make_response(gzip.compress(b"{}" * 999)[:-9], content_encoding="gzip"),
    "an unknown encoding": make_response(b"{}", content_encoding="br"),
    "two encodings": make_response(gzip.compress(BOMB), content_encoding="gzip, gzip"),
    "too short": make_response(b"{}", content_length="99"),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no length of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a chunk of negative length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "no status": b"hello\r\n\r\n",
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "nothing": b"",
    "a long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
}
# The form of a gateway to log in.
PAGES = {
    "a page": make_response(b" <html>log in</html>"),
    "a page with a byte order mark": make_response(b"\xef\xbb\xbf<html>log in</html>"),
    "a page in UTF-16": make_response("\r\n<html>log in</html>".encode("utf-16")),
}
# A write with these has taken place; only its result may be unreadable.
DONE = {
    "deep JSON": make_response(DEEP),
    "a huge exponent": make_response(b'{"Id":"1","Amount":1e99999999999999999999}'),
    "less deep JSON": make_response(b'{"Id":' + b"[" * 900 + b"]" * 900 + b"}"),
    "a number beyond floats": make_response(b'{"Id":"1","Amount":1' + b"0" * 400 + b".5}"),
    "a number of all memory": make_response(b'{"Id":"1","Amount":1e999999999}'),
    "a number of 5,000 digits": make_response(b'{"Id":"1","Amount":' + b"9" * 5000 + b"}"),
    "a number of 21 digits": make_response(b'{"Id":100000000000000000000}'),
    "a negative number of 21 digits": make_response(b'{"Id":-100000000000000000000}'),
    "a whole number with an exponent": make_response(b'{"Id":"1","Amount":1e20}'),
    "no number": make_response(b'{"Id":"1","Amount":NaN}'),
    "half a character": make_response(b'{"Id":"\\ud83d"}'),
    "half a character in a name": make_response(b'{"\\ud83d":1}'),
    "half a character in a text": make_response(
        b"\\ud83d", content_type="text/plain; charset=unicode_escape"
    ),
    "a NUL": make_response(b'{"Id":"\\u0000"}'),
    "an unknown charset": make_response(b"\xff", content_type="text/plain; charset=nonsense"),
    "a charset with NUL": make_response(b"\xff", content_type="text/plain; charset=a\0b"),
    "a codec that is no charset": make_response(b"\xff", content_type="text/plain; charset=idna"),
    "nonsense in a cookie": make_response(set_cookie="\xff=;;expires=\0;max-age=1e9;domain=[", date="\xff"),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


def connect(server: RawServer, **options: Any) -> AlvysClient:
    credentials = make_credentials("id", "secret", auth_url=f"{server.url}/oauth/token")
    clock = SkippingClock()
    return AlvysClient(
        credentials,
        host=server.url,
        clock=clock,
        pacer=Pacer(0, clock=clock),
        **{"max_response_bytes": MEGABYTE, **options},
    )


def send(client: AlvysClient, name: str) -> Any:
    etag = '"v1"' if OPERATIONS[name].if_match == "required" else None
    return write(client, name, if_match=etag, **request_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("response", {**UNKNOWN, **PAGES}.values(), ids={**UNKNOWN, **PAGES})
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_write_without_a_readable_response_has_an_unknown_outcome(
    name: str, response: bytes, server: RawServer
) -> None:
    server.response = response
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(connect(server), name)
    if OPERATIONS[name].retry_safety == "unsafe":
        assert len(server.requests) == 1
        assert is_hopeless(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("response", DONE.values(), ids=DONE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_write_with_an_unreadable_result_is_sent_once(
    name: str, response: bytes, server: RawServer
) -> None:
    server.response = response
    row = OPERATIONS[name]
    try:
        result = send(connect(server), name)
    except AlvysUnknownOutcomeError:
        assert row.has_response
    else:
        assert result is None or row.has_response
    assert row.retry_safety != "unsafe" or len(server.requests) == 1


def test_nothing_in_any_number_of_parts_is_nothing() -> None:
    assert len(list(sessions.inflate(iter([gzip.compress(b"") * 1000] * 9)))) == 1


@pytest.mark.parametrize("response", {**UNKNOWN, **DONE}.values(), ids={**UNKNOWN, **DONE})
@pytest.mark.parametrize(
    "name", ["trips.dispatch", "deductions.create", "webhooks.create", "load_notes.create"]
)
def test_airflow_does_not_retry_a_task_that_writes(
    name: str, response: bytes, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"auth_url": f"{server.url}/oauth/token", "max_response_mb": 1, "requests_per_minute": 0}
    connection = {"conn_type": "alvys", "host": server.url, "login": "id", "password": "secret"}
    monkeypatch.setenv(CONNECTION, json.dumps({**connection, "extra": extra}))
    server.response = response
    try:
        result = AlvysHook().write(name, if_match=None, **request_of(name))
    except AirflowFailException:
        # Airflow does not retry a task that fails with it.
        result = None
    # A result that Airflow cannot send to its API server would fail the task, too.
    stored = BaseXCom.serialize_value(result)
    msgspec.msgpack.encode(stored)
    # PostgreSQL stores no NUL.
    assert r"\u0000" not in json.dumps(stored, allow_nan=False)
    assert len(server.requests) == 1


READS = {
    "a search": lambda client: client.request("POST", "loads/search", json={"Page": 0}),
    "a lookup": lambda client: client.request("GET", "loads", params={"loadNumber": "1"}),
}


@pytest.mark.parametrize("response", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_without_a_readable_response_is_a_typed_error(
    read: Callable[[AlvysClient], Any], response: bytes, server: RawServer
) -> None:
    server.response = response
    with pytest.raises(AlvysError) as caught:
        read(connect(server, retry_rules=ONE_ATTEMPT))
    assert caught.value.endpoint in ("POST loads/search", "GET loads")
    assert (caught.value.status_code == 500) == (b" 500 Oops" in response)


@pytest.mark.parametrize(
    "body", [b"\x1f\x8b\x08\x00x", gzip.compress(b"{}" * 99)[:-9]], ids=["broken", "cut"]
)
def test_an_error_whose_body_cannot_be_decoded_is_not_one_of_alvys(body: bytes, server: RawServer) -> None:
    server.response = make_response(body, "404 No", content_encoding="gzip")
    with pytest.raises(AlvysGatewayError) as caught:
        connect(server, retry_rules=ONE_ATTEMPT).request("GET", "loads")
    assert caught.value.status_code == 404


@pytest.mark.parametrize("response", {**UNKNOWN, **DONE}.values(), ids={**UNKNOWN, **DONE})
def test_a_token_endpoint_without_a_readable_response_is_a_typed_error(
    response: bytes, server: RawServer
) -> None:
    server.token_response = response
    with pytest.raises(AlvysError) as caught:
        send(connect(server), "trips.dispatch")
    assert caught.value.endpoint == TOKEN_ENDPOINT
    assert not isinstance(caught.value, AlvysUnknownOutcomeError)
    assert server.requests == []


@pytest.mark.parametrize("response", {**UNKNOWN, **DONE}.values(), ids={**UNKNOWN, **DONE})
def test_a_request_of_a_task_ends_in_a_value_or_a_typed_error(
    response: bytes, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"auth_url": f"{server.url}/oauth/token", "max_response_mb": 1, "requests_per_minute": 0}
    connection = {"conn_type": "alvys", "host": server.url, "login": "id", "password": "secret"}
    monkeypatch.setenv(CONNECTION, json.dumps({**connection, "extra": extra}))
    server.response = response
    with contextlib.suppress(AlvysError):
        AlvysRequestOperator(task_id="x", method="POST", path="anything").execute({})
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
@pytest.mark.parametrize("is_token", [False, True])
def test_a_small_response_cannot_fill_the_memory(status: str, is_token: bool, server: RawServer) -> None:
    bomb = make_response(BOMB, status, content_encoding="gzip")
    if is_token:
        server.token_response = bomb
    else:
        server.response = bomb
    tracemalloc.start()
    with pytest.raises(AlvysError):
        connect(server, retry_rules=ONE_ATTEMPT).request("GET", "loads")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


def test_a_response_of_the_largest_size_is_read(server: RawServer) -> None:
    body = json.dumps("x" * (MEGABYTE - 2)).encode()
    for response in (
        make_response(body),
        make_response(gzip.compress(body), content_encoding="gzip"),
        make_response(gzip.compress(body[:99]) + gzip.compress(body[99:]), content_encoding="x-gzip"),
        make_response(zlib.compress(body), content_encoding="deflate"),
    ):
        server.response = response
        assert connect(server).request("GET", "loads").content == body


def test_a_larger_response_is_an_error_that_no_retry_can_fix(server: RawServer) -> None:
    server.response = make_response(bytes(MEGABYTE + 1))
    with pytest.raises(AlvysTooLargeError, match="max_response_mb") as caught:
        connect(server).request("GET", "loads")
    assert is_hopeless(caught.value)
    assert len(server.requests) == 1


def test_the_connection_sets_the_largest_size(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "alvys",
        "host": server.url,
        "login": "id",
        "password": "secret",
        "extra": {"auth_url": f"{server.url}/oauth/token", "max_response_mb": 0.5, "requests_per_minute": 0},
    }
    monkeypatch.setenv(CONNECTION, json.dumps(connection))
    server.response = make_response(bytes(MEGABYTE // 2))
    assert len(AlvysHook().request("GET", "loads").content) == MEGABYTE // 2
    server.response = make_response(bytes(MEGABYTE // 2 + 1))
    with pytest.raises(AlvysTooLargeError):
        AlvysHook().request("GET", "loads")


# --- time

PAGE = b'{"Page":0,"PageSize":1,"Total":0,"Items":[]}'
SLOW = {
    "status line": b"HTTP/1.1 200 " + b"O" * 1000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
    "interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
    "body": make_response(PAGE.ljust(1000)),
    "body of an error": make_response(PAGE.ljust(1000), "500 Oops"),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200,
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 200,
}


@pytest.fixture
def drip(server: RawServer) -> RawServer:
    """Send one byte every 20 ms: 20 s for each response."""
    server.gap = 0.02
    return server


@pytest.fixture
def impatient(drip: RawServer) -> Iterator[AlvysClient]:
    client = connect(drip, timeout=(5.0, 0.2), retry_rules=ONE_ATTEMPT)
    began = time.monotonic()
    yield client
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("response", SLOW.values(), ids=SLOW)
def test_a_read_that_drips_ends_at_a_deadline(
    response: bytes, drip: RawServer, impatient: AlvysClient
) -> None:
    drip.response = response
    with pytest.raises(AlvysConnectionError) as caught:
        impatient.request("POST", "loads/search", json={})
    assert caught.value.arrived


@pytest.mark.parametrize("response", SLOW.values(), ids=SLOW)
def test_a_write_that_drips_has_an_unknown_outcome(
    response: bytes, drip: RawServer, impatient: AlvysClient
) -> None:
    drip.response = response
    with pytest.raises(AlvysUnknownOutcomeError):
        send(impatient, "trips.dispatch")
    assert len(drip.requests) == 1


@pytest.mark.parametrize("response", SLOW.values(), ids=SLOW)
def test_a_token_that_drips_ends_at_a_deadline(
    response: bytes, drip: RawServer, impatient: AlvysClient
) -> None:
    drip.token_response = response
    with pytest.raises(AlvysConnectionError) as caught:
        impatient.request("GET", "loads")
    assert caught.value.endpoint == TOKEN_ENDPOINT


@pytest.mark.parametrize("response", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("is_token", [False, True])
def test_the_test_button_does_not_hang_on_a_drip(
    response: bytes, is_token: bool, drip: RawServer, impatient: AlvysClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The button's own timeout is 10 s.
    monkeypatch.setattr(sessions, "RESPONSE_TIMEOUTS", 0.05)
    if is_token:
        drip.token_response = response
    else:
        drip.response = response
    connection = {"conn_type": "alvys", "host": drip.url, "login": "id", "password": "secret"}
    connection["extra"] = json.dumps({"auth_url": f"{drip.url}/oauth/token"})
    monkeypatch.setenv(CONNECTION, json.dumps(connection))
    works, message = AlvysHook().test_connection()
    assert not works
    assert "complete" in message


def test_a_slow_response_that_never_pauses_is_read(drip: RawServer, impatient: AlvysClient) -> None:
    drip.response = b"HTTP/1.1 204 No\r\n\r\n"
    assert impatient.request("GET", "loads").status_code == 204


# --- idle connections


def test_an_unsafe_write_does_not_use_an_idle_connection_that_the_server_may_close(server: RawServer) -> None:
    server.keeps_alive = True
    server.response = make_response(connection="keep-alive")
    client = connect(server)
    client.request("GET", "loads")
    assert send(client, "trips.dispatch") is None or OPERATIONS["trips.dispatch"].has_response
    assert [line.split()[0] for line in server.requests] == ["GET", OPERATIONS["trips.dispatch"].method]


def test_a_connection_with_an_unread_response_is_not_used_again(server: RawServer) -> None:
    server.keeps_alive = True
    client = connect(server, retry_rules=ONE_ATTEMPT)
    for response in ("302, endless body", "103", "500, a bomb"):
        server.response = UNKNOWN[response].replace(b"connection: close", b"connection: keep-alive")
        with pytest.raises((AlvysResponseError, AlvysGatewayError)):
            client.request("GET", "loads")
    assert len(server.requests) == 3
