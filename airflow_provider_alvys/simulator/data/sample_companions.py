"""Values of fields that fit the values of other fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REFERENCES: Mapping[str, tuple[Any, ...]] = {
    "BOL": ("BOL????????",),
    "BOL #": ("????????",),
    "PO": ("PO-??????", "45????????"),
    "PRO": ("PRO?????????",),
    "Seal": ("SL???????",),
    "Seal  #": ("???????", "??????? / ???????"),
    "Appointment #": ("APT???????",),
    "Pickup #": ("PU???????",),
    "Permit": ("OS/OW-??????",),
    "Permit ": ("OS/OW-??????",),
    "Lease Id": ("LS?????",),
    "Lease  Id": ("LS?????",),
}
_EDI_REFERENCES: Mapping[str, tuple[Any, ...]] = {
    "BM": ("Bill of lading ????????",),
    "PO": ("Purchase order 45????????",),
    "SI": ("Shipper's id S???????",),
    "CN": ("PRO number ?????????",),
}
_NOTHING = (None,)
# By stream, or by list: a field of a row or item, another field that fits it, and that one's values.
COMPANIONS: Mapping[str, tuple[tuple[str, str, Mapping[str, tuple[Any, ...]]], ...]] = {
    "References": (("Name", "Value", _REFERENCES),),
    "tenders.References": (("Qualifier", "Description", _EDI_REFERENCES),),
    "tenders.Stops.References": (("Qualifier", "Description", _EDI_REFERENCES),),
    "webhooks": (
        (
            "Status",
            "DisabledReason",
            {
                "Active": _NOTHING,
                "Pending": _NOTHING,
                "Disabled": ("10 consecutive failures", "Turned off by the administrator"),
            },
        ),
        ("Status", "ConsecutiveFailures", {"Active": (0, 0, 1, 3), "Pending": (0,), "Disabled": (10,)}),
    ),
    "webhook_delivery_logs": (
        ("Status", "HttpStatusCode", {"Success": (200, 202), "Failed": (500, 503)}),
        ("Status", "ErrorMessage", {"Success": _NOTHING, "Failed": ("Internal Server Error", "Überlastet")}),
    ),
}
