"""A web page in a browser on the same machine cannot use the control endpoints."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_alvys.simulator.app.control_api import CONTROL_ENDPOINTS
from airflow_provider_alvys.simulator.process import Simulator

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def rows(alvys: Simulator) -> list[bytes]:
    """The simulator's loads, which a refused request does not change."""
    alvys.reset(loads=20)
    return alvys.truth_rows()


def call(alvys: Simulator, method: str, path: str, headers: dict[str, str]) -> requests.Response:
    return requests.request(method, alvys.url + path, data=b"{}", headers={**JSON, **headers}, timeout=10)


@pytest.mark.parametrize("call_name", CONTROL_ENDPOINTS)
@pytest.mark.parametrize(
    "headers",
    [
        # The name of a page's server, which now leads to this machine.
        {"Host": "rebound.example"},
        {"Host": "rebound.example:8099"},
        {"Host": "127.0.0.1.example"},
        {"Host": "localhost.example"},
        {"Host": "localhost@rebound.example"},
        {"Host": "192.168.1.7"},
        {"Host": "0.0.0.0:8099"},
        {"Host": "[fe80::1]"},
        {"Host": "[::1"},
        {"Host": "2130706433"},
        {"Host": ""},
        {"Origin": "https://page.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: "=".join(*headers.items()),
)
def test_a_control_request_that_a_page_may_have_caused_is_refused(
    alvys: Simulator, call_name: str, headers: dict[str, str]
) -> None:
    method, path = call_name.split()
    refused = call(alvys, method, path, headers)
    assert (refused.status_code, list(refused.json())) == (403, ["error"])
    assert call(alvys, method, f"{path}/more", headers).status_code == 403


def test_a_refused_request_changes_nothing(alvys: Simulator, rows: list[bytes]) -> None:
    for headers in ({"Host": "rebound.example"}, {"Origin": "null"}, {"Content-Type": "text/plain"}):
        assert call(alvys, "POST", "/_sim/reset", headers).status_code in (403, 415)
    assert alvys.truth_rows() == rows


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:{port}", "127.0.0.1", "127.0.0.9:{port}", "[::1]:{port}"]
)
def test_a_program_on_this_machine_may_use_any_name_of_it(
    alvys: Simulator, rows: list[bytes], host: str
) -> None:
    host = host.format(port=urlsplit(alvys.url).port)
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert call(alvys, "GET", "/_sim/stats", own).status_code == 200
    assert call(alvys, "POST", "/_sim/change", {**own, "Content-Type": "Application/JSON; charset=utf-8"}).ok
    assert call(alvys, "GET", "/_sim/stats", {"Host": host, "Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("call_name", [name for name in CONTROL_ENDPOINTS if name.startswith("POST")])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_control_request_needs_a_content_type_that_no_form_has(
    alvys: Simulator, call_name: str, kind: str
) -> None:
    method, path = call_name.split()
    assert call(alvys, method, path, {"Content-Type": kind}).status_code == 415


def test_two_hosts_are_refused(alvys: Simulator) -> None:
    address = urlsplit(alvys.url)
    hosts = "Host: localhost\r\nHost: rebound.example\r\n"
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        connection.sendall(f"GET /_sim/tokens HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
        assert connection.recv(65536).split()[1] in (b"403", b"400")


def test_other_endpoints_accept_any_host(alvys: Simulator) -> None:
    """A container reaches the simulator by a name of its own."""
    host = {"Host": "alvys.example"}
    assert requests.get(f"{alvys.url}/api/p/v1/users/list", headers=host, timeout=10).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_an_address_that_others_reach_is_warned_of(host: str) -> None:
    command = [sys.executable, "-m", "airflow_provider_alvys.simulator", "--host", host, "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, "--stop-with-stdin"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdout is not None
            port = urlsplit(process.stdout.readline().decode().strip()).port
            session: dict[str, Any] = {"timeout": 10, "url": f"http://127.0.0.1:{port}/_sim/stats"}
            for name in {host, "localhost"}:
                assert requests.get(**session, headers={"Host": f"{name}:{port}"}).status_code == 200
            for name in {"0.0.0.0", "192.168.1.7", "alvys.example"} - {host}:
                assert requests.get(**session, headers={"Host": f"{name}:{port}"}).status_code == 403
        finally:
            _, errors = process.communicate()
    assert (f"listens on {host}" in errors.decode()) == (host == "0.0.0.0")
