"""What must add up in records as the API returns them, in plain Python, for each identity of the package."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from airflow_provider_alvys.api.schema.currencies import currency_number

Row = dict[str, Any]
Records = Mapping[str, list[Row]]
CENT = Decimal("0.01")


class Break(NamedTuple):
    """A record that breaks an identity."""

    identity: str
    stream: str
    key: str
    expected: Any
    actual: Any


class Found(NamedTuple):
    """A record's two sides of an identity."""

    row: Row
    expected: Any
    actual: Any


Pairs = Callable[[Row], Iterable[tuple[Any, Any]]]
Check = Callable[[Records], Iterator[Found]]
_CHECKS: dict[str, tuple[str, Check]] = {}
_KEYS = {"carrier_settlement_statements": "Number", "driver_settlement_statements": "Number"}
STREAMS = (
    "loads",
    "trips",
    "invoices",
    "carrier_settlement_statements",
    "driver_settlement_statements",
    "deductions",
    "fuel",
    "tolls",
)


class KnownRow(dict[str, Any]):
    """A record that nobody changes: what it is compared with is computed once."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def decode(line: bytes | str) -> Any:
    """Decode JSON with its decimals."""
    return json.loads(line, parse_float=Decimal)


@functools.lru_cache(10_000)
def decode_known(line: bytes) -> KnownRow:
    """Decode a record that the caller must not change; the same line once."""
    return KnownRow(decode(line))


def key_of(stream: str, row: Row) -> str:
    """Return the key of a record."""
    return str(row[_KEYS.get(stream, "Id")])


def names() -> set[str]:
    """Return the names of all identities."""
    return set(_CHECKS)


def broken(records: Records) -> list[Break]:
    """Return what does not add up in the records of all streams, deleted ones left out."""
    alive = {stream: [row for row in rows if not row.get("IsDeleted")] for stream, rows in records.items()}
    return [
        Break(name, stream, key_of(stream, found.row), found.expected, found.actual)
        for name, (stream, check) in _CHECKS.items()
        for found in check(alive)
        if found.expected != found.actual
    ]


def _identity(name: str, stream: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        _CHECKS[name] = stream, check
        return check

    return register


def _each(name: str, stream: str) -> Callable[[Pairs], Pairs]:
    """Register an identity that needs one record at a time: a function that yields pairs of equals."""

    def register(pairs: Pairs) -> Pairs:
        @functools.lru_cache(10_000)
        def known(row: KnownRow) -> list[tuple[Any, Any]]:
            return list(pairs(row))

        def check(records: Records) -> Iterator[Found]:
            for row in records[stream]:
                for pair in known(row) if isinstance(row, KnownRow) else pairs(row):
                    yield Found(row, *pair)

        _CHECKS[name] = stream, check
        return pairs

    return register


def _sum(*values: Any, minus: Iterable[Any] = ()) -> Mapping[Any, Decimal]:
    """Return the sums of amounts by currency, in cents, without those of 0."""
    sums: defaultdict[Any, Decimal] = defaultdict(Decimal)
    for sign, some in ((1, values), (-1, minus)):
        for value in some:
            if value is not None and value.get("Amount") is not None:
                sums[currency_number(value.get("Currency"))] += sign * Decimal(value["Amount"])
    return {unit: found for unit, total in sums.items() if (found := total.quantize(CENT))}


def _field(row: Row | None, path: str) -> Any:
    for name in path.split("."):
        row = (row or {}).get(name)
    return row


def _items(row: Row, path: str) -> list[Any]:
    return _field(row, path) or []


def _amounts(row: Row, path: str, name: str = "Amount") -> list[Any]:
    return [item.get(name) for item in _items(row, path)]


def _moment(text: str) -> tuple[datetime, str]:
    """Return a time in UTC to the second, and the digits after it."""
    zone, rest = (text[-6:], text[19:-6]) if text[-6:-5] in ("+", "-") else ("+00:00", text[19:].rstrip("Z"))
    sign = -1 if zone[0] == "-" else 1
    offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
    at = datetime.fromisoformat(text[:19]).replace(tzinfo=timezone.utc) - offset
    return at, rest.lstrip(".").ljust(7, "0")


def _in_order(*times: str | None) -> Iterator[tuple[Any, Any]]:
    """Yield the times that follow a later one."""
    known = [time for time in times if time]
    for earlier, later in pairwise(known):
        if _moment(earlier) > _moment(later):
            yield earlier, later


def _rates(details: Iterable[Row]) -> Iterator[tuple[Any, Any]]:
    for detail in details:
        rate, total = detail.get("Rate"), detail.get("Total")
        if rate and total and detail.get("Quantity") is not None:
            product = Decimal(rate["Amount"]) * Decimal(detail["Quantity"])
            same = abs(product - Decimal(total["Amount"])) * 2 <= CENT
            yield (
                (total["Amount"] if same else product, currency_number(rate["Currency"])),
                (total["Amount"], currency_number(total["Currency"])),
            )


def _one_currency(row: Row) -> Iterator[tuple[Any, Any]]:
    found = sorted(set(map(str, _currencies(row))))
    yield found[:1], found[-1:]


def _currencies(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _currencies(item)
    elif isinstance(value, dict):
        if value.get("Currency") is not None:
            yield currency_number(value["Currency"])
        for name, item in value.items():
            # What a driver is paid by today is no amount of the trip.
            if name not in ("Rates", "RatesV2"):
                yield from _currencies(item)


for _name, _stream in (
    ("load_currency", "loads"),
    ("trip_currency", "trips"),
    ("invoice_currency", "invoices"),
    ("carrier_statement_currency", "carrier_settlement_statements"),
    ("driver_statement_currency", "driver_settlement_statements"),
):
    _each(_name, _stream)(_one_currency)


# Loads


@_each("load_rate", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    parts = ("Linehaul", "FuelSurcharge", "CustomerAccessorials")
    yield _sum(*map(load.get, parts)), _sum(load.get("CustomerRate"))


@_each("load_accessorials", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    details = _amounts(load, "CustomerAccessorialsDetails", "Total")
    yield _sum(*details), _sum(load.get("CustomerAccessorials"))


@_each("load_accessorial_rates", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    return _rates(_items(load, "CustomerAccessorialsDetails"))


@_each("load_invoiced_amount", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    if "InvoicedAmount" in load:
        yield _sum(load.get("CustomerRate")), _sum(load["InvoicedAmount"])


@_identity("load_invoiced_total", "loads")
def _(records: Records) -> Iterator[Found]:
    lines = defaultdict(list)
    for invoice in records["invoices"]:
        for line in _items(invoice, "LineItems") if invoice["Status"] != "Draft" else ():
            lines[line.get("LoadNumber")].append(line.get("Amount"))
    for load in records["loads"]:
        if "InvoicedAmount" in load:
            yield Found(load, _sum(load.get("CustomerRate")), _sum(*lines[load["LoadNumber"]]))


@_each("load_paid", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(load, "Payments")), _sum(load.get("TotalPaid"))


@_identity("load_trip_values", "loads")
def _(records: Records) -> Iterator[Found]:
    values = defaultdict(list)
    for trip in records["trips"]:
        values[trip["LoadNumber"]].append(trip.get("TripValue"))
    for load in records["loads"]:
        freight = _sum(load.get("Linehaul"), load.get("FuelSurcharge"))
        yield Found(load, freight, _sum(*values[load["LoadNumber"]]))


@_identity("load_number", "loads")
def _(records: Records) -> Iterator[Found]:
    numbers = Counter((load["LoadNumber"], load.get("InvoiceAs")) for load in records["loads"])
    for load in records["loads"]:
        yield Found(load, 1, numbers[load["LoadNumber"], load.get("InvoiceAs")])


@_each("load_times", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    return _in_order(*map(load.get, ("CreatedAt", "PickedUpAt", "DeliveredAt")))


@_each("load_stop_times", "loads")
@_each("trip_stop_times", "trips")
def _(row: Row) -> Iterator[tuple[Any, Any]]:
    stops = _items(row, "Stops")
    return _in_order(*(stop.get(name) for stop in stops for name in ("ArrivedAt", "DepartedAt")))


@_each("load_cancelled", "loads")
def _(load: Row) -> Iterator[tuple[Any, Any]]:
    yield load["Status"] in ("Cancelled", "TONU"), "CancelledAt" in load


# Trips

_ASSIGNED = (
    *("Covered", "Dispatched", "In Transit"),
    *("Delivered", "Released", "Invoiced", "Financed", "Completed", "Paid"),
)


def _is_asset(trip: Row) -> bool:
    return trip.get("TenderAsSubsidiaryType") == "Carrier"


@_each("trip_miles", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    loaded, empty, total = (
        Decimal(_field(trip, f"{kind}Mileage.Distance.Value") or 0) for kind in ("Loaded", "Empty", "Total")
    )
    units = {_field(trip, f"{kind}Mileage.Distance.UnitOfMeasure") for kind in ("Loaded", "Empty", "Total")}
    yield (loaded + empty).quantize(CENT), total.quantize(CENT)
    yield len(units - {None}) <= 1, True


@_each("trip_payable", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    pay = [_field(trip, f"Carrier.{name}") for name in ("Linehaul", "Accessorials")]
    checks = [*_amounts(trip, "Carrier.EChecks"), *_amounts(trip, "Carrier.EChecks", "Fee")]
    yield _sum(*pay, minus=checks), _sum(_field(trip, "Carrier.TotalPayable"))


@_each("trip_accessorials", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    details = _amounts(trip, "Carrier.AccessorialsDetails", "Total")
    yield _sum(*details), _sum(_field(trip, "Carrier.Accessorials"))


@_each("trip_accessorial_rates", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    for role in ("Driver1", "Driver2", "OwnerOperator", "Carrier"):
        yield from _rates(_items(trip, f"{role}.AccessorialsDetails"))


@_identity("trip_load", "trips")
def _(records: Records) -> Iterator[Found]:
    numbers = {load["LoadNumber"] for load in records["loads"]}
    for trip in records["trips"]:
        yield Found(trip, trip["LoadNumber"], trip["LoadNumber"] if trip["LoadNumber"] in numbers else None)


@_each("trip_mode", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    if _is_asset(trip):
        yield None, _field(trip, "Carrier.Linehaul.Amount")
    else:
        yield (None, None), (_field(trip, "Truck.Id"), _field(trip, "Driver1.Id"))


@_each("trip_assigned", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    if trip["Status"] in _ASSIGNED:
        needed = ("Truck.Id", "Driver1.Id") if _is_asset(trip) else ("Carrier.Linehaul.Amount",)
        yield needed, tuple(path for path in needed if _field(trip, path) is not None)


@_each("trip_times", "trips")
def _(trip: Row) -> Iterator[tuple[Any, Any]]:
    return _in_order(trip.get("PickedUpAt"), trip.get("DeliveredAt"))


# Invoices


@_each("invoice_total", "invoices")
def _(invoice: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(invoice, "LineItems")), _sum(invoice.get("Total"))


@_each("invoice_paid", "invoices")
def _(invoice: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(invoice, "Payments")), _sum(invoice.get("AmountPaid"))


@_each("invoice_balance", "invoices")
def _(invoice: Row) -> Iterator[tuple[Any, Any]]:
    balance = _sum(invoice.get("Total"), minus=[invoice.get("AmountPaid")])
    yield balance, _sum(invoice.get("RemainingBalance"))


@_each("invoice_status", "invoices")
def _(invoice: Row) -> Iterator[tuple[Any, Any]]:
    if invoice["Status"] != "Draft":
        yield invoice["Status"] == "Paid", not _sum(invoice.get("RemainingBalance"))


@_each("invoice_dates", "invoices")
def _(invoice: Row) -> Iterator[tuple[Any, Any]]:
    return _in_order(invoice.get("InvoicedDate"), invoice.get("DueDate"))


@_identity("invoice_loads", "invoices")
def _(records: Records) -> Iterator[Found]:
    ids = {load["Id"] for load in records["loads"]}
    for invoice in records["invoices"]:
        for load in _items(invoice, "Loads"):
            yield Found(invoice, load["Id"], load["Id"] if load["Id"] in ids else None)


# Carriers' statements

_CARRIER = "carrier_settlement_statements"


@_each("carrier_statement_net", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(statement, "Trips", "NetAmount")), _sum(statement.get("NetAmount"))


@_each("carrier_statement_items", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    for trip in _items(statement, "Trips"):
        yield _sum(*_amounts(trip, "Items")), _sum(trip.get("NetAmount"))


def _sums_of_items(statement: Row, kind: str, name: str) -> Iterator[tuple[Any, Any]]:
    for trip in _items(statement, "Trips"):
        of_kind = [item for item in _items(trip, "Items") if item["Type"].replace(" ", "").lower() == kind]
        yield _sum(*(item.get("Amount") for item in of_kind)), _sum(trip.get(name))


@_each("carrier_statement_line_haul", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    return _sums_of_items(statement, "linehaul", "LineHaulAmount")


@_each("carrier_statement_accessorials", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    return _sums_of_items(statement, "accessorial", "AccessorialsAmount")


@_each("carrier_statement_paid", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(statement, "Payments")), _sum(statement.get("PaidAmount"))


@_each("carrier_statement_balance", _CARRIER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    balance = _sum(statement.get("NetAmount"), minus=[statement.get("PaidAmount")])
    yield balance, _sum(statement.get("RemainingAmount"))


@_identity("carrier_statement_trips", _CARRIER)
def _(records: Records) -> Iterator[Found]:
    ids = {trip["Id"] for trip in records["trips"]}
    for statement in records[_CARRIER]:
        for trip in _items(statement, "Trips"):
            yield Found(statement, trip["TripId"], trip["TripId"] if trip["TripId"] in ids else None)


# Drivers' statements

_DRIVER = "driver_settlement_statements"
# Totals that are no sum of the lines of one category.
_OTHER_TOTALS = ("GrossIncome", "NetIncome", "TripValue")


@_each("driver_statement_net", _DRIVER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    yield _sum(*_amounts(statement, "LineItems")), _sum(_field(statement, "Totals.NetIncome"))


@_each("driver_statement_totals", _DRIVER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    lines = defaultdict(list)
    for line in _items(statement, "LineItems"):
        lines[line.get("Category", "").replace(" ", "").lower()].append(line.get("Amount"))
    totals = {
        name.lower(): value
        for name, value in (statement.get("Totals") or {}).items()
        if name not in _OTHER_TOTALS and isinstance(value, dict)
    }
    for name in lines.keys() | totals.keys():
        yield (name, _sum(*lines.get(name, ()))), (name, _sum(totals.get(name)))


@_each("driver_statement_sub_lines", _DRIVER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    for line in _items(statement, "LineItems"):
        if line.get("SubLines"):
            yield _sum(*_amounts(line, "SubLines")), _sum(line.get("Amount"))


def _trip_numbers(statement: Row) -> set[str]:
    return {line["TripNumber"] for line in _items(statement, "LineItems") if line.get("TripNumber")}


@_identity("driver_statement_trips", _DRIVER)
def _(records: Records) -> Iterator[Found]:
    done = {
        trip["TripNumber"] for trip in records["trips"] if "DeliveredAt" in trip or trip["Status"] == "TONU"
    }
    for statement in records[_DRIVER]:
        if statement["Status"] == "Processed":
            yield Found(statement, [], sorted(_trip_numbers(statement) - done))


@_each("driver_statement_trip_count", _DRIVER)
def _(statement: Row) -> Iterator[tuple[Any, Any]]:
    yield len(_trip_numbers(statement)), _field(statement, "Totals.NumberOfTrips") or 0


@_identity("driver_statement_miles", _DRIVER)
def _(records: Records) -> Iterator[Found]:
    trips = {trip["TripNumber"]: trip for trip in records["trips"]}
    for statement in records[_DRIVER]:
        mine = [trips.get(number, {}) for number in _trip_numbers(statement)]
        for kind in ("Loaded", "Empty"):
            miles = sum(Decimal(_field(trip, f"{kind}Mileage.Distance.Value") or 0) for trip in mine)
            total = Decimal(_field(statement, f"Totals.{kind}Miles") or 0)
            yield Found(statement, Decimal(miles).quantize(CENT), total.quantize(CENT))


# Expenses


@_identity("deduction_parts", "deductions")
def _(records: Records) -> Iterator[Found]:
    groups = defaultdict(list)
    for deduction in records["deductions"]:
        groups[deduction.get("GroupId")].append(deduction)
    for group in groups.values():
        parts = [row for row in group if "(part " in row.get("Description", "")]
        payees = {row.get("DriverId") or row.get("TruckId") or row.get("OwnerOperatorId") for row in parts}
        for deduction in group if parts and "GroupId" in group[0] else ():
            yield Found(deduction, (len(group), 1), (len(parts), len(payees)))


@_each("fuel_total", "fuel")
def _(fuel: Row) -> Iterator[tuple[Any, Any]]:
    parts = _sum(*map(fuel.get, ("FuelTotal", "Fees", "Advances")), minus=[fuel.get("Discounts")])
    yield parts, _sum(fuel.get("Total"))


@_each("toll_amount", "tolls")
def _(toll: Row) -> Iterator[tuple[Any, Any]]:
    yield True, Decimal(_field(toll, "Amount.Amount") or 0) > 0


@_each("toll_times", "tolls")
def _(toll: Row) -> Iterator[tuple[Any, Any]]:
    entry, exit = toll.get("EntryTime"), toll.get("ExitTime")
    if entry and exit:
        yield True, _moment(entry) < _moment(exit)
