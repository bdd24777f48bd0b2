"""The identities of invoices, settlement statements, deductions, fuel and tolls."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_alvys.tables.identities.freight import INVOICES, LOADS, TRIPS
from airflow_provider_alvys.tables.identities.identity import (
    Balance,
    Condition,
    Identity,
    OneCurrency,
    RecordTable,
    Term,
    money,
)

CARRIER_STATEMENTS = RecordTable("carrier_settlement_statements", key="number")
DRIVER_STATEMENTS = RecordTable("driver_settlement_statements", key="number")
DEDUCTIONS = RecordTable("deductions")
FUEL = RecordTable("fuel")
TOLLS = RecordTable("tolls")

_DRAFT = "r.status = 'Draft'"
_LINES = "driver_settlement_statement_line_items"
_TRIP_LINES = "carrier_settlement_statement_trips"
# The totals of a driver's statement that have a category of lines, by the beginning of their columns.
_TOTALS = (
    "line_haul",
    "accessorials",
    "echecks",
    "service_fee",
    "driver_payment",
    "deductions",
    "reimbursements",
    "credits",
    "escrow",
    "fuel",
    "tolls",
    "bonus",
    "shortfall",
    "daily_pay",
    "daily_per_diem",
    "statement_per_diem",
)


def invoice_identities() -> Iterator[Identity]:
    """Yield the identities of invoices."""
    yield Balance(
        "invoice_total",
        "An invoice's total is the sum of its line items.",
        INVOICES,
        expected=[money("amount", INVOICES.items("invoice_line_items"), of="c")],
        actual=[money("total")],
    )
    yield Balance(
        "invoice_paid",
        "The amount paid is the sum of the payments; only the over-payment has what was paid above it.",
        INVOICES,
        expected=[money("amount", INVOICES.items("invoice_payments"), of="c")],
        actual=[money("amount_paid")],
    )
    yield Balance(
        "invoice_balance",
        "The remaining balance is the total less the amount paid.",
        INVOICES,
        expected=[money("total"), -money("amount_paid")],
        actual=[money("remaining_balance")],
    )
    yield Condition(
        "invoice_status",
        "An invoice that is no draft is paid if, and only if, its remaining balance is 0.",
        INVOICES,
        expected="r.status",
        actual="r.remaining_balance_amount",
        broken=f"NOT ({_DRAFT}) AND (r.status = 'Paid') <> "
        "(ROUND(COALESCE(NUMBER(r.remaining_balance_amount), 0), 2) = 0)",
    )
    yield Condition(
        "invoice_dates",
        "An invoice is due on its date, or later.",
        INVOICES,
        expected="r.invoiced_date",
        actual="r.due_date",
        broken="r.invoiced_date > r.due_date",
    )
    yield OneCurrency("invoice_currency", "An invoice is in one currency.", INVOICES)
    yield Condition(
        "invoice_loads",
        "The loads of an invoice exist.",
        INVOICES,
        expected="c.load_number",
        actual="l.id",
        broken="l.id IS NULL",
        join=f"{INVOICES.items('invoice_loads')} "
        f"LEFT JOIN {{loads}} AS l ON l._tenant = c._tenant AND l.id = c.id AND {LOADS.alive('l')}",
    )


def carrier_statement_identities() -> Iterator[Identity]:
    """Yield the identities of carrier settlement statements."""
    trips = CARRIER_STATEMENTS.items(_TRIP_LINES)
    items = CARRIER_STATEMENTS.items(f"{_TRIP_LINES}_items")
    yield Balance(
        "carrier_statement_net",
        "The net amount of a carrier's statement is the sum of those of its trips.",
        CARRIER_STATEMENTS,
        expected=[money("net_amount", trips, of="c")],
        actual=[money("net_amount")],
    )
    yield Balance(
        "carrier_statement_items",
        "The net amount of each trip of a statement is the sum of its items.",
        CARRIER_STATEMENTS,
        expected=[money("amount", items, of="c", part="c._trips_position")],
        actual=[money("net_amount", trips, of="c", part="c._position")],
    )
    for name, amount, kind in (
        ("line_haul", "line_haul_amount", "linehaul"),
        ("accessorials", "accessorials_amount", "accessorial"),
    ):
        of_kind = f"LOWER(REPLACE(c.type, ' ', '')) = '{kind}'"
        yield Balance(
            f"carrier_statement_{name}",
            f"The {name.replace('_', ' ')} of each trip of a carrier's statement is the sum of such items.",
            CARRIER_STATEMENTS,
            expected=[money("amount", items, of="c", part="c._trips_position", where=of_kind)],
            actual=[money(amount, trips, of="c", part="c._position")],
        )
    yield Balance(
        "carrier_statement_paid",
        "The paid amount is the sum of the payments.",
        CARRIER_STATEMENTS,
        expected=[money("amount", CARRIER_STATEMENTS.items("carrier_settlement_statement_payments"), of="c")],
        actual=[money("paid_amount")],
    )
    yield Balance(
        "carrier_statement_balance",
        "The remaining amount is the net amount less the paid one.",
        CARRIER_STATEMENTS,
        expected=[money("net_amount"), -money("paid_amount")],
        actual=[money("remaining_amount")],
    )
    yield OneCurrency(
        "carrier_statement_currency", "A carrier's statement is in one currency.", CARRIER_STATEMENTS
    )
    yield Condition(
        "carrier_statement_trips",
        "The trips of a carrier's statement exist.",
        CARRIER_STATEMENTS,
        expected="c.trip_number",
        actual="t.id",
        broken="t.id IS NULL",
        join=f"{trips} LEFT JOIN {{trips}} AS t ON t._tenant = c._tenant AND t.id = c.trip_id "
        f"AND {TRIPS.alive('t')}",
    )


def driver_statement_identities() -> Iterator[Identity]:
    """Yield the identities of driver settlement statements."""
    lines = DRIVER_STATEMENTS.items(_LINES)
    yield Balance(
        "driver_statement_net",
        "The net income of a driver's statement is the sum of its lines.",
        DRIVER_STATEMENTS,
        expected=[money("amount", lines, of="c")],
        actual=[money("totals_net_income")],
    )
    yield Balance(
        "driver_statement_totals",
        "Each total of a driver's statement is the sum of the lines of its category.",
        DRIVER_STATEMENTS,
        expected=[money("amount", lines, of="c", part="LOWER(REPLACE(c.category, ' ', ''))")],
        actual=[money(f"totals_{name}", part=f"'{name.replace('_', '')}'") for name in _TOTALS],
    )
    sub_lines = f"{_LINES}_sub_lines"
    yield Balance(
        "driver_statement_sub_lines",
        "Each line of a driver's statement that has lines below it is their sum.",
        DRIVER_STATEMENTS,
        expected=[money("amount", DRIVER_STATEMENTS.items(sub_lines), of="c", part="c._line_items_position")],
        actual=[
            money(
                "amount",
                lines,
                of="c",
                part="c._position",
                where=f"EXISTS (SELECT 1 FROM {{{sub_lines}}} AS s WHERE s._tenant = c._tenant "
                "AND s.driver_settlement_statement_number = r.number "
                "AND s._line_items_position = c._position)",
            )
        ],
    )
    yield OneCurrency(
        "driver_statement_currency", "A driver's statement is in one currency.", DRIVER_STATEMENTS
    )
    yield Condition(
        "driver_statement_trips",
        "The trips of a processed driver's statement exist, and were delivered or are a TONU.",
        DRIVER_STATEMENTS,
        expected="c.trip_number",
        actual="t.trip_number",
        broken="r.status = 'Processed' AND c.trip_number IS NOT NULL AND t.trip_number IS NULL",
        join=f"{lines} LEFT JOIN (SELECT DISTINCT _tenant, trip_number FROM {{trips}} AS o WHERE "
        f"{TRIPS.alive('o')} AND (delivered_at IS NOT NULL OR status = 'TONU')) AS t "
        "ON t._tenant = c._tenant AND t.trip_number = c.trip_number",
    )
    yield Condition(
        "driver_statement_trip_count",
        "The number of trips of a driver's statement is that of the trips in its lines.",
        DRIVER_STATEMENTS,
        expected="COALESCE(c.n, 0)",
        actual="r.totals_number_of_trips",
        broken="COALESCE(c.n, 0) <> COALESCE(r.totals_number_of_trips, 0)",
        join="LEFT JOIN (SELECT _tenant, driver_settlement_statement_number AS statement, "
        f"COUNT(DISTINCT trip_number) AS n FROM {{{_LINES}}} "
        "GROUP BY _tenant, driver_settlement_statement_number) AS c "
        "ON c._tenant = r._tenant AND c.statement = r.number",
    )
    kinds = ("loaded", "empty")
    miles = ", ".join(f"{kind}_mileage_distance_value AS {kind}" for kind in kinds)
    trips = (
        "JOIN (SELECT DISTINCT _tenant, driver_settlement_statement_number AS statement, trip_number "
        f"FROM {{{_LINES}}}) AS c ON c._tenant = r._tenant AND c.statement = r.number "
        f"JOIN (SELECT DISTINCT _tenant, trip_number, {miles} FROM {{trips}} AS o WHERE {TRIPS.alive('o')}) "
        "AS t ON t._tenant = c._tenant AND t.trip_number = c.trip_number"
    )
    yield Balance(
        "driver_statement_miles",
        "The miles of a driver's statement are those of its trips.",
        DRIVER_STATEMENTS,
        expected=[Term(f"t.{kind}", "'miles'", trips, part=f"'{kind}'") for kind in kinds],
        actual=[Term(f"r.totals_{kind}_miles", "'miles'", part=f"'{kind}'") for kind in kinds],
    )


def expense_identities() -> Iterator[Identity]:
    """Yield the identities of deductions, fuel and tolls."""
    is_part = "REPLACE(description, '(part ', '') <> description"
    payee = "COALESCE(driver_id, truck_id, owner_operator_id)"
    yield Condition(
        "deduction_parts",
        "The parts of a split deduction are of one payee, and the split deduction itself is not beside them.",
        DEDUCTIONS,
        expected="c.n",
        actual="c.parts",
        broken="c.parts > 0 AND (c.parts < c.n OR c.first_payee <> c.last_payee)",
        join=f"JOIN (SELECT _tenant, group_id, COUNT(*) AS n, MIN({payee}) AS first_payee, "
        f"MAX({payee}) AS last_payee, SUM(CASE WHEN {is_part} THEN 1 ELSE 0 END) AS parts "
        f"FROM {{deductions}} AS o WHERE {DEDUCTIONS.alive('o')} GROUP BY _tenant, group_id) AS c "
        "ON c._tenant = r._tenant AND c.group_id = r.group_id",
    )
    yield Balance(
        "fuel_total",
        "The total of a purchase is the fuel plus fees and advances, less discounts.",
        FUEL,
        expected=[money("fuel_total"), money("fees"), money("advances"), -money("discounts")],
        actual=[money("total")],
    )
    yield Condition(
        "toll_amount",
        "A toll is an amount above 0.",
        TOLLS,
        expected="0",
        actual="r.amount",
        broken="r.amount IS NULL OR NUMBER(r.amount) <= 0",
    )
    yield Condition(
        "toll_times",
        "A toll road is left after it is entered.",
        TOLLS,
        expected="r.entry_time",
        actual="r.exit_time",
        broken="r.exit_time <= r.entry_time",
    )
