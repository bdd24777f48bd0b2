"""What the facts of all streams that grow with time have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company


class GrowingFacts(ABC):
    """The records of a stream's rows at the company's time."""

    # Whether the rows are the loads, as many as the company begins with.
    are_loads: ClassVar[bool] = False
    # The stream of the parts that an added row gets, and that of the rows of which an added row is a part.
    parts: ClassVar[str | None] = None
    part_of: ClassVar[str | None] = None
    # Makes each field of a record from what a row's view returns.
    makers: ClassVar[Mapping[str, Callable[[Any], Any]]]

    def __init__(self, company: Company) -> None:
        self._company = company
        self.fields = frozenset(self.makers)

    @abstractmethod
    def view(self, number: int) -> Any:
        """Return a row at its time."""

    @abstractmethod
    def count(self) -> int:
        """Return how many rows there are now, with those that are removed."""

    @abstractmethod
    def started_at(self, number: int) -> int:
        """Return when a row started."""

    def value(self, number: int, name: str) -> Any:
        """Return a field of a row."""
        return self.makers[name](self.view(number))

    def record(self, number: int) -> Mapping[str, Any]:
        """Return all fields of a row."""
        view = self.view(number)
        return {name: make(view) for name, make in self.makers.items()}

    def changed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that existed at a time and changed until another one: none, unless overridden."""
        return []

    def removed_between(self, since: int, until: int) -> list[int]:
        """Return the rows that were removed after a time, until another one: none, unless overridden."""
        return []

    def loads_of(self, number: int) -> tuple[int, ...]:
        """Return the loads whose further story ends if somebody else changes a row: none by default."""
        return ()
