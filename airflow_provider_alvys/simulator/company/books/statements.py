"""Settlement statements whose trips somebody has changed: Alvys reverts and deletes them."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.money import cents_of
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE

# By stream: where a statement names its trips, and the field of the trip that it names.
_TRIPS = {
    "carrier_settlement_statements": ("Trips.TripId", "Id"),
    "driver_settlement_statements": ("LineItems.TripNumber", "TripNumber"),
}
_MILES = ("LoadedMileage", "EmptyMileage")


def revert(entry: Entry) -> None:
    """Remove the statements with trips that are gone, not delivered, or have other miles or amounts."""
    for trip in entry.papers("trips"):
        if not _says_something_else(entry, trip):
            continue
        entry.company.added.unstated.add(entry.company.leg_of(trip.number))
        for stream, (path, name) in _TRIPS.items():
            statements, key = entry.rows_of(stream), trip.before(name)
            if statements is None or key is None:
                continue
            named = statements.column(path)
            found = [number for number in statements.numbers() if key in (named[number] or ())]
            statements.take_out(found, entry.at)


def _says_something_else(entry: Entry, trip: Paper) -> bool:
    was_done = trip.before("DeliveredAt") is not None or trip.before("Status") == "TONU"
    is_done = trip.get("DeliveredAt") is not None or trip.get("Status") == "TONU"
    if entry.is_removed(trip) or was_done != is_done or (trip.get(TOMBSTONE) and not trip.before(TOMBSTONE)):
        return True
    if any(_miles(trip.before(name)) != _miles(trip.get(name)) for name in _MILES):
        return True
    return _payable(trip.before("Carrier")) != _payable(trip.get("Carrier"))


def _miles(mileage: dict[str, Any] | None) -> int:
    return cents_of({"Amount": ((mileage or {}).get("Distance") or {}).get("Value")})


def _payable(carrier: dict[str, Any] | None) -> tuple[Any, int]:
    return (carrier or {}).get("Id"), cents_of((carrier or {}).get("TotalPayable"))
