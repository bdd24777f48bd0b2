"""The changes that ``tender.change.created`` names: Alvys's types, by the fields that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_TYPES = {
    "LoadRate": "Rate",
    "TotalWeight": "Weight WeightUnitCode",
    "Trailer": "Equipment",
    "PaymentMethod": "PaymentMethod",
    "PalletQuantity": "QtyPallets",
    "TenderNotes": "Notes",
}
_STOP_TYPES = {
    "StopSchedule": "ScheduledArrivalStart ScheduledArrivalEnd",
    "StopAddress": "Entity",
    "StopNotes": "Notes",
    "StopInfoChanged": "Type WeightQualifier StopReasonCode SequenceNumber",
}
_PO = "PoNumber"


def change_types(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the type of each change of a tender, in order; a type may occur more than once."""
    old, new = (
        {stop.get("StopId"): stop for stop in record.get("Stops") or ()} for record in (before, after)
    )
    found = [*_differing(_TYPES, before, after), *_references("Tender", before, after)]
    found += ["StopAdded" for id in new if id not in old]
    found += ["StopRemoved" for id in old if id not in new]
    if [id for id in old if id in new] != [id for id in new if id in old]:
        found.append("StopPositionChanged")
    for id in new:
        if id in old:
            found += _differing(_STOP_TYPES, old[id], new[id])
            found += [*_orders(old[id], new[id]), *_references("Stop", old[id], new[id])]
    return found


def _differing(
    types: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterable[str]:
    for type, fields in types.items():
        if any(before.get(name) != after.get(name) for name in fields.split()):
            yield type


def _references(of: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    old, new = (record.get("References") or () for record in (before, after))
    yield from (f"{of}ReferenceAdded" for one in new if one not in old)
    yield from (f"{of}ReferenceRemoved" for one in old if one not in new)


def _orders(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    old, new = (record.get("Orders") or () for record in (before, after))
    if [one.get(_PO) for one in old] != [one.get(_PO) for one in new]:
        yield "StopPoNumberChanged"
    if [{**one, _PO: None} for one in old] != [{**one, _PO: None} for one in new]:
        yield "StopOrderDetailsChanged"
