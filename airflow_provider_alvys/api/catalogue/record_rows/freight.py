"""The fields of loads, trips, tenders and their details."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows.common import (
    ADDRESS,
    COORDINATES,
    ETA,
    FLEET,
    MEASURE,
    MILEAGE,
    MONEY,
    NOTE,
    REFERENCE,
    STOP,
    TEMPERATURE,
)
from airflow_provider_alvys.api.schema.fields import record

_ACCESSORIAL = """
    Id Type Total:money Rate:money RateType Uom Quantity:decimal IsPaid:boolean CreatedAt:time CreatedBy
    UpdatedAt:time UpdatedBy StopId
"""

# Origin and Destination are the addresses of the first pickup and the last delivery.
LOAD = record(
    """
    Id LoadNumber OrderNumber PONumber CustomerId CustomerName CustomerNumber CustomerType:[string] Status
    LoadType ContractId TenderId Fleet:fleet InvoiceAs OfficeId Origin:address Destination:address
    Stops:[stop] RequiredEquipment:[string] References:[reference] Notes:[note] Linehaul:money
    FuelSurcharge:money CustomerAccessorials:money CustomerAccessorialsDetails:[accessorial]
    CustomerRate:money CustomerMileage:mileage InvoicedAmount:money
    TotalPaid:money Payments:[payment] Weight:measure Volume:measure ScheduledPickupAt:time@local
    ScheduledDeliveryAt:time@local PickedUpAt:time DeliveredAt:time InvoicedAt:time LastInvoiceSentAt:time
    PaidAt:time CreatedAt:time CreatedBy UpdatedAt:time UpdatedBy CancelledAt:time CancelledBy
    CustomerServiceRepId CustomerSalesAgentId CustomerSalesManagerId CustomerLoadPlannerId
    CustomerAccountManagerId IsDeleted:boolean
    """,
    accessorial=record(_ACCESSORIAL, money=MONEY),
    address=ADDRESS,
    fleet=FLEET,
    measure=MEASURE,
    mileage=MILEAGE,
    money=MONEY,
    note=NOTE,
    payment=record("Id Amount:money PaidAt:time", money=MONEY),
    reference=REFERENCE,
    stop=STOP,
)

_ECHECK = record("Id CheckNumber Amount:money Fee:money Type IsPaid:boolean CreatedAt:time", money=MONEY)
_PAID = record(f"{_ACCESSORIAL} ECheckNumber", money=MONEY)
# Rates and RatesV2 are the current pay policies: unions of about twenty shapes with hundreds of fields.
_DRIVER = record(
    """
    Id ContractorType Fleet:fleet Rates:json RatesV2:json AccessorialsDetails:[accessorial] EChecks:[echeck]
    """,
    fleet=FLEET,
    accessorial=_PAID,
    echeck=_ECHECK,
)

TRIP = record(
    """
    Id TripNumber Status LoadNumber OrderNumber Stops:[stop] TenderAs TenderAsSubsidiaryType
    RequiredEquipment:[string] Temperature:reefer TotalMileage:mileage EmptyMileage:mileage
    LoadedMileage:mileage PickupDate:time@local DeliveryDate:time@local Eta:eta PickedUpAt:time
    DeliveredAt:time CarrierAssignedAt:time ReleasedAt:time ReleasedBy CarrierPaidAt:time DueDate:time
    TripValue:money Truck:truck Trailer:trailer Driver1:driver Driver2:driver OwnerOperator:owner
    Carrier:carrier DispatchedBy DispatcherId CarrierSalesAgentId CarrierPayOnHold:boolean UpdatedAt:time
    UpdatedBy IsDeleted:boolean References:[reference]
    """,
    carrier=record(
        """
        Id CarrierInvoiceNumber Rate:money Linehaul:money Accessorials:money AccessorialsDetails:[accessorial]
        EChecks:[echeck] TotalPayable:money
        """,
        accessorial=record(_ACCESSORIAL, money=MONEY),
        echeck=_ECHECK,
        money=MONEY,
    ),
    driver=_DRIVER,
    eta=ETA,
    mileage=MILEAGE,
    money=MONEY,
    owner=record(
        "Id RatesV2:json AccessorialsDetails:[accessorial] EChecks:[echeck]",
        accessorial=_PAID,
        echeck=_ECHECK,
    ),
    reefer=record("SetpointTemperature:decimal SetpointTemperatureMax:decimal ControlMode"),
    reference=REFERENCE,
    stop=STOP,
    trailer=record("Id EquipmentType EquipmentLength:measure Fleet:fleet", measure=MEASURE, fleet=FLEET),
    truck=record("Id Fleet:fleet", fleet=FLEET),
)

_ENTITY = record(
    """
    Type Name CompanyName IdCodeQualifier IdCode N1Qualifier Street City State PostalCode CountryCode Phone
    Email
    """
)
_EDI_REFERENCE = record("Id Qualifier Description")
_ZONED = record("DateTime:time@local TimeZoneCode")
_ORDER = record(
    """
    Quantity WeightUnitCode Weight ReferenceId PoNumber VolumeUnitQualifier Volume UnitBasisForMeasurement
    Description ReferenceId2 SequenceNumber
    """
)

# Weights, volumes, quantities and rates are strings, as in EDI.
TENDER = record(
    """
    Id CompanyCode Status DateImported:time ShipmentId LoadNumber Equipment:equipment Entities:[entity]
    PaymentMethod QtyPallets SCAC Weight WeightUnitCode Volume VolumeUnitCode Rate ExpirationDate:zoned
    Notes:[string] Stops:[stop] References:[reference] RoutingSequenceCode TransportationMethodTypeCode Etag
    """,
    entity=_ENTITY,
    equipment=record("Number Length Type"),
    reference=_EDI_REFERENCE,
    stop=record(
        """
        StopId Type Entity:entity SequenceNumber Orders:[order] References:[reference] WeightQualifier
        ArrivedAt:zoned DepartedAt:zoned ScheduledArrivalStart:zoned ScheduledArrivalEnd:zoned StopReasonCode
        Notes:[string]
        """,
        entity=_ENTITY,
        order=_ORDER,
        reference=_EDI_REFERENCE,
        zoned=_ZONED,
    ),
    zoned=_ZONED,
)

CHECK_CALL = record(
    """
    Id TripId TripNumber LoadNumber Description Activity ResponseType DriverName Location:place
    SetpointTemperature:temperature ReturnTemperature:temperature CreatedAt:time CreatedBy
    """,
    place=record("Street City State Zip Country Coordinates:coordinates TimeZoneId", coordinates=COORDINATES),
    temperature=TEMPERATURE,
)
LOAD_NOTE = record("Id Description NoteType CreatedAt:time CreatedBy CreatedById")
VISIBILITY = record(
    """
    Id ExternalId TripNumber LoadNumber EventType SharedAt:time SharedBy Destination TruckNumber DriverName
    TrailerNumber StopId LocationId Reason Address:address Coordinates:coordinates Status Error
    """,
    address=ADDRESS,
    coordinates=COORDINATES,
)
