from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, SINCE, UNTIL, Caller, period, rows_of

DAY = 86_400


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=120, fleet=30, now=NOW, clock_offset=0)
    alvys.set_clock(NOW)
    return Caller(alvys)


def one(alvys: Simulator, stream: str, key: str, **query: Any) -> dict[str, Any]:
    keys = alvys.truth_keys(stream=stream, **query)
    return rows_of(alvys, stream=stream, **query)[keys.index(key)]


def test_any_field_can_be_changed_and_removed(alvys: Simulator, caller: Caller) -> None:
    key = alvys.truth_keys(stream="customers")[4]
    columns = {
        "Name": "Zoë & Co",
        "DateCreated": "2026-01-02T03:04:05.678901Z",
        "Fax": None,
        "Notes": [{"id": "1"}],
        "New": 1,
    }
    assert alvys.change(stream="customers", keys=[key], columns=columns) == [key]
    row = one(alvys, "customers", key)
    assert (row["Name"], row["Notes"], row["New"], "Fax" in row) == ("Zoë & Co", [{"id": "1"}], 1, False)
    assert row["DateCreated"].startswith("2026-01-02T03:04:05.678901")
    window = {
        "since": "2026-01-02T03:04:05.678901Z",
        "until": "2026-01-02T03:04:05.678902Z",
        "window_by": "created",
    }
    assert alvys.truth_keys(stream="customers", **window) == [key]


def test_a_search_within_a_field_finds_its_new_value(alvys: Simulator, caller: Caller) -> None:
    (key,) = alvys.change(
        stream="invoices", rows=1, columns={"Loads": [{"LoadNumber": "a"}, {"LoadNumber": "b"}]}
    )
    assert [row["Id"] for row in caller.rows(STREAMS["invoices"], {"LoadNumbers": ["b", "c"]})] == [key]
    (key,) = alvys.change(stream="drivers", rows=1, columns={"Fleet": {"Name": "Moon"}, "IsActive": False})
    assert [row["Id"] for row in caller.rows(STREAMS["drivers"], {"FleetName": "Moon"})] == [key]


def test_rows_are_selected_by_key_lookup_value_field_or_count(alvys: Simulator, caller: Caller) -> None:
    loads = rows_of(alvys)
    first, second = loads[1], loads[2]
    chosen = [first["Id"], second["OrderNumber"]]
    assert alvys.change(keys=chosen, columns={"PONumber": "x"}) == [first["Id"], second["Id"]]
    assert sorted(alvys.change(where={"PONumber": ["x", "y"]})) == sorted([first["Id"], second["Id"]])
    assert len(alvys.change(where={"PONumber": "x"}, rows=1)) == 1
    assert len(alvys.change(stream="maintenance", where={"Status": "Open"}, rows=3)) == 3
    assert len(alvys.change(rows=1000)) == sum(not load["IsDeleted"] for load in loads)


def test_a_changed_status_sets_its_time(alvys: Simulator, caller: Caller) -> None:
    (key,) = alvys.change(stream="invoices", where={"Status": "AwaitingPayment"}, rows=1)
    assert "PaidDate" not in one(alvys, "invoices", key)
    alvys.set_clock(NOW + 9 * DAY + 5)
    alvys.change(stream="invoices", keys=[key], columns={"Status": "Paid"})
    assert one(alvys, "invoices", key)["PaidDate"] == "2026-12-03T00:00:00+00:00"
    (key,) = alvys.change(where={"Status": "Covered"}, rows=1)
    alvys.change(keys=[key], at="2026-12-25T10:00:00Z", columns={"Status": "Delivered"})
    load = one(alvys, "loads", key)
    assert load["DeliveredAt"].startswith("2026-12-25T10:00:00")
    assert load["UpdatedAt"] == "2026-12-25T10:00:00.0000000+00:00"


@pytest.mark.parametrize(
    "stream", [s for s in STREAMS.values() if not s.is_child], ids=lambda stream: stream.name
)
def test_rows_can_be_added_and_removed(alvys: Simulator, caller: Caller, stream: Any) -> None:
    alvys.set_clock(NOW + 30 * DAY)
    query: dict[str, Any] = {"stream": stream.name}
    if not stream.full_read:
        query |= {"since": SINCE}
    before = alvys.truth_keys(**query)
    added = alvys.add(stream=stream.name, rows=2)
    assert set(alvys.truth_keys(**query)) == {*before, *added}
    assert len(added) == len({*added} - {*before}) == 2
    row = one(
        alvys, stream.name, added[0], **{name: value for name, value in query.items() if name != "stream"}
    )
    for name in (
        "CreatedAt",
        "CreatedDate",
        "DateCreated",
        "UpdatedAt",
        "TransactionDate",
        "InvoicedDate",
        "Date",
    ):
        if name in row and stream.fields.fields[name] == "time":
            assert row[name].startswith("2026-12-24T00:00:0"), name
    removed = alvys.remove(stream=stream.name, keys=[before[0], added[0]])
    assert removed == [before[0], added[0]]
    assert set(alvys.truth_keys(**query)) == {*before[1:], added[1]}
    assert len(alvys.remove(stream=stream.name, rows=3)) == 3
    assert len(alvys.truth_keys(**query)) == len(before) - 3


def test_added_rows_have_their_columns_and_are_in_order(alvys: Simulator, caller: Caller) -> None:
    loads = alvys.truth_keys()
    (key,) = alvys.add(columns={"CreatedAt": "2026-10-10T00:00:00Z", "Status": "TONU", "LoadNumber": "7"})
    assert 0 < alvys.truth_keys().index(key) < len(loads)
    assert one(alvys, "loads", key)["CreatedAt"].startswith("2026-10-10T00:00:00.000")
    assert caller.get("loads", loadNumber="7").json()["Id"] == key
    assert caller.get("loads/7/documents").status_code == 200


def test_children_are_added_to_a_parent(alvys: Simulator, caller: Caller) -> None:
    number = rows_of(alvys)[3]["LoadNumber"]
    before = caller.get(f"loads/{number}/documents").json()
    added = alvys.add(
        stream="load_documents", rows=2, parent=number, columns={"AttachmentType": "Proof of Delivery"}
    )
    now = caller.get(f"loads/{number}/documents").json()
    assert [row["id"] for row in now] == [row["id"] for row in before] + added
    assert {(row["ParentId"], row["AttachmentType"]) for row in now[-2:]} == {(number, "Proof of Delivery")}
    assert alvys.remove(stream="load_documents", keys=added[:1]) == added[:1]
    assert len(caller.get(f"loads/{number}/documents").json()) == len(before) + 1
    trip = alvys.truth_keys(stream="trips")[5]
    (call,) = alvys.add(stream="trip_check_calls", columns={"TripId": trip})
    assert caller.get(f"trips/{trip}/check-calls").json()[-1]["Id"] == call
    driver = alvys.truth_keys(stream="drivers")[5]
    (event,) = alvys.add(stream="driver_events", parent=driver)
    dates = period(STREAMS["driver_events"].windows[0], SINCE, UNTIL)
    assert event in [row["Id"] for row in caller.rows(STREAMS["driver_events"], dates, [driver])]
    with pytest.raises(RuntimeError, match="'nobody'"):
        alvys.add(stream="load_documents", parent="nobody")


def test_removing_a_row_removes_its_children(alvys: Simulator, caller: Caller) -> None:
    everyone = alvys.truth_keys(stream="load_documents")
    alvys.remove(rows=100)
    assert len(alvys.truth_keys(stream="load_documents")) < len(everyone)


def test_the_clock_can_be_set(alvys: Simulator, caller: Caller) -> None:
    date = requests.get(f"{alvys.url}/_sim/stats", timeout=10).headers["date"]
    assert date.startswith("Tue, 24 Nov 2026 00:00:0")
    alvys.set_clock(NOW + 30 * DAY)
    date = requests.get(f"{alvys.url}/_sim/stats", timeout=10).headers["date"]
    assert date.startswith("Thu, 24 Dec 2026 00:00:0")
    # Tokens expire by this clock, and changes have its time.
    assert caller.get("loads", id="1").status_code == 401
    (key,) = alvys.change(rows=1)
    assert one(alvys, "loads", key)["UpdatedAt"].startswith("2026-12-24T00:00:0")
    alvys.reset(loads=1)
    assert "2026-12-24" not in alvys.truth_rows()[0].decode()


def test_the_truth_of_a_window_combines_its_branches(alvys: Simulator, caller: Caller) -> None:
    alvys.reset(loads=400, now=NOW)
    since, until = "2026-11-01T00:00:00Z", "2026-11-10T00:00:00Z"

    def keys(**query: Any) -> set[str]:
        return set(alvys.truth_keys(stream="invoices", **query))

    united = keys(since=since, until=until)
    parts = [keys(since=since, until=until, window_by=name) for name in ("invoiced", "sent", "paid")]
    unpaid = keys(filters={"Status": ["Draft", "AwaitingPayment"]})
    assert united == parts[0] | parts[1] | parts[2] | unpaid
    assert united < keys()
    # With filters, a branch finds only the rows that match both.
    paid = {"since": since, "until": until, "filters": {"Status": ["Paid", "Draft"]}}
    drafts = keys(filters={"Status": ["Draft"]})
    assert keys(**paid) == drafts | keys(**paid, window_by="paid") | keys(
        **paid, window_by="invoiced"
    ) | keys(**paid, window_by="sent")
    deductions = set(alvys.truth_keys(stream="deductions", since=since, until=until))
    owed = {row["Id"] for row in rows_of(alvys, stream="deductions") if not row["IsPaid"]}
    assert owed < deductions
    assert len(deductions - owed) > 5


@pytest.mark.parametrize("is_honoured", [False, True])
def test_the_truth_of_an_ignored_filter_is_what_a_search_finds(alvys: Simulator, is_honoured: bool) -> None:
    if is_honoured:
        alvys.reset(ignored_filters="")
    caller = Caller(alvys)
    filters = {"IsActive": False}
    found = caller.search(STREAMS["trucks"], filters).json()["Total"]
    assert len(alvys.truth_keys(stream="trucks", filters=json.dumps(filters))) == found
    everything = len(alvys.truth_keys(stream="trucks"))
    assert 0 < found < everything if is_honoured else found == everything


def test_the_truth_without_a_window_is_every_row(alvys: Simulator, caller: Caller) -> None:
    assert (
        len(alvys.truth_keys(stream="maintenance")) == len(set(alvys.truth_keys(stream="maintenance"))) == 120
    )
    assert alvys.truth_keys(stream="maintenance", window_by="whole") == alvys.truth_keys(stream="maintenance")
    assert alvys.truth_keys(stream="visibility_outbound_errors") == []
    trips = alvys.truth_keys(stream="trips")
    parents = [trips[9], trips[2]]
    stops = alvys.truth_keys(stream="trip_stops", parents=parents)
    assert stops == [key for trip in parents for key in alvys.truth_keys(stream="trip_stops", parents=[trip])]
    assert len(alvys.truth_keys(stream="trip_stops")) > 120
    for bad in (
        "window_by=paid",
        "since=soon",
        "filters={}&stream=customers&since=2026-01-01T00:00:00Z",
        'filters={"X":1}',
    ):
        assert requests.get(f"{alvys.url}/_sim/truth?{bad}", timeout=10).status_code == 400, bad


@pytest.mark.parametrize(
    "name", ["tolls", "trips", "carriers", "driver_settlement_statements", "webhook_delivery_logs"]
)
def test_mutations_move_rows_out_of_and_into_any_search(alvys: Simulator, name: str) -> None:
    alvys.reset(loads=60, fleet=30, now=NOW, rows={"webhook_delivery_logs": 9})
    alvys.set_clock(NOW + 3600)
    caller, stream = Caller(alvys), STREAMS[name]
    parents = alvys.truth_keys(stream="webhooks")[:1] if stream.is_child else None
    window = next((window for window in stream.windows if window.column), None)
    fields = {
        **stream.search_fields({}),
        **(period(window, "2026-08-20T00:00:00Z", "2026-11-24T00:00:00Z") if window else {}),
    }
    before = caller.search(stream, fields, parents).json()["Total"]
    alvys.order_mutations({"kind": "leave", "rows": 2, "times": 1})
    totals = [caller.search(stream, fields, parents).json()["Total"] for _ in range(3)]
    assert totals == [before, before - 2, before - 2]
    alvys.order_mutations({"kind": "join", "rows": 3, "times": 1})
    totals = [caller.search(stream, fields, parents).json()["Total"] for _ in range(3)]
    assert totals == [before - 2, before + 1, before + 1]


def test_a_fault_damages_the_utf8_of_any_response(alvys: Simulator, caller: Caller) -> None:
    alvys.order_faults({"kind": "bad_utf8", "endpoint": "GET users/list"})
    answer = caller.get("users/list")
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode()
    assert json.loads(caller.get("users/list").content)


def test_stats_count_faults_and_mutations(alvys: Simulator, caller: Caller) -> None:
    users, loads = STREAMS["users_list"], STREAMS["loads"]
    alvys.order_faults(
        {"kind": "status", "endpoint": "GET users/list", "times": 2, "label": "busy"},
        {"kind": "html", "endpoint": "GET users/list", "times": 5},
        {"kind": "reset", "endpoint": "POST loads/search", "skip": 1},
    )
    alvys.order_mutations(
        {"kind": "join", "stream": "loads", "label": "new rows"}, {"kind": "leave", "stream": "trips"}
    )
    for _ in range(3):
        caller.search(users, {})
    caller.search(loads, loads.search_fields({}))
    stats = alvys.stats()
    assert stats["faults"] == {"busy": 2, "html": 1}
    assert stats["mutations"] == {"loads:new rows": 1}


def test_an_invalid_control_request_is_rejected(alvys: Simulator) -> None:
    for path, body in (
        ("add", {"stream": "lodes"}),
        ("remove", {"row": 1}),
        ("clock", {}),
        ("clock", {"now": 1e15}),
        ("clock", {"now": -1}),
        ("change", {"rows": -1}),
    ):
        assert requests.post(f"{alvys.url}/_sim/{path}", json=body, timeout=10).status_code == 400, path
    assert (
        requests.post(
            f"{alvys.url}/_sim/change", json={"columns": {"UpdatedAt": "soon"}}, timeout=10
        ).status_code
        == 400
    )


def test_a_stopped_clock_moves_only_by_hand(alvys: Simulator, caller: Caller) -> None:
    def read_clock() -> str:
        return requests.get(f"{alvys.url}/_sim/stats", timeout=60).headers["date"]

    alvys.set_clock(NOW, stopped=True)
    (key,) = alvys.change(rows=1, columns={"PONumber": "1"})
    (other,) = alvys.change(rows=1, columns={"PONumber": "2"})
    assert one(alvys, "loads", key)["UpdatedAt"] == one(alvys, "loads", other)["UpdatedAt"]
    stopped = read_clock()
    assert alvys.advance(hours=1) == NOW + 3600
    assert alvys.advance(hours=1) == NOW + 7200
    assert read_clock() != stopped
    alvys.set_clock(NOW + 7200)
    assert alvys.advance(hours=1) > NOW + 10_800
