"""Record types that several subjects share."""

from __future__ import annotations

from airflow_provider_alvys.api.schema.fields import record

# Currency is the ISO 4217 number or code, depending on the endpoint: 840 or USD is the US dollar.
MONEY = record("Amount:decimal Currency:integer@currency")
# A distance, weight, volume or length.
MEASURE = record("Value:decimal UnitOfMeasure")
TEMPERATURE = record("Value:decimal Unit")
MILEAGE = record("Distance:measure Source ProfileId ProfileName", measure=MEASURE)
ADDRESS = record("Street City State ZipCode")
COORDINATES = record("Latitude Longitude")
FLEET = record("Id Name InvoiceNumberPrefix")
NAMED = record("Id Name")
CONTACT = record("Id Name Email Phone Mobile Extension Title")
# Type is Text, Date, Bool, List or empty; Origin is Manual, Integration, EDI or Unknown; Value is a string.
REFERENCE = record("Id ReferenceId Name Value Type Access Origin")
# A note inside another record. Only here the id of a note is in lower case.
NOTE = record("id Description NoteType Time:time User UserId")
# Planned by the route, Live from the vehicle's position, Manual by a person, an integration or the schedule.
ETA = record("Planned:time Live:time Manual:time")
# The fields of all kinds of stops. $type is appointment, delivery_window or waypoint.
STOP = record(
    """
    $type Id StopType Status Address:address Coordinates:coordinates CompanyId CompanyNumber CompanyName
    ScheduleType LoadingType AppointmentRequested:boolean AppointmentConfirmed:boolean
    AppointmentDate:time@local StopWindow:period ArrivedAt:time@local DepartedAt:time@local Eta:eta
    References:[reference]
    """,
    address=ADDRESS,
    coordinates=COORDINATES,
    eta=ETA,
    period=record("Begin:time@local End:time@local@open"),
    reference=REFERENCE,
)
# The id is in lower case.
DOCUMENT = record(
    """
    id AttachmentPath AttachmentType AttachmentSize:integer UploadedAt:time UploadedBy ParentId ParentType
    DownloadUrl@volatile ExpiresAt:time@volatile
    """
)
