"""Accessorial charges: their prices, and how the office types them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accessorial:
    """
    A kind of charge on top of the line haul.

    :param types: free text, in the spellings of several people.
    :param unit: what the quantity counts.
    :param cents: what the customer pays for one; 0 if each one has a price of its own.
    :param carrier_percent: how much of that the carrier of a brokered trip gets.
    :param driver_cents: what the driver of an own trip gets for one. Teams share it.
    """

    types: Sequence[str]
    unit: str
    cents: int
    carrier_percent: int
    driver_cents: int = 0


DETENTION = Accessorial(
    ("Detention", "Detention", "detention - hourly", "DETENTION"), "Hours", 60_00, 75, 20_00
)
LUMPER = Accessorial(("Lumper", "Lumper", "Lumper fee (receipt)"), "Each", 0, 100)
STOP_OFF = Accessorial(("Stop Off", "Stop Off", "Xtra stop"), "Each", 75_00, 80, 25_00)
LAYOVER = Accessorial(("Layover",), "Days", 0, 0, 100_00)
TONU = Accessorial(("TONU",), "Each", 0, 0, 75_00)
BORDER = Accessorial(("Border crossing / Dédouanement",), "Each", 175_00, 80, 75_00)
# What a load may need, by the type of its trailer.
BY_EQUIPMENT: Mapping[str, Sequence[Accessorial]] = {
    "Dry Van": (
        Accessorial(("Pallet exchange",), "Each", 60_00, 0),
        Accessorial(("Driver Assist", "driver assist"), "Each", 75_00, 80, 40_00),
    ),
    "Reefer": (
        Accessorial(("Reefer fuel",), "Each", 95_00, 0),
        Accessorial(("Washout", "Trailer wash out"), "Each", 45_00, 100, 20_00),
    ),
    "Flatbed": (Accessorial(("Tarp", "Tarps"), "Each", 100_00, 80, 50_00),),
    "Step Deck": (Accessorial(("Tarp", "Tarps"), "Each", 100_00, 80, 50_00),),
    "Conestoga": (Accessorial(("Driver Assist", "driver assist"), "Each", 75_00, 80, 40_00),),
}
_ALL = (
    *(DETENTION, LUMPER, STOP_OFF, LAYOVER, TONU, BORDER),
    *(accessorial for accessorials in BY_EQUIPMENT.values() for accessorial in accessorials),
)
# What drivers get for one of each type that they are paid for.
DRIVER_CENTS: Mapping[str, int] = {
    type: accessorial.driver_cents
    for accessorial in _ALL
    for type in accessorial.types
    if accessorial.driver_cents
}
