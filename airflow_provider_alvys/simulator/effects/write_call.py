"""A write that is valid, and what its effects are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_alvys.api.catalogue.operations import Operation
from airflow_provider_alvys.simulator.data.row_set import ETAG, RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE
from airflow_provider_alvys.simulator.protocol.bodies import UploadedFile
from airflow_provider_alvys.simulator.protocol.http import json_response
from airflow_provider_alvys.simulator.tenant import Tenant

# Who makes changes through the API.
API_USER = "api@acme.example"
# The US dollar, by its number in ISO 4217.
_DOLLAR = 840


@dataclass(frozen=True)
class TargetRecord:
    """
    The record that a write's path names, and the child of it that it names beside.

    :param rows: its set, or None where the path names none.
    :param name: as the path has it.
    """

    rows: RowSet | None
    number: int
    name: str
    children: RowSet | None = None
    child: int = -1


@dataclass
class WriteCall:
    """
    A write whose body is valid.

    :param body: its fields in the catalogue's spelling.
    :param has_acted: False when it has changed nothing.
    """

    tenant: Tenant
    operation: Operation
    target: TargetRecord
    body: dict[str, Any]
    file: UploadedFile | None
    has_changed: bool = True

    @property
    def rows(self) -> RowSet:
        """The set of the record that the path names."""
        if self.target.rows is None:
            raise LookupError(f"{self.operation.path} names no record")
        return self.target.rows

    @property
    def children(self) -> RowSet:
        """The set of the child that the path names."""
        if self.target.children is None:
            raise LookupError(f"{self.operation.path} names no child")
        return self.target.children

    @property
    def number(self) -> int:
        """Of the record that the path names."""
        return self.target.number

    def value(self, name: str) -> Any:
        """Return a field of the record that the path names."""
        return self.rows.column(name)[self.number]

    def find(self, stream: str, name: str | None, column: str = "Id") -> int:
        """
        Return the row of another stream that the body names.

        :raises HTTPException: there is none.
        """
        number = None if name is None else self.tenant.rows(stream).number_of(column, name)
        if number is None:
            raise HTTPException(422, f"There is no {name!r} among the {stream}.")
        return number

    def update(self, rows: RowSet, number: int, columns: Mapping[str, Any]) -> None:
        """Change a row now."""
        now = self.tenant.now_micros()
        stamps = {"UpdatedAt": now, "UpdatedBy": API_USER}
        known = {name: value for name, value in stamps.items() if rows.spec.type_of(name)}
        rows.update([number], now, {**known, **columns})

    def add(self, stream: str, columns: Mapping[str, Any], parent: str | None = None) -> int:
        """Add a row with these columns, and nothing else but its key and what says when and by whom it was made."""
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
    """Response a write of which nothing is known but its row in the catalogue."""
    return json_response({}) if write.operation.has_response else Response(status_code=204)


def find_record(rows: RowSet, column: str, name: str) -> int:
    """
    Return the row that has a name.

    :raises HTTPException: there is none, or it is deleted.
    """
    number = rows.number_of(column, name)
    if number is None or (rows.spec.type_of(TOMBSTONE) and rows.column(TOMBSTONE)[number]):
        raise HTTPException(404, "There is no such record.")
    return number


def money(amount: float, currency: int | None = None) -> dict[str, Any]:
    """Return an amount as Alvys writes it."""
    return {"Amount": round(amount, 2), "Currency": currency or _DOLLAR}


def amount_of(value: Any) -> float:
    """Return the amount of what :func:`money` or a made-up record holds; 0 for nothing."""
    amount = (value or {}).get("Amount") or 0
    return float(bytes(amount)) if isinstance(amount, msgspec.Raw) else float(amount)


def with_offset(text: str) -> str:
    """Return a time as Alvys writes it: with a zone's offset rather than Z."""
    return msgspec.convert(text, datetime).isoformat()


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}
