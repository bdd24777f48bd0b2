"""Streams of drivers, trucks and trailers, their events and costs."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_alvys.api.catalogue.record_rows import fleet as records
from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.stream_spec import (
    WHOLE,
    Branch,
    Control,
    Filter,
    Lookup,
    Parent,
    Stream,
    Tier,
    TimeWindow,
)

# No document lists them. These are the statuses of real trucks.
_TRAILER_STATUSES = ("Active", "Inactive", "In Shop", "Crashed", "Repair")
# Known for the ids of carriers only.
_MAX_IDS = 200
# Without IsActive, a search for drivers finds only active ones.
_ACTIVE_AND_INACTIVE = (Branch({"IsActive": True}), Branch({"IsActive": False}))
_NO_CHANGE_TIME = "Rows have no time of their last change, so each sync reads all rows"
_NO_LATE_CHANGE_TIME = "Rows have no time of their last change, so each sync reads the last days again"
_CROSS_CHECK = "The rows of {} in one list, to verify the result of its search"
_URL_EXPIRES = "DownloadUrl expires after about ten minutes: download at once and do not store it"
# Not documented: which date of an event the range filters, and whether it finds an event that began earlier.
_EVENT_DATES = TimeWindow(
    "date",
    ("StartDate", "EndDate"),
    "StartDate",
    column_is_certain=False,
    whole_days=True,
    look_back=timedelta(days=14),
    look_ahead=timedelta(days=90),
    required=True,
)
_ALL_DATES = (Branch(window="date", unbounded=True),)
_ALL_TRANSACTIONS = (Branch(window="transaction", unbounded=True),)

STREAMS = (
    Stream(
        name="drivers",
        description="A driver, employed or contracted, or an owner operator",
        path="drivers/search",
        scope="driver:read",
        key=("Id",),
        fields=records.DRIVER,
        filters=(
            Filter("Status", "strings", "Status"),
            Filter("Name", "string", "Name"),
            Filter("EmployeeId", "string", "EmployeeId"),
            Filter("FleetName", "string", "Fleet.Name"),
            # Named in live error messages, but not on the page.
            Filter("IsActive", "boolean", "IsActive"),
        ),
        any_of=("Status", "Name", "EmployeeId", "FleetName", "IsActive"),
        full_read=_ACTIVE_AND_INACTIVE,
        lookup=Lookup("drivers/{id}"),
        references={"UserId": "users.Id"},
        tiers=(Tier("6-hourly"),),
        notes=(
            _NO_CHANGE_TIME,
            "Status is the duty status: SLEEPING, DRIVING, ON DUTY, OFF DUTY, ONLINE or OFFLINE",
        ),
    ),
    Stream(
        name="drivers_list",
        description="A driver",
        path="drivers",
        method="GET",
        scope="driver:read",
        key=("Id",),
        fields=records.DRIVER,
        response_type="list",
        references={"UserId": "users.Id"},
        notes=(_CROSS_CHECK.format("drivers"),),
    ),
    Stream(
        name="driver_events",
        description="A driver's vacation, restart or other absence",
        path="drivers/events/search",
        scope="driver:read",
        key=("Id",),
        fields=records.DRIVER_EVENT,
        response_type="list",
        windows=(_EVENT_DATES,),
        default_window="date",
        full_read=_ALL_DATES,
        parent=Parent("drivers", "Id", param="DriverIds", batch_size=100),
        references={"DriverId": "drivers.Id"},
        tiers=(Tier("daily"),),
        notes=(
            "By the OpenAPI file the rows are drivers; by the page they are events",
            "EventType is Vacation, Restart, Hometime, SickOrEmergency or Other, which is mostly a meeting",
        ),
    ),
    Stream(
        name="driver_documents",
        description="A document of a driver",
        path="drivers/{Id}/documents",
        method="GET",
        scope="driver:read",
        scope_is_documented=False,
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("drivers", "Id"),
        notes=(_URL_EXPIRES,),
    ),
    Stream(
        name="trucks",
        description="A truck",
        path="trucks/search",
        scope="truck:read",
        key=("Id",),
        fields=records.TRUCK,
        filters=(
            Filter("Status", "strings", "Status"),
            Filter("TruckNumber", "string", "TruckNum"),
            Filter("FleetName", "string", "Fleet.Name"),
            Filter("VinNumber", "string", "VinNumber"),
            # Reported by two clients in 2026. It satisfies any_of.
            Filter("IsActive", "boolean", ignored="filter by Status"),
            # A truck has no field for it.
            Filter("RegisteredName", "string"),
        ),
        # Status alone works, although the page does not list it.
        any_of=("Status", "TruckNumber", "FleetName", "VinNumber", "IsActive", "RegisteredName"),
        full_read=_ACTIVE_AND_INACTIVE,
        lookup=Lookup("trucks/{id}"),
        tiers=(Tier("6-hourly"),),
        notes=(
            _NO_CHANGE_TIME,
            "Alvys ignores the filter IsActive and returns all trucks; Status filters",
            "Statuses seen: Active, Inactive, In Shop, Crashed and Repair",
        ),
    ),
    Stream(
        name="trucks_list",
        description="A truck",
        path="trucks",
        method="GET",
        scope="truck:read",
        key=("Id",),
        fields=records.TRUCK,
        response_type="list",
        notes=(_CROSS_CHECK.format("trucks"),),
    ),
    Stream(
        name="truck_events",
        description="A truck's repair or other downtime",
        path="trucks/events/search",
        scope="truck:read",
        key=("Id",),
        fields=records.TRUCK_EVENT,
        response_type="list",
        windows=(_EVENT_DATES,),
        default_window="date",
        full_read=_ALL_DATES,
        parent=Parent("trucks", "Id", param="TruckIds", batch_size=100),
        references={"TruckId": "trucks.Id"},
        tiers=(Tier("daily"),),
    ),
    Stream(
        name="truck_documents",
        description="A document of a truck",
        path="trucks/{Id}/documents",
        method="GET",
        scope="truck:read",
        scope_is_documented=False,
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("trucks", "Id"),
        notes=(_URL_EXPIRES,),
    ),
    Stream(
        name="trailers",
        description="A trailer",
        path="trailers/search",
        scope="trailer:read",
        key=("Id",),
        fields=records.TRAILER,
        filters=(
            Filter("Status", "strings", "Status", guessed=_TRAILER_STATUSES),
            Filter("TrailerNumber", "string", "TrailerNum"),
            Filter("FleetName", "string", "Fleet.Name"),
            Filter("VinNumber", "string", "VinNum"),
        ),
        # Status alone works, although the page does not list it.
        any_of=("Status", "TrailerNumber", "FleetName", "VinNumber"),
        control=Control("trailers_list"),
        lookup=Lookup("trailers/{id}"),
        tiers=(Tier("6-hourly"),),
        notes=(
            _NO_CHANGE_TIME,
            "No document lists the statuses. A full read uses those of trucks and misses a trailer with any "
            "other status. A sync compares with trailers_list, which has no filter, and logs a warning",
        ),
    ),
    Stream(
        name="trailers_list",
        description="A trailer",
        path="trailers",
        method="GET",
        scope="trailer:read",
        key=("Id",),
        fields=records.TRAILER,
        response_type="list",
        notes=(_CROSS_CHECK.format("trailers"),),
    ),
    Stream(
        name="trailer_events",
        description="A trailer's repair or other downtime",
        path="trailers/events/search",
        scope="trailer:read",
        key=("Id",),
        fields=records.TRAILER_EVENT,
        response_type="list",
        windows=(_EVENT_DATES,),
        default_window="date",
        full_read=_ALL_DATES,
        parent=Parent("trailers", "Id", param="TrailerIds", batch_size=100),
        references={"TrailerId": "trailers.Id"},
        tiers=(Tier("daily"),),
    ),
    Stream(
        name="trailer_documents",
        description="A document of a trailer",
        path="trailers/{Id}/documents",
        method="GET",
        scope="trailer:read",
        scope_is_documented=False,
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("trailers", "Id"),
        notes=(_URL_EXPIRES,),
    ),
    Stream(
        name="dispatch_preferences",
        description="A preferred combination of dispatcher, drivers, truck and trailer",
        path="dispatchpreferences/search",
        scope="dispatch:read",
        scope_is_documented=False,
        # A row has no id, and any of these fields may be missing.
        key=("DispatcherId", "Driver1Id", "Driver2Id", "TruckId", "TrailerId"),
        fields=records.DISPATCH_PREFERENCE,
        response_type="list",
        filters=(
            Filter("DispatcherIds", "strings", "DispatcherId", max_items=_MAX_IDS),
            # Matches Driver1Id or Driver2Id.
            Filter("DriverIds", "strings", max_items=_MAX_IDS),
            Filter("TruckIds", "strings", "TruckId", max_items=_MAX_IDS),
            Filter("TrailerIds", "strings", "TrailerId", max_items=_MAX_IDS),
        ),
        windows=(
            TimeWindow(
                "updated",
                ("UpdatedAtStart", "UpdatedAtEnd"),
                "UpdatedAt",
                column_is_certain=False,
                tracks_changes=True,
            ),
        ),
        # All rows fit into one response, and only a full read shows deleted rows.
        default_window=None,
        references={
            "DispatcherId": "users.Id",
            "Driver1Id": "drivers.Id",
            "Driver2Id": "drivers.Id",
            "TruckId": "trucks.Id",
            "TrailerId": "trailers.Id",
        },
        tiers=(Tier("daily"),),
    ),
    Stream(
        name="maintenance",
        description="Work done on a truck or trailer, and its cost",
        path="maintenance/search",
        scope="maintenance:read",
        key=("Id",),
        fields=records.MAINTENANCE,
        filters=(
            Filter("TruckIds", "strings", "RelatedAsset.AssetId", max_items=_MAX_IDS),
            Filter("TrailerIds", "strings", "RelatedAsset.AssetId", max_items=_MAX_IDS),
            # Not documented: whether these are Ids or Names.
            Filter("Categories", "strings"),
            # A single value. The row has no such field.
            Filter("Status", "string", values=("Urgent", "Open", "Closed")),
        ),
        any_of=("TruckIds", "TrailerIds", "Categories", "Status", "DateRange"),
        windows=(
            # Not documented: which field the range filters.
            TimeWindow(
                "created",
                "DateRange",
                "CreatedAt",
                column_is_certain=False,
                whole_days=True,
                look_back=timedelta(days=90),
                look_ahead=timedelta(days=1),
            ),
        ),
        default_window="created",
        full_read=(Branch({"Status": "Urgent"}), Branch({"Status": "Open"}), Branch({"Status": "Closed"})),
        lookup=Lookup("maintenance/{id}"),
        tiers=(Tier("daily"), Tier("weekly", window=WHOLE)),
        notes=(
            "Rows may change later, and ModifiedAt is not a filter, so the weekly sync reads all rows",
            "RelatedAsset.AssetId is the Id of a truck or a trailer, depending on AssetType",
            "A CreatedAt of 1970-01-01 means unknown",
        ),
    ),
    Stream(
        name="fuel",
        description="A purchase with a fuel card",
        path="fuel/search",
        scope="fuel:read",
        key=("Id",),
        fields=records.FUEL,
        filters=(
            # The row has no card number.
            Filter("FuelCardNumber", "string"),
            Filter("TruckNumber", "string", "TruckNumber"),
        ),
        any_of=("FuelCardNumber", "TruckNumber", "TransactionRange"),
        windows=(
            # The times are not midnights, but late rows are read again by whole days.
            TimeWindow(
                "transaction",
                "TransactionRange",
                "TransactionDate",
                whole_days=True,
                look_back=timedelta(days=14),
                look_ahead=timedelta(days=1),
            ),
        ),
        default_window="transaction",
        full_read=_ALL_TRANSACTIONS,
        lookup=Lookup("fuel/{id}"),
        references={"TruckId": "trucks.Id", "DriverId": "drivers.Id", "OwnerOperatorId": "drivers.Id"},
        tiers=(Tier("daily"), Tier("weekly", look_back=timedelta(days=60), sweep=True)),
        notes=(_NO_LATE_CHANGE_TIME,),
    ),
    Stream(
        name="tolls",
        description="A toll that a vehicle was charged",
        path="tolls/search",
        scope="toll:read",
        key=("Id",),
        fields=records.TOLL,
        filters=(
            Filter("TransponderId", "string", "TransponderId"),
            Filter("UnitIds", "strings", "UnitId", max_items=_MAX_IDS),
        ),
        any_of=("TransponderId", "UnitIds", "DateRange"),
        windows=(
            # Not documented: which field the range filters.
            TimeWindow(
                "transaction",
                "DateRange",
                "TransactionDate",
                column_is_certain=False,
                whole_days=True,
                look_back=timedelta(days=45),
                look_ahead=timedelta(days=1),
            ),
        ),
        default_window="transaction",
        full_read=_ALL_TRANSACTIONS,
        lookup=Lookup("tolls/{id}"),
        tiers=(Tier("daily"), Tier("monthly", look_back=timedelta(days=120), sweep=True)),
        notes=(
            _NO_LATE_CHANGE_TIME,
            "Agencies report tolls weeks later: see PostedAt",
            "UnitId is the Id of a truck or a trailer",
        ),
    ),
)
