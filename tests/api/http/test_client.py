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
def test_a_path_is_below_the_api_base_or_on_the_host(
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
def test_a_url_on_another_host_is_an_error_before_anything_is_sent(
    alvys: Simulator, client: AlvysClient, path: str
) -> None:
    with pytest.raises(AlvysValueError, match="host|path"):
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
def test_a_host_unsafe_for_credentials_is_an_error(host: str) -> None:
    with pytest.raises(AlvysValueError, match="host="):
        AlvysClient(make_credentials("id", "secret"), host=host)


def test_each_path_has_its_documented_version_unless_one_is_set(
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
def test_a_read_is_retried_after_a_temporary_failure(
    alvys: Simulator, clock: SkippingClock, fault: dict[str, Any]
) -> None:
    # A busy machine answers late too: only the silent server may meet the short limit.
    seconds = 0.3 if fault["kind"] == "timeout" else 60
    client = make_client(alvys, clock=clock, timeout=(5, seconds))
    alvys.order_faults({**fault, "endpoint": "POST loads/search"})
    assert search(client)["Total"] > 0
    assert len(clock.sleeps) == fault.get("times", 1)


@pytest.mark.parametrize(
    ("fault", "error", "quoted"),
    [
        ({"status": 500}, AlvysServerError, "Try again later"),
        ({"status": 429}, AlvysRateLimitError, "requests_per_minute"),
        ({"status": 400, "body": "bare"}, AlvysValidationError, "Statuses: The Statuses field is required"),
        ({"status": 403}, AlvysPermissionError, "load:read"),
        ({"status": 404}, AlvysNotFoundError, ""),
        ({"status": 405}, AlvysRefusedError, ""),
        ({"status": 415}, AlvysRefusedError, "415: Unsupported Media Type: A fault"),
    ],
)
def test_a_permanent_failure_is_a_typed_error(
    alvys: Simulator, client: AlvysClient, fault: dict[str, Any], error: type[AlvysError], quoted: str
) -> None:
    alvys.order_faults({"kind": "status", "times": 99, **fault})
    with pytest.raises(error) as caught:
        search(client)
    assert quoted in str(caught.value)
    assert caught.value.status_code == fault["status"]
    assert caught.value.endpoint == "POST loads/search"
    # The token has the scope.
    assert getattr(caught.value, "missing_scope", None) is None


def test_a_validation_error_has_its_fields(alvys: Simulator, client: AlvysClient) -> None:
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
    with pytest.raises(AlvysResponseError, match="https://evil.example:443") as caught:
        client.request("GET", "/v1/me")
    thread.join()
    listener.close()
    assert caught.value.status_code == 302
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
    with pytest.raises(AlvysConnectionError, match=r"https://alvys.invalid:443") as caught:
        client.request("GET", "/v1/me")
    assert (caught.value.endpoint, caught.value.arrived) == ("GET /v1/me", False)
    assert len(clock.sleeps) == RetryRules().attempts - 1


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        pytest.param({"kind": "status", "status": 500}, 1, id="500"),
        pytest.param({"kind": "reset"}, 1, id="reset"),
        pytest.param({"kind": "status", "status": 429}, 2, id="429"),
    ],
)
def test_a_write_is_retried_only_if_it_certainly_had_no_effect(
    alvys: Simulator, client: AlvysClient, fault: dict[str, Any], tries: int
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST deductions/once"})
    with pytest.raises(AlvysError):
        client.request("POST", "deductions/once", json={})
    assert alvys.stats()["requests"]["POST deductions/once"] == tries


def test_a_longer_wait_than_the_rules_allow_is_an_error(
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
    # From the token response, then from a response of the API.
    assert client.clock.time() - client.now() == pytest.approx(behind, abs=2)
    client.request("GET", "/v1/me")
    assert client.clock.time() - client.now() == pytest.approx(behind, abs=2)
    # Another client knows it from the shared token source.
    assert clock.time() - make_client(alvys, clock=clock).now() == pytest.approx(behind, abs=2)
    assert alvys.stats()["tokens"] == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("60", 60.0), ("1.5", 1.5), ("soon", None), ("-5", None), ("inf", None), ("", None), ("nan", None)],
)
def test_every_form_of_retry_after_is_parsed(alvys: Simulator, header: str, seconds: float | None) -> None:
    client = make_client(alvys, clock=SkippingClock(), retry_rules=RetryRules(attempts=1))
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": header})
    with pytest.raises(AlvysRateLimitError) as caught:
        search(client)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("header", "min_wait", "max_wait"),
    [
        ("60", 60, 61),
        ("1.5", 1.5, 1.65),
        ("date+40", 39, 42),
        # Without a valid time: exponential backoff from one second on.
        ("date-90", 1, 2),
        ("soon", 1, 2),
        (None, 1, 2),
    ],
)
def test_every_form_of_retry_after_is_waited_for(
    alvys: Simulator, header: str | None, min_wait: float, max_wait: float
) -> None:
    clock = SkippingClock()
    client = make_client(alvys, clock=clock)
    alvys.order_faults(
        {"kind": "status", "status": 429, "endpoint": "POST loads/search", "retry_after": header}
    )
    search(client)
    (wait,) = clock.sleeps
    assert min_wait <= wait <= max_wait


def test_a_429_after_a_good_answer_is_not_the_second_in_a_row(alvys: Simulator) -> None:
    clock = SkippingClock()
    client = make_client(alvys, clock=clock)
    rate_limited = {"kind": "status", "status": 429, "endpoint": "POST loads/search", "retry_after": "5"}
    alvys.order_faults(rate_limited, {**rate_limited, "skip": 1})
    search(client)
    search(client)
    assert [round(wait) for wait in clock.sleeps] == [5, 5]
    # After two in a row the client waits for the documented block.
    alvys.order_faults({**rate_limited, "times": 2})
    search(client)
    assert round(clock.sleeps[-1]) in (180, 181)


@pytest.mark.parametrize(("offset", "seconds"), [(90, 90), (-90, 0)])
def test_a_date_in_retry_after_is_compared_with_the_servers_clock(
    alvys: Simulator, offset: int, seconds: int
) -> None:
    alvys.reset(loads=1, clock_offset=1000)
    client = make_client(alvys, clock=SkippingClock(), retry_rules=RetryRules(attempts=1))
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": f"date{offset:+d}"})
    with pytest.raises(AlvysRateLimitError) as caught:
        search(client)
    assert caught.value.retry_after == pytest.approx(seconds, abs=1)
    assert formatdate(usegmt=True).endswith("GMT")


def test_each_token_is_reported_before_its_first_use(alvys: Simulator, clock: SkippingClock) -> None:
    tokens: list[str] = []
    for _ in range(2):
        client = make_client(alvys, clock=clock, on_token=tokens.append)
        client.request("GET", "/v1/me")
        client.request("GET", "/v1/me")
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) > 40


def test_requests_to_loopback_bypass_proxies(
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
def test_a_request_that_cannot_be_encoded_is_an_error_at_once(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock, body: dict[str, Any]
) -> None:
    with pytest.raises(AlvysValueError) as caught:
        client.request("POST", "loads/search", **body)
    assert caught.value.endpoint == "POST loads/search"
    assert "POST loads/search" not in alvys.stats()["requests"]
    assert clock.sleeps == []


def test_a_failing_token_endpoint_is_retried_as_often_as_a_call(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "endpoint": "POST token", "times": 99})
    with pytest.raises(AlvysRateLimitError) as caught:
        search(client)
    assert caught.value.endpoint == "POST token"
    assert alvys.stats()["requests"] == {"POST token": RetryRules().attempts}
    assert not [record for record in caplog.records if record.name.endswith("pacing")]


def test_a_response_that_read_rejects_is_requested_again(alvys: Simulator, client: AlvysClient) -> None:
    answers = iter([AlvysResponseError("no", status_code=200, endpoint="POST loads/search"), None])

    def read(response: Any) -> str:
        problem = next(answers)
        if problem:
            raise problem
        return "read"

    assert client.call("POST", "loads/search", json=SEARCH, read=read) == "read"


@pytest.mark.parametrize("status", [300, 302, 304])
def test_a_redirect_without_a_location_is_an_error(
    alvys: Simulator, client: AlvysClient, status: int
) -> None:
    alvys.order_faults({"kind": "status", "status": status})
    with pytest.raises(AlvysResponseError) as caught:
        search(client)
    assert caught.value.status_code == status


def test_a_client_with_another_clock_shares_token_and_pace(alvys: Simulator, clock: SkippingClock) -> None:
    client, other_clock = make_client(alvys, clock=clock, requests_per_minute=60), SkippingClock()
    search(client)
    other_client = client.with_clock(other_clock)
    for _ in range(10):
        search(other_client)
    assert sum(other_clock.sleeps) > 0
    assert clock.sleeps == []
    assert client.clock is clock
    assert other_client.pacer is client.pacer
    assert alvys.stats()["tokens"] == 1
