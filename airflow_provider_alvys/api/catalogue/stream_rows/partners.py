"""Customers, carriers and locations, and the company's own users."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.record_rows import partners as records
from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.stream_spec import Filter, Lookup, Parent, Stream, Tier, TimeWindow

# Alvys documents the first two and takes the third.
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
_NO_CHANGE_TIME = "Nothing tells when a row changed: it is read whole"

STREAMS = (
    Stream(
        name="customers",
        description="A company that gives loads",
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
        # A row changes without moving DateCreated.
        default_window=None,
        lookup=Lookup("customers", one_of={"id": "Id", "companyNumber": "CompanyNumber"}),
        references={"SalesAgentId": "users.Id"},
        tiers=(Tier("daily"),),
        notes=(_NO_CHANGE_TIME, "Deleting a customer makes it Inactive", "CompanyNumber is often missing"),
    ),
    Stream(
        name="carriers",
        description="A company that carries loads",
        path="carriers/search",
        scope="carrier:read",
        key=("Id",),
        fields=records.CARRIER,
        max_page_size=200,
        filters=(
            Filter("Status", "strings", "Status", values=CARRIER_STATUSES),
            Filter("Ids", "strings", "Id"),
            Filter("McNumbers", "strings", "McNum"),
            Filter("DotNumbers", "strings", "UsDotNum"),
        ),
        # Where none is given, every status is sent: that finds all.
        any_of=("Status", "Ids", "McNumbers", "DotNumbers"),
        lookup=Lookup("carriers/{id}"),
        references={"SalesAgentId": "users.Id"},
        tiers=(Tier("daily"),),
        notes=("UpdatedAt cannot be asked for: it is read whole", "Status and Ids find subsidiaries, too"),
    ),
    Stream(
        name="carrier_documents",
        description="A file kept with a carrier",
        path="carriers/{Id}/documents",
        method="GET",
        scope="carrier:read",
        key=("id",),
        fields=DOCUMENT,
        response_type="list",
        parent=Parent("carriers", "Id"),
        notes=("DownloadUrl works for about ten minutes: download at once, and do not keep it",),
    ),
    Stream(
        name="locations",
        description="A place where freight is picked up or delivered",
        path="locations/search",
        scope=None,
        key=("Id",),
        fields=records.LOCATION,
        # OpenAPI requires both, the page neither.
        filters=(
            Filter(
                "Status",
                "strings",
                "Status",
                values=_LOCATION_STATUSES,
                default=list(_LOCATION_STATUSES),
                required=True,
            ),
            Filter("LocationIds", "strings", "Id", default=[], required=True),
        ),
        windows=(_CREATED,),
        # A row changes without moving DateCreated.
        default_window=None,
        lookup=Lookup("locations", one_of={"id": "Id", "companyNumber": "CompanyNumber"}),
        tiers=(Tier("weekly"),),
        notes=(_NO_CHANGE_TIME, "No page names the scope that it needs"),
    ),
    Stream(
        name="users",
        description="Someone who signs in to Alvys",
        path="users/search",
        scope="user:read",
        key=("Id",),
        fields=records.USER,
        # In which fields it is looked for is not documented.
        filters=(Filter("Keyword", "string"),),
        tiers=(Tier("6-hourly"),),
        notes=("Personal data", "ModifiedAt cannot be asked for: it is read whole"),
    ),
    Stream(
        name="users_list",
        description="Someone who signs in to Alvys",
        path="users/list",
        method="GET",
        scope="user:read",
        key=("Id",),
        fields=records.USER,
        response_type="list",
        notes=(
            "Personal data",
            "The same rows as of users, in one list: a cross-check of what the search finds",
        ),
    ),
)
