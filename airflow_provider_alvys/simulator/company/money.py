"""Amounts in cents, and quantities in thousandths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec


def money(cents: int, currency: int | str) -> dict[str, Any]:
    """Return an amount in Alvys's form."""
    return {"Amount": decimal(cents), "Currency": currency}


def decimal(units: int, places: int = 2) -> msgspec.Raw:
    """Return a decimal number with all its places, which a float would lose."""
    sign, digits = ("-" if units < 0 else ""), f"{abs(units):0{places + 1}d}"
    return msgspec.Raw(f"{sign}{digits[:-places]}.{digits[-places:]}".encode())


def shares(cents: int, weights: Sequence[int]) -> list[int]:
    """Return parts of an amount in proportion to weights; they sum to the amount exactly."""
    total, used, parts = sum(weights) or len(weights), 0, []
    running = 0
    for weight in weights if sum(weights) else [1] * len(weights):
        running += weight
        upto = cents * running // total
        parts.append(upto - used)
        used = upto
    return parts


def cents_of(value: Mapping[str, Any] | None) -> int:
    """Return an amount in Alvys's form in cents; 0 for None."""
    amount = (value or {}).get("Amount") or 0
    text = bytes(amount).decode() if isinstance(amount, msgspec.Raw) else str(amount)
    return int((Decimal(text) * 100).to_integral_value(ROUND_HALF_UP))
