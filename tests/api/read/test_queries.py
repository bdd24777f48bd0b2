from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.queries import (
    Query,
    RequestedWindow,
    enclosing_window,
    make_queries,
    make_search_queries,
)
from airflow_provider_alvys.api.read.windows import as_utc

NOON = as_utc("2026-03-10T12:00:00Z", "time")
DAY = timedelta(days=1)


def ask(stream: str, filters: dict[str, Any] | None = None, **asked: Any) -> list[Query]:
    asked = {"since": None, "until": None, "window_by": None, "parents": None, **asked}
    return make_search_queries(get_stream(stream), filters or {}, **asked)


def body(query: Query) -> dict[str, Any]:
    return query.request(0, 200)["json"]


def test_a_change_window_is_sent_unchanged_with_all_statuses_and_deleted_rows() -> None:
    (query,) = ask("loads", since="2026-03-10T12:00:00Z", until="2026-03-10T13:00:00Z")
    sent = body(query)
    assert sent["UpdatedAtRange"] == {"Start": "2026-03-10T12:00:00Z", "End": "2026-03-10T13:00:00Z"}
    assert len(sent["Status"]) == 21
    assert sent["IncludeDeleted"] is True


@pytest.mark.parametrize("window_by", ["updated", "pickup", "delivery"])
def test_a_window_of_trips_needs_no_list_of_statuses(window_by: str) -> None:
    (query,) = ask("trips", since="2026-03-10T12:00:00Z", window_by=window_by)
    assert "Status" not in body(query)
    (filtered,) = ask("trips", {"Status": ["Open"]}, since="2026-03-10T12:00:00Z", window_by=window_by)
    assert body(filtered)["Status"] == ["Open"]
    (whole,) = ask("trips")
    assert len(body(whole)["Status"]) == 16


def test_business_dates_are_requested_in_whole_utc_days() -> None:
    (query,) = ask("fuel", since="2026-03-10T12:00:00+02:00", until="2026-03-11T01:00:00Z")
    assert body(query)["TransactionRange"] == {
        "Start": "2026-03-10T00:00:00Z",
        "End": "2026-03-12T00:00:00Z",
    }
    # The end is not included.
    (query,) = ask("fuel", since="2026-03-01T00:00:00Z", until="2026-04-01T00:00:00Z")
    assert body(query)["TransactionRange"] == {
        "Start": "2026-03-01T00:00:00Z",
        "End": "2026-04-01T00:00:00Z",
    }


def test_a_sync_uses_lookback_and_lookahead_of_the_catalogue() -> None:
    requested = RequestedWindow(NOON, NOON + DAY, timedelta(minutes=5))
    by = get_stream("driver_settlement_statements").window("statement")
    assert by
    window = requested.resolve(by)
    assert str(window) == "from 2026-01-09T00:00:00Z until 2026-05-10T23:59:59.999999Z"
    other = RequestedWindow(
        NOON, NOON + DAY, timedelta(minutes=5), look_back=DAY, look_ahead=timedelta(0)
    ).resolve(by)
    assert str(other) == "from 2026-03-09T00:00:00Z until 2026-03-11T23:59:59.999999Z"


def test_an_overlap_longer_than_the_lookback_is_used() -> None:
    by = get_stream("loads").window("updated")
    assert by
    assert str(RequestedWindow(NOON, NOON + DAY, timedelta(minutes=30)).resolve(by)).startswith(
        "from 2026-03-10T11:30:00Z"
    )


def test_invoices_are_read_by_three_windows_and_all_unpaid_ones() -> None:
    stream = get_stream("invoices")
    requested = RequestedWindow(NOON, NOON + DAY, timedelta(minutes=5))
    queries = make_queries(stream, {}, window=requested, by=stream.window(None))
    ranges = [{name for name in body(query) if name.endswith("Range")} for query in queries]
    # Unpaid ones first: one that is paid during the read is still found.
    assert ranges == [set(), {"InvoicedDateRange"}, {"InvoiceSentRange"}, {"PaidDateRange"}]
    assert [len(body(query)["Status"]) for query in queries] == [2, 3, 3, 3]
    starts = [query.window.since.date() for query in queries if query.window]
    assert [(NOON.date() - start).days for start in starts] == [45, 7, 90]
    assert (
        str(enclosing_window(stream, stream.window(None), [requested]))
        == "from 2025-12-10T00:00:00Z until 2026-03-13T00:00:00Z"
    )


def test_unpaid_rows_of_any_age_are_requested() -> None:
    unpaid, recent = ask("deductions", since="2026-03-10T00:00:00Z")
    assert body(recent)["IncludePaid"] is True
    assert body(unpaid)["IncludePaid"] is False
    assert body(unpaid)["DateRange"]["Start"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        pytest.param({"Status": ["Paid"]}, [["Paid"]] * 3, id="none of the unpaid"),
        pytest.param({"Status": ["Draft", "Paid"]}, [["Draft"]] + [["Draft", "Paid"]] * 3, id="some of them"),
        pytest.param({"CustomerId": "c"}, [["Draft", "AwaitingPayment"]] + [None] * 3, id="another filter"),
    ],
)
def test_filters_narrow_each_search_of_a_stream(filters: dict[str, Any], sent: list[Any]) -> None:
    queries = ask("invoices", filters, since="2026-03-10T00:00:00Z")
    assert [body(query).get("Status") for query in queries] == sent


def test_a_filter_that_unhides_rows_hides_none_of_another_search() -> None:
    assert [
        body(query)["IncludePaid"]
        for query in ask("deductions", {"IncludePaid": True}, since=str(NOON.isoformat()))
    ] == [
        False,
        True,
    ]
    assert [
        body(query)["IncludePaid"] for query in ask("deductions", {"IncludePaid": False}, since=NOON)
    ] == [False, False]


def test_active_and_inactive_rows_are_two_searches() -> None:
    assert [body(query)["IsActive"] for query in ask("drivers")] == [True, False]
    assert [body(query)["IsActive"] for query in ask("drivers", {"IsActive": True, "FleetName": "East"})] == [
        True
    ]


def test_a_window_is_split_to_the_length_that_the_api_takes() -> None:
    queries = ask("visibility_outbound_errors", since="2026-03-01T00:00:00Z", until="2026-03-20T00:00:00Z")
    windows = [query.window for query in queries if query.window]
    assert len(windows) == 3
    assert all(window.until and window.until - window.since <= timedelta(days=7) for window in windows)
    assert all(later.since == earlier.until for earlier, later in itertools.pairwise(windows))
    with pytest.raises(AlvysValueError, match="needs an end"):
        ask("visibility_outbound_errors", since="2026-03-01T00:00:00Z")
    with pytest.raises(AlvysValueError, match="cannot be read without a window"):
        ask("visibility_outbound_errors")


def test_children_take_one_call_per_parent_and_events_one_per_hundred() -> None:
    queries = ask("load_documents", parents=["1001", "a/b c", 1002, "1001"])
    assert [query.path for query in queries] == [
        "loads/1001/documents",
        "loads/a%2Fb%20c/documents",
        "loads/1002/documents",
    ]
    assert {tuple(query.request(0, 200).values()) for query in queries} == {(None,)}
    batches = ask("driver_events", since=NOON, parents=[f"DR{number}" for number in range(250)])
    assert [len(body(query)["DriverIds"]) for query in batches] == [100, 100, 50]
    assert body(batches[0])["StartDate"] == "2026-03-10T00:00:00Z"
    assert "Page" not in body(batches[0])


@pytest.mark.parametrize("parents", [None, "1001", ["1001", None], [True], [".."], [""], {"a": 1}])
def test_invalid_parents_are_refused(parents: Any) -> None:
    with pytest.raises(AlvysValueError, match="loads"):
        ask("load_documents", parents=parents)


def test_an_empty_list_of_parents_makes_no_request() -> None:
    assert ask("load_documents", parents=[]) == []


def test_parents_of_a_stream_without_parents_are_refused() -> None:
    with pytest.raises(AlvysValueError, match="leave parents out"):
        ask("loads", parents=["1"])


def test_all_rows_can_be_requested_by_name() -> None:
    assert ask("loads", window_by="whole") == ask("loads")
    with pytest.raises(AlvysValueError, match="window_by='whole'"):
        ask("loads", window_by="whole", since=NOON)
    with pytest.raises(AlvysValueError, match="visibility_outbound_errors"):
        ask("visibility_outbound_errors", window_by="whole")


def test_filters_that_exclude_each_other_are_refused() -> None:
    assert ask("deductions", {"DriverId": "1", "OwnerOperatorId": "2"})
    with pytest.raises(AlvysValueError, match="DriverId and TruckId of deductions exclude each other"):
        ask("deductions", {"DriverId": "1", "TruckId": "2"})


def test_a_filter_name_that_is_not_a_text_is_refused() -> None:
    with pytest.raises(AlvysValueError, match="filter name 1"):
        ask("loads", {1: "x"})  # type: ignore[dict-item]


def test_dotted_filters_are_sent_as_nested_objects() -> None:
    (query,) = ask(
        "tenders",
        {"Filter": {"Status": ["Pending"]}},
        since="2026-03-10T00:00:00Z",
        until="2026-03-11T00:00:00Z",
    )
    assert body(query)["Filter"] == {
        "Status": ["Pending"],
        "CreatedAtRange": {"Start": "2026-03-10T00:00:00Z", "End": "2026-03-11T00:00:00Z"},
    }
    with pytest.raises(AlvysValueError, match=r"Did you mean Filter\.Status"):
        ask("tenders", {"Status": ["Pending"]})


def test_a_get_sends_its_page_and_filters_as_query_parameters() -> None:
    (query,) = ask(
        "webhook_delivery_logs", {"Status": ["Failed"]}, since=NOON, window_by="sent", parents=["w1"]
    )
    assert query.path == "webhooks/w1/delivery-logs"
    assert query.request(2, 100) == {
        "params": {"Status": ["Failed"], "StartDate": "2026-03-10T12:00:00Z", "Page": 2, "PageSize": 100}
    }


@pytest.mark.parametrize(
    "stream", [name for name, stream in STREAMS.items() if stream.default_window is None]
)
def test_a_time_for_a_stream_without_windows_is_refused(stream: str) -> None:
    with pytest.raises(AlvysValueError, match=r"window_by=|leave since and until out"):
        ask(stream, since=NOON, parents=["1"] if STREAMS[stream].parent else None)
