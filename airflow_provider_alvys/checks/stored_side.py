"""What is stored: the rows of the tables, and the interface that they share with the files of a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.api.schema.values import Kind
from airflow_provider_alvys.checks.alvys_side import Columns
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.ledger import LEDGER, format_timestamp
from airflow_provider_alvys.tables.schema import (
    HASH,
    MISSED_AT,
    MISSING_SINCE,
    TENANT,
    Column,
    StreamSchema,
    Table,
)

# Characters of a time that every database keeps: six digits of a second.
_TIME_LENGTH = 26
_BATCH = 200
# The rows of each table by its name, each as a dict.
StoredRow = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class StoredPlace:
    """
    Where a row counts.

    :param time: its creation or business date, as a text; None if it has none.
    """

    time: str | None
    status: str | None


@dataclass
class Tally:
    """
    Numbers of rows.

    :param missed: how many of them the last complete read lacked: they may no longer exist in Alvys.
    """

    rows: int = 0
    missed: int = 0


class StoredSide(ABC):
    """
    The rows of one tenant and stream, without missing rows.

    :ivar as_of: the time whose state they have, by the last complete sync; None if there was none.
    """

    as_of: datetime | None

    @abstractmethod
    def bounds(self) -> tuple[str, str] | None:
        """Return the first and the last time between the years 2000 and 2100; None without rows."""

    @abstractmethod
    def tally(self, edges: Sequence[datetime]) -> list[Tally]:
        """Return the numbers before the first edge, between edges, after the last; then without time."""

    @abstractmethod
    def statuses(self, window: Window) -> Counter[str]:
        """Return the number of rows by status."""

    @abstractmethod
    def keys(self, window: Window | None) -> dict[str, str | None]:
        """Return the keys of rows with their numbers; with None those of all rows."""

    @abstractmethod
    def find(self, keys: Sequence[str]) -> dict[str, StoredPlace]:
        """Return where some rows count."""

    @abstractmethod
    def read(self, keys: Sequence[str]) -> dict[str, StoredRow]:
        """Return all values of some rows."""


def time_text(time: datetime) -> str:
    """Return a time as the tables have it."""
    return format_timestamp(time)[:_TIME_LENGTH]


def period_of(time: str | None, edges: Sequence[str]) -> int:
    """Return the position of a time among edges: 0 before the first; -1 without a time."""
    return -1 if time is None else bisect_right(edges, time)


def plain(kind: Kind, value: Any) -> Any:
    """Return a value of a column in one form for all databases."""
    if value is None:
        return None
    if kind in ("timestamp", "wall"):
        if isinstance(value, datetime):
            if value.tzinfo:
                value = value.astimezone(timezone.utc).replace(tzinfo=None)
            value = value.isoformat(" ", "microseconds")
        return str(value)[:_TIME_LENGTH]
    if kind == "date":
        return value.isoformat() if isinstance(value, date) else str(value)
    if kind == "decimal":
        return value if isinstance(value, Decimal) else Decimal(str(value))
    if kind == "boolean":
        return bool(value)
    if kind == "json":
        return _decode(value) if isinstance(value, str) else value
    return value


def _decode(text: str) -> Any:
    """Return a value of JSON; one that was cut off is its text, which equals no value."""
    try:
        return decode_row(text.encode(errors="surrogatepass"))
    except ValueError:
        return text


class TableSide(StoredSide):
    """The rows of the tables."""

    def __init__(self, database: Database, schema: StreamSchema, tenant: str) -> None:
        self._database = database
        self._schema = schema
        self.tenant = tenant
        self._quote = database.dialect.quote
        columns = Columns.of(schema)
        self.main = database.table(schema.main.name)
        self._columns = [*schema.main.columns]
        self._key = self._columns[columns.key]
        self.time, self.status, self.number = (
            None if at is None else self._columns[at] for at in (columns.time, columns.status, columns.number)
        )
        self.where = f"r.{self._quote(TENANT)} = ? AND r.{self._quote(MISSING_SINCE)} IS NULL"
        self.as_of = self.as_of_stream(schema)

    @property
    def exists(self) -> bool:
        """Whether the main table exists."""
        return bool(self._database.columns(self._schema.main.name))

    def as_of_stream(self, schema: StreamSchema, table: str | None = None) -> datetime | None:
        """Return the time whose state the table of a stream has."""
        if not self._database.columns(LEDGER):
            return None
        reads = self._reads(schema, table)
        regular = schema.stream.window(None)
        times = [(by, until, read_at) for by, until, read_at, is_filtered in reads if not is_filtered]
        return newest_state(regular.name if regular else None, times)

    @property
    def is_filtered(self) -> bool:
        """Whether all complete reads were of some rows only."""
        reads = self._reads(self._schema) if self._database.columns(LEDGER) else []
        return bool(reads) and all(is_filtered for *_, is_filtered in reads)

    def _reads(
        self, schema: StreamSchema, table: str | None = None
    ) -> list[tuple[str | None, datetime | None, datetime | None, bool]]:
        """Return window kind, end, start of the reading of complete reads, and whether they had filters."""
        existing = self._database.columns(LEDGER)
        names = ("window_by", "window_until", "read_at", "proof", "rows", "as_of", "cadence")
        chosen = ", ".join(self._quote(name) if name in existing else "NULL" for name in names)
        where = f"{self._quote('table_name')} = ? AND {self._quote('tenant')} = ?"
        sql = f"SELECT {chosen} FROM {self._database.table(LEDGER)} WHERE {where}"
        rows = self._database.execute(sql, (table or schema.main.name, self.tenant))
        most = max((int(row[4]) for row in rows), default=0)
        reads = []
        for by, until, read_at, proof, count, as_of, cadence in rows:
            if as_of is not None and schema.stream.cadence_of(by) is not None:
                is_filtered = cadence is None
            else:
                # The ledger does not say which of these reads were filtered. Those of few rows were.
                is_filtered = by is None and 2 * int(count) < most
            if proof == "whole":
                reads.append((by, as_datetime(until), as_datetime(read_at), is_filtered))
        return reads

    def bounds(self) -> tuple[str, str] | None:
        if self.time is None:
            return None
        column = f"r.{self._quote(self.time.name)}"
        limits = [self.bound(datetime(year, 1, 1, tzinfo=timezone.utc)) for year in (2000, 2100)]
        ((first, last),) = self._database.execute(
            f"SELECT MIN({column}), MAX({column}) FROM {self.main} AS r WHERE {self.where} "
            f"AND {column} >= ? AND {column} < ?",
            (self.tenant, *limits),
        )
        return None if first is None else (plain(self.time.kind, first), plain(self.time.kind, last))

    def period_case(self, edges: Sequence[datetime]) -> tuple[str, list[str]]:
        """Return an expression for the position of a row's time among edges, and its values."""
        if self.time is None:
            return "-1", []
        column = f"r.{self._quote(self.time.name)}"
        cases = " ".join(f"WHEN {column} < ? THEN {number}" for number in range(len(edges)))
        sql = f"CASE WHEN {column} IS NULL THEN -1 {cases} ELSE {len(edges)} END"
        return sql, [self.bound(edge) for edge in edges]

    def bound(self, time: datetime) -> str:
        """Return a time to compare the time column with."""
        text = format_timestamp(time)
        if self.time is not None and self.time.kind == "date":
            return text[:10]
        return str(self._database.render("timestamp", text))

    def tally(self, edges: Sequence[datetime]) -> list[Tally]:
        case, values = self.period_case(edges)
        rows = self._database.execute(
            f"SELECT {case} AS period_, COUNT(*) AS n, COUNT(r.{self._quote(MISSED_AT)}) AS missed "
            f"FROM {self.main} AS r WHERE {self.where} GROUP BY 1",
            (*values, self.tenant),
        )
        found = [Tally() for _ in range(len(edges) + 2)]
        for period, count, missed in rows:
            found[int(period)] = Tally(int(count), int(missed))
        return found

    def statuses(self, window: Window) -> Counter[str]:
        if self.status is None:
            return Counter()
        status = f"r.{self._quote(self.status.name)}"
        within, values = self._within(window)
        rows = self._database.execute(
            f"SELECT {status} AS status, COUNT(*) AS n FROM {self.main} AS r WHERE {self.where}{within} "
            "GROUP BY 1",
            (self.tenant, *values),
        )
        return Counter({str(name): int(count) for name, count in rows})

    def _within(self, window: Window | None) -> tuple[str, list[str]]:
        if window is None or self.time is None:
            return "", []
        column = f"r.{self._quote(self.time.name)}"
        bounds = [(">=", window.since), *([("<", window.until)] if window.until else [])]
        sql = "".join(f" AND {column} {sign} ?" for sign, _ in bounds)
        return sql, [self.bound(time) for _, time in bounds]

    def keys(self, window: Window | None) -> dict[str, str | None]:
        within, values = self._within(window)
        number = f"r.{self._quote(self.number.name)}" if self.number else "NULL"
        rows = self._database.execute(
            f"SELECT r.{self._quote(self._key.name)} AS key_, {number} AS number_ FROM {self.main} AS r "
            f"WHERE {self.where}{within}",
            (self.tenant, *values),
        )
        return {str(key): None if name is None else str(name) for key, name in rows}

    def find(self, keys: Sequence[str]) -> dict[str, StoredPlace]:
        chosen = [self.time, self.status]
        names = ", ".join("NULL" if one is None else f"r.{self._quote(one.name)}" for one in chosen)
        found = {}
        for batch, marks in _batches(keys):
            for key, time, status in self._database.execute(
                f"SELECT r.{self._quote(self._key.name)}, {names} FROM {self.main} AS r "
                f"WHERE {self.where} AND r.{self._quote(self._key.name)} IN ({marks})",
                (self.tenant, *batch),
            ):
                place = None if self.time is None else plain(self.time.kind, time)
                found[str(key)] = StoredPlace(place, None if status is None else str(status))
        return found

    def read(self, keys: Sequence[str]) -> dict[str, StoredRow]:
        rows: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
        for table in self._schema.tables:
            columns = self._comparable(table)
            if not columns:
                continue
            # A child table begins with the key of the row that contains the list.
            key = table.key[len(self._schema.keys) - 1]
            for batch, marks in _batches(keys):
                for row in self._database.execute(
                    f"SELECT {', '.join(self._as_read(column) for column in columns)} "
                    f"FROM {self._database.table(table.name)} "
                    f"WHERE {self._quote(TENANT)} = ? AND {self._quote(key)} IN ({marks}) "
                    f"ORDER BY {', '.join(map(self._quote, table.key))}",
                    (self.tenant, *batch),
                ):
                    cells = {
                        column.name: plain(column.kind, value)
                        for column, value in zip(columns, row, strict=True)
                    }
                    rows.setdefault(str(cells[key]), {}).setdefault(table.name, []).append(cells)
        for found in rows.values():
            for table in self._schema.tables:
                if self._comparable(table):
                    found.setdefault(table.name, [])
        return {key: found for key, found in rows.items() if found[self._schema.main.name]}

    def _as_read(self, column: Column) -> str:
        name = self._quote(column.name)
        return self._database.json_text(name) if column.kind == "json" else name

    def _comparable(self, table: Table) -> list[Column]:
        """Return the columns of a table that exist and do not differ with each read."""
        existing = self._database.columns(table.name)
        return [column for column in table.columns if column.name in existing and column.name != HASH]


def _batches(keys: Sequence[str]) -> list[tuple[Sequence[str], str]]:
    parts = [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
    return [(part, ", ".join("?" * len(part))) for part in parts]


def as_datetime(value: Any) -> datetime | None:
    """Return a time of the ledger."""
    if value is None:
        return None
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value)[:_TIME_LENGTH])
    return time.astimezone(timezone.utc) if time.tzinfo else time.replace(tzinfo=timezone.utc)


def newest_state(
    regular: str | None, reads: Sequence[tuple[str | None, datetime | None, datetime | None]]
) -> datetime | None:
    """
    Return the newest time that complete reads prove the state of.

    :param regular: the window kind of a regular sync; None for reads in full.
    :param reads: window kind, end of the window, and start of the reading.
    """
    known = [(by, min(until or read_at, read_at)) for by, until, read_at in reads if read_at is not None]
    return max((time for by, time in known if by == regular), default=None) or max(
        (time for _, time in known), default=None
    )
