"""Draws the answers as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from scripts.questions import BUCKETS, Answers, Debt, Lane, by_customer, currencies

_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_BLUES = mpl.colormaps["YlGnBu"]
_GOOD, _FAIR, _BAD = "#2b8a8a", "#e0a030", "#c8553d"
_OURS, _FINANCED = "#e08a3c", "#f2d6a2"
# Of a currency, thousands.
_SIGNS = {"USD": "$", "CAD": "C$"}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _GRID,
    "xtick.color": _FAINT,
    "ytick.color": _INK,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
CUSTOMERS, LANES = 10, 10
_MIN_BARS = 2
# Percent of deliveries on time: from these on, a lane is fair or good.
_MIN_FAIR, _MIN_GOOD = 75, 90


def draw(answers: Answers, file: Path, subtitle: str) -> None:
    """Draw the three answers into a PNG file. Each currency has axes of its own."""
    revenue = {name: by_customer(answers.revenue, name) for name in currencies(answers.revenue)}
    months = sorted({row.month for row in answers.revenue})
    with mpl.rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(
            w_pad=0.12, h_pad=0.14, wspace=0.05, hspace=0.04, rect=(0, 0, 1, 0.92)
        )
        figure = Figure(figsize=(14, 8.8), dpi=110, facecolor="white", layout=layout)
        figure.text(
            0.012,
            0.965,
            "What the freight brought in, how it arrived, and what is still owed",
            size=17,
            weight="bold",
            va="center",
        )
        figure.text(0.012, 0.93, subtitle, size=10.5, color=_FAINT, va="center")
        columns = figure.add_gridspec(1, 2, width_ratios=(1.12, 1))
        # Two more for the title and the axis.
        heights = [2 + max(_MIN_BARS, min(len(customers), CUSTOMERS)) for customers in revenue.values()]
        places = columns[0].subgridspec(len(revenue), 1, height_ratios=heights)
        for row, (currency, customers) in enumerate(revenue.items()):
            _draw_revenue(figure.add_subplot(places[row]), currency, customers, months)
        right = columns[1].subgridspec(2, 1, height_ratios=(1.4, 1))
        _draw_lanes(figure.add_subplot(right[0]), answers.lanes[:LANES])
        owed = currencies(answers.debts)
        bottom = right[1].subgridspec(1, len(owed))
        for number, currency in enumerate(owed):
            debts = [debt for debt in answers.debts if debt.currency == currency]
            _draw_debts(figure.add_subplot(bottom[number]), currency, debts, is_first=number == 0)
        figure.savefig(file)


def _draw_revenue(
    axes: Axes, currency: str, customers: Mapping[str, Mapping[str, int]], months: Sequence[str]
) -> None:
    shown = list(customers.items())[:CUSTOMERS]
    names = [name for name, _ in shown]
    places = range(len(names))
    left = [0.0] * len(names)
    for number, month in enumerate(months):
        widths = [_thousands(amounts.get(month, 0)) for _, amounts in shown]
        color = _BLUES(0.25 + 0.65 * number / max(1, len(months) - 1))
        axes.barh(
            places,
            widths,
            left=left,
            color=color,
            edgecolor="white",
            linewidth=0.8,
            height=0.72,
            label=_month(month),
        )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in zip(places, left, strict=True):
        _write(axes, total + max(left) * 0.012, place, _amount(total, currency))
    axes.set_yticks(places, names)
    axes.set_xlim(0, max(left) * 1.12)
    axes.set_xlabel(f"Revenue, thousand {currency}")
    axes.set_title(f"Revenue in {currency} by customer and month")
    if len(names) > len(months):
        axes.legend(loc="lower right", frameon=False)
    # So that a bar is as wide as another currency's.
    axes.set_ylim(-0.6, max(len(names), _MIN_BARS) - 0.4)
    _tidy(axes)


def _draw_lanes(axes: Axes, lanes: Sequence[Lane]) -> None:
    places = range(len(lanes))
    shares = [100 * lane.share for lane in lanes]
    axes.barh(places, [100] * len(lanes), color="#f1f3f5", height=0.66)
    colors = [_GOOD if share >= _MIN_GOOD else _FAIR if share >= _MIN_FAIR else _BAD for share in shares]
    axes.barh(places, shares, color=colors, height=0.66)
    for place, lane in zip(places, lanes, strict=True):
        _write(axes, 101.5, place, f"{lane.share:.0%}  of {lane.deliveries}")
    axes.set_yticks(places, [f"{lane.origin} → {lane.destination}" for lane in lanes])
    axes.set_xlim(0, 126)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel(f"Percent on time (green from {_MIN_GOOD}, red below {_MIN_FAIR})")
    axes.set_title(f"On time on the {len(lanes)} busiest lanes")
    _tidy(axes)


def _draw_debts(axes: Axes, currency: str, debts: Sequence[Debt], *, is_first: bool) -> None:
    places = range(len(BUCKETS))
    left = [0.0] * len(BUCKETS)
    for is_financed, color, label in ((False, _OURS, "owed to us"), (True, _FINANCED, "owed to a factor")):
        cents = {debt.bucket: debt.cents for debt in debts if debt.is_financed is is_financed}
        widths = [_thousands(cents.get(bucket, 0)) for bucket in BUCKETS]
        if cents:
            axes.barh(places, widths, left=left, color=color, height=0.66, label=label)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in zip(places, left, strict=True):
        _write(axes, total + max(left) * 0.015, place, _amount(total, currency))
    axes.set_yticks(places, BUCKETS if is_first else [""] * len(BUCKETS))
    axes.set_xlim(0, max(left) * 1.3)
    axes.set_xlabel(f"Balance, thousand {currency}")
    if is_first:
        axes.set_ylabel("Days past due")
        axes.legend(loc="lower right", frameon=False)
    axes.set_title(f"Unpaid invoices in {currency}")
    _tidy(axes)


def _thousands(cents: int) -> float:
    return cents / 100_000


def _amount(thousands: float, currency: str) -> str:
    sign = _SIGNS.get(currency, "")
    return f"{sign}{thousands:,.0f}k" if abs(thousands) >= 1 else f"{sign}{thousands * 1000:,.0f}"


def _write(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, va="center", size=9.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2})


def _month(text: str) -> str:
    """Return a month such as ``2026-11`` as text for people."""
    return f"{date.fromisoformat(f'{text}-01'):%b %Y}"


def _tidy(axes: Axes) -> None:
    axes.invert_yaxis()
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
