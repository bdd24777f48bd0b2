"""What the facts of all streams about pay and costs have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from airflow_provider_alvys.simulator.company.base import GrowingFacts
from airflow_provider_alvys.simulator.company.plans.load import Leg, Load
from airflow_provider_alvys.simulator.company.world.parties import CAD
from airflow_provider_alvys.simulator.data.times import DAY

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

# So long after the last stop, no trip leaves new traces: late charges come within ten days, tolls in four.
_LATEST = 14 * DAY
_CAD_PER_USD = 136


class Item(Protocol):
    """Something that comes to be at a time, and may be removed later."""

    @property
    def created_at(self) -> int:
        """When it comes to be."""

    @property
    def gone_at(self) -> int | None:
        """When it is removed, or None."""


ItemT = TypeVar("ItemT", bound=Item)


@dataclass(frozen=True)
class ItemView(Generic[ItemT]):
    """
    The item of a row at the company's time.

    :param number: of the row.
    """

    company: Company
    item: ItemT
    number: int

    @property
    def at(self) -> int:
        """The company's time, or when an added row begins."""
        return max(self.company.now, self.item.created_at)


class ItemFacts(GrowingFacts, Generic[ItemT]):
    """The records of items; a row's number is the position of its item."""

    @abstractmethod
    def _items(self) -> Sequence[ItemT]:
        """Return all items until now, also those that are removed."""

    @abstractmethod
    def _added(self, number: int, at: int) -> ItemT:
        """Return the item of a row that somebody adds."""

    def _item(self, number: int) -> ItemT:
        company = self._company
        if company.is_extra(number):
            return self._added(number, company.created_at(number))
        return self._items()[number]

    def view(self, number: int) -> ItemView[ItemT]:
        """Return the item of a row at the company's time."""
        return ItemView(self._company, self._item(number), number)

    def count(self) -> int:
        """Return how many rows there are now, with those that are removed."""
        return len(self._items())

    def started_at(self, number: int) -> int:
        """Return when a row came to be."""
        return self._item(number).created_at


class VaryingFacts(ItemFacts[ItemT]):
    """The records of items that change or are removed."""

    def _changes(self, item: ItemT) -> Iterator[int]:
        """Yield the times at which an item changes."""
        yield from ()

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that existed at a time and changed until another one."""
        return [
            number
            for number, item in enumerate(self._items())
            if item.created_at <= since
            and (item.gone_at is None or item.gone_at > until)
            and any(since < at <= until for at in self._changes(item))
        ]

    def removed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that were removed after a time, until another one."""
        return [
            number
            for number, item in enumerate(self._items())
            if item.gone_at is not None and since < item.gone_at <= until
        ]


class OwnTrip(NamedTuple):
    """
    A trip with an own driver.

    :param end: until when things happen to its load.
    """

    load: Load
    position: int
    leg: Leg
    end: int

    @property
    def key(self) -> int:
        """A number that no other trip has."""
        return self.load.number * 8 + self.position

    @property
    def drivers(self) -> list[int]:
        """The numbers of its drivers."""
        return [number for number in (self.leg.driver, self.leg.second_driver) if number is not None]


def own_trips(company: Company, since: int, until: int) -> Iterator[OwnTrip]:
    """Yield the trips with own drivers that may leave traces after a time, until another one."""
    for number in range(company.load_count):
        load = company.load(number)
        if load.created_at > until or load.stops[-1].departed + _LATEST <= since:
            continue
        end = company.limited(number, until)
        for position, leg in enumerate(load.legs):
            if leg.driver is not None and (number, position) not in company.added.unstated:
                yield OwnTrip(load, position, leg, end)


def own_trip(company: Company, load: int, position: int) -> OwnTrip:
    """Return a trip with an own driver."""
    found = company.load(load)
    return OwnTrip(found, position, found.legs[position], company.time_of(load))


def dollars(cents: int, currency: int) -> int:
    """Return an amount in US cents, in which drivers are paid."""
    return (cents * 200 // _CAD_PER_USD + 1) // 2 if currency == CAD else cents
