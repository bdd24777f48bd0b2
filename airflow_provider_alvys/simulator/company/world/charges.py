"""Accessorial charges, as the office types them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accessorial:
    """
    A charge on top of the linehaul.

    :param type: free text, in the spellings of several people.
    :param rate_type: ``Flat``, ``Hourly``, ``Daily``, ``Per Stop`` or ``Per Mile``.
    :param uom: unit of the quantity.
    :param cents: typical amount for one unit.
    :param most: maximum quantity.
    :param customer_pays: whether the customer is charged.
    :param carrier_gets: whether the carrier or driver is paid for it.
    """

    type: str
    rate_type: str
    uom: str
    cents: int
    most: int
    customer_pays: bool
    carrier_gets: bool


ACCESSORIALS: Sequence[Accessorial] = (
    Accessorial("Detention", "Hourly", "Hours", 50_00, 5, True, True),
    Accessorial("detention - delivery", "Hourly", "Hours", 45_00, 4, True, True),
    Accessorial("DETENTION @ SHIPPER", "Hourly", "Hours", 50_00, 6, True, True),
    Accessorial("Lumper", "Flat", "Each", 185_00, 1, True, True),
    Accessorial("Lumper fee (receipt)", "Flat", "Each", 235_00, 1, True, True),
    Accessorial("Layover", "Daily", "Days", 250_00, 2, True, True),
    Accessorial("TONU", "Flat", "Each", 200_00, 1, True, True),
    Accessorial("Driver Assist", "Flat", "Each", 75_00, 1, True, True),
    Accessorial("Tarp", "Flat", "Each", 100_00, 1, True, True),
    Accessorial("Stop Off", "Per Stop", "Stops", 65_00, 2, True, True),
    Accessorial("Xtra stop", "Per Stop", "Stops", 50_00, 1, True, True),
    Accessorial("Fuel Surcharge Adj", "Flat", "Each", 48_50, 1, True, False),
    Accessorial("Scale ticket", "Flat", "Each", 14_75, 1, False, True),
    Accessorial("Reefer fuel", "Flat", "Each", 95_00, 1, True, False),
    Accessorial("Out of Route Miles", "Per Mile", "Miles", 1_85, 120, True, True),
    Accessorial("Pallet exchange", "Flat", "Each", 60_00, 1, True, False),
    Accessorial("Border crossing / Grenzübertritt", "Flat", "Each", 175_00, 1, True, True),
    Accessorial("Safe driving bonus 👍", "Flat", "Each", 50_00, 1, False, True),
)
# The charge of a truck that was ordered and not used.
TONU = next(charge for charge in ACCESSORIALS if charge.type == "TONU")
# Charges that need a certain trailer.
EQUIPMENT_OF_CHARGE = {"Tarp": "Flatbed", "Reefer fuel": "Reefer"}
