"""The changes that the events of loads and trips name: Alvys's kinds, by the fields that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airflow_provider_alvys.simulator.data.columns import value_at


class _Kind(NamedTuple):
    """
    A kind of change.

    :param fields: it is reported once if any of these fields differ.
    :param target: or once for each that differs, with this type of target.
    :param is_recorded: only if the field has a value afterwards.
    """

    name: str
    fields: str
    target: str = ""
    is_recorded: bool = False


# Fields without a kind are not reported as changes, as in Alvys.
_KINDS = {
    "load": (
        _Kind("StatusChanged", "Status"),
        _Kind("RateChanged", "Linehaul CustomerRate"),
        _Kind("FuelSurchargeChanged", "FuelSurcharge"),
        _Kind("AccessorialsChanged", "CustomerAccessorials CustomerAccessorialsDetails"),
        _Kind("MileageChanged", "CustomerMileage"),
        _Kind("InvoicedChanged", "InvoicedAmount InvoicedAt"),
        _Kind("PaymentRecorded", "Payments TotalPaid PaidAt", is_recorded=True),
        _Kind("InvoicingChanged", "InvoiceAs LastInvoiceSentAt"),
        _Kind("CustomerChanged", "CustomerId CustomerName CustomerNumber CustomerType"),
        _Kind("ContractChanged", "ContractId"),
        _Kind("ScheduleChanged", "ScheduledPickupAt ScheduledDeliveryAt"),
        _Kind("Delivered", "DeliveredAt", is_recorded=True),
        _Kind("DimensionsChanged", "Weight Volume"),
        _Kind("NotesChanged", "Notes"),
        _Kind("ReferencesChanged", "References"),
        _Kind("FieldChanged", "OrderNumber PONumber", target="Field"),
    ),
    "trip": (
        _Kind("StatusChanged", "Status"),
        _Kind("ReleasedChanged", "ReleasedAt ReleasedBy"),
        _Kind("DispatchChanged", "DispatchedBy DispatcherId"),
        _Kind("CarrierChanged", "Carrier.Id"),
        _Kind("CarrierPayOnHoldChanged", "CarrierPayOnHold"),
        _Kind("DriverChanged", "Driver1.Id Driver2.Id OwnerOperator.Id"),
        _Kind("TruckChanged", "Truck"),
        _Kind("TrailerChanged", "Trailer"),
        _Kind("TemperatureChanged", "Temperature"),
        _Kind(
            "CarrierRateChanged",
            "Carrier.Rate Carrier.Linehaul Carrier.Accessorials Carrier.AccessorialsDetails "
            "Carrier.TotalPayable",
        ),
        _Kind("TripValueChanged", "TripValue"),
        _Kind(
            "DriverRatesChanged",
            "Driver1.Rates Driver1.RatesV2 Driver2.Rates Driver2.RatesV2 OwnerOperator.RatesV2",
        ),
        _Kind("CarrierPaymentRecorded", "CarrierPaidAt", is_recorded=True),
        _Kind("DueDateChanged", "DueDate"),
        _Kind("ScheduleChanged", "PickupDate DeliveryDate"),
        _Kind("PickedUp", "PickedUpAt", is_recorded=True),
        _Kind("Delivered", "DeliveredAt", is_recorded=True),
        _Kind("MileageChanged", "TotalMileage EmptyMileage LoadedMileage"),
        _Kind("TenderChanged", "TenderAs TenderAsSubsidiaryType"),
        _Kind("ReferencesChanged", "References"),
    ),
}
# Of a stop that is both in the old and in the new list.
_STOP_KINDS = (
    _Kind("StopAddressChanged", "Address Coordinates CompanyId CompanyNumber CompanyName"),
    _Kind("StopTypeChanged", "StopType"),
    _Kind("StopReferencesChanged", "References"),
    _Kind(
        "AppointmentChanged",
        "$type ScheduleType LoadingType AppointmentRequested AppointmentConfirmed AppointmentDate StopWindow",
    ),
    _Kind("ArrivalRecorded", "ArrivedAt", is_recorded=True),
    _Kind("DepartureRecorded", "DepartedAt", is_recorded=True),
    _Kind("StopStatusChanged", "Status"),
)
# A load's stops have no kinds.
_WITH_STOPS = ("trip",)


def changes_of(entity: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the changes of a record as ``data.diff.changes`` has them.

    :param entity: ``load`` or ``trip``.
    """
    changes = _changes(_KINDS[entity], before, after)
    if entity in _WITH_STOPS:
        changes += _stop_changes(before.get("Stops") or (), after.get("Stops") or ())
    return changes


def _changes(
    kinds: Sequence[_Kind], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind in kinds:
        fields = [name for name in kind.fields.split() if _differs(name, before, after, kind.is_recorded)]
        if kind.target:
            found += [_change(kind.name, kind.target, name) for name in fields]
        elif fields:
            found.append({"kind": kind.name})
    return found


def _differs(path: str, before: Mapping[str, Any], after: Mapping[str, Any], is_recorded: bool) -> bool:
    old, new = (value_at(record, path.split(".")) for record in (before, after))
    return bool(old != new) and not (is_recorded and new is None)


def _stop_changes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    old, new = ({str(stop.get("Id")): stop for stop in stops} for stops in (before, after))
    found = [_change("StopAdded", "Stop", id) for id in new if id not in old]
    found += [_change("StopRemoved", "Stop", id) for id in old if id not in new]
    if [id for id in old if id in new] != [id for id in new if id in old]:
        found.append({"kind": "StopReordered"})
    for id in new:
        if id in old:
            found += [_change(one["kind"], "Stop", id) for one in _changes(_STOP_KINDS, old[id], new[id])]
    return found


def _change(kind: str, target: str, id: str) -> dict[str, Any]:
    return {"kind": kind, "target": {"type": target, "id": id}}
