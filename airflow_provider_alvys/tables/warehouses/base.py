"""The interface of a warehouse: the parts of its SQL that :mod:`.statements` combines into a script."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.schema.values import EXTRA, Kind, snake_case
from airflow_provider_alvys.tables.schema import StreamSchema
from airflow_provider_alvys.tables.warehouses.staged import SourceField, StagedTable

# Temporary tables: the landed rows, and the flattened rows of the main table.
STAGE = "alvys_stage"
NEW_ROWS = "alvys_new"


@dataclass(frozen=True)
class Staging:
    """
    How the files of a run are copied into the stage.

    :param description: one sentence, a comment in the script.
    :param check: a statement that fails unless all rows are staged and have the expected form.
    :param cleanup: statements that drop the temporary tables.
    """

    description: str
    statements: Sequence[str]
    check: str
    cleanup: Sequence[str]


class Warehouse(ABC):
    """
    A warehouse's SQL.

    :cvar sqlglot_dialect: its name in sqlglot.
    :cvar example: URL of an example data set.
    :cvar file_format: format in which data must be landed.
    :cvar types: the column type of each kind.
    :cvar now: an expression for the current time.
    :cvar setup: statements that prepare the session.
    :cvar has_merge: whether it has a MERGE with conditions.
    :cvar merge_hint: text after the target of a MERGE.
    :cvar escape: Jinja filters that escape a text literal.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    sqlglot_dialect: ClassVar[str]
    example: ClassVar[str]
    file_format: ClassVar[str] = "parquet"
    types: ClassVar[Mapping[Kind, str]]
    now: ClassVar[str]
    setup: ClassVar[Sequence[str]] = ()
    begin: ClassVar[str] = "BEGIN TRANSACTION"
    commit: ClassVar[str] = "COMMIT"
    has_merge: ClassVar[bool] = True
    merge_hint: ClassVar[str] = ""
    escape: ClassVar[str] = """ | replace("'", "''")"""

    @abstractmethod
    def notes(self, url: str) -> Sequence[str]:
        """Return the requirements of the script, as lines of a comment."""

    def quote(self, name: str) -> str:
        """Return a quoted name."""
        return f'"{name}"'

    def literal(self, expression: str) -> str:
        """Return a text literal with the value of a Jinja expression."""
        return f"'{{{{ {expression} }}}}'"

    def create_table(self, table: str, columns: Sequence[str], key: Sequence[str]) -> str:
        """Return the statement that creates a table if it does not exist."""
        lines = ",\n".join([*columns, f"    PRIMARY KEY ({', '.join(key)})"])
        return f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)"

    @abstractmethod
    def stage(self, stream: Stream, lists: Sequence[tuple[str, ...]], url: str) -> Staging:
        """
        Return how the files of a run are staged.

        :param lists: the steps from the row to each list that becomes a child table.
        """

    @abstractmethod
    def from_clause(self, staged: StagedTable) -> str:
        """Return the FROM clause of a table's rows."""

    @abstractmethod
    def value(self, level: int, source: SourceField, kind: Kind) -> str:
        """Return the value of a column, in the row (level 0) or in the item of a list at that level."""

    def key(self, source: SourceField, kind: Kind) -> str:
        """Return the key of the row, at any level."""
        return self.value(0, source, kind)

    @abstractmethod
    def composite_key(self, stream: Stream) -> str:
        """Return a key of several fields as one text, or a hash of the row if it has no key."""

    @abstractmethod
    def extra_value(self, staged: StagedTable, schema: StreamSchema) -> str:
        """Return the value of the column ``_extra``."""

    @abstractmethod
    def position(self, level: int) -> str:
        """Return the position of an item in its list, from 1."""

    @abstractmethod
    def length(self, level: int, steps: Sequence[str]) -> str:
        """Return the number of items in the list."""

    def boolean(self, condition: str) -> str:
        """Return a condition as a value."""
        return f"({condition})"


class ParquetWarehouse(Warehouse):
    """A warehouse that reads Parquet files."""

    escape = r""" | replace("\\", "\\\\") | replace("'", "''")"""

    def composite_key(self, stream: Stream) -> str:
        if not stream.key:
            return self.digest(self.value(0, SourceField((EXTRA,), "string", frozenset(), ""), "text"))
        sources = [SourceField((name,), stream.fields.fields[name], frozenset(), "") for name in stream.key]
        parts = [f"COALESCE('\"' || {self.value(0, source, 'text')} || '\"', 'null')" for source in sources]
        return "'[' || " + " || ',' || ".join(parts) + " || ']'"

    def position(self, level: int) -> str:
        return f"n{level} + 1"

    def digest(self, text: str) -> str:
        """Return the SHA-256 of a text in hexadecimal."""
        return f"SHA2({text}, 256)"

    def item(self, level: int) -> str:
        """Return the row (level 0) or the item of a list at that level."""
        return f"i{level}" if level else "s"

    def path(self, level: int, steps: Sequence[str]) -> str:
        """Return the value of a nested field of the row or item."""
        return ".".join([self.item(level), *(self.quote(snake_case(step)) for step in steps)])
