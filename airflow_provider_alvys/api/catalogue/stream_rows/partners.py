"""Streams of customers, carriers, locations and users."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows import partners as records
from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.stream_spec import (
    Control,
    Filter,
    Lookup,
    Parent,
    Stream,
    Tier,
    TimeWindow,
)

# Alvys documents the first two and accepts the third.
CUSTOMER_STATUSES = ("Active", "Inactive", "Disabled")
_LOCATION_STATUSES = ("Active", "Disabled", "Inactive")
# The changelog once spells DoNotLoad without spaces.
CARRIER_STATUSES = (
    "Pending",
    "Active",
    "Packet Sent",
    "Packet Completed",
    "Do Not Load",
    "Expired Insurance",
    "Interested",
    "Invited",
)
_CREATED = TimeWindow("created", "CreatedDateRange", "DateCreated")
_NO_CHANGE_TIME = "Rows have no time of their last change, so each sync reads all rows"
_LISTED_STATUSES = (
    "Alvys requires a list of statuses, so a row whose status this version does not know is not found"
)

STREAMS = (
    Stream(
        name="customers",
        description="A company that orders loads",
        path="customers/search",
        scope="customer:read",
        key=("Id",),
        fields=records.CUSTOMER,
        filters=(
            Filter(
                "Statuses",
                "strings",
                "Status",
                values=CUSTOMER_STATUSES,
                default=list(CUSTOMER_STATUSES),
                required=True,
            ),
        ),
        windows=(_CREATED,),
        # A change does not update DateCreated.
        default_window=None,
        lookup=Lookup("customers", one_of={"id": "Id", "companyNumber": "CompanyNumber"}),
        references={"SalesAgentId": "users.Id"},
        tiers=(Tier("daily"),),
        notes=(
            _NO_CHANGE_TIME,
            "A deleted customer becomes Inactive",
            "CompanyNumber is often missing",
            _LISTED_STATUSES,
        ),
    ),
    Stream(
        name="carriers",
        description="A company that transports loads",
        path="carriers/search",
        scope="carrier:read",
        key=("Id",),
        fields=records.CARRIER,
        max_page_size=200,
        filters=(
            Filter("Status", "strings", "Status", values=CARRIER_STATUSES),
            # Not documented; a client was refused more than 200.
            Filter("Ids", "strings", "Id", max_items=200),
            Filter("McNumbers", "strings", "McNum"),
            Filter("DotNumbers", "strings", "UsDotNum"),
        ),
        # By default every status is sent, which finds all rows.
        any_of=("Status", "Ids", "McNumbers", "DotNumbers"),
        lookup=Lookup("carriers/{id}"),
        references={"SalesAgentId": "users.Id"},
        tiers=(Tier("daily"),),
        notes=(
            "UpdatedAt is not a filter, so each sync reads all rows",
            "Status and Ids find subsidiaries as well",
            _LISTED_STATUSES,
        ),
    ),
    Stream(
        name="carrier_documents",
        description="A document of a carrier",
        path="carriers/{Id}/documents",
        method="GET",
        scope="carrier:read",
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("carriers", "Id"),
        notes=("DownloadUrl expires after about ten minutes: download at once and do not store it",),
    ),
    Stream(
        name="locations",
        description="A place where freight is picked up or delivered",
        path="locations/search",
        scope=None,
        key=("Id",),
        fields=records.LOCATION,
        # OpenAPI requires both filters, the page neither.
        filters=(
            Filter(
                "Status",
                "strings",
                "Status",
                values=_LOCATION_STATUSES,
                default=list(_LOCATION_STATUSES),
                required=True,
            ),
            Filter("LocationIds", "strings", "Id", max_items=200, default=[], required=True),
        ),
        control=Control(filters={"Status": []}),
        windows=(_CREATED,),
        # A change does not update DateCreated.
        default_window=None,
        lookup=Lookup("locations", one_of={"id": "Id", "companyNumber": "CompanyNumber"}),
        tiers=(Tier("weekly"),),
        notes=(_NO_CHANGE_TIME, "No document names the scope"),
    ),
    Stream(
        name="users",
        description="A person with an Alvys login",
        path="users/search",
        scope="user:read",
        key=("Id",),
        fields=records.USER,
        # Not documented: which fields it searches.
        filters=(Filter("Keyword", "string"),),
        tiers=(Tier("6-hourly"),),
        notes=("Personal data", "ModifiedAt is not a filter, so each sync reads all rows"),
    ),
    Stream(
        name="users_list",
        description="A person with an Alvys login",
        path="users/list",
        method="GET",
        scope="user:read",
        key=("Id",),
        fields=records.USER,
        response_type="list",
        notes=(
            "Personal data",
            "The rows of users in one list, to verify the result of its search",
        ),
    ),
)
