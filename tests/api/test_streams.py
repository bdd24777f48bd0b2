from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.streams import get_stream, scope_of

LOADS = get_stream("loads")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        pytest.param({"Statuses": ["Open"]}, "no filter 'Statuses'. Did you mean Status?", id="misspelt"),
        pytest.param({"status": ["Open"]}, "Did you mean Status?", id="another case"),
        pytest.param({"Zzz": 1}, "Filters of loads: Status, OrderNumbers, LoadNumbers", id="unknown"),
        pytest.param({"UpdatedAtRange": {"From": "x"}}, "give since, until and window_by", id="the window itself"),
        pytest.param({"PageSize": 5}, "set by the page walk", id="page size"),
        pytest.param({"Status": "Open"}, "takes a list of texts", id="one text"),
        pytest.param({"Status": []}, "one or more texts", id="an empty list"),
        pytest.param({"LoadNumbers": [1001]}, "one or more texts", id="numbers"),
        pytest.param({"Status": ["Opened"]}, "does not know 'Opened'. Allowed: Admin, In Review", id="unknown status"),
        pytest.param({"LoadNumbers": ["1"] * 151}, "at most 150 values a request, not 151", id="too many"),
        pytest.param({"CustomerId": ""}, "not empty", id="empty text"),
        pytest.param({"IncludeDeleted": "yes"}, "true or false", id="no boolean"),
    ],
)
def test_a_filter_that_alvys_would_ignore_or_reject_is_refused(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        LOADS.check_filters(filters)


def test_a_body_has_all_that_alvys_requires() -> None:
    body = LOADS.body({})
    assert len(body["Status"]) == 21
    assert body["IncludeDeleted"] is True
    assert LOADS.body({"LoadNumbers": ["1"]}) == {"IncludeDeleted": True, "LoadNumbers": ["1"]}
    assert LOADS.body({"Status": ["Open"], "IncludeDeleted": False}) == {"IncludeDeleted": False, "Status": ["Open"]}


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(AlvysValueError, match="no stream 'load'. Streams: loads"):
        get_stream("load")
    with pytest.raises(AlvysValueError, match="no window 'pickup'. Windows of loads: 'updated', 'created'"):
        LOADS.window("pickup")
    assert LOADS.window(None).param == "UpdatedAtRange"
    assert LOADS.window("created").param == "DateRange"


def test_the_scope_of_an_endpoint_is_known_from_its_stream() -> None:
    assert scope_of(LOADS.endpoint) == "load:read"
    assert str(LOADS.endpoint) == "POST loads/search"
