"""Rebuilds records from tables, and normalizes records for the comparison."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record
from airflow_provider_alvys.tables.schema import build_schema, column_name
from tests.tables.databases import Db

_NUMBERS = {letters: number for number, letters in CURRENCIES.items()}


def rebuild(db: Db, stream: Stream, **options: Any) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the records rebuilt from the tables, by their key."""
    schema = build_schema(stream, **options)
    items: dict[str, dict[tuple[Any, ...], list[dict[str, Any]]]] = {}
    for table in schema.tables[1:]:
        owners: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        rows = db.rows(table.name)
        for row in sorted(rows, key=lambda row: [row[name] for name in table.key]):
            above = tuple(row[name] for name in table.key[:-1])
            assert row["_position"] == len(owners[above]) + 1, "a position is missing"
            owners[above].append(row)
        for found in owners.values():
            assert [bool(row["_is_first"]) for row in found] == [True] + [False] * (len(found) - 1)
            assert [bool(row["_is_last"]) for row in found] == [False] * (len(found) - 1) + [True]
        items[table.path] = owners
    records = {}
    for row in db.rows(schema.main.name):
        key = tuple(row[name] for name in schema.keys)
        records[key] = _object(stream.fields, row, "", "", key, items, db)
    return records


def _object(
    record: Record, row: Mapping[str, Any], path: str, prefix: str, key: tuple[Any, ...], items: Any, db: Db
) -> Any:
    found: dict[str, Any] = {}
    for name, kind in record.fields.items():
        below = f"{path}.{name}" if path else name
        stem = column_name(prefix, name)
        if "secret" in record.flags.get(name, ()):
            assert stem not in row
            continue
        if isinstance(kind, Record):
            value = _object(kind, row, below, f"{stem}_", key, items, db)
        elif isinstance(kind, Array) and below in items:
            value = [
                _item(kind.of, item, below, (*key, item["_position"]), items, db)
                for item in items[below].get(key, ())
            ]
        elif isinstance(kind, Array):
            value = None if row[stem] is None else decode_row(row[stem].encode())
        else:
            value = _leaf(kind, record.flags.get(name, ()), row, stem)
        if value not in (None, [], {}):
            found[name] = value
    if prefix == "" and row.get("_extra"):
        found = _merged(found, decode_row(row["_extra"].encode()))
    return found


def _item(
    kind: FieldType, row: Mapping[str, Any], path: str, key: tuple[Any, ...], items: Any, db: Db
) -> Any:
    if isinstance(kind, Record):
        return _object(kind, row, path, "", key, items, db)
    return row["value"]


def _leaf(kind: str, flags: Any, row: Mapping[str, Any], column: str) -> Any:
    value = row[column]
    if kind == "time" and "local" in flags and row[f"{column}_local"] is not None:
        offset = row[f"{column}_offset"]
        text = f"{row[f'{column}_local']}{offset or ''}"
        if offset and value is not None:
            assert as_utc(text) == value, "the local time and the UTC time differ"
        return value
    if value is None:
        return None
    if kind == "decimal":
        return Decimal(value).normalize()
    if kind == "boolean":
        return bool(value)
    if "currency" in flags:
        return _NUMBERS[value]
    if kind == "json":
        return decode_row(value.encode())
    return value


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _merged(one.get(name), other.get(name)) for name in one.keys() | other.keys()}
    return one if other is None else other


def normalized(kind: FieldType, value: Any, digits: int) -> Any:
    """Return a record's value without empty fields, which tables do not store, and with times in UTC."""
    if isinstance(kind, Record) and isinstance(value, dict):
        pairs = (
            (
                name,
                _NUMBERS.get(item, item)
                if "currency" in kind.flags.get(name, ())
                else normalized(kind.fields.get(name, "json"), item, digits),
            )
            for name, item in value.items()
        )
        return {name: item for name, item in pairs if item not in (None, [], {})}
    if isinstance(kind, Array) and isinstance(value, list):
        return [normalized(kind.of, item, digits) for item in value]
    if kind == "time" and isinstance(value, str):
        return as_utc(value, digits)
    if kind == "decimal" and isinstance(value, (int, Decimal)):
        return Decimal(value).normalize()
    return value


def as_utc(text: str, digits: int = 7) -> str:
    """Return a time as text in UTC, with the digits of a second that the database keeps."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    assert found, text
    day, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}").astimezone(
        timezone.utc
    )
    return f"{moment:%Y-%m-%d %H:%M:%S}.{(fraction or '')[:digits]:0<7}"
