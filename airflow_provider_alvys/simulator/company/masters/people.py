"""Records of drivers and users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_alvys.simulator.company.masters.base import (
    OWN_SUBSIDIARY,
    MasterFacts,
    address,
    fleet_record,
)
from airflow_provider_alvys.simulator.company.world import crew
from airflow_provider_alvys.simulator.data.people import email
from airflow_provider_alvys.simulator.data.times import DAY, HOUR

_ON_DUTY = ("DRIVING", "DRIVING", "ON DUTY", "SLEEPING", "OFF DUTY", "ONLINE")
_OFFICE = ("ViewLoads", "EditLoads", "ViewCustomers", "ViewCarriers")
_PERMISSIONS = {
    "Admin": (*_OFFICE, "ManageUsers", "ManageSettings", "EditSettlements"),
    "Biller": ("ViewLoads", "EditInvoices", "EditSettlements"),
    "Driver": ("ViewOwnTrips",),
    "Safety": ("ViewDrivers", "EditDrivers", "ViewEquipment"),
    "DataEntry": ("ViewLoads", "EditLoads"),
}

_DRIVER_NOTES = (
    "Prefers southbound loads, home every other weekend.",
    "Habla español; call instead of texting while driving.",
    "Hazmat and tanker endorsements, TWIC card on file.",
    "Asked for a day off on the 14th (daughter's quinceañera 🎉).",
    "Cash advance of $200 agreed, to be deducted over four weeks.",
    "Kommt gut mit dem Kunden in Milwaukee zurecht.",
)


class DriverFacts(MasterFacts):
    """Records of drivers."""

    fields = frozenset(
        "EmployeeId UserId Name Type Status IsActive SubsidiaryId Fleet Email PhoneNumber Address LicenseNum "
        "LicenseState LicenseCountry LicenseExpiresAt MedicalExpiresAt HiredAt TerminatedAt CreatedAt Notes "
        "References".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a driver's fields."""
        driver = crew.driver(self._salt, number)
        hired = self._day(-driver.hired_days_ago)
        terminated = driver.terminated_days_ago
        state = driver.home.state
        record: dict[str, Any] = {
            "EmployeeId": f"E{1_001 + number}",
            "UserId": self._column("users", "Id", crew.login_of(number)),
            "Name": driver.name,
            "Type": driver.type,
            "Status": self._pick(_ON_DUTY, number, 1) if driver.is_active else "OFFLINE",
            "IsActive": driver.is_active,
            "SubsidiaryId": OWN_SUBSIDIARY,
            "Fleet": fleet_record(driver.fleet),
            "Email": email(driver.name, "drivers.acme.example"),
            "PhoneNumber": self._phone(number, state),
            "Address": address(driver.street, driver.home),
            "LicenseNum": f"{state[0]}{self._bits(number, 2) % 10**8:08d}",
            "LicenseState": state,
            "LicenseCountry": driver.home.country,
            "LicenseExpiresAt": self._day(driver.licence_days_left),
            "MedicalExpiresAt": self._day(driver.medical_days_left),
            "HiredAt": hired,
            "TerminatedAt": None if terminated is None else self._day(-terminated),
            "CreatedAt": self._entered_at(number, hired),
            "Notes": self._notes(number, hired, _DRIVER_NOTES),
            "References": [],
        }
        if number % 3 == 0:
            value = f"{self._bits(number, 3) % 10**8:08d}"
            name = ("TWIC", "TWIC ")[number % 2]
            record["References"] = [self._reference(number, name, value, "Text")]
        return record

    def _entered_at(self, number: int, hired: int) -> int:
        """Return when the office entered a driver: some days before the hire, or when the row was added."""
        if number >= self._rows.count:
            return self._rows.started_at(number)
        return hired - (1 + number % 4) * DAY + 15 * HOUR


class UserFacts(MasterFacts):
    """Records of users."""

    fields = frozenset(
        "UserName Name Email UserType Role Phone CompanyCode Status Permissions CreatedAt ModifiedAt".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a user's fields."""
        user = crew.user(self._salt, number)
        created = self._created_at(number)
        return {
            "UserName": user.email,
            "Name": user.name,
            "Email": user.email,
            "UserType": "Driver" if user.role == "Driver" else "Office",
            "Role": user.role,
            "Phone": self._phone(number),
            "CompanyCode": self._rows.options.tenant,
            "Status": user.status,
            "Permissions": list(_PERMISSIONS.get(user.role, _OFFICE)),
            "CreatedAt": created,
            "ModifiedAt": created + self._bits(number, 1) % max(1, self._rows.data_end - created),
        }
