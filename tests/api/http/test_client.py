from __future__ import annotations

import socket
import threading
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysRateLimitError,
    AlvysRefusedError,
    AlvysResponseError,
    AlvysServerError,
    AlvysValidationError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http.auth import make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.retries import RetryRules
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client

SEARCH = {"Page": 0, "PageSize": 1, "Status": ["Open"], "IncludeDeleted": True}


def search(client: AlvysClient, **body: Any) -> dict[str, Any]:
    return client.request("POST", "loads/search", json={**SEARCH, **body}).json()


@pytest.mark.parametrize(
    "path",
    ["loads/search", "/api/p/v1/loads/search", "/api/p/v2.0/Loads/Search", "{host}/api/p/v1.0/loads/search"],
)
def test_a_path_may_be_below_the_api_base_or_on_the_host(
    alvys: Simulator, client: AlvysClient, path: str
) -> None:
    client.request("POST", path.format(host=alvys.url), json=SEARCH)
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 1}


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/v1/me",
        "http://127.0.0.1:1/v1/me",
        "{host}9/v1/me",
        "https://127.0.0.1@evil.example/",
        "",
        " ",
    ],
)
def test_an_absolute_url_elsewhere_is_refused_before_anything_is_sent(
    alvys: Simulator, client: AlvysClient, path: str
) -> None:
    with pytest.raises(AlvysValueError, match="not the connection's host|path is empty"):
        client.request("GET", path.format(host=alvys.url))
    assert alvys.stats()["requests"] == {}


def test_a_path_cannot_lead_to_another_host(alvys: Simulator, client: AlvysClient) -> None:
    for path in ("//evil.example/v1/me", "@evil.example/", "/\\evil.example"):
        with pytest.raises(AlvysNotFoundError):
            client.request("GET", path)
    assert sum(alvys.stats()["answers"].values()) == 4


@pytest.mark.parametrize(
    "host", ["http://alvys.example.com", "ftp://x", "https://", "https://host:99999", "https://host?x=1"]
)
def test_a_host_that_credentials_must_not_be_sent_to_is_refused(host: str) -> None:
    with pytest.raises(AlvysValueError, match="clear text|no address"):
        AlvysClient(make_credentials("id", "secret"), host=host)


def test_the_version_is_what_the_documents_give_for_each_path_unless_set(
    alvys: Simulator, clock: SkippingClock
) -> None:
    client = make_client(alvys, clock=clock)
    assert client._prepare("POST", "loads/search").url == f"{alvys.url}/api/p/v2.0/loads/search"
    assert (
        client._prepare("GET", "trips/T1/check-calls").url == f"{alvys.url}/api/p/v2.0/trips/T1/check-calls"
    )
    assert client._prepare("GET", "drivers").url == f"{alvys.url}/api/p/v1.0/drivers"
    client = make_client(alvys, clock=clock, api_version="v1")
    assert client._prepare("POST", "loads/search").url == f"{alvys.url}/api/p/v1/loads/search"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 500, "times": 3}, id="500 three times"),
        pytest.param({"kind": "status", "status": 503, "body": "html"}, id="503 as HTML"),
        pytest.param({"kind": "status", "status": 429, "body": "html", "retry_after": "3"}, id="429 as HTML"),
        pytest.param({"kind": "status", "status": 429, "retry_after": "date+3"}, id="429 with a date"),
        pytest.param({"kind": "truncate"}, id="truncated body"),
        pytest.param({"kind": "reset", "times": 2}, id="connection reset"),
        pytest.param({"kind": "timeout", "seconds": 0.6}, id="timeout"),
    ],
)
def test_a_read_outlives_a_failure_that_passes(
    alvys: Simulator, clock: SkippingClock, fault: dict[str, Any]
) -> None:
    client = make_client(alvys, clock=clock, timeout=(5, 0.3))
    alvys.order_faults({**fault, "endpoint": "POST loads/search"})
    assert search(client)["Total"] > 0
    assert len(clock.sleeps) == fault.get("times", 1)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ({"status": 500}, AlvysServerError, "POST loads/search answered 500: .*Try again later"),
        ({"status": 429}, AlvysRateLimitError, "answered 429.*Lower requests_per_minute"),
        ({"status": 400, "body": "bare"}, AlvysValidationError, "Statuses: The Statuses field is required"),
        (
            {"status": 403, "body": "html"},
            AlvysPermissionError,
            "The token holds load:read: something else refuses it",
        ),
        ({"status": 404}, AlvysNotFoundError, "answered 404"),
        ({"status": 405}, AlvysRefusedError, "answered 405"),
        ({"status": 415, "body": "html"}, AlvysRefusedError, r"answered 415\. Correct the request"),
    ],
)
def test_a_failure_that_stays_is_a_typed_error(
    alvys: Simulator, client: AlvysClient, fault: dict[str, Any], error: type[AlvysError], message: str
) -> None:
    alvys.order_faults({"kind": "status", "times": 99, **fault})
    with pytest.raises(error, match=message) as caught:
        search(client)
    assert caught.value.status_code == fault["status"]
    assert caught.value.endpoint == "POST loads/search"


def test_a_validation_error_tells_its_fields(alvys: Simulator, client: AlvysClient) -> None:
    with pytest.raises(AlvysValidationError) as caught:
        search(client, PageSize=0)
    assert caught.value.fields == {"PageSize": ["The PageSize field is required."]}


def test_a_redirect_is_not_followed(alvys: Simulator, client: AlvysClient, clock: SkippingClock) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve() -> None:
        connection, _ = listener.accept()
        seen.append(connection.recv(65536))
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/x\r\nContent-Length: 0\r\n\r\n"
        )
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    credentials = make_credentials("simulator", "simulator-secret", auth_url=f"{alvys.url}/oauth/token")
    client = AlvysClient(credentials, host=f"http://127.0.0.1:{listener.getsockname()[1]}", clock=clock)
    with pytest.raises(AlvysResponseError, match="redirected to https://evil.example:443"):
        client.request("GET", "/v1/me")
    thread.join()
    listener.close()
    assert b"Bearer" in seen[0]
    assert len(seen) == 1


def test_netrc_does_not_replace_the_token(
    alvys: Simulator, client: AlvysClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert client.request("GET", "/v1/me").status_code == 200


def test_an_unknown_host_is_an_error(alvys: Simulator, clock: SkippingClock) -> None:
    credentials = make_credentials("simulator", "simulator-secret", auth_url=f"{alvys.url}/oauth/token")
    client = AlvysClient(credentials, host="https://alvys.invalid", clock=clock, requests_per_minute=0)
    with pytest.raises(
        AlvysConnectionError, match=r"GET /v1/me: no answer from https://alvys.invalid:443.*Check the host"
    ) as caught:
        client.request("GET", "/v1/me")
    assert not caught.value.arrived
    assert len(clock.sleeps) == RetryRules().attempts - 1


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        pytest.param({"kind": "status", "status": 500}, 1, id="500"),
        pytest.param({"kind": "reset"}, 1, id="reset"),
        pytest.param({"kind": "status", "status": 429}, 2, id="429"),
    ],
)
def test_a_write_is_repeated_only_where_it_surely_did_nothing(
    alvys: Simulator, client: AlvysClient, fault: dict[str, Any], tries: int
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST deductions/once"})
    with pytest.raises(AlvysError):
        client.request("POST", "deductions/once", json={})
    assert alvys.stats()["requests"]["POST deductions/once"] == tries


def test_a_longer_wait_than_the_rules_allow_is_left_to_the_caller(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock
) -> None:
    alvys.order_faults({"kind": "status", "status": 503, "retry_after": "3600"})
    with pytest.raises(AlvysServerError) as caught:
        search(client)
    assert caught.value.retry_after == 3600
    assert clock.sleeps == []


def test_a_second_429_waits_for_the_documented_block(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": "60", "times": 2})
    search(client)
    assert 60 <= clock.sleeps[0] <= 61
    assert 180 <= clock.sleeps[1] <= 181


@pytest.mark.parametrize(("offset", "behind"), [(-600, 600), (+600, 0)])
def test_now_is_the_earlier_of_both_clocks(
    alvys: Simulator, clock: SkippingClock, offset: float, behind: float
) -> None:
    alvys.reset(loads=0, clock_offset=offset)
    client = make_client(alvys, clock=clock)
    # By the answer that brought the token, then by the API's own.
    assert client.clock.time() - client.now() == pytest.approx(behind, abs=2)
    client.request("GET", "/v1/me")
    assert client.clock.time() - client.now() == pytest.approx(behind, abs=2)
    # Another client learns it from the token that it shares.
    assert clock.time() - make_client(alvys, clock=clock).now() == pytest.approx(behind, abs=2)
    assert alvys.stats()["tokens"] == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("60", 60.0), ("1.5", 1.5), ("soon", None), ("-5", None), ("inf", None), ("", None), ("nan", None)],
)
def test_retry_after_is_read_in_every_form(alvys: Simulator, header: str, seconds: float | None) -> None:
    client = make_client(alvys, clock=SkippingClock(), retry_rules=RetryRules(attempts=1))
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": header})
    with pytest.raises(AlvysRateLimitError) as caught:
        search(client)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("60", 60, 61),
        ("1.5", 1.5, 1.65),
        ("date+40", 39, 42),
        # Without a time that makes sense: exponential, from a second on.
        ("date-90", 1, 2),
        ("soon", 1, 2),
        (None, 1, 2),
    ],
)
def test_every_form_of_retry_after_is_waited_for(
    alvys: Simulator, header: str | None, least: float, most: float
) -> None:
    clock = SkippingClock()
    client = make_client(alvys, clock=clock)
    alvys.order_faults(
        {"kind": "status", "status": 429, "endpoint": "POST loads/search", "retry_after": header}
    )
    search(client)
    (wait,) = clock.sleeps
    assert least <= wait <= most


def test_a_429_after_a_good_answer_is_not_the_second_in_a_row(alvys: Simulator) -> None:
    clock = SkippingClock()
    client = make_client(alvys, clock=clock)
    rate_limited = {"kind": "status", "status": 429, "endpoint": "POST loads/search", "retry_after": "5"}
    alvys.order_faults(rate_limited, {**rate_limited, "skip": 1})
    search(client)
    search(client)
    assert [round(wait) for wait in clock.sleeps] == [5, 5]
    # Two in a row: the second one waits for the documented block.
    alvys.order_faults({**rate_limited, "times": 2})
    search(client)
    assert round(clock.sleeps[-1]) in (180, 181)


@pytest.mark.parametrize(("offset", "seconds"), [(90, 90), (-90, 0)])
def test_retry_after_as_a_date_is_read_by_the_servers_clock(
    alvys: Simulator, offset: int, seconds: int
) -> None:
    alvys.reset(loads=1, clock_offset=1000)
    client = make_client(alvys, clock=SkippingClock(), retry_rules=RetryRules(attempts=1))
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": f"date{offset:+d}"})
    with pytest.raises(AlvysRateLimitError) as caught:
        search(client)
    assert caught.value.retry_after == pytest.approx(seconds, abs=1)
    assert formatdate(usegmt=True).endswith("GMT")


def test_the_token_is_told_before_it_is_used(alvys: Simulator, clock: SkippingClock) -> None:
    told: list[str] = []
    for _ in range(2):
        client = make_client(alvys, clock=clock, on_token=told.append)
        client.request("GET", "/v1/me")
        client.request("GET", "/v1/me")
    assert len(told) == 2
    assert told[0] == told[1]
    assert len(told[0]) > 40


def test_nothing_goes_to_a_proxy_on_its_way_to_loopback(
    alvys: Simulator, client: AlvysClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client.request("GET", "/v1/me").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"a": float("nan")}},
        pytest.param({"json": {"a": object()}}, id="object"),
        {"headers": {"X": "a\nb"}},
        {"headers": {"X": 5}},
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_refused_at_once(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock, body: dict[str, Any]
) -> None:
    with pytest.raises(AlvysValueError, match="POST loads/search: this cannot be sent"):
        client.request("POST", "loads/search", **body)
    assert "POST loads/search" not in alvys.stats()["requests"]
    assert clock.sleeps == []


def test_a_token_endpoint_that_fails_is_tried_no_more_often_than_a_call(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "endpoint": "POST token", "times": 99})
    with pytest.raises(AlvysRateLimitError, match="POST token answered 429"):
        search(client)
    assert alvys.stats()["requests"] == {"POST token": RetryRules().attempts}
    assert not [record for record in caplog.records if record.name.endswith("pacing")]


def test_an_answer_that_cannot_be_true_once_is_asked_for_again(alvys: Simulator, client: AlvysClient) -> None:
    answers = iter([AlvysResponseError("no", status_code=200, endpoint="POST loads/search"), None])

    def read(response: Any) -> str:
        problem = next(answers)
        if problem:
            raise problem
        return "read"

    assert client.call("POST", "loads/search", json=SEARCH, read=read) == "read"


@pytest.mark.parametrize("status", [300, 302, 304])
def test_a_redirect_without_an_address_is_an_error_too(
    alvys: Simulator, client: AlvysClient, status: int
) -> None:
    alvys.order_faults({"kind": "status", "status": status})
    with pytest.raises(AlvysResponseError, match="redirected to another path"):
        search(client)


def test_a_client_with_another_clock_shares_token_pace_and_connections(
    alvys: Simulator, clock: SkippingClock
) -> None:
    client, other = make_client(alvys, clock=clock, requests_per_minute=60), SkippingClock()
    search(client)
    patient = client.with_clock(other)
    for _ in range(10):
        search(patient)
    assert sum(other.sleeps) > 0
    assert clock.sleeps == []
    assert client.clock is clock
    assert patient.pacer is client.pacer
    assert alvys.stats()["tokens"] == 1
