"""Ids, numbers and times as they stand in the records."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow_provider_alvys.simulator.company.world.places import Place, utc_offset
from airflow_provider_alvys.simulator.data.times import HOUR, format_time

# The end of an open window.
OPEN_END = "9999-12-31T00:00:00+00:00"
_MASK = (1 << 128) - 1
_FACTOR = 0x9E3779B97F4A7C15F39CC0605CEDC835


def text_id(*parts: int) -> str:
    """Return an id of 32 hexadecimal digits for some numbers."""
    return f"{hash(parts) * _FACTOR & _MASK:032x}"


def utc_text(at: int) -> str:
    """Return a time with the offset +00:00."""
    return format_time(at, 0)


def local_text(at: int, place: Place) -> str:
    """Return a time with the offset of a place."""
    return format_time(at, 0, _zone(utc_offset(place, at)))


@cache
def _zone(offset: int) -> str:
    hours, rest = divmod(abs(offset), HOUR)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{rest * 60 // HOUR:02d}"


def place_fields(place: Place) -> dict[str, str]:
    """Return the fields of an address that follow from its place."""
    return {"City": place.city, "State": place.state, "ZipCode": place.zip_code}


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
