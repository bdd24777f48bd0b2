from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
import requests

from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.alvys import AlvysRequestOperator, AlvysSearchOperator
from airflow_provider_alvys.simulator.process import Simulator


def call(**arguments: Any) -> Any:
    return AlvysRequestOperator(task_id="call", **arguments).execute({})


def search(**arguments: Any) -> list[dict[str, Any]]:
    return AlvysSearchOperator(task_id="search", **{"stream": "loads", **arguments}).execute({})


@pytest.mark.every_airflow
def test_a_request_returns_the_response(alvys: Simulator) -> None:
    assert call(method="GET", path="/v1/me")["ClientId"] == "simulator"
    body = {"Page": 0, "PageSize": 1, "Status": ["Open"]}
    assert (
        call(method="POST", path="loads/search", json=body, headers={"X-Test": "1"}, query_params={"a": "b"})[
            "Page"
        ]
        == 0
    )


def test_a_request_to_another_host_is_refused_before_anything_is_sent(alvys: Simulator) -> None:
    with pytest.raises(AlvysValueError, match="evil.example"):
        call(path="https://evil.example/v1/me")
    assert alvys.stats()["requests"] == {}


def test_a_byte_order_mark_is_skipped(alvys: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    response = requests.Response()
    response.status_code = 200
    response._content = b'\xef\xbb\xbf{"a":1}'
    response.headers["content-type"] = "application/json; charset=utf-8"
    monkeypatch.setattr(AlvysHook, "request", lambda *args, **kwargs: response)
    assert call(path="/v1/me") == {"a": 1}


def test_a_response_that_is_not_json_is_an_error(alvys: Simulator) -> None:
    alvys.order_faults({"kind": "html"})
    with pytest.raises(AlvysResponseError, match="text/html") as caught:
        call(path="/v1/me")
    assert caught.value.status_code == 200


@pytest.mark.every_airflow
def test_a_search_returns_plain_rows(alvys: Simulator) -> None:
    number = json.loads(alvys.truth_rows()[7])["LoadNumber"]
    (row,) = search(filters={"LoadNumbers": [number]})
    assert row["LoadNumber"] == number
    assert isinstance(row["Linehaul"]["Amount"], float)
    assert json.loads(json.dumps(row)) == row
    assert search(filters={"LoadNumbers": ["none"]}) == []


def test_a_search_finds_the_children_of_parents(alvys: Simulator) -> None:
    numbers = [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()[:3]]
    found = search(stream="load_documents", parents=numbers)
    assert found == [
        json.loads(row) for row in alvys.truth_rows(stream="load_documents", parents=json.dumps(numbers))
    ]
    with pytest.raises(AlvysValueError, match="parents"):
        search(stream="load_documents")


def test_a_search_with_more_rows_than_its_limit_is_refused_after_one_page(alvys: Simulator) -> None:
    with pytest.raises(AlvysValueError, match="450 loads.*limit=200"):
        search()
    assert alvys.stats()["requests"]["POST loads/search"] == 1
    assert len(search(limit=450)) == 450


def test_a_limit_counts_a_row_once_even_if_several_searches_find_it(alvys: Simulator) -> None:
    invoices = {"stream": "invoices", "since": "2026-10-01T00:00:00Z"}
    rows = alvys.truth_keys(**invoices)
    assert len(search(**invoices, limit=len(rows))) == len(rows)
    with pytest.raises(AlvysValueError, match=f"limit={len(rows) - 1}"):
        search(**invoices, limit=len(rows) - 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": {"Statuses": ["Open"]}},
        {"stream": "laods"},
        {"window_by": "pickup"},
        {"filters": [1]},
        {"filters": {1: "x"}},
        {"filters": {"Statuses": "{{ x }}"}},
        {"filters": {"CustomerId": "{{ x }}", "Status": ["open"]}},
        {"stream": "tenders", "filters": {"Filter": {"Stat": "{{ x }}"}}},
        {"stream": "visibility_outbound_errors", "window_by": "whole"},
        {"limit": "9"},
        {"limit": 0},
        {"limit": True},
        {"since": datetime(2026, 3, 1)},
        {"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        {"until": "2026-03-01T00:00:00Z"},
        {"window_by": "created"},
        {"stream": "drivers", "since": "2026-03-01T00:00:00Z"},
        {"stream": "visibility_outbound_errors"},
        {"stream": "load_documents"},
        {"stream": "load_documents", "parents": "1001"},
        {"parents": ["1001"]},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    with pytest.raises(AlvysValueError):
        AlvysSearchOperator(task_id="search", **{"stream": "loads", **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"since": "{{ x }}", "until": "2026-03-01T00:00:00Z"},
        {"until": "2026-03-01T00:00:00Z", "since": "{{ x }}", "window_by": "{{ x }}"},
        {"stream": "{{ x }}", "parents": ["1001"]},
        {"stream": "load_documents", "parents": "{{ x }}"},
    ],
    ids=str,
)
def test_templated_arguments_are_checked_when_the_task_runs(arguments: dict[str, Any]) -> None:
    AlvysSearchOperator(task_id="search", **{"stream": "loads", **arguments})


@pytest.mark.parametrize(
    ("stream", "filters"),
    [
        ("loads", "{{ x }}"),
        ("loads", {"Status": "{{ x }}", "LoadNumbers": ["{{ x }}"]}),
        ("tenders", {"Filter": "{{ x }}"}),
        ("tenders", {"Filter": {"Status": "{{ x }}"}}),
    ],
    ids=str,
)
def test_a_templated_filter_is_checked_when_the_task_runs(stream: str, filters: Any) -> None:
    assert AlvysSearchOperator(task_id="search", stream=stream, filters=filters).filters == filters


@pytest.mark.parametrize(
    "operator",
    [AlvysRequestOperator(task_id="a", path="x"), AlvysSearchOperator(task_id="b", stream="loads")],
)
def test_template_fields_are_arguments(operator: Any) -> None:
    assert operator.template_fields[0] == "alvys_conn_id"
    for name in operator.template_fields:
        assert hasattr(operator, name)


def test_a_webhook_secret_is_left_out_of_the_xcom(alvys: Simulator) -> None:
    known = [json.loads(row) for row in alvys.truth_rows(stream="webhooks")]
    assert any(row.get("Secret") for row in known)
    found = search(stream="webhooks")
    assert sorted(row["Id"] for row in found) == sorted(row["Id"] for row in known)
    assert not any("Secret" in row for row in found)
    assert {"Name", "Url", "Events"} <= set(found[0])
