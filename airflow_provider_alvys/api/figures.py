"""Figures as messages show them."""

from __future__ import annotations


def counted(number: int, unit: str) -> str:
    """Return a number with a unit: ``5,000 loads``, ``1 page``. A unit that ends in s is a plural."""
    is_word = unit.endswith("s") and "_" not in unit
    return f"{number:,} {unit[:-1] if number == 1 and is_word else unit}"


def duration(seconds: float) -> str:
    """Return a length of time: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(number: int) -> str:
    """Return a number of bytes: ``12 kB``, ``3.4 MB``."""
    if number < 1e6:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"
