"""What a warehouse must say for the statements of :mod:`warehouses`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.staged import Place, StagedTable

# Where the rows of a run stand before they are merged.
STAGE = "alvys_stage"
NEW = "alvys_new"


@dataclass(frozen=True)
class Staging:
    """
    How the files of a run get into a table of their own.

    :param how: said in a sentence.
    :param check: fails unless all rows are there, and are as the other statements take them to be.
    :param after: what removes the table.
    """

    how: str
    statements: Sequence[str]
    check: str
    after: Sequence[str] = ()


class Warehouse(ABC):
    """
    A warehouse's SQL.

    :cvar example: of a data set's address.
    :cvar file_format: what is to be landed for it.
    :cvar types: by kinds of values.
    :cvar before: what sets the session.
    :cvar has_merge: whether it has a MERGE with conditions.
    :cvar escape: the Jinja filter that makes a text fit for a literal.
    :cvar parser: its name in sqlglot.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    parser: ClassVar[str]
    example: ClassVar[str]
    file_format: ClassVar[str] = "parquet"
    types: ClassVar[Mapping[Kind, str]]
    now: ClassVar[str]
    before: ClassVar[Sequence[str]] = ()
    begin: ClassVar[str] = "BEGIN TRANSACTION"
    commit: ClassVar[str] = "COMMIT"
    has_merge: ClassVar[bool] = True
    merge_hint: ClassVar[str] = ""
    new: ClassVar[str] = NEW
    escape: ClassVar[str] = """ | replace("'", "''")"""

    @abstractmethod
    def notes(self, url: str) -> Sequence[str]:
        """Return what must be there before, in lines."""

    def quote(self, name: str) -> str:
        """Return a quoted name."""
        return f'"{name}"'

    def literal(self, expression: str) -> str:
        """Return a text literal of what a Jinja expression says."""
        return f"'{{{{ {expression} }}}}'"

    @abstractmethod
    def create(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        """Return what makes a table that there is not."""

    def create_as(self, table: str, select: str) -> str:
        """Return what makes a table of the session from a SELECT."""
        return f"CREATE TEMP TABLE {self.quote(table)} AS\n{select}"

    @abstractmethod
    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        """
        Return how the files of a run are staged.

        :param lists: the steps to each list in the row that becomes a table.
        """

    @abstractmethod
    def source(self, staged: StagedTable) -> str:
        """Return the FROM of a table's rows."""

    @abstractmethod
    def value(self, level: int, place: Place, kind: Kind) -> str:
        """Return the value of a column in the row, or in the item of a list so deep."""

    def key(self, place: Place, kind: Kind) -> str:
        """Return the value that identifies the row, from anywhere below it."""
        return self.value(0, place, kind)

    @abstractmethod
    def joined_key(self, stream: Stream) -> str:
        """Return the text that identifies rows by several fields, which the operator for databases makes alike, or by all."""

    @abstractmethod
    def left_over(self, staged: StagedTable, schema: StreamSchema) -> str:
        """Return what has no column."""

    @abstractmethod
    def position(self, level: int) -> str:
        """Return the place of an item in its list, from 1."""

    @abstractmethod
    def length(self, level: int, steps: Sequence[str]) -> str:
        """Return how many items the list has."""

    def truth(self, condition: str) -> str:
        """Return a condition as a value."""
        return f"({condition})"


class ParquetWarehouse(Warehouse):
    """A warehouse that reads what was landed as Parquet."""

    def joined_key(self, stream: Stream) -> str:
        if not stream.key:
            return self.digest(self.value(0, Place((EXTRA,), "string", frozenset(), ""), "text"))
        places = [Place((name,), stream.fields.fields[name], frozenset(), "") for name in stream.key]
        parts = [f"COALESCE('\"' || {self.value(0, place, 'text')} || '\"', 'null')" for place in places]
        return "'[' || " + " || ',' || ".join(parts) + " || ']'"

    @abstractmethod
    def digest(self, text: str) -> str:
        """Return the SHA-256 of a text, in hexadecimal digits."""
