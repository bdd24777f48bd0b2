"""The effects of writes to customers and carriers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import format_time
from airflow_provider_alvys.simulator.effects.write_call import WriteCall, without_nulls
from airflow_provider_alvys.simulator.protocol.http import json_response

# The fields of a customer's record in the response to a write.
_RESPONSE_FIELDS = (
    "Name CompanyNumber Type Status BillingAddress Email Phone Fax DateCreated "
    "InvoicingInformation ExternalId"
).split()
_STATUS_NAMES = {"DoNotLoad": "Do Not Load"}


def create_customer(write: WriteCall) -> Response:
    """Add a customer, unless it is a duplicate."""
    rows = write.tenant.rows("customers")
    columns = _columns(write.body, {})
    _refuse_duplicate(rows, columns)
    number = write.add("customers", {"Type": "Customer", "Status": "Active", **columns})
    return _show(write, rows, number, 201)


def update_customer(write: WriteCall) -> Response:
    """Change a customer's fields, and those of its address."""
    record = write.rows.record(write.number)
    columns = _columns(write.body, record)
    _refuse_duplicate(write.rows, {**record, **columns}, except_for=write.number)
    write.update(write.rows, write.number, columns)
    return _show(write, write.rows, write.number, 200)


def delete_customer(write: WriteCall) -> Response:
    """Make a customer inactive."""
    write.update(write.rows, write.number, {"Status": "Inactive"})
    return Response(status_code=204)


def set_carrier_status(write: WriteCall) -> Response:
    """Set a carrier's status."""
    status = _STATUS_NAMES.get(write.body["Status"], write.body["Status"])
    write.has_changed = write.value("Status") != status
    if write.has_changed:
        write.update(write.rows, write.number, {"Status": status})
    return Response(status_code=204)


def _columns(body: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns in a body; records have other names for the parts of an address."""
    columns = dict(body)
    given = columns.get("BillingAddress")
    if given is not None:
        parts = {
            "ZipCode" if name == "Zip" else name: value for name, value in given.items() if name != "Country"
        }
        columns["BillingAddress"] = without_nulls({**record.get("BillingAddress", {}), **parts})
    return columns


def _refuse_duplicate(rows: RowSet, columns: Mapping[str, Any], except_for: int | None = None) -> None:
    """Refuse the number, external id, or name and zip of another customer, even an inactive one."""

    def names(record: Mapping[str, Any]) -> list[Any]:
        address = record.get("BillingAddress") or {}
        pair = (str(record.get("Name")).lower(), address.get("ZipCode"))
        return [record.get("CompanyNumber"), record.get("ExternalId"), pair if pair[1] else None]

    own = names(columns)
    for number in rows.numbers():
        other = rows.record(number)
        same = [
            name
            for name, theirs in zip(own, names(other), strict=True)
            if name is not None and name == theirs
        ]
        if number != except_for and same:
            raise HTTPException(409, f"The customer already exists: {other['Name']} ({rows.key(number)}).")


def _show(write: WriteCall, rows: RowSet, number: int, status: int) -> Response:
    record, etag = rows.record(number), f'"{rows.etag(number)}"'
    shown = {name: record[name] for name in _RESPONSE_FIELDS if name in record}
    modified = {"DateModified": format_time(write.tenant.now_micros(), 7)}
    body = {"Id": record["Id"], "ETag": etag, **shown, **modified}
    return json_response(body, status, {"etag": etag})
