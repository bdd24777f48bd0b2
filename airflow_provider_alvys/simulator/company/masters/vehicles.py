"""Records of trucks and trailers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_alvys.simulator.company.masters.base import (
    OWN_SUBSIDIARY,
    MasterFacts,
    fleet_record,
    number_text,
)
from airflow_provider_alvys.simulator.company.world import crew
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES
from airflow_provider_alvys.simulator.data.times import format_date

_COLORS = ("White", "Blue", "Red", "Black", "Silver", "Green", "Weiß/Blau")
_PLATE_STATES = ("TN", "IN", "OK", "ME", "TX")
_INSURER = "Great West Casualty Company"
_CARD_PROVIDERS = ("EFS", "Comdata", "WEX")
# Name, value and type; without a value it is a date. White space varies in real data.
_REFERENCES = (
    ("Permit", "OS/OW-{:05d}", "Text"),
    ("Permit ", "OS/OW-{:05d}", "Text"),
    ("Lease Id", "LS{:05d}", "Text"),
    ("Lease  Id", "LS{:05d}", ""),
    ("Last wash", "", "Date"),
    ("Toll tag on board", "true", "Bool"),
    ("Home yard", "Memphis", "List"),
)
_BOXES = ("Dry Van", "Reefer")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"

_TRUCK_NOTES = (
    "Starter replaced under warranty, keep the invoice.",
    "APU does not heat below 20 °F. Idle at night 🥶 until the part is in.",
    "Dashcam unit 2 loses its signal in the mountains.",
    "Pre-pass and tag moved from the old truck, same plate.",
    "Next PM at 25,000 miles; oil sample sent to the lab.",
)
_TRAILER_NOTES = (
    "Parked at the yard in row C, behind the “old” trailers.",
    "GPS unit pings once a day only.",
    "Tires at 6/32, look at them at the next PM.",
    "Lichter hinten links prüfen 💡",
)
_BOX_NOTES = (
    *_TRAILER_NOTES,
    "Right rear door seal leaks, no paper loads until fixed.",
    "Swing doors, wood floor, dock plate damage at the rear.",
)


class VehicleFacts(MasterFacts):
    """The parts that records of trucks and trailers have in common."""

    def _plate(self, number: int) -> str:
        bits = self._bits(number, 1)
        return f"{_LETTERS[bits % 23]}{_LETTERS[(bits >> 8) % 23]}{(bits >> 16) % 100_000:05d}"

    def _expiries(self, number: int, suffix: str) -> dict[str, Any]:
        """Return when papers expire; an inspection of some is overdue."""
        inspection = -1 - number % 30 if number % 15 == 7 else 20 + self._bits(number, 2) % 330
        renewal = 30 + self._bits(number, 3) % 330
        return {
            f"License{suffix}": self._day(renewal),
            f"Plate{suffix}": self._day(renewal),
            f"Insurance{suffix}": self._day(200 + self._bits(0, 4) % 100),
            f"Inspection{suffix}": self._day(inspection),
        }

    def _references(self, number: int) -> list[dict[str, Any]]:
        bits = self._bits(number, 5)
        references = []
        for item in range(1 + number % 2):
            name, value, kind = _REFERENCES[(bits + item * 3) % len(_REFERENCES)]
            text = value.format(bits // 16 % 100_000) if value else format_date(self._day(-number % 300))
            references.append(self._reference(number, name, text, kind, item))
        return references


class TruckFacts(VehicleFacts):
    """Records of trucks."""

    fields = frozenset(
        "TruckNum VinNumber Year Make Model Color Status SubsidiaryId Fleet NumberOfAxles GrossWeight "
        "EmptyWeight FuelType FuelCards LicenseNum LicenseState LicenseCountry LicenseExpirationDate "
        "PlateExpirationDate InsuranceCompany InsurancePolicyNumber InsuranceExpirationDate "
        "InspectionExpirationDate CreatedAt Notes References".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a truck's fields."""
        truck = crew.truck(self._salt, number)
        created = self._created_at(number)
        return {
            "TruckNum": truck.unit,
            "VinNumber": truck.vin,
            "Year": truck.year,
            "Make": truck.make,
            "Model": truck.model,
            "Color": self._pick(_COLORS, number, 11),
            "Status": truck.status,
            "SubsidiaryId": OWN_SUBSIDIARY,
            "Fleet": fleet_record(truck.fleet),
            "NumberOfAxles": 3,
            "GrossWeight": {"Value": number_text(80_000), "UnitOfMeasure": "Pounds"},
            "EmptyWeight": {
                "Value": number_text(17_400 + self._bits(number, 12) % 26 * 100),
                "UnitOfMeasure": "Pounds",
            },
            "FuelType": "Diesel",
            "FuelCards": [self._fuel_card(number, truck)],
            "LicenseNum": self._plate(number),
            "LicenseState": self._pick(_PLATE_STATES, number, 13),
            "LicenseCountry": "US",
            "InsuranceCompany": _INSURER,
            "InsurancePolicyNumber": "GWP-3381207",
            "CreatedAt": created,
            "Notes": self._notes(number, created, _TRUCK_NOTES),
            "References": self._references(number),
            **self._expiries(number, "ExpirationDate"),
        }

    def _fuel_card(self, number: int, truck: crew.Truck) -> dict[str, Any]:
        """Return the card of a truck; an owner-operator's fuel is deducted from the pay."""
        card: dict[str, Any] = {
            "id": self._id("FuelCard", number),
            "CardNumber": f"7088 8{self._bits(number, 14) % 10**11:011d}",
            "Provider": self._pick(_CARD_PROVIDERS, number, 15),
            "DeductFuel": truck.owner is not None,
            "ApplyFuelDiscount": truck.owner is not None,
            "FuelTypeConfigs": [
                {"FuelType": kind, "DeductFuel": truck.owner is not None, "FuelDiscounted": kind == "Diesel"}
                for kind in ("Diesel", "DEF")
            ],
        }
        if truck.owner is not None and truck.owner < self._count("drivers"):
            owner = crew.driver(self._salt, truck.owner)
            card |= {
                "DeductFromId": self._column("drivers", "Id", truck.owner),
                "DeductFromName": owner.name,
                "DeductFromSubsidiary": SUBSIDIARIES[0].name,
                "DeductFromContractorType": owner.type,
            }
        return card


class TrailerFacts(VehicleFacts):
    """Records of trailers."""

    fields = frozenset(
        "TrailerNum VinNum Year Make Status SubsidiaryId Fleet EquipmentType EquipmentSize Capacity "
        "LicenseNum LicenseState LicenseCountry LicenseExpiresAt PlateExpiresAt InsuranceCompany "
        "InsurancePolicyNumber InsuranceExpiresAt InspectionExpiresAt CreatedAt Notes References".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a trailer's fields."""
        trailer = crew.trailer(self._salt, number)
        created = self._created_at(number)
        return {
            "TrailerNum": trailer.unit,
            "VinNum": trailer.vin,
            "Year": trailer.year,
            "Make": trailer.make,
            "Status": trailer.status,
            "SubsidiaryId": OWN_SUBSIDIARY,
            "Fleet": fleet_record(trailer.fleet),
            "EquipmentType": trailer.equipment.type,
            "EquipmentSize": f"{trailer.equipment.feet} ft",
            "Capacity": {
                "Pallets": trailer.equipment.pallets,
                "Weight": number_text(trailer.equipment.pounds),
            },
            "LicenseNum": self._plate(number),
            "LicenseState": self._pick(_PLATE_STATES, number, 13),
            "LicenseCountry": "US",
            "InsuranceCompany": _INSURER,
            "InsurancePolicyNumber": "GWP-3381207",
            "CreatedAt": created,
            "Notes": self._notes(
                number, created, _BOX_NOTES if trailer.equipment.type in _BOXES else _TRAILER_NOTES
            ),
            "References": self._references(number),
            **self._expiries(number, "ExpiresAt"),
        }
