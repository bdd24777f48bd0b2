"""The fields of drivers, trucks and trailers, their events and costs."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows.common import (
    ADDRESS,
    FLEET,
    MEASURE,
    MONEY,
    NAMED,
    NOTE,
    REFERENCE,
)
from airflow_provider_alvys.api.schema.fields import record

DRIVER = record(
    """
    Id EmployeeId UserId Name Type Status IsActive:boolean SubsidiaryId Fleet:fleet Email PhoneNumber
    Address:address LicenseNum LicenseState LicenseCountry LicenseExpiresAt:time MedicalExpiresAt:time
    HiredAt:time TerminatedAt:time CreatedAt:time Notes:[note] References:[reference]
    """,
    address=ADDRESS,
    fleet=FLEET,
    note=NOTE,
    reference=REFERENCE,
)
TRUCK = record(
    """
    Id TruckNum VinNumber Year:integer Make Model Color Status SubsidiaryId Fleet:fleet NumberOfAxles:integer
    GrossWeight:measure EmptyWeight:measure FuelType FuelCards:[card] LicenseNum LicenseState LicenseCountry
    LicenseExpirationDate:date PlateExpirationDate:date InsuranceCompany InsurancePolicyNumber
    InsuranceExpirationDate:date InspectionExpirationDate:date CreatedAt:time Notes:[note]
    References:[reference]
    """,
    # The card's id is in lower case.
    card=record(
        """
        id CardNumber Provider DeductFuel:boolean ApplyFuelDiscount:boolean DeductFromId DeductFromName
        DeductFromSubsidiary DeductFromContractorType FuelTypeConfigs:[config]
        """,
        config=record("FuelType DeductFuel:boolean FuelDiscounted:boolean"),
    ),
    fleet=FLEET,
    measure=MEASURE,
    note=NOTE,
    reference=REFERENCE,
)
TRAILER = record(
    """
    Id TrailerNum VinNum Year:integer Make Status SubsidiaryId Fleet:fleet EquipmentType EquipmentSize
    Capacity:capacity LicenseNum LicenseState LicenseCountry LicenseExpiresAt:date PlateExpiresAt:date
    InsuranceCompany InsurancePolicyNumber InsuranceExpiresAt:date InspectionExpiresAt:date CreatedAt:time
    Notes:[note] References:[reference]
    """,
    capacity=record("Pallets:integer Weight:decimal"),
    fleet=FLEET,
    note=NOTE,
    reference=REFERENCE,
)

_EVENT = "Id EventType Description StartDate:time EndDate:time Address:address CreatedBy CreatedAt:time"
DRIVER_EVENT = record(f"{_EVENT} DriverId", address=ADDRESS)
TRUCK_EVENT = record(f"{_EVENT} TruckId Title", address=ADDRESS)
TRAILER_EVENT = record(f"{_EVENT} TrailerId Title", address=ADDRESS)

DISPATCH_PREFERENCE = record("DispatcherId Driver1Id Driver2Id TruckId TrailerId UpdatedAt:time")
MAINTENANCE = record(
    """
    Id PO Reference RelatedAsset:asset Category:named Description Comments Amount:money RepairShop:named
    Reminders:[reminder] CreatedAt:time@unknown CreatedBy ModifiedAt:time ModifiedBy
    """,
    asset=record("AssetId AssetNumber AssetType"),
    money=MONEY,
    named=NAMED,
    # The id is in lower case.
    reminder=record("id DueDate:time"),
)
FUEL = record(
    """
    Id TransactionId TransactionDate:time SubsidiaryId SubsidiaryName TruckId TruckNumber DriverId DriverName
    OwnerOperatorId OwnerOperatorName Source Type Category Description Location:pump Quantity:measure
    FuelTotal:money Fees:money Discounts:money Advances:money Total:money
    """,
    measure=MEASURE,
    money=MONEY,
    pump=record("Id Name Address City State Country"),
)
TOLL = record(
    """
    Id TransactionId TransactionDate:time PostedAt:time SubsidiaryId TransponderId Source Agency UnitId
    UnitNumber LicenseState LicensePlate PrePaid:boolean Service CostCenter EntryLane EntryPlazaId
    EntryPlazaName EntryTime:time ExitLane ExitPlazaId ExitPlazaName ExitTime:time FormattedLocation
    Amount:money Fee:money RunningBalance:money
    """,
    money=MONEY,
)
