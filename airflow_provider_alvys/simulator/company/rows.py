"""The row sets whose records the company decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from airflow_provider_alvys.simulator.company.added import EXTRA
from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.books.entry import Entry
from airflow_provider_alvys.simulator.company.books.rules import RULES, follow, withdraw
from airflow_provider_alvys.simulator.company.company import Company
from airflow_provider_alvys.simulator.company.facts.invoices import InvoiceFacts
from airflow_provider_alvys.simulator.company.facts.loads import LoadFacts
from airflow_provider_alvys.simulator.company.facts.tenders import TenderFacts
from airflow_provider_alvys.simulator.company.facts.trips import TripFacts
from airflow_provider_alvys.simulator.company.masters import MASTER_FACTS
from airflow_provider_alvys.simulator.company.plans.billing import Invoice
from airflow_provider_alvys.simulator.company.settlement.carrier_statements import CarrierStatementFacts
from airflow_provider_alvys.simulator.company.settlement.deductions import DeductionFacts
from airflow_provider_alvys.simulator.company.settlement.driver_statements import DriverStatementFacts
from airflow_provider_alvys.simulator.company.settlement.fuel import FuelFacts
from airflow_provider_alvys.simulator.company.settlement.tolls import TollFacts
from airflow_provider_alvys.simulator.data.row_set import RowSet, Snapshots
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE, RowSetSpec
from airflow_provider_alvys.simulator.options import Options

# Added rows of each stream have a range of numbers.
_EXTRA_ROWS = 1_000_000
# Columns that say who changed a row and when, but not what.
_STAMPS = frozenset({"UpdatedAt", "UpdatedBy", "Etag"})
# A company with rows of one stream has this many more loads at each try, until there are enough rows.
_GROWTH = 2
# Of a company with rows of one stream: fewer may give none at all.
_FEWEST_LOADS = 100
# If that gives hardly more rows, it needs more time.
_GROWTH_OF_ROWS = 1.1


# The streams that follow from the loads, each with the facts about its rows.
FACTS: Mapping[str, type[GrowingFacts]] = {
    "loads": LoadFacts,
    "trips": TripFacts,
    "invoices": InvoiceFacts,
    "tenders": TenderFacts,
    "carrier_settlement_statements": CarrierStatementFacts,
    "driver_settlement_statements": DriverStatementFacts,
    "deductions": DeductionFacts,
    "fuel": FuelFacts,
    "tolls": TollFacts,
}


class CompanyRows(RowSet):
    """The rows of a stream that follows from the company's loads."""

    company: Company
    facts: GrowingFacts

    def __init__(
        self,
        spec: RowSetSpec,
        row_set_of: Callable[[str], RowSet],
        options: Options,
        data_end: int,
        company: Company,
        count: int | None,
    ) -> None:
        self.company = company
        self.facts = FACTS[spec.name](company)
        self._count = count
        self._has_rules = spec.name in RULES
        self._taken_out: frozenset[int] = frozenset()
        super().__init__(spec, row_set_of, options, data_end)
        # Of the company, also those that the option ``rows`` leaves out.
        self._counted = self.facts.count()
        self._noticed = company.now
        gone = frozenset(self.facts.removed_between(0, company.now))
        if gone:
            self._numbers = [number for number in range(self._counted) if number not in gone][: self.count]
        self._next = EXTRA + list(FACTS).index(spec.name) * _EXTRA_ROWS

    def _initial_count(self) -> int:
        return self.facts.count() if self._count is None else self._count

    def started_at(self, number: int) -> int:
        """Return when a row started."""
        return self.facts.started_at(number)

    def sibling(self, stream: str) -> CompanyRows | None:
        """Return the rows of another stream, if they follow from the same loads."""
        rows = self if stream == self.spec.name else self.row_set_of(stream)
        return rows if isinstance(rows, CompanyRows) and rows.company is self.company else None

    def has(self, number: int) -> bool:
        """Return whether a row exists."""
        return number not in self._taken_out if self._has_rules else super().has(number)

    def _drop(self, removed: frozenset[int]) -> None:
        self._taken_out |= removed
        super()._drop(removed)

    def _times_of_status(self, values: Mapping[str, Any]) -> list[str]:
        """Return the times that a change of these columns may set: none where rules set them."""
        return [] if self._has_rules else super()._times_of_status(values)

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row. A load gets its trips; a trip or an invoice earns nothing for the load that it names."""
        facts, window, number = self.facts, self.spec.start_window, self._next
        begins = self._parse_value(window.column, columns.get(window.column)) if window else None
        self.company.add_extra(number, at if begins is None else int(begins))
        trips = self.sibling(facts.parts) if facts.parts else None
        if trips:
            self.company.added.loads.add(number)
        elif facts.part_of and self.company.is_main and "LoadNumber" not in columns:
            columns = {**self._some_load(facts.part_of, number), **columns}
        self.company.freeze(number)
        super().add(at, columns, parent)
        for position in range(len(self.company.load(number).legs) if trips else 0):
            # A reader who asks for what changed since the last time must find them.
            trips.add_leg(number, position, at, self._added_at(number, at))  # type: ignore[union-attr]
        if self._has_rules:
            self._follow(number, at, columns, is_new=True)
        return number

    def _some_load(self, stream: str, trip: int) -> Mapping[str, Any]:
        """Return the numbers of a load that is not deleted, for an added trip."""
        loads, company = self.row_set_of(stream), self.company
        is_deleted = loads.column(TOMBSTONE)
        for number in range(trip, trip + loads.count):
            load = number % loads.count
            is_fit = company.load(load).currency == company.load(trip).currency
            if loads.has(load) and not is_deleted[load] and is_fit:
                company.added.add_trip(trip, load, None)
                return {name: loads.column(name)[load] for name in ("LoadNumber", "OrderNumber")}
        return {}

    def _added_at(self, number: int, at: int) -> int:
        """Return when a row was added, which may begin earlier."""
        stamp = self.spec.updated_column
        updated_at = self.column(stamp)[number] if stamp else None
        return max(at, updated_at or at)

    def add_leg(self, load: int, position: int, at: int, stamp: int) -> None:
        """Add a planned trip of an added load; ``stamp`` is the time of the addition."""
        self.company.added.add_trip(self._next, load, position)
        super().add(at, {self.spec.updated_column: stamp} if self.spec.updated_column else {})

    def add_invoice(self, invoice: Invoice, at: int) -> int:
        """Add an invoice of a load."""
        self.company.add_invoice(self._next, invoice)
        return super().add(at, {})

    def update(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows at a time, and what follows from it. Their loads have no further story."""
        numbers = list(numbers)
        if columns.keys() <= _STAMPS or not self._has_rules:
            super().update(numbers, now, columns)
            return
        for number in numbers:
            self._follow(number, now, columns)

    def _follow(self, number: int, now: int, columns: Mapping[str, Any], *, is_new: bool = False) -> None:
        for load in self.facts.loads_of(number):
            self.company.freeze(load)
        named = {name: self._parse_value(name, value) for name, value in columns.items()}
        entry = Entry(self, number, named, now)
        follow(entry)
        if not is_new:
            super().update([number], now, {**columns, **entry.own.edits})
        elif entry.own.edits:
            super().update([number], now, {**entry.own.edits, **_stamps(columns, self)})
        entry.save({name: columns[name] for name in _STAMPS - {"Etag"} if name in columns})

    def put(self, number: int, now: int, columns: Mapping[str, Any]) -> None:
        """Change a row, and nothing that follows from it."""
        super().update([number], now, columns)

    def remove(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows without a trace, and the rows that would refer to nothing."""
        if not self._has_rules:
            super().remove(numbers, now)
            return
        for number in list(numbers):
            if self.has(number):
                for load in self.facts.loads_of(number):
                    self.company.freeze(load)
                entry = Entry(self, number, {}, now)
                withdraw(entry)
                super().remove([number], now)
                entry.save({})

    def changes_until(self, at: int) -> Snapshots:
        """Return what listeners need of the rows that change until a time."""
        known = frozenset(self._numbers)
        changed = self.facts.changed_between(self.company.now, at)
        return self._snapshot([number for number in changed if number in known])

    def advance(self, snapshots: Snapshots, begun: int) -> None:
        """
        Take over the company's time.

        :param snapshots: from :meth:`changes_until`, before the company's time moved.
        :param begun: when the clock began to move. What had happened before, unnoticed, is noticed now.
        """
        stamp = self.spec.updated_column
        for number in {number for _, before in snapshots for number in before}:
            if stamp:
                self._changes.get(number, {}).pop(stamp, None)
            self._change(number, {})
            if stamp and (self.column(stamp)[number] or begun + 1) <= begun:
                self._change(number, {stamp: begun + 1})
        added = range(self._counted, self.facts.count())
        self._counted = self.facts.count()
        for number in added:
            if stamp and self.facts.value(number, stamp) <= begun:
                self._change(number, {stamp: begun + 1})
            self._insert(number)
        self._change_count += 1
        self._notify(snapshots)
        self._notify([(listener, dict.fromkeys(added)) for listener, _ in self._snapshot(())])
        known = frozenset(self._numbers)
        gone = self.facts.removed_between(self._noticed, self.company.now)
        self._noticed = self.company.now
        if gone:
            self.remove([number for number in gone if number in known], self.company.now)

    def take_out(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows, and nothing else."""
        super().remove(numbers, now)

    def book(self, number: int, now: int, stamps: Mapping[str, Any], rule: Callable[[Entry], None]) -> None:
        """Change a row, and others with it, as a rule says."""
        for load in self.facts.loads_of(number):
            self.company.freeze(load)
        entry = Entry(self, number, {}, now)
        rule(entry)
        super().update([number], now, {**stamps, **entry.own.edits})
        entry.save(stamps)


def _stamps(columns: Mapping[str, Any], rows: RowSet) -> Mapping[str, Any]:
    name = rows.spec.updated_column
    return {name: columns[name]} if name and name in columns else {}


def company_rows(
    spec: RowSetSpec,
    row_set_of: Callable[[str], RowSet],
    options: Options,
    data_end: int,
    company: Company,
) -> RowSet:
    """
    Return the row set of a stream.

    With a number of rows in the options, its rows are those of a company of their own that has as many loads
    as they need.
    """
    if spec.name not in FACTS:
        rows = RowSet(spec, row_set_of, options, data_end)
        if spec.name in MASTER_FACTS:
            rows.facts = MASTER_FACTS[spec.name](company.salt, rows)
        return rows
    wanted = next((options.rows[stream.name] for stream in spec.streams if stream.name in options.rows), None)
    if wanted is None or FACTS[spec.name].are_loads:
        return CompanyRows(spec, row_set_of, options, data_end, company, wanted)
    loads, days, before = max(_FEWEST_LOADS, wanted), options.days, -1
    while True:
        own = Company(msgspec.structs.replace(options, days=days), row_set_of, loads, data_end, is_main=False)
        facts = FACTS[spec.name](own)
        found = facts.count() - len(facts.removed_between(0, own.now))
        if found >= wanted:
            return CompanyRows(spec, row_set_of, options, data_end, own, wanted)
        # More loads give no more statements of drivers once each driver has one each week.
        if found > before * _GROWTH_OF_ROWS:
            loads *= _GROWTH
        else:
            days *= _GROWTH
        before = found
