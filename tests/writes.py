"""Valid and invalid requests for every write operation."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, AnyOf, Field, OneOf, RequiredIf
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.write.prepare import prepare
from airflow_provider_alvys.api.write.send import send
from airflow_provider_alvys.api.write.upload import FileSource
from airflow_provider_alvys.simulator.process import Simulator

PDF = b"%PDF-1.4 a proof of delivery\n"
MONEY = {"Amount": Decimal("1250.10"), "Currency": 840}
PAYMENT = {
    "Amount": MONEY,
    "PaymentDate": "2026-03-02",
    "ReferenceNumber": "ACH-1",
    "PaymentMethod": "ACH",
    "CheckNumber": "7",
    "Note": "paid",
}
TEMPERATURE = {"Value": Decimal("-10.5"), "Unit": "Celsius"}
TENDER = {
    **dict.fromkeys(
        ("SenderIsaId", "SenderIsaIdQualifier", "SenderGsId", "ReceiverIsaId", "ReceiverIsaIdQualifier"), "X1"
    ),
    "ReceiverGsId": "X2",
    "SCAC": "ABCD",
    "ShipmentId": "S-1",
    "Stops": [
        {
            "Type": "PU",
            "Entity": {"Name": "Depot", "City": "Chicago", "State": "IL"},
            "SequenceNumber": "1",
            "Orders": [{"Quantity": "2", "Weight": "100", "PoNumber": "P1"}],
            "References": [{"Id": "1", "Qualifier": "BM", "Description": "bill", "Type": "BillOfLading"}],
            "ScheduledArrivalStart": "2026-03-02T08:00:00-06:00",
            "ScheduledArrivalEnd": "2026-03-02T10:00:00-06:00",
            "Notes": ["ring twice"],
        },
        {"Type": "SO"},
    ],
    "Equipment": {"Number": "1", "Length": "53", "Type": "TL"},
    "Entities": [{"Type": "BT", "Name": "Payer"}],
    "Weight": "100",
    "Rate": Decimal("1999.99"),
    "ExpirationDate": "2026-03-01T00:00:00Z",
    "Notes": ["handle with care"],
    "References": [{"Id": "2", "Qualifier": "PO"}],
}

_NAMED = (
    "carriers",
    "customers",
    "deductions",
    "drivers",
    "tenders",
    "trailers",
    "trucks",
    "users",
    "webhooks",
)
# Values of path parameters and of fields that name records. With a simulator, real ones replace them.
IDS = {
    name: f"{name}-1"
    for name in """
    loadNumber noteId tripId stopId id carrierId driverId truckId trailerId tenderId CarrierId DispatcherId
    assetId DriverId Driver1Id TruckId TrailerId TripId LoadNumber StopId CompanyId SubsidiaryId
    """.split()
}


def write(client: AlvysClient, name: str, *, file: FileSource | None = None, **given: Any) -> Any:
    """Prepare a write and send it."""
    return send(client, prepare(name, **given).with_file(file))


def body_of(name: str, ids: Mapping[str, str] = IDS) -> dict[str, Any]:
    """Return a valid body for an operation, with as many fields as possible."""
    some: dict[str, dict[str, Any]] = {
        "loads.update": {"OrderNumber": "PO 4711"},
        "load_notes.create": {"Id": "note-1", "Description": "call ahead", "NoteType": "General"},
        "trips.assign": {
            **{
                field: ids[field]
                for field in ("CarrierId", "DispatcherId", "Driver1Id", "TruckId", "TrailerId")
            },
            "CarrierRate": Decimal("1850.10"),
        },
        "trip_check_calls.create": {
            "Description": "Past Denver, all well",
            "Activity": "Driving",
            "DriverId": ids["Driver1Id"],
            "Location": {
                "City": "Denver",
                "State": "CO",
                "Coordinates": {"Latitude": "39.74", "Longitude": "-104.99"},
            },
            "SetpointTemperature": TEMPERATURE,
            "ReturnTemperature": TEMPERATURE,
        },
        "trips.record_location": {
            "Coordinates": {"Latitude": "39.74", "Longitude": "-104.99"},
            "RecordedAt": "2026-03-02T07:55:00-06:00",
            "Address": {"City": "Denver", "State": "CO"},
            "TripId": ids["TripId"],
            "Odometer": Decimal("120345.6"),
            "OdometerReadingAt": "2026-03-02T07:50:00-06:00",
        },
        "trip_stops.set_appointment": {
            "ScheduleType": "APPT",
            "LoadingType": "Live",
            "AppointmentDate": "2026-03-02T08:00:00-06:00",
            "AppointmentRequested": True,
            "AppointmentConfirmed": False,
        },
        "trip_stops.set_arrival": {"ArrivedAt": "2026-03-02T08:05:00-06:00"},
        "trip_stops.set_departure": {"DepartedAt": "2026-03-02T09:00:00-06:00"},
        "customers.create": {
            "Name": "Acme Foods",
            "Type": "Customer",
            "CompanyNumber": "AC-1",
            "Status": "Active",
            "BillingAddress": {
                "Street": "1 Main St",
                "City": "Reno",
                "State": "NV",
                "Zip": "89501",
                "Country": "US",
            },
            "Email": ["a@acme.example"],
            "Phone": ["555-0100"],
            "Fax": "555-0101",
            "ExternalId": "erp-1",
        },
        "customers.update": {"Name": "Acme Foods Inc.", "Fax": None, "Email": ["b@acme.example"]},
        "carriers.set_status": {"Status": "Active"},
        "deductions.create": {
            "Date": "2026-03-02",
            "Amount": Decimal("-75.25"),
            "Category": "Fuel",
            "Description": "advance",
            "DriverId": ids["DriverId"],
        },
        "invoices.create_carrier_invoice": {
            "TripId": ids["TripId"],
            "CarrierInvoiceNumber": "CI-1",
            "PaymentType": "Net 30",
        },
        "invoices.record_carrier_payment": {"TripId": ids["TripId"], **PAYMENT},
        "invoices.record_customer_payment": {
            "LoadNumber": ids["LoadNumber"],
            **PAYMENT,
            "InvoiceNumber": "I-1",
        },
        "invoices.record_financing": {
            "LoadNumber": ids["LoadNumber"],
            "AmountFunded": Decimal("900.00"),
            "Fee": Decimal("0.10"),
            "DateFunded": "2026-03-02",
            "ReserveEscrowAmount": Decimal("100.00"),
            "ReferenceNumber": "F-1",
        },
        "tenders.create": TENDER,
        "tenders.update": TENDER,
        "tenders.cancel": TENDER,
        "tenders.accept": {
            "StopCompanyLinks": [{"StopId": ids["StopId"], "CompanyId": ids["CompanyId"]}],
            "FleetId": "F1",
        },
        "tenders.accept_updates": {"ApplyAllChangesToLoad": True},
        "tenders.reject": {"ReasonCode": "CPT", "ReasonDescription": "no truck", "CancelLinkedLoad": False},
        "webhooks.create": {
            "Name": "to Airflow",
            "SubsidiaryId": ids["SubsidiaryId"],
            "Url": "https://airflow.example/hook",
            "Events": ["load.changed", "trip.document.uploaded"],
            "IncludePreviousAttributes": True,
        },
        "webhooks.update": {"Events": ["load.changed"], "IncludePreviousAttributes": False},
    }
    row = OPERATIONS[name]
    if row.upload is not None and row.upload.document_types:
        return {"DocumentType": row.upload.document_types[0], "FileName": "pod.pdf"}
    return copy.deepcopy(some.get(name, {}))


def file_of(name: str, content: bytes = PDF) -> FileSource | None:
    """Return a file for an operation that takes one."""
    return FileSource("pod.pdf", len(content), lambda: BytesIO(content)) if OPERATIONS[name].upload else None


def request_of(name: str, ids: Mapping[str, str] = IDS) -> dict[str, Any]:
    """Return the arguments of a valid write."""
    params = {param: ids[param] for param in OPERATIONS[name].path_params}
    return {"path_params": params, "body": body_of(name, ids), "file": file_of(name)}


def invalid_bodies(name: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a kind of mistake, a body with it, and the name of a field that the error mentions."""
    row, valid = OPERATIONS[name], body_of(name)
    yield "unknown field", {**valid, "Nonsense": 1}, "Nonsense"
    yield from _invalid(row.body, valid, "")
    for rule in row.rules:
        if isinstance(rule, AnyOf):
            yield "nothing given", {}, rule.names[0]
        elif isinstance(rule, OneOf):
            yield "both", {**valid, **dict.fromkeys(rule.names, "x")}, rule.names[0]
            yield (
                "neither",
                {key: value for key, value in valid.items() if key not in rule.names},
                rule.names[0],
            )
        else:
            assert isinstance(rule, RequiredIf)
            body = {key: value for key, value in valid.items() if key != rule.name}
            yield "required if", {**body, rule.other: rule.value or "x"}, rule.name


def _invalid(
    fields: tuple[Field, ...], valid: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, dict[str, Any], str]]:
    for field in fields:
        name = prefix + field.name
        if field.required:
            yield "missing", {key: value for key, value in valid.items() if key != field.name}, name
            yield "None", {**valid, field.name: None}, name
        for kind, value in _wrong_values(field):
            yield kind, {**valid, field.name: value}, name
        if field.kind == "object" and field.name in valid:
            for kind, value, inner in _invalid(field.fields, valid[field.name], f"{name}."):
                yield kind, {**valid, field.name: value}, inner
        if field.kind == "list" and field.items and field.items.kind == "object" and valid.get(field.name):
            for kind, value, inner in _invalid(field.items.fields, valid[field.name][0], f"{name}[0]."):
                yield kind, {**valid, field.name: [value]}, inner


def _wrong_values(field: Field) -> Iterator[tuple[str, Any]]:
    wrong: Any = {"string": 7, "list": "x", "object": "x", "boolean": "true"}.get(field.kind, "soon")
    yield "type", wrong
    if field.kind in ("number", "integer"):
        yield "type", True
        yield "not finite", float("nan")
    if field.kind in ("time", "day"):
        yield "naive", "2026-03-02T08:00:00"
    if field.kind == "string" and field.required:
        yield "blank", " "
    if field.values and field.kind == "string":
        yield "enum", f"{field.values[0]}s"
    if field.values and field.kind == "integer":
        yield "enum", 1
    if field.max_length and field.kind == "string":
        yield "too long", (field.prefixes or ("",))[0] + "x" * (field.max_length + 1)
    if field.prefixes:
        yield "prefix", "ftp://x"
    if field.less_than is not None:
        yield "too high", field.less_than
    if field.min_items:
        yield "empty", []
    if field.kind == "list" and field.items and field.items.values:
        yield "enum", ["nonsense"]


def make_ready(alvys: Simulator) -> dict[str, str]:
    """Make a simulator's first records accept every write, and return their ids by field name."""

    def first(stream: str, place: int = 0, **query: Any) -> dict[str, Any]:
        return dict(json.loads(alvys.truth_rows(stream=stream, **query)[place]))

    trip = first("trips")
    load = trip["LoadNumber"]
    alvys.change(keys=[load], columns={"LoadType": "Standard", "Status": "Invoiced", "OrderNumber": "PO 1"})
    names = {stream: alvys.truth_keys(stream=stream)[0] for stream in _NAMED}
    stop = first("trip_stops", parents=[trip["Id"]])["Id"]
    alvys.change(
        stream="trip_stops",
        keys=[stop],
        columns={"ArrivedAt": "2026-03-02T07:00:00-06:00", "DepartedAt": None},
    )
    driver = {**trip.get("Driver1", {}), "Id": names["drivers"]}
    alvys.change(stream="trips", keys=[trip["Id"]], columns={"Status": "Covered", "Driver1": driver})
    alvys.change(stream="carriers", keys=[names["carriers"]], columns={"Status": "Pending"})
    alvys.change(stream="deductions", keys=[names["deductions"]], columns={"IsPaid": False})
    alvys.change(stream="tenders", keys=[names["tenders"]], columns={"Status": "Pending"})
    return {
        "loadNumber": load,
        "LoadNumber": load,
        "noteId": first("load_notes", parents=[load])["Id"],
        "tripId": trip["Id"],
        "TripId": trip["Id"],
        "stopId": stop,
        "StopId": "stop-1",
        "CompanyId": "company-1",
        "SubsidiaryId": "subsidiary-1",
        "tenderId": names["tenders"],
        "DispatcherId": names["users"],
        **{f"{word}Id": names[f"{word}s"] for word in ("carrier", "driver", "truck", "trailer")},
        **{f"{word}Id": names[f"{word.lower()}s"] for word in ("Carrier", "Driver", "Truck", "Trailer")},
        "Driver1Id": names["drivers"],
        "assetId": names["trucks"],
        # The operation's name says which stream the id is of.
        **{f"{stream}.id": names[stream] for stream in ("customers", "deductions", "webhooks")},
    }


def request_to(alvys: Simulator, name: str) -> dict[str, Any]:
    """Return the arguments of a write that a simulator accepts."""
    ids = make_ready(alvys)
    ids["id"] = ids.get(f"{name.partition('.')[0]}.id", "")
    return request_of(name, ids)
