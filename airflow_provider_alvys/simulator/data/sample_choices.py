"""
The values of fields that the company does not decide.

A key is the end of a path, with the stream as its first part: the longest one that matches applies. In a
text, ``?`` stands for any digit. The API's documents list most of the enumerations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The company's legal entities: the first one hauls, the second one brokers.
OWN_NAMES = ("Acme Trucking, LLC", "Acme Logistics, Inc.")
COMPANIES = (
    "Müller & Söhne Foods, Inc.",
    "Bluff City Paper Co.",
    "Peach State Cold Storage",
    "Nuñez Bros. Logistics",
    "Big “B” Tile",
)
_DRIVERS = (
    "Darnell Hollis",
    "Gurpreet Singh",
    "Rosa Martínez",
    "Oleksandr Petrov",
    "Cody O'Brien",
    "Björn Quick",
)
_FACILITIES = (
    "Delta Cold Storage - Memphis",
    "Prairie DC - Joliet",
    "Copper State Cross-Dock",
    "Müller Foods Plant 2",
    "Río Grande Warehouse “North”",
)
_WEBHOOK_EVENTS = ("load.changed", "load.status.changed", "trip.changed", "trip.status.changed")
_VISIBILITY = {
    "Destination": ("project44", "FourKites", "MacroPoint", "Trucker Tools"),
    "EventType": (
        "Location",
        "Arrival",
        "Departure",
        "Appointment",
        "Loading",
        "Unloading",
        "ShipmentDelayed",
        "ShipmentReconsigned",
        "EstimatedDelivery",
        "DeliveryNotCompleted",
        "DocumentsUpload",
        "ArrivedAtCustoms",
        "CustomsReleased",
    ),
    "Status": ("Completed", "Completed", "Active", "Cancelled", "Failed"),
    "Reason": ("Normal status", "Traffic", "Weather ❄️", "Held at the shipper", "Mechanical"),
    "Error": (
        "401 from the partner: the token has expired",
        "The shipment is not in the partner's system",
        "Position older than 4 hours",
        "Spedition nicht gefunden",
    ),
    "TruckNumber": ("10??",),
    "TrailerNumber": ("V531??", "R531??"),
}
_DOCUMENTS = {
    "trip_documents": "Trip",
    "load_documents": "Load",
    "carrier_documents": "Carrier",
    "driver_documents": "Driver",
    "truck_documents": "Truck",
    "trailer_documents": "Trailer",
}

CHOICES: Mapping[str, tuple[Any, ...]] = {
    **{
        f"{stream}.{name}": values
        for stream in (
            "visibility_outbound_errors",
            "visibility_inbound_history",
            "visibility_outbound_history",
        )
        for name, values in _VISIBILITY.items()
    },
    **{f"{stream}.ParentType": (kind,) for stream, kind in _DOCUMENTS.items()},
    "$type": ("appointment", "delivery_window"),
    "AccessorialsDetails.RateType": ("Flat", "Hourly", "Per Stop"),
    "AccessorialsDetails.Type": (
        "Detention",
        "detention - delivery",
        "Lumper",
        "Layover",
        "TONU",
        "Driver Assist",
        "Tarp",
        "Stop Off",
        "Fuel Surcharge Adj",
    ),
    "CompanyName": _FACILITIES,
    "ContractorType": ("COMPANY", "COMPANY", "OWNER_OPERATOR", "CONTRACTOR"),
    "ControlMode": ("Continuous", "Start-Stop"),
    # Alvys sends the number or the code, depending on the endpoint.
    "Currency": (840, "USD"),
    "CustomerAccessorialsDetails.RateType": ("Flat", "Hourly", "Per Stop"),
    "CustomerAccessorialsDetails.Type": ("Detention", "Lumper fee (receipt)", "Layover", "Stop Off", "TONU"),
    "CustomerType": ("Customer", "Broker/3PL"),
    "Days": (1, 7, 30),
    "DriverName": _DRIVERS,
    "EChecks.CheckNumber": ("EFS-????????",),
    "EChecks.Type": ("Advance", "Lumper"),
    "EquipmentType": ("Dry Van", "Reefer", "Flatbed"),
    "EquipmentLength.UnitOfMeasure": ("Feet",),
    "Events": _WEBHOOK_EVENTS,
    "FleetName": ("East", "West", "Süd"),
    "Fleet.InvoiceNumberPrefix": ("ATE", "ATW", "ATS"),
    "Fleet.Name": ("East", "West", "Süd"),
    "HttpStatusCode": (200, 202, 500),
    "InvoiceAs": OWN_NAMES,
    "LoadType": ("Standard",),
    "LoadingType": ("Live", "Drop"),
    "ProfileName": ("53' Practical", "Shortest", "Practical, no tolls"),
    "Source": ("PC*MILER", "PC*MILER", "Google", "Manual"),
    "NoteType": ("System", "General", "Assignment", "Safety"),
    "PONumber": ("PO-??????", "45????????", "???????"),
    "References.Access": ("Internal", "Public"),
    # White space varies in real data.
    "References.Name": (
        "BOL",
        "BOL #",
        "PO",
        "PRO",
        "Seal",
        "Seal  #",
        "Appointment #",
        "Pickup #",
        "Permit",
        "Permit ",
        "Lease Id",
        "Lease  Id",
        "Hazmat",
        "Ready date",
        "Service level",
    ),
    "References.Origin": ("Manual", "Integration", "EDI", "Unknown"),
    "References.Type": ("Text", "Date", "Bool", "List", ""),
    "RequiredEquipment": ("53' Dry Van", "53' Reefer", "48' Flatbed"),
    "ScheduleType": ("APPT", "FCFS"),
    "Status": ("Active", "Active", "Inactive"),
    "StopType": ("Pickup", "Delivery"),
    "Stops.Status": ("Open", "Arrived", "Departed"),
    "SubsidiaryName": OWN_NAMES,
    "TenderAs": OWN_NAMES,
    "TenderAsSubsidiaryType": ("Carrier", "Broker"),
    "Type": ("Standard", "Other"),
    "Unit": ("Fahrenheit", "Celsius"),
    "UnitOfMeasure": ("Miles",),
    "Uom": ("Hours", "Each"),
    "Volume.UnitOfMeasure": ("CubicFeet",),
    "Weight.UnitOfMeasure": ("Pounds",),
    # Check calls.
    "trip_check_calls.Activity": (
        "Check call",
        "Check call",
        "Arrived at pickup",
        "Left delivery",
        "ETA update",
    ),
    "trip_check_calls.Description": (
        "Driver is rolling, on time.",
        "No answer, left a voicemail and texted the driver.",
        "Tracking shows 40 miles out. Receiver knows.",
        "Stuck in construction on I-40, 30 minutes behind 🙂",
        "Unloading at door 14, lumper paid by EFS.",
        "Abladung läuft, Fahrer wartet auf die Papiere.",
        "Reefer at set point, fuel at 3/4.",
    ),
    "trip_check_calls.ResponseType": ("Phone", "Text", "Tracking", "E-mail"),
    # The fields of tenders that their loads do not decide, in the codes of EDI.
    "tenders.Etag": ("????????-0",),
    "tenders.RoutingSequenceCode": ("O", "B"),
    "tenders.TransportationMethodTypeCode": ("M",),
    "References.Qualifier": ("BM", "PO", "SI", "CN"),
    "TimeZoneCode": ("CT", "ET", "PT", "UT"),
    "VolumeUnitCode": ("E",),
    "WeightUnitCode": ("L",),
    "TruckNumber": ("10??",),
    "EntryLane": ("0?", "1?"),
    "ExitLane": ("0?", "1?"),
    "TransactionType": ("Deposit", "Withdrawal"),
    # Webhooks.
    "visibility_outbound_errors.Status": ("Failed",),
    "webhooks.CompanyCode": ("acme",),
    "DisabledReason": ("10 consecutive failures",),
    "webhooks.Name": ("Loads to the data platform", "Trip status for the portal", "Test - Jürgen"),
    "webhooks.Secret": ("whsec_????????????????",),
    "webhooks.Status": ("Active", "Active", "Disabled", "Pending"),
    "webhooks.Url": ("https://hooks.acme.example/alvys/????",),
    "webhook_delivery_logs.ConsumerUrl": ("https://hooks.acme.example/alvys/????",),
    "ErrorMessage": ("timeout",),
    "webhook_delivery_logs.EventType": _WEBHOOK_EVENTS,
    "webhook_delivery_logs.Status": ("Success", "Success", "Failed"),
    "webhook_health.LastDelivery.EventType": _WEBHOOK_EVENTS,
    "webhook_health.LastDelivery.Status": ("Success", "Success", "Failed"),
    "webhook_health.Status": ("Healthy", "Degraded"),
}
# Values by item number; the last one repeats.
CHOICES_BY_ITEM: Mapping[str, tuple[str, ...]] = {
    "StopType": ("Pickup", "Delivery"),
}
# The smallest and largest number, and the digits after the point; one digit is always 0.
NUMBERS: Mapping[str, tuple[int, int, int]] = {
    "AttemptNumber": (1, 4, 0),
    "AvgDurationMs": (40, 900, 3),
    "ConsecutiveFailures": (0, 3, 0),
    "Distance.Value": (38, 2_400, 3),
    "DurationMs": (20, 2_500, 0),
    "EmptyMileage.Distance.Value": (0, 180, 3),
    "EmptyMiles": (20, 400, 3),
    "EquipmentLength.Value": (53, 53, 1),
    "HoursWorked": (30, 68, 2),
    "LoadedMiles": (900, 3_000, 3),
    "MaxDurationMs": (900, 5_000, 0),
    "NumberOfTrips": (1, 6, 0),
    "Orders.Quantity": (1, 26, 1),
    "Orders.Volume": (60, 600, 1),
    "Orders.Weight": (900, 12_000, 1),
    "Quantity": (1, 6, 3),
    "Quantity.Value": (35, 180, 3),
    "QtyPallets": (4, 26, 1),
    "Rate": (600, 4_800, 1),
    "Rate.Rate": (1, 4, 3),
    "Rate.Units": (1, 6, 3),
    "SetpointTemperature": (-10, 8, 3),
    "SetpointTemperatureMax": (9, 12, 3),
    # The same in degrees Fahrenheit and Celsius: frozen or chilled.
    "ReturnTemperature.Value": (-5, 8, 3),
    "SetpointTemperature.Value": (-5, 8, 3),
    "FailureCount": (0, 5, 0),
    "SkippedCount": (0, 3, 0),
    "SuccessCount": (120, 900, 0),
    "SubLines.Quantity": (20, 2_400, 1),
    "SubLines.Rate": (1, 3, 3),
    "TimeoutCount": (0, 4, 0),
    "Volume": (800, 3_600, 1),
    "Volume.Value": (800, 3_600, 3),
    "Weight": (9_000, 44_900, 1),
    "Weight.Value": (9_000, 44_900, 3),
}
