"""Answers three business questions with SQL on the loaded tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent
# Days past due, from the youngest to the oldest debt.
BUCKETS = ("current", "under 30", "30-59", "60-89", "90 and over")


class Revenue(NamedTuple):
    """
    What the loads of a customer brought in.

    :param month: such as ``2026-11``.
    """

    currency: str
    month: str
    customer_id: str
    customer: str
    loads: int
    cents: int


class Lane(NamedTuple):
    """A pair of origin and destination, with its deliveries and how many of them were on time."""

    origin: str
    destination: str
    deliveries: int
    on_time: int

    @property
    def share(self) -> float:
        """The share of deliveries on time, from 0 to 1."""
        return self.on_time / self.deliveries


class Debt(NamedTuple):
    """
    What is left to pay of invoices.

    :param is_financed: whether a factor bought them.
    :param bucket: one of :data:`BUCKETS`.
    """

    currency: str
    is_financed: bool
    bucket: str
    invoices: int
    cents: int


@dataclass(frozen=True)
class Answers:
    """
    The answers to all questions.

    :param as_of: the day at whose end the debts are as they are, such as ``2026-11-30``.
    :param lanes: most deliveries first.
    """

    as_of: str
    revenue: Sequence[Revenue]
    lanes: Sequence[Lane]
    debts: Sequence[Debt]

    def as_simulated(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return them in the form of ``Simulator.answers``, to compare."""
        return {
            "revenue": [
                {
                    "currency": row.currency,
                    "month": row.month,
                    "customer_id": row.customer_id,
                    "customer": row.customer,
                    "loads": row.loads,
                    "revenue": amount(row.cents),
                }
                for row in self.revenue
            ],
            "lanes": [row._asdict() for row in self.lanes],
            "receivables": [
                {
                    "currency": row.currency,
                    "is_financed": row.is_financed,
                    "bucket": row.bucket,
                    "invoices": row.invoices,
                    "balance": amount(row.cents),
                }
                for row in self.debts
            ],
        }


def read_sql(name: str) -> str:
    """Return the SQL of a question: ``revenue``, ``on_time`` or ``unpaid``."""
    return (FOLDER / f"{name}.sql").read_text()


def answer(database: Path, as_of: str) -> Answers:
    """
    Return the answers from a SQLite file.

    :param as_of: the day of the debts, such as ``2026-11-30``.
    """
    with closing(sqlite3.connect(database)) as connection:
        revenue = connection.execute(read_sql("revenue")).fetchall()
        lanes = connection.execute(read_sql("on_time")).fetchall()
        debts = connection.execute(read_sql("unpaid"), {"as_of": as_of}).fetchall()
    return Answers(
        as_of,
        [Revenue(*row) for row in revenue],
        [Lane(*row) for row in lanes],
        [Debt(currency, bool(financed), *rest) for currency, financed, *rest in debts],
    )


def amount(cents: int) -> str:
    """Return an amount as a decimal."""
    sign, digits = "-" if cents < 0 else "", f"{abs(cents):03d}"
    return f"{sign}{digits[:-2]}.{digits[-2:]}"


def differences(
    found: Iterable[Mapping[str, Any]], expected: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the objects that only one of two lists has."""
    ours, theirs = list(found), list(expected)
    return [row for row in ours if row not in theirs] + [row for row in theirs if row not in ours]


def currencies(rows: Iterable[Revenue | Debt]) -> list[str]:
    """Return the currencies, that with the most rows first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.currency] += 1
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def by_customer(revenue: Iterable[Revenue], currency: str) -> Mapping[str, Mapping[str, int]]:
    """Return the cents of each customer by month, in one currency; highest total first."""
    sums: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in revenue:
        if row.currency == currency:
            sums[row.customer, row.customer_id][row.month] += row.cents
    ranked = sorted(sums.items(), key=lambda entry: -sum(entry[1].values()))
    return {name: months for (name, _), months in ranked}


def revenue_table(revenue: Sequence[Revenue], currency: str, max_rows: int) -> list[str]:
    """Return the lines of a table of one currency that ends with the other customers and the total."""
    amounts = by_customer(revenue, currency)
    months = sorted({row.month for row in revenue})
    names = list(amounts)
    rows = [(name, [name]) for name in names[:max_rows]]
    if len(names) > max_rows:
        rows.append((f"{len(names) - max_rows} others", names[max_rows:]))
    rows.append((f"total in {currency}", names))
    lines = [f"{'customer':<32}" + "".join(f"{month:>11}" for month in months) + f"{'total':>12}"]
    for title, members in rows:
        sums = [sum(amounts[name].get(month, 0) for name in members) / 100 for month in months]
        lines.append(f"{title:<32}" + "".join(f"{sum_:>11,.0f}" for sum_ in sums) + f"{sum(sums):>12,.0f}")
    return lines


def lanes_table(lanes: Sequence[Lane], max_rows: int) -> list[str]:
    """Return the lines of a table that ends with all lanes."""
    total = Lane(
        f"all {len(lanes)} lanes",
        "",
        sum(lane.deliveries for lane in lanes),
        sum(lane.on_time for lane in lanes),
    )
    lines = [f"{'from':<20}{'to':<20}{'deliveries':>11}{'on time':>9}{'share':>8}"]
    for lane in [*lanes[:max_rows], total]:
        lines.append(
            f"{lane.origin:<20}{lane.destination:<20}{lane.deliveries:>11,}{lane.on_time:>9,}{lane.share:>8.0%}"
        )
    return lines


def debts_table(debts: Sequence[Debt]) -> list[str]:
    """Return the lines of a table: by currency and whom the customers owe, with the buckets as columns."""
    lines = [
        f"{'':<4}{'owed to':<11}{'invoices':>9}"
        + "".join(f"{bucket:>13}" for bucket in BUCKETS)
        + f"{'total':>13}"
    ]
    kinds = [(currency, is_financed) for currency in currencies(debts) for is_financed in (False, True)]
    for currency, is_financed in kinds:
        of_line = [debt for debt in debts if (debt.currency, debt.is_financed) == (currency, is_financed)]
        if not of_line:
            continue
        cents = {debt.bucket: debt.cents for debt in of_line}
        sums = [cents.get(bucket, 0) / 100 for bucket in BUCKETS]
        lines.append(
            f"{currency:<4}{'a factor' if is_financed else 'us':<11}"
            f"{sum(debt.invoices for debt in of_line):>9,}"
            + "".join(f"{sum_:>13,.0f}" for sum_ in (*sums, sum(sums)))
        )
    return lines
