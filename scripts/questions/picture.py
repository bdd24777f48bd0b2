"""Draws the answers as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from scripts.questions import AgeGroup, Answers, Lane, Revenue

_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_BLUES = mpl.colormaps["YlGnBu"]
_GOOD, _FAIR, _BAD = "#2b8a8a", "#e0a030", "#c8553d"
# From the youngest to the oldest debt.
_AGES = ("#f2d6a2", "#eeb868", "#e08a3c", "#c8553d")
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
# Percent of deliveries on time: from these on, a lane is fair or good.
_MIN_FAIR, _MIN_GOOD = 75, 90


def draw(answers: Answers, file: Path, subtitle: str) -> None:
    """Draw the three answers into a PNG file."""
    with mpl.rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(
            w_pad=0.12, h_pad=0.14, wspace=0.05, hspace=0.04, rect=(0, 0, 1, 0.92)
        )
        figure = Figure(figsize=(14, 8.4), dpi=110, facecolor="white", layout=layout)
        figure.text(
            0.012,
            0.965,
            "What the freight brought in, how it arrived, and what is still owed",
            size=17,
            weight="bold",
            va="center",
        )
        figure.text(0.012, 0.93, subtitle, size=10.5, color=_FAINT, va="center")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.18, 1), height_ratios=(1.5, 1))
        _draw_revenue(figure.add_subplot(grid[:, 0]), answers.revenue)
        _draw_lanes(figure.add_subplot(grid[0, 1]), answers.lanes[:LANES])
        _draw_ages(figure.add_subplot(grid[1, 1]), answers.ages)
        figure.savefig(file)


def _draw_revenue(axes: Axes, revenue: Revenue) -> None:
    shown = list(revenue.amounts.items())[:CUSTOMERS]
    names = [name for name, _ in shown]
    places = range(len(names))
    left = [0.0] * len(names)
    for number, month in enumerate(revenue.months):
        widths = [amounts.get(month, 0) / 1000 for _, amounts in shown]
        color = _BLUES(0.25 + 0.65 * number / max(1, len(revenue.months) - 1))
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
        _write(axes, total + max(left) * 0.012, place, f"${total:,.0f}k")
    axes.set_yticks(places, names)
    axes.set_xlim(0, max(left) * 1.12)
    axes.set_xlabel("Revenue of delivered loads, thousand US dollars")
    axes.set_ylabel("Customer")
    axes.set_title("Revenue by customer and month of delivery")
    axes.legend(title="Month", loc="lower right", frameon=False, alignment="left")
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
    axes.set_ylabel("Lane")
    axes.set_title(f"On-time delivery on the {len(lanes)} busiest lanes")
    _tidy(axes)


def _draw_ages(axes: Axes, ages: Sequence[AgeGroup]) -> None:
    places = range(len(ages))
    amounts = [age.amount / 1000 for age in ages]
    axes.barh(places, amounts, color=_AGES[: len(ages)], height=0.66)
    for place, age in zip(places, ages, strict=True):
        _write(
            axes,
            age.amount / 1000 + max(amounts) * 0.015,
            place,
            f"${age.amount / 1000:,.0f}k  in {age.invoices} invoices",
        )
    axes.set_yticks(places, [age.name for age in ages])
    axes.set_xlim(0, max(amounts) * 1.6)
    axes.set_xlabel("To be paid, thousand US dollars")
    axes.set_ylabel("Days since invoiced")
    axes.set_title("Unpaid invoices by age")
    _tidy(axes)


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
