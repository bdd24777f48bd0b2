"""The weekly statements of drivers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.plans.load import Charge
from airflow_provider_alvys.simulator.company.plans.pay_days import driver_charges
from airflow_provider_alvys.simulator.company.plans.weeks import (
    is_failed,
    processed_at,
    reverted,
    settling_week,
    title_of,
    week_begin,
    week_of,
)
from airflow_provider_alvys.simulator.company.settlement.deductions import Deduction, deductions
from airflow_provider_alvys.simulator.company.settlement.facts import (
    OwnTrip,
    dollars,
    own_trip,
    own_trips,
)
from airflow_provider_alvys.simulator.company.settlement.fuel import Purchase, purchases
from airflow_provider_alvys.simulator.company.settlement.pay import (
    PayLine,
    SubLine,
    accessorial_lines,
    advance_lines,
    trip_pay,
)
from airflow_provider_alvys.simulator.company.settlement.tolls import Toll, TollAccounts
from airflow_provider_alvys.simulator.company.world.names import bits_of

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

_OWNER_OPERATOR = "OWNER_OPERATOR"
_ESCROW_DEPOSIT, _ESCROW_GOAL, _ESCROW_WITHDRAWAL = 100_00, 2_500_00, 300_00


class Trips(NamedTuple):
    """
    A trip of a statement, or late charges of one.

    :param at: when it was delivered, or the charge was made.
    :param charge: the late charge; None for the trip itself.
    """

    at: int
    load: int
    position: int
    charge: Charge | None = None


@dataclass(slots=True, frozen=True)
class DriverSettlement:
    """
    A statement of a driver for a week.

    :param as_of: when it was made for the first time; it shows the trips as they were then.
    :param carried: shortfall of the statement before, in cents.
    :param shortfall: what the driver owes after it, in cents.
    :param escrow: cents deposited; negative if withdrawn.
    """

    created_at: int
    as_of: int
    driver: int
    week: int
    is_failed: bool
    trips: tuple[Trips, ...]
    deductions: tuple[Deduction, ...]
    purchases: tuple[Purchase, ...]
    tolls: tuple[Toll, ...]
    carried: int
    escrow: int
    shortfall: int = 0
    gone_at: int | None = None


@dataclass(slots=True)
class _Account:
    """What a driver gets or owes, and no statement has paid yet."""

    trips: list[Trips] = field(default_factory=list)
    deductions: list[Deduction] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    tolls: list[Toll] = field(default_factory=list)
    shortfall: int = 0
    escrow: int | None = None

    def remove(self, settlement: DriverSettlement) -> None:
        """Remove what a statement pays."""
        self.trips = self.trips[len(settlement.trips) :]
        taken = frozenset(settlement.deductions)
        self.deductions = [deduction for deduction in self.deductions if deduction not in taken]
        self.purchases = self.purchases[len(settlement.purchases) :]
        self.tolls = self.tolls[len(settlement.tolls) :]
        self.shortfall = settlement.shortfall
        if self.escrow is not None:
            self.escrow += settlement.escrow


class Payroll:
    """The statements of all drivers, week by week."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._accounts: defaultdict[int, _Account] = defaultdict(_Account)
        # How many of the company's deductions, purchases and tolls are in the drivers' accounts.
        self._booked = [0, 0, 0]
        # Statements that are made again later.
        self._later: list[DriverSettlement] = []

    def between(self, since: int, until: int) -> list[DriverSettlement]:
        """Return the statements that are made after a time, until another one, in their order."""
        self._collect(since, until)
        self._drop_unstated()
        salt = self._company.salt
        due = [
            (at, driver, week)
            for driver in self._accounts
            for week in range(week_of(max(since, self._company.begun_at)) - 2, week_of(until) + 1)
            if since < (at := processed_at(salt, driver, week)) <= until
        ]
        found, self._later = self._later, []
        for at, driver, week in sorted(due):
            settlement = self._settle(at, driver, week)
            if settlement is not None:
                again = reverted(salt, driver, week)
                if again is None:
                    found.append(settlement)
                else:
                    settlement = replace(settlement, gone_at=again[0])
                    found += [settlement, replace(settlement, created_at=again[1], gone_at=None)]
        self._later = [settlement for settlement in found if settlement.created_at > until]
        made = [settlement for settlement in found if settlement.created_at <= until]
        return sorted(made, key=lambda settlement: (settlement.created_at, settlement.driver))

    def _drop_unstated(self) -> None:
        """Forget the trips that somebody has changed, and the statements with them."""
        unstated = self._company.added.unstated
        if unstated:
            for account in self._accounts.values():
                account.trips = [event for event in account.trips if event[1:3] not in unstated]
            self._later = [
                settlement
                for settlement in self._later
                if unstated.isdisjoint(event[1:3] for event in settlement.trips)
            ]

    def _collect(self, since: int, until: int) -> None:
        """Enter what happened into the drivers' accounts."""
        company, new = self._company, defaultdict[int, list[Trips]](list)
        for trip in own_trips(company, since, until):
            load, delivered_at = trip.load, trip.leg.delivered_at
            events = [] if delivered_at is None else [Trips(delivered_at, load.number, trip.position)]
            for charge in driver_charges(load, trip.leg, trip.end):
                if delivered_at is None or charge.at > delivered_at:
                    events.append(Trips(charge.at, load.number, trip.position, charge))
            for event in events:
                if since < event.at <= trip.end:
                    for driver in trip.drivers:
                        new[driver].append(event)
        for driver, trips in new.items():
            self._accounts[driver].trips += sorted(trips, key=lambda event: event[:3])
        known = deductions(company), purchases(company), company.part(TollAccounts).tolls
        for deduction in known[0][self._booked[0] :]:
            self._accounts[deduction.driver].deductions.append(deduction)
        for purchase in known[1][self._booked[1] :]:
            if purchase.owner is not None:
                self._accounts[purchase.owner].purchases.append(purchase)
        for toll in known[2][self._booked[2] :]:
            if toll.owner is not None:
                self._accounts[toll.owner].tolls.append(toll)
        self._booked = [len(items) for items in known]

    def _settle(self, at: int, driver: int, week: int) -> DriverSettlement | None:
        account, salt, end = self._accounts[driver], self._company.salt, week_begin(week + 1)
        changed = self._company.added.unstated
        account.trips = [event for event in account.trips if (event.load, event.position) not in changed]
        trips = tuple(event for event in account.trips if event.at < end)
        fails = is_failed(salt, driver, week)
        taken = tuple(
            deduction
            for deduction in account.deductions
            if (deduction.date < end and deduction.created_at <= at)
            and (deduction.gone_at is None or deduction.gone_at > at)
            and (fails or settling_week(salt, driver, deduction.date, deduction.created_at) == week)
        )
        if not trips and not taken:
            return None
        settlement = DriverSettlement(
            created_at=at,
            as_of=at,
            driver=driver,
            week=week,
            is_failed=fails,
            trips=trips,
            deductions=taken,
            purchases=tuple(purchase for purchase in account.purchases if purchase.created_at < end),
            tolls=tuple(toll for toll in account.tolls if toll.created_at < end),
            carried=account.shortfall,
            escrow=self._escrow(account, driver, week, has_trips=bool(trips)),
        )
        net = sum(line.cents for line in lines_of(self._company, settlement))
        settlement = replace(settlement, shortfall=max(0, -net))
        if not fails:
            account.remove(settlement)
        return settlement

    def _escrow(self, account: _Account, driver: int, week: int, *, has_trips: bool) -> int:
        """Return what an owner-operator deposits, or gets back if negative."""
        if self._company.driver(driver).type != _OWNER_OPERATOR or not has_trips:
            return 0
        bits = bits_of(self._company.salt, driver * 100_000 + week, 224)
        if account.escrow is None:
            account.escrow = 500_00 + bits // 32 % 18 * 100_00
        if bits % 5 == 0 and account.escrow >= _ESCROW_WITHDRAWAL:
            return -_ESCROW_WITHDRAWAL
        return min(_ESCROW_DEPOSIT, max(0, _ESCROW_GOAL - account.escrow))


def driver_settlements(company: Company) -> Sequence[DriverSettlement]:
    """Return the statements until now, in their order."""
    return company.part(_settlement_list).until(company.now)


def _settlement_list(company: Company) -> GrowingList[DriverSettlement]:
    return GrowingList(Payroll(company).between)


def lines_of(company: Company, settlement: DriverSettlement) -> list[PayLine]:
    """Return the lines of a statement."""
    lines: list[PayLine] = []
    for event in settlement.trips:
        trip = own_trip(company, event.load, event.position)
        if event.charge is None:
            lines += _trip_lines(company, settlement, trip, event.at)
        else:
            lines += accessorial_lines(trip, [event.charge], is_late=True)
    lines += [
        PayLine("Deductions", deduction.description, deduction.cents) for deduction in settlement.deductions
    ]
    lines += _cost_lines(settlement)
    if settlement.escrow:
        kind, title = ("Deposit", "Escrow") if settlement.escrow > 0 else ("Withdrawal", "Escrow, tires")
        lines.append(PayLine("Escrow", title, -settlement.escrow, transaction=kind))
    bits = bits_of(company.salt, settlement.driver * 100_000 + settlement.week, 225)
    if settlement.trips and bits % 11 == 0:
        title, cents = (("Safe driving bonus 👍", 50_00), ("Fuel efficiency bonus", 75_00))[bits // 16 % 2]
        lines.append(PayLine("Bonus", title, cents))
    if settlement.carried:
        lines.append(PayLine("Shortfall", "Shortfall of an earlier statement", -settlement.carried))
    if settlement.shortfall:
        title = f"Shortfall of {title_of(settlement.week)}, carried forward"
        lines.append(PayLine("Shortfall", title, settlement.shortfall))
    return lines


def _trip_lines(
    company: Company, settlement: DriverSettlement, trip: OwnTrip, delivered_at: int
) -> Iterator[PayLine]:
    at = company.limited(trip.load.number, settlement.as_of)
    yield trip_pay(company, trip, settlement.driver, at)
    charges = driver_charges(trip.load, trip.leg, min(at, delivered_at))
    yield from accessorial_lines(trip, charges, is_late=False)
    if settlement.driver != trip.drivers[0]:
        return
    yield from advance_lines(trip, at)
    bits = bits_of(company.salt, trip.key, 226)
    if company.driver(settlement.driver).type != _OWNER_OPERATOR:
        for title, cents, every in (("Scale ticket", 14_75, 5), ("Tolls", 3_50 + bits // 64 % 15_00, 8)):
            if bits % every == 0:
                yield PayLine("Reimbursements", title, cents, trip.load.number, trip.position)


def _cost_lines(settlement: DriverSettlement) -> Iterator[PayLine]:
    """Yield the fuel and the tolls of an owner-operator."""
    fuel = [
        SubLine(
            purchase.product,
            f"{purchase.gallons / 1000:.3f}",
            f"{purchase.price / 1000:.3f}",
            -dollars(purchase.total, purchase.currency),
        )
        for purchase in settlement.purchases
    ]
    tolls = [
        SubLine(toll.agency, "1", f"{toll.cents / 100:.2f}", -dollars(toll.cents + toll.fee, toll.currency))
        for toll in settlement.tolls
    ]
    costs: Sequence[tuple[str, list[SubLine]]] = (("Fuel", fuel), ("Tolls", tolls))
    for category, parts in costs:
        if parts:
            yield PayLine(category, category, sum(part.cents for part in parts), parts=parts)
