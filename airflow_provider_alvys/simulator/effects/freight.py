"""The effects of writes to loads, trips and stops."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.simulator.company.books.rules import save_load
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import format_time, parse_micros
from airflow_provider_alvys.simulator.effects.write_call import API_USER, WriteCall, money, with_offset
from airflow_provider_alvys.simulator.protocol.http import json_response

_EDI = "EDI"
_FROM_RATE = ("Linehaul", "TotalPayable")
_STOP_TIMES = ("ArrivedAt", "DepartedAt")
_NOT_YET_COVERED = ("Open", "Reserved", "Quoted", "In Review", "Queued")
_ON_THE_ROAD = ("Covered", "Dispatched", "In Transit")
# By field of the request: the field of the trip, and the stream.
_ASSIGNEES = {
    "CarrierId": ("Carrier", "carriers"),
    "Driver1Id": ("Driver1", "drivers"),
    "Driver2Id": ("Driver2", "drivers"),
    "TruckId": ("Truck", "trucks"),
    "TrailerId": ("Trailer", "trailers"),
}


def update_load(write: WriteCall) -> Response:
    """Change a load's order number, and that of its trips."""
    if write.value("LoadType") == _EDI:
        raise HTTPException(409, "The order number of an EDI load cannot change.")
    columns = {"OrderNumber": write.body["OrderNumber"]}
    write.update(write.rows, write.number, columns)
    trips = write.tenant.rows("trips")
    for trip in trips.matching({"LoadNumber": write.target.name}):
        write.update(trips, trip, columns)
    return write.respond_with(write.rows, write.number)


def create_note(write: WriteCall) -> Response:
    """Add a note to a load, unless it has one with that id."""
    notes = write.tenant.rows("load_notes")
    if any(notes.key(note) == write.body["Id"] for note in notes.children_of([write.target.name])):
        raise HTTPException(409, "The load already has a note with this id.")
    number = write.add("load_notes", write.body, write.target.name)
    note = notes.record(number)
    embedded = {
        "id": note["Id"],
        "Description": note["Description"],
        "NoteType": note["NoteType"],
        "Time": note["CreatedAt"],
    }
    kept = write.rows.record(write.number).get("Notes") or []
    write.update(write.rows, write.number, {"Notes": [*kept, {**embedded, "User": API_USER}]})
    return write.respond_with(notes, number, 201)


def delete_note(write: WriteCall) -> Response:
    """Remove a note from a load."""
    key = write.children.key(write.target.child)
    write.remove(write.children, write.target.child)
    kept = write.rows.record(write.number).get("Notes") or []
    write.update(write.rows, write.number, {"Notes": [note for note in kept if note.get("id") != key]})
    return Response(status_code=204)


def assign_trip(write: WriteCall) -> Response:
    """Assign carrier, drivers, equipment and dispatcher to a trip."""
    record = write.rows.record(write.number)
    columns: dict[str, Any] = {}
    for name, (assignee, stream) in _ASSIGNEES.items():
        if name in write.body:
            write.find(stream, write.body[name])
            is_current = (record.get(assignee) or {}).get("Id") == write.body[name]
            columns[assignee] = {**(record[assignee] if is_current else {}), "Id": write.body[name]}
    write.find("users", write.body["DispatcherId"])
    columns["DispatcherId"] = write.body["DispatcherId"]
    _refuse_foreign_crew(write)
    if "CarrierRate" in write.body:
        # The rules complete what follows from the rate.
        kept = {name: value for name, value in columns["Carrier"].items() if name not in _FROM_RATE}
        columns["Carrier"] = {
            **kept,
            "Rate": money(write.body["CarrierRate"], write.value("TripValue.Currency")),
        }
    columns["CarrierAssignedAt"] = write.tenant.now_micros()
    if record["Status"] in _NOT_YET_COVERED:
        columns["Status"] = "Covered"
    _update_trip(write, columns)
    return write.respond_with(write.rows, write.number)


def _refuse_foreign_crew(write: WriteCall) -> None:
    """Own drivers and trucks belong to trips of an own legal entity, which is among the first carriers."""
    named = [name for name in ("Driver1Id", "TruckId") if name in write.body]
    carrier = write.find("carriers", write.body["CarrierId"])
    if named and carrier >= len(SUBSIDIARIES):
        raise HTTPException(422, f"{named[0]}: the carrier has its own drivers and trucks.")


def dispatch_trip(write: WriteCall) -> Response:
    """Dispatch a trip that is covered."""
    if write.value("Status") != "Covered":
        raise HTTPException(
            422, f"The trip is {write.value('Status')}: only one that is Covered can be dispatched."
        )
    _update_trip(write, {"Status": "Dispatched", "DispatchedBy": API_USER})
    return write.respond_with(write.rows, write.number)


def create_check_call(write: WriteCall) -> Response:
    """Add a check call to a trip on the road."""
    if write.value("Status") not in _ON_THE_ROAD:
        raise HTTPException(422, f"The trip is {write.value('Status')}: it accepts no check calls.")
    body = dict(write.body)
    driver = body.pop("DriverId", None)
    if driver is not None:
        if driver not in [write.value(f"{role}.Id") for role in ("Driver1", "Driver2", "OwnerOperator")]:
            raise HTTPException(422, "The driver is not on the trip.")
        body["DriverName"] = write.tenant.rows("drivers").column("Name")[write.find("drivers", driver)]
    trip = {name: write.value(name) for name in ("TripNumber", "LoadNumber")}
    number = write.add("trip_check_calls", {**trip, "ResponseType": "API", **body}, write.target.name)
    return write.respond_with(write.tenant.rows("trip_check_calls"), number, 201)


def record_location(write: WriteCall) -> Response:
    """Accept the position of a truck or trailer for the trip in the body, or for the asset's active one."""
    trips = write.tenant.rows("trips")
    if "TripId" in write.body:
        found = [write.find("trips", write.body["TripId"])]
    else:
        asset = write.rows.spec.name.removesuffix("s").title()
        found = trips.matching({f"{asset}.Id": [write.target.name], "Status": list(_ON_THE_ROAD)})
    answer = {"Source": "PublicApi", "ReceivedAt": format_time(write.tenant.now_micros(), 7)}
    for trip in found[-1:]:
        answer |= {"TripId": trips.key(trip), "TripNumber": trips.column("TripNumber")[trip]}
    return json_response(answer)


def set_appointment(write: WriteCall) -> Response:
    """Set a stop's appointment, or its window."""
    body = write.body
    columns: dict[str, Any] = {name: body[name] for name in ("ScheduleType", "LoadingType")}
    flags = {name: body[name] for name in ("AppointmentRequested", "AppointmentConfirmed")}
    if body["ScheduleType"] == "APPT":
        date = {"AppointmentDate": with_offset(body["AppointmentDate"])}
        columns |= {"$type": "appointment", **flags, **date, "StopWindow": None}
    else:
        ends = {"Begin": "WindowBegin", "End": "WindowEnd"}
        window = {name: with_offset(body[given]) for name, given in ends.items() if given in body}
        empty = dict.fromkeys((*flags, "AppointmentDate"))
        columns |= {"$type": "delivery_window", **empty, "StopWindow": window}
    return _update_stop(write, columns)


def set_arrival(write: WriteCall) -> Response:
    """Record the arrival at a stop."""
    status = "Departed" if "DepartedAt" in write.children.record(write.target.child) else "Arrived"
    return _record_time(write, "ArrivedAt", status)


def clear_arrival(write: WriteCall) -> Response:
    """Remove the arrival at a stop."""
    return _update_stop(write, {"ArrivedAt": None, "DepartedAt": None, "Status": "Open"})


def set_departure(write: WriteCall) -> Response:
    """Record the departure from a stop with an arrival."""
    if "ArrivedAt" not in write.children.record(write.target.child):
        raise HTTPException(422, "The stop has no arrival yet.")
    return _record_time(write, "DepartedAt", "Departed")


def _record_time(write: WriteCall, name: str, status: str) -> Response:
    """Record an arrival or departure, unless it is out of order with the others of the trip."""
    text = with_offset(write.body[name])
    stops = write.rows.record(write.number)["Stops"]
    key = write.children.key(write.target.child)
    place = next(place for place, stop in enumerate(stops) if stop["Id"] == key)
    earlier = [stop.get(other) for stop in stops[:place] for other in _STOP_TIMES]
    later = [stop.get(other) for stop in stops[place + 1 :] for other in _STOP_TIMES]
    if name == "DepartedAt":
        earlier.append(stops[place].get("ArrivedAt"))
    else:
        later.append(stops[place].get("DepartedAt"))
    at = parse_micros(text)
    if any(parse_micros(other) > at for other in earlier if other) or any(
        parse_micros(other) < at for other in later if other
    ):
        raise HTTPException(422, f"{name} is out of order with other arrivals and departures of the trip.")
    return _update_stop(write, {name: text, "Status": status})


def _update_stop(write: WriteCall, columns: dict[str, Any]) -> Response:
    stop = write.children.record(write.target.child)
    write.has_changed = any(stop.get(name) != value for name, value in columns.items())
    if write.has_changed:
        write.update(write.children, write.target.child, columns)
        save_trips_load(write, write.rows, write.number)
    return write.respond_with(write.children, write.target.child)


def _update_trip(write: WriteCall, columns: dict[str, Any]) -> None:
    """Change a trip, and save its load."""
    write.update(write.rows, write.number, columns)
    save_trips_load(write, write.rows, write.number, is_moved="Status" in columns)


def save_trips_load(write: WriteCall, trips: RowSet, trip: int, *, is_moved: bool = False) -> None:
    """Save a trip's load with the trip's progress, as Alvys does with each change of the trip."""
    loads = write.tenant.rows("loads")
    load = loads.number_of("LoadNumber", str(trips.column("LoadNumber")[trip]))
    if load is not None:
        write.book(loads, load, partial(save_load, is_moved=is_moved))
