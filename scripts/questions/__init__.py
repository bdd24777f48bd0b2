"""Answers three business questions with SQL on the loaded tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Revenue:
    """
    Revenue of delivered loads.

    :param months: such as ``2026-11``.
    :param amounts: by customer, highest total first, then by month.
    """

    months: Sequence[str]
    amounts: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Lane:
    """A pair of origin and destination, with its deliveries and how many of them were on time."""

    origin: str
    destination: str
    deliveries: int
    on_time: int

    @property
    def share(self) -> float:
        """The share of deliveries on time, from 0 to 1."""
        return self.on_time / self.deliveries


@dataclass(frozen=True)
class AgeGroup:
    """The unpaid invoices in a range of ages."""

    name: str
    invoices: int
    amount: float


@dataclass(frozen=True)
class Answers:
    """
    The answers to all questions.

    :param lanes: most deliveries first.
    :param ages: youngest first.
    """

    revenue: Revenue
    lanes: Sequence[Lane]
    ages: Sequence[AgeGroup]


def read_sql(name: str) -> str:
    """Return the SQL of a question: ``revenue``, ``on_time`` or ``unpaid``."""
    return (FOLDER / f"{name}.sql").read_text()


def answer(database: Path) -> Answers:
    """Return the answers from a SQLite file."""
    with closing(sqlite3.connect(database)) as connection:
        revenue = connection.execute(read_sql("revenue")).fetchall()
        lanes = connection.execute(read_sql("on_time")).fetchall()
        ages = connection.execute(read_sql("unpaid")).fetchall()
    amounts: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for customer, month, _, amount in revenue:
        amounts[customer][month] = amount
    ranked = sorted(amounts.items(), key=lambda entry: -sum(entry[1].values()))
    months = sorted({month for _, month, *_ in revenue})
    return Answers(
        Revenue(months, dict(ranked)), [Lane(*row) for row in lanes], [AgeGroup(*row) for row in ages]
    )


def revenue_table(revenue: Revenue, max_rows: int) -> list[str]:
    """Return the lines of a table that ends with the other customers and the total."""
    names = list(revenue.amounts)
    rows = [(name, [name]) for name in names[:max_rows]]
    if len(names) > max_rows:
        rows.append((f"{len(names) - max_rows} others", names[max_rows:]))
    rows.append(("total", names))
    lines = [f"{'customer':<28}" + "".join(f"{month:>11}" for month in revenue.months) + f"{'total':>12}"]
    for title, members in rows:
        sums = [sum(revenue.amounts[name].get(month, 0) for name in members) for month in revenue.months]
        lines.append(
            f"{title:<28}" + "".join(f"{amount:>11,.0f}" for amount in sums) + f"{sum(sums):>12,.0f}"
        )
    return lines


def lanes_table(lanes: Sequence[Lane], max_rows: int) -> list[str]:
    """Return the lines of a table that ends with all lanes."""
    total = Lane(
        f"all {len(lanes)} lanes",
        "",
        sum(lane.deliveries for lane in lanes),
        sum(lane.on_time for lane in lanes),
    )
    lines = [f"{'from':<18}{'to':<18}{'deliveries':>11}{'on time':>9}{'share':>8}"]
    for lane in [*lanes[:max_rows], total]:
        lines.append(
            f"{lane.origin:<18}{lane.destination:<18}{lane.deliveries:>11,}{lane.on_time:>9,}{lane.share:>8.0%}"
        )
    return lines


def ages_table(ages: Sequence[AgeGroup]) -> list[str]:
    """Return the lines of a table that ends with the total."""
    total = AgeGroup("total", sum(age.invoices for age in ages), sum(age.amount for age in ages))
    lines = [f"{'age':<18}{'invoices':>9}{'to be paid':>14}"]
    return lines + [f"{age.name:<18}{age.invoices:>9,}{age.amount:>14,.0f}" for age in [*ages, total]]
