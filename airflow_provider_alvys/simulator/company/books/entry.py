"""The records that one change affects, and their new values until they are saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_alvys.simulator.company.money import cents_of, money
from airflow_provider_alvys.simulator.company.plans.billing import Invoice
from airflow_provider_alvys.simulator.company.plans.scenarios import first_trip
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE, RowSetSpec

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company


class LoadNames(Protocol):
    """The part of a stream's facts that an entry uses."""

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the loads that a row belongs to."""


class BookedRows(Protocol):
    """The part of a row set that an entry uses."""

    spec: RowSetSpec
    salt: int
    company: Company

    @property
    def facts(self) -> LoadNames:
        """What the company knows about the rows."""

    def column(self, path: str) -> Mapping[int, Any]:
        """Return a column."""

    def has(self, number: int) -> bool:
        """Return whether a row exists."""

    def numbers(self) -> list[int]:
        """Return the numbers of all rows."""

    def sibling(self, stream: str) -> BookedRows | None:
        """Return the rows of another stream, if they follow from the same loads."""

    def add_invoice(self, invoice: Invoice, at: int) -> int:
        """Add an invoice of a load."""

    def put(self, number: int, now: int, columns: Mapping[str, Any]) -> None:
        """Change a row, and nothing that follows from it."""

    def take_out(self, numbers: Iterable[int], now: int) -> None:
        """Remove rows, and nothing that follows from it."""


class Paper:
    """
    A record with new values.

    :param named: the fields that the caller sets. They stay as they are.
    """

    def __init__(self, rows: BookedRows, number: int, named: Mapping[str, Any]) -> None:
        self.rows = rows
        self.number = number
        self.named = named.keys()
        self.edits: dict[str, Any] = {}
        self._named_values = dict(named)

    def before(self, name: str) -> Any:
        """Return a field as it was."""
        return self.rows.column(name)[self.number]

    def get(self, name: str) -> Any:
        """Return a field."""
        if name in self._named_values:
            return self._named_values[name]
        return self.edits[name] if name in self.edits else self.before(name)

    def set(self, name: str, value: Any) -> None:
        """Set a field, unless the caller has set it."""
        if name in self.named:
            return
        if value == self.before(name):
            self.edits.pop(name, None)
        else:
            self.edits[name] = value

    def keep(self, name: str) -> None:
        """Keep a field that otherwise changes with another record."""
        self.edits[name] = self.before(name)

    def complete(self, name: str, value: Any) -> None:
        """Set a field that the caller has set, with more parts than the caller gives."""
        self._named_values[name] = self.edits[name] = value

    def cents(self, name: str) -> int:
        """Return an amount in cents; 0 if it is missing."""
        return cents_of(self.get(name))

    def set_cents(self, name: str, cents: int) -> None:
        """Set an amount, unless it is the same."""
        if cents != self.cents(name) or self.get(name) is None:
            self.set(name, money(cents, self.currency))

    @property
    def currency(self) -> int | str:
        """The currency of the record, in the form that the record has."""
        for name in ("CustomerRate", "TripValue", "Total"):
            value = self.before(name) if self.rows.spec.type_of(name) else None
            if value and value.get("Currency") is not None:
                return value["Currency"]  # type: ignore[no-any-return]
        return self.rows.company.load(self.rows.facts.loads_of(self.number)[0]).currency

    @property
    def is_alive(self) -> bool:
        """Whether the record is not deleted."""
        return not (self.rows.spec.type_of(TOMBSTONE) and self.get(TOMBSTONE))


class Entry:
    """
    One change and all that follows from it.

    :param rows: the rows of the stream that the caller changes.
    :param named: the fields that the caller sets on them.
    :param at: time of the change.
    """

    def __init__(self, rows: BookedRows, number: int, named: Mapping[str, Any], at: int) -> None:
        self.at = at
        self.company = rows.company
        self._sets = {name: other for name in _STREAMS if (other := rows.sibling(name)) is not None}
        self.own = Paper(rows, number, named)
        self._papers = {(rows.spec.name, number): self.own}
        self._removed: list[Paper] = []

    def paper(self, stream: str, number: int) -> Paper | None:
        """Return a record, or None if it is not there."""
        rows = self._sets.get(stream)
        if rows is None or not rows.has(number):
            return None
        key = (stream, number)
        if key not in self._papers:
            self._papers[key] = Paper(rows, number, {})
        found = self._papers[key]
        return None if found in self._removed else found

    def load(self, number: int) -> Paper | None:
        """Return a load."""
        return self.paper("loads", number)

    def trips_of(self, load: int, *, with_deleted: bool = False) -> list[Paper]:
        """Return a load's trips, in their order."""
        numbers = self.company.added.trips_of(load)
        if not self.company.is_extra(load):
            numbers = [*range(first_trip(load), first_trip(load + 1)), *numbers]
        papers = [self.paper("trips", number) for number in numbers]
        return [paper for paper in papers if paper and (with_deleted or paper.is_alive)]

    def invoices_of(self, load: int) -> list[Paper]:
        """Return a load's invoices, oldest first."""
        papers = [self.paper("invoices", number) for number in self.company.invoice_numbers(load)]
        return [paper for paper in papers if paper]

    def tender_of(self, load: int) -> Paper | None:
        """Return the tender that became a load."""
        return self.paper("tenders", load) if self.company.tender_id(load) else None

    def loads_of(self, paper: Paper) -> Iterator[Paper]:
        """Yield the loads of a trip or an invoice."""
        for number in paper.rows.facts.loads_of(paper.number):
            if load := self.load(number):
                yield load

    def issue(self, invoice: Invoice) -> Paper | None:
        """Add an invoice, and return it."""
        rows = self._sets.get("invoices")
        if rows is None:
            return None
        return self.paper("invoices", rows.add_invoice(invoice, self.at))

    @property
    def can_invoice(self) -> bool:
        """Whether the simulator's invoices are those of its loads."""
        return "invoices" in self._sets

    def rows_of(self, stream: str) -> BookedRows | None:
        """Return another stream's rows, if they follow from the same loads."""
        return self.own.rows.sibling(stream)

    def papers(self, stream: str) -> list[Paper]:
        """Return the records of a stream that the entry has read."""
        return [paper for (name, _), paper in self._papers.items() if name == stream]

    def is_removed(self, paper: Paper) -> bool:
        """Return whether a record is to be removed."""
        return paper in self._removed

    def remove(self, paper: Paper) -> None:
        """Remove a record when the entry is saved."""
        if paper not in self._removed:
            self._removed.append(paper)

    def save(self, stamps: Mapping[str, Any]) -> None:
        """Save all records but the one that the caller changes."""
        for paper in list(self._papers.values()):
            if paper in self._removed or paper is self.own or not paper.edits:
                continue
            known = {name: value for name, value in stamps.items() if paper.rows.spec.type_of(name)}
            paper.rows.put(paper.number, self.at, {**known, **paper.edits})
        for paper in self._removed:
            if paper is not self.own:
                paper.rows.take_out([paper.number], self.at)


_STREAMS = ("loads", "trips", "invoices", "tenders")
