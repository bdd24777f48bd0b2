"""Records of customers, carriers and locations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_alvys.simulator.company.masters.base import (
    MasterFacts,
    address,
    number_text,
    time_text,
)
from airflow_provider_alvys.simulator.company.world import names, parties
from airflow_provider_alvys.simulator.data.people import DOMAIN, STAFF, email
from airflow_provider_alvys.simulator.data.times import DAY

_PAYMENT_TYPES = ("Check", "ACH", "ACH", "Wire")
_CUSTOMER_TITLES = (
    "AP Clerk",
    "Traffic Coordinator",
    "Shipping Supervisor",
    "Logistics Manager",
    "VP Supply Chain",
)
_CARRIER_TITLES = ("Dispatcher", "Owner", "Accounts Receivable", "Night dispatch")
_SOURCES = ("Highway", "MyCarrierPortal", "RMIS", "Manual")
_PROVIDERS = ("TriumphPay", "Comdata", "Relay Payments")
_INSURERS = (
    "Progressive Commercial",
    "Great West Casualty",
    "Northland",
    "Old Republic",
    "Canal Insurance",
)
_AGENCIES = ("Delta Truck Insurance", "Müller & Hays Agency", "Big Road Insurance Services")
# Type, amount in dollars, and the letters before the number of the policy.
_POLICIES = (
    ("Auto Liability", 1_000_000, "CA"),
    ("Cargo", 100_000, "MTC"),
    ("General Liability", 1_000_000, "GL"),
)
# Carriers with these statuses have not sent their papers yet.
_WITHOUT_PAPERS = ("Interested", "Invited", "Pending", "Packet Sent")
_COMPLIANCE = {"Active": "Acceptable", "Packet Completed": "Acceptable", "Expired Insurance": "Expired"}

_CUSTOMER_NOTES = (
    "Invoice by e-mail with POD and BOL in one PDF, otherwise they reject it.",
    "Detention only with in and out times on the BOL, signed. Two hours free.",
    "Pays by check run on the 5th and 20th. Ask for Renée in AP 🙂",
    "Credit limit raised after review of the financials. Review again next year.",
    "New portal: upload the invoice, e-mails are not read any more. Login is in the vault.",
    "Keine Anlieferung nach 14 Uhr; the plant in Milwaukee is strict about this.",
)
_CARRIER_NOTES = (
    "Good on reefer out of the valley, answers at night. Ask for the owner.",
    "NOA on file: pay the factoring company only. Do not send quick pay.",
    "Double brokered one in spring; call the driver before pickup, check the VIN.",
    "Has e-tracking (ELD) linked. 👍",
    "Certificate of insurance asked for twice, agent promised it for Monday.",
    "Übernimmt auch Flatbed mit Planen.",
)
_LOCATION_NOTES = (
    "Open around the clock. Guard shack at the north gate, have the trailer number ready.",
    "No overnight parking. Closest truck stop is 4 miles west.",
    "Lumper by Capstone, EFS or Comcheck only. Receipt goes with the POD.",
    'Customer says: "no early arrivals". Ring José at the gate (ext. 12).',
    "Hard hat, vest and boots 🦺, no sandals, no pets out of the truck.",
)


class CustomerFacts(MasterFacts):
    """Records of customers."""

    fields = frozenset(
        "Name Type Status BillingAddress Email Phone Fax DateCreated InvoicingInformation ExternalId "
        "Contacts SalesAgentId Notes".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a customer's fields."""
        customer = parties.customer(self._salt, number)
        created = self._created_at(number)
        domain = names.domain_of(customer.name)
        state = customer.place.state
        phone = self._phone(number, state)
        billing = address(customer.street, customer.place)
        record: dict[str, Any] = {
            "Name": customer.name,
            "Type": customer.type,
            "Status": customer.status,
            "BillingAddress": billing,
            "Email": [f"shipping@{domain}", f"ap@{domain}"][: 1 + number % 2],
            "Phone": [phone],
            "DateCreated": created,
            "InvoicingInformation": {
                "Address": billing,
                "EmailAddresses": [f"ap@{domain}"],
                "PhoneNumber": phone,
                "InvoicingName": customer.name,
                "PaymentType": self._pick(_PAYMENT_TYPES, number, 1),
                "PaymentTermsInDays": customer.terms,
            },
            "ExternalId": f"C{10_000 + number}",
            "Contacts": self._contacts(number, _CUSTOMER_TITLES, domain, state),
            "SalesAgentId": self._user_id("SalesAgent", number),
            "Notes": self._notes(number, created, _CUSTOMER_NOTES),
        }
        if number % 4 == 0:
            record["Fax"] = self._phone(number, state, 1)
        if number % 5 == 1:
            record["InvoicingInformation"]["InvoicingNameAlias"] = f"{customer.name.split()[0]} A/P"
        return record


class CarrierFacts(MasterFacts):
    """Records of carriers."""

    fields = frozenset(
        "Name ExternalName ExternalAccountReference Address McNum UsDotNum Type Status InsuranceInfo "
        "CreatedAt ExternalComplianceStatus CreatedBy Source UpdatedAt Notes SalesAgentId ExternalIds "
        "PaymentMethod FactoringCompany PaymentProvider Contacts".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a carrier's fields."""
        carrier = parties.carrier(self._salt, number)
        created = self._created_at(number)
        domain = DOMAIN if carrier.is_own else names.domain_of(carrier.name)
        contacts = self._contacts(number, _CARRIER_TITLES, domain, carrier.place.state)
        contacts[0] |= {"Name": carrier.contact, "Email": email(carrier.contact, domain)}
        has_papers = carrier.status not in _WITHOUT_PAPERS
        factor = carrier.factoring_company
        record: dict[str, Any] = {
            "Name": carrier.name,
            "Address": address(carrier.street, carrier.place),
            "McNum": carrier.mc_number,
            "UsDotNum": carrier.dot_number,
            "Type": "Carrier",
            "Status": carrier.status,
            "ExternalComplianceStatus": _COMPLIANCE.get(carrier.status, "Incomplete"),
            "InsuranceInfo": self._insurance(number, carrier) if has_papers else [],
            "CreatedAt": created,
            "CreatedBy": email(self._pick(STAFF, number, 1)),
            "Source": self._pick(_SOURCES, number, 2),
            "UpdatedAt": created + self._bits(number, 3) % max(1, self._rows.data_end - created),
            "Notes": self._notes(number, created, _CARRIER_NOTES),
            "SalesAgentId": self._user_id("SalesAgent", number),
            "ExternalIds": self._external_ids(number) if has_papers else [],
            "PaymentMethod": "Factoring" if factor else self._pick(("ACH", "Check", "Quick Pay"), number, 4),
            # Contacts of carriers have neither an id nor an extension.
            "Contacts": [
                {name: value for name, value in contact.items() if name not in ("Id", "Extension")}
                for contact in contacts
            ],
        }
        if factor:
            place = parties.FACTORS.index(factor)
            record["FactoringCompany"] = {"Id": self._id("FactoringCompany", place), "Name": factor}
        if number % 3 == 0:
            place = self._bits(number, 5) % len(_PROVIDERS)
            record["PaymentProvider"] = {"Id": self._id("PaymentProvider", place), "Name": _PROVIDERS[place]}
        if number % 5 == 2:
            # As in the register of the authorities.
            record["ExternalName"] = carrier.name.upper()
        if has_papers:
            record["ExternalAccountReference"] = f"V{20_000 + number}"
        return record

    def _insurance(self, number: int, carrier: parties.Carrier) -> list[dict[str, Any]]:
        agency = self._pick(_AGENCIES, number, 11)
        domain = names.domain_of(agency)
        contact = self._contacts(number, ("Insurance Agent",), domain, carrier.place.state)[-1]
        policies = []
        for item, (kind, amount, letters) in enumerate(_POLICIES[: 2 + number % 2]):
            # An expired one is not the only policy.
            days = carrier.insurance_days_left
            days += 45 * item if days < 0 else -15 * item
            policies.append(
                {
                    "Agent": {"Company": agency, "Name": contact["Name"], "Contact": contact},
                    "PolicyNumber": f"{letters}{self._bits(number, 12 + item) % 10_000_000:07d}",
                    "IssueDate": time_text(self._day(days) - 365 * DAY),
                    "ExpirationDate": time_text(self._day(days)),
                    "Notes": f"{self._pick(_INSURERS, number, 15 + item)}, certificate on file",
                    "Type": kind,
                    "Amount": number_text(amount, 2),
                }
            )
        return policies

    def _external_ids(self, number: int) -> list[dict[str, Any]]:
        broker = parties.SUBSIDIARIES[1]
        return [
            {
                "SubsidiaryId": broker.id,
                "SubsidiaryName": broker.name,
                "IntegrationId": self._id("Integration", 0),
                "IntegrationType": "QuickBooks",
                "ExternalAccountingId": f"QB-{self._bits(number, 21) % 100_000}",
            }
        ]


class LocationFacts(MasterFacts):
    """Records of locations."""

    fields = frozenset(
        "Name Type Status PhysicalAddress Email Phone Fax DateCreated ExternalId Notes".split()
    )

    def _record(self, number: int) -> Mapping[str, Any]:
        """Return a location's fields."""
        location = parties.location(self._salt, number)
        created = self._created_at(number)
        owner = " ".join(location.name.split()[:2])
        domain = DOMAIN if location.type == "Yard" else names.domain_of(owner)
        notes = self._notes(number, created, _LOCATION_NOTES)
        if notes and location.closes < 24:
            dock = f"Docks {location.opens:02d}:00 to {location.closes:02d}:00"
            rule = "by appointment only" if location.takes_appointments else "first come, first served"
            notes[0]["Description"] = f"{dock}, {rule}."
        record: dict[str, Any] = {
            "Name": location.name,
            "Type": location.type,
            "Status": location.status,
            "PhysicalAddress": address(location.street, location.place),
            "Email": [f"receiving@{domain}"],
            "Phone": [self._phone(number, location.place.state)],
            "DateCreated": created,
            "ExternalId": f"L{1_000 + number}",
            "Notes": notes,
        }
        if number % 5 == 0:
            record["Fax"] = self._phone(number, location.place.state, 1)
        return record
