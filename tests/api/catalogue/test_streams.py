from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream, get_streams, scope_of
from airflow_provider_alvys.api.errors import AlvysValueError

LOADS = get_stream("loads")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        pytest.param("loads", r"streams='loads' must be a list of names, such as \['loads'", id="a text"),
        pytest.param(7, "must be a list", id="a number"),
        pytest.param({"loads": 1}, "must be a list", id="a dict"),
        pytest.param([], "streams is empty", id="empty"),
        pytest.param(["loads", "trips", "loads"], "streams names loads more than once", id="twice"),
        pytest.param(["lods"], "no stream 'lods'", id="unknown"),
    ],
)
def test_streams_are_a_list_of_different_names(names: Any, says: str) -> None:
    with pytest.raises(AlvysValueError, match=says):
        get_streams(names)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        pytest.param({"Statuses": ["Open"]}, "no filter 'Statuses'. Did you mean Status?", id="misspelt"),
        pytest.param({"status": ["Open"]}, "Did you mean Status?", id="another case"),
        pytest.param({"Zzz": 1}, "Filters of loads: Status, OrderNumbers, LoadNumbers", id="unknown"),
        pytest.param(
            {"UpdatedAtRange": {"From": "x"}}, "give since, until and window_by", id="the window itself"
        ),
        pytest.param({"PageSize": 5}, "set by the page walk", id="page size"),
        pytest.param({"Status": "Open"}, "takes a list of texts", id="one text"),
        pytest.param({"Status": []}, "one or more texts", id="an empty list"),
        pytest.param({"LoadNumbers": [1001]}, "one or more texts", id="numbers"),
        pytest.param(
            {"Status": ["Opened"]}, "does not know 'Opened'. Allowed: Admin, In Review", id="unknown status"
        ),
        pytest.param({"LoadNumbers": ["1"] * 151}, "at most 150 values a request, not 151", id="too many"),
        pytest.param({"CustomerId": ""}, "not empty", id="empty text"),
        pytest.param({"IncludeDeleted": "yes"}, "true or false", id="no boolean"),
    ],
)
def test_a_filter_that_alvys_would_ignore_or_reject_is_refused(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        LOADS.validate_filters(filters)


@pytest.mark.parametrize(
    ("stream", "filters", "message"),
    [
        pytest.param(
            "tenders", {"Status": ["Pending"]}, "Did you mean Filter.Status?", id="inside an object"
        ),
        pytest.param(
            "tenders",
            {"Filter": {"Statuses": ["x"]}},
            "no filter 'Filter.Statuses'",
            id="misspelt inside one",
        ),
        pytest.param(
            "tenders",
            {"Filter": {"CreatedAtRange": {"From": "x"}}},
            "give since, until",
            id="a window inside one",
        ),
        pytest.param("invoices", {"Loads.LoadNumber": "x"}, "no filter 'Loads.LoadNumber'", id="a column"),
        pytest.param("driver_events", {"DriverIds": ["1"]}, "give parents instead", id="the parents"),
        pytest.param(
            "driver_events", {"EndDate": "x"}, "give since, until and window_by", id="one end of a window"
        ),
        pytest.param("trip_stops", {"Status": "x"}, "trip_stops has no filters", id="there are none"),
    ],
)
def test_a_filter_of_another_form_is_refused_with_what_to_do(
    stream: str, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(AlvysValueError, match=re.escape(message)):
        get_stream(stream).validate_filters(filters)


def test_a_search_has_all_that_alvys_requires() -> None:
    body = LOADS.search_fields({})
    assert len(body["Status"]) == 21
    assert body["IncludeDeleted"] is True
    assert LOADS.search_fields({"LoadNumbers": ["1"]}) == {"IncludeDeleted": True, "LoadNumbers": ["1"]}
    assert LOADS.search_fields({"Status": ["Open"], "IncludeDeleted": False}) == {
        "IncludeDeleted": False,
        "Status": ["Open"],
    }


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(AlvysValueError, match="no stream 'load'. Streams: loads"):
        get_stream("load")
    with pytest.raises(AlvysValueError, match="no window 'pickup'. Windows of loads: 'updated', 'created'"):
        LOADS.window("pickup")
    with pytest.raises(AlvysValueError, match="Windows of trucks: 'whole'"):
        get_stream("trucks").window("updated")


def test_a_window_is_found_by_its_name_and_the_regular_one_without() -> None:
    assert [window and window.params for window in map(LOADS.window, (None, "created", "whole"))] == [
        ("UpdatedAtRange",),
        ("DateRange",),
        None,
    ]
    assert get_stream("customers").window(None) is None
    assert get_stream("driver_events").window("date").params == ("StartDate", "EndDate")


def test_the_scope_of_an_endpoint_is_known_from_its_stream() -> None:
    assert scope_of(LOADS.endpoint) == "load:read"
    assert str(LOADS.endpoint) == "POST loads/search"
    assert scope_of(get_stream("trip_stops").endpoint) == "trip:read"
    assert scope_of(get_stream("locations").endpoint) is None
