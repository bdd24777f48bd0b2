"""Records of events and maintenance, and of who drives which truck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import msgspec

from airflow_provider_alvys.simulator.company.masters.base import MasterFacts, address, time_text
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.company.world.parties import USD
from airflow_provider_alvys.simulator.company.world.places import Place
from airflow_provider_alvys.simulator.data.people import STAFF, email
from airflow_provider_alvys.simulator.data.times import DAY, HOUR

_YARD = parties.SUBSIDIARIES[0]


class _Event(NamedTuple):
    """A kind of event, what is written about it, and its hours at least and at most."""

    type: str
    title: str
    text: str
    hours: tuple[int, int]


class EventFacts(MasterFacts):
    """The parts that records of the events of drivers, trucks and trailers have in common."""

    fields = frozenset("EventType Title Description StartDate EndDate Address CreatedBy CreatedAt".split())
    kinds: ClassVar[Sequence[_Event]]
    # The stream of those whom the events are about, and the field with their id.
    owners: ClassVar[tuple[str, str]]

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return an event's fields."""
        event = self.kinds[number % len(self.kinds)]
        started = self._rows.started_at(number)
        start = started // DAY * DAY
        shortest, longest = event.hours
        hours = shortest + self._bits(number, 2) % (longest - shortest + 1)
        planned = min(
            start - self._bits(number, 3) % (20 * 24) * HOUR, self._rows.data_end - number % 50 * HOUR
        )
        stream, name = self.owners
        owner = self._owner(number, self._count(stream))
        street, place = self._where(owner)
        record = {
            "EventType": event.type,
            "Title": event.title,
            "Description": event.text,
            "StartDate": start,
            "EndDate": start + hours * HOUR,
            "Address": address(street, place),
            "CreatedBy": email(self._pick(STAFF, number, 4)),
            "CreatedAt": planned if number < self._rows.count else started,
            name: self._column(stream, "Id", owner),
        }
        return {name: value for name, value in record.items() if name in self.fields}

    def _owner(self, number: int, count: int) -> int:
        return self._bits(number, 5) % max(1, count)

    def _where(self, owner: int) -> tuple[str, Place]:
        return _YARD.street, _YARD.place


class DriverEventFacts(EventFacts):
    """Records of drivers' events."""

    fields = EventFacts.fields - {"Title"} | {"DriverId"}
    owners = ("drivers", "DriverId")
    kinds = (
        _Event("Vacation", "", "Family vacation, back on Monday.", (72, 336)),
        _Event("Restart", "", "34-hour restart", (34, 40)),
        _Event("Hometime", "", "Home time as promised at hire.", (48, 120)),
        _Event("SickOrEmergency", "", "Called in sick, doctor's note follows 🤒.", (24, 96)),
        _Event("Other", "", "Safety meeting in the office", (2, 3)),
        _Event("Hometime", "", "Wochenende zu Hause; wants to be back Sunday night.", (48, 72)),
        _Event("Other", "", "Random drug test, 9:00 at the clinic on Winchester Rd.", (1, 3)),
    )

    def _owner(self, number: int, count: int) -> int:
        owner = super()._owner(number, count)
        # A driver who left plans nothing; the next one is still there.
        return owner if crew.driver(self._salt, owner).is_active else (owner + 1) % max(1, count)

    def _where(self, owner: int) -> tuple[str, Place]:
        driver = crew.driver(self._salt, owner)
        return driver.street, driver.home


class TruckEventFacts(EventFacts):
    """Records of trucks' events."""

    fields = EventFacts.fields | {"TruckId"}
    owners = ("trucks", "TruckId")
    kinds = (
        _Event("Repair", "PM Service", "B service, oil and filters, grease.", (4, 10)),
        _Event("Repair", "Brakes", "Drive axle brakes and drums.", (8, 30)),
        _Event("Repair", "DEF system", "Derate on the road, towed to the dealer. Parts on order.", (24, 240)),
        _Event("Other", "DOT inspection", "Annual inspection.", (2, 4)),
        _Event("Repair", "Body work", "Hood and bumper after a deer 🦌, estimate is with them.", (72, 400)),
        _Event("Other", "Waiting for a driver", "Seat is open, orientation on Monday.", (24, 168)),
    )


class TrailerEventFacts(EventFacts):
    """Records of trailers' events."""

    fields = EventFacts.fields | {"TrailerId"}
    owners = ("trailers", "TrailerId")
    kinds = (
        _Event("Repair", "Tires", "Two tires on the rear axle, one rim.", (2, 12)),
        _Event("Repair", "Reefer unit", "Unit shuts down on alarm 63, dealer is looking at it.", (8, 96)),
        _Event("Repair", "Doors", "Door hinge and seal replaced.", (4, 24)),
        _Event("Other", "FHWA inspection", "Annual inspection.", (2, 4)),
        _Event("Other", "Drop at shipper", "Left at Müller's dock 4 for preloading.", (24, 72)),
    )


class _Work(NamedTuple):
    """A category of maintenance, what was done, and its price at least and at most in cents."""

    category: str
    text: str
    cents: tuple[int, int]
    assets: tuple[str, ...] = ("Truck", "Trailer")


_WORK = (
    _Work("Tires", "Two steer tires 295/75R22.5, mount and balance", (98_000, 142_000), ("Truck",)),
    _Work("Tires", "Four trailer tires, recaps", (88_000, 124_000), ("Trailer",)),
    _Work("PM Service", "B service with oil, filters and lube", (38_500, 62_000), ("Truck",)),
    _Work("Brakes", "Shoes, drums and S-cam bushings, one axle", (54_000, 118_000)),
    _Work("DOT inspection", "Annual DOT inspection", (9_500, 16_500)),
    _Work("Lights & Electrical", "Marker lights and pigtail", (6_500, 28_000)),
    _Work("Reefer unit", "Belts, coolant and PM on the unit", (36_000, 97_000), ("Trailer",)),
    _Work("Engine", "EGR cooler and DPF cleaning", (145_000, 480_000), ("Truck",)),
    _Work("Doors & Body", "Roll door panel, hinge and seal", (22_000, 88_000), ("Trailer",)),
    _Work("Road call", "Road side call, air line and glad hands", (24_000, 69_000)),
    _Work("Wash", "Washout and truck wash", (4_500, 11_000)),
)
_SHOPS = (
    "Memphis Diesel & Trailer Repair",
    "TA Truck Service",
    "Love's Truck Care",
    "Speedco",
    "Jürgen's Mobile Repair",
    "Own shop",
)
_COMMENTS = (
    "Approved by the shop manager.",
    "Customer's fault, photos are with the claim.",
    "Core charge to be refunded.",
    "Driver waited on site, 3 h.",
    "Warranty? Asked the dealer, no answer yet 🙄",
)


class MaintenanceFacts(MasterFacts):
    """Records of maintenance, each of a truck or trailer that exists."""

    fields = frozenset(
        "PO Reference RelatedAsset Category Description Comments Amount RepairShop Reminders CreatedBy "
        "ModifiedAt ModifiedBy".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return the fields of a work order."""
        asset = self._asset(number)
        kind = asset["AssetType"] if asset else "Truck"
        work = self._pick([work for work in _WORK if kind in work.assets], number, 1)
        lowest, highest = work.cents
        cents = lowest + self._bits(number, 2) % (highest - lowest)
        created = self._rows.started_at(number)
        shop = self._bits(number, 3) % len(_SHOPS)
        modified = created + self._bits(number, 4) % max(1, min(21 * DAY, self._rows.data_end - created))
        record: dict[str, Any] = {
            "PO": f"PO-{40_000 + number}",
            "Reference": f"WO{self._bits(number, 5) % 10**6:06d}",
            "RelatedAsset": asset,
            "Category": {
                "Id": self._id("Category", [work.category for work in _WORK].index(work.category)),
                "Name": work.category,
            },
            "Description": work.text,
            "Amount": {"Amount": msgspec.Raw(b"%d.%02d" % divmod(cents, 100)), "Currency": USD},
            "RepairShop": {"Id": self._id("RepairShop", shop), "Name": _SHOPS[shop]},
            "Reminders": [],
            "CreatedBy": email(self._pick(STAFF, number, 6)),
            "ModifiedAt": modified,
            "ModifiedBy": email(self._pick(STAFF, number, 7)),
        }
        if number % 2:
            record["Comments"] = self._pick(_COMMENTS, number, 8)
        if work.category in ("PM Service", "DOT inspection"):
            days = 90 if work.category == "PM Service" else 365
            due = time_text((created // DAY + days) * DAY)
            record["Reminders"] = [{"id": self._id("Reminder", number), "DueDate": due}]
        return record

    def _asset(self, number: int) -> dict[str, Any] | None:
        """Return a truck, or for each third row a trailer; None if the company has neither."""
        counts = {"Truck": self._count("trucks"), "Trailer": self._count("trailers")}
        wanted = "Trailer" if number % 3 == 2 else "Truck"
        for kind in (wanted, "Truck", "Trailer"):
            if counts[kind]:
                place = self._bits(number, 9) % counts[kind]
                own = crew.truck if kind == "Truck" else crew.trailer
                return {
                    "AssetId": self._column(f"{kind.lower()}s", "Id", place),
                    "AssetNumber": own(self._salt, place).unit,
                    "AssetType": kind,
                }
        return None


class DispatchPreferenceFacts(MasterFacts):
    """Records of who dispatches which drivers, truck and trailer; no two have the same drivers and truck."""

    fields = frozenset("DispatcherId Driver1Id Driver2Id TruckId TrailerId".split())

    @cached_property
    def _drivers(self) -> Sequence[int]:
        """The drivers with a seat of their own: the first one of each team."""
        count = self._count("drivers")
        found = []
        for number in range(count):
            driver = crew.driver(self._salt, number)
            if driver.is_active and not (driver.partner is not None and driver.partner < number):
                found.append(number)
        return found or range(count)

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a preference's fields. Any field may be missing."""
        drivers, trucks, trailers = self._drivers, self._count("trucks"), self._count("trailers")
        turn, place = divmod(number, len(drivers) or 1)
        driver = drivers[place] if drivers else None
        partner = None if driver is None else crew.driver(self._salt, driver).partner
        first = place if driver is None else driver
        return {
            "DispatcherId": self._user_id("Dispatcher", number),
            "Driver1Id": None if driver is None else self._column("drivers", "Id", driver),
            "Driver2Id": None if partner is None else self._column("drivers", "Id", partner),
            "TruckId": self._column("trucks", "Id", (first + turn) % trucks) if trucks else None,
            "TrailerId": self._column("trailers", "Id", (first + turn * 7) % trailers) if trailers else None,
        }
