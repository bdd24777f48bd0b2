"""Drivers, trucks and trailers, and what they do and cost."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_alvys.api.catalogue.record_rows import fleet as records
from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.stream_spec import (
    WHOLE,
    Branch,
    Filter,
    Lookup,
    Parent,
    Stream,
    Tier,
    TimeWindow,
)

# No page lists them; these are those that real trucks had.
_TRAILER_STATUSES = ("Active", "Inactive", "In Shop", "Crashed", "Repair")
# Without IsActive only the active ones were found.
_ACTIVE_AND_NOT = (Branch({"IsActive": True}), Branch({"IsActive": False}))
_NO_CHANGE_TIME = "Nothing tells when a row changed: it is read whole"
_NO_LATE_CHANGE_TIME = "Nothing tells when a row changed: the last days are read again"
_CROSS_CHECK = "The same rows as of {}, in one list: a cross-check of what the search finds"
_URL_EXPIRES = "DownloadUrl works for about ten minutes: download at once, and do not keep it"
# Which of an event's dates the range tests is not documented, nor whether an event that began before it is found.
_EVENT_DATES = TimeWindow(
    "date",
    ("StartDate", "EndDate"),
    "StartDate",
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
            # In live errors, not on the page.
            Filter("IsActive", "boolean", "IsActive"),
        ),
        any_of=("Status", "Name", "EmployeeId", "FleetName", "IsActive"),
        full_read=_ACTIVE_AND_NOT,
        lookup=Lookup("drivers/{id}"),
        references={"UserId": "users.Id"},
        tiers=(Tier("6-hourly"),),
        notes=(_NO_CHANGE_TIME, "Status is of duty: SLEEPING, DRIVING, ON DUTY, OFF DUTY, ONLINE or OFFLINE"),
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
        notes=("The OpenAPI file says that rows are drivers; the page shows events",),
    ),
    Stream(
        name="driver_documents",
        description="A file kept with a driver",
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
            # A truck has no field of this name, and no field for the registered name.
            Filter("IsActive", "boolean"),
            Filter("RegisteredName", "string"),
        ),
        # Status is not enough.
        any_of=("TruckNumber", "FleetName", "VinNumber", "IsActive", "RegisteredName"),
        full_read=_ACTIVE_AND_NOT,
        lookup=Lookup("trucks/{id}"),
        tiers=(Tier("6-hourly"),),
        notes=(_NO_CHANGE_TIME, "Status was seen as Active, Inactive, In Shop, Crashed and Repair"),
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
        description="A truck's repair, or another time out of use",
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
        description="A file kept with a truck",
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
        # Status alone works, though the page does not count it.
        any_of=("Status", "TrailerNumber", "FleetName", "VinNumber"),
        lookup=Lookup("trailers/{id}"),
        tiers=(Tier("6-hourly"),),
        notes=(
            _NO_CHANGE_TIME,
            "No page lists the statuses. All is read by those seen on trucks, so a trailer of another one is missed: "
            "compare with trailers_list, which takes no filter",
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
        description="A trailer's repair, or another time out of use",
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
        description="A file kept with a trailer",
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
        description="Which dispatcher, drivers, truck and trailer go together",
        path="dispatchpreferences/search",
        scope="dispatch:read",
        scope_is_documented=False,
        # A row has no id, and any of these may be missing.
        key=("DispatcherId", "Driver1Id", "Driver2Id", "TruckId", "TrailerId"),
        fields=records.DISPATCH_PREFERENCE,
        response_type="list",
        filters=(
            Filter("DispatcherIds", "strings", "DispatcherId"),
            # Either of two fields.
            Filter("DriverIds", "strings"),
            Filter("TruckIds", "strings", "TruckId"),
            Filter("TrailerIds", "strings", "TrailerId"),
        ),
        windows=(
            TimeWindow("updated", ("UpdatedAtStart", "UpdatedAtEnd"), "UpdatedAt", tracks_changes=True),
        ),
        # All of it is one answer, and only that shows which rows have gone.
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
            Filter("TruckIds", "strings", "RelatedAsset.AssetId"),
            Filter("TrailerIds", "strings", "RelatedAsset.AssetId"),
            # Whether by Id or by Name is not documented.
            Filter("Categories", "strings"),
            # One text here. The row has no such field.
            Filter("Status", "string", values=("Urgent", "Open", "Closed")),
        ),
        any_of=("TruckIds", "TrailerIds", "Categories", "Status", "DateRange"),
        windows=(
            # Which field the range tests is not documented.
            TimeWindow(
                "created",
                "DateRange",
                "CreatedAt",
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
            "A row may change later, and ModifiedAt cannot be asked for: it is read whole once a week",
            "RelatedAsset.AssetId names a truck or a trailer, by AssetType",
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
            # The row holds no card number.
            Filter("FuelCardNumber", "string"),
            Filter("TruckNumber", "string", "TruckNumber"),
        ),
        any_of=("FuelCardNumber", "TruckNumber", "TransactionRange"),
        windows=(
            # The times are no midnights, but late rows are looked for in whole days.
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
            Filter("UnitIds", "strings", "UnitId"),
        ),
        any_of=("TransponderId", "UnitIds", "DateRange"),
        windows=(
            # The field is our reading.
            TimeWindow(
                "transaction",
                "DateRange",
                "TransactionDate",
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
            "PostedAt lags: agencies report weeks later",
            "UnitId names a truck or a trailer",
        ),
    ),
)
