"""The identities of loads and trips."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_alvys.tables.identities.identity import (
    Balance,
    Condition,
    Identity,
    OneCurrency,
    RecordTable,
    Term,
    money,
)

LOADS = RecordTable("loads", has_tombstones=True)
TRIPS = RecordTable("trips", has_tombstones=True)
INVOICES = RecordTable("invoices")
# The statuses of a trip that somebody drives or has driven.
_ASSIGNED = (
    *("Covered", "Dispatched", "In Transit", "Delivered"),
    *("Released", "Invoiced", "Financed", "Completed", "Paid"),
)
_ASSET = "r.tender_as_subsidiary_type = 'Carrier'"
_CARRIER_PAY = ("carrier_linehaul", "carrier_accessorials")
_ROLES = ("driver1", "driver2", "owner_operator", "carrier")


def _by_load(name: str, rows: str) -> Term:
    """
    Return the sum of an amount of other rows with a load's number.

    They are summed before they are joined: no index finds them by the number.

    :param name: the beginning of the amount's columns.
    :param rows: the rows, named ``o``, and which of them count.
    """
    term = money(name, of="o")
    return money(
        "total",
        f"LEFT JOIN (SELECT o._tenant, o.load_number, {term.unit} AS total_currency, "
        f"SUM(NUMBER({term.amount})) AS total_amount FROM {rows} "
        f"GROUP BY o._tenant, o.load_number, {term.unit}) AS c "
        "ON c._tenant = r._tenant AND c.load_number = r.load_number",
        of="c",
    )


def _rated(record: RecordTable, name: str, *tables: str) -> Condition:
    owner = f"{record.name.removesuffix('s')}_id"
    columns = f"_tenant, {owner}, rate_amount, rate_currency, quantity, total_amount, total_currency"
    details = " UNION ALL ".join(f"SELECT {columns} FROM {{{table}}}" for table in tables)
    product = "NUMBER(c.rate_amount) * NUMBER(c.quantity)"
    return Condition(
        name,
        f"The total of each accessorial of a {record.name.removesuffix('s')} is its rate times its quantity.",
        record,
        expected=product,
        actual="NUMBER(c.total_amount)",
        # A product may have more digits than a cent.
        broken=f"ABS({product} - NUMBER(c.total_amount)) > 0.005001 OR c.rate_currency <> c.total_currency",
        join=f"JOIN ({details}) AS c ON c._tenant = r._tenant AND c.{owner} = r.id",
    )


def _in_order(record: RecordTable, name: str, table: str) -> Condition:
    owner = f"{record.name.removesuffix('s')}_id"
    moments = " UNION ALL ".join(
        f"SELECT _tenant, {owner}, _position, {place} AS place, {column} AS moment FROM {{{table}}} "
        f"WHERE {column} IS NOT NULL"
        for place, column in enumerate(("arrived_at", "departed_at"))
    )
    return Condition(
        name,
        f"The stops of a {record.name.removesuffix('s')} are reached and left in order.",
        record,
        expected="c.earlier",
        actual="c.moment",
        broken="c.moment < c.earlier",
        join=f"JOIN (SELECT _tenant, {owner}, moment, LAG(moment) OVER "
        f"(PARTITION BY _tenant, {owner} ORDER BY _position, place) AS earlier FROM ({moments}) AS m) AS c "
        f"ON c._tenant = r._tenant AND c.{owner} = r.id",
    )


def load_identities() -> Iterator[Identity]:
    """Yield the identities of loads."""
    yield Balance(
        "load_rate",
        "The customer rate is linehaul plus fuel surcharge plus accessorials.",
        LOADS,
        expected=[money("linehaul"), money("fuel_surcharge"), money("customer_accessorials")],
        actual=[money("customer_rate")],
    )
    details = "load_customer_accessorials_details"
    yield Balance(
        "load_accessorials",
        "The accessorials are the sum of their details.",
        LOADS,
        expected=[money("total", LOADS.items(details), of="c")],
        actual=[money("customer_accessorials")],
    )
    yield _rated(LOADS, "load_accessorial_rates", details)
    yield Balance(
        "load_invoiced_amount",
        "The invoiced amount, once there is one, is the customer rate.",
        LOADS,
        expected=[money("customer_rate")],
        actual=[money("invoiced_amount")],
        where="r.invoiced_amount IS NOT NULL",
    )
    yield Balance(
        "load_invoiced_total",
        "The line items of a load in all invoices that are not drafts, credits negative, add up to its "
        "customer rate, once it has an invoiced amount.",
        LOADS,
        expected=[money("customer_rate")],
        actual=[
            _by_load(
                "amount",
                "{invoice_line_items} AS o JOIN {invoices} AS i ON i._tenant = o._tenant AND "
                f"i.id = o.invoice_id WHERE i.status <> 'Draft' AND {INVOICES.alive('i')}",
            )
        ],
        where="r.invoiced_amount IS NOT NULL",
    )
    yield Balance(
        "load_paid",
        "The total paid is the sum of the payments.",
        LOADS,
        expected=[money("amount", LOADS.items("load_payments"), of="c")],
        actual=[money("total_paid")],
    )
    yield Balance(
        "load_trip_values",
        "The values of a load's trips add up to linehaul plus fuel surcharge.",
        LOADS,
        expected=[money("linehaul"), money("fuel_surcharge")],
        actual=[_by_load("trip_value", f"{{trips}} AS o WHERE {TRIPS.alive('o')}")],
    )
    yield OneCurrency("load_currency", "A load is in one currency.", LOADS)
    yield Condition(
        "load_number",
        "No two loads of a subsidiary have the same number.",
        LOADS,
        expected="1",
        actual="c.n",
        broken="c.n > 1",
        join="JOIN (SELECT _tenant, load_number, invoice_as, COUNT(*) AS n FROM {loads} AS o "
        f"WHERE {LOADS.alive('o')} GROUP BY _tenant, load_number, invoice_as) AS c ON c._tenant = r._tenant "
        "AND c.load_number = r.load_number AND COALESCE(c.invoice_as, '') = COALESCE(r.invoice_as, '')",
    )
    yield Condition(
        "load_times",
        "A load is created before it is picked up, and picked up before it is delivered.",
        LOADS,
        expected="r.picked_up_at",
        actual="COALESCE(r.delivered_at, r.created_at)",
        broken="r.created_at > r.picked_up_at OR r.picked_up_at > r.delivered_at "
        "OR r.created_at > r.delivered_at",
    )
    yield _in_order(LOADS, "load_stop_times", "load_stops")
    yield Condition(
        "load_cancelled",
        "A load has the time of a cancellation if, and only if, it is cancelled or a TONU.",
        LOADS,
        expected="r.cancelled_at",
        actual="r.status",
        broken="(r.status IN ('Cancelled', 'TONU')) <> (r.cancelled_at IS NOT NULL)",
    )


def trip_identities() -> Iterator[Identity]:
    """Yield the identities of trips."""
    yield Balance(
        "trip_miles",
        "The total miles are the loaded plus the empty ones.",
        TRIPS,
        expected=[_miles("loaded"), _miles("empty")],
        actual=[_miles("total")],
    )
    checks = TRIPS.items("trip_carrier_e_checks")
    yield Balance(
        "trip_payable",
        "What is payable to a carrier is linehaul plus accessorials, less the e-checks and their fees.",
        TRIPS,
        expected=[
            *map(money, _CARRIER_PAY),
            -money("amount", checks, of="c"),
            -money("fee", checks, of="c"),
        ],
        actual=[money("carrier_total_payable")],
    )
    yield Balance(
        "trip_accessorials",
        "A carrier's accessorials are the sum of their details.",
        TRIPS,
        expected=[money("total", TRIPS.items("trip_carrier_accessorials_details"), of="c")],
        actual=[money("carrier_accessorials")],
    )
    yield _rated(TRIPS, "trip_accessorial_rates", *(f"trip_{role}_accessorials_details" for role in _ROLES))
    yield OneCurrency("trip_currency", "A trip is in one currency.", TRIPS)
    yield Condition(
        "trip_load",
        "A trip's load exists.",
        TRIPS,
        expected="r.load_number",
        actual="c.load_number",
        broken="c.load_number IS NULL",
        join=f"LEFT JOIN (SELECT DISTINCT _tenant, load_number FROM {{loads}} AS o WHERE {LOADS.alive('o')}) "
        "AS c ON c._tenant = r._tenant AND c.load_number = r.load_number",
    )
    yield Condition(
        "trip_mode",
        "A trip of the own fleet (tendered as a subsidiary of type Carrier) has no carrier's linehaul, and a "
        "brokered one no own truck or driver.",
        TRIPS,
        expected="r.tender_as_subsidiary_type",
        actual="COALESCE(r.truck_id, r.driver1_id, r.carrier_id)",
        broken=f"CASE WHEN {_ASSET} THEN r.carrier_linehaul_amount IS NOT NULL "
        "ELSE r.truck_id IS NOT NULL OR r.driver1_id IS NOT NULL END",
    )
    yield Condition(
        "trip_assigned",
        "A trip that is covered, or further, has an own truck and driver or a carrier's linehaul.",
        TRIPS,
        expected="r.status",
        actual="r.tender_as_subsidiary_type",
        broken=f"r.status IN {_ASSIGNED} AND CASE WHEN {_ASSET} "
        "THEN r.truck_id IS NULL OR r.driver1_id IS NULL ELSE r.carrier_linehaul_amount IS NULL END",
    )
    yield Condition(
        "trip_times",
        "A trip is picked up before it is delivered.",
        TRIPS,
        expected="r.picked_up_at",
        actual="r.delivered_at",
        broken="r.picked_up_at > r.delivered_at",
    )
    yield _in_order(TRIPS, "trip_stop_times", "trip_stops")


def _miles(kind: str) -> Term:
    start = f"r.{kind}_mileage_distance"
    return Term(f"{start}_value", f"{start}_unit_of_measure")
