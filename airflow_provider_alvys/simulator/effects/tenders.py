"""The effects of writes to tenders."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.simulator.effects.write_call import WriteCall, with_offset

_UPDATE_PENDING, _CANCEL_PENDING = "Awaiting Update Approval", "Awaiting Cancel Approval"
_FINAL = ("Accepted", "Rejected", "Cancelled", "Expired")
_TIMES = ("ScheduledArrivalStart", "ScheduledArrivalEnd")
# Fields of the request that the record does not have.
_REQUEST_ONLY = ("Sender", "Receiver", "WeightQualifier", "VolumeQualifier", "ScheduledAppointment")


def create_tender(write: WriteCall) -> Response:
    """Add a tender."""
    write.add("tenders", {**_columns(write), "Status": "Pending"})
    return Response(status_code=201)


def update_tender(write: WriteCall) -> Response:
    """Change a tender, pending approval."""
    return _update_by_shipment(write, {**_columns(write), "Status": _UPDATE_PENDING})


def cancel_tender(write: WriteCall) -> Response:
    """Cancel a tender, pending approval."""
    return _update_by_shipment(write, {"Status": _CANCEL_PENDING})


def accept(write: WriteCall) -> Response:
    """Accept a tender."""
    _decide(write, "Accepted")
    return write.respond_with(write.rows, write.number)


def accept_updates(write: WriteCall) -> Response:
    """Accept the changes of a tender."""
    return _decide(write, "Accepted")


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


def _decide(write: WriteCall, status: str) -> Response:
    if write.value("Status") in _FINAL:
        raise HTTPException(409, f"The tender is {write.value('Status')} already.")
    write.update(write.rows, write.number, {"Status": status})
    return Response(status_code=200)


def _update_by_shipment(write: WriteCall, columns: dict[str, Any]) -> Response:
    """Change the tender of the body's shipment; as in Alvys, an unknown shipment is not an error."""
    rows = write.tenant.rows("tenders")
    number = rows.number_of("ShipmentId", write.body["ShipmentId"])
    if number is not None:
        write.update(rows, number, columns)
    return Response(status_code=201)


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
