"""A valid write, and helpers of its effects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.api.catalogue.operations import Operation
from airflow_provider_alvys.simulator.company.books.entry import Entry
from airflow_provider_alvys.simulator.company.rows import CompanyRows
from airflow_provider_alvys.simulator.data.row_set import ETAG, RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE
from airflow_provider_alvys.simulator.protocol.bodies import UploadedFile
from airflow_provider_alvys.simulator.protocol.http import json_response
from airflow_provider_alvys.simulator.tenant import Tenant

# The author of changes through the API.
API_USER = "api@acme.example"
# ISO 4217 number of the US dollar.
_DOLLAR = 840


@dataclass(frozen=True)
class TargetRecord:
    """
    The record that a write's path names, and its child if the path names one.

    :param rows: its row set; None if the path names no record.
    :param name: its name in the path.
    """

    rows: RowSet | None
    number: int
    name: str
    children: RowSet | None = None
    child: int = -1


@dataclass
class WriteCall:
    """
    A write with a valid body.

    :param body: its fields in the catalogue's spelling.
    :param has_changed: whether it changed anything.
    """

    tenant: Tenant
    operation: Operation
    target: TargetRecord
    body: dict[str, Any]
    file: UploadedFile | None
    has_changed: bool = True

    @property
    def rows(self) -> RowSet:
        """The row set of the record in the path."""
        if self.target.rows is None:
            raise LookupError(f"{self.operation.path} names no record")
        return self.target.rows

    @property
    def children(self) -> RowSet:
        """The row set of the child in the path."""
        if self.target.children is None:
            raise LookupError(f"{self.operation.path} names no child")
        return self.target.children

    @property
    def number(self) -> int:
        """The row number of the record in the path."""
        return self.target.number

    def value(self, name: str) -> Any:
        """Return a field of the record in the path."""
        return self.rows.column(name)[self.number]

    def find(self, stream: str, name: str | None, column: str = "Id") -> int:
        """
        Return the row of another stream that the body names.

        :raises HTTPException: 422, the row does not exist.
        """
        number = None if name is None else self.tenant.rows(stream).number_of(column, name)
        if number is None:
            raise HTTPException(422, f"No record {name!r} in {stream}.")
        return number

    def update(self, rows: RowSet, number: int, columns: Mapping[str, Any]) -> None:
        """Change a row now."""
        now = self.tenant.now_micros()
        rows.update([number], now, {**self._stamps(rows, now), **columns})

    def book(self, rows: RowSet, number: int, rule: Callable[[Entry], None]) -> None:
        """Change a row now, and others with it, as a rule says."""
        now = self.tenant.now_micros()
        if isinstance(rows, CompanyRows):
            rows.book(number, now, self._stamps(rows, now), rule)

    def _stamps(self, rows: RowSet, now: int) -> dict[str, Any]:
        stamps = {"UpdatedAt": now, "UpdatedBy": API_USER}
        return {name: value for name, value in stamps.items() if rows.spec.type_of(name)}

    def add(self, stream: str, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row with only these columns, its key, and its author and times."""
        rows, now = self.tenant.rows(stream), self.tenant.now_micros()
        spec = rows.spec
        kept = {*spec.stream.key, spec.parent_column, ETAG}
        empty = {name: None for name in spec.fields.fields if name not in kept}
        stamps = {
            "CreatedAt": now,
            "DateCreated": now,
            "DateImported": now,
            "UpdatedAt": now,
            "CreatedBy": API_USER,
            "UpdatedBy": API_USER,
        }
        known: dict[str, Any] = {name: value for name, value in stamps.items() if spec.type_of(name)}
        if spec.type_of(TOMBSTONE):
            known[TOMBSTONE] = False
        number = rows.add(now, {**empty, **known, **columns}, parent)
        rows.childless.add(number)
        return number

    def remove(self, rows: RowSet, number: int) -> None:
        """Remove a row now."""
        rows.remove([number], self.tenant.now_micros())

    def respond_with(self, rows: RowSet, number: int, status: int = 200) -> Response:
        """Return a record as a response."""
        text = rows.record_json(number, with_tombstone=False)
        return json_response(self.tenant.storage.with_download_url(rows, number, text), status)


EffectFunction = Callable[[WriteCall], Response | Awaitable[Response]]


def no_effect(write: WriteCall) -> Response:
    """Respond to a write without a known effect."""
    return json_response({}) if write.operation.has_response else Response(status_code=204)


def find_record(rows: RowSet, column: str, name: str) -> int:
    """
    Return the row with a name.

    :raises HTTPException: 404, the row does not exist or is deleted.
    """
    number = rows.number_of(column, name)
    if number is None or (rows.spec.type_of(TOMBSTONE) and rows.column(TOMBSTONE)[number]):
        raise HTTPException(404, "No such record.")
    return number


def money(amount: float, currency: int | None = None) -> dict[str, Any]:
    """Return an amount in Alvys's form."""
    return {"Amount": round(amount, 2), "Currency": currency or _DOLLAR}


def amount_of(value: Any) -> float:
    """Return the number in an amount of :func:`money` or of a generated record; 0 for None."""
    amount = (value or {}).get("Amount") or 0
    return float(bytes(amount)) if isinstance(amount, msgspec.Raw) else float(amount)


def with_offset(text: str) -> str:
    """Return a time in Alvys's form: with a UTC offset, not Z."""
    return msgspec.convert(text, datetime).isoformat()


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
