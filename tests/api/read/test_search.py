from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import BoundedClock, DeferRequested
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.api.read.windows import as_utc, format_time
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client

LOADS = get_stream("loads")
PAST = {"since": "2020-01-01T00:00:00Z", "until": "2030-01-01T00:00:00Z"}


def make_search(
    client: AlvysClient, filters: dict[str, Any] | None = None, *, stream: Stream = LOADS, **options: Any
) -> Search:
    arguments = {name: options.pop(name, None) for name in ("since", "until", "window_by", "parents")}
    return Search(client, stream, make_search_queries(stream, filters or {}, **arguments), **options)


def keys(search: Search) -> list[str]:
    return [json.loads(bytes(row))["Id"] for page in search for row in page]


def until_now(alvys: Simulator) -> dict[str, str]:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    newest = as_utc(max(row["UpdatedAt"] for row in rows), "time")
    return {"since": "2020-01-01T00:00:00Z", "until": format_time(newest + timedelta(microseconds=1))}


def test_every_row_is_found_once(alvys: Simulator, client: AlvysClient) -> None:
    search = make_search(client)
    assert sorted(keys(search)) == sorted(alvys.truth_keys())
    # This is not a closed window: page 0 is read again at the end.
    assert (search.total, search.proof, search.state.passes, search.state.requests) == (450, "whole", 1, 4)


def test_a_closed_window_costs_one_request_per_page(alvys: Simulator, client: AlvysClient) -> None:
    search = make_search(client, **until_now(alvys))
    assert len(keys(search)) == 450
    assert search.state.requests == 3


@pytest.mark.parametrize("window_by", ["updated", "created"])
def test_a_window_finds_its_rows(alvys: Simulator, client: AlvysClient, window_by: str) -> None:
    rows = sorted(
        json.loads(row)[{"updated": "UpdatedAt", "created": "CreatedAt"}[window_by]]
        for row in alvys.truth_rows()
    )
    window = {"since": rows[100], "until": rows[300], "window_by": window_by}
    expected = alvys.truth_keys(**window)
    assert 180 < len(expected) < 210
    assert sorted(keys(make_search(client, **window))) == sorted(expected)


def test_filters_find_their_rows(alvys: Simulator, client: AlvysClient) -> None:
    filters = {"Status": ["Invoiced", "Open"], "IncludeDeleted": False}
    expected = alvys.truth_keys(filters=json.dumps(filters))
    assert 20 < len(expected) < 300
    assert sorted(keys(make_search(client, filters))) == sorted(expected)


def test_a_large_window_is_halved_until_it_is_small(alvys: Simulator, client: AlvysClient) -> None:
    search = make_search(client, **until_now(alvys), max_window_rows=100, page_size=50)
    found = keys(search)
    assert sorted(found) == sorted(alvys.truth_keys())
    assert (search.total, search.proof) == (450, "whole")
    assert search.state.requests > 9


def test_a_count_costs_one_request_of_one_row(alvys: Simulator, client: AlvysClient) -> None:
    assert make_search(client).count() == 450
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 1}


def test_departed_rows_are_listed(alvys: Simulator, client: AlvysClient) -> None:
    window = until_now(alvys)
    alvys.order_mutations({"kind": "leave", "rows": 5, "skip": 1, "times": 1})
    search = make_search(client, **window, page_size=50)
    found = set(keys(search))
    assert set(alvys.truth_keys(**window)) <= found
    # Nine pages, page 0 again, one search for changed rows, and page 0 once more with the same total.
    assert (search.proof, search.state.passes, search.state.requests) == ("whole", 1, 12)


@pytest.mark.parametrize("at", range(9, 14))
@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 404}, {"kind": "cap", "cap": 30}, {"kind": "truncate"}],
    ids=lambda fault: fault["kind"],
)
def test_a_fault_during_the_proof_loses_no_row(
    alvys: Simulator, client: AlvysClient, at: int, fault: dict[str, Any]
) -> None:
    window = until_now(alvys)
    alvys.order_mutations({"kind": "leave", "rows": 5, "skip": 1, "times": 1})
    alvys.order_faults({**fault, "skip": at})
    search = make_search(client, **window, page_size=50)
    found = set(keys(search))
    assert set(alvys.truth_keys(**window)) <= found
    assert search.proof == "whole"


def test_departed_rows_are_listed_regardless_of_filters(alvys: Simulator, client: AlvysClient) -> None:
    window = until_now(alvys)
    (key,) = alvys.change(
        keys=[alvys.truth_keys(filters='{"Status":["Open"]}')[0]], columns={"Status": "Delivered"}
    )
    search = make_search(client, {"Status": ["Open"]}, **window)
    (query,) = search.queries
    assert (key,) in (search._list_changed(query, query.window, client.now()) or ())


def test_many_departed_rows_cost_another_pass(alvys: Simulator, client: AlvysClient) -> None:
    alvys.reset(loads=3000)
    window = until_now(alvys)
    alvys.order_mutations({"kind": "leave", "rows": 1200, "skip": 1, "times": 1})
    search = make_search(client, **window)
    found = set(keys(search))
    assert set(alvys.truth_keys(**window)) <= found
    assert (search.proof, search.state.passes) == ("whole", 2)


@pytest.mark.parametrize("by", ["Status", "TrailerNumber"])
def test_a_trailer_with_an_unlisted_status_is_found(alvys: Simulator, client: AlvysClient, by: str) -> None:
    trailer = json.loads(alvys.truth_rows(stream="trailers")[0])
    alvys.change(stream="trailers", keys=[trailer["Id"]], columns={"Status": "Available"})
    filters = {"Status": ["Available"]} if by == "Status" else {"TrailerNumber": trailer["TrailerNum"]}
    assert keys(make_search(client, filters, stream=get_stream("trailers"))) == [trailer["Id"]]


DRIVERS = get_stream("drivers")


def test_a_row_that_moves_to_a_query_already_read_is_found(alvys: Simulator, client: AlvysClient) -> None:
    alvys.reset(loads=0, fleet=60)
    inactive = [
        row["Id"] for row in map(json.loads, alvys.truth_rows(stream="drivers")) if not row["IsActive"]
    ]
    search = make_search(client, stream=DRIVERS)
    found: list[str] = []
    for number, page in enumerate(search):
        found += [json.loads(bytes(row))["Id"] for row in page]
        if number == 0:
            alvys.change(stream="drivers", keys=inactive[:1], columns={"IsActive": True})
    assert sorted(found) == sorted(alvys.truth_keys(stream="drivers"))
    # Two queries, the total of the first, which has changed; the first again, and the total of the other.
    assert (search.proof, search.state.requests) == ("whole", 5)
    (_, active), (_, other) = search.results
    assert (active.rows, active.total) == (61 - len(inactive), 61 - len(inactive))
    assert other.rows == len(inactive) - 1


def test_a_search_whose_rows_keep_moving_between_queries_is_open(
    alvys: Simulator, client: AlvysClient
) -> None:
    alvys.reset(loads=0, fleet=60)
    inactive = [
        row["Id"] for row in map(json.loads, alvys.truth_rows(stream="drivers")) if not row["IsActive"]
    ]
    search = make_search(client, stream=DRIVERS)
    for _ in search:
        alvys.change(stream="drivers", keys=[inactive.pop()], columns={"IsActive": True})
    assert search.proof == "open"
    assert alvys.stats()["requests"]["POST drivers/search"] == search.state.requests < 12


def test_an_invoice_that_is_paid_during_the_read_is_found(alvys: Simulator, client: AlvysClient) -> None:
    unpaid = next(
        row
        for row in map(json.loads, alvys.truth_rows(stream="invoices"))
        if row["Status"] == "AwaitingPayment"
    )
    # So old that only the query of unpaid invoices finds it.
    alvys.change(
        stream="invoices",
        keys=[unpaid["Id"]],
        columns={"InvoicedDate": "2020-01-01T00:00:00Z", "LastSendDate": None},
    )
    window = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-30T00:00:00Z"}
    for paid in ("2026-11-24T00:00:00Z", "2020-01-02T00:00:00Z"):
        alvys.change(
            stream="invoices", keys=[unpaid["Id"]], columns={"Status": "AwaitingPayment", "PaidDate": None}
        )
        search = make_search(client, stream=get_stream("invoices"), **window)
        found = set()
        for page in search:
            found |= {json.loads(bytes(row))["Id"] for row in page}
            if len(search.results) == 3:
                alvys.change(
                    stream="invoices", keys=[unpaid["Id"]], columns={"Status": "Paid", "PaidDate": paid}
                )
        assert unpaid["Id"] in found
        assert search.proof == "whole"


@pytest.mark.parametrize("kind", ["html", "bad_utf8"])
def test_a_response_that_stays_unreadable_raises_an_error(
    alvys: Simulator, client: AlvysClient, kind: str
) -> None:
    alvys.order_faults({"kind": kind, "times": 99})
    with pytest.raises(AlvysResponseError, match="text/html|UTF-8") as caught:
        keys(make_search(client))
    assert (caught.value.endpoint, caught.value.status_code) == ("POST loads/search", 200)


def test_wrong_arguments_are_refused_before_anything_is_sent(alvys: Simulator, client: AlvysClient) -> None:
    for arguments in (
        {"since": "2026-01-01"},
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"until": "2026-01-01T00:00:00Z"},
        {"window_by": "created"},
        {**PAST, "window_by": "pickup"},
        {"filters": {"Stat": ["Open"]}},
        {"page_size": 0},
    ):
        with pytest.raises(AlvysValueError):
            make_search(client, **arguments)
    assert alvys.stats()["requests"] == {}


@pytest.mark.parametrize("stream", ["maintenance", "loads"])
def test_deferrals_at_a_slow_pace_come_to_an_end(alvys: Simulator, clock: SkippingClock, stream: str) -> None:
    # Several queries, between which rows may move.
    numbers = [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()[:151]]
    filters = {"LoadNumbers": numbers} if stream == "loads" else {}
    expected = 151 if filters else len(alvys.truth_keys(stream=stream))
    found, state = 0, None
    for _ in range(20):
        client = make_client(alvys, requests_per_minute=1, clock=BoundedClock(clock, defer_after=0.0))
        search = make_search(client, filters, stream=get_stream(stream), state=state)
        try:
            for page in search:
                found += len(page)
                state = search.save()
            break
        except DeferRequested as request:
            clock.sleep(request.seconds)
            state = msgspec.json.decode(msgspec.json.encode(search.save()), type=SearchState)
    assert (found, search.state.is_done) == (expected, True)
