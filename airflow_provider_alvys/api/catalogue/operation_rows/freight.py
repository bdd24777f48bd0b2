"""Operations on loads, trips and stops."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_alvys.api.catalogue.operation_spec import ETagSource, Field, Operation, RequiredIf

_TEMPERATURE = (
    Field("Value", "number", required=True),
    Field("Unit", required=True, values=("Fahrenheit", "Celsius", "Kelvin")),
)
_COORDINATES = Field(
    "Coordinates",
    "object",
    fields=(
        Field("Latitude", required=True, hint="It is a string, such as '41.88'"),
        Field("Longitude", required=True, hint="It is a string, such as '-87.63'"),
    ),
)
_PLACE = (Field("Street"), Field("City"), Field("State"), Field("Zip"), Field("Country"))
_SAME_STOP = "A retry sets the same values again"

_LOADS = (
    Operation(
        name="loads.update",
        description="Change a load's order number",
        method="PATCH",
        path="loads/{loadNumber}",
        scope="load:update",
        scope_is_documented=False,
        body=(Field("OrderNumber", required=True, max_length=30),),
        is_merge_patch=True,
        if_match="required",
        etag_source=ETagSource("loads", {"loadNumber": "loadNumber"}),
        retry_safety="guarded",
        retry_reason="A retry sends the ETag that the first attempt replaced, so Alvys refuses it",
        check="read the load {loadNumber}: its OrderNumber is {OrderNumber}",
        notes=("A load from EDI is refused", "By the OpenAPI file, the response may also be a 204"),
    ),
    Operation(
        name="load_notes.create",
        description="Add a note to a load",
        method="POST",
        path="loads/{loadNumber}/notes",
        scope="load:update",
        scope_is_documented=False,
        body=(
            Field("Id", required=True),
            Field("Description", required=True),
            Field("NoteType", required=True, values=("System", "General", "Assignment", "Safety")),
        ),
        retry_safety="unsafe",
        retry_reason="Not documented: whether Alvys recognizes the same Id as the same note",
        check="look for the Id {Id} among the notes of the load {loadNumber}",
        notes=("The caller chooses Id: derive it from the note's content to find the note again",),
    ),
    Operation(
        name="load_notes.delete",
        description="Delete a note of a load",
        method="DELETE",
        path="loads/{loadNumber}/notes/{noteId}",
        scope="load:update",
        scope_is_documented=False,
        retry_safety="safe",
        retry_reason="A deleted record stays deleted",
        check="look at the notes of the load {loadNumber}: {noteId} no longer exists",
        has_response=False,
    ),
)
_TRIPS = (
    Operation(
        name="trips.assign",
        description="Assign a carrier, dispatcher, drivers, truck and trailer to a trip",
        method="POST",
        path="trips/{tripId}/assign",
        scope="trip:update",
        body=(
            Field("CarrierId", required=True),
            Field("DispatcherId", required=True),
            Field("Driver1Id"),
            Field("Driver2Id"),
            Field("TruckId"),
            Field("TrailerId"),
            Field("CarrierRate", "number"),
        ),
        rules=(RequiredIf("Driver1Id", other="Driver2Id"),),
        retry_safety="unsafe",
        retry_reason="Not documented: whether a repetition notifies drivers again or reverts later changes",
        check="read the trip {tripId}: its carrier is {CarrierId} and its dispatcher {DispatcherId}",
        notes=("tripId is the trip's Id, not its number",),
    ),
    Operation(
        name="trips.dispatch",
        description="Dispatch a trip",
        method="POST",
        path="trips/{tripId}/dispatch",
        scope="trip:update",
        scope_is_documented=False,
        retry_safety="unsafe",
        retry_reason="Alvys refuses a second one, and does not say whether the first attempt was made",
        check="read the trip {tripId}: its Status is Dispatched or a later one",
        notes=("The trip must be Covered",),
    ),
    Operation(
        name="trip_check_calls.create",
        description="Add a check call to a trip",
        method="POST",
        path="trips/{tripId}/check-calls",
        scope="trip:update",
        scope_is_documented=False,
        body=(
            Field("Description", required=True, max_length=4000),
            Field("Activity", max_length=100),
            Field("DriverId", max_length=100),
            Field(
                "Location",
                "object",
                fields=(*_PLACE, _COORDINATES, Field("TimeZoneId")),
            ),
            Field("SetpointTemperature", "object", fields=_TEMPERATURE),
            Field("ReturnTemperature", "object", fields=_TEMPERATURE),
        ),
        retry_safety="unsafe",
        retry_reason="Each call creates another check call",
        check="look for this Description among the check calls of the trip {tripId}",
        notes=(
            "The trip must be Covered, Dispatched or In Transit; otherwise Alvys answers 422",
            "DriverId must be one of the trip's drivers",
            "tripId is the trip's Id, not its number",
        ),
    ),
    # Not in the OpenAPI file, but on a page of September 2026.
    Operation(
        name="trips.record_location",
        description="Record the position of a truck or a trailer",
        method="POST",
        path="tracking/{assetId}/location",
        scope=None,
        body=(
            replace(_COORDINATES, required=True),
            Field("RecordedAt", "time", required=True),
            Field("Address", "object", fields=_PLACE),
            Field("TripId"),
            Field("Odometer", "number"),
            Field("OdometerReadingAt", "time"),
        ),
        retry_safety="unsafe",
        retry_reason="Not documented: whether Alvys recognizes the same RecordedAt as the same position",
        check="look at the position of {assetId} in Alvys: no search returns the positions of an asset",
        notes=(
            "assetId is the Id of a truck or a trailer",
            "Without TripId, Alvys takes the asset's active trip with the nearest stop",
            "Not documented: the scope, and the form of Coordinates, Address and Odometer. The forms of a "
            "check call, and a number, are assumed",
        ),
    ),
)
_STOPS = (
    Operation(
        name="trip_stops.set_appointment",
        description="Set a stop's appointment or time window",
        method="PUT",
        path="trips/{tripId}/stops/{stopId}/appointment",
        scope="stop:update",
        body=(
            Field("ScheduleType", required=True, values=("APPT", "FCFS")),
            Field("LoadingType", required=True),
            Field("AppointmentDate", "time"),
            Field("AppointmentRequested", "boolean", required=True),
            Field("AppointmentConfirmed", "boolean", required=True),
            Field("WindowBegin", "time"),
            Field("WindowEnd", "time"),
        ),
        rules=(
            RequiredIf("AppointmentDate", other="ScheduleType", value="APPT"),
            RequiredIf("WindowBegin", other="ScheduleType", value="FCFS"),
        ),
        retry_safety="safe",
        retry_reason=_SAME_STOP,
        check="read the stop {stopId} of the trip {tripId}: its ScheduleType is {ScheduleType}",
        notes=("tripId is the trip's Id, not its number",),
    ),
    Operation(
        name="trip_stops.set_arrival",
        description="Record the arrival at a stop",
        method="PUT",
        path="trips/{tripId}/stops/{stopId}/arrival",
        scope="stop:update",
        body=(Field("ArrivedAt", "time", required=True),),
        retry_safety="safe",
        retry_reason=_SAME_STOP,
        check="read the stop {stopId} of the trip {tripId}: its ArrivedAt is {ArrivedAt}",
    ),
    Operation(
        name="trip_stops.clear_arrival",
        description="Clear the arrival at a stop",
        method="DELETE",
        path="trips/{tripId}/stops/{stopId}/arrival",
        scope="stop:update",
        retry_safety="safe",
        retry_reason="A cleared arrival stays cleared",
        check="read the stop {stopId} of the trip {tripId}: it has no ArrivedAt",
    ),
    Operation(
        name="trip_stops.set_departure",
        description="Record the departure from a stop",
        method="PUT",
        path="trips/{tripId}/stops/{stopId}/departure",
        scope="stop:update",
        body=(Field("DepartedAt", "time", required=True),),
        retry_safety="safe",
        retry_reason=_SAME_STOP,
        check="read the stop {stopId} of the trip {tripId}: its DepartedAt is {DepartedAt}",
        notes=("If the stop has no arrival, Alvys answers 422",),
    ),
)

OPERATIONS = (*_LOADS, *_TRIPS, *_STOPS)
