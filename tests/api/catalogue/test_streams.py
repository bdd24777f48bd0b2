from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream, get_streams, scope_of
from airflow_provider_alvys.api.errors import AlvysValueError

LOADS = get_stream("loads")


@pytest.mark.parametrize(
    ("names", "named"),
    [
        pytest.param("loads", "streams='loads'", id="a string"),
        pytest.param(7, "streams=7", id="a number"),
        pytest.param({"loads": 1}, "streams={", id="a dict"),
        pytest.param([], "streams", id="empty"),
        pytest.param(["loads", "trips", "loads"], "streams .*loads", id="twice"),
        pytest.param(["lods"], "'lods'", id="unknown"),
    ],
)
def test_streams_must_be_a_list_of_different_names(names: Any, named: str) -> None:
    with pytest.raises(AlvysValueError, match=named):
        get_streams(names)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        pytest.param({"Statuses": ["Open"]}, "'Statuses'.* Status", id="misspelled"),
        pytest.param({"status": ["Open"]}, "'status'.* Status", id="another case"),
        pytest.param({"Zzz": 1}, "Status, OrderNumbers, LoadNumbers", id="unknown"),
        pytest.param({"UpdatedAtRange": {"From": "x"}}, "window_by", id="the window itself"),
        pytest.param({"PageSize": 5}, "PageSize", id="page size"),
        pytest.param({"Status": "Open"}, "Status", id="one string"),
        pytest.param({"Status": []}, "Status", id="an empty list"),
        pytest.param({"LoadNumbers": [1001]}, "LoadNumbers", id="numbers"),
        pytest.param({"Status": ["Opened"]}, "'Opened'.* Open\\?", id="unknown status"),
        pytest.param({"CustomerId": ""}, "CustomerId", id="an empty string"),
        pytest.param({"IncludeDeleted": "yes"}, "IncludeDeleted", id="not a boolean"),
    ],
)
def test_a_filter_that_alvys_would_ignore_or_reject_is_refused(filters: dict[str, Any], named: str) -> None:
    with pytest.raises(AlvysValueError, match=named):
        LOADS.validate_filters(filters)


@pytest.mark.parametrize(
    ("stream", "filters", "named"),
    [
        pytest.param("tenders", {"Status": ["Pending"]}, "Filter.Status", id="inside an object"),
        pytest.param(
            "tenders",
            {"Filter": {"Statuses": ["x"]}},
            "'Filter.Statuses'",
            id="misspelled inside one",
        ),
        pytest.param(
            "tenders",
            {"Filter": {"CreatedAtRange": {"From": "x"}}},
            "window_by",
            id="a window inside one",
        ),
        pytest.param("invoices", {"Loads.LoadNumber": "x"}, "'Loads.LoadNumber'", id="a column"),
        pytest.param("driver_events", {"DriverIds": ["1"]}, "use parents", id="the parents"),
        pytest.param("driver_events", {"EndDate": "x"}, "window_by", id="one end of a window"),
        pytest.param("trip_stops", {"Status": "x"}, "no filter 'Status'", id="a stream without filters"),
    ],
)
def test_a_wrong_filter_is_refused_with_advice(stream: str, filters: dict[str, Any], named: str) -> None:
    with pytest.raises(AlvysValueError, match=re.escape(named)):
        get_stream(stream).validate_filters(filters)


def test_a_search_has_all_required_fields() -> None:
    body = LOADS.search_fields({})
    assert len(body["Status"]) == 21
    assert body["IncludeDeleted"] is True
    assert LOADS.search_fields({"LoadNumbers": ["1"]}) == {"IncludeDeleted": True, "LoadNumbers": ["1"]}
    assert LOADS.search_fields({"Status": ["Open"], "IncludeDeleted": False}) == {
        "IncludeDeleted": False,
        "Status": ["Open"],
    }


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AlvysValueError, match="'load'.* loads"):
        get_stream("load")
    with pytest.raises(AlvysValueError, match="'pickup'.* updated, created"):
        LOADS.window("pickup")
    with pytest.raises(AlvysValueError, match="'updated'.* whole"):
        get_stream("trucks").window("updated")


def test_a_window_is_found_by_name_and_the_default_window_without() -> None:
    assert [window and window.params for window in map(LOADS.window, (None, "created", "whole"))] == [
        ("UpdatedAtRange",),
        ("DateRange",),
        None,
    ]
    assert get_stream("customers").window(None) is None
    assert get_stream("driver_events").window("date").params == ("StartDate", "EndDate")


def test_the_scope_of_an_endpoint_is_that_of_its_stream() -> None:
    assert scope_of(LOADS.endpoint) == "load:read"
    assert str(LOADS.endpoint) == "POST loads/search"
    assert scope_of(get_stream("trip_stops").endpoint) == "trip:read"
    assert scope_of(get_stream("locations").endpoint) is None
