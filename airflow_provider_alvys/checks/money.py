"""MoneyCheck: amounts of files against tables, and of the user's control table against tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.checks.alvys_side import Columns, FlatRow
from airflow_provider_alvys.checks.file_side import FileSide
from airflow_provider_alvys.checks.repairs import Repairs, RowName, short_window
from airflow_provider_alvys.checks.results import Check, Value, make_check
from airflow_provider_alvys.checks.stored_side import TableSide, period_of, plain, time_text
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.schema import StreamSchema

MONEY = "money"
# Rows that are named in the results.
_MAX_NAMED = 100
_BATCH = 200


@dataclass(frozen=True)
class Amount:
    """An amount of a row: positions of its value and its currency in the main table."""

    name: str
    value: int
    currency: int


# The period of a row's time, its status, and the currency.
_Group = tuple[int, str | None, str | None]
_Totals = defaultdict[tuple[str, _Group], Decimal]


def amounts_of(schema: StreamSchema) -> list[Amount]:
    """Return the amounts of a row of the main table that have a currency."""
    places = {column.field: at for at, column in enumerate(schema.main.columns) if column.field}
    found = []
    for field, at in places.items():
        owner, _, last = field.rpartition(".")
        currency = places.get(f"{owner}.Currency")
        if last == "Amount" and currency is not None:
            found.append(Amount(schema.main.columns[at].name, at, currency))
    return found


class MoneyCheck:
    """Compares the totals of each month, status and currency."""

    def __init__(
        self,
        files: FileSide,
        tables: TableSide,
        database: Database,
        schema: StreamSchema,
        repairs: Repairs,
        edges: Sequence[datetime],
    ) -> None:
        self._files = files
        self._tables = tables
        self._database = database
        self._schema = schema
        self._repairs = repairs
        self._edges = edges
        existing = database.columns(schema.main.name)
        self._amounts = [
            amount
            for amount in amounts_of(schema)
            if {amount.name, schema.main.columns[amount.currency].name} <= existing.keys()
        ]

    def run(self) -> Iterator[Check]:
        """Yield a check for each amount, one for each group that differs, and one for each of its rows."""
        landed, stored = self._total_files(), self._total_tables()
        wrong: set[_Group] = set()
        for name, currency in sorted({(name, str(group[2])) for name, group in (*landed, *stored)}):
            groups = {group for one, group in (*landed, *stored) if (one, str(group[2])) == (name, currency)}
            pairs = {group: (landed[name, group], stored[name, group]) for group in sorted(groups, key=str)}
            different = {group: pair for group, pair in pairs.items() if pair[0] != pair[1]}
            expected, actual = (sum(sums, Decimal(0)) for sums in zip(*pairs.values(), strict=True))
            scope = f"{name}, {currency}"
            yield make_check(MONEY, scope, expected, actual, "differs" if different else "same")
            for group, (wanted, found) in different.items():
                yield make_check(MONEY, f"{scope}, {self._label(group)}", wanted, found, "differs")
            wrong |= different.keys()
        if wrong:
            yield from self._name_rows({group[:2] for group in wrong})

    def _name_rows(self, groups: set[tuple[int, str | None]]) -> Iterator[Check]:
        """Yield the rows whose amounts differ, and read them again."""
        named, batch = 0, {}
        for key, row in self._files.newest_rows():
            if self._group(row) in groups:
                batch[key] = row
            if len(batch) == _BATCH:
                found = list(self._compare(batch))
                yield from found[: max(0, _MAX_NAMED - named)]
                named += len(found)
                batch = {}
        yield from list(self._compare(batch))[: max(0, _MAX_NAMED - named)]

    def _compare(self, batch: dict[str, FlatRow]) -> Iterator[Check]:
        """Yield the amounts of rows that differ, and read these rows again."""
        stored, at = self._tables.read(list(batch)), Columns.of(self._schema)
        for key, row in batch.items():
            cells = row[0][0]
            (found,) = stored[key][self._schema.main.name] if key in stored else ({},)
            number, time = (None if place is None else cells[place] for place in (at.number, at.time))
            name = RowName(key, number, short_window(time))
            for column, expected, actual in self._differences(cells, found):
                self._repairs.add_rows([name])
                yield make_check(MONEY, f"{name}, {column}", expected, actual, "differs")

    def _differences(self, cells: Sequence[Any], found: Mapping[str, Any]) -> list[tuple[str, Value, Value]]:
        """Return the amounts of a row that differ, else the first value that they are grouped by."""
        at = Columns.of(self._schema)
        groups = [*(amount.currency for amount in self._amounts), at.status, at.time]

        def compare(places: Iterable[int | None]) -> list[tuple[str, Value, Value]]:
            columns = [(place, self._schema.main.columns[place]) for place in places if place is not None]
            pairs = [(c.name, plain(c.kind, cells[place]), found.get(c.name)) for place, c in columns]
            return [pair for pair in pairs if pair[1] != pair[2]]

        return compare(amount.value for amount in self._amounts) or compare(groups)[:1]

    def _group(self, row: FlatRow) -> tuple[int, str | None]:
        cells, at = row[0][0], Columns.of(self._schema)
        status = None if at.status is None else cells[at.status]
        time = None
        if at.time is not None:
            time = plain(self._schema.main.columns[at.time].kind, cells[at.time])
        return period_of(time, [time_text(edge) for edge in self._edges]), status

    def _total_files(self) -> _Totals:
        totals: _Totals = defaultdict(Decimal)
        for _, row in self._files.newest_rows():
            period, status = self._group(row)
            for amount in self._amounts:
                value = row[0][0][amount.value]
                if value is not None:
                    totals[amount.name, (period, status, row[0][0][amount.currency])] += value
        return totals

    def _total_tables(self) -> _Totals:
        quote, columns = self._database.dialect.quote, self._schema.main.columns
        totals: _Totals = defaultdict(Decimal)
        case, values = self._tables.period_case(self._edges)
        status = f"r.{quote(self._tables.status.name)}" if self._tables.status else "NULL"
        for amount in self._amounts:
            unit, value = (f"r.{quote(columns[at].name)}" for at in (amount.currency, amount.value))
            for period, state, currency, number, count in self._database.execute(
                # Not summed by the database: SQLite would add floats.
                f"SELECT {case} AS period_, {status} AS state, {unit} AS unit, {value} AS amount, "
                f"COUNT(*) AS n FROM {self._tables.main} AS r "
                f"WHERE {self._tables.where} AND {value} IS NOT NULL GROUP BY 1, 2, 3, 4",
                (*values, self._tables.tenant),
            ):
                group = (int(period), state, currency)
                totals[amount.name, group] += plain("decimal", number) * int(count)
        return totals

    def _label(self, group: _Group) -> str:
        period, status, _ = group
        month = "without a date"
        if period >= 0:
            month = f"from {self._edges[period - 1]:%Y-%m-%d}" if period else "earlier"
        return f"{month}, {status}" if status else month
