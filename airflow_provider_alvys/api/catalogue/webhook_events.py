"""What webhooks report: the events, the kinds of changes to loads and trips, and the changes to tenders."""

from __future__ import annotations

from collections.abc import Mapping

_PARENTS = ("load", "trip", "driver", "carrier", "truck", "trailer")

EVENTS = (
    "tender.created",
    "tender.change.created",
    "tender.accepted",
    "tender.cancelled",
    "tender.change.accepted",
    "tender.rejected",
    "tender.invoiced",
    "tender.stop.arrived",
    "tender.stop.departed",
    "tender.stop.eta_updated",
    "tender.bid.submitted",
    "load.status.changed",
    "load.changed",
    "trip.status.changed",
    "trip.changed",
    *(f"{parent}.document.{verb}" for parent in _PARENTS for verb in ("uploaded", "deleted")),
)
"""The events that a webhook can subscribe to."""

CHANGE_KINDS: Mapping[str, frozenset[str]] = {
    "load": frozenset(
        """
        StatusChanged RateChanged FuelSurchargeChanged AccessorialsChanged MileageChanged InvoicedChanged
        PaymentRecorded InvoicingChanged CustomerChanged ContractChanged ScheduleChanged DueDateChanged
        Delivered DimensionsChanged CommodityChanged NotesChanged ReferencesChanged FieldChanged
        """.split()
    ),
    "trip": frozenset(
        """
        StatusChanged ReleasedChanged DispatchChanged CarrierChanged CarrierPayOnHoldChanged
        DriverChanged TruckChanged TrailerChanged TemperatureChanged CarrierRateChanged TripValueChanged
        FuelSurchargeChanged DriverRatesChanged CarrierPaymentRecorded DueDateChanged StopAdded
        StopRemoved StopReordered StopAddressChanged StopTypeChanged StopCommodityChanged
        StopNotesChanged StopReferencesChanged StopInstructionsChanged AppointmentChanged ScheduleChanged
        ArrivalRecorded DepartureRecorded StopStatusChanged PickedUp Delivered MileageChanged
        TenderChanged ReferencesChanged FieldChanged
        """.split()
    ),
}
"""
The kinds of changes that ``load.changed`` and ``trip.changed`` name. Alvys may add others.

``FieldChanged`` occurs only for a load's OrderNumber and PONumber.
"""

TENDER_CHANGE_TYPES = frozenset(
    """
    LoadRate TotalWeight Trailer PaymentMethod PalletQuantity Distance TenderNotes TenderCharges
    AccessorialsUpdate PurchaseOrderNumber TenderReferenceAdded TenderReferenceRemoved StopSchedule
    StopAddress StopAdded StopRemoved StopNotes StopPositionChanged StopOrderDetailsChanged
    StopPoNumberChanged StopInfoChanged StopReferenceAdded StopReferenceRemoved
    """.split()
)
"""The changes that ``tender.change.created`` names. Alvys may add others."""
