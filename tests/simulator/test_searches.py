from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, TimeWindow, get_stream
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, SINCE, UNTIL, WEEK, Caller, nest, parents_of, period, rows_of, searches


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=120, fleet=30, now=NOW)
    return Caller(alvys)


@pytest.mark.parametrize("stream", [s for s in STREAMS.values() if s.any_of], ids=lambda stream: stream.name)
def test_a_search_needs_one_of_some_fields(caller: Caller, stream: Stream) -> None:
    needed = {filter.name: filter.default for filter in stream.filters if filter.required}
    answer = caller.search(stream, needed)
    assert (answer.status_code, set(answer.json())) == (400, set(stream.any_of))
    lists = {
        filter.name: []
        for filter in stream.filters
        if filter.type == "strings" and filter.name in stream.any_of
    }
    assert caller.search(stream, {**needed, **lists}).status_code == 400
    # A window counts only where the list names its parameters.
    for window in stream.windows:
        if window.column:
            counts = set(window.params) <= set(stream.any_of)
            answer = caller.search(stream, {**needed, **period(window, SINCE, UNTIL)})
            assert answer.status_code == (200 if counts else 400), window.name


REQUIRED = [
    (stream, filter.name) for stream in STREAMS.values() for filter in stream.filters if filter.required
]
REQUIRED += [
    (stream, window.params[0]) for stream in STREAMS.values() for window in stream.windows if window.required
]
REQUIRED += [
    (stream, stream.parent.param) for stream in STREAMS.values() if stream.parent and stream.parent.param
]
REQUIRED += [
    (stream, name)
    for stream in STREAMS.values()
    for name in ("Page", "PageSize")
    if stream.response_type == "page" and stream.method == "POST"
]


@pytest.mark.parametrize(("stream", "name"), REQUIRED, ids=lambda value: getattr(value, "name", value))
def test_a_missing_required_field_gets_a_400(
    alvys: Simulator, caller: Caller, stream: Stream, name: str
) -> None:
    fields: dict[str, Any] = {**next(iter(searches(stream)))}
    parents = parents_of(alvys, stream)
    assert caller.search(stream, fields, parents).status_code == 200
    body = {"Page": 0, "PageSize": 100, **fields, **({stream.parent.param: parents} if stream.parent else {})}
    for missing in ({key: value for key, value in body.items() if key != name}, {**body, name: None}):
        answer = caller.post(stream.path, nest(missing))
        assert (answer.status_code, name in answer.json()) == (400, True)


def test_an_empty_list_satisfies_a_required_field(caller: Caller) -> None:
    fields = {"Status": ["Active"], "LocationIds": []}
    assert caller.search(STREAMS["locations"], fields).status_code == 200
    # An empty list filters nothing.
    assert caller.search(STREAMS["locations"], {**fields, "Status": []}).json()["Total"] == 30


@pytest.mark.parametrize(
    ("stream", "filter"),
    [(stream, filter) for stream in STREAMS.values() for filter in stream.filters if filter.values],
    ids=lambda value: value.name,
)
def test_an_unknown_filter_value_gets_a_400(
    alvys: Simulator, caller: Caller, stream: Stream, filter: Any
) -> None:
    unknown = 999 if filter.type == "integer" else "Unknown"
    value = [*filter.values, unknown] if filter.type == "strings" else unknown
    fields = next(iter(searches(stream)))
    answer = caller.search(stream, {**fields, filter.name: value}, parents_of(alvys, stream))
    assert (answer.status_code, answer.json()) == (
        400,
        {filter.name: [f"The value '{unknown}' is not valid."]},
    )


def test_a_filter_value_of_another_type_gets_a_400(caller: Caller) -> None:
    loads = {"Status": ["Open"]}
    for field in ({"Status": "Open"}, {"IncludeDeleted": "yes"}, {"CustomerId": 7}, {"LoadNumbers": [7]}):
        assert set(caller.search(STREAMS["loads"], {**loads, **field}).json()) == set(field)
    assert caller.search(STREAMS["trips"], {"LoadNumbers": ["1"] * 51}).status_code == 400


PLAIN = [(stream, window) for stream in STREAMS.values() for window in stream.windows if window.column]


@pytest.mark.parametrize(("stream", "window"), PLAIN, ids=lambda value: value.name)
def test_a_window_includes_its_start_and_not_its_end(
    alvys: Simulator, caller: Caller, stream: Stream, window: TimeWindow
) -> None:
    parents = parents_of(alvys, stream)
    fields = next(iter(searches(stream)))
    fields = {
        name: value
        for name, value in fields.items()
        if name not in {p for w in stream.windows for p in w.params}
    }
    bounds = WEEK if window.max_length else (SINCE, UNTIL)
    reveal = {filter.name: True for filter in stream.filters if filter.unhides}
    search = {**fields, **reveal, **period(window, *bounds)}
    rows = caller.rows(stream, search, parents)
    times = sorted(row[window.column] for row in rows)
    assert times
    first, last = times[len(times) // 3], times[len(times) * 2 // 3]
    found = caller.rows(stream, {**search, **period(window, first, last)}, parents)
    inside = [row for row in rows if first <= row[window.column] < last]
    if window.includes_end:
        inside = [row for row in rows if first <= row[window.column] <= last]
    # Text comparison of times with several lengths may differ at the ends.
    assert abs(len(found) - len(inside)) <= 1
    ends = {row[window.column] for row in found} & {first, last}
    assert ends == ({first, last} if window.includes_end else {first} - {last})
    if not window.needs_end:
        assert len(caller.rows(stream, {**search, **period(window, first, None)}, parents)) >= len(found)


@pytest.mark.parametrize(("stream", "window"), PLAIN, ids=lambda value: value.name)
def test_an_invalid_period_gets_a_400(
    alvys: Simulator, caller: Caller, stream: Stream, window: TimeWindow
) -> None:
    parents = parents_of(alvys, stream)
    fields = {**next(iter(searches(stream)))}
    bad = [("yesterday", WEEK[1]), (WEEK[0], "soon"), (WEEK[1], WEEK[0])]
    bad += [(WEEK[0], None)] if window.needs_end else []
    bad += [("2026-11-16T23:59:59Z", WEEK[1])] if window.max_length else []
    for bounds in bad:
        body = {name: value for name, value in fields.items() if name not in window.params}
        answer = caller.search(stream, {**body, **period(window, *bounds)}, parents)
        assert (answer.status_code, list(answer.json())) == (400, [window.params[0]]), bounds
    if len(window.params) == 1:
        body = {name: value for name, value in fields.items() if name not in window.params}
        answer = caller.search(stream, {**body, window.params[0]: {"End": WEEK[1]}}, parents)
        assert (answer.status_code, list(answer.json())) == (400, [window.params[0]]), "no start"
    # Misspelt bounds are ignored.
    if len(window.params) == 1:
        body = {name: value for name, value in fields.items() if name not in window.params}
        answer = caller.search(stream, {**body, window.params[0]: {"From": WEEK[0], "To": WEEK[1]}}, parents)
        is_needed = window.required or (not {*body} & {*stream.any_of} and bool(stream.any_of))
        assert answer.status_code == (400 if is_needed else 200)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-11-17", "2026-11-24"), ("2026-11-17T00:00:00", "2026-11-24T00:00:00")],
    ids=["dates", "no-zone"],
)
def test_the_bounds_of_a_period_may_be_dates_or_have_no_zone(caller: Caller, start: str, end: str) -> None:
    for stream, window in PLAIN:
        if window.params == ("PickupDateRange",):
            found = [caller.rows(stream, period(window, *bounds)) for bounds in ((start, end), WEEK)]
            assert found[0] == found[1] != []


def test_statements_count_whole_days(caller: Caller) -> None:
    stream = STREAMS["driver_settlement_statements"]
    day = caller.rows(stream, period(stream.windows[0], SINCE, UNTIL))[40]["StatementDate"]
    found = caller.rows(stream, period(stream.windows[0], f"{day}T11:00:00Z", f"{day}T12:00:00Z"))
    assert {row["StatementDate"] for row in found} == {day}


def test_pages_end_with_404_and_have_a_maximum_size(caller: Caller) -> None:
    for stream in STREAMS.values():
        if stream.response_type != "page" or stream.is_child:
            continue
        fields = {**next(iter(searches(stream))), "PageSize": 7}
        total = caller.search(stream, fields).json()["Total"]
        last = (total - 1) // 7
        assert len(caller.search(stream, {**fields, "Page": last}).json()["Items"]) == total - 7 * last
        assert caller.search(stream, {**fields, "Page": last + 1}).status_code == 404
        if stream.max_page_size:
            too_many = caller.search(stream, {**fields, "PageSize": stream.max_page_size + 1})
            assert (too_many.status_code, list(too_many.json())) == (400, ["PageSize"])


def test_a_get_needs_no_page_number(alvys: Simulator, caller: Caller) -> None:
    alvys.reset(fleet=120, rows={"webhook_delivery_logs": 101})
    caller = Caller(alvys)
    first = caller.get("webhooks").json()
    assert (first["Page"], first["PageSize"], first["Total"], len(first["Items"])) == (0, 50, 120, 50)
    assert len(caller.get("webhooks", page=2, pagesize=50).json()["Items"]) == 20
    assert caller.get("webhooks", Page=3).status_code == 404
    assert list(caller.get("webhooks", Page="one").json()) == ["Page"]
    logs = f"webhooks/{first['Items'][2]['Id']}/delivery-logs"
    assert [len(caller.get(logs, Page=page, PageSize=100).json()["Items"]) for page in (0, 1)] == [100, 1]
    assert caller.get(logs, PageSize=101).status_code == 400
    statuses = {row["Status"] for row in caller.get(logs, PageSize=100).json()["Items"]}
    assert len(statuses) == 2
    assert caller.get(logs, Status=sorted(statuses)).json()["Total"] == 101
    assert 0 < caller.get(logs, Status="Success").json()["Total"] < 101
    assert caller.get(logs, StartDate="2031-01-01T00:00:00Z").json()["Total"] == 0
    alvys.order_faults({"kind": "status", "status": 503, "page": 1, "endpoint": "GET webhooks"})
    assert [caller.get("webhooks", Page=page).status_code for page in (0, 1, 1)] == [200, 503, 200]


def test_hidden_rows_are_returned_on_request(alvys: Simulator, caller: Caller) -> None:
    stream = STREAMS["deductions"]
    everything = caller.rows(stream, {**period(stream.windows[1], SINCE, UNTIL), "IncludePaid": True})
    unpaid = caller.rows(stream, {**period(stream.windows[1], SINCE, UNTIL), "IncludePaid": False})
    assert [row["Id"] for row in everything] == alvys.truth_keys(stream="deductions", window_by="whole")
    assert 0 < len(unpaid) < len(everything)
    assert unpaid == [row for row in everything if not row["IsPaid"]]
    alvys.change(stream="trips", rows=5, columns={"IsDeleted": True})
    trips = caller.rows(
        STREAMS["trips"], {**period(STREAMS["trips"].windows[0], SINCE, UNTIL), "IncludeDeleted": True}
    )
    shown = caller.rows(STREAMS["trips"], period(STREAMS["trips"].windows[0], SINCE, UNTIL))
    assert len(trips) - len(shown) == sum(trip["IsDeleted"] for trip in trips) >= 5
    assert not any("IsDeleted" in trip for trip in shown)


@pytest.mark.parametrize(
    "stream", [s for s in STREAMS.values() if s.is_child], ids=lambda stream: stream.name
)
def test_the_children_of_an_unknown_parent_are_404(caller: Caller, stream: Stream) -> None:
    assert caller.search(stream, {}, ["nobody"]).status_code == 404


def test_a_batch_returns_the_children_of_its_parents(alvys: Simulator, caller: Caller) -> None:
    stream = STREAMS["driver_events"]
    drivers = alvys.truth_keys(stream="drivers")
    dates = period(stream.windows[0], SINCE, UNTIL)
    rows = caller.rows(stream, dates, drivers)
    some = {row["DriverId"] for row in rows[:3]}
    assert caller.rows(stream, dates, sorted(some)) == [row for row in rows if row["DriverId"] in some]
    assert caller.search(stream, dates, ["nobody"]).status_code == 404


@pytest.mark.parametrize("stream", [s for s in STREAMS.values() if s.lookup], ids=lambda stream: stream.name)
def test_a_lookup_returns_the_record_and_its_etag(alvys: Simulator, caller: Caller, stream: Stream) -> None:
    assert stream.lookup
    parents = parents_of(alvys, stream)
    hidden = {filter.name: False for filter in stream.filters if filter.unhides and stream.lookup.one_of}
    row = rows_of(alvys, stream=stream.name, parents=parents[:1] if parents else None, filters=hidden)[0]
    if stream.lookup.one_of:
        for name, column in stream.lookup.one_of.items():
            answer = caller.get(stream.lookup.path, **{name.upper(): row[column]})
            assert (answer.status_code, answer.json()) == (200, row)
            assert caller.get(stream.lookup.path, **{name: "none"}).status_code == 404
        twice = caller.get(
            stream.lookup.path, **{name: row[column] for name, column in stream.lookup.one_of.items()}
        )
        assert twice.status_code == caller.get(stream.lookup.path).status_code == 400
    else:
        names = [*(parents or [])[:1], row[stream.key[0]]]
        path = "/".join(
            str(names.pop(0)) if part.startswith("{") else part for part in stream.lookup.path.split("/")
        )
        answer = caller.get(path)
        assert (answer.status_code, answer.json()) == (200, row)
        assert caller.get(path + "0").status_code == 404
        assert caller.post(path, {}).status_code == 405
    assert answer.headers["etag"].strip('"')


def test_a_change_gives_a_record_a_new_etag(alvys: Simulator, caller: Caller) -> None:
    number = rows_of(alvys)[5]["LoadNumber"]
    before = caller.get("loads", loadNumber=number)
    assert caller.get("loads", loadNumber=number).headers["etag"] == before.headers["etag"]
    alvys.change(keys=[number], columns={"Status": "Quoted"})
    after = caller.get("loads", loadNumber=number)
    assert (after.json()["Status"], after.headers["etag"] != before.headers["etag"]) == ("Quoted", True)


def test_a_lookup_returns_a_deleted_record_on_request(alvys: Simulator, caller: Caller) -> None:
    (key,) = alvys.change(stream="trips", rows=1, columns={"IsDeleted": True})
    assert caller.get("trips", id=key).status_code == 404
    assert caller.get("trips", id=key, includeDeleted="true").json()["IsDeleted"] is True


def test_a_wrong_verb_is_405_and_an_unknown_path_404(caller: Caller) -> None:
    assert caller.get("loads/1000").status_code == caller.get("Trips/Search").status_code == 405
    assert caller.post("users/list", {}).status_code == 405
    assert caller.get("loads/1000/nothing").status_code == caller.get("lodes/1000").status_code == 404


@pytest.mark.parametrize("scope", sorted({stream.scope for stream in STREAMS.values() if stream.scope}))
def test_a_search_needs_the_scope_of_its_stream(alvys: Simulator, scope: str) -> None:
    every = {stream.scope for stream in STREAMS.values() if stream.scope}
    alvys.reset(loads=10, fleet=5, now=NOW, scopes=" ".join(sorted(every - {scope})))
    caller = Caller(alvys)
    for stream in STREAMS.values():
        answer = caller.search(stream, next(iter(searches(stream))), parents_of(alvys, stream))
        assert answer.status_code == (403 if stream.scope == scope else 200), stream.name


def test_a_window_with_two_parameters_takes_either(alvys: Simulator, caller: Caller) -> None:
    stream = get_stream("dispatch_preferences")
    times = sorted(row["UpdatedAt"] for row in caller.rows(stream, {}))
    assert len(caller.rows(stream, {"UpdatedAtStart": times[10]})) == 20
    assert len(caller.rows(stream, {"UpdatedAtEnd": times[10]})) == 10
    assert len(caller.rows(stream, {"updatedatstart": times[5], "UPDATEDATEND": times[10]})) == 5


def test_the_seventh_digit_of_a_second_is_truncated(alvys: Simulator, caller: Caller) -> None:
    fuel = get_stream("fuel")
    (key,) = alvys.add(stream="fuel", rows=1, columns={"TransactionDate": "2020-03-02T00:00:00Z"})
    days = {"Start": "2020-03-01T00:00:00Z", "End": "2020-03-01T23:59:59.9999999Z"}
    assert caller.search(fuel, {"TransactionRange": days}).json()["Total"] == 0
    alvys.change(stream="fuel", keys=[key], columns={"TransactionDate": "2020-03-01T23:59:59.9999990Z"})
    assert caller.search(fuel, {"TransactionRange": days}).json()["Total"] == 1
