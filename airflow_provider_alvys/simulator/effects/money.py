"""The effects of writes to deductions, payments and invoices."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.simulator.company.books.receivables import record_payment
from airflow_provider_alvys.simulator.company.money import cents_of
from airflow_provider_alvys.simulator.data.times import format_time, parse_micros
from airflow_provider_alvys.simulator.effects.freight import save_trips_load
from airflow_provider_alvys.simulator.effects.write_call import (
    WriteCall,
    amount_of,
    find_record,
    money,
    without_nulls,
)
from airflow_provider_alvys.simulator.protocol.http import json_response

_BILLED = ("Invoiced", "Completed", "Financed")
_PAYEES = {"DriverId": "drivers", "TruckId": "trucks", "OwnerOperatorId": "drivers"}
# The amount due to a carrier: the first of these fields.
_PAYABLE = ("TotalPayable", "Linehaul", "Rate")


def create_deduction(write: WriteCall) -> Response:
    """Add a one-time deduction."""
    for name, stream in _PAYEES.items():
        if name in write.body:
            write.find(stream, write.body[name])
    columns = {**write.body, "Amount": money(write.body["Amount"]), "Type": "Once", "IsPaid": False}
    number = write.add("deductions", columns)
    return write.respond_with(write.tenant.rows("deductions"), number, 201)


def delete_deduction(write: WriteCall) -> Response:
    """Remove an unpaid deduction."""
    if write.value("IsPaid"):
        raise HTTPException(422, "The deduction is paid.")
    response = write.respond_with(write.rows, write.number)
    write.remove(write.rows, write.number)
    return response


def record_carrier_payment(write: WriteCall) -> Response:
    """Record a payment to a carrier once per reference; full payment completes the trip."""
    trips = write.tenant.rows("trips")
    trip = find_record(trips, "Id", write.body["TripId"])
    payments = _record_once(write, write.body["TripId"], _payment(write))
    if write.has_changed:
        carrier = trips.record(trip).get("Carrier") or {}
        payable = next((amount_of(carrier[name]) for name in _PAYABLE if carrier.get(name)), None)
        is_covered = (
            payable is not None and sum(amount_of(payment["Amount"]) for payment in payments) >= payable
        )
        is_unused = trips.column("Status")[trip] == "TONU"
        done = {"CarrierPaidAt": write.tenant.now_micros()} if is_unused else {"Status": "Completed"}
        write.update(trips, trip, done if is_covered else {})
        _pay_statement(write, write.body["TripId"], payments[-1])
        save_trips_load(write, trips, trip)
    names = ("Id", "TripNumber", "Status")
    trip_id, number, status = (trips.column(name)[trip] for name in names)
    return json_response(
        {"TripId": trip_id, "TripNumber": number, "Status": status, "CarrierPayments": payments}
    )


def record_customer_payment(write: WriteCall) -> Response:
    """Record a customer's payment for a billed load, once per reference."""
    loads = write.tenant.rows("loads")
    load = _find_load(write)
    payments = _record_once(write, write.body["LoadNumber"], _payment(write))
    record = loads.record(load)
    if write.has_changed:
        payment = payments[-1]
        rule = partial(
            record_payment,
            cents=cents_of(payment["Amount"]),
            at=parse_micros(payment["PaymentDate"]),
            key=payment["Id"],
            named=write.body.get("InvoiceNumber"),
            reference=payment["ReferenceNumber"],
            check=payment.get("CheckNumber"),
        )
        write.book(loads, load, rule)
        record = loads.record(load)
    billable = record.get("InvoicedAmount") or record.get("CustomerRate") or money(0)
    shown = {name: record[name] for name in ("Id", "LoadNumber", "Status")}
    return json_response(
        {**shown, "TotalPaid": record.get("TotalPaid") or money(0), "TotalBillable": billable}
    )


def record_financing(write: WriteCall) -> Response:
    """Record a factor's advance on a billed load, once per reference."""
    loads = write.tenant.rows("loads")
    load = _find_load(write)
    advances = _record_once(write, write.body["LoadNumber"], dict(write.body))
    if write.has_changed:
        is_invoiced = loads.column("Status")[load] == "Invoiced"
        write.update(loads, load, {"Status": "Financed"} if is_invoiced else {})
    totals = (money(sum(advance[name] for advance in advances)) for name in ("AmountFunded", "Fee"))
    shown = {name: loads.column(name)[load] for name in ("LoadNumber", "Status")}
    return json_response({**shown, **dict(zip(("TotalFunded", "TotalFees"), totals, strict=True))})


def _pay_statement(write: WriteCall, trip: str, payment: dict[str, Any]) -> None:
    """Pay what is left of the carrier's settlement statement of a trip, where one exists."""
    statements = write.tenant.rows("carrier_settlement_statements")
    trips = statements.column("Trips.TripId")
    for number in [number for number in statements.numbers() if trip in (trips[number] or ())]:
        record = statements.record(number)
        left, paid = cents_of(record.get("RemainingAmount")), cents_of(record.get("PaidAmount"))
        part = min(left, cents_of(payment["Amount"]))
        if part > 0:
            unit = (record.get("NetAmount") or {}).get("Currency")
            columns = {
                "Payments": [
                    *(record.get("Payments") or []),
                    {**payment, "Amount": money(part / 100, unit)},
                ],
                "PaidAmount": money((paid + part) / 100, unit),
                "RemainingAmount": money((left - part) / 100, unit),
            }
            write.update(statements, number, columns)


def _find_load(write: WriteCall) -> int:
    loads = write.tenant.rows("loads")
    number = find_record(loads, "LoadNumber", write.body["LoadNumber"])
    key = (write.operation.name, write.body["LoadNumber"])
    is_known = any(
        known["ReferenceNumber"] == write.body["ReferenceNumber"] for known in write.tenant.payments[key]
    )
    status = loads.column("Status")[number]
    if status not in _BILLED and not is_known:
        raise HTTPException(422, f"The load is {status}: it must be {', '.join(_BILLED)}.")
    return number


def _record_once(write: WriteCall, name: str, payment: dict[str, Any]) -> list[dict[str, Any]]:
    """Record a payment unless its reference is known, and return all payments of the record."""
    payments = write.tenant.payments[write.operation.name, name]
    key = write.operation.idempotency_field
    write.has_changed = all(known[key] != payment[key] for known in payments)
    if write.has_changed:
        payments.append(payment)
    return payments


def _payment(write: WriteCall) -> dict[str, Any]:
    body = write.body
    given = {name: body.get(name) for name in ("ReferenceNumber", "PaymentMethod", "CheckNumber")}
    amount = money(body["Amount"]["Amount"], body["Amount"].get("Currency"))
    date = format_time(parse_micros(body["PaymentDate"]), 0)
    count = sum(len(payments) for payments in write.tenant.payments.values())
    return {"Id": f"payment-{count + 1}", "Amount": amount, "PaymentDate": date, **without_nulls(given)}
