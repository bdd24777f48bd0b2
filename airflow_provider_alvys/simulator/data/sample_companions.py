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
    "Hazmat": ("false", "false", "true"),
    "Ready date": ("2026-11-1?", "2026-10-1?", "2026-09-2?"),
    "Service level": ("Standard", "Expedited", "Über Nacht"),
}
_REFERENCE_TYPES: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(_REFERENCES, ("Text",)),
    "Lease  Id": ("",),
    "Hazmat": ("Bool",),
    "Ready date": ("Date",),
    "Service level": ("List",),
}
_NOTHING = (None,)
_ERRORS: Mapping[str, tuple[Any, ...]] = {
    "Completed": _NOTHING,
    "Active": _NOTHING,
    "Cancelled": _NOTHING,
    "Failed": (
        "401 from the partner: the token has expired",
        "The shipment is not in the partner's system",
        "Spedition nicht gefunden",
    ),
}
# By stream, or by list: a field of a row or item, another field that fits it, and that one's values.
COMPANIONS: Mapping[str, tuple[tuple[str, str, Mapping[str, tuple[Any, ...]]], ...]] = {
    "References": (("Name", "Value", _REFERENCES), ("Name", "Type", _REFERENCE_TYPES)),
    **{f"visibility_{kind}_history": (("Status", "Error", _ERRORS),) for kind in ("inbound", "outbound")},
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
