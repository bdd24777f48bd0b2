"""What is deducted from the pay of drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.money import money, shares
from airflow_provider_alvys.simulator.company.plans.weeks import (
    is_paid,
    settled_at,
    week_begin,
    week_of,
)
from airflow_provider_alvys.simulator.company.settlement.facts import (
    ItemView,
    OwnTrip,
    VaryingFacts,
    own_trips,
)
from airflow_provider_alvys.simulator.company.texts import text_id
from airflow_provider_alvys.simulator.company.world.names import bits_of
from airflow_provider_alvys.simulator.company.world.parties import USD
from airflow_provider_alvys.simulator.data.times import DAY, HOUR

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

RECURRING, ONCE = "Recurring", "Once"
# By the type of the driver: category, description, and cents a week.
_WEEKLY = {
    "COMPANY": (("Insurance", "Health insurance", 38_50),),
    "CONTRACTOR": (("Insurance", "Occupational accident insurance", 32_00),),
    "OWNER_OPERATOR": (
        ("Insurance", "Physical damage and bobtail insurance", 142_75),
        ("Truck lease", "Truck lease, weekly payment", 485_00),
    ),
}
_TRUCK_LEASE = "Truck lease"
_ADVANCES = (
    ("Advance", "Settlement advance, agreed by phone"),
    ("Cash advance", "Comdata advance on the road"),
)
# Recurring deductions are made this long before the end of the week.
_CLOSING = HOUR
_SPLIT_AFTER = 20 * HOUR


class Deduction(NamedTuple):
    """
    A deduction.

    :param date: the midnight of the day from which it is due.
    :param driver: number of the driver who pays it.
    :param is_of_truck: whether it is charged to the driver's truck.
    :param group: a number that the parts of a split share with the deduction that they replace.
    :param part: of a split, from 1; otherwise 0.
    :param cents: negative.
    """

    created_at: int
    date: int
    driver: int
    is_of_truck: bool
    group: int
    part: int
    type: str
    category: str
    description: str
    cents: int
    gone_at: int | None = None


class DeductionPlan:
    """The deductions that the company makes."""

    def __init__(self, company: Company) -> None:
        self._company = company
        # Parts of splits to come.
        self._later: list[Deduction] = []

    def between(self, since: int, until: int) -> list[Deduction]:
        """Return the deductions that are made after a time, until another one, in their order."""
        found, self._later = self._later, []
        weeks: set[tuple[int, int]] = set()
        for trip in own_trips(self._company, since - 7 * DAY, until):
            delivered_at = trip.leg.delivered_at
            if delivered_at is not None and delivered_at <= trip.end:
                weeks |= {(driver, week_of(delivered_at + _CLOSING)) for driver in trip.drivers}
            found += self._once(trip, since)
        for driver, week in weeks:
            if since < week_begin(week + 1) - _CLOSING <= until:
                found += self._recurring(driver, week)
        self._later = [deduction for deduction in found if deduction.created_at > until]
        made = [deduction for deduction in found if deduction.created_at <= until]
        return sorted(made, key=lambda deduction: (deduction.created_at, deduction.group, deduction.part))

    def _recurring(self, driver: int, week: int) -> Iterator[Deduction]:
        at = week_begin(week + 1) - _CLOSING
        kinds = _WEEKLY[self._company.driver(driver).type]
        for position, (category, description, cents) in enumerate(kinds):
            is_of_truck = category == _TRUCK_LEASE
            group = ((week * 100_000 + driver) * 4 + position) * 10 + 1
            yield Deduction(
                at, at // DAY * DAY, driver, is_of_truck, group, 0, RECURRING, category, description, -cents
            )

    def _once(self, trip: OwnTrip, since: int) -> Iterator[Deduction]:
        """Yield what a trip gives rise to: cash advances, and damage claims that are paid in parts."""
        bits, driver = bits_of(self._company.salt, trip.key, 231), trip.drivers[0]
        if trip.leg.picked_up_at is None or trip.leg.delivered_at is None:
            return
        at = trip.leg.picked_up_at + 5 * HOUR
        if bits % 9 == 0 and since < at <= trip.end:
            day, group = at // DAY * DAY + DAY, trip.key * 10 + 2
            category, text = _ADVANCES[bits // 16 % len(_ADVANCES)]
            cents = -5_000 * (1 + bits // 64 % 3)
            yield Deduction(at, day, driver, False, group, 0, ONCE, category, text, cents)
        at = trip.leg.delivered_at + 21 * HOUR
        if bits // 512 % 19 == 0 and since < at <= trip.end:
            yield from self._claim(trip, at, bits)

    def _claim(self, trip: OwnTrip, at: int, bits: int) -> Iterator[Deduction]:
        cents = -(12_000 + bits // 1024 % 60_000)
        day, group = at // DAY * DAY + 10 * DAY, trip.key * 10 + 3
        stop = trip.load.stops[trip.leg.stops[1]]
        text = f"Damage claim {stop.place.city}, load {trip.load.number % 100_000:05d}"
        claim = Deduction(
            at, day, trip.drivers[0], False, group, 0, ONCE, "Damage claim", text, cents, at + _SPLIT_AFTER
        )
        if cents > -20_000:
            yield claim._replace(gone_at=None)
            return
        yield claim
        count = 2 if cents > -45_000 else 3
        for part, amount in enumerate(shares(cents, [1] * count), 1):
            yield claim._replace(
                created_at=at + _SPLIT_AFTER,
                date=day + (part - 1) * 7 * DAY,
                part=part,
                description=f"{text} (part {part})",
                cents=amount,
                gone_at=None,
            )


def deductions(company: Company) -> Sequence[Deduction]:
    """Return the deductions until now, in their order."""
    return company.part(_deduction_list).until(company.now)


def _deduction_list(company: Company) -> GrowingList[Deduction]:
    return GrowingList(DeductionPlan(company).between)


def _truck_owner(view: ItemView[Deduction]) -> Any:
    driver = view.item.driver
    is_owner = view.company.driver(driver).type == "OWNER_OPERATOR"
    return view.company.name_of("drivers", "Id", driver) if is_owner else None


def _driver(view: ItemView[Deduction]) -> Any:
    return None if view.item.is_of_truck else view.company.name_of("drivers", "Id", view.item.driver)


def _truck(view: ItemView[Deduction]) -> Any:
    return view.company.name_of("trucks", "Id", view.item.driver) if view.item.is_of_truck else None


def _paid_at(company: Company, item: Deduction) -> tuple[int, ...]:
    return settled_at(company.salt, item.driver, item.date, item.created_at)


def _is_paid(view: ItemView[Deduction]) -> bool:
    item = view.item
    # Statements take no deduction that somebody added.
    return item.group >= 0 and is_paid(_paid_at(view.company, item), view.at)


class DeductionFacts(VaryingFacts[Deduction]):
    """The records of deductions."""

    makers: ClassVar[Any] = {
        "Type": lambda view: view.item.type,
        "GroupId": lambda view: text_id(view.company.salt, view.item.group, 232),
        "Description": lambda view: view.item.description,
        "Category": lambda view: view.item.category,
        "Amount": lambda view: money(view.item.cents, USD),
        "DriverId": _driver,
        "TruckId": _truck,
        "OwnerOperatorId": _truck_owner,
        "Date": lambda view: view.item.date,
        "IsPaid": _is_paid,
        "CreatedAt": lambda view: view.item.created_at,
        "CreatedBy": lambda view: view.company.email_of(view.item.group),
    }

    def _items(self) -> Sequence[Deduction]:
        return deductions(self._company)

    def _changes(self, item: Deduction) -> Iterator[int]:
        yield from _paid_at(self._company, item)

    def _added(self, number: int, at: int) -> Deduction:
        # One that somebody adds is not taken by a statement.
        day = at // DAY * DAY
        return Deduction(at, day, number % 5, False, -number, 0, ONCE, "Other", "Parking ticket", -45_00)
