"""Fields of a record that follow from its other fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

# By field of a load: the type of the stop whose address it is, and whether it is the first or the last one.
_ENDS = {"Origin": ("Pickup", 0), "Destination": ("Delivery", -1)}
# Of a webhook's deliveries; their sum is the number of attempts.
_COUNTS = ("SuccessCount", "FailureCount", "TimeoutCount", "SkippedCount")


def set_derived_fields(names: Collection[str], record: dict[str, Any]) -> None:
    """Set the fields with these names that follow from others, or remove them if nothing does."""
    stops = record.get("Stops") or []
    if "Origin" in names or "Destination" in names:
        for name, (kind, place) in _ENDS.items():
            found = [stop["Address"] for stop in stops if stop.get("StopType") == kind and "Address" in stop]
            if name in names:
                _set(record, name, found[place] if found else None)
    if "Eta" in names:
        _set(record, "Eta", stops[-1].get("Eta") if stops else None)
    if "CustomerAccessorialsDetails" in names:
        for charge in record.get("CustomerAccessorialsDetails") or ():
            _set(charge, "StopId", stops[-1].get("Id") if stops else None)
    if "Metrics" in names and "Metrics" in record:
        metrics = record["Metrics"]
        total = sum(metrics.get(name, 0) for name in _COUNTS)
        metrics["TotalAttempts"] = total
        rate = 1000 * metrics.get("SuccessCount", 0) // max(1, total)
        metrics["SuccessRate"] = msgspec.Raw(b"%d.%d0" % divmod(rate, 10))


def _set(record: dict[str, Any], name: str, value: Any) -> None:
    record.pop(name, None)
    if value is not None:
        record[name] = value
