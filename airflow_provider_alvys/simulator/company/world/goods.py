"""What the company hauls, and in which trailers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_alvys.simulator.company.world.names import pick


@dataclass(frozen=True, slots=True)
class Equipment:
    """
    A kind of trailer.

    :param type: as trailers have it, such as ``Dry Van``.
    :param required: as loads and trips require it, such as ``53' Dry Van``.
    :param feet: length.
    :param pallets: how many fit.
    :param pounds: maximum weight of the freight.
    """

    type: str
    required: str
    feet: int
    pallets: int
    pounds: int


@dataclass(frozen=True, slots=True)
class Commodity:
    """
    Freight of one kind.

    :param equipment: type of the trailer that carries it.
    :param pounds: minimum and maximum weight of a load.
    :param fahrenheit: temperature of the trailer; None if it does not matter.
    """

    name: str
    equipment: str
    pounds: tuple[int, int]
    fahrenheit: int | None = None


EQUIPMENT: Sequence[Equipment] = (
    Equipment("Dry Van", "53' Dry Van", 53, 26, 45_000),
    Equipment("Reefer", "53' Reefer", 53, 24, 43_500),
    Equipment("Flatbed", "48' Flatbed", 48, 24, 48_000),
    Equipment("Step Deck", "48' Step Deck", 48, 22, 47_000),
    Equipment("Conestoga", "53' Conestoga", 53, 26, 44_000),
)
EQUIPMENT_BY_TYPE = {equipment.type: equipment for equipment in EQUIPMENT}
EQUIPMENT_BY_REQUIRED = {equipment.required: equipment for equipment in EQUIPMENT}
COMMODITIES: Sequence[Commodity] = (
    Commodity("Canned peaches", "Dry Van", (38_000, 44_500)),
    Commodity("Paper rolls", "Dry Van", (41_000, 44_800)),
    Commodity("Auto parts", "Dry Van", (14_000, 32_000)),
    Commodity("Bottled water", "Dry Van", (42_000, 44_900)),
    Commodity("Piñatas and party goods", "Dry Van", (6_000, 14_000)),
    Commodity("Corrugated boxes", "Dry Van", (18_000, 26_000)),
    Commodity("Household appliances", "Dry Van", (16_000, 28_000)),
    Commodity("Pet food", "Dry Van", (36_000, 43_000)),
    Commodity("Frozen chicken", "Reefer", (38_000, 42_500), -10),
    Commodity("Fresh produce, mixed", "Reefer", (32_000, 41_000), 36),
    Commodity("Dairy: cheese & yoghurt, crème fraîche", "Reefer", (34_000, 42_000), 35),
    Commodity("Ice cream", "Reefer", (30_000, 39_000), -20),
    Commodity("Pharmaceuticals", "Reefer", (9_000, 22_000), 41),
    Commodity("Ceramic tile", "Flatbed", (42_000, 46_500)),
    Commodity("Steel coils", "Flatbed", (44_000, 47_500)),
    Commodity("Lumber, bundled", "Flatbed", (43_000, 47_000)),
    Commodity("HVAC units", "Step Deck", (18_000, 34_000)),
    Commodity("Farm machinery", "Step Deck", (24_000, 44_000)),
    Commodity("Aluminum extrusions", "Conestoga", (28_000, 43_000)),
)
COMMODITIES_BY_EQUIPMENT = {
    equipment.type: tuple(goods for goods in COMMODITIES if goods.equipment == equipment.type)
    for equipment in EQUIPMENT
}


def commodity(salt: int, load: int, equipment: str) -> Commodity:
    """Return what a load consists of; ``equipment`` is as loads require it."""
    return pick(COMMODITIES_BY_EQUIPMENT[EQUIPMENT_BY_REQUIRED[equipment].type], salt, load, 71)
