"""The simulator's errors have Alvys's forms, so that the client does not take them for a gateway's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.problems import parse_problem
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import Caller

ALL = {"Page": 0, "PageSize": 10, "Status": ["Open"]}
CALLS: dict[str, tuple[int, str, str, Any, dict[str, str]]] = {
    "no token": (401, "GET", "drivers", None, {"Authorization": "Bearer x"}),
    "no scope": (403, "POST", "trips/search", ALL, {}),
    "unknown path": (404, "GET", "nothing", None, {}),
    "unknown record": (404, "GET", "loads?loadNumber=none", None, {}),
    "unknown parent": (404, "GET", "loads/none/documents", None, {}),
    "page after the last": (404, "POST", "loads/search", {**ALL, "Page": 99}, {}),
    "wrong method": (405, "DELETE", "loads/1", None, {}),
    "invalid search": (400, "POST", "loads/search", {"Page": 0, "PageSize": 10}, {}),
    "body that is no JSON": (400, "POST", "loads/search", "{", {}),
    "no ETag": (428, "PATCH", "loads/{number}", {"OrderNumber": "x"}, {}),
    "stale ETag": (412, "PATCH", "loads/{number}", {"OrderNumber": "x"}, {"If-Match": '"0"'}),
}


@pytest.mark.parametrize("validation_errors", ["bare", "problem"])
@pytest.mark.parametrize("call", CALLS)
def test_an_error_has_one_of_alvyss_forms(call: str, validation_errors: str, alvys: Simulator) -> None:
    alvys.reset(loads=5, validation_errors=validation_errors, scopes="load:read load:update driver:read")
    status, method, path, body, headers = CALLS[call]
    number = json.loads(alvys.truth_rows()[0])["LoadNumber"]
    sent = {"data": body} if isinstance(body, str) else {}
    response = Caller(alvys).send(
        method, path.replace("{number}", number), None if sent else body, headers=headers, **sent
    )
    assert response.status_code == status, response.text
    assert parse_problem(response.content, status=status) is not None, response.text


@pytest.mark.parametrize(
    ("body", "is_alvyss"), {"json": True, "bare": True, "html": False, "message": False}.items()
)
def test_a_fault_is_of_alvys_or_of_a_gateway(body: str, is_alvyss: bool, alvys: Simulator) -> None:
    caller = Caller(alvys)
    alvys.order_faults(
        {"kind": "status", "status": 400, "body": body, "endpoint": str(STREAMS["drivers"].endpoint)}
    )
    response = caller.post("drivers/search", {})
    assert (parse_problem(response.content, status=400) is not None) == is_alvyss
