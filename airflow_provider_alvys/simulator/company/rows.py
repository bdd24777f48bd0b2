"""The row sets whose records the company decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from airflow_provider_alvys.simulator.company.company import EXTRA, Company
from airflow_provider_alvys.simulator.company.invoices import InvoiceFacts
from airflow_provider_alvys.simulator.company.loads import LoadFacts
from airflow_provider_alvys.simulator.company.masters import MASTER_FACTS
from airflow_provider_alvys.simulator.company.settlement.carrier_statements import CarrierStatementFacts
from airflow_provider_alvys.simulator.company.settlement.deductions import DeductionFacts
from airflow_provider_alvys.simulator.company.settlement.driver_statements import DriverStatementFacts
from airflow_provider_alvys.simulator.company.settlement.fuel import FuelFacts
from airflow_provider_alvys.simulator.company.settlement.tolls import TollFacts
from airflow_provider_alvys.simulator.company.tenders import TenderFacts
from airflow_provider_alvys.simulator.company.texts import utc_text
from airflow_provider_alvys.simulator.company.trips import TripFacts
from airflow_provider_alvys.simulator.data.facts import Facts
from airflow_provider_alvys.simulator.data.row_set import RowSet, Snapshots
from airflow_provider_alvys.simulator.data.row_set_spec import RowSetSpec
from airflow_provider_alvys.simulator.data.sample_values import STAGES
from airflow_provider_alvys.simulator.data.times import rule_of
from airflow_provider_alvys.simulator.options import Options

# Added rows of each stream have a range of numbers.
_EXTRA_ROWS = 1_000_000
# Columns that say who changed a row and when, but not what.
_STAMPS = frozenset({"UpdatedAt", "UpdatedBy", "Etag"})
# A company with rows of one stream has this many more loads at each try, until there are enough rows.
_GROWTH = 2
# If that gives hardly more rows, it needs more time.
_GROWTH_OF_ROWS = 1.1


class CountedFacts(Facts, Protocol):
    """Facts about a stream that grows with time."""

    def count(self) -> int:
        """Return how many rows there are now."""

    def started_at(self, number: int) -> int:
        """Return when a row started."""

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that existed at a time and changed until another one."""

    def removed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that were removed after a time, until another one."""

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the loads whose further story ends if somebody else changes a row."""


# The streams that follow from the loads, each with the facts about its rows.
FACTS: Mapping[str, Callable[[Company], CountedFacts]] = {
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
        self.facts: CountedFacts = FACTS[spec.name](company)
        self._count = count
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

    def add(self, at: int, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row that belongs to no load of the company."""
        window = self.spec.start_window
        begins = self._parse_value(window.column, columns.get(window.column)) if window else None
        self.company.add_extra(self._next, at if begins is None else int(begins))
        return super().add(at, columns, parent)

    def update(self, numbers: Iterable[int], now: int, columns: Mapping[str, Any]) -> None:
        """Change rows at a time. Their loads have no further story if more than their stamps change."""
        numbers = list(numbers)
        if not columns.keys() <= _STAMPS:
            for number in numbers:
                for load in self.facts.loads_of(number):
                    self.company.freeze(load)
        super().update(numbers, now, columns)

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

    def value_after(self, number: int, name: str, value: Any) -> Any:
        """Return a value of the facts, which ends where somebody else set the row's status."""
        changes = self._changes.get(number)
        if value is None or changes is None or changes.keys().isdisjoint(self._stage_columns):
            return value
        stage = self.lifecycle(number).stage
        if name == "Stops":
            times = (changes.get("PickedUpAt"), changes.get("DeliveredAt"))
            return stops_in_stage(value, stage, *times)
        return value if rule_of(name).is_reached(stage) else None


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
    if wanted is None or spec.name == "loads":
        return CompanyRows(spec, row_set_of, options, data_end, company, wanted)
    loads, days, before = max(1, wanted), options.days, -1
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


def stops_in_stage(
    stops: list[dict[str, Any]], stage: int, picked_up_at: int | None, delivered_at: int | None
) -> list[dict[str, Any]]:
    """Return stops with the arrivals and departures that a stage implies, and no others."""
    shown = []
    for position, stop in enumerate(stops):
        needed = STAGES["delivered"] if position == len(stops) - 1 else STAGES["in transit"]
        at = delivered_at if position else picked_up_at
        if stage < needed:
            stop = {name: value for name, value in stop.items() if name not in ("ArrivedAt", "DepartedAt")}
            stop["Status"] = "Open"
        elif at is not None and "DepartedAt" not in stop:
            stop = {**stop, "Status": "Departed", "ArrivedAt": stop.get("ArrivedAt", utc_text(at))}
            stop["DepartedAt"] = utc_text(at)
        shown.append(stop)
    return shown
