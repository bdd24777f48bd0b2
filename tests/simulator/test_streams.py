from __future__ import annotations

import asyncio
import json
from datetime import date, datetime
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import (
    STREAMS,
    Branch,
    Filter,
    Lookup,
    Parent,
    Stream,
    TimeWindow,
)
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record, record
from airflow_provider_alvys.simulator.app.server import SimulatorApp
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import NOW, WEEK, Caller, parents_of, rows_of, searches

EVERY = pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda stream: stream.name)


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=120, fleet=30, now=NOW)
    return Caller(alvys)


def truth_of(alvys: Simulator, stream: Stream, parents: list[str] | None) -> list[dict[str, Any]]:
    window = {} if stream.full_read else {"since": WEEK[0], "until": WEEK[1]}
    return rows_of(alvys, stream=stream.name, parents=parents, **window)


@EVERY
def test_every_stream_returns_the_rows_of_the_truth(alvys: Simulator, caller: Caller, stream: Stream) -> None:
    parents = parents_of(alvys, stream)
    expected = truth_of(alvys, stream, parents)
    assert expected
    found = []
    for batch in [[parent] for parent in parents or ()] if stream.is_child else [parents]:
        for fields in searches(stream):
            found += caller.rows(stream, fields, batch)
    if any(filter.ignored for filter in stream.filters):
        # Each search returns every row.
        found = found[: len(expected)]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    keys = [tuple(row.get(name) for name in stream.key) for row in found]
    assert len(set(keys)) == len(keys) or not stream.key


@EVERY
def test_every_field_has_its_type_in_the_catalogue(alvys: Simulator, caller: Caller, stream: Stream) -> None:
    for row in truth_of(alvys, stream, parents_of(alvys, stream)):
        if stream.fields.fields:
            check(row, stream.fields, stream.name)


def check(value: Any, kind: FieldType, where: str) -> None:
    if isinstance(kind, Record):
        assert set(value) <= set(kind.fields), where
        for name, inner in value.items():
            if "currency" in kind.flags.get(name, ()):
                assert inner in (*CURRENCIES, *CURRENCIES.values()), where
            else:
                check(inner, kind.fields[name], f"{where}.{name}")
    elif isinstance(kind, Array):
        for item in value:
            check(item, kind.of, where)
    elif kind == "time":
        assert msgspec.convert(value, datetime).tzinfo, where
    elif kind == "date":
        date.fromisoformat(value)
    elif kind == "boolean":
        assert isinstance(value, bool), where
    elif kind in ("integer", "decimal"):
        assert isinstance(value, int if kind == "integer" else (int, float)), where
    else:
        assert isinstance(value, str) if kind == "string" else value is not None, where


@pytest.mark.parametrize(
    ("stream", "path", "target"),
    [
        pytest.param(stream, path, target, id=f"{stream.name}-{path}")
        for stream in STREAMS.values()
        for path, target in stream.references.items()
    ],
)
def test_references_name_existing_records(
    alvys: Simulator, caller: Caller, stream: Stream, path: str, target: str
) -> None:
    name, _, column = target.partition(".")
    known = {row[column] for row in rows_of(alvys, stream=name)}
    named = {
        value
        for row in truth_of(alvys, stream, parents_of(alvys, stream))
        for value in values_at(row, path.split("."))
    }
    assert named
    assert named <= known


def values_at(value: Any, names: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in values_at(item, names)]
    if not names:
        return [] if value is None else [value]
    return values_at(value.get(names[0]), names[1:]) if isinstance(value, dict) else []


def test_references_to_one_record_agree(alvys: Simulator, caller: Caller) -> None:
    loads = {row["LoadNumber"]: row for row in rows_of(alvys)}
    trips = rows_of(alvys, stream="trips")
    assert all(trip["OrderNumber"] == loads[trip["LoadNumber"]]["OrderNumber"] for trip in trips)
    for invoice in rows_of(alvys, stream="invoices"):
        for load in invoice["Loads"]:
            assert load["Id"] == loads[load["LoadNumber"]]["Id"]
            assert load["PONumber"] == loads[load["LoadNumber"]]["PONumber"]
    by_id = {trip["Id"]: trip for trip in trips}
    for call in rows_of(alvys, stream="trip_check_calls", parents=[trip["Id"] for trip in trips]):
        assert call["LoadNumber"] == by_id[call["TripId"]]["LoadNumber"]
    invoice = rows_of(alvys, stream="invoices")[7]
    number = invoice["Loads"][0]["LoadNumber"]
    found = caller.rows(STREAMS["invoices"], {"LoadNumbers": [number]})
    assert invoice in found
    assert all(number in [load["LoadNumber"] for load in other["Loads"]] for other in found)


def test_the_times_of_a_row_agree_with_its_status(alvys: Simulator, caller: Caller) -> None:
    invoices = rows_of(alvys, stream="invoices")
    assert {invoice["Status"] for invoice in invoices} == {"Draft", "AwaitingPayment", "Paid"}
    for invoice in invoices:
        assert ("PaidDate" in invoice) == (invoice["Status"] == "Paid")
        assert ("InvoicedDate" in invoice) == (invoice["Status"] != "Draft")
        if "PaidDate" in invoice:
            assert invoice["InvoicedDate"] <= invoice["PaidDate"]
            assert invoice["PaidDate"].endswith("T00:00:00+00:00")
    for load in rows_of(alvys):
        assert load["CreatedAt"][:19] <= load["UpdatedAt"][:19]
        assert ("CancelledAt" in load) == (load["Status"] in ("Cancelled", "TONU"))
        assert "CancelledAt" in load or "CancelledBy" not in load
        if "DeliveredAt" in load:
            assert load["Status"] not in ("Open", "Covered", "In Transit", "Cancelled")
    dates = [row["StatementDate"] for row in rows_of(alvys, stream="driver_settlement_statements")]
    # A day without a time: the last Sunday whose week is closed.
    assert max(dates) == "2026-11-22"
    assert {len(day) for day in dates} == {10}


def test_stops_are_reached_in_order_and_in_different_places(alvys: Simulator, caller: Caller) -> None:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text[:19] + text[-6:])

    late, missing, places = [], [], {}
    for load in rows_of(alvys):
        stops = load["Stops"]
        if load["Status"] != "TONU":
            # A few arrivals are not recorded.
            missing += [stops[-1]] * ("ArrivedAt" not in stops[-1] and "DeliveredAt" in load)
            assert "DepartedAt" not in stops[-1] or "DeliveredAt" in load
        times = [
            moment(stop[name])
            for stop in stops
            if "ArrivedAt" in stop
            for name in ("ArrivedAt", "DepartedAt")
            if name in stop
        ]
        assert times == sorted(times)
        happened = [
            load[name]
            for name in ("CreatedAt", "PickedUpAt", "DeliveredAt", "InvoicedAt", "PaidAt")
            if name in load
        ]
        assert list(map(moment, happened)) == sorted(map(moment, happened))
        if "ArrivedAt" in stops[-1] and "AppointmentDate" in stops[-1]:
            late.append(moment(stops[-1]["ArrivedAt"]) > moment(stops[-1]["AppointmentDate"]))
        cities = [stop["Address"]["City"] for stop in stops]
        assert len(set(cities)) == len(cities)
        for stop in stops:
            # A city always has the same coordinates.
            assert places.setdefault(stop["Address"]["City"], stop["Coordinates"]) == stop["Coordinates"]
    assert 0.1 < sum(late) / len(late) < 0.5
    assert 0 < len(missing) < 20


def test_names_agree_with_the_ids_next_to_them(alvys: Simulator, caller: Caller) -> None:
    names = {row["Id"]: row["Name"] for row in rows_of(alvys, stream="customers")}
    assert len(set(names.values())) == len(names) == 30
    loads = rows_of(alvys)
    assert all(load["CustomerName"] == names[load["CustomerId"]] for load in loads)
    assert all(
        row["Customer"]["Name"] == names[row["Customer"]["Id"]] for row in rows_of(alvys, stream="invoices")
    )
    drivers = {row["Id"]: row["Name"] for row in rows_of(alvys, stream="drivers")}
    assert all(row["DriverName"] == drivers[row["DriverId"]] for row in rows_of(alvys, stream="fuel"))


def test_streams_of_the_same_records_return_the_same_rows(alvys: Simulator, caller: Caller) -> None:
    for name in ("drivers", "trucks", "trailers", "users"):
        assert alvys.truth_keys(stream=f"{name}_list") == alvys.truth_keys(stream=name)
        assert len(alvys.truth_keys(stream=name)) == 30
    active = caller.rows(STREAMS["drivers"], {"IsActive": True})
    assert 0 < len(active) < 30


def test_the_number_of_rows_is_an_option(alvys: Simulator) -> None:
    alvys.reset(loads=20, fleet=5, rows={"tolls": 3, "trucks": 7, "webhook_delivery_logs": 130})
    counts = {
        name: len(alvys.truth_keys(stream=name))
        for name in ("maintenance", "tolls", "users", "trucks", "trucks_list")
    }
    assert counts == {"maintenance": 20, "tolls": 3, "users": 5, "trucks": 7, "trucks_list": 7}
    parent = alvys.truth_keys(stream="webhooks")[1]
    assert len(alvys.truth_keys(stream="webhook_delivery_logs", parents=[parent])) == 130
    with pytest.raises(RuntimeError, match="'tols'"):
        alvys.reset(rows={"tols": 3})


def test_cut_notes_puts_half_an_emoji_into_the_first_rows(alvys: Simulator) -> None:
    alvys.reset(loads=5, fleet=5, cut_notes=2)
    for name in ("loads", "carriers"):
        assert [b"\\ud83d" in row for row in alvys.truth_rows(stream=name)] == [
            True,
            True,
            False,
            False,
            False,
        ]


def test_without_stamp_removes_updated_at_from_older_rows(alvys: Simulator) -> None:
    alvys.reset(loads=400, without_stamp=0.1)
    for name in ("loads", "trips"):
        rows = rows_of(alvys, stream=name)
        bare = [number for number, row in enumerate(rows) if "UpdatedAt" not in row]
        assert 20 < len(bare) < 60
        assert max(bare) < len(rows) / 2
        window = {"stream": name, "window_by": "updated", "since": "2000-01-01T00:00:00Z"}
        assert len(alvys.truth_keys(**window)) == len(rows) - len(bare)


YARD = record("Id Name Spots:integer OpenedAt:time LoadNumber Kind", note=record("id"))
# Their paths have words of no other stream.
NEW = (
    Stream(
        name="yards",
        description="A yard",
        path="yards/search",
        scope="load:read",
        key=("Id",),
        fields=YARD,
        filters=(Filter("Filter.Kind", "string", "Kind", values=("Drop", "Park"), required=True),),
        windows=(TimeWindow("opened", ("From", "To"), "OpenedAt"),),
        default_window="opened",
        full_read=(Branch({"Filter.Kind": "Drop"}), Branch({"Filter.Kind": "Park"})),
        lookup=Lookup("yards/{id}"),
        references={"LoadNumber": "loads.LoadNumber"},
    ),
    Stream(
        name="yard_gates",
        description="A gate of a yard",
        path="yards/{Id}/gates",
        method="GET",
        scope=None,
        key=("Id",),
        fields=record("Id YardId Width:decimal"),
        response_type="list",
        parent=Parent("yards", "Id"),
        references={"YardId": "yards.Id"},
    ),
)


class Internal:
    """Calls to a simulator in this process."""

    def __init__(self) -> None:
        self._app = SimulatorApp(Options(loads=40))
        fields = {
            "client_id": "simulator",
            "client_secret": "simulator-secret",
            "grant_type": "client_credentials",
        }
        token = self.call("POST", "/oauth/token", {**fields, "audience": "https://api.alvys.com/public/"})[1][
            "access_token"
        ]
        self._token = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return asyncio.run(self._call(method, path, body))

    async def _call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []
        headers = [
            (b"content-type", b"application/json"),
            (b"authorization", getattr(self, "_token", "").encode()),
        ]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_stream_in_the_catalogue_needs_no_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in NEW:
        monkeypatch.setitem(STREAMS, stream.name, stream)  # type: ignore[arg-type]
    alvys = Internal()
    base = "/api/p/v1/yards"
    page = {"Page": 0, "PageSize": 100}
    assert alvys.call("POST", f"{base}/search", page) == (
        400,
        {"Filter.Kind": ["The Filter.Kind field is required."]},
    )
    yards = []
    for kind in ("Drop", "Park"):
        status, found = alvys.call("POST", f"{base}/search", {**page, "filter": {"kind": kind}})
        assert (status, {yard["Kind"] for yard in found["Items"]}) == (200, {kind})
        yards += found["Items"]
    assert len(yards) == 40
    assert all(isinstance(yard["Spots"], int) for yard in yards if "Spots" in yard)
    assert alvys.call("GET", f"{base}/{yards[3]['Id']}") == (200, yards[3])
    assert alvys.call("GET", f"{base}/nowhere")[0] == 404
    gates = [gate for yard in yards for gate in alvys.call("GET", f"{base}/{yard['Id']}/gates")[1]]
    assert 20 < len(gates) < 100
    assert {gate["YardId"] for gate in gates} <= {yard["Id"] for yard in yards}
    last = {**page, "Filter": {"Kind": "Drop"}, "From": "2031-01-01T00:00:00Z"}
    assert alvys.call("POST", f"{base}/search", last)[1]["Total"] == 0
    assert alvys.call("GET", "/_sim/truth")[1]["total"] == 40


def test_addresses_and_etas_follow_from_the_stops(alvys: Simulator, caller: Caller) -> None:
    loads, trips = (rows_of(alvys, stream=name) for name in ("loads", "trips"))
    for load in loads:
        stops = load["Stops"]
        assert load["Origin"] == stops[0]["Address"]
        assert load["Destination"] == stops[-1]["Address"]
        ids = {stop["Id"] for stop in stops}
        assert {charge["StopId"] for charge in load.get("CustomerAccessorialsDetails", ())} <= ids
    assert any(load.get("CustomerAccessorialsDetails") for load in loads)
    assert all(trip["Eta"] == trip["Stops"][-1]["Eta"] for trip in trips)
    etas = [stop["Eta"] for row in (*loads, *trips) for stop in row["Stops"]]
    assert {name for eta in etas for name in eta} == {"Planned", "Live", "Manual"}
    assert any("Live" not in eta for eta in etas)
    assert any("Manual" not in eta for eta in etas)


def test_a_load_without_a_delivery_has_no_destination(alvys: Simulator, caller: Caller) -> None:
    (key,) = alvys.change(rows=1, columns={"Stops": [{"StopType": "Pickup", "Address": {"City": "Reno"}}]})
    (load,) = [load for load in rows_of(alvys) if load["Id"] == key]
    assert load["Origin"] == {"City": "Reno"}
    assert "Destination" not in load


def test_only_escrow_has_a_transaction_type_and_a_deposit_is_negative(alvys: Simulator) -> None:
    # Few owner-operators withdraw their escrow.
    alvys.reset(loads=1000, fleet=60, now=NOW)
    lines = [
        line
        for statement in rows_of(alvys, stream="driver_settlement_statements")
        for line in statement["LineItems"]
    ]
    assert {("TransactionType" in line) == (line.get("Category") == "Escrow") for line in lines} == {True}
    signs = {line["TransactionType"]: set() for line in lines if "TransactionType" in line}
    for line in lines:
        if line["Amount"]["Amount"] and "TransactionType" in line:
            signs[line["TransactionType"]].add(line["Amount"]["Amount"] < 0)
    assert signs == {"Deposit": {True}, "Withdrawal": {False}}


@pytest.mark.parametrize(
    ("stream", "types"),
    [
        ("driver_events", {"Vacation", "Restart", "Hometime", "SickOrEmergency", "Other"}),
        ("truck_events", {"Repair", "Other"}),
        ("trailer_events", {"Repair", "Other"}),
    ],
)
def test_events_have_the_types_that_alvys_uses(
    alvys: Simulator, caller: Caller, stream: str, types: set[str]
) -> None:
    parents = parents_of(alvys, STREAMS[stream])
    assert {row["EventType"] for row in truth_of(alvys, STREAMS[stream], parents)} == types


@pytest.mark.parametrize("stream", ["loads", "trips", "trucks", "trailers"])
def test_references_have_the_types_and_origins_that_alvys_uses(
    alvys: Simulator, caller: Caller, stream: str
) -> None:
    alvys.reset(loads=120, fleet=120)
    references = [reference for row in rows_of(alvys, stream=stream) for reference in row["References"]]
    found = {name: {reference.get(name) for reference in references} - {None} for name in ("Type", "Origin")}
    assert found["Type"] == {"Text", "Date", "Bool", "List", ""}
    assert found["Origin"] == {"Manual", "Integration", "EDI", "Unknown"}
    assert all(isinstance(reference["Value"], str) for reference in references)
