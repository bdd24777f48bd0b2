"""The company: its loads and everything that follows from them, at its own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar, cast

from airflow_provider_alvys.simulator.company.added import EXTRA, AddedRows
from airflow_provider_alvys.simulator.company.choices import NOBODY, Choices, Rows
from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.plans.billing import Invoice, bill, complete
from airflow_provider_alvys.simulator.company.plans.load import Leg, Load
from airflow_provider_alvys.simulator.company.plans.pay_days import add_pay_days
from airflow_provider_alvys.simulator.company.plans.planning import plan_load
from airflow_provider_alvys.simulator.company.plans.scenarios import (
    ACCEPTED,
    CARRIER,
    first_trip,
    load_of_trip,
    summary_of,
    tender_outcome,
)
from airflow_provider_alvys.simulator.company.world import crew, parties
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.data.times import DAY
from airflow_provider_alvys.simulator.options import Options

Part = TypeVar("Part")


class Company:
    """
    The company at its time, which only :meth:`advance` moves.

    :param rows: returns the row set of a stream, for the ids and names of customers, drivers and so on.
    :param loads: number of loads at the start.
    :param data_end: the time of the start, in microseconds since 1970.
    :param is_main: whether the stream of loads has these loads.
    """

    def __init__(
        self,
        options: Options,
        rows: Callable[[str], Rows],
        loads: int,
        data_end: int,
        *,
        is_main: bool = True,
    ) -> None:
        self.salt = hash((options.seed, 20_26))
        self.now = data_end
        self.load_count = loads
        # Added loads have no tender.
        self._tenders = options.rows.get("tenders", EXTRA)
        self.is_main = is_main
        self._rows = rows
        self.begun_at = data_end - int(options.days * DAY)
        self._interval = options.days * DAY / max(1, loads)
        self._loads: dict[int, Load] = {}
        self._plans: dict[int, Load] = {}
        self._planned = 0
        self._invoices: dict[int, list[Invoice]] = {}
        self.added = AddedRows()
        self._invoice_numbers: dict[int, list[int]] = {}
        self._indexed = 0
        # When the further story of loads ended, because somebody else changed them.
        self._frozen: dict[int, int] = {}
        self._parties = Choices(self.salt, rows)
        self._parts: dict[Callable[[Company], Any], Any] = {}
        self._all_invoices = GrowingList(self._invoices_between)

    # ---- time

    def created_at(self, number: int) -> int:
        """Return when a load is created."""
        if number in self.added.times:
            return self.added.times[number]
        share = (hash((self.salt, number, 1)) & 0xFFFFFF) / 0x1000000
        return self.begun_at + int((number + share) * self._interval)

    def time_of(self, number: int) -> int:
        """Return the time at which a load stands: now, or when somebody else changed it."""
        return self.limited(number, max(self.now, self.added.times.get(number, self.now)))

    def limited(self, number: int, at: int) -> int:
        """Return a time, or when somebody else changed a load if that was earlier."""
        return min(at, self._frozen.get(number, at))

    def advance(self, now: int) -> None:
        """Move the time forward; new loads come."""
        self.now = now
        while self.created_at(self.load_count) <= now:
            self.load_count += 1

    def freeze(self, number: int) -> None:
        """End the further story of a load, and of the loads that share its invoice."""
        for other in (number,) if self.is_extra(number) else summary_of(number):
            self._frozen.setdefault(other, self.time_of(other))

    def is_extra(self, number: int) -> bool:
        """Return whether a row was added, and belongs to no load of the company."""
        return number >= EXTRA

    def add_extra(self, number: int, at: int) -> None:
        """Remember when an added row begins."""
        self.added.times[number] = at

    def leg_of(self, trip: int) -> tuple[int, int]:
        """Return the load that plans a trip, and the position of the trip in it."""
        return self.added.leg_of(trip) if self.is_extra(trip) else load_of_trip(trip)

    def load_of(self, trip: int) -> int:
        """Return the load of a trip."""
        return self.added.load_of(trip) if self.is_extra(trip) else load_of_trip(trip)[0]

    def add_invoice(self, number: int, invoice: Invoice) -> None:
        """Remember an added invoice of a load."""
        self.added.invoices[number] = invoice
        self.add_extra(number, invoice.created_at)
        for load in invoice.loads:
            self._invoice_numbers.setdefault(load, []).append(number)

    def invoice_numbers(self, load: int) -> Sequence[int]:
        """Return the rows of a load's invoices."""
        for number in range(self._indexed, len(self.invoices)):
            for other in self.invoices[number].loads:
                self._invoice_numbers.setdefault(other, []).append(number)
        self._indexed = len(self.invoices)
        return self._invoice_numbers.get(load, ())

    # ---- loads, trips and invoices

    @property
    def trip_count(self) -> int:
        """How many trips the loads have."""
        return first_trip(self.load_count)

    def load(self, number: int) -> Load:
        """Return a load with all that will happen to it."""
        if number not in self._loads:
            group = (number,) if self.is_extra(number) else summary_of(number)
            loads = [self._plan(other) for other in group]
            self._invoices[loads[0].number] = bill(loads, self.salt)
            for load in loads:
                add_pay_days(load, self.salt)
                complete(load)
                self._loads[load.number] = load
                self._plans.pop(load.number, None)
        return self._loads[number]

    def _plan(self, number: int) -> Load:
        if self.is_extra(number):
            return plan_load(self._parties, number, self.created_at(number), is_booked=False)
        # One after the other: who hauls a load depends on who is free.
        for other in range(self._planned, number + 1):
            self._plans[other] = plan_load(self._parties, other, self.created_at(other), is_booked=True)
        self._planned = max(self._planned, number + 1)
        return self._plans[number]

    def invoices_of(self, load: Load) -> list[Invoice]:
        """Return all invoices that a load will have."""
        first = load.number if self.is_extra(load.number) else summary_of(load.number)[0]
        self.load(first)
        return self._invoices[first]

    @property
    def invoices(self) -> list[Invoice]:
        """The invoices until now, oldest first."""
        return self._all_invoices.until(self.now)

    def _invoices_between(self, since: int, until: int) -> list[Invoice]:
        found = []
        for number in range(self.load_count):
            if summary_of(number)[0] == number:
                self.load(number)
                end = self.limited(number, until)
                found += [invoice for invoice in self._invoices[number] if since < invoice.created_at <= end]
        return sorted(found, key=lambda invoice: (invoice.created_at, invoice.load))

    def last_sent(self, load: Load, at: int) -> int | None:
        """Return when an invoice of a load was sent last, or None."""
        sent = [invoice.sent_at for invoice in self.invoices_of(load) if invoice.sent_at <= at]
        return max(sent, default=None)

    def part(self, make: Callable[[Company], Part]) -> Part:
        """Return what a function makes of the company, made on first use."""
        if make not in self._parts:
            self._parts[make] = make(self)
        return cast("Part", self._parts[make])

    def legs(self) -> Iterator[tuple[Load, int]]:
        """Yield each trip as its load and its position in it, in the order of trips."""
        for trip in range(self.trip_count):
            number, position = load_of_trip(trip)
            yield self.load(number), position

    # ---- names

    def name_of(self, stream: str, column: str, number: int) -> Any:
        """Return a field of another stream's row."""
        rows, is_unknown = self._rows(stream), self.is_extra(number) and number not in self.added.loads
        # Rows of this company have its numbers, also those that come later.
        if rows.company is not self or is_unknown:
            number %= rows.count or NOBODY
        return rows.column(column)[number]

    @cached_property
    def _dispatchers(self) -> Sequence[int]:
        return crew.users_with("Dispatcher", self._rows("users").count or NOBODY)

    def dispatcher(self, number: int) -> int:
        """Return the number of one of the dispatchers."""
        return self._dispatchers[number % len(self._dispatchers)]

    def user_id(self, role: str, number: int) -> str | None:
        """Return the id of one of the users with a role, or None without users."""
        users = crew.users_with(role, self._rows("users").count)
        return str(self.name_of("users", "Id", users[number % len(users)])) if users else None

    def load_number(self, number: int) -> str | None:
        """Return the number that the load of a tender shows, or None if it is not among the rows."""
        rows = self._rows("loads")
        return str(rows.column("LoadNumber")[number]) if self.is_main or number < rows.count else None

    def tender_id(self, number: int) -> str | None:
        """Return the id of the tender that became a load, or None."""
        if tender_outcome(number) != ACCEPTED or number >= self._tenders:
            return None
        return str(self._rows("tenders").column("Id")[number])

    def own_carrier(self, hauler: str) -> Any:
        """Return the id of a legal entity, which Alvys has among the carriers."""
        return self.name_of("carriers", "Id", SUBSIDIARIES.index(self.subsidiary(hauler)))

    def with_other_hauler(self, load: Load, leg: Leg, hauler: str) -> Leg:
        """Return a trip with a carrier instead of an own crew, or the other way round."""
        if hauler == CARRIER:
            carrier, _ = self._parties.pick_carrier((load.number * 37 % 100) / 100)
            value = sum(load.price(load.created_at)) // len(load.legs)
            leg = replace(leg, hauler=hauler, carrier=carrier, cost=value * 85 // 100, advances=[])
            return replace(leg, driver=None, second_driver=None, truck=None, trailer=None)
        driver, second, truck, trailer = self._parties.pick_crew(hauler, load.number, load.equipment, None)
        leg = replace(leg, hauler=hauler, carrier=None, advances=[])
        return replace(leg, driver=driver, second_driver=second, truck=truck, trailer=trailer)

    def email_of(self, number: int) -> str:
        """Return the e-mail address of one of the dispatchers."""
        return crew.user(self.salt, self.dispatcher(number)).email

    def customer(self, number: int) -> parties.Customer:
        """Return a customer."""
        return parties.customer(self.salt, number)

    def street_of(self, location: int) -> str:
        """Return the street of a location."""
        return parties.location(self.salt, location).street

    def driver(self, number: int) -> crew.Driver:
        """Return a driver."""
        return crew.driver(self.salt, number)

    def pay_policy(self, number: int) -> Mapping[str, Any]:
        """Return a driver's pay policy as trips have it."""
        pay = self.driver(number).pay
        if pay.share:
            return {"Kind": pay.kind, "Rate": pay.share / 100}
        return {"Kind": pay.kind, "Rate": pay.loaded_rate / 1000, "EmptyRate": pay.empty_rate / 1000}

    def subsidiary(self, hauler: str) -> parties.Subsidiary:
        """Return the legal entity under which a trip is hauled."""
        return SUBSIDIARIES[hauler == CARRIER]

    def issuer(self, load: Load) -> parties.Subsidiary:
        """Return the legal entity that invoices a load: that of its first trip."""
        return self.subsidiary(load.legs[0].hauler)

    def invoice_as(self, load: Load) -> str:
        """Return the name of the legal entity that invoices a load."""
        return self.issuer(load).name
