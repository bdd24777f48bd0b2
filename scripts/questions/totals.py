"""Sums all columns of money in the files and in the tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.schema.currencies import CURRENCIES, currency_number
from airflow_provider_alvys.tables.schema import Table, build_schema

_AMOUNT, _CURRENCY = "Amount", "Currency"
# By stream, field such as CustomerRate, and currency.
Totals = Mapping[tuple[str, str, str], Decimal]


def totals_of_simulator(rows: Iterable[Mapping[str, str]], streams: Iterable[str]) -> Totals:
    """Return the totals that the simulator answered, of some streams."""
    wanted = set(streams)
    return {
        (row["stream"], row["field"], row["currency"]): Decimal(row["total"])
        for row in rows
        if row["stream"] in wanted
    }


def totals_of_rows(stream: str, rows: Iterable[Mapping[str, Any]]) -> Totals:
    """Return the totals of a stream's rows."""
    paths = [path for _, _, path in _columns(stream)]
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        for path in paths:
            for money in _values(row, path.split(".")):
                currency = money.get(_CURRENCY)
                code = CURRENCIES.get(currency_number(currency), str(currency))
                totals[stream, path, code] += Decimal(money[_AMOUNT])
    return totals


def totals_of_tables(database: Path, streams: Iterable[str]) -> Totals:
    """Return the totals of the tables of some streams in a SQLite file, without missing rows."""
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    with closing(sqlite3.connect(database)) as connection:
        for stream in streams:
            main = build_schema(get_stream(stream)).main
            for table, columns, path in _columns(stream):
                amount, currency = columns
                keys = zip(("_tenant", *main.key), ("_tenant", *table.key), strict=False)
                on = " AND ".join(f'main."{key}" = this."{own}"' for key, own in keys)
                sql = (
                    f'SELECT this."{currency}", this."{amount}" FROM "{table.name}" AS this '
                    f'JOIN "{main.name}" AS main ON {on} '
                    f'WHERE main._missing_since IS NULL AND this."{amount}" IS NOT NULL'
                )
                for code, value in connection.execute(sql):
                    totals[stream, path, code] += Decimal(value)
    return totals


def _columns(stream: str) -> Iterator[tuple[Table, tuple[str, str], str]]:
    """Yield the columns of money: the table, the columns of amount and currency, and the field."""
    for table in build_schema(get_stream(stream)).tables:
        by_field = {column.field: column.name for column in table.columns if column.field}
        for field, name in by_field.items():
            path, _, last = field.rpartition(".")
            if last == _AMOUNT and f"{path}.{_CURRENCY}" in by_field:
                yield table, (name, by_field[f"{path}.{_CURRENCY}"]), path


def _values(value: Any, path: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects at a path, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif isinstance(value, dict):
        if path:
            yield from _values(value.get(path[0]), path[1:])
        elif value.get(_AMOUNT) is not None:
            yield value
