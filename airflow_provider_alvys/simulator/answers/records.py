"""The records behind the answers, with only the fields that they need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from airflow_provider_alvys.api.schema.currencies import CURRENCIES, currency_number
from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE

RowsOf = Callable[[str], RowSet]
_Kind = TypeVar("_Kind", bound="PartRecord")
# The year of the end of a window that never closes.
_NO_END = "9999"


class PartRecord(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """An object in a record, with Alvys's names of its fields."""


class Money(PartRecord, frozen=True, kw_only=True):
    """An amount of money."""

    amount: Decimal = Decimal()
    currency: int | str | None = None

    @property
    def cents(self) -> int:
        """The amount in cents."""
        return int((self.amount * 100).to_integral_value())

    @property
    def code(self) -> str:
        """The currency's ISO 4217 code."""
        return currency_code(self.currency)


def currency_code(value: Any) -> str:
    """Return a currency's ISO 4217 code; Alvys sends the number or the code."""
    return CURRENCIES.get(currency_number(value), str(value))


class WindowRecord(PartRecord, frozen=True, kw_only=True):
    """The time in which a stop is open."""

    begin: str | None = None
    end: str | None = None


class Address(PartRecord, frozen=True, kw_only=True):
    """An address."""

    city: str | None = None
    state: str | None = None


class StopRecord(PartRecord, frozen=True, kw_only=True):
    """A stop of a load or trip."""

    stop_type: str | None = None
    address: Address = Address()
    appointment_date: str | None = None
    stop_window: WindowRecord = WindowRecord()
    arrived_at: str | None = None

    @property
    def place(self) -> str:
        """The city and state."""
        return f"{self.address.city}, {self.address.state}"

    @property
    def offset(self) -> timedelta:
        """The offset of its local times from UTC."""
        local = self.appointment_date or self.stop_window.begin or self.stop_window.end or self.arrived_at
        return offset_of(local) if local else timedelta()

    def is_on_time(self) -> bool | None:
        """Return whether it was reached in time; None if it was not reached, or nothing was due."""
        due = self.appointment_date or self.stop_window.end
        if self.arrived_at is None or due is None:
            return None
        return due.startswith(_NO_END) or moment(self.arrived_at) <= moment(due)


class LoadRecord(PartRecord, frozen=True, kw_only=True):
    """A load."""

    id: str
    load_number: str
    status: str
    load_type: str | None = None
    customer_id: str | None = None
    customer_name: str | None = None
    customer_rate: Money = Money()
    delivered_at: str | None = None
    invoiced_at: str | None = None
    stops: list[StopRecord] = []

    def first_pickup(self) -> StopRecord | None:
        """Return its first pickup."""
        return next((stop for stop in self.stops if stop.stop_type == "Pickup"), None)

    def last_delivery(self) -> StopRecord | None:
        """Return its last delivery."""
        return next((stop for stop in reversed(self.stops) if stop.stop_type == "Delivery"), None)


class Distance(PartRecord, frozen=True, kw_only=True):
    """A distance in miles."""

    value: Decimal = Decimal()


class Mileage(PartRecord, frozen=True, kw_only=True):
    """A distance and its source."""

    distance: Distance = Distance()


class Crew(PartRecord, frozen=True, kw_only=True):
    """A driver of a trip, with the pay policy of today."""

    id: str | None = None
    rates_v2: Any = None


class CarrierPay(PartRecord, frozen=True, kw_only=True):
    """What a carrier is paid for a trip."""

    linehaul: Money | None = None
    accessorials: Money = Money()


class Trip(PartRecord, frozen=True, kw_only=True):
    """A trip."""

    trip_number: str
    load_number: str
    status: str
    tender_as_subsidiary_type: str | None = None
    trip_value: Money = Money()
    loaded_mileage: Mileage = Mileage()
    empty_mileage: Mileage = Mileage()
    delivered_at: str | None = None
    driver1: Crew = Crew()
    driver2: Crew = Crew()
    carrier: CarrierPay = CarrierPay()
    stops: list[StopRecord] = []

    @property
    def is_asset(self) -> bool:
        """Whether the own fleet hauls it."""
        return self.tender_as_subsidiary_type == "Carrier"


class PaymentRecord(PartRecord, frozen=True, kw_only=True):
    """A payment of an invoice."""

    payment_date: str | None = None
    amount: Money = Money()


class InvoicedLoad(PartRecord, frozen=True, kw_only=True):
    """A load of an invoice."""

    id: str | None = None


class InvoiceRecord(PartRecord, frozen=True, kw_only=True):
    """An invoice."""

    status: str
    invoiced_date: str | None = None
    due_date: str | None = None
    total: Money = Money()
    payments: list[PaymentRecord] = []
    loads: list[InvoicedLoad] = []


class LineRecord(PartRecord, frozen=True, kw_only=True):
    """A line of a driver's statement."""

    trip_number: str | None = None
    load_number: str | None = None
    amount: Money = Money()


class StatementDriver(PartRecord, frozen=True, kw_only=True):
    """The driver of a statement."""

    type: str = ""


class StatementTotals(PartRecord, frozen=True, kw_only=True):
    """The totals of a driver's statement."""

    gross_income: Money = Money()
    net_income: Money = Money()


class DriverStatement(PartRecord, frozen=True, kw_only=True):
    """A driver's settlement statement."""

    status: str
    statement_date: str
    driver: StatementDriver = StatementDriver()
    totals: StatementTotals = StatementTotals()
    line_items: list[LineRecord] = []


class CarrierStatement(PartRecord, frozen=True, kw_only=True):
    """A carrier's settlement statement."""

    statement_date: str
    net_amount: Money = Money()


def read(rows_of: RowsOf, stream: str, kind: type[_Kind]) -> list[_Kind]:
    """Return the records of a stream that are not deleted."""
    rows, decoder = rows_of(stream), msgspec.json.Decoder(kind)
    numbers = rows.numbers()
    if rows.spec.type_of(TOMBSTONE):
        is_deleted = rows.column(TOMBSTONE)
        numbers = [number for number in numbers if not is_deleted[number]]
    return [decoder.decode(rows.record_json(number, with_tombstone=False)) for number in numbers]


def offset_of(text: str) -> timedelta:
    """Return the offset from UTC at the end of a time; without one, 0."""
    if text[-6:-5] not in ("+", "-"):
        return timedelta()
    offset = timedelta(hours=int(text[-5:-3]), minutes=int(text[-2:]))
    return -offset if text[-6] == "-" else offset


def moment(text: str) -> tuple[datetime, str]:
    """Return a time in UTC, to the second, and the digits of the rest of the second."""
    digits = text[19:].partition("+")[0].partition("-")[0].strip(".Z")
    return datetime.fromisoformat(text[:19]) - offset_of(text), digits.ljust(7, "0")


def local_day(text: str, offset: timedelta) -> date:
    """Return the day of a time in a zone."""
    return (moment(text)[0] + offset).date()


def written_day(text: str) -> date:
    """Return the day of a date, or of a midnight that stands for one."""
    return date.fromisoformat(text[:10])
