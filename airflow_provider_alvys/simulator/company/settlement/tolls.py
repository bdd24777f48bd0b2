"""Tolls of the company's trucks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.money import money
from airflow_provider_alvys.simulator.company.plans.scenarios import OWNER_OPERATOR
from airflow_provider_alvys.simulator.company.settlement.facts import ItemFacts, ItemView, OwnTrip, own_trips
from airflow_provider_alvys.simulator.company.settlement.way import passing
from airflow_provider_alvys.simulator.company.texts import text_id
from airflow_provider_alvys.simulator.company.world.names import bits_of
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES, currency_of
from airflow_provider_alvys.simulator.company.world.places import PLACES
from airflow_provider_alvys.simulator.data.times import DAY, HOUR, SECOND

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

_MINUTE = 60 * SECOND
_MILES_BETWEEN_PLAZAS = 250
# The agencies of states with toll roads.
_AGENCIES: Mapping[str, str] = {
    **dict.fromkeys(("IN", "MA", "MD", "NJ", "NY", "OH", "PA", "VA", "KY"), "E-ZPass"),
    "TX": "TxTag",
    "IL": "Illinois Tollway",
    "FL": "SunPass",
    "GA": "Peach Pass",
    "NC": "NC Quick Pass",
    "SC": "Palmetto Pass",
    "LA": "GeauxPass",
    "OK": "PIKEPASS",
    "KS": "K-TAG",
    "CA": "FasTrak",
    "CO": "ExpressToll",
    "WA": "Good To Go!",
    "ON": "407 ETR",
    "BC": "TReO",
}
# A prepaid account is filled up when it falls below the minimum.
_MINIMUM, _REPLENISHMENT = 10_000, 50_000


class Toll(NamedTuple):
    """
    A toll on a trip.

    :param created_at: when it is posted to the account.
    :param truck: number of the truck; ``owner`` that of the owner-operator.
    :param key: a number that no other toll has.
    :param balance: of the account with the agency afterwards, in cents.
    """

    created_at: int
    truck: int
    owner: int | None
    key: int
    place: int
    entered_at: int
    left_at: int
    cents: int
    fee: int
    balance: int = 0

    @property
    def gone_at(self) -> None:
        """Tolls stay."""

    @property
    def currency(self) -> int:
        """The number of the currency of its place."""
        return currency_of(PLACES[self.place])

    @property
    def agency(self) -> str:
        """Who runs the road."""
        return _AGENCIES[PLACES[self.place].state]


class TollAccounts:
    """The prepaid accounts with the agencies, and the tolls that they pay."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._balances = dict.fromkeys(_AGENCIES.values(), _REPLENISHMENT)
        self._tolls = GrowingList(self._between)

    @property
    def tolls(self) -> Sequence[Toll]:
        """The tolls until now, in the order in which they were posted."""
        return self._tolls.until(self._company.now)

    def _between(self, since: int, until: int) -> Iterator[Toll]:
        found = [
            toll
            for trip in own_trips(self._company, since, until)
            if trip.leg.delivered_at is not None
            for toll in _tolls_on(self._company.salt, trip)
            if since < toll.created_at <= until and toll.left_at <= trip.end
        ]
        for toll in sorted(found, key=lambda toll: (toll.created_at, toll.key)):
            balance = self._balances[toll.agency] - toll.cents - toll.fee
            yield toll._replace(balance=balance)
            self._balances[toll.agency] = balance + (_REPLENISHMENT if balance < _MINIMUM else 0)


def _tolls_on(salt: int, trip: OwnTrip) -> Iterator[Toll]:
    leg = trip.leg
    points, half = passing(trip.load, leg, 1 + leg.loaded // 100 // _MILES_BETWEEN_PLAZAS)
    for turn, (at, place) in enumerate(points):
        bits = bits_of(salt, trip.key, 240 + turn)
        if PLACES[place].state in _AGENCIES and bits % 100 < 55:
            stay = min(half - _MINUTE, (12 + bits // 128 % 50) * _MINUTE)
            left_at = at + max(_MINUTE, stay)
            yield Toll(
                created_at=left_at + (20 + bits // 512 % 80) * HOUR,
                truck=leg.truck or 0,
                owner=leg.driver if leg.hauler == OWNER_OPERATOR else None,
                key=trip.key * 64 + turn,
                place=place,
                entered_at=at,
                left_at=left_at,
                cents=320 + bits // 4096 % 2_900,
                fee=25 if bits % 11 == 0 else 0,
            )


def _plaza(view: ItemView[Toll], end: int) -> tuple[str, str, str]:
    """Return the id, the name and the lane of the plaza where a road is entered or left."""
    bits = bits_of(view.company.salt, view.item.key, 241 + end)
    city, number = PLACES[view.item.place].city, 10 + bits % 80
    direction = ("North", "East", "South", "West")[(view.item.place + end) % 4]
    name = f"{city} {direction} {'Exit' if end else 'Mainline'} {number}"
    return str(number), name, f"{1 + bits // 128 % 9:02d}"


def _truck(view: ItemView[Toll], column: str) -> Any:
    return view.company.name_of("trucks", column, view.item.truck)


def _place(view: ItemView[Toll]) -> str:
    place = PLACES[view.item.place]
    return f"{place.city}, {place.state}: {_plaza(view, 0)[1]} to {_plaza(view, 1)[1]}"


class TollFacts(ItemFacts[Toll]):
    """The records of tolls."""

    makers: ClassVar[Any] = {
        "TransactionId": lambda view: str(text_id(view.company.salt, view.item.key, 242)[:16]),
        "TransactionDate": lambda view: view.item.left_at,
        "PostedAt": lambda view: view.item.created_at,
        "SubsidiaryId": lambda view: SUBSIDIARIES[0].id,
        "TransponderId": lambda view: f"0022{bits_of(view.company.salt, view.item.truck, 243) % 10**8:08d}",
        "Source": lambda view: "Bestpass",
        "Agency": lambda view: view.item.agency,
        "UnitId": lambda view: _truck(view, "Id"),
        "UnitNumber": lambda view: _truck(view, "TruckNum"),
        "LicenseState": lambda view: _truck(view, "LicenseState"),
        "LicensePlate": lambda view: _truck(view, "LicenseNum"),
        "PrePaid": lambda view: True,
        "Service": lambda view: "Toll",
        "CostCenter": lambda view: "Owner-operators" if view.item.owner is not None else "Company trucks",
        "EntryLane": lambda view: _plaza(view, 0)[2],
        "EntryPlazaId": lambda view: _plaza(view, 0)[0],
        "EntryPlazaName": lambda view: _plaza(view, 0)[1],
        "EntryTime": lambda view: view.item.entered_at,
        "ExitLane": lambda view: _plaza(view, 1)[2],
        "ExitPlazaId": lambda view: _plaza(view, 1)[0],
        "ExitPlazaName": lambda view: _plaza(view, 1)[1],
        "ExitTime": lambda view: view.item.left_at,
        "FormattedLocation": _place,
        "Amount": lambda view: money(view.item.cents, view.item.currency),
        "Fee": lambda view: money(view.item.fee, view.item.currency),
        "RunningBalance": lambda view: money(view.item.balance, view.item.currency),
    }

    def _items(self) -> Sequence[Toll]:
        return self._company.part(TollAccounts).tolls

    def record(self, number: int) -> Mapping[str, Any]:
        """Return all fields of a toll; one that somebody adds has no known balance."""
        fields = super().record(number)
        return {**fields, "RunningBalance": None} if self._company.is_extra(number) else fields

    def _added(self, number: int, at: int) -> Toll:
        place = next(place for place, found in enumerate(PLACES) if found.state in _AGENCIES)
        return Toll(at + DAY, number, None, -number, place, at - HOUR // 2, at, 1_250, 0)
