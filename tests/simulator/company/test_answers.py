"""The simulator's answers, on a few records made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.schema.fields import Record
from airflow_provider_alvys.simulator.process import Simulator

DAY = "2026-03-31"


def usd(amount: float) -> dict[str, Any]:
    return {"Amount": amount, "Currency": 840}


def stop(kind: str, city: str, due: str | None, arrived: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "StopType": kind,
        "Address": {"City": city, "State": "TX"},
        **({"AppointmentDate": due} if due else {}),
        **({"ArrivedAt": arrived} if arrived else {}),
        **fields,
    }


def load(number: str, rate: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "Id": f"L{number}",
        "LoadNumber": number,
        "Status": "Completed",
        "CustomerId": "C1",
        "CustomerName": "Acme",
        "CustomerRate": rate or usd(1000.1),
        "DeliveredAt": "2026-03-10T12:00:00+00:00",
        **fields,
    }


class Company:
    """An empty simulator, to which a test adds records with only the given fields."""

    def __init__(self, alvys: Simulator) -> None:
        self._alvys = alvys
        self.answers = alvys.answers

    def add(self, stream: str, *records: dict[str, Any]) -> None:
        fields = STREAMS[stream].fields
        assert isinstance(fields, Record)
        for record in records:
            columns = {**dict.fromkeys(fields.fields), "IsDeleted": False, **record}
            columns = {name: value for name, value in columns.items() if name in fields.fields}
            self._alvys.add(stream=stream, columns=columns)

    def rows(self, answer: str, as_of: str = DAY) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.answers(as_of)[answer]]


@pytest.fixture
def company(alvys: Simulator) -> Company:
    # Trips and invoices of their own: an added load does not bring its own ones.
    alvys.reset(loads=0, rows={"trips": 0, "invoices": 0})
    return Company(alvys)


def test_revenue_is_of_delivered_or_invoiced_loads_by_the_local_day(company: Company) -> None:
    late = [stop("Delivery", "El Paso", "2026-03-31T20:00:00-06:00", None)]
    company.add(
        "loads",
        load("1"),
        load("2", usd(0.2)),
        load("3", {"Amount": 5, "Currency": "CAD"}),
        # In El Paso it is still March.
        load("4", usd(7), DeliveredAt="2026-04-01T02:00:00+00:00", Stops=late),
        load("5", usd(200), Status="TONU", DeliveredAt=None, InvoicedAt="2026-02-28T23:59:00+00:00"),
        load("6", DeliveredAt=None),
        load("7", LoadType="Non-Revenue"),
        load("8", IsDeleted=True),
        load("9", DeliveredAt="2026-04-01T12:00:00+00:00"),
        *(load(status, Status=status) for status in ("Quoted", "Reserved", "Admin", "Cancelled")),
    )
    assert company.rows("revenue") == [
        ("CAD", "2026-03", "C1", "Acme", 1, "5.00"),
        ("USD", "2026-02", "C1", "Acme", 1, "200.00"),
        ("USD", "2026-03", "C1", "Acme", 3, "1007.30"),
    ]


def test_a_margin_is_as_certain_as_the_cost_of_each_trip(company: Company) -> None:
    company.add("loads", *(load(str(number), usd(1000)) for number in range(1, 8)))

    def trip(number: str, **fields: Any) -> dict[str, Any]:
        return {"Id": number, "TripNumber": number, "LoadNumber": number[0], "Status": "Completed", **fields}

    def asset(number: str, **fields: Any) -> dict[str, Any]:
        return trip(number, TenderAsSubsidiaryType="Carrier", Carrier={"Id": "own"}, **fields)

    policy = {"Kind": "PerMile", "Rate": 0.5, "EmptyRate": 0.25}
    miles = {
        name: {"Distance": {"Value": value, "UnitOfMeasure": "Miles"}}
        for name, value in (("LoadedMileage", 400.5), ("EmptyMileage", 20))
    }
    company.add(
        "trips",
        trip("1", Carrier={"Linehaul": usd(700.5), "Accessorials": usd(20), "TotalPayable": usd(1)}),
        trip("1-2", Carrier={"Linehaul": usd(9)}, IsDeleted=True),
        trip("2", Carrier={"Linehaul": usd(300)}),
        asset("2-2"),
        asset("3", Driver1={"Id": "D", "RatesV2": policy}, **miles),
        asset("4", TripValue=usd(1000), Driver1={"Id": "D", "RatesV2": {"Kind": "Percentage", "Rate": 70}}),
        trip("5", Carrier={"Linehaul": {"Amount": 1, "Currency": "CAD"}}),
        # Not driven: the policy by miles says nothing.
        asset("7", Status="TONU", Driver1={"Id": "D", "RatesV2": policy}, **miles),
    )

    def line(amount: float, trip: str | None = "2-2") -> dict[str, Any]:
        return {"Category": "Line Haul", "Amount": usd(amount), "TripNumber": trip}

    processed, day = {"Status": "Processed"}, {"StatementDate": DAY}
    company.add(
        "driver_settlement_statements",
        {**processed, "Number": 1, "StatementDate": "2026-03-20", "LineItems": [line(100), line(9, None)]},
        {**processed, "Number": 2, **day, "LineItems": [line(-25.5)]},
        {"Status": "Failed", "Number": 3, **day, "LineItems": [line(50)]},
        {**processed, "Number": 4, "StatementDate": "2026-04-01", "LineItems": [line(50)]},
        {**processed, "Number": 5, **day, "LineItems": [{**line(75, None), "LoadNumber": "7"}]},
    )
    assert company.rows("margins") == [
        ("USD", "2026-03", "actual", 3, "3000.00", "1170.00", "1830.00"),
        ("USD", "2026-03", "estimated", 2, "2000.00", "905.25", "1094.75"),
        # Of another currency, and without any trip.
        ("USD", "2026-03", "missing", 2, "2000.00", None, None),
    ]


def test_service_compares_moments_and_leaves_out_what_had_no_due_time(company: Company) -> None:
    appointment, at = "2026-03-10T08:00:00-06:00", "2026-03-10T14:00:00+00:00"
    window = {"Begin": "2026-03-31T08:00:00-06:00", "End": "2026-03-31T23:30:00-06:00"}
    stops = [
        stop("Pickup", "Dallas", appointment, at),
        stop("Pickup", "Dallas", appointment, "2026-03-10T14:00:00.0000001+00:00"),
        stop("Waypoint", "Waco", appointment, at),
        stop(
            "Delivery",
            "Austin",
            None,
            "2026-03-20T00:00:00Z",
            StopWindow={"Begin": at, "End": "9999-12-31T00:00:00Z"},
        ),
        stop("Delivery", "Austin", None, at, StopWindow={"Begin": at}),
        stop("Delivery", "Austin", appointment, None),
        stop("Delivery", "El Paso", None, "2026-04-01T05:00:00+00:00", StopWindow=window),
    ]
    company.add(
        "loads",
        load("1", Stops=stops),
        load("2", Stops=stops, Status="Released"),
        load("3", Stops=stops, Status="Cancelled"),
        load("4", Stops=stops, Status="TONU"),
        load("5", Stops=stops, LoadType="Non-Revenue"),
    )
    # A release overwrites the status of a load, but not of its trip.
    for number, status in zip("12345", ("Completed", "TONU", "Cancelled", "TONU", "Completed"), strict=True):
        trip = {"Id": f"T{number}", "TripNumber": number, "LoadNumber": number, "Status": status}
        company.add("trips", {**trip, "Stops": stops})
    assert company.rows("on_time") == [("2026-03", "Delivery", 2, 2), ("2026-03", "Pickup", 2, 1)]
    assert company.rows("lanes") == [("Dallas, TX", "El Paso, TX", 1, 1)]


def test_receivables_are_those_of_the_day_by_due_date(company: Company) -> None:
    def invoice(number: int, due: str, total: float = 100, **fields: Any) -> dict[str, Any]:
        shown = {"Id": f"I{number}", "Status": "AwaitingPayment", "Total": usd(total)}
        dates = {"InvoicedDate": "2026-01-01T00:00:00+00:00", "DueDate": f"2026-{due}T00:00:00+00:00"}
        return {**shown, **dates, **fields}

    def payment(day: str, amount: float) -> dict[str, Any]:
        return {"PaymentDate": f"2026-{day}T00:00:00+00:00", "Amount": usd(amount)}

    company.add("loads", load("1", Status="Financed"))
    company.add(
        "invoices",
        invoice(1, "03-31"),
        invoice(2, "03-30"),
        invoice(3, "03-02", Payments=[payment("03-31", 40.5), payment("04-01", 59.5)], Status="Paid"),
        invoice(4, "03-01", -20),
        invoice(5, "01-30"),
        invoice(6, "01-29", Payments=[payment("02-01", 100)]),
        invoice(7, "01-01", 3),
        invoice(8, "01-01", Status="Draft"),
        invoice(9, "01-01", 30, Loads=[{"Id": "L1", "LoadNumber": "1"}]),
        invoice(10, "05-01", InvoicedDate="2026-04-01T00:00:00+00:00"),
    )
    assert company.rows("receivables") == [
        ("USD", False, "30-59", 1, "-20.00"),
        ("USD", False, "60-89", 2, "103.00"),
        ("USD", False, "current", 1, "100.00"),
        ("USD", False, "under 30", 2, "159.50"),
        ("USD", True, "60-89", 1, "30.00"),
    ]
    assert ("USD", False, "90 and over", 1, "3.00") in company.rows("receivables", "2026-04-01")


def test_settlements_and_totals_sum_all_statements(company: Company) -> None:
    def statement(number: int, **fields: Any) -> dict[str, Any]:
        totals = {"GrossIncome": usd(100.1), "NetIncome": usd(80)}
        shown = {"Number": number, "Status": "Processed", "StatementDate": "2026-03-20", "Totals": totals}
        return {**shown, "Driver": {"Id": "D", "Type": "COMPANY"}, **fields}

    company.add("driver_settlement_statements", statement(1), statement(2), statement(3, Status="Failed"))
    carrier = {"Number": 1, "StatementDate": "2026-03-05T00:00:00+00:00", "NetAmount": usd(50.55)}
    company.add("carrier_settlement_statements", carrier)
    company.add("loads", load("1", usd(0.1), IsDeleted=True), load("2", {"Amount": 0.2, "Currency": "CAD"}))
    assert company.rows("settlements") == [
        ("USD", "2026-03", "CARRIER", 1, "50.55", "50.55"),
        ("USD", "2026-03", "COMPANY", 2, "200.20", "160.00"),
    ]
    assert company.rows("totals") == [
        ("carrier_settlement_statements", "NetAmount", "USD", "50.55"),
        ("driver_settlement_statements", "Totals.GrossIncome", "USD", "300.30"),
        ("driver_settlement_statements", "Totals.NetIncome", "USD", "240.00"),
        ("loads", "CustomerRate", "CAD", "0.20"),
        ("loads", "CustomerRate", "USD", "0.10"),
    ]


def test_the_default_is_today_and_another_text_is_refused(company: Company) -> None:
    assert len(company.answers()["as_of"]) == 10
    with pytest.raises(RuntimeError, match="as_of"):
        company.answers("yesterday")
