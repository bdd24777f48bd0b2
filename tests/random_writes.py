"""Writes of all operations to random records, as people and programs send them: mostly sensible, some not."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import (
    AlvysConflictError,
    AlvysNotFoundError,
    AlvysRefusedError,
    AlvysValidationError,
)
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.simulator.process import Simulator
from tests.writes import body_of, file_of, write

Row = dict[str, Any]
# A webhook's operations call its address, and change no record of the company.
_NAMES = [name for name in OPERATIONS if not name.startswith("webhooks.")]
_REFUSALS = (AlvysConflictError, AlvysNotFoundError, AlvysRefusedError, AlvysValidationError)
_ON_THE_ROAD = ("Dispatched", "In Transit")
# The statuses of trips or loads that an operation is meant for.
_MEANT_FOR = {
    "trips.assign": ("Open", "Covered"),
    "trips.dispatch": ("Covered",),
    "trip_check_calls.create": _ON_THE_ROAD,
    "trip_stops.set_arrival": _ON_THE_ROAD,
    "trip_stops.clear_arrival": _ON_THE_ROAD,
    "trip_stops.set_departure": _ON_THE_ROAD,
    "trip_stops.set_appointment": ("Open", "Covered", "Dispatched"),
    "invoices.record_carrier_payment": ("Invoiced", "Released", "Completed"),
    "invoices.record_customer_payment": ("Invoiced", "Financed", "Completed"),
    "invoices.record_financing": ("Invoiced",),
}
# How many writes go to the same state of the company.
_ROUND = 50
_DAYS = {"PaymentDate", "DateFunded"}
_AMOUNTS = {"CarrierRate", "AmountFunded", "Rate"}


def write_at_random(alvys: Simulator, client: AlvysClient, count: int, seed: int = 1) -> Counter[str]:
    """Send writes that take effect, and return how many of each operation did."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    refused = 0
    while done.total() < count:
        writer = _Writer(alvys, rng)
        for _ in range(min(_ROUND, count - done.total())):
            name = rng.choice(_NAMES)
            try:
                write(client, name, **writer.request(name))
            except _REFUSALS:
                refused += 1
                assert refused < 20 * count
            else:
                done[name] += 1
    return done


class _Writer:
    """Makes writes to the records of one state."""

    def __init__(self, alvys: Simulator, rng: random.Random) -> None:
        self._rng = rng
        self._rows = {
            stream: [msgspec.json.decode(row) for row in alvys.truth_rows(stream=stream)]
            for stream in ("loads", "trips", "deductions", "tenders", "customers")
        }
        self._keys = {
            stream: alvys.truth_keys(stream=stream)
            for stream in ("carriers", "drivers", "trailers", "trucks", "users")
        }
        self._notes = {
            load["LoadNumber"]: [note["id"] for note in load.get("Notes", ())] for load in self._rows["loads"]
        }

    def _choose(self, name: str, stream: str) -> dict[str, Any]:
        """Return a record, mostly one that the operation is meant for."""
        rows = self._rows[stream]
        wanted = _MEANT_FOR.get(name)
        meant = [row for row in rows if wanted and row["Status"] in wanted]
        return dict(self._rng.choice(meant if meant and self._rng.random() < 0.9 else rows))

    def request(self, name: str) -> dict[str, Any]:
        """Return the arguments of a write."""
        trip, load = self._choose(name, "trips"), self._choose(name, "loads")
        stop = self._rng.choice(trip["Stops"]) if trip.get("Stops") else {"Id": "nobody"}
        ids = {
            "loadNumber": load["LoadNumber"],
            "LoadNumber": load["LoadNumber"],
            "noteId": self._rng.choice(self._notes.get(load["LoadNumber"]) or ["nobody"]),
            "tripId": trip["Id"],
            "TripId": trip["Id"],
            "stopId": stop["Id"],
            "StopId": "stop-1",
            "CompanyId": "company-1",
            "SubsidiaryId": "subsidiary-1",
            "tenderId": self._rng.choice(self._rows["tenders"])["Id"],
            "DispatcherId": self._rng.choice(self._keys["users"]),
            "assetId": self._rng.choice(self._keys["trucks"]),
        }
        for word in ("carrier", "driver", "truck", "trailer"):
            ids[f"{word}Id"] = ids[f"{word.title()}Id"] = self._rng.choice(self._keys[f"{word}s"])
        ids["Driver1Id"] = ids["DriverId"]
        stream = name.partition(".")[0]
        ids["id"] = self._rng.choice(self._rows[stream])["Id"] if stream in self._rows else ""
        params = {param: ids[param] for param in OPERATIONS[name].path_params}
        body = self._vary(name, body_of(name, ids), stop, trip)
        return {"path_params": params, "body": body, "file": file_of(name)}

    def _vary(
        self, name: str, body: dict[str, Any], stop: dict[str, Any], trip: dict[str, Any]
    ) -> dict[str, Any]:
        rng = self._rng
        for field in body.keys() & _AMOUNTS:
            body[field] = self._cents(1, 4000)
        for field in body.keys() & _DAYS:
            body[field] = f"{datetime.now(timezone.utc) - timedelta(days=rng.randrange(20)):%Y-%m-%d}"
        if "ReferenceNumber" in body:
            body["ReferenceNumber"] = f"R-{rng.randrange(10**9)}"
        if isinstance(body.get("Amount"), dict):
            body["Amount"] = {"Amount": self._cents(1, 2000), "Currency": rng.choice((840, 840, 124))}
            body.pop("InvoiceNumber", None)
        elif "Amount" in body:
            body["Amount"] = -self._cents(5, 500)
        if name == "trips.assign" and rng.random() < 0.7:
            # Either a carrier or the own fleet.
            own = ("Driver1Id", "TruckId", "TrailerId")
            body = {
                field: value
                for field, value in body.items()
                if field not in (own if trip.get("TenderAsSubsidiaryType") != "Carrier" else ("CarrierRate",))
            }
        for field in ("ArrivedAt", "DepartedAt", "AppointmentDate"):
            if field in body:
                body[field] = self._time_near(stop)
        for field in ("Id", "ShipmentId"):
            if field in body:
                body[field] = f"{field}-{rng.randrange(10**9)}"
        return body

    def _cents(self, low: int, high: int) -> Decimal:
        return Decimal(self._rng.randrange(100 * low, 100 * high)) / 100

    def _time_near(self, stop: dict[str, Any]) -> str:
        """Return a time about that of a stop; once in ten times, one weeks before or after it."""
        text = (
            stop.get("AppointmentDate")
            or stop.get("StopWindow", {}).get("Begin")
            or "2026-03-02T08:00:00-06:00"
        )
        hours = self._rng.randrange(-300, 300) if self._rng.random() < 0.1 else self._rng.randrange(3)
        at = datetime.fromisoformat(text[:19]) + timedelta(hours=hours)
        return f"{at.isoformat()}{text[-6:] if text[-6] in '+-' else '+00:00'}"
