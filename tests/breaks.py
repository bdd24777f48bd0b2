"""For each identity, a change of one record that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any, NamedTuple

from tests.identities import Records, Row, key_of

# Returns the columns to change, or None if the record has nothing to break.
Change = Callable[[Row, Records], Row | None]
# Fields that no change names: the keys, and what the simulator sets at each change.
_OWN_FIELDS = ("Id", "Number", "UpdatedAt", "UpdatedBy", "IsDeleted")


class Breaking(NamedTuple):
    """
    A change that breaks an identity.

    :param columns: all fields of the record, so that no other one adapts to the change.
    """

    stream: str
    key: str
    columns: Row


def breaking(name: str, records: Records, used: Collection[tuple[str, str]] = ()) -> Breaking:
    """Return a change of the first record, other than those used, that the identity can be broken in."""
    stream, change = _BREAKS[name]
    for row in records[stream]:
        key = key_of(stream, row)
        columns = None if row.get("IsDeleted") or (stream, key) in used else change(deepcopy(row), records)
        if columns is not None:
            others = {field: value for field, value in row.items() if field not in _OWN_FIELDS}
            return Breaking(stream, key, {**others, **columns})
    raise LookupError(f"No record of {stream} can break {name}")


def _more(path: str) -> Change:
    """Add a cent to an amount or number; in a list, to that of the first item."""

    def change(row: Row, records: Records) -> Row | None:
        *heads, last = path.split(".")
        place: Any = row
        for name in heads:
            place = place.get(name)
            place = next(iter(place), None) if isinstance(place, list) else place
            if place is None:
                return None
        if place.get(last) is None:
            return None
        place[last] += Decimal("0.01") if isinstance(place[last], Decimal) else 1
        head = path.split(".")[0]
        return {head: row[head]}

    return change


def _other_currency(path: str, needed: str = "") -> Change:
    """Change the currency of an amount above 0, in records with another field."""

    def change(row: Row, records: Records) -> Row | None:
        *heads, last = needed.split(".")
        has_needed = not needed or last in _field(row, *heads)
        if not has_needed or not row.get(path, {}).get("Amount"):
            return None
        return {path: {**row[path], "Currency": "MXN"}}

    return change


def _swap(first: str, second: str, within: str = "") -> Change:
    """Exchange two different times of a record, or of the first item of a list that has them."""

    def change(row: Row, records: Records) -> Row | None:
        for place in row.get(within) or () if within else (row,):
            one, other = place.get(first), place.get(second)
            if one and other and one[:19] != other[:19]:
                place[first], place[second] = other, one
                return {within: row[within]} if within else {first: other, second: one}
        return None

    return change


def _unknown(name: str, within: str = "") -> Change:
    """Name a record that does not exist."""

    def change(row: Row, records: Records) -> Row | None:
        if not within:
            return {name: "nobody"}
        for item in row.get(within) or ():
            if item.get(name):
                item[name] = "nobody"
                return {within: row[within]}
        return None

    return change


def _shared_number(load: Row, records: Records) -> Row | None:
    for other in records["loads"]:
        same = other.get("InvoiceAs") == load.get("InvoiceAs") and not other.get("IsDeleted")
        if same and other["Id"] != load["Id"]:
            return {"LoadNumber": other["LoadNumber"]}
    return None


def _cancelled(load: Row, records: Records) -> Row | None:
    return None if "CancelledAt" in load else {"CancelledAt": load["CreatedAt"]}


def _truck_of_a_carrier(trip: Row, records: Records) -> Row | None:
    is_brokered = trip.get("TenderAsSubsidiaryType") not in (None, "Carrier")
    return {"Truck": {"Id": "truck"}} if is_brokered and "Truck" not in trip else None


def _nobody(trip: Row, records: Records) -> Row | None:
    return {"Truck": None} if trip["Status"] == "Delivered" and "Truck" in trip else None


def _paid(invoice: Row, records: Records) -> Row | None:
    return {"Status": "Paid"} if invoice["Status"] == "AwaitingPayment" else None


def _sub_line(statement: Row, records: Records) -> Row | None:
    for line in statement["LineItems"]:
        if line.get("SubLines"):
            line["SubLines"][0]["Amount"]["Amount"] += 1
            return {"LineItems": statement["LineItems"]}
    return None


def _unpaid_toll(toll: Row, records: Records) -> Row | None:
    return {"Amount": {**toll["Amount"], "Amount": 0}}


def _whole(deduction: Row, records: Records) -> Row | None:
    whole, _, part = deduction["Description"].partition(" (part ")
    return {"Description": whole} if part else None


def _total_of_a_category(statement: Row, records: Records) -> Row | None:
    for total in statement["Totals"].values():
        if isinstance(total, dict) and total is not statement["Totals"].get("GrossIncome"):
            total["Amount"] += 1
    return {"Totals": statement["Totals"]}


_CARRIER, _DRIVER = "carrier_settlement_statements", "driver_settlement_statements"
_BREAKS: Mapping[str, tuple[str, Change]] = {
    "load_rate": ("loads", _more("CustomerRate.Amount")),
    "load_accessorials": ("loads", _more("CustomerAccessorials.Amount")),
    "load_accessorial_rates": ("loads", _more("CustomerAccessorialsDetails.Rate.Amount")),
    "load_invoiced_amount": ("loads", _more("InvoicedAmount.Amount")),
    # The trips and invoices adapt to an amount, but not to a currency.
    "load_invoiced_total": ("loads", _other_currency("CustomerRate", needed="InvoicedAmount")),
    "load_paid": ("loads", _more("TotalPaid.Amount")),
    "load_trip_values": ("loads", _other_currency("Linehaul")),
    "load_currency": ("loads", _other_currency("CustomerRate")),
    "load_number": ("loads", _shared_number),
    "load_times": ("loads", _swap("PickedUpAt", "DeliveredAt")),
    "load_stop_times": ("loads", _swap("ArrivedAt", "DepartedAt", "Stops")),
    "load_cancelled": ("loads", _cancelled),
    "trip_miles": ("trips", _more("TotalMileage.Distance.Value")),
    "trip_payable": ("trips", _more("Carrier.TotalPayable.Amount")),
    "trip_accessorials": ("trips", _more("Carrier.Accessorials.Amount")),
    "trip_accessorial_rates": ("trips", _more("Carrier.AccessorialsDetails.Rate.Amount")),
    "trip_currency": ("trips", _other_currency("TripValue", needed="Carrier.TotalPayable")),
    "trip_load": ("trips", _unknown("LoadNumber")),
    "trip_mode": ("trips", _truck_of_a_carrier),
    "trip_assigned": ("trips", _nobody),
    "trip_times": ("trips", _swap("PickedUpAt", "DeliveredAt")),
    "trip_stop_times": ("trips", _swap("ArrivedAt", "DepartedAt", "Stops")),
    "invoice_total": ("invoices", _more("Total.Amount")),
    "invoice_paid": ("invoices", _more("AmountPaid.Amount")),
    "invoice_balance": ("invoices", _more("RemainingBalance.Amount")),
    "invoice_status": ("invoices", _paid),
    "invoice_dates": ("invoices", _swap("InvoicedDate", "DueDate")),
    "invoice_currency": ("invoices", _other_currency("Total")),
    "invoice_loads": ("invoices", _unknown("Id", "Loads")),
    "carrier_statement_net": (_CARRIER, _more("NetAmount.Amount")),
    "carrier_statement_items": (_CARRIER, _more("Trips.NetAmount.Amount")),
    "carrier_statement_line_haul": (_CARRIER, _more("Trips.LineHaulAmount.Amount")),
    "carrier_statement_accessorials": (_CARRIER, _more("Trips.AccessorialsAmount.Amount")),
    "carrier_statement_paid": (_CARRIER, _more("PaidAmount.Amount")),
    "carrier_statement_balance": (_CARRIER, _more("RemainingAmount.Amount")),
    "carrier_statement_currency": (_CARRIER, _other_currency("NetAmount")),
    "carrier_statement_trips": (_CARRIER, _unknown("TripId", "Trips")),
    "driver_statement_net": (_DRIVER, _more("Totals.NetIncome.Amount")),
    "driver_statement_totals": (_DRIVER, _total_of_a_category),
    "driver_statement_sub_lines": (_DRIVER, _sub_line),
    "driver_statement_currency": (
        _DRIVER,
        lambda row, records: {"Totals": {**row["Totals"], "TripValue": {"Amount": 1, "Currency": "MXN"}}},
    ),
    "driver_statement_trips": (_DRIVER, _unknown("TripNumber", "LineItems")),
    "driver_statement_trip_count": (_DRIVER, _more("Totals.NumberOfTrips")),
    "driver_statement_miles": (_DRIVER, _more("Totals.LoadedMiles")),
    "deduction_parts": ("deductions", _whole),
    "fuel_total": ("fuel", _more("Total.Amount")),
    "toll_amount": ("tolls", _unpaid_toll),
    "toll_times": ("tolls", _swap("EntryTime", "ExitTime")),
}


def _field(row: Row, *names: str) -> Any:
    for name in names:
        row = row.get(name) or {}
    return row
