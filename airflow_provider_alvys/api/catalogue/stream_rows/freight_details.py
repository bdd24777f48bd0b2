"""Streams of what belongs to a load or a trip: stops, check calls, documents, notes, visibility."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_alvys.api.catalogue.record_rows import freight as records
from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT, STOP
from airflow_provider_alvys.api.catalogue.stream_spec import Lookup, Parent, Stream, Tier, TimeWindow

_URL_EXPIRES = "DownloadUrl expires after about ten minutes: download at once and do not store it"
_BY_ID = "The parent is the trip's Id; a TripNumber gives a 404"

STREAMS = (
    Stream(
        name="trip_stops",
        description="A stop of a trip: pickup, delivery or waypoint",
        path="trips/{Id}/stops",
        method="GET",
        scope="trip:read",
        scope_is_documented=False,
        key=("Id",),
        fields=STOP,
        response_type="list",
        parent=Parent("trips", "Id", recent_by="DeliveredAt"),
        lookup=Lookup("trips/{tripId}/stops/{stopId}"),
        notes=(
            "Trips and loads contain their stops as well",
            _BY_ID,
            "A StopWindow that ends in the year 9999 has no end",
            "A scope stop:read exists, and no document says what it is for: on a 403, ask Alvys for both",
        ),
        table="trip_stops_stream",
    ),
    Stream(
        name="trip_check_calls",
        description="A status report from the road: location and temperatures of a trip",
        path="trips/{Id}/check-calls",
        method="GET",
        scope="trip:read",
        scope_is_documented=False,
        key=("Id",),
        fields=records.CHECK_CALL,
        response_type="list",
        # Alvys accepts check calls only for trips with these statuses.
        parent=Parent(
            "trips",
            "Id",
            recent_by="UpdatedAt",
            recent_where={"Status": ("Covered", "Dispatched", "In Transit")},
        ),
        references={"TripId": "trips.Id", "TripNumber": "trips.TripNumber", "LoadNumber": "loads.LoadNumber"},
        tiers=(Tier("4-hourly"),),
        final_when="if the trip is delivered",
        notes=(
            "One request per trip: the first stream to reach the rate limit",
            _BY_ID,
            "Sorted from newest to oldest",
        ),
    ),
    Stream(
        name="trip_documents",
        description="A document of a trip",
        path="trips/{Id}/documents",
        method="GET",
        scope="trip:read",
        scope_is_documented=False,
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("trips", "Id", recent_by="DeliveredAt"),
        notes=(
            _URL_EXPIRES,
            "load_documents contains them as well",
            _BY_ID,
            "ParentId is the trip's Id by the page, and the load's number by the changelog",
        ),
    ),
    Stream(
        name="load_documents",
        description="A document of a load, such as a proof of delivery",
        path="loads/{LoadNumber}/documents",
        method="GET",
        scope="load:read",
        scope_is_documented=False,
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("loads", "LoadNumber", recent_by="DeliveredAt"),
        tiers=(Tier("8-hourly"),),
        notes=(_URL_EXPIRES, "A load without a trip gives a 404"),
    ),
    Stream(
        name="load_notes",
        description="A note on a load",
        path="loads/{LoadNumber}/notes",
        method="GET",
        scope="load:read",
        scope_is_documented=False,
        key=("Id",),
        fields=records.LOAD_NOTE,
        response_type="list",
        parent=Parent("loads", "LoadNumber", recent_by="UpdatedAt"),
        notes=("Loads contain their notes as well", "A load without a trip gives a 404"),
        table="load_notes_stream",
    ),
    Stream(
        name="visibility_outbound_errors",
        description="A failed message to a customer's visibility provider",
        path="visibility/outbound/errors",
        scope="visibility:read",
        key=("Id",),
        fields=records.VISIBILITY,
        windows=(
            # Not documented: which field the range filters.
            TimeWindow(
                "shared",
                "TimeRange",
                "SharedAt",
                column_is_certain=False,
                look_back=timedelta(days=1),
                needs_end=True,
                required=True,
                max_length=timedelta(days=7),
            ),
        ),
        default_window="shared",
        # At most seven days per request: a full read would need one request for every week since the
        # beginning.
        full_read=(),
        references={"LoadNumber": "loads.LoadNumber", "TripNumber": "trips.TripNumber"},
    ),
    Stream(
        name="visibility_inbound_history",
        description="A visibility message received for a load",
        path="visibility/inbound/{LoadNumber}/history",
        method="GET",
        scope="visibility:read",
        key=("Id",),
        fields=records.VISIBILITY,
        response_type="list",
        parent=Parent("loads", "LoadNumber", recent_by="UpdatedAt"),
        references={"LoadNumber": "loads.LoadNumber", "TripNumber": "trips.TripNumber"},
    ),
    Stream(
        name="visibility_outbound_history",
        description="A visibility message sent for a load",
        path="visibility/outbound/{LoadNumber}/history",
        method="GET",
        scope="visibility:read",
        key=("Id",),
        fields=records.VISIBILITY,
        response_type="list",
        parent=Parent("loads", "LoadNumber", recent_by="UpdatedAt"),
        references={"LoadNumber": "loads.LoadNumber", "TripNumber": "trips.TripNumber"},
    ),
)
