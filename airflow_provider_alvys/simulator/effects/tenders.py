"""The effects of writes to tenders."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.simulator.data.times import format_time
from airflow_provider_alvys.simulator.effects.write_call import WriteCall, with_offset
from airflow_provider_alvys.simulator.webhooks.events import tender_change

_UPDATE_PENDING, _CANCEL_PENDING = "Awaiting Update Approval", "Awaiting Cancel Approval"
_CLOSED = ("Rejected", "Cancelled", "Expired")
_FINAL = ("Accepted", *_CLOSED)
_TIMES = ("ScheduledArrivalStart", "ScheduledArrivalEnd")
# Fields of the request that the record does not have.
_REQUEST_ONLY = ("Sender", "Receiver", "WeightQualifier", "VolumeQualifier", "ScheduledAppointment")


def create_tender(write: WriteCall) -> Response:
    """Add a tender."""
    write.add("tenders", {**_columns(write), "Status": "Pending"})
    return Response(status_code=201)


def update_tender(write: WriteCall) -> Response:
    """
    Change the tender of the body's shipment, or queue the change for approval if the tender has a load.

    Without an open tender of the shipment there is another tender, as in Alvys.
    """
    rows = write.tenant.rows("tenders")
    number = _find_open(write)
    if number is None:
        return create_tender(write)
    columns = _columns(write)
    if rows.column("LoadNumber")[number] is None and rows.column("Status")[number] != "Accepted":
        write.update(rows, number, columns)
        return Response(status_code=201)
    write.tenant.queued_tender_changes.setdefault(number, {}).update(columns)
    before = rows.record(number)
    write.update(rows, number, {"Status": _UPDATE_PENDING})
    now = format_time(write.tenant.now_micros(), 7)
    event = tender_change(rows, number, before, {**before, **columns}, now, is_queued=True)
    if event:
        write.tenant.webhook_sender.publish(event)
    return Response(status_code=201)


def cancel_tender(write: WriteCall) -> Response:
    """Cancel a tender, pending approval; as in Alvys, an unknown shipment is not an error."""
    number = _find_open(write)
    if number is not None:
        write.update(write.tenant.rows("tenders"), number, {"Status": _CANCEL_PENDING})
    return Response(status_code=201)


def accept(write: WriteCall) -> Response:
    """Accept a tender."""
    _decide(write, "Accepted")
    return write.respond_with(write.rows, write.number)


def accept_updates(write: WriteCall) -> Response:
    """Accept the changes of a tender, which then has them."""
    return _decide(write, "Accepted", write.tenant.queued_tender_changes.pop(write.number, {}))


def accept_cancel(write: WriteCall) -> Response:
    """Accept the cancellation of a tender."""
    return _decide(write, "Cancelled")


def reject(write: WriteCall) -> Response:
    """Reject a tender, and cancel its load if the request says so."""
    _decide(write, "Rejected")
    loads = write.tenant.rows("loads")
    load = loads.number_of("LoadNumber", str(write.value("LoadNumber")))
    if write.body["CancelLinkedLoad"] and load is not None:
        write.update(loads, load, {"Status": "Cancelled"})
    return Response(status_code=200)


def _decide(write: WriteCall, status: str, columns: dict[str, Any] | None = None) -> Response:
    if write.value("Status") in _FINAL:
        raise HTTPException(409, f"The tender is {write.value('Status')} already.")
    write.update(write.rows, write.number, {**(columns or {}), "Status": status})
    return Response(status_code=200)


def _find_open(write: WriteCall) -> int | None:
    """Return the tender of the body's shipment that can still change."""
    rows = write.tenant.rows("tenders")
    found = rows.matching({"ShipmentId": write.body["ShipmentId"]})
    return next((number for number in found if rows.column("Status")[number] not in _CLOSED), None)


def _columns(write: WriteCall) -> dict[str, Any]:
    """Return a tender's columns from the body; the record has times as objects and numbers as text."""
    columns = {name: value for name, value in write.body.items() if not name.startswith(_REQUEST_ONLY)}
    if "Rate" in columns:
        columns["Rate"] = str(columns["Rate"])
    if "ExpirationDate" in columns:
        columns["ExpirationDate"] = _zoned(columns["ExpirationDate"])
    columns["Stops"] = [_stop(stop, place) for place, stop in enumerate(columns["Stops"], 1)]
    return columns


def _stop(given: dict[str, Any], place: int) -> dict[str, Any]:
    stop = {name: value for name, value in given.items() if name not in _REQUEST_ONLY}
    times = {name: _zoned(stop[name]) for name in _TIMES if name in stop}
    return {"StopId": f"stop-{place}", **stop, **times}


def _zoned(text: str) -> dict[str, str]:
    return {"DateTime": with_offset(text), "TimeZoneCode": "UT"}
