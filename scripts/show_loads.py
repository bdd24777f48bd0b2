"""
Print loads of the simulated company, one of each kind, as a dispatcher or a controller reads them.

    python -m scripts.show_loads
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator

Row = dict[str, Any]
ASSET, NO_END = "Carrier", "9999"


@dataclass
class File:
    """A load with everything that belongs to it."""

    load: Row
    trips: list[Row] = field(default_factory=list)
    invoices: list[Row] = field(default_factory=list)
    statements: list[tuple[Row, Row]] = field(default_factory=list)

    @property
    def crews(self) -> list[str]:
        """Who hauls each trip."""
        return [_crew(trip) for trip in self.trips]

    @property
    def is_paid(self) -> bool:
        """Whether everything has happened to it."""
        return self.load["Status"] in ("Completed", "Paid") and "PaidAt" in self.load

    def invoice_types(self) -> list[str]:
        """Return the types of its invoices, oldest first."""
        return [invoice["Type"] for invoice in self.invoices]


# The kinds of loads, and how to know one that is far enough.
KINDS: Mapping[str, Callable[[File], bool]] = {
    "brokered": lambda file: file.crews == ["carrier"] and file.is_paid,
    "own truck": lambda file: file.crews == ["company driver"] and file.is_paid,
    "owner-operator": lambda file: file.crews == ["owner-operator"] and file.is_paid,
    "team": lambda file: file.crews == ["team"] and file.is_paid,
    "relay of two own drivers": lambda file: file.crews == ["company driver"] * 2 and file.is_paid,
    "mixed: the own fleet and a carrier": lambda file: (
        len(set(file.crews)) > 1 and "carrier" in file.crews and file.is_paid
    ),
    "stop-offs": lambda file: _deliveries(file.load) > 1 and file.is_paid,
    "truck ordered, not used (TONU)": lambda file: any(trip["Status"] == "TONU" for trip in file.trips),
    "reopened and invoiced again": lambda file: (
        len(file.invoices) > 2 and file.invoice_types()[1] == "Credit Memo"
    ),
    "one of a summary invoice": lambda file: "SummaryInvoice" in file.invoice_types() and file.is_paid,
    "factored": lambda file: file.load["Status"] == "Financed",
    "paid in part": lambda file: any(
        invoice["Payments"] and invoice["RemainingBalance"]["Amount"] > 0 for invoice in file.invoices
    ),
    "on its way": lambda file: file.load["Status"] == "In Transit",
}


def main() -> None:
    """Print one load of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--loads", type=int, default=600, help="number of loads of the company")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another company")
    options = parser.parse_args()
    # So many drivers that none has two loads at once.
    with Simulator(loads=options.loads, fleet=300, seed=options.seed) as alvys:
        files, names = read_files(alvys)
    shown: set[str] = set()
    for kind, is_one in KINDS.items():
        chosen = next((file for file in files if file.load["Id"] not in shown and is_one(file)), None)
        if chosen is None:
            print(f"== {kind}: no such load ==\n")
            continue
        shown.add(chosen.load["Id"])
        print(f"== {kind} ==")
        print("\n".join(describe(chosen, names)), end="\n\n")


def read_files(alvys: Simulator) -> tuple[list[File], Mapping[str, str]]:
    """Return the loads with what belongs to them, and the names of carriers, drivers, trucks and trailers."""
    files = {row["LoadNumber"]: File(row) for row in _rows(alvys, "loads")}
    of_trip: dict[str, File] = {}
    for trip in _rows(alvys, "trips"):
        files[trip["LoadNumber"]].trips.append(trip)
        of_trip[trip["TripNumber"]] = files[trip["LoadNumber"]]
    for invoice in sorted(_rows(alvys, "invoices"), key=lambda row: row["CreatedDate"]):
        for number in {load["LoadNumber"] for load in invoice.get("Loads", ())} & files.keys():
            files[number].invoices.append(invoice)
    for stream, lines in (
        ("driver_settlement_statements", "LineItems"),
        ("carrier_settlement_statements", "Trips"),
    ):
        for statement in _rows(alvys, stream):
            for line in statement.get(lines, ()):
                if line.get("TripNumber") in of_trip:
                    of_trip[line["TripNumber"]].statements.append((statement, line))
    names: dict[str, str] = {}
    for stream, name in (
        ("carriers", "Name"),
        ("drivers", "Name"),
        ("trucks", "TruckNum"),
        ("trailers", "TrailerNum"),
    ):
        names |= {row["Id"]: row.get(name, "") for row in _rows(alvys, stream)}
    return list(files.values()), names


def describe(file: File, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines about a load."""
    load = file.load
    miles = load["CustomerMileage"]["Distance"]["Value"]
    yield (
        f"Load {load['LoadNumber']}: {load['Status']}, {load['LoadType']}, for {load['CustomerName']} "
        f"({load['CustomerType'][0]}), invoiced as {load['InvoiceAs']}"
    )
    yield (
        f"  {load['RequiredEquipment'][0]}, {load['Weight']['Value']} lb, {miles} miles. Order "
        f"{load.get('OrderNumber')}, {load['PONumber']}, created {_utc(load['CreatedAt'])}"
    )
    yield from _stops(load["Stops"])
    for trip in file.trips:
        yield from _trip(trip, names)
    parts = " + ".join(_money(load[name]) for name in ("Linehaul", "FuelSurcharge", "CustomerAccessorials"))
    per_mile = f"{load['CustomerRate']['Amount'] / miles:.2f} per mile" if miles else "no miles"
    yield f"  customer rate: {parts} = {_money(load['CustomerRate'], code=True)} ({per_mile})"
    for charge in load.get("CustomerAccessorialsDetails", ()):
        quantity = f"{charge['Quantity'].normalize():f} {charge['Uom']}"
        yield f"    {charge['Type']}: {quantity} = {_money(charge['Total'])}"
    for invoice in file.invoices:
        yield from _invoice(invoice)
    for statement, line in file.statements:
        yield _settlement(statement, line)


def _trip(trip: Row, names: Mapping[str, str]) -> Iterator[str]:
    carrier = trip.get("Carrier", {})
    who = [names.get(trip[part]["Id"], "?") for part in ("Driver1", "Driver2") if part in trip]
    if trip["TenderAsSubsidiaryType"] != ASSET:
        who = [names.get(carrier.get("Id", ""), "nobody yet")]
    miles = [trip[f"{name}Mileage"]["Distance"]["Value"] for name in ("Loaded", "Empty")]
    line = f"  trip {trip['TripNumber']}: {trip['Status']}, {_crew(trip)}: {' & '.join(who) or 'nobody yet'}"
    for part, title in (("Truck", "truck"), ("Trailer", "trailer")):
        if part in trip:
            line += f", {title} {names.get(trip[part]['Id'], '?')}"
    yield line
    line = f"    {miles[0]} loaded + {miles[1]} empty miles, worth {_money(trip['TripValue'])}"
    if "Linehaul" in carrier:
        line += f"; carrier gets {_money(carrier['Linehaul'])} + {_money(carrier['Accessorials'])}"
        line += "".join(
            f" - {check['Type']} {_money(check['Amount'])}" for check in carrier.get("EChecks", ())
        )
        line += f" = {_money(carrier['TotalPayable'])}"
        if miles[0]:
            line += f" ({carrier['Linehaul']['Amount'] / miles[0]:.2f} per mile)"
    yield line
    times = {
        "assigned": "CarrierAssignedAt",
        "picked up": "PickedUpAt",
        "delivered": "DeliveredAt",
        "released": "ReleasedAt",
        "carrier paid": "CarrierPaidAt",
    }
    yield "    " + ", ".join(f"{title} {_utc(trip[name])}" for title, name in times.items() if name in trip)


def _stops(stops: Sequence[Row]) -> Iterator[str]:
    for stop in stops:
        window = stop.get("StopWindow", {})
        begin = stop.get("AppointmentDate") or window["Begin"]
        if "AppointmentDate" in stop:
            due = f"appointment {_local(begin)}"
        else:
            end = window["End"]
            due = (
                f"window     {_local(begin)} to {'open end' if end.startswith(NO_END) else _local(end)[-5:]}"
            )
        offset = begin[-6:]
        actual = [
            _local(_shifted(stop[name], offset)) for name in ("ArrivedAt", "DepartedAt") if name in stop
        ]
        place = f"{stop['Address']['City']}, {stop['Address']['State']}"
        yield (
            f"    {stop['StopType']:<9}{place:<20}{stop['CompanyName']:<42} {due:<35} actual "
            f"{' to '.join(actual) or '-'} ({offset})"
        )


def _invoice(invoice: Row) -> Iterator[str]:
    dates = {
        "created": "CreatedDate",
        "invoiced": "InvoicedDate",
        "sent": "LastSendDate",
        "due": "DueDate",
        "paid": "PaidDate",
    }
    shown = ", ".join(f"{title} {invoice[name][:10]}" for title, name in dates.items() if name in invoice)
    loads = len(invoice["Loads"])
    yield (
        f"  invoice {invoice['Number']}: {invoice['Type']}, {invoice['Status']}, {shown}"
        + (f", {loads} loads" if loads > 1 else "")
    )
    lines = " + ".join(f"{line['Name']} {_money(line['Amount'])}" for line in invoice["LineItems"])
    yield f"    {lines} = {_money(invoice['Total'], code=True)}"
    for payment in invoice["Payments"]:
        yield f"    {payment['PaymentDate'][:10]} {payment['PaymentReference']}: {_money(payment['Amount'])}"
    over = f", overpaid {_money(invoice['OverPaymentAmount'])}" if "OverPaymentAmount" in invoice else ""
    yield f"    remaining {_money(invoice['RemainingBalance'])}{over}"


def _settlement(statement: Row, line: Row) -> str:
    shown = f"  statement {statement['Number']} of {statement['StatementDate'][:10]}, {statement['Status']}"
    if "Driver" in statement:
        item = f"{line.get('Category')}, {line.get('Title')} {_money(line['Amount'])}"
        return f"{shown}, {statement['Driver']['Name']}: {item}"
    return f"{shown}, {statement['Payee']['Name']}: net {_money(line['NetAmount'])}"


def _crew(trip: Row) -> str:
    if trip["TenderAsSubsidiaryType"] != ASSET:
        return "carrier"
    if "Driver2" in trip:
        return "team"
    return "owner-operator" if "OwnerOperator" in trip else "company driver"


def _deliveries(load: Row) -> int:
    return sum(stop["StopType"] == "Delivery" for stop in load["Stops"])


def _money(money: Row, *, code: bool = False) -> str:
    names = {"USD": "USD", "CAD": "CAD", "840": "USD", "124": "CAD"}
    return f"{money['Amount']:,.2f}" + (f" {names[str(money['Currency'])]}" if code else "")


def _utc(text: str) -> str:
    return f"{text[5:10]} {text[11:16]}Z"


def _local(text: str) -> str:
    return f"{text[5:10]} {text[11:16]}"


def _shifted(text: str, offset: str) -> str:
    """Return a time in UTC as local time."""
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    shift = timedelta(hours=hours, minutes=minutes)
    at = datetime.fromisoformat(text[:19])
    return (at - shift if offset[0] == "-" else at + shift).isoformat()


def _rows(alvys: Simulator, stream: str) -> list[Row]:
    return [json.loads(row, parse_float=Decimal) for row in alvys.truth_rows(stream=stream)]


if __name__ == "__main__":
    main()
