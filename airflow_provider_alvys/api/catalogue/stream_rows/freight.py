"""Streams of loads, trips and tenders."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_alvys.api.catalogue.record_rows import freight as records
from airflow_provider_alvys.api.catalogue.stream_spec import (
    Control,
    Filter,
    Lookup,
    Stream,
    Tier,
    TimeWindow,
)

# From a live validation error. The page lists only 16 of them.
_LOAD_STATUSES = (
    "Admin",
    "In Review",
    "Open",
    "Quoted",
    "Reserved",
    "Covered",
    "Dispatched",
    "In Transit",
    "Delivered",
    "TONU",
    "Released",
    "Released-Carrier Paid",
    "Carrier Paid",
    "Trip Completed",
    "Queued",
    "Invoiced",
    "Financed",
    "Completed",
    "Paid",
    "Cancelled",
    "En-Route",
)
# Trips no longer become Paid since July 2026, but old ones keep it.
_TRIP_STATUSES = (
    "Open",
    "Reserved",
    "Covered",
    "Dispatched",
    "In Transit",
    "Delivered",
    "Invoiced",
    "Completed",
    "Quoted",
    "Released",
    "TONU",
    "Cancelled",
    "Queued",
    "Financed",
    "Paid",
    "In Review",
)
# Not documented. Admin has no rank; Cancelled and TONU (truck ordered, not used) end a load early.
_LOAD_STATUS_ORDER = (
    ("Quoted", "In Review", "Open", "Reserved"),
    ("Covered",),
    ("Dispatched",),
    ("En-Route",),
    ("In Transit",),
    ("Delivered",),
    ("Trip Completed", "Released", "Queued"),
    ("Invoiced", "Financed", "Carrier Paid", "Released-Carrier Paid"),
    ("Completed", "Paid"),
)
_TRIP_STATUS_ORDER = (
    ("Quoted", "In Review", "Open", "Reserved"),
    ("Covered",),
    ("Dispatched",),
    ("In Transit",),
    ("Delivered",),
    ("Released", "Queued"),
    ("Invoiced", "Financed"),
    ("Completed", "Paid"),
)
# Clients were refused more load numbers for trips and invoices. For loads, the page says 150 and a later
# document 50; for the other numbers there is only that document.
_MAX_NUMBERS = 50
# Without it a deleted row would disappear unnoticed. OpenAPI requires it, the page does not.
_INCLUDE_DELETED = Filter("IncludeDeleted", "boolean", default=True, unhides="IsDeleted")

STREAMS = (
    Stream(
        name="loads",
        description="A customer's order to move freight",
        path="loads/search",
        scope="load:read",
        key=("Id",),
        fields=records.LOAD,
        filters=(
            Filter("Status", "strings", "Status", values=_LOAD_STATUSES),
            Filter("OrderNumbers", "strings", "OrderNumber", max_items=_MAX_NUMBERS),
            Filter("LoadNumbers", "strings", "LoadNumber", max_items=_MAX_NUMBERS),
            Filter("PONumbers", "strings", "PONumber"),
            Filter("CustomerId", "string", "CustomerId"),
            Filter("UpdatedBy", "string", "UpdatedBy"),
            Filter("CustomerSalesAgentId", "string", "CustomerSalesAgentId"),
            _INCLUDE_DELETED,
        ),
        # A date range alone is refused. CustomerSalesAgentId is in OpenAPI and live errors, not on the page.
        any_of=(
            "Status",
            "OrderNumbers",
            "LoadNumbers",
            "PONumbers",
            "CustomerId",
            "UpdatedBy",
            "CustomerSalesAgentId",
        ),
        windows=(
            TimeWindow("updated", "UpdatedAtRange", "UpdatedAt", tracks_changes=True),
            TimeWindow("created", "DateRange", "CreatedAt"),
        ),
        default_window="updated",
        lookup=Lookup("loads", one_of={"id": "Id", "loadNumber": "LoadNumber", "orderNumber": "OrderNumber"}),
        references={
            "CustomerId": "customers.Id",
            "CustomerSalesAgentId": "users.Id",
            "TenderId": "tenders.Id",
        },
        tiers=(
            Tier("hourly", overlap=timedelta(minutes=30)),
            Tier("daily", overlap=timedelta(days=3)),
            Tier("weekly", window="created", look_back=timedelta(days=120), sweep=True),
            Tier("monthly", window="created", look_back=timedelta(days=395), sweep=True),
        ),
        final_when="if Completed, Paid or Cancelled; rates may be corrected later",
        notes=(
            "Older loads have no UpdatedAt; only the created window finds them",
            "LoadNumber is unique within a subsidiary only: join by Id where you have several subsidiaries",
            "Alvys refuses a window without a status, so a load whose status this version does not know is "
            "not found",
            "Loads without a trip are hidden, and their documents and notes give a 404",
            "IsDeleted is present only with IncludeDeleted",
            "LoadType is deprecated",
        ),
        number_is_unique=False,
        status_order=_LOAD_STATUS_ORDER,
    ),
    Stream(
        name="trips",
        description="The transport of a load, or of one leg of it, by a driver or a carrier",
        path="trips/search",
        scope="trip:read",
        key=("Id",),
        fields=records.TRIP,
        filters=(
            Filter("Status", "strings", "Status", values=_TRIP_STATUSES),
            Filter("LoadNumbers", "strings", "LoadNumber", max_items=_MAX_NUMBERS),
            Filter("TripNumbers", "strings", "TripNumber", max_items=_MAX_NUMBERS),
            Filter("UpdatedBy", "string", "UpdatedBy"),
            _INCLUDE_DELETED,
            # These three are in the changelog only. DriverId matches both drivers and the owner operator.
            Filter("DriverId", "string"),
            Filter("TruckId", "string", "Truck.Id"),
            Filter("TrailerId", "string", "Trailer.Id"),
        ),
        # Any range is enough: UpdatedAtRange by the changelog, the others by a later document and by clients.
        # The page does not say so.
        any_of=(
            "Status",
            "LoadNumbers",
            "TripNumbers",
            "UpdatedBy",
            "UpdatedAtRange",
            "PickupDateRange",
            "DeliveryDateRange",
            "DriverId",
            "TruckId",
            "TrailerId",
        ),
        control=Control(window="updated"),
        windows=(
            TimeWindow("updated", "UpdatedAtRange", "UpdatedAt", tracks_changes=True),
            # Scheduled times, judging by their names, so both may be in the future.
            TimeWindow("pickup", "PickupDateRange", "PickupDate", column_is_certain=False, look_ahead=None),
            TimeWindow(
                "delivery", "DeliveryDateRange", "DeliveryDate", column_is_certain=False, look_ahead=None
            ),
        ),
        default_window="updated",
        lookup=Lookup("trips", one_of={"id": "Id", "tripNumber": "TripNumber"}, options=("includeDeleted",)),
        references={
            "LoadNumber": "loads.LoadNumber",
            "Truck.Id": "trucks.Id",
            "Trailer.Id": "trailers.Id",
            "Driver1.Id": "drivers.Id",
            "Driver2.Id": "drivers.Id",
            "OwnerOperator.Id": "drivers.Id",
            "Carrier.Id": "carriers.Id",
            "DispatcherId": "users.Id",
            "CarrierSalesAgentId": "users.Id",
        },
        tiers=(
            Tier("hourly", overlap=timedelta(minutes=30)),
            Tier("daily", overlap=timedelta(days=3)),
            Tier("weekly", window="pickup", look_back=timedelta(days=120), sweep=True),
            Tier("monthly", window="pickup", look_back=timedelta(days=395), sweep=True),
        ),
        final_when="if Completed or Cancelled; rates may be corrected later",
        notes=(
            "Trips have no CreatedAt, and older ones no UpdatedAt: read older months with the pickup window",
            "Legs that were split or replaced are found only with IncludeDeleted, and have IsDeleted true",
            "RatesV2 is the current pay policy, not the one at the time of the payment",
            "Carrier.Accessorials is a total; the list is Carrier.AccessorialsDetails",
            "The look-up of one trip adds Telemetry to Truck and Trailer",
            "Eta is that of the last stop. Planned and Live need ETAs from hours of service; Manual does not",
            "DueDate is an estimate until Carrier.CarrierInvoiceNumber is set",
            "TripNumber and LoadNumber are unique within a subsidiary only",
        ),
        status_order=_TRIP_STATUS_ORDER,
    ),
    Stream(
        name="tenders",
        description="A customer's offer of a load, mostly by EDI",
        path="tenders/search",
        scope="tender:read",
        key=("Id",),
        fields=records.TENDER,
        # The values are not documented.
        filters=(
            Filter("Filter.Status", "strings", "Status"),
            Filter("Filter.Type", "string"),
            Filter("Filter.Source", "string"),
            Filter("Filter.SourceCustomer", "string"),
            Filter("Filter.ShipmentId", "string", "ShipmentId"),
            Filter("Filter.LoadNumber", "string", "LoadNumber"),
            Filter("Filter.ExternalTenderId", "string"),
            Filter("Sort.Field", "string"),
            Filter("Sort.Direction", "string"),
        ),
        windows=(
            # Assumed, because a tender has no other time of creation.
            TimeWindow(
                "created",
                "Filter.CreatedAtRange",
                "DateImported",
                column_is_certain=False,
                whole_days=True,
                look_back=timedelta(days=7),
                look_ahead=timedelta(days=1),
            ),
        ),
        default_window="created",
        lookup=Lookup("tenders/{tenderId}"),
        references={"LoadNumber": "loads.LoadNumber"},
        tiers=(Tier("2-hourly"), Tier("weekly", look_back=timedelta(days=45), sweep=True)),
        notes=(
            "Tenders have no time of their last change, so each sync reads the last days again",
            "Times are objects with DateTime and TimeZoneCode, except DateImported, which is a string",
        ),
    ),
)
