"""Revenue, margin, service, receivables and settlements, by the rules of docs/reference/simulator.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.simulator.answers.records import (
    CarrierStatement,
    DriverStatement,
    InvoiceRecord,
    LoadRecord,
    Money,
    RowsOf,
    Trip,
    local_day,
    read,
    written_day,
)
from airflow_provider_alvys.simulator.answers.totals import money_totals

# Loads in these statuses bring in nothing.
_NO_REVENUE = ("Quoted", "Reserved", "Admin", "Cancelled")
_NON_REVENUE, _TONU, _CANCELLED, _FINANCED = "Non-Revenue", "TONU", "Cancelled", "Financed"
_PROCESSED, _DRAFT = "Processed", "Draft"
_ACTUAL, _ESTIMATED, _MISSING = "actual", "estimated", "missing"
# From this many days past due on.
_BUCKETS = ((90, "90 and over"), (60, "60-89"), (30, "30-59"), (1, "under 30"))
_CURRENT = "current"

Answer = list[dict[str, Any]]
# The cost of a trip in cents, or None, and whether it is actual.
_Cost = tuple[int | None, str]


def answers(rows_of: RowsOf, as_of: date) -> dict[str, Any]:
    """
    Return the answers as of the end of a day.

    :param rows_of: returns the row set of a stream.
    :return: lists of objects, by question; amounts are decimals as text, and no sum is across currencies.
    """
    loads, trips = read(rows_of, "loads", LoadRecord), read(rows_of, "trips", Trip)
    statements = [
        statement
        for statement in read(rows_of, "driver_settlement_statements", DriverStatement)
        if statement.status == _PROCESSED and written_day(statement.statement_date) <= as_of
    ]
    earned = {load.load_number: (load, day) for load, day in _earned(loads) if day <= as_of}
    return {
        "as_of": as_of.isoformat(),
        "revenue": _revenue(earned.values()),
        "margins": _margins(earned, trips, statements),
        "on_time": _on_time(loads, trips, as_of),
        "lanes": _lanes(loads, trips, as_of),
        "receivables": _receivables(read(rows_of, "invoices", InvoiceRecord), loads, as_of),
        "settlements": _settlements(
            statements, read(rows_of, "carrier_settlement_statements", CarrierStatement), as_of
        ),
        "totals": money_totals(rows_of),
    }


def _earned(loads: Iterable[LoadRecord]) -> Iterator[tuple[LoadRecord, date]]:
    """Yield the loads with revenue and its day: of the delivery at its place, else of the invoice."""
    for load in loads:
        if load.status in _NO_REVENUE or load.load_type == _NON_REVENUE:
            continue
        if load.delivered_at:
            last = load.last_delivery()
            yield load, local_day(load.delivered_at, last.offset) if last else written_day(load.delivered_at)
        elif load.invoiced_at:
            yield load, written_day(load.invoiced_at)


def _revenue(earned: Iterable[tuple[LoadRecord, date]]) -> Answer:
    sums: dict[Sequence[Any], list[int]] = {}
    for load, day in earned:
        rate = load.customer_rate
        key = (rate.code, f"{day:%Y-%m}", load.customer_id, load.customer_name)
        _add(sums, key, 1, rate.cents)
    return _listed(sums, ("currency", "month", "customer_id", "customer"), ("loads",), ("revenue",))


def _margins(
    earned: Mapping[str, tuple[LoadRecord, date]],
    trips: Iterable[Trip],
    statements: Iterable[DriverStatement],
) -> Answer:
    """Return revenue less the cost of the trips, by how certain the least certain trip of a load is."""
    paid: defaultdict[str | None, list[Money]] = defaultdict(list)
    late: defaultdict[str | None, list[Money]] = defaultdict(list)
    for statement in statements:
        for line in statement.line_items:
            found = paid[line.trip_number] if line.trip_number else late[line.load_number]
            found.append(line.amount)
    costs: defaultdict[str, list[_Cost]] = defaultdict(list)
    for trip in trips:
        if trip.load_number in earned:
            currency = earned[trip.load_number][0].customer_rate.code
            costs[trip.load_number].append(_cost(trip, paid.get(trip.trip_number), currency))
    for number in earned.keys() & late.keys():
        costs[number].append(_sum_of(late[number], earned[number][0].customer_rate.code))
    sums: dict[Sequence[Any], list[int]] = {}
    for number, (load, day) in earned.items():
        states = {state for _, state in costs[number]} or {_MISSING}
        state = next(state for state in (_MISSING, _ESTIMATED, _ACTUAL) if state in states)
        cost = sum(cents or 0 for cents, _ in costs[number])
        revenue = load.customer_rate.cents
        _add(sums, (load.customer_rate.code, f"{day:%Y-%m}", state), 1, revenue, cost, revenue - cost)
    listed = _listed(sums, ("currency", "month", "state"), ("loads",), ("revenue", "cost", "margin"))
    unknown = {"cost": None, "margin": None}
    return [{**row, **unknown} if row["state"] == _MISSING else row for row in listed]


def _cost(trip: Trip, lines: Sequence[Money] | None, currency: str) -> _Cost:
    """Return what a trip costs; an amount in another currency than the load's is as good as none."""
    pay = lines
    if not trip.is_asset:
        pay = [trip.carrier.linehaul, trip.carrier.accessorials] if trip.carrier.linehaul else None
    if pay is None and trip.status == _TONU:
        return 0, _ACTUAL
    if pay is None:
        estimates = [_estimate(trip, crew.rates_v2) for crew in (trip.driver1, trip.driver2) if crew.id]
        known = [estimate for estimate in estimates if estimate is not None]
        is_known = trip.is_asset and estimates and len(known) == len(estimates)
        return (sum(known), _ESTIMATED) if is_known else (None, _MISSING)
    return _sum_of(pay, currency)


def _sum_of(amounts: Sequence[Money], currency: str) -> _Cost:
    if any(amount.cents and amount.code != currency for amount in amounts):
        return None, _MISSING
    return sum(amount.cents for amount in amounts), _ACTUAL


def _estimate(trip: Trip, policy: Any) -> int | None:
    """Return what a driver may be paid for a trip by the policy of today, in cents, or None."""
    known = policy if isinstance(policy, dict) else {}
    rate, empty_rate = (Decimal(str(known.get(name) or 0)) for name in ("Rate", "EmptyRate"))
    if known.get("Kind") == "Percentage":
        return round(trip.trip_value.cents * rate / 100)
    if known.get("Kind") == "PerMile":
        loaded, empty = trip.loaded_mileage.distance.value, trip.empty_mileage.distance.value
        return round((rate * loaded + empty_rate * empty) * 100)
    return None


def _served(loads: Iterable[LoadRecord], trips: Iterable[Trip]) -> dict[str, LoadRecord]:
    """Return the loads whose service counts, by number: no TONU, which its trip says after a release."""
    unused = {trip.load_number for trip in trips if trip.status == _TONU}
    return {
        load.load_number: load
        for load in loads
        if load.status not in (*_NO_REVENUE, _TONU)
        and load.load_type != _NON_REVENUE
        and load.load_number not in unused
    }


def _on_time(loads: Iterable[LoadRecord], trips: Sequence[Trip], as_of: date) -> Answer:
    """Count the stops of trips with a due time, by the month of the arrival at their place."""
    served = _served(loads, trips)
    sums: dict[Sequence[Any], list[int]] = {}
    for trip in trips:
        if trip.load_number not in served or trip.status in (_TONU, _CANCELLED):
            continue
        for stop in trip.stops:
            is_on_time = stop.is_on_time()
            if stop.stop_type == "Waypoint" or is_on_time is None or stop.arrived_at is None:
                continue
            day = local_day(stop.arrived_at, stop.offset)
            if day <= as_of:
                _add(sums, (f"{day:%Y-%m}", stop.stop_type), 1, is_on_time)
    return _listed(sums, ("month", "stop_type"), ("stops", "on_time"))


def _lanes(loads: Iterable[LoadRecord], trips: Sequence[Trip], as_of: date) -> Answer:
    """Count the last deliveries of loads with a due time, by the lane from the first pickup."""
    sums: dict[Sequence[Any], list[int]] = {}
    for load in _served(loads, trips).values():
        origin, destination = load.first_pickup(), load.last_delivery()
        if origin is None or destination is None or destination.arrived_at is None:
            continue
        is_on_time = destination.is_on_time()
        if is_on_time is not None and local_day(destination.arrived_at, destination.offset) <= as_of:
            _add(sums, (origin.place, destination.place), 1, is_on_time)
    return _listed(sums, ("origin", "destination"), ("deliveries", "on_time"))


def _receivables(invoices: Iterable[InvoiceRecord], loads: Iterable[LoadRecord], as_of: date) -> Answer:
    """Return what customers owe by days past due: totals less the payments until the day."""
    financed = {load.id for load in loads if load.status == _FINANCED}
    sums: dict[Sequence[Any], list[int]] = {}
    for invoice in invoices:
        day = written_day(invoice.invoiced_date) if invoice.invoiced_date else date.max
        if invoice.status == _DRAFT or day > as_of:
            continue
        paid = sum(
            payment.amount.cents
            for payment in invoice.payments
            if payment.payment_date and written_day(payment.payment_date) <= as_of
        )
        balance = invoice.total.cents - paid
        if balance:
            due = written_day(invoice.due_date) if invoice.due_date else day
            is_financed = any(load.id in financed for load in invoice.loads)
            _add(sums, (invoice.total.code, is_financed, _bucket((as_of - due).days)), 1, balance)
    return _listed(sums, ("currency", "is_financed", "bucket"), ("invoices",), ("balance",))


def _bucket(days: int) -> str:
    return next((name for start, name in _BUCKETS if days >= start), _CURRENT)


def _settlements(
    drivers: Iterable[DriverStatement], carriers: Iterable[CarrierStatement], as_of: date
) -> Answer:
    """Return what drivers, by their type, and carriers earned, by the month of the statement."""
    sums: dict[Sequence[Any], list[int]] = {}
    for statement in drivers:
        totals, month = statement.totals, statement.statement_date[:7]
        key = (totals.net_income.code, month, statement.driver.type)
        _add(sums, key, 1, totals.gross_income.cents, totals.net_income.cents)
    for paid in carriers:
        if written_day(paid.statement_date) <= as_of:
            net = paid.net_amount
            _add(sums, (net.code, paid.statement_date[:7], "CARRIER"), 1, net.cents, net.cents)
    return _listed(sums, ("currency", "month", "payee_type"), ("statements",), ("gross", "net"))


def _add(sums: dict[Sequence[Any], list[int]], key: Sequence[Any], *numbers: int) -> None:
    before = sums.get(key, [0] * len(numbers))
    sums[key] = [one + other for one, other in zip(before, numbers, strict=True)]


def _listed(
    sums: Mapping[Sequence[Any], Sequence[int]],
    names: Sequence[str],
    counts: Sequence[str],
    amounts: Sequence[str] = (),
) -> Answer:
    """Return sums as objects: the names of their keys, then the counts, then the amounts as decimals."""
    return [
        {
            **dict(zip(names, key, strict=True)),
            **dict(zip(counts, numbers, strict=False)),
            **{
                name: f"{Decimal(cents) / 100:.2f}"
                for name, cents in zip(amounts, numbers[len(counts) :], strict=True)
            },
        }
        for key, numbers in sorted(sums.items(), key=lambda entry: tuple(map(str, entry[0])))
    ]
