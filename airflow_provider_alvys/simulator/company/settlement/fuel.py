"""Fuel of the company's trucks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.money import decimal, money
from airflow_provider_alvys.simulator.company.plans.scenarios import OWNER_OPERATOR
from airflow_provider_alvys.simulator.company.settlement.facts import (
    ItemFacts,
    ItemView,
    OwnTrip,
    own_trips,
)
from airflow_provider_alvys.simulator.company.settlement.way import passing
from airflow_provider_alvys.simulator.company.texts import text_id
from airflow_provider_alvys.simulator.company.world.names import bits_of
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES, USD, currency_of
from airflow_provider_alvys.simulator.company.world.places import PLACES, Place
from airflow_provider_alvys.simulator.data.times import DAY, SECOND

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company

DIESEL, DEF = "Diesel", "DEF"
_MILES_BETWEEN_STOPS = 700
_SHORT_MILES = 120
# Cents above or below the usual price of a gallon.
_STATE_CENTS = {"CA": 142, "WA": 71, "NV": 48, "PA": 52, "IL": 38, "NY": 45, "TX": -24, "OK": -21, "MS": -19}
_CHAINS = ("Lone Oak Travel Center", "Roadrunner Truck Plaza", "Big Mesa Fuel Stop", "Cardinal Travel Plaza")
_CAD_PER_GALLON = 590


class Purchase(NamedTuple):
    """
    A purchase of fuel on a trip.

    :param truck: number of the truck; ``driver`` that of the driver, ``owner`` that of the owner-operator.
    :param key: a number that no other purchase has.
    :param gallons: in thousandths.
    :param price: of a gallon, in tenths of a cent.
    """

    created_at: int
    truck: int
    driver: int
    owner: int | None
    key: int
    place: int
    product: str
    gallons: int
    price: int
    fees: int
    discounts: int
    advances: int

    @property
    def gone_at(self) -> None:
        """Purchases stay."""

    @property
    def currency(self) -> int:
        """The number of the currency of its place."""
        return currency_of(PLACES[self.place])

    @property
    def fuel(self) -> int:
        """The price of the fuel in cents: gallons times price, rounded."""
        return (self.gallons * self.price + 5_000) // 10_000

    @property
    def total(self) -> int:
        """What is charged to the card, in cents."""
        return self.fuel + self.fees - self.discounts + self.advances


def purchases(company: Company) -> Sequence[Purchase]:
    """Return the purchases until now, in their order."""
    return company.part(_purchase_list).until(company.now)


def _purchase_list(company: Company) -> GrowingList[Purchase]:
    return GrowingList(partial(_purchases_between, company))


def _purchases_between(company: Company, since: int, until: int) -> list[Purchase]:
    """Return the purchases after a time, until another one, in their order."""
    found = [
        purchase
        for trip in own_trips(company, since, until)
        if trip.leg.delivered_at is not None
        for purchase in _purchases_on(company.salt, trip)
        if since < purchase.created_at <= trip.end
    ]
    return sorted(found, key=lambda purchase: (purchase.created_at, purchase.key))


def _purchases_on(salt: int, trip: OwnTrip) -> list[Purchase]:
    """Return the purchases of a trip: the fuel that it needs, bought where the truck passes."""
    leg, bits = trip.leg, bits_of(salt, trip.key, 201)
    miles = (leg.loaded + leg.empty) // 100
    if miles < _SHORT_MILES and bits % 3:
        return []
    count = 1 + miles // _MILES_BETWEEN_STOPS
    # Six to seven and a half miles on a gallon; in thousandths.
    gallons = (leg.loaded + leg.empty) * 1_000 // (620 + bits // 8 % 120) // count
    found = []
    for turn, (at, place) in enumerate(passing(trip.load, leg, count)[0]):
        found.append(_purchase(salt, trip, turn, at, place, max(12_000, gallons)))
        if (bits >> turn) % 5 == 0:
            additive = found[-1]._replace(
                created_at=at + 240 * SECOND,
                key=found[-1].key + 1,
                product=DEF,
                gallons=max(1_500, gallons // 40),
                price=4_190 if found[-1].currency == USD else 6_290,
                fees=0,
                discounts=0,
                advances=0,
            )
            found.append(additive)
    return found


def _purchase(salt: int, trip: OwnTrip, turn: int, at: int, place: int, gallons: int) -> Purchase:
    leg, bits = trip.leg, bits_of(salt, trip.key, 210 + turn)
    is_own_truck = leg.hauler != OWNER_OPERATOR
    return Purchase(
        created_at=at,
        truck=leg.truck or 0,
        driver=leg.driver or 0,
        owner=None if is_own_truck else leg.driver,
        key=trip.key * 64 + turn * 2,
        place=place,
        product=DIESEL,
        gallons=gallons,
        price=_price(salt, PLACES[place], at),
        # Outside of the network of the card there is a fee, and no discount.
        fees=150 if bits % 6 == 0 else 0,
        discounts=gallons * (22 + bits // 64 % 30) // 1_000 if bits % 6 else 0,
        advances=0 if is_own_truck or bits // 8 % 7 else 5_000 * (1 + bits // 64 % 3),
    )


def _price(salt: int, place: Place, at: int) -> int:
    """Return the price of a gallon by place and week, in tenths of a cent."""
    week = (at // DAY - 4) // 7
    moved = bits_of(salt, week, 202) % 240 - 120
    if place.country == "CA":
        return _CAD_PER_GALLON * 10 + moved
    return 3_649 + _STATE_CENTS.get(place.state, 0) * 10 + moved


def _driver_name(view: ItemView[Purchase]) -> Any:
    return view.company.name_of("drivers", "Name", view.item.driver)


def _owner(view: ItemView[Purchase], column: str) -> Any:
    owner = view.item.owner
    return None if owner is None else view.company.name_of("drivers", column, owner)


def _card_provider(view: ItemView[Purchase]) -> str:
    cards = view.company.name_of("trucks", "FuelCards", view.item.truck)
    return str(cards[0].get("Provider", "EFS")) if cards else "EFS"


def _location(view: ItemView[Purchase]) -> dict[str, Any]:
    place = PLACES[view.item.place]
    chain = bits_of(view.company.salt, view.item.place, 203)
    number = 100 + chain // 8 % 800
    return {
        "Id": str(10_000 + view.item.place * 7),
        "Name": f"{_CHAINS[chain % len(_CHAINS)]} #{number}",
        "Address": f"{number} Truck Stop Rd",
        "City": place.city,
        "State": place.state,
        "Country": place.country,
    }


def _description(view: ItemView[Purchase]) -> str:
    item = view.item
    return f"{item.product} {item.gallons / 1_000:.3f} gal @ {item.price / 1_000:.3f}"


class FuelFacts(ItemFacts[Purchase]):
    """The records of fuel."""

    makers: ClassVar[Any] = {
        "TransactionId": lambda view: f"T{text_id(view.company.salt, view.item.key, 204)[:12].upper()}",
        "TransactionDate": lambda view: view.item.created_at,
        "SubsidiaryId": lambda view: SUBSIDIARIES[0].id,
        "SubsidiaryName": lambda view: SUBSIDIARIES[0].name,
        "TruckId": lambda view: view.company.name_of("trucks", "Id", view.item.truck),
        "TruckNumber": lambda view: view.company.name_of("trucks", "TruckNum", view.item.truck),
        "DriverId": lambda view: view.company.name_of("drivers", "Id", view.item.driver),
        "DriverName": _driver_name,
        "OwnerOperatorId": lambda view: _owner(view, "Id"),
        "OwnerOperatorName": lambda view: _owner(view, "Name"),
        "Source": _card_provider,
        "Type": lambda view: "Purchase",
        "Category": lambda view: view.item.product,
        "Description": _description,
        "Location": _location,
        "Quantity": lambda view: {"Value": decimal(view.item.gallons, 3), "UnitOfMeasure": "Gallons"},
        "FuelTotal": lambda view: money(view.item.fuel, view.item.currency),
        "Fees": lambda view: money(view.item.fees, view.item.currency),
        "Discounts": lambda view: money(view.item.discounts, view.item.currency),
        "Advances": lambda view: money(view.item.advances, view.item.currency),
        "Total": lambda view: money(view.item.total, view.item.currency),
    }

    def _items(self) -> Sequence[Purchase]:
        return purchases(self._company)

    def _added(self, number: int, at: int) -> Purchase:
        place = number % 40
        price = _price(self._company.salt, PLACES[place], at)
        return Purchase(at, number, number, None, -number, place, DIESEL, 96_500, price, 0, 2_895, 0)
