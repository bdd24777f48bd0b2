"""Statuses of loads and trips, and the times, stops, carriers and drivers that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_alvys.simulator.company.books.entry import Entry, Paper
from airflow_provider_alvys.simulator.company.facts.trips import CREW, assignment
from airflow_provider_alvys.simulator.company.money import cents_of, money
from airflow_provider_alvys.simulator.company.plans.scenarios import CARRIER, COMPANY
from airflow_provider_alvys.simulator.company.texts import utc_text
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.data.sample_values import DEFAULT_STAGE, STAGES
from airflow_provider_alvys.simulator.data.times import CANCELLED, DAY, parse_micros

_COVERED, _UNDERWAY, _DELIVERED, _RELEASED, _PAID = 1, 2, 3, 4, 5
_STOP_TIMES = ("ArrivedAt", "DepartedAt")
# Statuses that arrivals and departures change.
ON_THE_ROAD = ("Covered", "Dispatched", "En-Route", "In Transit", "Delivered", "Trip Completed")
_BEFORE = ("Open", "Reserved", "Quoted", "In Review", "Queued")
# Of the several amounts that Alvys has for a carrier.
_CARRIER_RATES = ("Linehaul", "Rate")


def stage_of(status: Any) -> int:
    """Return the stage of a status."""
    return STAGES.get(str(status).lower(), DEFAULT_STAGE)


def follow_status(entry: Entry, paper: Paper, created_at: int | None) -> None:
    """Give a load or trip the times and stops of its status, and no others."""
    created_at = created_at or 0
    stage, stops = stage_of(paper.get("Status")), paper.get("Stops") or []
    picked, delivered = paper.get("PickedUpAt"), paper.get("DeliveredAt")
    known = [parse_micros(stop[name]) for stop in stops for name in _STOP_TIMES if stop.get(name)]
    if picked is None and stops and stops[0].get("DepartedAt"):
        picked = parse_micros(stops[0]["DepartedAt"])
    if picked is None:
        picked = max([entry.at, created_at, *_times(stops[:1])])
    if delivered is None:
        delivered = max([entry.at, picked, *known])
    picked = max(picked, created_at)
    picked_up_at = picked if stage >= _UNDERWAY else None
    delivered_at = max(delivered, picked) if stage >= _DELIVERED else None
    paper.set("PickedUpAt", picked_up_at)
    paper.set("DeliveredAt", delivered_at)
    paper.set("Stops", _stops_in_stage(stops, stage, paper.get("PickedUpAt"), paper.get("DeliveredAt")))


def _times(stops: Iterable[dict[str, Any]]) -> list[int]:
    return [parse_micros(stop[name]) for stop in stops for name in _STOP_TIMES if stop.get(name)]


def _stops_in_stage(
    stops: Sequence[dict[str, Any]], stage: int, picked_up_at: int | None, delivered_at: int | None
) -> list[dict[str, Any]]:
    """Return stops with the arrivals and departures that a stage implies, and no others."""
    shown = []
    for position, stop in enumerate(stops):
        needed = _DELIVERED if position == len(stops) - 1 else _UNDERWAY
        at = delivered_at if position else picked_up_at
        # The truck may wait at the next stop.
        is_there = "ArrivedAt" in stop and "DepartedAt" not in stop and stage >= min(position + 1, needed - 1)
        if stage < needed and not is_there:
            if not stop.keys().isdisjoint(_STOP_TIMES):
                stop = {name: value for name, value in stop.items() if name not in _STOP_TIMES}
                stop["Status"] = "Open"
        elif stage >= needed and at is not None and "DepartedAt" not in stop:
            # An arrival that nobody recorded was before those that somebody did.
            left = utc_text(min([at, *_times(stops[position + 1 :])]))
            stop = {
                **stop,
                "Status": "Departed",
                "ArrivedAt": stop.get("ArrivedAt", left),
                "DepartedAt": left,
            }
        shown.append(stop)
    return shown


def follow_cancellation(entry: Entry, load: Paper) -> None:
    """Show on a load whether it is cancelled, and cancel its trips with it."""
    if load.get("Status") not in ("Cancelled", "TONU"):
        load.set("CancelledAt", None)
        load.set("CancelledBy", None)
        return
    if load.get("CancelledAt") is None:
        load.set("CancelledAt", entry.at)
        load.set("CancelledBy", entry.company.email_of(load.number + 1))
    for trip in entry.trips_of(load.number) if load.get("Status") == "Cancelled" else ():
        if trip.get("Status") != "TONU":
            trip.set("Status", "Cancelled")
            follow_trip_status(entry, trip)


# ---- trips


def follow_trip_status(entry: Entry, trip: Paper) -> None:
    """Give a trip the times, stops, carrier and crew of its status."""
    stage = stage_of(trip.get("Status"))
    follow_status(entry, trip, _created_at(entry, trip))
    is_brokered = trip.get("TenderAsSubsidiaryType") != SUBSIDIARIES[0].type
    for name, needed, is_shown in (
        ("ReleasedAt", _RELEASED, True),
        ("CarrierPaidAt", _PAID, is_brokered),
    ):
        if stage >= needed and is_shown:
            if trip.get(name) is None:
                trip.set(name, entry.at)
        elif stage < needed:
            trip.set(name, None)
    if trip.get("CarrierPaidAt") is not None and trip.get("Carrier"):
        trip.complete("Carrier", _paid(trip.get("Carrier")))
    if stage >= _RELEASED and is_brokered and trip.get("DueDate") is None:
        trip.set("DueDate", entry.at - entry.at % DAY + 30 * DAY)
    if stage >= _COVERED and trip.get("Carrier") is None and "Carrier" not in trip.named:
        _assign(entry, trip, None)
    elif 0 <= stage < _COVERED:
        for name in (*CREW, "Carrier", "CarrierAssignedAt", "DispatchedBy", "DispatcherId"):
            trip.set(name, None)


def _created_at(entry: Entry, trip: Paper) -> int:
    load = next(entry.loads_of(trip), None)
    return entry.at if load is None else load.get("CreatedAt")


def _assign(entry: Entry, trip: Paper, hauler: str | None) -> None:
    """Give a trip the planned carrier or crew, or those of another kind."""
    fields = assignment(entry.company, trip.number, hauler, entry.at)
    for name, value in fields.items():
        if trip.get(name) is None or name == "Carrier":
            trip.set(name, value)
    if trip.get("CarrierAssignedAt") is None:
        trip.set("CarrierAssignedAt", entry.at)


def follow_carrier(entry: Entry, trip: Paper) -> None:
    """
    Bring a trip's legal entity, crew and amounts into line with its carrier.

    Own drivers and trucks belong to trips of the own legal entity, amounts to those of other carriers.
    """
    company, carrier = entry.company, trip.get("Carrier")
    own = [company.name_of("carriers", "Id", number) for number in range(len(SUBSIDIARIES))]
    has_crew = any(name in trip.named and trip.get(name) is not None for name in ("Driver1", "Truck"))
    if "Carrier" not in trip.named:
        if not has_crew or (carrier or {}).get("Id") in own:
            return
        carrier = {"Id": own[0]}
        if stage_of(trip.get("Status")) >= _COVERED:
            trip.set("Carrier", carrier)
    if not carrier or carrier.get("Id") is None:
        return
    is_own = carrier["Id"] in own
    subsidiary = SUBSIDIARIES[0 if is_own else 1]
    trip.set("TenderAs", subsidiary.name)
    trip.set("TenderAsSubsidiaryType", subsidiary.type)
    if is_own:
        if trip.get("Carrier") is not None:
            _assign(entry, trip, COMPANY)
        return
    for name in CREW:
        trip.set(name, None)
    trip.complete("Carrier", _with_amounts(entry, trip, carrier))


def _with_amounts(entry: Entry, trip: Paper, carrier: dict[str, Any]) -> dict[str, Any]:
    """Return a carrier with the amounts that follow from those it has."""
    checks = carrier.get("EChecks") or ()
    advances = sum(cents_of(check.get(name)) for check in checks for name in ("Amount", "Fee"))
    charges = sum(cents_of(charge.get("Total")) for charge in carrier.get("AccessorialsDetails") or ())
    if "Accessorials" in carrier:
        charges = cents_of(carrier["Accessorials"])
    given = [cents_of(carrier[name]) for name in _CARRIER_RATES if name in carrier]
    if "TotalPayable" in carrier:
        given.append(cents_of(carrier["TotalPayable"]) - charges + advances)
    if not given:
        planned = assignment(entry.company, trip.number, CARRIER, entry.at)["Carrier"]
        given.append(cents_of(planned["Linehaul"]))
    amounts = dict.fromkeys(_CARRIER_RATES, given[0])
    amounts |= {"Accessorials": charges, "TotalPayable": given[0] + charges - advances}
    return {**{name: money(cents, trip.currency) for name, cents in amounts.items()}, **carrier}


def follow_miles(trip: Paper) -> None:
    """Bring the total miles of a trip into line with loaded and empty ones."""
    loaded, empty, total = (_hundredths(trip, kind) for kind in ("Loaded", "Empty", "Total"))
    if "TotalMileage" not in trip.named:
        _set_miles(trip, "Total", loaded + empty)
    elif loaded + empty != total:
        _set_miles(trip, "Empty", min(empty, total))
        _set_miles(trip, "Loaded", total - _hundredths(trip, "Empty"))


def _paid(carrier: dict[str, Any]) -> dict[str, Any]:
    """Return a carrier whose charges and advances are paid."""
    lists = {name: carrier[name] for name in ("AccessorialsDetails", "EChecks") if name in carrier}
    paid: dict[str, Any] = {
        name: [{**item, "IsPaid": True} for item in items] for name, items in lists.items()
    }
    return {**carrier, **paid}


def _hundredths(trip: Paper, kind: str) -> int:
    distance = (trip.get(f"{kind}Mileage") or {}).get("Distance") or {}
    return cents_of({"Amount": distance.get("Value")})


def _set_miles(trip: Paper, kind: str, hundredths: int) -> None:
    like = trip.get(f"{kind}Mileage") or trip.get("LoadedMileage") or {}
    value = {"Value": money(hundredths, "")["Amount"]}
    distance = {"UnitOfMeasure": "Miles", **(like.get("Distance") or {}), **value}
    if hundredths != _hundredths(trip, kind):
        trip.set(f"{kind}Mileage", {**like, "Distance": distance})


def follow_stops(entry: Entry, trip: Paper) -> None:
    """Bring pickup, delivery and status of a trip into line with the departures at its stops."""
    stops, before = trip.get("Stops") or [], trip.before("Stops") or []
    if not stops or not before:
        return
    for name, place in (("PickedUpAt", 0), ("DeliveredAt", -1)):
        left = stops[place].get("DepartedAt")
        if left != before[place].get("DepartedAt"):
            trip.set(name, None if left is None else parse_micros(left))
    status = trip.get("Status")
    if status not in ON_THE_ROAD or "Status" in trip.named:
        return
    created_at = _created_at(entry, trip)
    if trip.get("DeliveredAt") is not None:
        first = created_at if trip.get("PickedUpAt") is None else trip.get("PickedUpAt")
        trip.set("DeliveredAt", max(trip.get("DeliveredAt"), created_at))
        trip.set("PickedUpAt", min(max(first, created_at), trip.get("DeliveredAt")))
        trip.set("Status", "Delivered" if status != "Trip Completed" else status)
    elif trip.get("PickedUpAt") is not None:
        trip.set("PickedUpAt", max(trip.get("PickedUpAt"), created_at))
        trip.set("Status", "In Transit")
    elif status in ("In Transit", "Delivered"):
        trip.set("Status", "Dispatched")


def follow_trips(entry: Entry, load: Paper, *, is_moved: bool) -> None:
    """
    Bring the progress of a load into line with its trips, as Alvys does with each change.

    :param is_moved: also if the load has gone further than its trips.
    """
    trips = [trip for trip in entry.trips_of(load.number) if stage_of(trip.get("Status")) != CANCELLED]
    status = load.get("Status")
    if not trips or (status not in (*ON_THE_ROAD, *_BEFORE) and not is_moved):
        return
    picked, delivered = trips[0].get("PickedUpAt"), trips[-1].get("DeliveredAt")
    if all(trip.get("DeliveredAt") is not None for trip in trips):
        new = status if status == "Trip Completed" else "Delivered"
    elif any(trip.get("PickedUpAt") is not None for trip in trips):
        new = "In Transit"
    else:
        new = trips[0].get("Status")
    load.set("Stops", _stops_of_trips(entry, load, trips))
    load.set("Status", new)
    created_at, stage = load.get("CreatedAt"), stage_of(new)
    picked = max(created_at, entry.at if picked is None else picked) if stage >= _UNDERWAY else None
    load.set("PickedUpAt", picked)
    is_delivered = stage >= _DELIVERED and picked is not None and delivered is not None
    load.set("DeliveredAt", max(picked, delivered) if is_delivered else None)


def _stops_of_trips(entry: Entry, load: Paper, trips: Sequence[Paper]) -> list[dict[str, Any]]:
    """Return a load's stops with the times that its trips have: at a waypoint, from one to the next."""
    stops, legs = list(load.get("Stops") or ()), entry.company.load(load.number).legs
    if len(legs) != len(trips):
        return stops
    for leg, trip in zip(legs, trips, strict=True):
        first, last = leg.stops
        own = trip.get("Stops") or []
        if len(own) != last - first + 1 or last >= len(stops):
            continue
        for place, stop in zip(range(first, last + 1), own, strict=True):
            is_start, is_end = place == first and first > 0, place == last and last < len(stops) - 1
            names = [name for name, skip in zip(_STOP_TIMES, (is_start, is_end), strict=True) if not skip]
            times = {name: stop.get(name) for name in names}
            if all(stops[place].get(name) == value for name, value in times.items()):
                continue
            new = {name: value for name, value in {**stops[place], **times}.items() if value is not None}
            new["Status"] = "Departed" if "DepartedAt" in new else "Arrived" if "ArrivedAt" in new else "Open"
            stops[place] = new
    return stops
