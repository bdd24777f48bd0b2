from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import get_token

ALL = {"Page": 0, "PageSize": 200, "Status": ["Open", "Delivered"], "IncludeDeleted": True}


def post(
    alvys: Simulator, body: Any, path: str = "/api/p/v2.0/loads/search", token: str | None = None
) -> requests.Response:
    headers = {"Authorization": f"Bearer {token or get_token(alvys)}"}
    return requests.post(alvys.url + path, json=body, headers=headers, timeout=10)


def test_the_simulator_ends_with_its_parent_process() -> None:
    code = (
        "import os; from airflow_provider_alvys.simulator.process import Simulator\n"
        "print(Simulator().url, flush=True); os._exit(1)"
    )
    url = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    ).stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    for _ in range(100):
        try:
            requests.get(f"{url}/_sim/stats", timeout=5)
        except requests.ConnectionError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the simulator outlived its parent")


def test_loads_have_three_to_eight_kilobytes(alvys: Simulator) -> None:
    rows = alvys.truth_rows()
    sizes = sorted(len(row) for row in rows)
    assert sizes[0] >= 3000
    assert sizes[-1] <= 8 * 1024
    assert 3500 < sum(sizes) / len(sizes) < 5500
    loads = [json.loads(row) for row in rows]
    assert len({load["Id"] for load in loads}) == len({load["LoadNumber"] for load in loads}) == 450
    # Records omit nulls, and times have several formats.
    assert all(value is not None for load in loads for value in load.values())
    assert {len(load) for load in loads} != {len(loads[0])}
    assert {load["CreatedAt"][-6:] for load in loads} == {"+00:00"}
    assert len({len(load["CreatedAt"]) for load in loads}) == 3
    # Of the place.
    assert {"-04:00", "-05:00", "-07:00"} <= {load["ScheduledPickupAt"][-6:] for load in loads}
    types = {stop["$type"] for load in loads for stop in load["Stops"]}
    assert types == {"appointment", "delivery_window", "waypoint"}
    assert any(b".50," in row or b".00," in row for row in rows)


def test_the_same_seed_gives_the_same_loads(alvys: Simulator) -> None:
    alvys.reset(loads=20, seed=5, now=1_790_000_000)
    rows = alvys.truth_rows()
    alvys.reset(loads=20, seed=5, now=1_790_000_000)
    assert alvys.truth_rows() == rows
    alvys.reset(loads=20, seed=6, now=1_790_000_000)
    assert alvys.truth_rows() != rows


def test_the_first_page_is_0_and_the_one_after_the_last_is_404(alvys: Simulator) -> None:
    first = post(alvys, {**ALL, "PageSize": 50}).json()
    assert list(first) == ["Page", "PageSize", "Total", "Items"]
    last = (first["Total"] - 1) // 50
    assert (
        len(post(alvys, {**ALL, "PageSize": 50, "Page": last}).json()["Items"]) == first["Total"] - 50 * last
    )
    past = post(alvys, {**ALL, "PageSize": 50, "Page": last + 1})
    assert (past.status_code, past.json()["Title"]) == (404, "Not Found")
    none = post(alvys, {**ALL, "LoadNumbers": ["none"]})
    assert (none.status_code, none.json()["Items"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"Page": 0, "PageSize": 5}, set(get_stream("loads").any_of)),
        (
            {"Page": 0, "PageSize": 5, "Status": [], "UpdatedAtRange": {"Start": "2026-01-01T00:00:00Z"}},
            set(get_stream("loads").any_of),
        ),
        ({**ALL, "Page": None}, {"Page"}),
        ({**ALL, "PageSize": 0}, {"PageSize"}),
        ({**ALL, "Status": ["Opened"]}, {"Status"}),
        ({**ALL, "LoadNumbers": ["1"] * 51}, {"LoadNumbers"}),
        ({**ALL, "UpdatedAtRange": {"Start": "yesterday"}}, {"UpdatedAtRange"}),
        ({**ALL, "UpdatedAtRange": ["x"]}, {"UpdatedAtRange"}),
        ({**ALL, "DateRange": {"Start": "2026-01-01T00:00:00Z", "End": 3}}, {"DateRange"}),
    ],
)
def test_an_invalid_body_gets_a_400_with_a_map_of_errors(
    alvys: Simulator, body: dict[str, Any], fields: set[str]
) -> None:
    answer = post(alvys, body)
    assert answer.status_code == 400
    assert set(answer.json()) == fields


def test_names_are_case_insensitive_and_unknown_ones_are_ignored(alvys: Simulator) -> None:
    body = {"page": 0, "PAGESIZE": 1, "status": ["Open"], "includedeleted": True, "Whatever": 1}
    known = post(alvys, body, path="/API/P/v1/Loads/Search").json()["Total"]
    assert known == len(alvys.truth_keys(filters='{"Status":["Open"]}'))
    misspelt = {**body, "UpdatedAtRange": {"From": "2030-01-01T00:00:00Z"}}
    assert post(alvys, misspelt).json()["Total"] == known


def test_a_search_returns_deleted_loads_only_on_request(alvys: Simulator) -> None:
    alvys.change(rows=3, columns={"IsDeleted": True, "Status": "Open"})
    with_deleted = post(alvys, {**ALL, "Status": ["Open"]}).json()
    without = post(alvys, {**ALL, "Status": ["Open"], "IncludeDeleted": False}).json()
    assert with_deleted["Total"] - without["Total"] >= 3
    assert all("IsDeleted" in load for load in with_deleted["Items"])
    assert not any("IsDeleted" in load for load in without["Items"])


def test_too_many_requests_block_an_endpoint_for_the_documented_time(alvys: Simulator) -> None:
    alvys.reset(loads=1, limits=True, minute=0.5)
    token = get_token(alvys)
    statuses = [post(alvys, ALL, token=token).status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    blocked = post(alvys, ALL, token=token)
    assert blocked.headers["content-type"].startswith("text/html")
    assert blocked.headers["retry-after"] == "0.5"
    # Three minutes long, though Retry-After says one.
    time.sleep(0.6)
    assert post(alvys, ALL, token=token).status_code == 429
    time.sleep(1.1)
    assert post(alvys, ALL, token=token).status_code == 200
    assert alvys.stats()["rate_limited"] == 4


@pytest.mark.parametrize("body", ["json", "html", "bare"])
def test_a_fault_sends_any_final_status(alvys: Simulator, body: str) -> None:
    statuses = [200, 204, 299, 304, 418, 499, 520, 530, 599, 600, 777, 999]
    faults = [{"kind": "status", "status": status, "body": body, "retry_after": "7"} for status in statuses]
    alvys.order_faults(*faults)
    # One connection, unless the server closes it.
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {get_token(alvys)}"
        answers = [session.get(f"{alvys.url}/api/p/v1/users/list", timeout=10) for _ in [*statuses, None]]
    *struck, last = answers
    assert [answer.status_code for answer in struck] == statuses
    assert {answer.headers["retry-after"] for answer in struck} == {"7"}
    assert [answer.status_code for answer in struck if not answer.content] == [204, 304]
    if body == "json":
        assert [answer.json()["Status"] for answer in struck if answer.content] == [
            status for status in statuses if status not in (204, 304)
        ]
    assert (last.status_code, type(last.json())) == (200, list)
    counted = alvys.stats()["answers"]
    assert counted == {str(status): 1 for status in statuses} | {"200": 3}


@pytest.mark.parametrize(
    ("fault", "content_type"),
    [
        ({"kind": "html"}, "text/html"),
        ({"kind": "status", "status": 503, "body": "html"}, "text/html; charset=UTF-8"),
    ],
)
def test_an_html_fault_has_its_content_type(
    alvys: Simulator, fault: dict[str, Any], content_type: str
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST loads/search"})
    assert post(alvys, ALL).headers["content-type"] == content_type


def raw_response(alvys: Simulator, call: str) -> bytes:
    """Send a call without a body, and return all bytes of its response, until the connection ends."""
    parts = urlsplit(alvys.url)
    request = f"{call} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


EVERY_STATUS = [*range(100, 105), 150, 199, 200, 204, 205, 299, 304, 451, *range(520, 531), 599, 600, 999]


@pytest.mark.parametrize(
    ("call", "endpoint"),
    [
        ("POST /api/p/v1/loads/search", "POST loads/search"),
        ("DELETE /api/p/v1/customers/1", "DELETE customers/{id}"),
        ("POST /oauth/token", "POST token"),
        ("GET /storage/a", "GET storage"),
    ],
)
def test_a_fault_sends_any_status_on_any_endpoint(alvys: Simulator, call: str, endpoint: str) -> None:
    for fault in ({}, {"body": "html"}, {"acts": True}, {"retry_after": "date-5"}):
        ordered = [{"kind": "status", "endpoint": endpoint, "status": one, **fault} for one in EVERY_STATUS]
        alvys.order_faults(*ordered)
        for status in EVERY_STATUS:
            head, _, body = raw_response(alvys, call).partition(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode()), (status, head)
            assert (body == b"") == (status < 200 or status in (204, 304)), status
            assert (b"retry-after" in head.lower()) == ("retry_after" in fault)
    assert alvys.stats()["faults"] == {"status": 4 * len(EVERY_STATUS)}


@pytest.mark.parametrize(
    "fault",
    [
        {"retry_after": "date+soon"},
        {"retry_after": "date"},
        {"retry_after": "date9" * 40},
        {"retry_after": "1\r\nX-New: header"},
        {"retry_after": "\u6771"},
        {"kind": "timeout", "seconds": -1},
        {"kind": "timeout", "seconds": 1e300},
        {"kind": "cap", "cap": 0},
        {"kind": "eat"},
    ],
    ids=str,
)
def test_a_fault_that_cannot_occur_is_rejected(alvys: Simulator, fault: dict[str, Any]) -> None:
    ordered = [{"kind": "status", **fault}]
    assert requests.post(f"{alvys.url}/_sim/faults", json=ordered, timeout=10).status_code == 400
    assert post(alvys, ALL).status_code == 200


@pytest.mark.parametrize("status", [-1, 0, 99, 1000])
def test_a_fault_with_a_status_that_cannot_be_sent_is_rejected(alvys: Simulator, status: int) -> None:
    alvys.order_faults({"kind": "status", "status": 503})
    fault = {"kind": "status", "status": status}
    refused = requests.post(f"{alvys.url}/_sim/faults", json=[fault], timeout=10)
    assert refused.status_code == 400
    assert "$[0].status" in refused.json()["error"]
    # The earlier fault still applies.
    assert post(alvys, ALL).status_code == 503


def test_unknown_paths_and_options_are_errors(alvys: Simulator) -> None:
    token = {"Authorization": f"Bearer {get_token(alvys)}"}
    assert requests.get(f"{alvys.url}/api/p/v1/loads/search", headers=token, timeout=10).status_code == 405
    assert requests.get(f"{alvys.url}/api/p/v1/nothing", headers=token, timeout=10).status_code == 404
    newline = requests.get(f"{alvys.url}/api/p/v1/no%0Athing", headers=token, timeout=10)
    assert (newline.status_code, newline.json()["Title"]) == (404, "Not Found")
    assert requests.get(f"{alvys.url}/v1/me", timeout=10).status_code == 401
    assert requests.get(f"{alvys.url}/_sim/nothing", timeout=10).status_code == 404
    assert (
        requests.post(
            f"{alvys.url}/oauth/token", data=b"x", headers={"content-type": "text/xml"}, timeout=10
        ).status_code
        == 415
    )
    for bad in ({"loadz": 1}, {"loads": "many"}):
        assert requests.post(f"{alvys.url}/_sim/reset", json=bad, timeout=10).status_code == 400
    assert requests.get(f"{alvys.url}/_sim/truth?stream=lodes", timeout=10).status_code == 400
