"""The forms of an identity: amounts that are equal, currencies that agree, and conditions."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.tables.dialects import Dialect
from airflow_provider_alvys.tables.schema import build_schema, column_name

_TABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class RecordTable:
    """
    A table with one row for each record, named ``r`` in a query.

    :param name: its name, which is its stream's.
    :param key: the column that identifies a record within its tenant.
    :param has_tombstones: whether it has deleted records, too.
    """

    name: str
    key: str = "id"
    has_tombstones: bool = False

    def alive(self, alias: str = "r") -> str:
        """Return the condition that a record is neither missing nor deleted."""
        deleted = f" AND {alias}.is_deleted IS NOT TRUE" if self.has_tombstones else ""
        return f"{alias}._missing_since IS NULL{deleted}"

    def items(self, table: str) -> str:
        """Return the join with the items of a list, named ``c``."""
        owner = f"{self.name.removesuffix('s')}_{self.key}"
        return f"JOIN {{{table}}} AS c ON c._tenant = r._tenant AND c.{owner} = r.{self.key}"


@dataclass(frozen=True)
class Term:
    """
    A number of a record, or of each row that is joined with it.

    :param amount: the column.
    :param unit: the column with its currency, or an expression; only numbers of one unit are compared.
    :param join: what the record is joined with.
    :param where: which of the joined rows count; empty means all.
    :param part: an expression for the part of the record that it belongs to; each part has its own sums.
    :param sign: ``-`` to subtract it.
    """

    amount: str
    unit: str
    join: str = ""
    where: str = ""
    part: str = "0"
    sign: str = ""

    def __neg__(self) -> Term:
        """Return the term that subtracts the number."""
        return replace(self, sign="-")


def money(name: str, join: str = "", *, of: str = "r", where: str = "", part: str = "0") -> Term:
    """
    Return an amount of money.

    :param name: the beginning of its columns: ``customer_rate`` for the field ``CustomerRate``.
    :param of: ``r`` for the record's own, else the alias of a joined table.
    """
    return Term(f"{of}.{column_name(f'{name}_', 'Amount')}", f"{of}.{name}_currency", join, where, part)


@dataclass(frozen=True)
class Identity(ABC):
    """
    What must hold for each record of a table.

    :param name: its name.
    :param sentence: what it says, for people.
    :param record: whose records it is about.
    """

    name: str
    sentence: str
    record: RecordTable

    @property
    def tables(self) -> frozenset[str]:
        """The tables that its query reads."""
        return frozenset(_TABLE.findall(self._select()))

    @abstractmethod
    def _select(self) -> str:
        """Return the query with ``{table}`` for a table and ``NUMBER(column)`` for a decimal."""

    def sql(self, dialect: Dialect, schema: str | None = None) -> str:
        """
        Return the query of the records that break it.

        Its columns are ``tenant``, ``row_key`` (the key), ``unit`` (the currency of amounts, else NULL),
        ``expected`` and ``actual``. Only records that are neither missing nor deleted count.

        :param schema: of the tables; None means the connection's default.
        """
        text = re.sub(r"NUMBER\(([\w.]+)\)", lambda found: dialect.number(found[1]), self._select())
        return _TABLE.sub(lambda found: dialect.table(found[1], schema), text)


@dataclass(frozen=True)
class Balance(Identity):
    """
    Two sums that are equal to the cent, in each part of a record and in each currency.

    :param expected: the terms of the one sum.
    :param actual: the terms of the other one.
    :param where: which records count; empty means all.
    """

    expected: Sequence[Term]
    actual: Sequence[Term]
    where: str = ""

    def _select(self) -> str:
        numbers = [
            *((term, f"{_number(term)} AS expected, 0 AS actual") for term in self.expected),
            *((term, f"0 AS expected, {_number(term)} AS actual") for term in self.actual),
        ]
        terms = "\nUNION ALL\n".join(
            f"SELECT r._tenant AS tenant, r.{self.record.key} AS row_key, {term.unit} AS unit, "
            f"{term.part} AS part, {number} "
            f"FROM {{{self.record.name}}} AS r{_spaced(term.join)} "
            f"WHERE {_all_of(self.record.alive(), self.where, term.where)}"
            for term, number in numbers
        )
        return (
            "SELECT tenant, row_key, unit, SUM(expected) AS expected, SUM(actual) AS actual "
            f"FROM (\n{terms}\n) AS terms\nGROUP BY tenant, row_key, unit, part "
            "HAVING ROUND(SUM(expected) - SUM(actual), 2) <> 0"
        )


@dataclass(frozen=True)
class OneCurrency(Identity):
    """A record in one currency, with all its items."""

    def _select(self) -> str:
        key = self.record.key
        owner = f"{self.record.name.removesuffix('s')}_{key}"
        found = "\nUNION ALL\n".join(
            f"SELECT _tenant, {owner if table.parent else key} AS row_key, {column.name} AS currency "
            f"FROM {{{table.name}}} WHERE {column.name} IS NOT NULL"
            for table in build_schema(get_stream(self.record.name)).tables
            for column in table.columns
            if column.field.endswith(".Currency")
        )
        return (
            f"SELECT r._tenant AS tenant, r.{key} AS row_key, NULL AS unit, "
            "MIN(c.currency) AS expected, MAX(c.currency) AS actual\n"
            f"FROM {{{self.record.name}}} AS r JOIN (\n{found}\n) AS c "
            f"ON c._tenant = r._tenant AND c.row_key = r.{key}\n"
            f"WHERE {self.record.alive()} GROUP BY r._tenant, r.{key} "
            "HAVING MIN(c.currency) <> MAX(c.currency)"
        )


@dataclass(frozen=True)
class Condition(Identity):
    """
    Anything else.

    :param expected: an expression: what a broken record should have.
    :param actual: what it has.
    :param broken: the condition of a broken record.
    :param join: what it is joined with.
    """

    expected: str
    actual: str
    broken: str
    join: str = ""

    def _select(self) -> str:
        return (
            f"SELECT r._tenant AS tenant, r.{self.record.key} AS row_key, NULL AS unit, "
            f"{self.expected} AS expected, {self.actual} AS actual\n"
            f"FROM {{{self.record.name}}} AS r{_spaced(self.join)}\n"
            f"WHERE {_all_of(self.record.alive(), self.broken)}"
        )


def _number(term: Term) -> str:
    return f"{term.sign}NUMBER({term.amount})"


def _spaced(join: str) -> str:
    return f" {join}" if join else ""


def _all_of(*conditions: str) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition)
