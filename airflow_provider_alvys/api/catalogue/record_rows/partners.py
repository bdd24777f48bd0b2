"""The fields of customers, carriers, locations and users."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows.common import ADDRESS, CONTACT, NAMED, NOTE
from airflow_provider_alvys.api.schema.fields import record

CUSTOMER = record(
    """
    Id Name CompanyNumber Type Status BillingAddress:address Email:[string] Phone:[string] Fax
    DateCreated:time InvoicingInformation:invoicing ExternalId Contacts:[contact] SalesAgentId Notes:[note]
    """,
    address=ADDRESS,
    contact=CONTACT,
    invoicing=record(
        """
        Address:address EmailAddresses:[string] PhoneNumber InvoicingName InvoicingNameAlias PaymentType
        PaymentTermsInDays:integer
        """,
        address=ADDRESS,
    ),
    note=NOTE,
)
CARRIER = record(
    """
    Id Name ExternalName ExternalAccountReference Address:address McNum UsDotNum Type Status
    ExternalComplianceStatus InsuranceInfo:[insurance] CreatedAt:time CreatedBy Source UpdatedAt:time
    Notes:[note] SalesAgentId ExternalIds:[external] PaymentMethod FactoringCompany:named
    PaymentProvider:named Contacts:[contact]
    """,
    address=ADDRESS,
    # On the pages and in the changelog, but not in the OpenAPI file.
    contact=record("Name Email Phone Mobile Title"),
    external=record("SubsidiaryId SubsidiaryName IntegrationId IntegrationType ExternalAccountingId"),
    insurance=record(
        "Agent:agent PolicyNumber IssueDate:time ExpirationDate:time Notes Type Amount:decimal",
        agent=record("Company Name Contact:contact", contact=CONTACT),
    ),
    named=NAMED,
    note=NOTE,
)
LOCATION = record(
    """
    Id Name CompanyNumber Type Status PhysicalAddress:address Email:[string] Phone:[string] Fax
    DateCreated:time ExternalId Notes:[note]
    """,
    address=ADDRESS,
    note=NOTE,
)
USER = record(
    """
    Id UserName Name Email UserType Role Phone CompanyCode Status Permissions:[string] CreatedAt:time
    ModifiedAt:time
    """
)
